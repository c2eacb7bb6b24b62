//! Triple DES with three keys, encrypt, decrypt, encrypt (SP 800-67). Weak keys are taken, as in a kernel that is not in FIPS mode.

use super::{Cipher, expand};
use des::TdesEde3;

pub(super) const DES3_EDE: Cipher = Cipher {
    name: "des3_ede",
    block_bytes: 8,
    key_bytes: &[24],
    expand: expand::<TdesEde3>,
    expand_xts: None,
};
