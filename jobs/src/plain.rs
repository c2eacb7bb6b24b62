//! A plain container: complete, or refused by name. Nothing says what it was when it was made, so nothing is guessed.

mod wanted;

use dmcrypt::{CipherSpec, Passphrase, VolumeKey};
use dmcrypt_plain::{KeySource, PassphraseHash, PlainOptions};
use volume::Mapping;

use crate::error::{Error, PlainError};
use crate::payload;
use crate::report::Report;
use crate::secret::{Asked, Secrets};

pub use wanted::{Age, PlainWanted};

/// A plain container, understood.
#[derive(Clone, Debug)]
pub struct Plain {
    /// How it is encrypted, and where.
    pub options: PlainOptions,
    /// What makes the key.
    pub key: PlainKey,
    /// Its sector size was asked for.
    pub is_sector_size_asked: bool,
}

/// What makes the key of a plain container.
#[derive(Clone, Debug)]
pub enum PlainKey {
    /// The bytes given are the key itself, as many as it has.
    Itself,
    /// A passphrase, hashed; `exactly`: as many bytes of it as the key has.
    Hashed {
        /// How.
        hash: PassphraseHash,
        /// As many bytes are taken as the key has.
        exactly: bool,
    },
}

impl Plain {
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

    /// The same, where it was asked for.
    pub fn asked_sector_bytes(&self) -> Option<u32> {
        let bytes = u32::try_from(self.sector_bytes()).ok();
        bytes.filter(|_| self.is_sector_size_asked)
    }

    /// What is said of it in `destination`, or of what comes out of it there.
    pub fn report(&self, destination: String) -> Result<Report, Error> {
        Ok(Report {
            dry_run: false,
            source: None,
            destination,
            header: None,
            kind: "plain",
            cipher: self.cipher().to_string(),
            key_bits: self.key_bytes() as u64 * 8,
            sector_size: self.sector_bytes() as u64,
            sector_size_reason: None,
            format: None,
            payload_offset: self.offset_bytes()?,
            payload_bytes: None,
            container_bytes: None,
            keyslot: None,
            lost: None,
        })
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

    /// The key, of what `secrets` has. `is_new`: the container is about to be made.
    pub fn volume_key(
        &self,
        secrets: &dyn Secrets,
        image: &str,
        is_new: bool,
    ) -> Result<VolumeKey, Error> {
        let exactly = match self.key {
            PlainKey::Itself | PlainKey::Hashed { exactly: true, .. } => {
                Some(self.options.key_bytes)
            }
            PlainKey::Hashed { .. } => None,
        };
        let bytes = secrets.passphrase(&Asked {
            is_new,
            exactly,
            ..Asked::of(image)
        })?;
        let passphrase;
        let (source, hash) = match &self.key {
            PlainKey::Itself => (KeySource::KeyFile(&bytes), None),
            PlainKey::Hashed { hash, .. } => {
                passphrase = Passphrase::from_locked(bytes);
                (KeySource::Passphrase(&passphrase), Some(hash))
            }
        };
        let key = dmcrypt_plain::derive_key(source, hash, self.options.key_bytes);
        key.map_err(|error| PlainError::from(error).into())
    }
}
