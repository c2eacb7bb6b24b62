//! From a passphrase to a keyslot's key: PBKDF2 and Argon2, what they cost, and how costs are chosen.

mod argon2;
mod calibrate;
mod effort;
mod limits;
mod pbkdf2;

use dmcrypt::{DerivedKey, HashAlgorithm, wipe_stack};

pub use calibrate::{CalibrationTarget, calibrate, calibrate_digest};
pub use effort::Effort;
pub use limits::{Budget, Excess, KdfLimits};

use crate::number::to_usize;

/// The key derivation of one keyslot, without its salt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KdfParams {
    /// PBKDF2 with HMAC (RFC 8018 5.2).
    Pbkdf2 {
        /// The hash of the HMAC.
        hash: HashAlgorithm,
        /// HMAC rounds for each output block.
        iterations: u32,
    },
    /// Argon2 version 1.3 (RFC 9106).
    Argon2 {
        /// Which of its variants.
        variant: Argon2Variant,
        /// Passes over the memory.
        time: u32,
        /// Memory in KiB.
        memory_kib: u32,
        /// Lanes, each of which may run on a thread of its own.
        lanes: u32,
    },
}

/// The Argon2 variants that LUKS2 uses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Argon2Variant {
    /// Memory is addressed independently of the passphrase.
    I,
    /// First half of the first pass as [`Argon2Variant::I`], then by the passphrase.
    Id,
}

impl KdfParams {
    /// The name that LUKS2 metadata uses.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pbkdf2 { .. } => "pbkdf2",
            Self::Argon2 {
                variant: Argon2Variant::I,
                ..
            } => "argon2i",
            Self::Argon2 {
                variant: Argon2Variant::Id,
                ..
            } => "argon2id",
        }
    }

    /// Threads that can compute a key of so many bytes at once.
    pub(crate) fn most_threads(&self, key_bytes: usize) -> usize {
        match *self {
            Self::Pbkdf2 { hash, .. } => key_bytes
                .div_ceil(hash.digest_bytes())
                .div_ceil(hash.hmac_lanes()),
            Self::Argon2 { lanes, .. } => to_usize(lanes),
        }
    }

    /// Memory that it is computed in, in KiB; what PBKDF2 takes is not worth counting.
    pub(crate) fn memory_kib(&self) -> u32 {
        match *self {
            Self::Pbkdf2 { .. } => 0,
            Self::Argon2 { memory_kib, .. } => memory_kib,
        }
    }
}

/// Why no key was derived.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KdfError {
    /// The caller's cancellation was seen.
    #[error("cancelled")]
    Cancelled,
    /// The memory that the parameters ask for could not be had.
    #[error("not enough memory for a key derivation that needs {need_kib} KiB")]
    OutOfMemory {
        /// Memory asked for, in KiB.
        need_kib: u32,
    },
    /// The parameters are outside what the function is defined for.
    #[error("key derivation parameters are out of range: {0}")]
    Parameters(String),
}

/// Derives `key_bytes` bytes from `secret` and `salt`.
///
/// Both are cancelled within milliseconds, and what they computed with is wiped.
/// The caller has checked the cost against [`KdfLimits`] before.
///
/// # Errors
///
/// [`KdfError`].
pub fn derive(
    params: &KdfParams,
    secret: &[u8],
    salt: &[u8],
    key_bytes: usize,
    effort: Effort<'_>,
) -> Result<DerivedKey, KdfError> {
    let mut key = DerivedKey::zeroed(key_bytes);
    let outcome = match *params {
        KdfParams::Pbkdf2 { hash, iterations } => {
            pbkdf2::pbkdf2(hash, secret, salt, iterations, key.expose_mut(), effort)
        }
        KdfParams::Argon2 {
            variant,
            time,
            memory_kib,
            lanes,
        } => {
            let costs = argon2::Costs {
                variant,
                time,
                memory_kib,
                lanes,
            };
            argon2::argon2(costs, secret, salt, key.expose_mut(), effort)
        }
    };
    // Hashes spill what they compute with.
    wipe_stack();
    outcome.map(|()| key)
}
