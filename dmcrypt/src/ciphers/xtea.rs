//! XTEA (Needham and Wheeler 1997), of little-endian words as in the kernel.

use super::{Cipher, expand};
use ::xtea::Xtea;

pub(super) const XTEA: Cipher = Cipher {
    name: "xtea",
    block_bytes: 8,
    key_bytes: &[16],
    expand: expand::<Xtea>,
    expand_xts: None,
};
