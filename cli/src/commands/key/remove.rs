//! `key remove IMG`: a passphrase less.

use jobs::inputs::Inputs;
use jobs::key::remove::{RemoveOptions, remove};

use crate::args::KeyRemoveArgs;
use crate::change::{self, Asker};
use crate::error::Error;
use crate::inputs::InputsOf as _;
use crate::passphrase::KeyInput;
use crate::secrets::Keys;
use crate::unlock;
use crate::watch::Warner;

/// Removes a keyslot.
pub fn run(args: &KeyRemoveArgs) -> Result<(), Error> {
    let volume_key = args.volume_key_file.as_deref();
    let inputs = Inputs::none()
        .keys(&args.keys)
        .path("the volume key file", volume_key);
    let say = args.change.output;
    let has_key = args.keys.is_given();
    let options = RemoveOptions {
        change: change::options(&args.image, &args.change, inputs),
        unlock: unlock::how_for(args.key_slot, &args.limits)?,
        unasked: say.batch_mode && !has_key,
    };
    let keys = KeyInput::new(&args.keys, false)?;
    let secrets = Keys::opening(&keys, volume_key, args.limits.tries);
    let (place, asker) = (args.image.header(), Asker::new(say));
    let removed = remove(&place, &options, &secrets, &asker, &Warner)?;
    let image = &removed.image;
    let text = format!("keyslot {} of {image} is removed\n", removed.keyslot);
    let rehearsed = removed.rehearsed.as_ref();
    change::done("key remove", say, &removed, image, rehearsed, &text)
}
