//! The options of a plain container: complete, or refused by name. Nothing says what they were when it was made, so
//! nothing is guessed.

use dmcrypt::{CipherSpec, SectorSize};
use dmcrypt_plain::{PassphraseHash, PlainOptions};
use jobs::error::PlainError;
use jobs::key_source::{KeyFrom, KeySource};
use jobs::plain::{Plain, PlainKey};

use crate::args::{Compat, ContainerArgs, PlainArgs};
use crate::error::Error;
use crate::output;

/// Checks that everything is there and fits together. A passphrase needs a hash, a key file is the key itself.
pub fn understood(
    container: &ContainerArgs,
    plain: &PlainArgs,
    key: &KeySource,
) -> Result<Plain, Error> {
    let missing = |what, option| MissingOption { what, option };
    let compat = plain.compat;
    let cipher = container
        .cipher
        .as_deref()
        .or(compat.map(Compat::cipher))
        .ok_or(missing("cipher", "--cipher"))?;
    let cipher: CipherSpec = cipher.parse().map_err(PlainError::Cipher)?;
    cipher.check_supported().map_err(PlainError::Cipher)?;
    let key_bits = container
        .key_size
        .or(compat.map(|_| 256))
        .ok_or(missing("key size", "--key-size"))?;
    if !key_bits.is_multiple_of(8) || key_bits == 0 {
        return Err(PlainError::KeyBits { bits: key_bits }.into());
    }
    let key_bytes = (key_bits / 8) as usize;
    cipher
        .check_key_bytes(key_bytes)
        .map_err(PlainError::Cipher)?;
    let sector_bytes = container.sector_size.unwrap_or(512);
    let sector_size = SectorSize::new(sector_bytes).ok_or(PlainError::SectorSize {
        bytes: sector_bytes,
    })?;
    let hash = match container.hash.as_deref() {
        Some(_) if key.is_file() => {
            output::warn("--hash is not used: a plain container's key file is the key itself");
            None
        }
        _ if key.is_file() => None,
        given => Some(
            given
                .or(compat.map(Compat::hash))
                .ok_or(missing("hash of the passphrase", "--hash"))?,
        ),
    };
    let hash = hash.map(str::parse::<PassphraseHash>).transpose();
    let hash = hash.map_err(PlainError::Container)?;
    let is_stdin = key.from == KeyFrom::Standard;
    if key.size.is_some() && (key.is_file() || is_stdin && is_unhashed(hash.as_ref())) {
        output::warn("--keyfile-size is not used: as much is read as the key has");
    }
    let is_unhashed = is_unhashed(hash.as_ref());
    Ok(Plain {
        options: PlainOptions {
            cipher,
            key_bytes,
            offset_sectors: container.offset.unwrap_or(0),
            skip_sectors: plain.skip.unwrap_or(0),
            size_sectors: None,
            sector_size,
            iv_large_sectors: plain.iv_large_sectors,
        },
        key: match hash {
            None => PlainKey::Itself,
            Some(hash) => PlainKey::Hashed {
                exactly: is_stdin && is_unhashed,
                hash,
            },
        },
        is_sector_size_asked: container.sector_size.is_some(),
    })
}

/// `plain` without a length: the bytes read are the key, as many as it has.
fn is_unhashed(hash: Option<&PassphraseHash>) -> bool {
    matches!(hash, Some(PassphraseHash::Plain { bytes: None }))
}

impl Compat {
    fn cipher(self) -> &'static str {
        match self {
            Self::V2_6 => "aes-cbc-essiv:sha256",
            Self::V2_7 => "aes-xts-plain64",
        }
    }

    fn hash(self) -> &'static str {
        match self {
            Self::V2_6 => "ripemd160",
            Self::V2_7 => "sha256",
        }
    }
}

/// An option of a plain container that has no default is not given.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the {what} of a plain container is not given")]
pub struct MissingOption {
    /// What is missing.
    pub what: &'static str,
    /// The option that gives it.
    pub option: &'static str,
}
