//! Blowfish (Schneier 1993). Not constant-time: the crate looks tables up.

use super::{Cipher, expand, sizes};
use ::blowfish::Blowfish;

pub(super) const BLOWFISH: Cipher = Cipher {
    name: "blowfish",
    block_bytes: 8,
    key_bytes: &sizes::<53>(4, 1),
    expand: expand::<Blowfish>,
    expand_xts: None,
};
