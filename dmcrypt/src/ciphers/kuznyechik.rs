//! Kuznyechik (GOST R 34.12-2015, RFC 7801). Linux has it out of tree only: proven by published vectors only.

use super::{Cipher, expand, expand_xts};
use ::kuznyechik::Kuznyechik;

pub(super) const KUZNYECHIK: Cipher = Cipher {
    name: "kuznyechik",
    block_bytes: 16,
    key_bytes: &[32],
    expand: expand::<Kuznyechik>,
    expand_xts: Some(expand_xts::<Kuznyechik>),
};
