//! CAST-256 (RFC 2612). Not constant-time: the crate looks tables up.

use super::{Cipher, expand, expand_xts, sizes};
use ::cast6::Cast6;

pub(super) const CAST6: Cipher = Cipher {
    name: "cast6",
    block_bytes: 16,
    key_bytes: &sizes::<5>(16, 4),
    expand: expand::<Cast6>,
    expand_xts: Some(expand_xts::<Cast6>),
};
