//! `key change IMG`: another passphrase in place of one, or the same under another key derivation.

use jobs::inputs::Inputs;
use jobs::key::change::{ChangeKeyOptions, change as change_key};

use super::new;
use crate::args::KeyChangeArgs;
use crate::change;
use crate::error::Error;
use crate::inputs::InputsOf as _;
use crate::passphrase::KeyInput;
use crate::secrets::Keys;
use crate::unlock;
use crate::watch::Warner;

/// Changes a keyslot.
pub fn run(args: &KeyChangeArgs) -> Result<(), Error> {
    let volume_key = args.volume_key_file.as_deref();
    let inputs = Inputs::none()
        .keys(&args.keys)
        .new_keys(&args.new.file)
        .path("the volume key file", volume_key);
    let options = ChangeKeyOptions {
        change: change::options(&args.image, &args.change, inputs),
        unlock: unlock::how_for(args.key_slot, &args.limits)?,
        new: new::wanted(&args.new),
        keep_passphrase: args.keep_passphrase,
        allow_empty_passphrase: args.new.allow_empty_passphrase,
    };
    let say = args.change.output;
    let (keys, input) = (
        KeyInput::new(&args.keys, false)?,
        new::input(&args.keys, &args.new.file)?,
    );
    let secrets = Keys::opening(&keys, volume_key, args.limits.tries);
    let new = Keys::for_new_keyslot(&input, say);
    let done = change_key(&args.image.header(), &options, &secrets, &new, &Warner)?;
    let (image, keyslot, before) = (&done.image, done.keyslot, done.old_keyslot);
    let moved = if keyslot == before {
        String::new()
    } else {
        format!(" and is keyslot {keyslot} now")
    };
    let text = format!("keyslot {before} of {image} is changed{moved}\n");
    change::done(
        "key change",
        say,
        &done,
        image,
        done.rehearsed.as_ref(),
        &text,
    )
}
