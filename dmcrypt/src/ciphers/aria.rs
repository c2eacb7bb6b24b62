//! ARIA (RFC 5794). No kernel of Debian has it: proven by published vectors only. Not constant-time: the crate looks tables up.

use super::{Cipher, expand_by_size, expand_xts_by_size};
use ::aria::{Aria128, Aria192, Aria256};

pub(super) const ARIA: Cipher = Cipher {
    name: "aria",
    block_bytes: 16,
    key_bytes: &[16, 24, 32],
    expand: expand_by_size::<Aria128, Aria192, Aria256>,
    expand_xts: Some(expand_xts_by_size::<Aria128, Aria192, Aria256>),
};
