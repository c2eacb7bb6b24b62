//! `key test IMG`: does this key open a keyslot?

use dmcrypt::{LockedBytes, Passphrase};
use luks::Luks;
use serde_json::json;

use super::explain;
use crate::args::{KeyTestArgs, Operand};
use crate::error::Error;
use crate::output;
use crate::passphrase::KeyInput;
use crate::source::Source;
use crate::unlock;

/// Tests. Nothing is written, and no data is decrypted.
pub fn run(args: &KeyTestArgs) -> Result<(), Error> {
    let source = Source::open(&args.image.header(), args.busy.read_in_use)?;
    let keys = KeyInput::new(&args.keys, args.image.header() == Operand::Standard)?;
    let luks = unlock::open(&source.name, source.seekable()?, &args.image.policy)?;
    let keyslot = if args.explain {
        explained(&luks, &source.name, &keys, args)?
    } else {
        unlock::unlock(&luks, &source.name, &keys, &args.unlock)?.keyslot()
    };
    if args.output.json {
        let members = json!({"image": source.name, "opens": true, "keyslot": keyslot});
        return Ok(output::json("key test", members)?);
    }
    Ok(output::text(&match keyslot {
        Some(keyslot) => format!(
            "keyslot {keyslot} of {} is opened by this key\n",
            source.name
        ),
        None => format!("this is the volume key of {}\n", source.name),
    })?)
}

/// As [`unlock::unlock`], but a passphrase that does not fit is tried again in the ways that people get it wrong.
fn explained(
    luks: &Luks,
    name: &str,
    keys: &KeyInput,
    args: &KeyTestArgs,
) -> Result<Option<u32>, Error> {
    let secret = keys.read_for(name, false, None)?;
    let options = unlock::options(&args.unlock)?;
    let error = match luks.unlock(
        &Passphrase::from_locked(LockedBytes::copy_of(&secret)),
        &options,
    ) {
        Ok(unlocked) => return Ok(unlocked.keyslot()),
        Err(error @ luks::Error::NoKeyFits { .. }) => error,
        Err(error) => return Err(Error::luks(name, error)),
    };
    for variant in explain::variants(&secret) {
        match luks.unlock(&Passphrase::from_bytes(variant.secret), &options) {
            Ok(unlocked) => {
                return Err(Error::Explained {
                    name: name.to_owned(),
                    keyslot: unlocked.keyslot().unwrap_or(0),
                    mistake: variant.mistake,
                });
            }
            Err(luks::Error::NoKeyFits { .. }) => {}
            Err(error) => return Err(Error::luks(name, error)),
        }
    }
    output::warn(
        "none of the usual mistakes explains it (newline, blanks, Caps Lock, y and z, hexadecimal)",
    );
    Err(Error::luks(name, error))
}
