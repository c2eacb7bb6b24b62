//! A key that nobody has to choose or remember: random, and written so that it can be read over a telephone.

use std::path::{Path, PathBuf};

use dmcrypt::{LockedBytes, Passphrase};
use luks::{OsRandom, Random};
use serde_json::{Map, Value, json};

use crate::change::write_for_now;
use crate::error::Error;
use crate::secret::Secrets;
use crate::temporary::{Content, TemporaryFile};

/// Where recovery keys go.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Recovery {
    /// None is made.
    #[default]
    None,
    /// A new file that only its owner reads, without a newline: a key file. Of one clone.
    File(PathBuf),
    /// A new file for each clone in this folder: the clone's name and `.recovery`.
    Folder(PathBuf),
    /// [`Secrets::keep_recovery_key`] takes them.
    Caller,
}

/// Bits of randomness, and digits: systemd's are the same.
const BYTES: usize = 32;
/// Sixteen letters that lie at the same place on all keyboards with Latin letters.
const MODHEX: &[u8; 16] = b"cbdefghijklnrtuv";
/// Digits between two dashes.
const GROUP: usize = 8;
/// All of it.
const TEXT_BYTES: usize = 2 * BYTES + 2 * BYTES / GROUP - 1;

/// Makes one, of 256 bits, as systemd writes it: eight groups of eight letters and dashes between them.
pub fn generate(random: &mut dyn Random) -> Result<Passphrase, luks::RandomError> {
    let mut key = LockedBytes::zeroed(BYTES);
    random.fill(&mut key)?;
    Ok(Passphrase::from_locked(text(&key)))
}

fn text(key: &[u8]) -> LockedBytes {
    let mut text = LockedBytes::zeroed(TEXT_BYTES);
    let digits = key.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let mut at = 0;
    for (index, digit) in digits.enumerate() {
        if index > 0 && index.is_multiple_of(GROUP) {
            text[at] = b'-';
            at += 1;
        }
        text[at] = MODHEX[usize::from(digit)];
        at += 1;
    }
    text
}

/// The token that tells systemd which keyslot a recovery key opens.
pub fn token(keyslot: u32) -> Map<String, Value> {
    match json!({"type": "systemd-recovery", "keyslots": [keyslot.to_string()]}) {
        Value::Object(token) => token,
        _ => unreachable!("the macro above builds an object"),
    }
}

impl Recovery {
    pub(super) fn generate(&self) -> Result<Option<Passphrase>, Error> {
        if *self == Self::None {
            return Ok(None);
        }
        let key = generate(&mut OsRandom);
        key.map(Some)
            .map_err(|error| Error::luks("the recovery key", error.into()))
    }

    /// The file of the clone that is called so.
    pub(super) fn path(&self, file_name: &str) -> Option<PathBuf> {
        match self {
            Self::None | Self::Caller => None,
            Self::File(path) => Some(path.clone()),
            Self::Folder(folder) => Some(folder.join(format!("{file_name}.recovery"))),
        }
    }
}

/// Writes the key of a clone into a file, which is kept with the clone, or gives it to whoever asked for it.
pub(super) fn hand_over(
    path: Option<&Path>,
    name: &str,
    key: &Passphrase,
    secrets: &dyn Secrets,
) -> Result<Option<TemporaryFile>, Error> {
    let Some(path) = path else {
        secrets.keep_recovery_key(name, key)?;
        return Ok(None);
    };
    let written = write_for_now(path, 0o600, Content::Secret, key.expose())?;
    Ok(Some(written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_spelled_in_groups() {
        let mut key = [0; BYTES];
        key[0] = 0x01;
        key[4] = 0xfe;
        key[31] = 0x23;
        let text = text(&key);
        assert_eq!(
            &text[..],
            b"cbcccccc-vucccccc-cccccccc-cccccccc-cccccccc-cccccccc-cccccccc-ccccccde"
        );
    }
}
