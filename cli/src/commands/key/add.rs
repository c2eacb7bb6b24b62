//! `key add IMG`: one more passphrase.

use jobs::inputs::Inputs;
use jobs::key::add::{AddOptions, add};

use super::new;
use crate::args::KeyAddArgs;
use crate::change;
use crate::error::Error;
use crate::inputs::InputsOf as _;
use crate::passphrase::KeyInput;
use crate::secrets::Keys;
use crate::unlock;
use crate::watch::Warner;

/// Adds a keyslot.
pub fn run(args: &KeyAddArgs) -> Result<(), Error> {
    let volume_keys = &args.unlock.volume_key_file;
    if let [_, _, ..] = volume_keys[..] {
        return Err(Error::TooOften {
            option: "--volume-key-file",
            times: volume_keys.len(),
            most: 1,
        });
    }
    let inputs = Inputs::none()
        .keys(&args.keys)
        .new_keys(&args.new.file)
        .path("the volume key file", volume_keys.first());
    let options = AddOptions {
        change: change::options(&args.image, &args.change, inputs),
        unlock: unlock::how(&args.unlock)?,
        new: new::wanted(&args.new),
        keyslot: args.new_key_slot,
        priority: args.priority.into(),
        unbound: args.unbound.then(|| args.key_size.unwrap_or_default()),
        allow_empty_passphrase: args.new.allow_empty_passphrase,
    };
    let say = args.change.output;
    let (keys, input) = (
        KeyInput::new(&args.keys, false)?,
        new::input(&args.keys, &args.new.file)?,
    );
    let secrets = Keys::to_unlock(&keys, &args.unlock);
    let new = Keys::for_new_keyslot(&input, say);
    let added = add(&args.image.header(), &options, &secrets, &new, &Warner)?;
    let image = &added.image;
    let text = format!("keyslot {} of {image} is new\n", added.keyslot);
    change::done(
        "key add",
        say,
        &added,
        image,
        added.rehearsed.as_ref(),
        &text,
    )
}
