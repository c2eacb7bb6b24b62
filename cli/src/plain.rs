//! The options of a plain container: complete, or refused by name. Nothing says what they were when it was made, so
//! nothing is guessed.

use dmcrypt::{CipherSpec, Passphrase, SectorSize, VolumeKey};
use dmcrypt_plain::{KeySource, PassphraseHash, PlainOptions};
use volume::Mapping;

use crate::args::{Compat, ContainerArgs, PlainArgs};
use crate::exit::Exit;
use crate::output;
use crate::passphrase::KeyInput;
use crate::payload;

/// A plain container, understood.
pub struct Plain {
    options: PlainOptions,
    hash: Option<PassphraseHash>,
}

impl Plain {
    /// Checks that everything is there and fits together. A passphrase needs a hash, a key file is the key itself.
    pub fn new(
        container: &ContainerArgs,
        plain: &PlainArgs,
        keys: &KeyInput,
    ) -> Result<Self, PlainError> {
        let missing = |what, option| PlainError::Missing { what, option };
        let compat = plain.compat;
        let cipher = container
            .cipher
            .as_deref()
            .or(compat.map(Compat::cipher))
            .ok_or(missing("cipher", "--cipher"))?;
        let cipher: CipherSpec = cipher.parse()?;
        cipher.check_supported()?;
        let key_bits = container
            .key_size
            .or(compat.map(|_| 256))
            .ok_or(missing("key size", "--key-size"))?;
        if !key_bits.is_multiple_of(8) || key_bits == 0 {
            return Err(PlainError::KeyBits { bits: key_bits });
        }
        let key_bytes = (key_bits / 8) as usize;
        cipher.check_key_bytes(key_bytes)?;
        let sector_bytes = container.sector_size.unwrap_or(512);
        let sector_size = SectorSize::new(sector_bytes).ok_or(PlainError::SectorSize {
            bytes: sector_bytes,
        })?;
        let hash = match container.hash.as_deref() {
            Some(_) if keys.is_file() => {
                output::warn("--hash is not used: a plain container's key file is the key itself");
                None
            }
            _ if keys.is_file() => None,
            given => Some(
                given
                    .or(compat.map(Compat::hash))
                    .ok_or(missing("hash of the passphrase", "--hash"))?,
            ),
        };
        let hash = hash.map(str::parse::<PassphraseHash>).transpose()?;
        if keys.has_size() && (keys.is_file() || keys.is_stdin() && is_unhashed(hash.as_ref())) {
            output::warn("--keyfile-size is not used: as much is read as the key has");
        }
        Ok(Self {
            options: PlainOptions {
                cipher,
                key_bytes,
                offset_sectors: container.offset.unwrap_or(0),
                skip_sectors: plain.skip.unwrap_or(0),
                size_sectors: None,
                sector_size,
                iv_large_sectors: plain.iv_large_sectors,
            },
            hash,
        })
    }

    /// The cipher.
    pub fn cipher(&self) -> &CipherSpec {
        &self.options.cipher
    }

    /// Bytes of the key.
    pub fn key_bytes(&self) -> usize {
        self.options.key_bytes
    }

    /// Bytes that are encrypted as one.
    pub fn sector_bytes(&self) -> usize {
        self.options.sector_size.bytes()
    }

    /// Bytes that IVs count.
    pub fn iv_unit(&self) -> u64 {
        if self.options.iv_large_sectors {
            self.sector_bytes() as u64
        } else {
            dmcrypt::SECTOR_BYTES
        }
    }

    /// Where the payload starts in the container.
    pub fn offset_bytes(&self) -> Result<u64, PlainError> {
        let sectors = self.options.offset_sectors;
        sectors
            .checked_mul(dmcrypt::SECTOR_BYTES)
            .ok_or(PlainError::Offset { sectors })
    }

    /// How the payload is encrypted: `bytes` of it, or as many as a stream turns out to have.
    pub fn mapping(&self, key: &VolumeKey, bytes: Option<u64>) -> Result<Mapping, PlainError> {
        let sectors = bytes.unwrap_or(payload::UNBOUNDED_BYTES) / dmcrypt::SECTOR_BYTES;
        Ok(dmcrypt_plain::mapping(key, &self.options, sectors)?)
    }

    /// Reads the key, or makes it of a passphrase.
    pub fn key(
        &self,
        keys: &KeyInput,
        image: &str,
        twice: bool,
    ) -> Result<VolumeKey, crate::Error> {
        let exactly = keys.is_file() || keys.is_stdin() && is_unhashed(self.hash.as_ref());
        let exactly = exactly.then_some(self.options.key_bytes);
        let bytes = keys.read_for(image, twice, exactly)?;
        if keys.is_file() {
            keys.tell_spelled(&bytes);
        }
        let passphrase;
        let source = if keys.is_file() {
            KeySource::KeyFile(&bytes)
        } else {
            passphrase = Passphrase::from_locked(bytes);
            KeySource::Passphrase(&passphrase)
        };
        let key = dmcrypt_plain::derive_key(source, self.hash.as_ref(), self.options.key_bytes);
        key.map_err(|error| PlainError::from(error).into())
    }
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

/// Why the options make no plain container.
#[derive(Debug, thiserror::Error)]
pub enum PlainError {
    /// An option that has no default.
    #[error("the {what} of a plain container is not given")]
    Missing {
        /// What is missing.
        what: &'static str,
        /// The option that gives it.
        option: &'static str,
    },
    /// A key is whole bytes.
    #[error("a key of {bits} bits is not a whole number of bytes")]
    KeyBits {
        /// The size asked for.
        bits: u32,
    },
    /// There are four sector sizes.
    #[error("sector size {bytes} is none of 512, 1024, 2048, 4096")]
    SectorSize {
        /// The size asked for.
        bytes: u32,
    },
    /// An offset beyond any disk.
    #[error("offset {sectors} sectors is beyond 64 bits of bytes")]
    Offset {
        /// The offset asked for.
        sectors: u64,
    },
    /// The cipher is none, is not built, or does not take the key.
    #[error(transparent)]
    Cipher(#[from] dmcrypt::Error),
    /// Hash, key or offsets.
    #[error(transparent)]
    Container(#[from] dmcrypt_plain::Error),
}

impl PlainError {
    /// How the program ends.
    pub fn exit(&self) -> Exit {
        Exit::Wrong
    }

    /// What to do.
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Missing { option, .. } => Some(format!(
                "give it with {option}, or take cryptsetup's defaults with --compat 2.6 or --compat 2.7"
            )),
            _ => None,
        }
    }
}
