//! The table of block ciphers. A new cipher is a row here and a file in `ciphers/`.

mod aes;
mod affine;
mod anubis;
mod aria;
mod blowfish;
mod camellia;
mod cast5;
mod cast6;
mod des3_ede;
mod galois;
mod involution;
mod khazad;
mod kuznyechik;
mod own;
mod seed;
mod serpent;
mod sliced;
mod sm4;
mod tea;
mod twofish;
mod wide;
mod xtea;

use crate::{
    AesKernel,
    expand::{
        expand, expand_by_size, expand_named, expand_xts, expand_xts_by_size, expand_xts_named,
    },
    kernels::{block::BlockCipher, xts::XtsKernel},
};

/// A block cipher that is built here.
pub(crate) struct Cipher {
    /// dm-crypt's name.
    pub(crate) name: &'static str,
    /// Bytes in one block.
    pub(crate) block_bytes: usize,
    /// The sizes of key that it takes, in bytes, the smallest first.
    pub(crate) key_bytes: &'static [usize],
    /// The cipher with a key of one of these sizes.
    pub(crate) expand: fn(key: &[u8]) -> Box<dyn BlockCipher>,
    /// XTS with the key of the data and the key of the tweaks, each of one of these sizes; `None` unless a block has 16
    /// bytes.
    pub(crate) expand_xts: Option<ExpandXts>,
}

type ExpandXts = fn(data_key: &[u8], tweak_key: &[u8]) -> Box<dyn XtsKernel>;

const BUILT: &[Cipher] = &[
    aes::AES,
    anubis::ANUBIS,
    aria::ARIA,
    blowfish::BLOWFISH,
    camellia::CAMELLIA,
    cast5::CAST5,
    cast6::CAST6,
    des3_ede::DES3_EDE,
    khazad::KHAZAD,
    kuznyechik::KUZNYECHIK,
    seed::SEED,
    serpent::SERPENT,
    sm4::SM4,
    tea::TEA,
    twofish::TWOFISH,
    xtea::XTEA,
];

/// AES by that code.
pub(crate) fn aes_by(kernel: AesKernel) -> &'static Cipher {
    &aes::BY_RANK[kernel.rank()]
}

/// The cipher that dm-crypt calls `name`, if it is built here.
pub(crate) fn find(name: &str) -> Option<&'static Cipher> {
    BUILT.iter().find(|cipher| cipher.name == name)
}

/// N sizes of key, `first`, `first + step` and so on.
const fn sizes<const N: usize>(first: usize, step: usize) -> [usize; N] {
    let mut sizes = [first; N];
    let mut index = 1;
    while index < N {
        sizes[index] = sizes[index - 1] + step;
        index += 1;
    }
    sizes
}
