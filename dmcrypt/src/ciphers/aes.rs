//! AES (FIPS 197).

use super::{BlockCipher, Cipher};
use crate::{AesKernel, kernels::xts::XtsKernel};

/// By the fastest code that the processor can run.
pub(super) const AES: Cipher = Cipher {
    name: "aes",
    block_bytes: 16,
    key_bytes: &[16, 24, 32],
    expand: |key| AesKernel::best().expand(key),
    expand_xts: Some(|data_key, tweak_key| AesKernel::best().expand_xts(data_key, tweak_key)),
};

/// By each code, in the order of [`AesKernel::here`].
pub(super) static BY_RANK: [Cipher; 4] = [
    by_rank::<0>(),
    by_rank::<1>(),
    by_rank::<2>(),
    by_rank::<3>(),
];

const fn by_rank<const RANK: usize>() -> Cipher {
    Cipher {
        expand: expand::<RANK>,
        expand_xts: Some(expand_xts::<RANK>),
        ..AES
    }
}

fn expand<const RANK: usize>(key: &[u8]) -> Box<dyn BlockCipher> {
    AesKernel::here()[RANK].expand(key)
}

fn expand_xts<const RANK: usize>(data_key: &[u8], tweak_key: &[u8]) -> Box<dyn XtsKernel> {
    AesKernel::here()[RANK].expand_xts(data_key, tweak_key)
}
