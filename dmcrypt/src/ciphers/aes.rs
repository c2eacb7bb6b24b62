//! AES (FIPS 197).

use super::{BlockCipher, Cipher};
use crate::aes_xts;
use aes::{Aes128, Aes192, Aes256};
use cipher::KeyInit;

pub(super) const AES: Cipher = Cipher {
    name: "aes",
    block_bytes: 16,
    key_bytes: &[16, 24, 32],
    expand,
    expand_xts: Some(aes_xts::choose_kernel),
};

fn expand(key: &[u8]) -> Box<dyn BlockCipher> {
    const CHECKED: &str = "the length was matched";
    match key.len() {
        16 => Box::new(Aes128::new_from_slice(key).expect(CHECKED)),
        24 => Box::new(Aes192::new_from_slice(key).expect(CHECKED)),
        32 => Box::new(Aes256::new_from_slice(key).expect(CHECKED)),
        bytes => panic!("AES has no key of {bytes} bytes"),
    }
}
