//! Serpent (Anderson, Biham and Knudsen 1998), bitsliced and so constant-time. A key of any length is padded; the kernel
//! takes shorter ones too.

use super::{Cipher, expand, expand_xts, sizes};
use ::serpent::Serpent;

pub(super) const SERPENT: Cipher = Cipher {
    name: "serpent",
    block_bytes: 16,
    key_bytes: &sizes::<17>(16, 1),
    expand: expand::<Serpent>,
    expand_xts: Some(expand_xts::<Serpent>),
};
