//! `key change IMG`: another passphrase in place of one, or the same under another key derivation.

use luks::{OsRandom, keyslots};
use serde_json::json;

use super::{header_of, new};
use crate::args::KeyChangeArgs;
use crate::change::{Target, back_up};
use crate::error::Error;
use crate::output;
use crate::passphrase::KeyInput;
use crate::unlock;

/// Changes a keyslot.
pub fn run(args: &KeyChangeArgs) -> Result<(), Error> {
    let target = Target::open(&header_of(&args.image, &args.header))?;
    let name = &target.name;
    let keys = KeyInput::new(&args.keys, false)?;
    let input = new::input(&args.keys, &args.new)?;
    let luks = target.luks(&args.change.policy)?;
    let old = unlock::passphrase(name, &keys)?;
    let unlocked = luks
        .unlock(&old, &unlock::options_for(args.key_slot, &args.limits))
        .map_err(target.failed())?;
    let secret = if args.keep_passphrase {
        old
    } else {
        new::passphrase(&input, name, args.change.batch_mode, args.new.force)?
    };
    let options = new::options(luks.header(), name, &args.new)?;
    if let Some(path) = &args.change.header_backup_file {
        back_up(name, &luks, path)?;
    }
    let before = unlocked
        .keyslot()
        .expect("a passphrase opened it, so a keyslot did");
    let keyslot = keyslots::change(&luks, &unlocked, before, &secret, &options, &mut OsRandom)
        .map_err(target.failed())?;
    if args.change.json {
        let members = json!({"image": name, "keyslot": keyslot, "old_keyslot": before});
        return Ok(output::json("key change", members)?);
    }
    let moved = if keyslot == before {
        String::new()
    } else {
        format!(" and is keyslot {keyslot} now")
    };
    Ok(output::text(&format!(
        "keyslot {before} of {name} is changed{moved}\n"
    ))?)
}
