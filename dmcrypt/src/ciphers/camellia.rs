//! Camellia (RFC 3713). The crate looks tables up: its time depends on the key where caches do.

use super::{Cipher, expand_by_size, expand_xts_by_size};
use ::camellia::{Camellia128, Camellia192, Camellia256};

pub(super) const CAMELLIA: Cipher = Cipher {
    name: "camellia",
    block_bytes: 16,
    key_bytes: &[16, 24, 32],
    expand: expand_by_size::<Camellia128, Camellia192, Camellia256>,
    expand_xts: Some(expand_xts_by_size::<Camellia128, Camellia192, Camellia256>),
};
