//! A block cipher over many blocks, each on its own or in chains.

use super::{PORTABLE, cbc::Chains, xor};
use cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt};

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
