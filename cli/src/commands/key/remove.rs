//! `key remove IMG`: a passphrase less.

use luks::{OsRandom, keyslots};
use serde_json::json;

use crate::args::KeyRemoveArgs;
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

/// Removes a keyslot.
pub fn run(args: &KeyRemoveArgs) -> Result<(), Error> {
    let inputs = Inputs::none()
        .policies(&args.image.policy)
        .keys(&args.keys)
        .path("the volume key file", args.volume_key_file.as_ref());
    let target = Target::open(
        &args.image.header(),
        args.change.dry.run,
        Claim::Header,
        &inputs,
    )?;
    let name = &target.name;
    let keys = KeyInput::new(&args.keys, false)?;
    let luks = target.luks(&policy::read(&args.image.policy.policy)?, &Warner)?;
    let options = unlock::options_for(None, &args.limits)?;
    let keyslot = if let Some(keyslot) = args.key_slot {
        let has_key = args.keys.key_file.is_some() || args.keys.key_fd.is_some();
        // Of the last one no other can be asked for: the question below is what guards it.
        let asks = has_key || !args.change.output.batch_mode;
        if let Some(path) = &args.volume_key_file {
            let key = read_volume_key(path)?;
            luks.unlock_with_volume_key(key, &options)
                .map_err(target.failed())?;
        } else if asks && !keyslots::is_last(luks.header(), keyslot) {
            unlock::with_passphrase(name, &keys, args.limits.tries, |left| {
                keyslots::unlock_other(&luks, keyslot, left, &options)
            })?;
        }
        keyslot
    } else {
        let (unlocked, _) = unlock::with_passphrase(name, &keys, args.limits.tries, |secret| {
            luks.unlock(secret, &options)
        })?;
        unlocked
            .keyslot()
            .expect("a passphrase opened it, so a keyslot did")
    };
    let last = keyslots::is_last(luks.header(), keyslot);
    if last {
        let question = format!(
            "Keyslot {keyslot} is the last one of {name}: without it nobody can open the container."
        );
        target.confirm(&question, args.change.output.batch_mode)?;
    }
    target.back_up(&luks, args.change.header_backup_file.as_deref(), &Warner)?;
    keyslots::remove(&luks, keyslot, last, &mut OsRandom).map_err(target.failed())?;
    let members = json!({"image": name, "keyslot": keyslot, "last": last});
    let text = format!("keyslot {keyslot} of {name} is removed\n");
    target.done("key remove", args.change.output, members, &text)
}
