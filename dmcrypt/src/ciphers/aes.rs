//! AES (FIPS 197).

use super::{Cipher, expand_by_size};
use crate::aes_xts;
use ::aes::{Aes128, Aes192, Aes256};

pub(super) const AES: Cipher = Cipher {
    name: "aes",
    block_bytes: 16,
    key_bytes: &[16, 24, 32],
    expand: expand_by_size::<Aes128, Aes192, Aes256>,
    expand_xts: Some(aes_xts::choose_kernel),
};
