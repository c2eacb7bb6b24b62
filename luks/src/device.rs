//! A container: locked, and unlocked.

mod halfway;
mod keys;
mod seal;
pub(crate) mod segments;
mod zone;

use std::fmt;
use std::sync::Arc;

use dmcrypt::{HashAlgorithm, Mapped, Passphrase, VolumeKey};
use volume::Storage;

use crate::error::{Corrupt, Error, InvalidOption, Unsupported};
use crate::fingerprint::Fingerprint;
use crate::kdf::KdfParams;
use crate::luks1;
use crate::luks2::{self, KeyslotKind, Priority, Resilience, SegmentKind};
use crate::number::to_usize;
use crate::store::{self, Copies, Fault, Found};
use crate::unlock::{Candidate, KeyDigest, UnlockOptions};

pub use self::keys::Unlocked;
use self::seal::SealState;
pub(crate) use self::seal::{Resealing, end_of_areas};

/// A container whose header was read and checked; no secret has been seen yet.
pub struct Luks {
    storage: Arc<dyn Storage>,
    header: Header,
    fingerprint: Option<Fingerprint>,
    warnings: Vec<Warning>,
    /// The bytes of each sound copy of the header, the one that counts first: what a seal is held to.
    copies: Vec<Vec<u8>>,
    seal: SealState,
}

/// The header of either format.
#[derive(Clone, Debug)]
pub enum Header {
    /// LUKS1.
    Luks1(luks1::Header),
    /// LUKS2; the copy that counts.
    Luks2(luks2::Header),
}

impl Header {
    /// The container's UUID, as text.
    pub fn uuid(&self) -> &str {
        match self {
            Self::Luks1(header) => &header.uuid,
            Self::Luks2(header) => &header.binary.uuid,
        }
    }

    /// First byte of data in their storage; `None` where no segment says it.
    pub fn data_offset(&self) -> Option<u64> {
        match self {
            Self::Luks1(header) => Some(header.data_offset()),
            Self::Luks2(header) => header.metadata.data_offset(),
        }
    }

    /// Size of the volume key of the data in bytes; `None` where no keyslot tells it.
    pub fn volume_key_bytes(&self) -> Option<usize> {
        match self {
            Self::Luks1(header) => Some(to_usize(header.key_bytes)),
            Self::Luks2(header) => header.metadata.volume_key_bytes(),
        }
    }
}

/// Something that a user should know and that does not keep the container from being read.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// The primary header is not used.
    Primary(Fault),
    /// The secondary header is not used.
    Secondary(Fault),
    /// LUKS1: the second half of the header cannot be read, and with it what it says of keyslots 6 and 7.
    Luks1Keyslots(Corrupt),
    /// A reencryption is under way that nothing protects against a crash.
    Unprotected,
    /// Nobody can change the header before a repair has begun the count of its changes anew.
    Epoch(Corrupt),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primary(fault) => write!(f, "the primary header is not used: {fault}"),
            Self::Secondary(fault) => write!(f, "the secondary header is not used: {fault}"),
            Self::Luks1Keyslots(corrupt) => write!(
                f,
                "keyslots 6 and 7 are not used, whose part of the header is lost: {corrupt}"
            ),
            Self::Unprotected => f.write_str(
                "a reencryption without resilience is in progress: where a crash cut it off, some of the data may be lost, \
                 and nothing tells",
            ),
            Self::Epoch(corrupt) => write!(f, "the header cannot be changed: {corrupt}"),
        }
    }
}

impl Luks {
    /// Reads the header of `storage` once, under the shared header lock, and checks it. Nothing is ever written,
    /// whatever state its copies are in.
    ///
    /// # Errors
    ///
    /// [`Error::NotLuks`], [`Error::Corrupt`], [`Error::Unsupported`] for an unknown version, [`Error::Io`].
    pub fn open(storage: Arc<dyn Storage>) -> Result<Self, Error> {
        let reading = store::read(&*storage)?;
        let fingerprint = reading.fingerprint();
        let (header, warnings) = match reading.found {
            Found::Luks1(header) => (Header::Luks1(header), Vec::new()),
            Found::Luks1Partly(header, corrupt) => {
                (Header::Luks1(header), vec![Warning::Luks1Keyslots(corrupt)])
            }
            Found::Luks2(copies) => {
                let mut warnings = match &copies {
                    Copies::Both(_) => Vec::new(),
                    Copies::PrimaryOnly(_, fault) => vec![Warning::Secondary(fault.clone())],
                    Copies::SecondaryOnly(_, fault) => vec![Warning::Primary(fault.clone())],
                };
                warnings.extend(
                    copies
                        .header()
                        .binary
                        .check_epoch()
                        .err()
                        .map(Warning::Epoch),
                );
                let state = copies.header().metadata.reencryption.as_ref();
                let is_unprotected = state.is_some_and(|state| {
                    matches!(state.slot.resilience, Resilience::None) && !state.is_finished()
                });
                warnings.extend(is_unprotected.then_some(Warning::Unprotected));
                (Header::Luks2(copies.header().clone()), warnings)
            }
        };
        Ok(Self {
            storage,
            header,
            fingerprint,
            warnings,
            copies: reading.copies,
            seal: SealState::default(),
        })
    }

    /// The header that was read.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Which bytes the header was read from, all of them; `None` when a LUKS2 copy is not used.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }

    /// Whether a change of the header can be begun, as far as it tells itself: to be asked before a passphrase is.
    ///
    /// # Errors
    ///
    /// [`Error::NeedsRecovery`] during a reencryption, which a change could cost its data, [`Error::Unsupported`] for
    /// other requirements, [`Corrupt::EpochEnd`].
    pub fn check_change(&self) -> Result<(), Error> {
        match &self.header {
            Header::Luks1(_) => Ok(()),
            Header::Luks2(header) => {
                header.metadata.config.refuse_requirements()?;
                Ok(header.binary.check_epoch()?)
            }
        }
    }

    /// What is wrong and could be passed over.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// What dm-crypt would map of a container of `data_bytes` bytes: as much as the header says without a key.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for what no single mapping of dm-crypt can be, [`Error::NeedsRecovery`] during a reencryption,
    /// [`Error::Linear`], [`Error::Corrupt`] when the data does not fit the storage.
    pub fn mapped(&self, data_bytes: u64) -> Result<Mapped, Error> {
        segments::mapped(&self.header, data_bytes)
    }

    /// The storage that the header was read from.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Tries keyslots by priority and number, or the one that is named, until one gives a key that matches its digest;
    /// several at once where threads and memory are left, with the outcome of trying one after another.
    ///
    /// In the middle of a reencryption a passphrase may open both of its keys, or one ([`Unlocked::with`] has the other).
    ///
    /// # Errors
    ///
    /// [`Error::NoKeyFits`], [`Error::TooCostly`] when keyslots were left untried for their cost and none of the
    /// others fits, [`Error::NullCipher`], [`Error::Linear`], [`Error::InvalidOption`] for a keyslot that is not in use,
    /// [`Error::OutOfMemory`], [`Error::Cancelled`], [`Error::Io`].
    pub fn unlock(
        &self,
        passphrase: &Passphrase,
        options: &UnlockOptions<'_>,
    ) -> Result<Unlocked, Error> {
        if !options.null_cipher && !options.unencrypted_data {
            self.check_encrypted()?;
        }
        let opened = match self.reencryption() {
            Some(state) if options.keyslot.is_none() => {
                self.open_keys(&state.key_digests(), passphrase, options)?
            }
            _ => {
                let candidates = self.candidates(options.keyslot)?;
                vec![self.try_candidates(candidates, passphrase, options)?]
            }
        };
        self.unlocked(opened, options)
    }

    /// As [`Self::unlock`], with these keyslots in this order, all within one budget.
    pub(crate) fn unlock_among(
        &self,
        keyslots: &[u32],
        passphrase: &Passphrase,
        options: &UnlockOptions<'_>,
    ) -> Result<Unlocked, Error> {
        if !options.null_cipher && !options.unencrypted_data {
            self.check_encrypted()?;
        }
        let mut candidates = Vec::with_capacity(keyslots.len());
        for keyslot in keyslots {
            candidates.extend(self.candidates(Some(*keyslot))?);
        }
        let opened = self.try_candidates(candidates, passphrase, options)?;
        self.unlocked(vec![opened], options)
    }

    /// Whether Whirlpool spreads the key of a keyslot over its stripes, which old libraries computed wrong.
    pub fn is_spread_by_whirlpool(&self) -> bool {
        let candidates = self.candidates(None).unwrap_or_default();
        candidates
            .iter()
            .flatten()
            .any(|candidate| candidate.af_hash == HashAlgorithm::Whirlpool)
    }

    fn candidates(
        &self,
        only: Option<u32>,
    ) -> Result<Vec<Result<Candidate, Unsupported>>, InvalidOption> {
        match &self.header {
            Header::Luks1(header) => luks1_candidates(header, only),
            Header::Luks2(header) => luks2_candidates(&header.metadata, only),
        }
    }

    /// Takes the volume key itself: its length and its digest are checked.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] for another length, [`Error::NoKeyFits`] when the digest does not match, and as
    /// [`Self::unlock`].
    pub fn unlock_with_volume_key(
        &self,
        key: VolumeKey,
        options: &UnlockOptions<'_>,
    ) -> Result<Unlocked, Error> {
        if !options.null_cipher && !options.unencrypted_data {
            self.check_encrypted()?;
        }
        let opened = self.open_with_key(key, options)?;
        self.unlocked(vec![opened], options)
    }

    /// Says which data nothing encrypts: under a null cipher every key is the right one, and in a linear segment stands
    /// what the header's author chose. A reencryption has linear segments too, which its digest proves.
    ///
    /// # Errors
    ///
    /// [`Error::NullCipher`], [`Error::Linear`].
    pub fn check_encrypted(&self) -> Result<(), Error> {
        let null = |object: String, cipher: String| {
            let cipher = cipher.into();
            Err(Error::NullCipher { object, cipher })
        };
        match &self.header {
            Header::Luks1(header) => match header.cipher() {
                Ok(spec) if spec.is_null() => null("the data".into(), spec.to_string()),
                _ => Ok(()),
            },
            Header::Luks2(header) => {
                let metadata = &header.metadata;
                // A reencryption that is under way opens its backups, too.
                let is_settled = metadata.config.reencryption().is_none();
                let opened = metadata.segments.iter();
                for segment in opened.filter(|it| !is_settled || !it.is_backup()) {
                    match &segment.kind {
                        SegmentKind::Crypt(crypt)
                            if crypt.spec.as_ref().is_ok_and(dmcrypt::CipherSpec::is_null) =>
                        {
                            return null(format!("segment {}", segment.id), crypt.text.clone());
                        }
                        SegmentKind::Linear if is_settled => {
                            let segment = segment.id;
                            return Err(Error::Linear { segment });
                        }
                        _ => {}
                    }
                }
                Ok(())
            }
        }
    }
}

pub(crate) fn luks1_digest(header: &luks1::Header) -> Result<KeyDigest, Unsupported> {
    Ok(KeyDigest {
        id: 0,
        hash: header.hash()?,
        iterations: header.mk_digest_iterations,
        salt: header.mk_digest_salt.to_vec(),
        digest: header.mk_digest.to_vec(),
    })
}

fn luks1_candidates(
    header: &luks1::Header,
    only: Option<u32>,
) -> Result<Vec<Result<Candidate, Unsupported>>, InvalidOption> {
    if let Some(keyslot) = only {
        match header.keyslots.get(to_usize(keyslot)) {
            None => {
                return Err(InvalidOption::KeyslotNumber {
                    keyslot,
                    format: "LUKS1",
                    last: 7,
                });
            }
            Some(slot) if !slot.active => return Err(InvalidOption::KeyslotInactive { keyslot }),
            Some(_) => {}
        }
    }
    let candidate = |keyslot, slot: &luks1::Keyslot| {
        let hash = header.hash()?;
        Ok(Candidate {
            keyslot,
            kdf: KdfParams::Pbkdf2 {
                hash,
                iterations: slot.iterations,
            },
            salt: slot.salt.to_vec(),
            area_offset: slot.area_offset(),
            area_cipher: header.cipher()?,
            area_key_bytes: to_usize(header.key_bytes),
            af_hash: hash,
            key_bytes: to_usize(header.key_bytes),
            digest: luks1_digest(header)?,
        })
    };
    Ok((0u32..)
        .zip(&header.keyslots)
        .filter(|(id, slot)| slot.active && only.is_none_or(|only| only == *id))
        .map(|(id, slot)| candidate(id, slot))
        .collect())
}

pub(crate) fn luks2_digest(digest: &luks2::Digest) -> Result<KeyDigest, Unsupported> {
    let (hash, iterations) = digest.pbkdf2.clone()?;
    Ok(KeyDigest {
        id: digest.id,
        hash,
        iterations,
        salt: digest.salt.clone(),
        digest: digest.digest.clone(),
    })
}

fn luks2_candidates(
    metadata: &luks2::Metadata,
    only: Option<u32>,
) -> Result<Vec<Result<Candidate, Unsupported>>, InvalidOption> {
    if let Some(keyslot) = only {
        if keyslot > 31 {
            return Err(InvalidOption::KeyslotNumber {
                keyslot,
                format: "LUKS2",
                last: 31,
            });
        }
        let Some(slot) = metadata.keyslot(keyslot) else {
            return Err(InvalidOption::KeyslotInactive { keyslot });
        };
        return Ok(vec![luks2_candidate(metadata, slot)]);
    }
    let data_digest = metadata.digest_of_data().map(|digest| digest.id);
    let mut usable: Vec<_> = metadata
        .keyslots
        .iter()
        .filter(|slot| {
            matches!(slot.kind, KeyslotKind::Luks2(_)) && slot.priority != Priority::Ignore
        })
        // An unbound keyslot is not tried unasked.
        .filter(|slot| metadata.digest_of_keyslot(slot.id).map(|digest| digest.id) == data_digest)
        .collect();
    // The sort is stable: by number within a priority.
    usable.sort_by_key(|slot| std::cmp::Reverse(slot.priority));
    Ok(usable
        .into_iter()
        .map(|slot| luks2_candidate(metadata, slot))
        .collect())
}

fn luks2_candidate(
    metadata: &luks2::Metadata,
    slot: &luks2::Keyslot,
) -> Result<Candidate, Unsupported> {
    let passphrase_slot = match &slot.kind {
        KeyslotKind::Luks2(passphrase_slot) => passphrase_slot,
        other => {
            return Err(Unsupported::Type {
                object: format!("keyslot {}", slot.id),
                kind: other.name().into(),
            });
        }
    };
    let digest = metadata
        .digest_of_keyslot(slot.id)
        .expect("checked metadata: every luks2 keyslot has a digest");
    Ok(Candidate {
        keyslot: slot.id,
        kdf: passphrase_slot.kdf.clone()?,
        salt: passphrase_slot.salt.clone(),
        area_offset: slot.area.offset,
        area_cipher: passphrase_slot.cipher.spec.clone()?,
        area_key_bytes: to_usize(passphrase_slot.cipher.key_bytes),
        af_hash: passphrase_slot.af_hash.clone()?,
        key_bytes: to_usize(slot.key_bytes),
        digest: luks2_digest(digest)?,
    })
}
