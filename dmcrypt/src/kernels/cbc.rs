//! CBC (SP 800-38A, 6.2), the encryption of several chains at once.

use super::xor;
use cipher::{
    Array, BlockCipherEncBackend, BlockCipherEncClosure, BlockSizeUser, array::ArraySize,
    inout::InOutBuf,
};

/// The encryption of several chains side by side. It runs inside the cipher's own function, so that the keys are set up
/// once for all blocks.
pub(crate) struct Chains<'a, B: ArraySize> {
    /// The IV of each chain, and then its last block of ciphertext.
    pub(crate) links: &'a mut [Array<u8, B>],
    /// The length of each chain in bytes.
    pub(crate) chain_bytes: usize,
    /// The chains, one after the other.
    pub(crate) data: &'a mut [u8],
}

impl<B: ArraySize> BlockSizeUser for Chains<'_, B> {
    type BlockSize = B;
}

impl<B: ArraySize> BlockCipherEncClosure for Chains<'_, B> {
    #[expect(
        clippy::inline_always,
        reason = "it must be compiled for the processor that the cipher found"
    )]
    #[inline(always)]
    fn call<E: BlockCipherEncBackend<BlockSize = B>>(self, backend: &E) {
        for at in (0..self.chain_bytes).step_by(B::USIZE) {
            for (link, chain) in self
                .links
                .iter_mut()
                .zip(self.data.chunks_exact(self.chain_bytes))
            {
                xor(link, &chain[at..at + B::USIZE]);
            }
            let (wide, tail) = InOutBuf::from(&mut *self.links).into_chunks();
            for blocks in wide {
                backend.encrypt_par_blocks(blocks);
            }
            backend.encrypt_tail_blocks(tail);
            for (link, chain) in self
                .links
                .iter()
                .zip(self.data.chunks_exact_mut(self.chain_bytes))
            {
                chain[at..at + B::USIZE].copy_from_slice(link);
            }
        }
    }
}
