//! What a clone is unless somebody says otherwise: what its source is. And what it is not to be: weaker.
//!
//! | of a LUKS source | the clone has | and is refused where |
//! | --- | --- | --- |
//! | type | the same | |
//! | cipher | the same; the default where that is null or has blocks of 64 bits | it has a weakness that is known and the source's has not |
//! | key | as many bits | it has fewer bits that have to be guessed: of XTS, which has two keys, half of them |
//! | places | the same, where all passphrases have room there and the header is not elsewhere | |
//! | sectors | the same size | Linux could not use what is in it |
//! | hash | that of the keyslot that was opened | |
//! | key derivation | that of the keyslot that was opened, with its costs; unless any of them is given | it takes less memory or time, or is PBKDF2 in place of Argon2 |
//!
//! A raw or plain source says nothing: the clone is what encrypting makes of it.

use dmcrypt::CipherSpec;
use luks::luks2::KeyslotKind;
use luks::{FormatOptions, Header, KdfLimits, KdfParams, Version, defaults};

use crate::data_facts::DataFacts;
use crate::error::{CloneError, Error};
use crate::limits;
use crate::new_luks::{Cost, Kdf, LuksOptions, kdf_name};

/// What a LUKS header says that a clone can have too.
pub(super) struct Likeness {
    version: Version,
    /// As written.
    cipher: String,
    key_bits: u64,
    sector_bytes: u64,
    /// The key derivation of a passphrase, and the hash of its keyslot.
    kdf: Option<KdfParams>,
    hash: Option<String>,
    digest_iterations: Option<u32>,
    places: Places,
}

/// Where the source has its parts.
#[derive(Clone, Copy)]
struct Places {
    offset: u64,
    /// Bytes of a header copy and of the keyslots area (LUKS2).
    luks2: Option<(u64, u64)>,
}

impl Likeness {
    /// Of the keyslot that was opened, or of the first one of the data.
    pub(super) fn of(header: &Header, keyslot: Option<u32>) -> Self {
        let facts = DataFacts::of(header);
        let (version, kdf, hash, digest_iterations) = match header {
            Header::Luks1(header) => {
                let hash = header.hash().ok();
                let slots = || (0u32..).zip(&header.keyslots);
                let slot = slots()
                    .find(|(id, _)| Some(*id) == keyslot)
                    .or_else(|| slots().find(|(_, slot)| slot.active));
                let kdf = hash.zip(slot).map(|(hash, (_, slot))| KdfParams::Pbkdf2 {
                    hash,
                    iterations: slot.iterations,
                });
                let iterations = header.mk_digest_iterations;
                (Version::Luks1, kdf, hash, Some(iterations))
            }
            Header::Luks2(header) => {
                let metadata = &header.metadata;
                let digest = metadata.digest_of_data();
                let first = digest.and_then(|digest| digest.keyslots.first().copied());
                let slot = keyslot
                    .or(first)
                    .and_then(|keyslot| metadata.keyslot(keyslot));
                let slot = match slot.map(|slot| &slot.kind) {
                    Some(KeyslotKind::Luks2(slot)) => Some(slot),
                    _ => None,
                };
                let kdf = slot.and_then(|slot| slot.kdf.clone().ok());
                let hash = match kdf {
                    Some(KdfParams::Pbkdf2 { hash, .. }) => Some(hash),
                    _ => slot.and_then(|slot| slot.af_hash.clone().ok()),
                };
                let iterations =
                    digest.and_then(|digest| digest.pbkdf2.as_ref().ok().map(|(_, n)| *n));
                (Version::Luks2, kdf, hash, iterations)
            }
        };
        Self {
            version,
            cipher: facts.cipher,
            key_bits: facts.key_bits,
            sector_bytes: facts.sector_size,
            kdf,
            hash: hash.map(|hash| hash.name().to_owned()),
            digest_iterations,
            places: Places {
                offset: facts.offset,
                luks2: match header {
                    Header::Luks1(_) => None,
                    Header::Luks2(header) => {
                        let area = header.metadata.keyslots_area();
                        Some((header.binary.header_bytes, area.end - area.start))
                    }
                },
            },
        }
    }

    /// The same with the size of a key that no keyslot tells.
    pub(super) fn with_key_bits(self, key_bits: u64) -> Self {
        Self { key_bits, ..self }
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// Fills in what is not said.
    pub(super) fn fill(&self, wanted: &LuksOptions) -> LuksOptions {
        let mut filled = wanted.clone();
        if filled.cipher.is_none() && self.spec().is_some_and(|spec| is_good(&spec)) {
            filled.cipher = Some(self.cipher.clone());
        }
        let cipher = filled.cipher.as_ref().and_then(|text| text.parse().ok());
        let cipher: CipherSpec = cipher.unwrap_or_else(|| FormatOptions::default().cipher);
        let bytes = usize::try_from(self.key_bits / 8).unwrap_or(0);
        if filled.key_bits.is_none() && bytes > 0 && cipher.check_key_bytes(bytes).is_ok() {
            filled.key_bits = u32::try_from(self.key_bits).ok();
        }
        if filled.sector_bytes.is_none() && filled.version == Version::Luks2 {
            filled.sector_bytes = u32::try_from(self.sector_bytes).ok();
        }
        let is_same_cost = filled.cost == Cost::default();
        let kdf = self.kdf.as_ref();
        let kdf = kdf.filter(|kdf| filled.version == Version::Luks2 || is_pbkdf2(kdf));
        if let Some(kdf) = kdf {
            if filled.hash.is_none() {
                filled.hash.clone_from(&self.hash);
            }
            if is_same_cost {
                filled.cost = cost(kdf);
            } else if filled.cost.kdf.is_none() {
                filled.cost.kdf = cost(kdf).kdf;
            }
        }
        filled
    }

    /// The same with its parts where the source has them, so that the clone is as large; nothing where any of that is said,
    /// or the header lies elsewhere.
    pub(super) fn place(&self, wanted: &LuksOptions) -> Option<LuksOptions> {
        let is_said = wanted.offset_sectors.is_some()
            || wanted.metadata_bytes.is_some()
            || wanted.keyslots_bytes.is_some();
        if is_said || wanted.version != self.version || self.places.offset == 0 {
            return None;
        }
        Some(LuksOptions {
            offset_sectors: Some(self.places.offset / dmcrypt::SECTOR_BYTES),
            metadata_bytes: self.places.luks2.map(|(metadata, _)| metadata),
            keyslots_bytes: self.places.luks2.map(|(_, keyslots)| keyslots),
            ..wanted.clone()
        })
    }

    /// What costs nothing where it is guessed, but where it is compared: as many iterations of the digest as the source has.
    pub(super) fn fill_digest(&self, options: &mut FormatOptions) {
        let iterations = self.digest_iterations.unwrap_or(0);
        options.digest_iterations = options.digest_iterations.max(iterations);
    }

    /// Refuses a weaker cipher or key. `name` is the source's.
    pub(super) fn check_cipher(
        &self,
        name: &str,
        made: &FormatOptions,
        options: &super::CloneOptions,
    ) -> Result<(), Error> {
        let Some(own) = self.spec() else {
            return Ok(());
        };
        let (cipher, bits) = (&made.cipher, made.key_bytes as u64 * 8);
        if !options.weaker.smaller_key && strength(cipher, bits) < strength(&own, self.key_bits) {
            return Err(CloneError::SmallerKey {
                name: name.to_owned(),
                cipher: cipher.to_string(),
                bits,
                source_cipher: own.to_string(),
                source_bits: self.key_bits,
            }
            .into());
        }
        if let (Some(weakness), None, false) =
            (cipher.weakness(), own.weakness(), options.allow.weak_cipher)
        {
            return Err(CloneError::WeakerCipher {
                name: name.to_owned(),
                cipher: cipher.to_string(),
                source_cipher: own.to_string(),
                weakness,
            }
            .into());
        }
        Ok(())
    }

    /// Refuses a cheaper key derivation. `name` is the source's.
    pub(super) fn check_kdf(&self, name: &str, made: &KdfParams) -> Result<(), Error> {
        let Some(own) = &self.kdf else {
            return Ok(());
        };
        if !is_cheaper(made, own) {
            return Ok(());
        }
        Err(CloneError::CheaperKdf {
            name: name.to_owned(),
            kdf: kdf_name(made),
            source_kdf: kdf_name(own),
        }
        .into())
    }

    fn spec(&self) -> Option<CipherSpec> {
        self.cipher.parse().ok()
    }
}

/// Whether something new may have it unasked.
fn is_good(cipher: &CipherSpec) -> bool {
    cipher.creation_risk().is_none() && cipher.check_supported().is_ok()
}

/// Bits that have to be guessed.
fn strength(cipher: &CipherSpec, bits: u64) -> u64 {
    match (cipher.is_null(), cipher.mode()) {
        (true, _) => 0,
        (false, "xts") => bits / 2,
        _ => bits,
    }
}

fn is_pbkdf2(kdf: &KdfParams) -> bool {
    matches!(kdf, KdfParams::Pbkdf2 { .. })
}

/// The same costs, as far as something new may have so little.
fn cost(kdf: &KdfParams) -> Cost {
    match kdf {
        KdfParams::Pbkdf2 { iterations, .. } => Cost {
            kdf: Some(Kdf::Pbkdf2),
            iterations: Some((*iterations).max(defaults::PBKDF2_MIN_ITERATIONS)),
            ..Cost::default()
        },
        KdfParams::Argon2 {
            variant,
            time,
            memory_kib,
            lanes,
        } => Cost {
            kdf: Some(match variant {
                luks::kdf::Argon2Variant::I => Kdf::Argon2i,
                luks::kdf::Argon2Variant::Id => Kdf::Argon2id,
            }),
            iterations: Some((*time).max(defaults::ARGON2_MIN_TIME)),
            memory_kib: Some((*memory_kib).max(defaults::ARGON2_MIN_MEMORY_KIB)),
            lanes: Some((*lanes).clamp(1, defaults::ARGON2_MAX_LANES)),
            ..Cost::default()
        },
    }
}

/// Whether a guess at a passphrase costs less memory or time.
fn is_cheaper(new: &KdfParams, old: &KdfParams) -> bool {
    match (new, old) {
        (KdfParams::Pbkdf2 { .. }, KdfParams::Argon2 { .. }) => true,
        (KdfParams::Argon2 { .. }, KdfParams::Pbkdf2 { .. }) => false,
        (
            KdfParams::Argon2 {
                memory_kib: new_kib,
                time: new_time,
                ..
            },
            KdfParams::Argon2 {
                memory_kib: old_kib,
                time: old_time,
                ..
            },
        ) => {
            let work = |kib: u32, time: u32| u64::from(kib) * u64::from(time);
            new_kib < old_kib || work(*new_kib, *new_time) < work(*old_kib, *old_time)
        }
        // Hashes differ in speed: on one and the same machine.
        (KdfParams::Pbkdf2 { .. }, KdfParams::Pbkdf2 { .. }) => {
            let usual = KdfLimits::default();
            let time = |kdf| usual.estimate(kdf, defaults::XTS_KEY_BYTES, limits::ONE_SLOT);
            time(new) < time(old)
        }
    }
}

#[cfg(test)]
mod tests {
    use dmcrypt::HashAlgorithm;
    use luks::kdf::Argon2Variant;

    use super::*;

    #[test]
    fn what_is_cheaper_to_guess_is_told() {
        let pbkdf2 = |hash, iterations| KdfParams::Pbkdf2 { hash, iterations };
        let argon2 = |time, memory_kib| KdfParams::Argon2 {
            variant: Argon2Variant::Id,
            time,
            memory_kib,
            lanes: 4,
        };
        let sha256 = HashAlgorithm::Sha256;
        for (new, old, cheaper) in [
            (pbkdf2(sha256, 1000), pbkdf2(sha256, 1000), false),
            (pbkdf2(sha256, 1000), pbkdf2(sha256, 2000), true),
            (pbkdf2(sha256, 2000), pbkdf2(sha256, 1000), false),
            (pbkdf2(sha256, u32::MAX), argon2(4, 32), true),
            (argon2(4, 32), pbkdf2(sha256, u32::MAX), false),
            (argon2(4, 1024), argon2(4, 1024), false),
            (argon2(4, 1024), argon2(5, 1024), true),
            (argon2(8, 512), argon2(4, 1024), true),
            (argon2(4, 2048), argon2(8, 1024), false),
        ] {
            assert_eq!(is_cheaper(&new, &old), cheaper, "{new:?} {old:?}");
        }
    }

    #[test]
    fn of_two_keys_one_has_to_be_guessed() {
        let strength = |cipher: &str, bits| strength(&cipher.parse().unwrap(), bits);
        assert_eq!(strength("aes-xts-plain64", 512), 256);
        assert_eq!(strength("aes-cbc-essiv:sha256", 256), 256);
        assert_eq!(strength("cipher_null-ecb", 256), 0);
    }
}
