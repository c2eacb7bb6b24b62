//! The table of block ciphers. A new cipher is a row here and a file in `ciphers/`.

mod aes;

use crate::kernels::{cbc::Chains, xts::XtsKernel};
use cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt};

/// A block cipher that is built here.
pub(crate) struct Cipher {
    /// dm-crypt's name.
    pub(crate) name: &'static str,
    /// Bytes in one block.
    pub(crate) block_bytes: usize,
    /// The sizes of key that it takes, in bytes.
    pub(crate) key_bytes: &'static [usize],
    /// The cipher with a key of one of these sizes.
    pub(crate) expand: fn(key: &[u8]) -> Box<dyn BlockCipher>,
    /// XTS with the key of the data and the key of the tweaks, each of one of these sizes; `None` unless a block has 16
    /// bytes.
    pub(crate) expand_xts: Option<ExpandXts>,
}

type ExpandXts = fn(data_key: &[u8], tweak_key: &[u8]) -> Box<dyn XtsKernel>;

const BUILT: &[Cipher] = &[aes::AES];

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

    /// CBC over several chains of `chain_bytes` each, which fill `data` one after the other. `links` holds the IV of
    /// each, and its last block afterwards.
    fn encrypt_chains(&self, links: &mut [u8], chain_bytes: usize, data: &mut [u8]);
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
