//! `key export IMG --volume-key-file OUT`: the volume key itself.

use serde_json::json;

use super::header_of;
use crate::args::KeyExportArgs;
use crate::change::{confirm, write_new};
use crate::error::Error;
use crate::output;
use crate::passphrase::KeyInput;
use crate::signals::Content;
use crate::source::Source;
use crate::unlock;

/// Writes the key. The image is only read.
pub fn run(args: &KeyExportArgs) -> Result<(), Error> {
    let source = Source::open(&header_of(&args.image, &args.header), args.force)?;
    let name = &source.name;
    let file = output::path(&args.volume_key_file);
    let keys = KeyInput::new(&args.keys, false)?;
    let luks = unlock::open(name, source.seekable()?, &args.policy)?;
    let question = format!(
        "Whoever has {file} opens {name}, whatever passphrases are changed or removed later."
    );
    confirm(&question, args.batch_mode)?;
    let unlocked = luks
        .unlock(
            &unlock::passphrase(name, &keys)?,
            &unlock::options_for(args.key_slot, &args.limits),
        )
        .map_err(|error| Error::luks(name, error))?;
    let key = unlocked.volume_key();
    write_new(&args.volume_key_file, 0o600, Content::Secret, key.expose())?;
    let bits = key.len() * 8;
    if args.json {
        let members = json!({
            "image": name, "keyslot": unlocked.keyslot(), "volume_key_file": file, "bits": bits,
        });
        return Ok(output::json("key export", members)?);
    }
    Ok(output::text(&format!(
        "{file}: the volume key of {name}, {bits} bits\n"
    ))?)
}
