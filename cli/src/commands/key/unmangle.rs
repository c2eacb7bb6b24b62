//! `key unmangle IMG`: the passphrase that older `OpenStack` made of a key, replaced by the right one.

use std::fmt::Write as _;

use jobs::inputs::Inputs;
use jobs::key::unmangle::{UnmangleOptions, unmangle};
use jobs::key_source::{KeyFormat, KeySource};
use jobs::new_keyslot::NewKeyslot;

use crate::args::KeyUnmangleArgs;
use crate::change;
use crate::error::Error;
use crate::inputs::InputsOf as _;
use crate::passphrase::KeyInput;
use crate::secrets::Keys;
use crate::unlock;
use crate::watch::Warner;

/// Replaces it.
pub fn run(args: &KeyUnmangleArgs) -> Result<(), Error> {
    if args.keys.read.key_format.is_some() {
        return Err(Error::Conflict {
            one: "--key-format",
            other: "key unmangle, which takes the key itself",
        });
    }
    let options = UnmangleOptions {
        change: change::options(&args.image, &args.change, Inputs::none().keys(&args.keys)),
        unlock: unlock::how_for(None, &args.limits)?,
        new: NewKeyslot {
            cost: (&args.cost).into(),
            ..NewKeyslot::default()
        },
    };
    let say = args.change.output;
    let source = KeySource {
        format: KeyFormat::Auto,
        ..KeySource::from(&args.keys)
    };
    let keys = KeyInput::new(source, false)?;
    let secrets = Keys::opening(&keys, None, args.limits.tries);
    let unmangled = unmangle(&args.image.header(), &options, &secrets, &Warner)?;
    let (image, keyslot) = (&unmangled.image, unmangled.keyslot);
    let mut text = if unmangled.added {
        format!("keyslot {keyslot} of {image} is new, of the right passphrase\n")
    } else {
        format!("keyslot {keyslot} of {image} has the right passphrase already\n")
    };
    for removed in &unmangled.removed {
        let _ = writeln!(
            text,
            "keyslot {removed} of {image} is removed, of the mangled passphrase"
        );
    }
    let rehearsed = unmangled.rehearsed.as_ref();
    change::done("key unmangle", say, &unmangled, image, rehearsed, &text)
}
