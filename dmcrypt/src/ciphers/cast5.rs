//! CAST-128 (RFC 2144). Not constant-time: the crate looks tables up.

use super::{Cipher, expand, sizes};
use ::cast5::Cast5;

pub(super) const CAST5: Cipher = Cipher {
    name: "cast5",
    block_bytes: 8,
    key_bytes: &sizes::<12>(5, 1),
    expand: expand::<Cast5>,
    expand_xts: None,
};
