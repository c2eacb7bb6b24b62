//! What is said of a plain container: enough, or what is missing.

use dmcrypt::{CipherSpec, SectorSize};
use dmcrypt_plain::{PassphraseHash, PlainOptions};

use super::{Plain, PlainKey};
use crate::error::PlainError;
use crate::key_source::{KeyFormat, KeyFrom, KeySource};

/// What is said of a plain container, be it there or new.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PlainWanted {
    /// Cipher specification, such as `aes-xts-plain64`.
    pub cipher: Option<String>,
    /// Size of the key in bits.
    pub key_bits: Option<u32>,
    /// The hash that makes a key of a passphrase; a key file is the key itself.
    pub hash: Option<String>,
    /// Bytes that are encrypted as one; 512 unless said.
    pub sector_bytes: Option<u32>,
    /// Where the payload starts in the container, in units of 512 bytes.
    pub offset_sectors: u64,
    /// The IV number of its first sector.
    pub skip_sectors: u64,
    /// IVs count encryption sectors, not units of 512 bytes.
    pub iv_large_sectors: bool,
    /// Whose defaults are taken for cipher, key size and hash where they are not said.
    pub defaults: Option<Age>,
}

/// An age of cryptsetup, whose defaults for plain containers are not those of others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Age {
    /// Before 2.7: aes-cbc-essiv:sha256, 256 bits, ripemd160.
    V2_6,
    /// Since: aes-xts-plain64, 256 bits, sha256.
    V2_7,
}

impl Age {
    const KEY_BITS: u32 = 256;

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

impl PlainWanted {
    /// Checks that everything is there and fits together. A passphrase needs a hash, a key file is the key itself.
    pub fn understood(&self, key: &KeySource) -> Result<Plain, PlainError> {
        let missing = |what| PlainError::Missing { what };
        if key.format == KeyFormat::Auto {
            return Err(PlainError::OpenFormat);
        }
        let cipher = self.cipher.as_deref();
        let cipher: CipherSpec = cipher
            .or(self.defaults.map(Age::cipher))
            .ok_or(missing(PlainError::CIPHER))?
            .parse()?;
        cipher.check_supported()?;
        let key_bits = self.key_bits.or(self.defaults.map(|_| Age::KEY_BITS));
        let bits = key_bits.ok_or(missing(PlainError::KEY_SIZE))?;
        if !bits.is_multiple_of(8) || bits == 0 {
            return Err(PlainError::KeyBits { bits });
        }
        let key_bytes = (bits / 8) as usize;
        cipher.check_key_bytes(key_bytes)?;
        let bytes = self.sector_bytes.unwrap_or(512);
        let sector_size = SectorSize::new(bytes).ok_or(PlainError::SectorSize { bytes })?;
        let hash = if key.is_file() {
            None
        } else {
            let hash = self.hash.as_deref().or(self.defaults.map(Age::hash));
            let hash = hash.ok_or(missing(PlainError::HASH))?;
            Some(hash.parse::<PassphraseHash>()?)
        };
        // `plain` without a length: the bytes read are the key, as many as it has.
        let exactly = key.from == KeyFrom::Standard
            && matches!(hash, Some(PassphraseHash::Plain { bytes: None }));
        Ok(Plain {
            options: PlainOptions {
                offset_sectors: self.offset_sectors,
                skip_sectors: self.skip_sectors,
                sector_size,
                iv_large_sectors: self.iv_large_sectors,
                ..PlainOptions::new(cipher, key_bytes)
            },
            key: match hash {
                None => PlainKey::Itself,
                Some(hash) => PlainKey::Hashed { hash, exactly },
            },
            is_sector_size_asked: self.sector_bytes.is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_guessed() {
        let line = KeySource::default();
        let file = KeySource {
            from: KeyFrom::File("key".into()),
            ..KeySource::default()
        };
        let mut wanted = PlainWanted::default();
        let said = |wanted: &PlainWanted, key: &KeySource| {
            let understood = wanted.understood(key);
            understood.map(|_| ()).map_err(|error| error.to_string())
        };
        let missing = |what| Err(format!("the {what} of a plain container is not given"));
        assert_eq!(said(&wanted, &line), missing(PlainError::CIPHER));
        wanted.cipher = Some("aes-xts-plain64".to_owned());
        assert_eq!(said(&wanted, &line), missing(PlainError::KEY_SIZE));
        wanted.key_bits = Some(257);
        assert!(said(&wanted, &line).unwrap_err().contains("257 bits"));
        wanted.key_bits = Some(512);
        assert_eq!(said(&wanted, &line), missing(PlainError::HASH));
        assert_eq!(said(&wanted, &file), Ok(()));
        wanted.hash = Some("sha512".to_owned());
        assert_eq!(said(&wanted, &line), Ok(()));
    }

    #[test]
    fn ages_say_what_is_not_said() {
        for (age, cipher) in [
            (Age::V2_6, "aes-cbc-essiv:sha256"),
            (Age::V2_7, "aes-xts-plain64"),
        ] {
            let wanted = PlainWanted {
                defaults: Some(age),
                ..PlainWanted::default()
            };
            let plain = wanted.understood(&KeySource::default()).unwrap();
            assert_eq!(plain.cipher().to_string(), cipher);
            assert_eq!(plain.key_bytes(), 32);
        }
    }

    #[test]
    fn a_plain_key_is_as_long_as_it_is_only_where_all_is_read() {
        for (from, hash, is_exact) in [
            (KeyFrom::Standard, "plain", true),
            (KeyFrom::Standard, "plain:32", false),
            (KeyFrom::Standard, "sha256", false),
            (KeyFrom::FirstLine, "plain", false),
        ] {
            let wanted = PlainWanted {
                hash: Some(hash.to_owned()),
                defaults: Some(Age::V2_7),
                ..PlainWanted::default()
            };
            let source = KeySource {
                from,
                ..KeySource::default()
            };
            let plain = wanted.understood(&source).unwrap();
            let PlainKey::Hashed { exactly, .. } = plain.key else {
                panic!("{hash}");
            };
            assert_eq!(exactly, is_exact, "{source:?} {hash}");
        }
    }
}
