//! Numbers as people type them, within what can mean anything: a larger one is a slip of the fingers, and nobody waits
//! for what would come of it.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;

use clap::builder::{RangedI64ValueParser, RangedU64ValueParser};
use clap::value_parser;
use jobs::new_luks::Cost;

use super::size;

/// Time that a key derivation may be measured for, in milliseconds: five minutes.
pub const ITER_TIME_MS: RangeInclusive<u64> = 1..=Cost::MOST_TIME_MS;
/// Bytes that are read of a key file where it is said how many.
pub const KEYFILE_BYTES: RangeInclusive<u64> = 0..=64 << 20;
/// Where in a file or on a device a key may start: no disk is larger.
pub const KEYFILE_OFFSET: RangeInclusive<u64> = 0..=1 << 56;
/// Bits of a key.
pub const KEY_BITS: RangeInclusive<u64> = 0..=1 << 16;
/// Threads.
const THREADS: RangeInclusive<usize> = 1..=1024;
/// Seconds between two lines; a day.
const SECONDS: RangeInclusive<f64> = 0.0..=86_400.0;

/// `--iter-time`.
pub fn iter_time() -> RangedU64ValueParser<u64> {
    value_parser!(u64).range(ITER_TIME_MS)
}

/// `--key-size` and its kin.
pub fn key_bits() -> RangedI64ValueParser<u32> {
    value_parser!(u32).range(0..=1 << 16)
}

/// `--keyfile-size` and its kin.
///
/// # Errors
///
/// A text that says what is expected.
pub fn keyfile_size(text: &str) -> Result<u64, String> {
    size_within(text, &KEYFILE_BYTES)
}

/// `--keyfile-offset` and its kin.
///
/// # Errors
///
/// A text that says what is expected.
pub fn keyfile_offset(text: &str) -> Result<u64, String> {
    size_within(text, &KEYFILE_OFFSET)
}

fn size_within(text: &str, range: &RangeInclusive<u64>) -> Result<u64, String> {
    let bytes = size::parse(text)?;
    if range.contains(&bytes) {
        Ok(bytes)
    } else {
        Err(format!("{bytes} bytes are more than {}", range.end()))
    }
}

/// `--pbkdf-memory`, in KiB.
pub fn kdf_memory() -> RangedI64ValueParser<u32> {
    let least: i64 = luks::defaults::ARGON2_MIN_MEMORY_KIB.into();
    value_parser!(u32).range(least..=luks::defaults::ARGON2_MAX_MEMORY_KIB.into())
}

/// `--pbkdf-parallel`.
pub fn kdf_lanes() -> RangedI64ValueParser<u32> {
    value_parser!(u32).range(1..=luks::defaults::ARGON2_MAX_LANES.into())
}

/// `--threads`.
///
/// # Errors
///
/// A text that says what is expected.
pub fn threads(text: &str) -> Result<NonZeroUsize, String> {
    let number = text.parse().ok().filter(|number| THREADS.contains(number));
    let number = number.and_then(NonZeroUsize::new);
    number.ok_or_else(|| format!("threads are from {} to {}", THREADS.start(), THREADS.end()))
}

/// `--progress-frequency`.
///
/// # Errors
///
/// A text that says what is expected.
pub fn seconds(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| SECONDS.contains(number));
    number.ok_or_else(|| format!("seconds are from {} to {}", SECONDS.start(), SECONDS.end()))
}
