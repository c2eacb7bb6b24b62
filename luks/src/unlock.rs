//! From a passphrase to the volume key: keyslots in their order, within the limits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::{fmt, io};

use dmcrypt::{CipherSpec, DerivedKey, HashAlgorithm, Passphrase, VolumeKey};
use subtle::ConstantTimeEq;
use volume::{LockMode, Storage, Unread, is_bad_place, read_around};

use crate::defaults::STRIPES;
use crate::error::{Corrupt, Costly, Error, Unsupported};
use crate::kdf::{self, Budget, Effort, Excess, KdfLimits, KdfParams};
use crate::number::to_usize;
use crate::seal::SealWanted;
use crate::{af, area};

/// How an unlock goes about its work.
#[derive(Clone, Copy)]
pub struct UnlockOptions<'a> {
    /// The one keyslot to try, which may then be unbound or of priority "ignore"; all usable ones unless said.
    pub keyslot: Option<u32>,
    /// What the header may ask for.
    pub limits: KdfLimits,
    /// Asked where the header asks for more than `limits`: what it finds counts then. So nobody has to measure a machine for
    /// the sake of a header that asks for little.
    pub measure: Option<&'a dyn Measure>,
    /// Open null ciphers, which protect nothing, and data that is not encrypted at all. A keyslot under a null cipher opens
    /// by the empty passphrase only.
    pub null_cipher: bool,
    /// Unlock where the data has a null cipher or none, for who changes keyslots and reads no data. A keyslot under a
    /// null cipher, which any passphrase opens, stays refused.
    pub unencrypted_data: bool,
    /// What other passphrases of the same unlock have cost: this one gets what is left of the limits, and its cost is added.
    pub spent: Option<&'a Spent>,
    /// Bytes of a volume key that is given where no keyslot tells them.
    pub volume_key_bytes: Option<usize>,
    /// Where Whirlpool spread a key over its stripes, try it also as libgcrypt computed it before 1.6.0
    /// ([`HashAlgorithm::WhirlpoolGcryptBug`]).
    pub faulty_whirlpool: bool,
    /// What the seal of the header must be, once a key fits.
    pub seal: SealWanted<'a>,
    /// Threads that compute at once, the caller's among them: for one key derivation as many as it can use, and what is
    /// then left for those of the next keyslots.
    pub threads: usize,
    /// Asked while PBKDF2 runs and between keyslots; `true` ends the unlock.
    pub cancel: &'a (dyn Fn() -> bool + Sync),
    /// Told of each keyslot that could not be tried because its area cannot be read, where that does not end the unlock:
    /// another one fits, or does not.
    pub unusable: &'a (dyn Fn(&UnusableKeyslot) + Sync),
}

/// The derivations of one unlock that tries several passphrases.
#[derive(Debug, Default)]
pub struct Spent {
    derivations: Mutex<Vec<(KdfParams, usize)>>,
}

impl Spent {
    /// A budget that has paid for them.
    fn budget(&self, limits: KdfLimits) -> Budget {
        let mut budget = Budget::new(limits);
        let derivations = self
            .derivations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for (params, bytes) in &*derivations {
            // Where these limits are the smaller ones nothing is left of them, and the larger ones are asked for.
            if budget.charge(&[(params, *bytes)]).is_err() {
                budget.exhaust();
            }
        }
        budget
    }

    fn add(&self, candidates: &[Candidate]) {
        let mut derivations = self
            .derivations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for candidate in candidates {
            let digest = &candidate.digest;
            derivations.push((candidate.kdf.clone(), candidate.area_key_bytes));
            derivations.push((digest.cost(), digest.digest.len()));
        }
    }
}

/// Finds out what a header may ask for on this machine, which takes a while.
pub trait Measure: Sync {
    /// What it may.
    fn limits(&self) -> KdfLimits;
}

/// A keyslot whose area cannot be read, whole or in part: no passphrase opens it.
#[derive(Debug)]
#[non_exhaustive]
pub struct UnusableKeyslot {
    /// Its number.
    pub keyslot: u32,
    /// Why.
    pub error: Error,
}

impl fmt::Display for UnusableKeyslot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keyslot {} is not usable: ", self.keyslot)?;
        match &self.error {
            Error::Corrupt(corrupt) => corrupt.fmt(f),
            error => error.fmt(f),
        }
    }
}

impl Default for UnlockOptions<'_> {
    fn default() -> Self {
        Self {
            keyslot: None,
            limits: KdfLimits::default(),
            measure: None,
            null_cipher: false,
            unencrypted_data: false,
            spent: None,
            volume_key_bytes: None,
            faulty_whirlpool: false,
            seal: SealWanted::default(),
            threads: 1,
            cancel: &|| false,
            unusable: &|_| (),
        }
    }
}

impl UnlockOptions<'_> {
    /// The limits that count, where those that are known at once may be exceeded.
    fn limits_for(&self, are_exceeded: impl FnOnce(KdfLimits) -> bool) -> KdfLimits {
        match self.measure {
            Some(measure) if are_exceeded(self.limits) => measure.limits(),
            _ => self.limits,
        }
    }

    /// What is left within `limits`.
    fn budget(&self, limits: KdfLimits) -> Budget {
        match self.spent {
            Some(spent) => spent.budget(limits),
            None => Budget::new(limits),
        }
    }

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

/// Tries `candidates` in their order, side by side where threads and memory are left. A candidate that is not supported
/// is passed over, whether its header or its use tells; it is named when none was tried. So is one whose area cannot be
/// read.
///
/// What comes out is what trying one after another says: of two keyslots that fit the first one, and an error only where
/// none before it fits. A keyslot that fits ends those behind it, and those before it are waited for.
pub(crate) fn try_all(
    storage: &dyn Storage,
    candidates: Vec<Result<Candidate, Unsupported>>,
    passphrase: &Passphrase,
    options: &UnlockOptions<'_>,
) -> Result<(u32, VolumeKey), Error> {
    let mut plan = Plan::new(candidates, options);
    let candidates = std::mem::take(&mut plan.candidates);
    let mut rest = &candidates[..];
    let mut one_by_one = false;
    'some: while !rest.is_empty() {
        if (options.cancel)() {
            return Err(Error::Cancelled);
        }
        let count = if one_by_one {
            1
        } else {
            side_by_side(rest, options)
        };
        let (some, behind) = rest.split_at(count);
        let outcomes = try_some(storage, some, passphrase, options);
        for (index, (candidate, outcome)) in some.iter().zip(outcomes).enumerate() {
            if count > 1 && matches!(outcome, Err(Error::OutOfMemory { .. })) {
                // The others may have had the memory.
                one_by_one = true;
                rest = &rest[index..];
                continue 'some;
            }
            match outcome {
                Ok(Some(key)) => {
                    plan.unusable.iter().for_each(options.unusable);
                    return Ok((candidate.keyslot, key));
                }
                Ok(None) => plan.tried.push(candidate.keyslot),
                Err(error) if is_of_area(&error) => plan.unusable.push(UnusableKeyslot {
                    keyslot: candidate.keyslot,
                    error,
                }),
                Err(Error::Unsupported(problem)) => {
                    plan.unsupported.get_or_insert(problem);
                }
                Err(other) => return Err(other),
            }
        }
        rest = behind;
    }
    plan.nothing_fits(options)
}

/// Is it the keyslot's own area that cannot be read, and not the storage?
fn is_of_area(error: &Error) -> bool {
    match error {
        Error::Corrupt(Corrupt::Truncated { .. }) => true,
        Error::Io { source, .. } => {
            is_bad_place(source) || source.kind() == io::ErrorKind::UnexpectedEof
        }
        _ => false,
    }
}

/// What is to be tried, and what is said when none of it fits.
struct Plan {
    candidates: Vec<Candidate>,
    tried: Vec<u32>,
    refused: Vec<(Costly, Excess)>,
    unsupported: Option<Unsupported>,
    unusable: Vec<UnusableKeyslot>,
    /// What stands in the way of all candidates behind.
    obstacle: Option<Error>,
}

impl Plan {
    fn new(candidates: Vec<Result<Candidate, Unsupported>>, options: &UnlockOptions<'_>) -> Self {
        let mut budget = options.budget(options.limits_for(|limits| {
            let mut budget = options.budget(limits);
            let mut known = candidates.iter().flatten();
            known.any(|candidate| charge(&mut budget, candidate).is_err())
        }));
        let mut plan = Self {
            candidates: Vec::new(),
            tried: Vec::new(),
            refused: Vec::new(),
            unsupported: None,
            unusable: Vec::new(),
            obstacle: None,
        };
        for candidate in candidates {
            let candidate = match candidate {
                Ok(candidate) => candidate,
                Err(problem) => {
                    plan.unsupported.get_or_insert(problem);
                    continue;
                }
            };
            if candidate.area_cipher.is_null() && !options.null_cipher {
                plan.obstacle = Some(Error::NullCipher {
                    object: format!("keyslot {}", candidate.keyslot),
                    cipher: candidate.area_cipher.to_string().into(),
                });
                break;
            }
            match charge(&mut budget, &candidate) {
                Ok(()) => plan.candidates.push(candidate),
                Err(excess) => plan.refused.push(excess),
            }
        }
        if let Some(spent) = options.spent {
            spent.add(&plan.candidates);
        }
        plan
    }

    fn nothing_fits<T>(mut self, options: &UnlockOptions<'_>) -> Result<T, Error> {
        // Where nothing was tried it is what is wrong.
        let only = (self.tried.is_empty() && !self.unusable.is_empty())
            .then(|| self.unusable.remove(0).error);
        self.unusable.iter().for_each(options.unusable);
        if let Some(obstacle) = self.obstacle {
            return Err(obstacle);
        }
        let (refused, tried) = (self.refused, self.tried);
        if let Some(error) = only.filter(|_| refused.is_empty()) {
            return Err(error);
        }
        match (refused.is_empty(), tried.is_empty(), self.unsupported) {
            (false, _, _) => Err(Error::TooCostly { refused }),
            (true, true, Some(problem)) => Err(problem.into()),
            (true, true, None) => Err(Error::NoUsableKeyslot(
                "none is in use that may be tried unasked",
            )),
            (true, false, _) => Err(Error::NoKeyFits { tried }),
        }
    }
}

/// How many of the first candidates are tried at once: as many as do not take threads or memory from each other, one at
/// least.
fn side_by_side(candidates: &[Candidate], options: &UnlockOptions<'_>) -> usize {
    let (mut threads, mut memory_kib) = (0_usize, 0_u64);
    let fitting = candidates.iter().take_while(|candidate| {
        let kdf = &candidate.kdf;
        threads = threads.saturating_add(kdf.most_threads(candidate.area_key_bytes));
        memory_kib = memory_kib.saturating_add(kdf.memory_kib().into());
        threads <= options.threads && memory_kib <= options.limits.memory_kib
    });
    fitting.count().max(1)
}

/// What each candidate gives, in their order. Behind one that fits they may end early.
fn try_some(
    storage: &dyn Storage,
    candidates: &[Candidate],
    passphrase: &Passphrase,
    options: &UnlockOptions<'_>,
) -> Vec<Result<Option<VolumeKey>, Error>> {
    let mut outcomes: Vec<_> = candidates.iter().map(|_| Err(Error::Cancelled)).collect();
    let first_hit = AtomicUsize::new(usize::MAX);
    let all = Effort {
        threads: candidates.len(),
        cancel: options.cancel,
    };
    let jobs = candidates.iter().zip(&mut outcomes).enumerate();
    // When it is cancelled, so are those that were not begun.
    let _ = all.share_out(jobs, |(index, (candidate, outcome)), is_over| {
        let effort = Effort {
            threads: options.threads,
            cancel: &|| first_hit.load(Ordering::Relaxed) < index || is_over(),
        };
        *outcome = try_one(storage, candidate, passphrase, options, effort);
        if let Ok(Some(_)) = outcome {
            first_hit.fetch_min(index, Ordering::Relaxed);
        }
    });
    outcomes
}

/// Checks a volume key that was given directly.
pub(crate) fn check_key(
    key: &VolumeKey,
    digest: &KeyDigest,
    options: &UnlockOptions<'_>,
) -> Result<(), Error> {
    let (cost, bytes) = (digest.cost(), digest.digest.len());
    options
        .limits_for(|limits| limits.check(&cost, bytes).is_err())
        .check(&cost, bytes)
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
    options: &UnlockOptions<'_>,
    effort: Effort<'_>,
) -> Result<Option<VolumeKey>, Error> {
    let keyslot = candidate.keyslot;
    // Any other passphrase would open it as well, and somebody who wrote this header would be believed.
    if candidate.area_cipher.is_null() && !passphrase.is_empty() {
        return Ok(None);
    }
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
    let mut hashes = vec![candidate.af_hash];
    if options.faulty_whirlpool && candidate.af_hash == HashAlgorithm::Whirlpool {
        hashes.push(HashAlgorithm::WhirlpoolGcryptBug);
    }
    for hash in hashes {
        let key = af::merge(&material, candidate.key_bytes, STRIPES, hash);
        if candidate.digest.matches(&key, effort)? {
            return Ok(Some(key));
        }
    }
    Ok(None)
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
    let unread = read_around(storage, candidate.area_offset, material.expose_mut())
        .map_err(Error::io(format!("read keyslot {keyslot}'s area")))?;
    // The key is made of all of it.
    match unread.into_iter().next() {
        None => Ok(material),
        Some(Unread { range, error }) => {
            let action = format!("read keyslot {keyslot}'s area at byte {}", range.start);
            Err(Error::io(action)(error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kdf::Argon2Variant;

    fn candidate(kdf: KdfParams) -> Candidate {
        Candidate {
            keyslot: 0,
            kdf,
            salt: Vec::new(),
            area_offset: 0,
            area_cipher: "aes-xts-plain64".parse().unwrap(),
            area_key_bytes: 64,
            af_hash: HashAlgorithm::Sha256,
            key_bytes: 64,
            digest: KeyDigest {
                id: 0,
                hash: HashAlgorithm::Sha256,
                iterations: 1000,
                salt: Vec::new(),
                digest: Vec::new(),
            },
        }
    }

    #[test]
    fn keyslots_are_tried_at_once_as_far_as_threads_and_memory_go() {
        let pbkdf2 = |hash| KdfParams::Pbkdf2 {
            hash,
            iterations: 1000,
        };
        let argon2 = |memory_kib, lanes| KdfParams::Argon2 {
            variant: Argon2Variant::Id,
            time: 4,
            memory_kib,
            lanes,
        };
        // Four blocks for 64 bytes, and one.
        let (sha1, sha512) = (pbkdf2(HashAlgorithm::Sha1), pbkdf2(HashAlgorithm::Sha512));
        let at_once = |kdfs: &[&KdfParams], threads, memory_kib| {
            let candidates: Vec<_> = kdfs.iter().map(|kdf| candidate((*kdf).clone())).collect();
            let options = UnlockOptions {
                threads,
                limits: KdfLimits {
                    memory_kib,
                    ..KdfLimits::default()
                },
                ..UnlockOptions::default()
            };
            side_by_side(&candidates, &options)
        };
        assert_eq!(at_once(&[&sha1, &sha1], 1, 0), 1);
        assert_eq!(at_once(&[&sha1, &sha1], 7, 0), 1);
        assert_eq!(at_once(&[&sha1, &sha1], 8, 0), 2);
        assert_eq!(at_once(&[&sha512, &sha512, &sha1], 5, 0), 2);
        assert_eq!(at_once(&[&sha512, &sha512], 9, 0), 2);
        let (small, large) = (argon2(100, 1), argon2(1000, 4));
        assert_eq!(at_once(&[&small, &small, &small], 3, 299), 2);
        assert_eq!(at_once(&[&small, &small, &small], 3, 300), 3);
        assert_eq!(at_once(&[&large, &sha512, &small], 5, 1000), 2);
        assert_eq!(at_once(&[&large, &large], 8, 1999), 1);
        assert_eq!(at_once(&[&large, &small], 2, 5000), 1);
    }

    #[test]
    fn the_machine_is_measured_for_what_may_be_too_much_alone() {
        struct Machine(AtomicUsize);
        impl Measure for Machine {
            fn limits(&self) -> KdfLimits {
                self.0.fetch_add(1, Ordering::Relaxed);
                rounds(4000)
            }
        }
        fn rounds(pbkdf2_rounds: u64) -> KdfLimits {
            KdfLimits {
                pbkdf2_rounds,
                slots_total: 2,
                ..KdfLimits::default()
            }
        }
        let pbkdf2 = |iterations| KdfParams::Pbkdf2 {
            hash: HashAlgorithm::Sha256,
            iterations,
        };
        // Two blocks of a key each; a digest of no block costs nothing.
        for (iterations, limit, measured, refused) in [
            (&[500, 500][..], 1000, 0, 0),
            (&[501], 1000, 1, 0),
            (&[500, 500, 1], 1000, 1, 0),
            (&[2001, 1], 1000, 1, 1),
        ] {
            let machine = Machine(AtomicUsize::new(0));
            let options = UnlockOptions {
                limits: rounds(limit),
                measure: Some(&machine),
                ..UnlockOptions::default()
            };
            let candidates = iterations.iter().map(|it| Ok(candidate(pbkdf2(*it))));
            let plan = Plan::new(candidates.collect(), &options);
            assert_eq!(plan.refused.len(), refused, "{iterations:?}");
            assert_eq!(machine.0.into_inner(), measured, "{iterations:?}");
        }
        // A key that is given, too.
        let digest = KeyDigest {
            digest: vec![0; 32],
            ..candidate(pbkdf2(1)).digest
        };
        let key = VolumeKey::zeroed(64);
        for (limit, measured) in [(1000, 0), (999, 1)] {
            let machine = Machine(AtomicUsize::new(0));
            let options = UnlockOptions {
                limits: rounds(limit),
                measure: Some(&machine),
                ..UnlockOptions::default()
            };
            let checked = check_key(&key, &digest, &options);
            assert!(matches!(checked, Err(Error::NoKeyFits { .. })));
            assert_eq!(machine.0.into_inner(), measured);
        }
    }
}
