//! `key export IMG --volume-key-file OUT`: the volume key itself.

use serde_json::json;

use crate::args::KeyExportArgs;
use crate::change::{confirm, wrote};
use crate::error::Error;
use crate::output;
use crate::passphrase::KeyInput;
use crate::unlock;
use crate::watch::Warner;
use jobs::change::{check_new, write_new};
use jobs::source::Source;
use jobs::temporary::Content;

/// Writes the key. The image is only read.
pub fn run(args: &KeyExportArgs) -> Result<(), Error> {
    let source = Source::open(&args.image.header(), args.busy.read_in_use, &Warner)?;
    let name = &source.name;
    let file = output::path(&args.volume_key_file);
    let keys = KeyInput::new(&args.keys, false)?;
    let luks = unlock::open(name, source.seekable()?, &args.image.policy)?;
    let question = format!(
        "Whoever has {file} opens {name}, whatever passphrases are changed or removed later."
    );
    confirm(&question, args.output.batch_mode, args.dry.run)?;
    let options = unlock::options_for(args.key_slot, &args.limits)?;
    let (unlocked, _) = unlock::with_passphrase(name, &keys, args.limits.tries, |secret| {
        luks.unlock(secret, &options)
    })?;
    let key = unlocked.volume_key();
    let (path, bytes) = (&args.volume_key_file, key.expose());
    if args.dry.run {
        check_new(path)?;
    } else {
        write_new(path, 0o600, Content::Secret, bytes)?;
    }
    let bits = key.len() * 8;
    let members = json!({
        "image": name, "keyslot": unlocked.keyslot(), "volume_key_file": file, "bits": bits,
    });
    let what = format!("the volume key of {name}, {bits} bits");
    wrote("key export", &file, &what, members, args.dry, args.output)
}
