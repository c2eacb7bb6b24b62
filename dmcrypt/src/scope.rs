//! How much data one key may encrypt.

use crate::CipherSpec;

/// Bytes of XTS under one key beyond which IEEE 1619-2025 advises another one: 2^36 blocks.
const XTS_ADVISED_BYTES: u64 = 16 << 36;
/// The most bytes of XTS that it allows under one key: 2^44 blocks.
const XTS_MOST_BYTES: u64 = 16 << 44;

/// What is wrong with so much data under one key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Excess {
    /// IVs of 32 bits start again: sectors far apart are encrypted alike.
    RepeatedIvs,
    /// More blocks than the standard of XTS allows.
    XtsLimit,
    /// More blocks than the standard of XTS advises.
    XtsAdvice,
}

impl Excess {
    /// Whether it is advice, which a new volume may disregard.
    pub fn is_advice(self) -> bool {
        self == Self::XtsAdvice
    }

    /// The reason in words.
    pub fn reason(self) -> &'static str {
        match self {
            Self::RepeatedIvs => "its IVs of 32 bits start again in so much data: use plain64",
            Self::XtsLimit => "XTS may encrypt 256 TiB under one key and no more",
            Self::XtsAdvice => "beyond 1 TiB under one key the standard of XTS advises another key",
        }
    }
}

impl CipherSpec {
    /// The worst that is wrong with `data_bytes` bytes under one key of this specification, where IVs count units of
    /// `iv_unit` bytes: 512, or with dm-crypt's `iv_large_sectors` those of a sector.
    pub fn excess(&self, data_bytes: u64, iv_unit: u64) -> Option<Excess> {
        if self.iv() == Some("plain") && data_bytes / iv_unit > u64::from(u32::MAX) + 1 {
            return Some(Excess::RepeatedIvs);
        }
        match self.mode() {
            "xts" if data_bytes > XTS_MOST_BYTES => Some(Excess::XtsLimit),
            "xts" if data_bytes > XTS_ADVISED_BYTES => Some(Excess::XtsAdvice),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Excess;
    use crate::CipherSpec;

    #[test]
    fn d2_d4_amounts_are_judged_to_the_unit() -> Result<(), crate::Error> {
        let tib = 1_u64 << 40;
        for (cipher, unit, most, beyond) in [
            ("aes-xts-plain64", 512, tib, Excess::XtsAdvice),
            ("capi:xts(aes)-plain64", 512, tib, Excess::XtsAdvice),
            ("aes-xts-plain", 512, 2 * tib, Excess::RepeatedIvs),
            ("aes-cbc-plain", 512, 2 * tib, Excess::RepeatedIvs),
            ("aes-cbc-plain", 4096, 16 * tib, Excess::RepeatedIvs),
            ("aes-xts-plain64", 512, 256 * tib, Excess::XtsLimit),
        ] {
            let spec: CipherSpec = cipher.parse()?;
            assert_ne!(spec.excess(most, unit), Some(beyond), "{cipher}");
            assert_eq!(spec.excess(most + unit, unit), Some(beyond), "{cipher}");
        }
        for cipher in ["aes-cbc-essiv:sha256", "aes-adiantum-plain64", "aes-ecb"] {
            let spec: CipherSpec = cipher.parse()?;
            assert_eq!(spec.excess(u64::MAX, 512), None, "{cipher}");
        }
        Ok(())
    }
}
