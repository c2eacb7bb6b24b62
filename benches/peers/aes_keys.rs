//! What the peers over the aes crate share: a cipher for the key's size, and the halves of a key of XTS.

use aes::cipher::consts::U16;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, BlockSizeUser, KeyInit};
use aes::{Aes128, Aes192, Aes256};

use super::{CipherWork, Pass};

/// AES with a key of one of the sizes.
pub trait Aes:
    BlockCipherDecrypt + BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit + 'static
{
}

impl Aes for Aes128 {}
impl Aes for Aes192 {}
impl Aes for Aes256 {}

/// Somebody's XTS over it.
pub trait Xts {
    /// The work by the ciphers for data and tweaks.
    fn pass<C: Aes>(data: C, tweak: C, work: CipherWork<'_>) -> Pass;
}

/// The work by that XTS.
pub fn pass_by<X: Xts>(work: CipherWork<'_>) -> Pass {
    match work.aes_bits() {
        128 => keyed::<X, Aes128>(work),
        192 => keyed::<X, Aes192>(work),
        _ => keyed::<X, Aes256>(work),
    }
}

fn keyed<X: Xts, C: Aes>(work: CipherWork<'_>) -> Pass {
    let (data, tweak) = work.key.split_at(work.key.len() / 2);
    let [data, tweak] = [data, tweak]
        .map(|key| C::new_from_slice(key).expect("half of an XTS key is a key of AES"));
    X::pass(data, tweak, work)
}
