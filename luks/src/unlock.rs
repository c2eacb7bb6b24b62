//! From a passphrase to the volume key: one keyslot after another, within the limits.

use dmcrypt::{CipherSpec, DerivedKey, HashAlgorithm, Passphrase, VolumeKey};
use subtle::ConstantTimeEq;
use volume::{LockMode, Storage};

use crate::defaults::STRIPES;
use crate::error::{Corrupt, Costly, Error, Unsupported};
use crate::kdf::{self, Budget, Effort, Excess, KdfLimits, KdfParams};
use crate::number::to_usize;
use crate::{af, area};

/// How an unlock goes about its work.
pub struct UnlockOptions<'a> {
    /// The one keyslot to try, which may then be unbound or of priority "ignore"; all usable ones unless said.
    pub keyslot: Option<u32>,
    /// What the header may ask for.
    pub limits: KdfLimits,
    /// Open null ciphers, which protect nothing.
    pub null_cipher: bool,
    /// Threads that a key derivation may use, the caller's among them.
    pub threads: usize,
    /// Asked while PBKDF2 runs and between keyslots; `true` ends the unlock.
    pub cancel: &'a (dyn Fn() -> bool + Sync),
}

impl Default for UnlockOptions<'_> {
    fn default() -> Self {
        Self {
            keyslot: None,
            limits: KdfLimits::default(),
            null_cipher: false,
            threads: 1,
            cancel: &|| false,
        }
    }
}

impl UnlockOptions<'_> {
    fn effort(&self) -> Effort<'_> {
        Effort {
            threads: self.threads,
            cancel: self.cancel,
        }
    }
}

/// One keyslot of either format, ready to be tried.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) keyslot: u32,
    pub(crate) kdf: KdfParams,
    pub(crate) salt: Vec<u8>,
    pub(crate) area_offset: u64,
    pub(crate) area_cipher: CipherSpec,
    pub(crate) area_key_bytes: usize,
    pub(crate) af_hash: HashAlgorithm,
    pub(crate) key_bytes: usize,
    pub(crate) digest: KeyDigest,
}

/// A digest of either format.
#[derive(Clone, Debug)]
pub(crate) struct KeyDigest {
    pub(crate) id: u32,
    pub(crate) hash: HashAlgorithm,
    pub(crate) iterations: u32,
    pub(crate) salt: Vec<u8>,
    pub(crate) digest: Vec<u8>,
}

impl KeyDigest {
    fn cost(&self) -> KdfParams {
        KdfParams::Pbkdf2 {
            hash: self.hash,
            iterations: self.iterations,
        }
    }

    /// Whether `key` is the one that the digest was made of; compared in constant time.
    pub(crate) fn matches(&self, key: &VolumeKey, effort: Effort<'_>) -> Result<bool, Error> {
        let computed = kdf::derive(
            &self.cost(),
            key.expose(),
            &self.salt,
            self.digest.len(),
            effort,
        )
        .map_err(Error::kdf(self.id))?;
        Ok(computed.expose().ct_eq(&self.digest).into())
    }
}

/// Tries `candidates` in their order. A candidate that is not supported is passed over; it is named when it was the
/// only one.
pub(crate) fn try_all(
    storage: &dyn Storage,
    candidates: Vec<Result<Candidate, Unsupported>>,
    passphrase: &Passphrase,
    options: &UnlockOptions<'_>,
) -> Result<(u32, VolumeKey), Error> {
    let mut budget = Budget::new(options.limits);
    let mut tried = Vec::new();
    let mut refused = Vec::new();
    let mut unsupported = None;
    for candidate in candidates {
        if (options.cancel)() {
            return Err(Error::Cancelled);
        }
        let candidate = match candidate {
            Ok(candidate) => candidate,
            Err(problem) => {
                unsupported.get_or_insert(problem);
                continue;
            }
        };
        if candidate.area_cipher.is_null() && !options.null_cipher {
            return Err(Error::NullCipher {
                object: format!("keyslot {}", candidate.keyslot),
                cipher: candidate.area_cipher.to_string(),
            });
        }
        if let Err(excess) = charge(&mut budget, &candidate) {
            refused.push(excess);
            continue;
        }
        tried.push(candidate.keyslot);
        if let Some(key) = try_one(storage, &candidate, passphrase, options.effort())? {
            return Ok((candidate.keyslot, key));
        }
    }
    match (refused.is_empty(), tried.is_empty(), unsupported) {
        (false, _, _) => Err(Error::TooCostly { refused }),
        (true, true, Some(problem)) => Err(problem.into()),
        (true, true, None) => Err(Error::NoUsableKeyslot(
            "none is in use that may be tried unasked",
        )),
        (true, false, _) => Err(Error::NoKeyFits { tried }),
    }
}

/// Checks a volume key that was given directly.
pub(crate) fn check_key(
    key: &VolumeKey,
    digest: &KeyDigest,
    options: &UnlockOptions<'_>,
) -> Result<(), Error> {
    options
        .limits
        .check(&digest.cost(), digest.digest.len())
        .map_err(|excess| Error::TooCostly {
            refused: vec![(Costly::Digest(digest.id), excess)],
        })?;
    if digest.matches(key, options.effort())? {
        Ok(())
    } else {
        Err(Error::NoKeyFits { tried: Vec::new() })
    }
}

/// Each on its own first, so that a refusal names what is too costly; then both within the sum.
fn charge(budget: &mut Budget, candidate: &Candidate) -> Result<(), (Costly, Excess)> {
    let (keyslot, digest) = (Costly::Keyslot(candidate.keyslot), &candidate.digest);
    let derivation = (&candidate.kdf, candidate.area_key_bytes);
    let digest_cost = digest.cost();
    let check = (&digest_cost, digest.digest.len());
    let limits = budget.limits();
    limits
        .check(derivation.0, derivation.1)
        .map_err(|excess| (keyslot, excess))?;
    limits
        .check(check.0, check.1)
        .map_err(|excess| (Costly::Digest(digest.id), excess))?;
    budget
        .charge(&[derivation, check])
        .map_err(|excess| (keyslot, excess))
}

fn try_one(
    storage: &dyn Storage,
    candidate: &Candidate,
    passphrase: &Passphrase,
    effort: Effort<'_>,
) -> Result<Option<VolumeKey>, Error> {
    let keyslot = candidate.keyslot;
    let mut material = read_area(storage, candidate)?;
    let key = kdf::derive(
        &candidate.kdf,
        passphrase.expose(),
        &candidate.salt,
        candidate.area_key_bytes,
        effort,
    )
    .map_err(Error::kdf(keyslot))?;
    area::decrypt(&candidate.area_cipher, &key, &mut material).map_err(|source| {
        Unsupported::Cipher {
            object: format!("keyslot {keyslot}"),
            source,
        }
    })?;
    let key = af::merge(&material, candidate.key_bytes, STRIPES, candidate.af_hash);
    Ok(candidate.digest.matches(&key, effort)?.then_some(key))
}

/// The area as it lies on disk, read under the header lock; [`DerivedKey`] because it is key material once decrypted.
fn read_area(storage: &dyn Storage, candidate: &Candidate) -> Result<DerivedKey, Error> {
    let keyslot = candidate.keyslot;
    let _lock = storage
        .lock(LockMode::Shared)
        .map_err(Error::io("lock the header"))?;
    let have = storage
        .len()
        .map_err(Error::io("find the size of the container"))?;
    // Headers are held to key sizes of a few KiB, so this is at most 16 MiB.
    let length = area::material_bytes(candidate.key_bytes, STRIPES).unwrap_or(u64::MAX);
    let need = candidate.area_offset.saturating_add(length);
    if need > have {
        return Err(Corrupt::Truncated {
            object: format!("keyslot {keyslot}'s area"),
            need,
            have,
        }
        .into());
    }
    let mut material = DerivedKey::zeroed(to_usize(length));
    storage
        .read_at(candidate.area_offset, material.expose_mut())
        .map_err(Error::io(format!("read keyslot {keyslot}'s area")))?;
    Ok(material)
}
