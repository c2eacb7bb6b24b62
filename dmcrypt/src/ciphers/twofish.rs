//! Twofish (Schneier and others 1998). Not constant-time: the crate looks tables up.

use super::{Cipher, expand, expand_xts};
use ::twofish::Twofish;

pub(super) const TWOFISH: Cipher = Cipher {
    name: "twofish",
    block_bytes: 16,
    key_bytes: &[16, 24, 32],
    expand: expand::<Twofish>,
    expand_xts: Some(expand_xts::<Twofish>),
};
