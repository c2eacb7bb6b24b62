//! SM4 (GB/T 32907). No kernel of Debian 12 has it for user-mode-linux: proven by published vectors only.

use super::{Cipher, expand, expand_xts};
use ::sm4::Sm4;

pub(super) const SM4: Cipher = Cipher {
    name: "sm4",
    block_bytes: 16,
    key_bytes: &[16],
    expand: expand::<Sm4>,
    expand_xts: Some(expand_xts::<Sm4>),
};
