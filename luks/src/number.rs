//! Conversions between counts and 64-bit numbers, saturating: a cap or an allocation refuses what is too large.

/// A count as a 64-bit number; no machine counts higher.
pub(crate) fn to_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// A number as a count; what no machine can hold becomes the highest count, which no allocation grants.
pub(crate) fn to_usize(number: impl TryInto<usize>) -> usize {
    number.try_into().unwrap_or(usize::MAX)
}
