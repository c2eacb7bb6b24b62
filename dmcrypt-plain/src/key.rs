//! From a passphrase or a key file to the key.

use std::str::FromStr;

use dmcrypt::{HashAlgorithm, Passphrase, VolumeKey};

use crate::Error;

/// Where the key comes from, which decides whether it is hashed.
#[derive(Clone, Copy)]
pub enum KeySource<'a> {
    /// What came from a terminal, from standard input, or with `--key-file=-`: the hash makes the key of it.
    Passphrase(&'a Passphrase),
    /// What a key file holds: its first bytes are the key, and no hash has a say.
    KeyFile(&'a [u8]),
}

/// How a passphrase becomes a key: what cryptsetup's `--hash` says in plain mode.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PassphraseHash {
    /// `sha256`, `sha256:20`
    Hash {
        /// The hash.
        algorithm: HashAlgorithm,
        /// How many bytes of the key it makes, the others being zero; `None` for all.
        bytes: Option<usize>,
    },
    /// `plain`, `plain:20`: the passphrase itself.
    Plain {
        /// How many of its bytes are used; `None` for as many as there are, at most as many as the key has.
        bytes: Option<usize>,
    },
}

impl FromStr for PassphraseHash {
    type Err = Error;

    /// The name of a hash, or `plain`, and maybe a number of bytes. Unlike cryptsetup, which takes `sha256:1x` for
    /// `sha256:1`, this wants digits and nothing else there.
    fn from_str(text: &str) -> Result<Self, Error> {
        let (name, bytes) = match text.split_once(':') {
            Some((name, bytes)) => (name, Some(parse_length(text, bytes)?)),
            None => (text, None),
        };
        Ok(match name {
            "" => return Err(malformed(text, "it has no name")),
            "plain" => Self::Plain { bytes },
            name => Self::Hash {
                algorithm: HashAlgorithm::parse_plain(name)?,
                bytes,
            },
        })
    }
}

fn parse_length(text: &str, bytes: &str) -> Result<usize, Error> {
    if !bytes.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed(
            text,
            "the number of bytes has other characters than digits",
        ));
    }
    bytes
        .parse()
        .map_err(|_| malformed(text, "the number of bytes is missing or too large"))
}

fn malformed(text: &str, reason: &'static str) -> Error {
    Error::Hash {
        hash: text.to_owned(),
        reason,
    }
}

/// Makes the key as cryptsetup does in plain mode.
///
/// - A hash makes H(p) || H("A" || p) || H("AA" || p) || ..., cut off at the length of the key, or with `hash:N` after N
///   bytes and then filled with zeros.
/// - `plain` takes the passphrase itself, cut off or filled with zeros; with `plain:N` it must have N bytes.
/// - A key file is used raw, whatever the hash is: its first bytes are the key.
///
/// # Errors
/// [`Error::NoHash`], [`Error::HashLength`], [`Error::PassphraseLength`] or [`Error::KeyFileLength`].
pub fn derive_key(
    source: KeySource<'_>,
    hash: Option<&PassphraseHash>,
    key_bytes: usize,
) -> Result<VolumeKey, Error> {
    let passphrase = match source {
        KeySource::KeyFile(bytes) => return first_bytes(bytes, key_bytes),
        KeySource::Passphrase(passphrase) => passphrase.expose(),
    };
    let hash = *hash.ok_or(Error::NoHash)?;
    let (PassphraseHash::Hash { bytes, .. } | PassphraseHash::Plain { bytes }) = hash;
    if let Some(bytes) = bytes.filter(|&bytes| bytes > key_bytes) {
        return Err(Error::HashLength { bytes, key_bytes });
    }

    let mut key = VolumeKey::zeroed(key_bytes);
    let made = &mut key.expose_mut()[..bytes.unwrap_or(key_bytes)];
    match hash {
        PassphraseHash::Hash { algorithm, .. } => fill_with_digests(algorithm, passphrase, made),
        PassphraseHash::Plain {
            bytes: Some(needed),
        } if passphrase.len() < needed => {
            return Err(Error::PassphraseLength {
                bytes: passphrase.len(),
                needed,
            });
        }
        PassphraseHash::Plain { .. } => {
            let used = passphrase.len().min(made.len());
            made[..used].copy_from_slice(&passphrase[..used]);
        }
    }
    Ok(key)
}

fn first_bytes(key_file: &[u8], key_bytes: usize) -> Result<VolumeKey, Error> {
    let bytes = key_file.get(..key_bytes).ok_or(Error::KeyFileLength {
        bytes: key_file.len(),
        key_bytes,
    })?;
    let mut key = VolumeKey::zeroed(key_bytes);
    key.expose_mut().copy_from_slice(bytes);
    Ok(key)
}

/// H(p) || H("A" || p) || H("AA" || p) || ...
fn fill_with_digests(algorithm: HashAlgorithm, passphrase: &[u8], key: &mut [u8]) {
    let mut prefix = Vec::new();
    for part in key.chunks_mut(algorithm.digest_bytes()) {
        let digest = algorithm.digest(&[&prefix, passphrase]);
        part.copy_from_slice(&digest[..part.len()]);
        prefix.push(b'A');
    }
}
