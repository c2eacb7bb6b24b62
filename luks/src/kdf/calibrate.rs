//! Choosing costs for a wanted time, through a probe that the caller hands in: no clock is read here.

use std::time::Duration;

use dmcrypt::HashAlgorithm;

use super::{Argon2Variant, KdfParams};
use crate::defaults::{
    ARGON2_CALIBRATED_MAX_KIB, ARGON2_CALIBRATED_MIN_KIB, ARGON2_MIN_TIME, PBKDF2_MIN_ITERATIONS,
};

/// Which derivation is to take how long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CalibrationTarget {
    /// PBKDF2 with this hash.
    Pbkdf2 {
        /// The hash of the HMAC.
        hash: HashAlgorithm,
    },
    /// Argon2 with this variant.
    Argon2 {
        /// Which of the variants.
        variant: Argon2Variant,
        /// Memory that must not be exceeded, in KiB.
        max_memory_kib: u32,
        /// Lanes to use.
        lanes: u32,
    },
}

/// A measurement shorter than this says little: the next one asks for more work.
const TELLING: Duration = Duration::from_millis(60);

/// Finds costs with which `probe` takes about `wanted`.
///
/// PBKDF2 scales its iterations, never below 1000. Argon2 first grows its memory at 4 passes, as cryptsetup does,
/// from 64 MiB up to the cap (1 GiB at most), then its passes; never below either start unless the cap is smaller.
/// `probe` runs one derivation of the keyslot's key and says how long it took.
pub fn calibrate(
    target: CalibrationTarget,
    wanted: Duration,
    probe: &mut dyn FnMut(&KdfParams) -> Duration,
) -> KdfParams {
    match target {
        CalibrationTarget::Pbkdf2 { hash } => KdfParams::Pbkdf2 {
            hash,
            iterations: calibrate_pbkdf2(hash, wanted, probe),
        },
        CalibrationTarget::Argon2 {
            variant,
            max_memory_kib,
            lanes,
        } => calibrate_argon2(variant, max_memory_kib, lanes, wanted, probe),
    }
}

/// Iterations with which a digest of the volume key takes about `wanted`; never below 1000.
pub fn calibrate_digest(
    hash: HashAlgorithm,
    wanted: Duration,
    probe: &mut dyn FnMut(&KdfParams) -> Duration,
) -> u32 {
    calibrate_pbkdf2(hash, wanted, probe)
}

fn calibrate_pbkdf2(
    hash: HashAlgorithm,
    wanted: Duration,
    probe: &mut dyn FnMut(&KdfParams) -> Duration,
) -> u32 {
    let mut iterations = 16 * PBKDF2_MIN_ITERATIONS;
    loop {
        let took = probe(&KdfParams::Pbkdf2 { hash, iterations });
        if took >= TELLING || iterations > u32::MAX / 4 {
            return scale(iterations, wanted, took).max(PBKDF2_MIN_ITERATIONS);
        }
        iterations = iterations.saturating_mul(4);
    }
}

fn calibrate_argon2(
    variant: Argon2Variant,
    max_memory_kib: u32,
    lanes: u32,
    wanted: Duration,
    probe: &mut dyn FnMut(&KdfParams) -> Duration,
) -> KdfParams {
    let cap = max_memory_kib.min(ARGON2_CALIBRATED_MAX_KIB);
    let params = |time, memory_kib| KdfParams::Argon2 {
        variant,
        time,
        memory_kib,
        lanes,
    };
    let mut memory = ARGON2_CALIBRATED_MIN_KIB.min(cap);
    let mut took = probe(&params(ARGON2_MIN_TIME, memory));
    // Larger memory misses caches: twice is near enough to see where the wanted time lies, then once more there.
    for _ in 0..2 {
        let next = scale(memory, wanted, took).clamp(ARGON2_CALIBRATED_MIN_KIB.min(cap), cap);
        if next <= memory.saturating_add(memory / 8) {
            memory = next;
            break;
        }
        memory = next;
        took = probe(&params(ARGON2_MIN_TIME, memory));
    }
    let memory_at_wanted = scale(memory, wanted, took);
    if memory_at_wanted < memory {
        return params(
            ARGON2_MIN_TIME,
            memory_at_wanted.max(ARGON2_CALIBRATED_MIN_KIB.min(cap)),
        );
    }
    params(
        scale(ARGON2_MIN_TIME, wanted, took).max(ARGON2_MIN_TIME),
        memory,
    )
}

/// `cost * wanted / took`, saturating.
fn scale(cost: u32, wanted: Duration, took: Duration) -> u32 {
    let product = u128::from(cost).saturating_mul(wanted.as_nanos());
    let scaled = product.checked_div(took.as_nanos()).unwrap_or(u128::MAX);
    u32::try_from(scaled).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that does `pbkdf2` rounds and `argon2` KiB passes in a millisecond.
    fn machine(pbkdf2: u64, argon2: u64) -> impl FnMut(&KdfParams) -> Duration {
        move |params| match *params {
            KdfParams::Pbkdf2 { iterations, .. } => {
                Duration::from_micros(u64::from(iterations) * 1000 / pbkdf2)
            }
            KdfParams::Argon2 {
                time, memory_kib, ..
            } => Duration::from_micros(u64::from(time) * u64::from(memory_kib) * 1000 / argon2),
        }
    }

    #[test]
    fn pbkdf2_meets_the_time_and_keeps_the_floor() {
        let sha256 = HashAlgorithm::Sha256;
        let wanted = Duration::from_secs(2);
        let target = CalibrationTarget::Pbkdf2 { hash: sha256 };
        let iterations = |speed, wanted| match calibrate(target, wanted, &mut machine(speed, 1)) {
            KdfParams::Pbkdf2 { iterations, .. } => iterations,
            KdfParams::Argon2 { .. } => unreachable!("PBKDF2 was asked for"),
        };
        let fast = iterations(5000, wanted);
        assert!((9_900_000..=10_100_000).contains(&fast), "{fast}");
        assert_eq!(iterations(1, Duration::from_millis(10)), 1000);
        assert_eq!(
            calibrate_digest(sha256, Duration::from_millis(125), &mut machine(1000, 1)),
            125_000
        );
    }

    #[test]
    fn argon2_grows_memory_to_the_cap_and_then_passes() {
        let target = |max_memory_kib| CalibrationTarget::Argon2 {
            variant: Argon2Variant::Id,
            max_memory_kib,
            lanes: 4,
        };
        let wanted = Duration::from_secs(2);
        let chosen = |cap, speed| match calibrate(target(cap), wanted, &mut machine(1, speed)) {
            KdfParams::Argon2 {
                time, memory_kib, ..
            } => (time, memory_kib),
            KdfParams::Pbkdf2 { .. } => unreachable!("Argon2 was asked for"),
        };
        // 1 GiB at 4 passes takes 2 s at 2097 KiB a millisecond.
        assert_eq!(chosen(4 << 20, 4194), (7, 1 << 20));
        let (time, memory) = chosen(4 << 20, 1000);
        assert_eq!(time, 4);
        assert!((495_000..=505_000).contains(&memory), "{memory}");
        assert_eq!(chosen(1 << 17, 1000), (15, 1 << 17));
        assert_eq!(
            chosen(4 << 20, 1),
            (4, 64 << 10),
            "a slow machine keeps the floors"
        );
        assert_eq!(
            chosen(1 << 10, 1),
            (4, 1 << 10),
            "the cap wins over the floor"
        );
    }
}
