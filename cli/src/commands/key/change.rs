//! `key change IMG`: another passphrase in place of one, or the same under another key derivation.

use luks::{OsRandom, keyslots};
use serde_json::json;

use super::new;
use crate::args::KeyChangeArgs;
use crate::change::Told as _;
use crate::error::Error;
use crate::inputs::InputsOf as _;
use crate::passphrase::KeyInput;
use crate::unlock;
use crate::watch::Warner;
use jobs::block::Claim;
use jobs::change::Target;
use jobs::inputs::Inputs;
use jobs::key_source::read_volume_key;
use jobs::policy;

/// Changes a keyslot.
pub fn run(args: &KeyChangeArgs) -> Result<(), Error> {
    let inputs = Inputs::none()
        .policies(&args.image.policy)
        .keys(&args.keys)
        .new_keys(&args.new)
        .path("the volume key file", args.volume_key_file.as_ref());
    let target = Target::open(
        &args.image.header(),
        args.change.dry.run,
        Claim::Header,
        &inputs,
    )?;
    let name = &target.name;
    let keys = KeyInput::new(&args.keys, false)?;
    let input = new::input(&args.keys, &args.new)?;
    let luks = target.luks(&policy::read(&args.image.policy.policy)?, &Warner)?;
    let limits = unlock::options_for(args.key_slot, &args.limits)?;
    let (unlocked, old) = if let Some(path) = &args.volume_key_file {
        let key = read_volume_key(path)?;
        let unlocked = luks.unlock_with_volume_key(key, &limits);
        (unlocked.map_err(target.failed())?, None)
    } else {
        let (unlocked, old) = unlock::with_passphrase(name, &keys, args.limits.tries, |old| {
            luks.unlock(old, &limits)
        })?;
        (unlocked, Some(old))
    };
    let before = unlocked
        .keyslot()
        .or(args.key_slot)
        .expect("a keyslot was opened, or named beside the volume key");
    let secret = match old {
        Some(old) if args.keep_passphrase => old,
        _ => new::passphrase(
            &input,
            name,
            args.change.output.batch_mode,
            args.new.allow_empty_passphrase,
        )?,
    };
    let options = new::wanted(&args.new).options(luks.header(), name, &Warner)?;
    target.back_up(&luks, args.change.header_backup_file.as_deref(), &Warner)?;
    let keyslot = keyslots::change(&luks, &unlocked, before, &secret, &options, &mut OsRandom)
        .map_err(target.failed())?;
    let moved = if keyslot == before {
        String::new()
    } else {
        format!(" and is keyslot {keyslot} now")
    };
    let members = json!({"image": name, "keyslot": keyslot, "old_keyslot": before});
    let text = format!("keyslot {before} of {name} is changed{moved}\n");
    target.done("key change", args.change.output, members, &text)
}
