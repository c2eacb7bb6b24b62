//! The table of block ciphers. A new cipher is a row here and a file in `ciphers/`.

mod aes;
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
mod sm4;
mod tea;
mod twofish;
mod xtea;

use crate::{
    AesKernel,
    kernels::{
        PORTABLE,
        cbc::Chains,
        xor,
        xts::{Batched, XtsKernel},
    },
    low::pages::Locked,
};
use ::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

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

/// A block cipher with its key, called for many blocks at once.
pub(crate) trait BlockCipher: Send + Sync {
    /// Each block on its own. Panics unless `blocks` is a whole number of them.
    fn encrypt_blocks(&self, blocks: &mut [u8]);

    /// Each block on its own. Panics unless `blocks` is a whole number of them.
    fn decrypt_blocks(&self, blocks: &mut [u8]);

    /// D(block) ^ mask for each block.
    fn decrypt_under(&self, masks: &[u8], blocks: &mut [u8]) {
        self.decrypt_blocks(blocks);
        xor(blocks, masks);
    }

    /// CBC over several chains of `chain_bytes` each, which fill `data` one after the other. `links` holds the IV of
    /// each, and its last block afterwards.
    fn encrypt_chains(&self, links: &mut [u8], chain_bytes: usize, data: &mut [u8]);

    /// The name of the code for people.
    fn kernel(&self) -> &'static str {
        PORTABLE
    }
}

impl<C: BlockCipherDecrypt + BlockCipherEncrypt + Send + Sync> BlockCipher for C {
    fn encrypt_blocks(&self, blocks: &mut [u8]) {
        let (blocks, rest) = Array::slice_as_chunks_mut(blocks);
        assert!(rest.is_empty(), "a whole number of blocks");
        BlockCipherEncrypt::encrypt_blocks(self, blocks);
    }

    fn decrypt_blocks(&self, blocks: &mut [u8]) {
        let (blocks, rest) = Array::slice_as_chunks_mut(blocks);
        assert!(rest.is_empty(), "a whole number of blocks");
        BlockCipherDecrypt::decrypt_blocks(self, blocks);
    }

    fn encrypt_chains(&self, links: &mut [u8], chain_bytes: usize, data: &mut [u8]) {
        let (links, rest) = Array::slice_as_chunks_mut(links);
        assert!(
            rest.is_empty() && data.len() == links.len() * chain_bytes,
            "one IV for each chain"
        );
        self.encrypt_with_backend(Chains {
            links,
            chain_bytes,
            data,
        });
    }
}

/// What is locked is its keys.
impl<C: BlockCipher> BlockCipher for Locked<C> {
    fn encrypt_blocks(&self, blocks: &mut [u8]) {
        (**self).encrypt_blocks(blocks);
    }

    fn decrypt_blocks(&self, blocks: &mut [u8]) {
        (**self).decrypt_blocks(blocks);
    }

    fn decrypt_under(&self, masks: &[u8], blocks: &mut [u8]) {
        (**self).decrypt_under(masks, blocks);
    }

    fn encrypt_chains(&self, links: &mut [u8], chain_bytes: usize, data: &mut [u8]) {
        (**self).encrypt_chains(links, chain_bytes, data);
    }

    fn kernel(&self) -> &'static str {
        (**self).kernel()
    }
}

/// [`Cipher::expand`] of a type that takes every size of key.
///
/// # Panics
/// When it does not take this one.
fn expand<C: BlockCipher + KeyInit + 'static>(key: &[u8]) -> Box<dyn BlockCipher> {
    let cipher = C::new_from_slice(key).expect("the length of the key was checked");
    Box::new(Locked::new(cipher))
}

/// [`Cipher::expand_xts`] of such a type.
///
/// # Panics
/// When it does not take keys of these sizes.
fn expand_xts<C>(data_key: &[u8], tweak_key: &[u8]) -> Box<dyn XtsKernel>
where
    C: KeyInit + 'static,
    Batched<C>: XtsKernel,
{
    Box::new(Locked::new(Batched::<C>::new(data_key, tweak_key)))
}

/// [`Cipher::expand`] of three types, for keys of 16, 24 and 32 bytes.
///
/// # Panics
/// When the key has another size.
pub(crate) fn expand_by_size<C128, C192, C256>(key: &[u8]) -> Box<dyn BlockCipher>
where
    C128: BlockCipher + KeyInit + 'static,
    C192: BlockCipher + KeyInit + 'static,
    C256: BlockCipher + KeyInit + 'static,
{
    match key.len() {
        16 => expand::<C128>(key),
        24 => expand::<C192>(key),
        32 => expand::<C256>(key),
        bytes => panic!("there is no key of {bytes} bytes"),
    }
}

/// [`Cipher::expand_xts`] of such types.
///
/// # Panics
/// When the keys have another size.
pub(crate) fn expand_xts_by_size<C128, C192, C256>(
    data_key: &[u8],
    tweak_key: &[u8],
) -> Box<dyn XtsKernel>
where
    C128: KeyInit + 'static,
    C192: KeyInit + 'static,
    C256: KeyInit + 'static,
    Batched<C128>: XtsKernel,
    Batched<C192>: XtsKernel,
    Batched<C256>: XtsKernel,
{
    match data_key.len() {
        16 => expand_xts::<C128>(data_key, tweak_key),
        24 => expand_xts::<C192>(data_key, tweak_key),
        32 => expand_xts::<C256>(data_key, tweak_key),
        bytes => panic!("there is no key of {bytes} bytes"),
    }
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
