//! How much work a header may ask for. The numbers come from the caller: no clock and no memory size is read here.

use std::fmt;
use std::time::Duration;

use dmcrypt::HashAlgorithm;

use super::KdfParams;

use crate::number::to_u64;

/// What a key derivation may cost before it is refused, untried.
///
/// The defaults suit a machine that passes over a GiB of Argon2 memory in a second and does eight million
/// HMAC-SHA-256 rounds in one; a program that can measure should.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KdfLimits {
    /// Argon2 memory in KiB.
    pub memory_kib: u64,
    /// Argon2 lanes.
    pub lanes: u32,
    /// Argon2 work for one keyslot: KiB of memory times passes.
    pub argon2_kib: u64,
    /// PBKDF2 work for one keyslot or digest: HMAC rounds over all output blocks, counted as SHA-256 rounds of one
    /// thread.
    pub pbkdf2_rounds: u64,
    /// What all keyslots tried for one unlock may cost together, in keyslots that each cost the most allowed.
    pub slots_total: u32,
}

impl Default for KdfLimits {
    fn default() -> Self {
        Self {
            memory_kib: 4 * 1024 * 1024,
            lanes: 4,
            argon2_kib: 60 * 1024 * 1024,
            pbkdf2_rounds: 60 * 8_000_000,
            slots_total: 10,
        }
    }
}

/// Which limit is exceeded, by what.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Excess {
    /// Argon2 memory.
    Memory {
        /// KiB asked for.
        need_kib: u64,
        /// KiB allowed.
        limit_kib: u64,
    },
    /// Argon2 lanes.
    Lanes {
        /// Lanes asked for.
        need: u32,
        /// Lanes allowed.
        limit: u32,
    },
    /// Work of one derivation.
    Work {
        /// Times the allowed work that is asked for, rounded up.
        times: u64,
    },
    /// This keyslot is affordable, but not after those tried before it.
    Total {
        /// Keyslots of the highest allowed cost that one unlock may try.
        slots: u32,
    },
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory {
                need_kib,
                limit_kib,
            } => {
                write!(
                    f,
                    "needs {need_kib} KiB of memory, the limit is {limit_kib} KiB"
                )
            }
            Self::Lanes { need, limit } => write!(f, "needs {need} lanes, the limit is {limit}"),
            Self::Work { times } => {
                write!(f, "needs {times} times the time allowed for one keyslot")
            }
            Self::Total { slots } => {
                write!(
                    f,
                    "would take the sum beyond the time allowed for all ({slots} times that of one keyslot)"
                )
            }
        }
    }
}

/// What is left of the limits while one unlock tries keyslot after keyslot.
#[derive(Debug)]
pub struct Budget {
    limits: KdfLimits,
    /// Spent so far; one keyslot's limit is [`ONE_SLOT`].
    spent: u128,
}

/// The limit of one keyslot in the unit that [`Budget`] adds up.
const ONE_SLOT: u128 = 1 << 32;

impl Budget {
    /// A budget of which nothing is spent.
    pub fn new(limits: KdfLimits) -> Self {
        Self { limits, spent: 0 }
    }

    /// Checks derivations of so many bytes each on their own and then within the sum, and charges them together.
    ///
    /// # Errors
    ///
    /// The limit that one or all of them exceed; nothing is charged then.
    pub fn charge(&mut self, derivations: &[(&KdfParams, usize)]) -> Result<(), Excess> {
        let mut spent = self.spent;
        for (params, key_bytes) in derivations {
            spent = spent.saturating_add(self.limits.cost(params, *key_bytes)?);
        }
        if spent > ONE_SLOT.saturating_mul(u128::from(self.limits.slots_total)) {
            return Err(Excess::Total {
                slots: self.limits.slots_total,
            });
        }
        self.spent = spent;
        Ok(())
    }

    /// Leaves nothing of it.
    pub(crate) fn exhaust(&mut self) {
        self.spent = u128::MAX;
    }

    /// What each derivation is held to.
    pub fn limits(&self) -> &KdfLimits {
        &self.limits
    }
}

impl KdfLimits {
    /// Whether one derivation of `key_bytes` bytes is within the limits on its own.
    ///
    /// # Errors
    ///
    /// The limit that it exceeds.
    pub fn check(&self, params: &KdfParams, key_bytes: usize) -> Result<(), Excess> {
        self.cost(params, key_bytes).map(|_| ())
    }

    /// About how long one derivation takes on a machine that does the work of one keyslot's limit in `one_slot`;
    /// [`Duration::MAX`] where that is more than centuries.
    pub fn estimate(&self, params: &KdfParams, key_bytes: usize, one_slot: Duration) -> Duration {
        let (work, limit) = self.work(params, key_bytes);
        let nanoseconds = work.saturating_mul(one_slot.as_nanos()).div_ceil(limit);
        u64::try_from(nanoseconds).map_or(Duration::MAX, Duration::from_nanos)
    }

    /// The work of one derivation, and how much of that kind one keyslot may ask for; the latter is never 0.
    fn work(&self, params: &KdfParams, key_bytes: usize) -> (u128, u128) {
        let (work, limit) = match *params {
            KdfParams::Pbkdf2 { hash, iterations } => (
                pbkdf2_rounds(hash, iterations, key_bytes),
                self.pbkdf2_rounds,
            ),
            KdfParams::Argon2 {
                time, memory_kib, ..
            } => (
                u128::from(memory_kib).saturating_mul(time.into()),
                self.argon2_kib,
            ),
        };
        (work, u128::from(limit).max(1))
    }

    fn cost(&self, params: &KdfParams, key_bytes: usize) -> Result<u128, Excess> {
        if let KdfParams::Argon2 {
            memory_kib, lanes, ..
        } = *params
        {
            if u64::from(memory_kib) > self.memory_kib {
                return Err(Excess::Memory {
                    need_kib: memory_kib.into(),
                    limit_kib: self.memory_kib,
                });
            }
            if lanes > self.lanes {
                return Err(Excess::Lanes {
                    need: lanes,
                    limit: self.lanes,
                });
            }
        }
        let (work, limit) = self.work(params, key_bytes);
        if work > limit {
            let times = u64::try_from(work.div_ceil(limit)).unwrap_or(u64::MAX);
            return Err(Excess::Work { times });
        }
        // `work <= limit < 2^64`, so the product fits.
        Ok(work.saturating_mul(ONE_SLOT).div_ceil(limit))
    }
}

/// HMAC rounds over all output blocks, in SHA-256 rounds.
fn pbkdf2_rounds(hash: HashAlgorithm, iterations: u32, key_bytes: usize) -> u128 {
    let blocks = key_bytes.div_ceil(hash.digest_bytes());
    u128::from(iterations)
        .saturating_mul(to_u64(blocks).into())
        .saturating_mul(weight(hash).into())
}

/// Time of one round in SHA-256 rounds on a processor with SHA extensions, where the hashes differ most;
/// elsewhere they are nearer to each other, and the limit is the stricter for it.
fn weight(hash: HashAlgorithm) -> u32 {
    match hash {
        HashAlgorithm::Sha1 | HashAlgorithm::Sha256 => 1,
        HashAlgorithm::Sha224 => 2,
        HashAlgorithm::Md5 => 3,
        HashAlgorithm::Ripemd160 | HashAlgorithm::Sm3 => 5,
        HashAlgorithm::Blake2s128
        | HashAlgorithm::Blake2s160
        | HashAlgorithm::Blake2s224
        | HashAlgorithm::Blake2s256 => 6,
        HashAlgorithm::Sha384
        | HashAlgorithm::Sha512
        | HashAlgorithm::Blake2b160
        | HashAlgorithm::Blake2b256
        | HashAlgorithm::Blake2b384
        | HashAlgorithm::Blake2b512 => 8,
        HashAlgorithm::Whirlpool
        | HashAlgorithm::WhirlpoolGcryptBug
        | HashAlgorithm::Wp384
        | HashAlgorithm::Wp256 => 24,
        HashAlgorithm::Sha3_224
        | HashAlgorithm::Sha3_256
        | HashAlgorithm::Sha3_384
        | HashAlgorithm::Sha3_512 => 32,
        HashAlgorithm::Streebog256 | HashAlgorithm::Streebog512 => 56,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kdf::Argon2Variant;

    fn argon2(time: u32, memory_kib: u32, lanes: u32) -> KdfParams {
        KdfParams::Argon2 {
            variant: Argon2Variant::Id,
            time,
            memory_kib,
            lanes,
        }
    }

    fn pbkdf2(iterations: u32) -> KdfParams {
        KdfParams::Pbkdf2 {
            hash: HashAlgorithm::Sha256,
            iterations,
        }
    }

    #[test]
    fn each_limit_is_refused_by_its_name_and_met_exactly() {
        let limits = KdfLimits {
            memory_kib: 100,
            lanes: 2,
            argon2_kib: 400,
            pbkdf2_rounds: 2000,
            slots_total: 10,
        };
        assert_eq!(limits.check(&argon2(4, 100, 2), 64), Ok(()));
        assert_eq!(
            limits.check(&argon2(4, 101, 2), 64),
            Err(Excess::Memory {
                need_kib: 101,
                limit_kib: 100
            })
        );
        assert_eq!(
            limits.check(&argon2(4, 100, 3), 64),
            Err(Excess::Lanes { need: 3, limit: 2 })
        );
        assert_eq!(
            limits.check(&argon2(5, 100, 2), 64),
            Err(Excess::Work { times: 2 })
        );
        assert_eq!(limits.check(&pbkdf2(1000), 64), Ok(()));
        assert_eq!(
            limits.check(&pbkdf2(1001), 64),
            Err(Excess::Work { times: 2 })
        );
        assert_eq!(limits.check(&pbkdf2(2000), 32), Ok(()));
        assert!(matches!(
            limits.check(&argon2(u32::MAX, 100, 1), 64),
            Err(Excess::Work { .. })
        ));
    }

    #[test]
    fn what_is_exceeded_is_said_with_its_values() {
        let memory = Excess::Memory {
            need_kib: 5,
            limit_kib: 4,
        };
        for (excess, says) in [
            (memory, "needs 5 KiB of memory, the limit is 4 KiB"),
            (
                Excess::Lanes { need: 3, limit: 2 },
                "needs 3 lanes, the limit is 2",
            ),
            (
                Excess::Work { times: 7 },
                "needs 7 times the time allowed for one keyslot",
            ),
            (
                Excess::Total { slots: 10 },
                "would take the sum beyond the time allowed for all (10 times that of one keyslot)",
            ),
        ] {
            assert_eq!(excess.to_string(), says);
        }
    }

    #[test]
    fn estimates_follow_the_work() {
        let limits = KdfLimits {
            memory_kib: 100,
            lanes: 1,
            argon2_kib: 400,
            pbkdf2_rounds: 1000,
            slots_total: 2,
        };
        let minute = Duration::from_secs(60);
        assert_eq!(
            limits.estimate(&argon2(2, 100, 1), 64, minute),
            Duration::from_secs(30)
        );
        assert_eq!(
            limits.estimate(&pbkdf2(1000), 64, minute),
            Duration::from_secs(120)
        );
        assert_eq!(
            limits.estimate(&argon2(u32::MAX, u32::MAX, 1), 64, minute),
            Duration::MAX
        );
    }

    #[test]
    fn a_round_of_a_slower_hash_counts_for_more() {
        let limits = KdfLimits {
            pbkdf2_rounds: 1000,
            ..KdfLimits::default()
        };
        for (hash, rounds) in [
            (HashAlgorithm::Sha1, 1),
            (HashAlgorithm::Sha224, 2),
            (HashAlgorithm::Md5, 3),
            (HashAlgorithm::Ripemd160, 5),
            (HashAlgorithm::Blake2s256, 6),
            (HashAlgorithm::Sha512, 8),
            (HashAlgorithm::Whirlpool, 24),
            (HashAlgorithm::Sha3_256, 32),
            (HashAlgorithm::Streebog512, 56),
        ] {
            let params = |iterations| KdfParams::Pbkdf2 { hash, iterations };
            assert_eq!(limits.check(&params(1000 / rounds), 16), Ok(()), "{hash:?}");
            let excess = limits.check(&params(1000 / rounds + 1), 16);
            assert_eq!(excess, Err(Excess::Work { times: 2 }), "{hash:?}");
        }
        assert_eq!(*Budget::new(limits).limits(), limits);
    }

    #[test]
    fn the_sum_ends_where_it_says() {
        let limits = KdfLimits {
            memory_kib: 100,
            lanes: 1,
            argon2_kib: 400,
            pbkdf2_rounds: 1000,
            slots_total: 2,
        };
        let mut budget = Budget::new(limits);
        assert_eq!(budget.charge(&[(&argon2(4, 100, 1), 64)]), Ok(()));
        assert_eq!(budget.charge(&[(&pbkdf2(500), 32)]), Ok(()));
        assert_eq!(
            budget.charge(&[(&argon2(4, 100, 1), 64)]),
            Err(Excess::Total { slots: 2 })
        );
        assert_eq!(
            budget.charge(&[(&pbkdf2(500), 32)]),
            Ok(()),
            "a refused one costs nothing"
        );
        assert_eq!(
            budget.charge(&[(&pbkdf2(1), 32)]),
            Err(Excess::Total { slots: 2 })
        );
    }
}
