//! What the ciphers that are written here share: a few blocks pass through the rounds side by side, and they look like a
//! crate's.

use ::cipher::{
    Array, Block, BlockCipherDecBackend, BlockCipherDecClosure, BlockCipherDecrypt,
    BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, InOut,
    InvalidLength, Key, KeyInit, KeySizeUser, ParBlocks, ParBlocksSizeUser, array::ArraySize,
    consts::U4, typenum::Unsigned,
};

/// So many blocks are side by side: a table look-up takes as long as several are begun, and with more of them the words no
/// longer have a register each.
pub(super) const SIDE_BY_SIDE: usize = U4::USIZE;

/// A block cipher, by its two functions on a block.
pub(super) trait OneBlock: Send + Sized + Sync {
    /// Bytes in a block.
    type BlockSize: ArraySize;
    /// Bytes in the longest key.
    type KeySize: ArraySize;

    /// The cipher with its round keys, or `None` when it takes no key of this length.
    fn expand(key: &[u8]) -> Option<Self>;

    fn encrypt(&self, block: &mut Array<u8, Self::BlockSize>);

    fn decrypt(&self, block: &mut Array<u8, Self::BlockSize>);

    fn encrypt_side_by_side(&self, blocks: &mut [Array<u8, Self::BlockSize>; SIDE_BY_SIDE]) {
        for block in blocks {
            self.encrypt(block);
        }
    }

    fn decrypt_side_by_side(&self, blocks: &mut [Array<u8, Self::BlockSize>; SIDE_BY_SIDE]) {
        for block in blocks {
            self.decrypt(block);
        }
    }
}

/// The cipher with the traits of the cipher crate.
pub(super) struct Own<C>(pub(super) C);

impl<C: OneBlock> KeySizeUser for Own<C> {
    type KeySize = C::KeySize;
}

impl<C: OneBlock> KeyInit for Own<C> {
    fn new(key: &Key<Self>) -> Self {
        Self(C::expand(key).expect("the longest key is a key"))
    }

    fn new_from_slice(key: &[u8]) -> Result<Self, InvalidLength> {
        C::expand(key).map(Self).ok_or(InvalidLength)
    }
}

impl<C: OneBlock> BlockSizeUser for Own<C> {
    type BlockSize = C::BlockSize;
}

impl<C: OneBlock> ParBlocksSizeUser for Own<C> {
    type ParBlocksSize = U4;
}

impl<C: OneBlock> BlockCipherEncrypt for Own<C> {
    fn encrypt_with_backend(&self, f: impl BlockCipherEncClosure<BlockSize = C::BlockSize>) {
        f.call(self);
    }
}

impl<C: OneBlock> BlockCipherEncBackend for Own<C> {
    fn encrypt_block(&self, mut block: InOut<'_, '_, Block<Self>>) {
        let mut copy = block.clone_in();
        self.0.encrypt(&mut copy);
        *block.get_out() = copy;
    }

    fn encrypt_par_blocks(&self, mut blocks: InOut<'_, '_, ParBlocks<Self>>) {
        let mut copies = blocks.clone_in();
        self.0.encrypt_side_by_side(&mut copies.0);
        *blocks.get_out() = copies;
    }
}

impl<C: OneBlock> BlockCipherDecrypt for Own<C> {
    fn decrypt_with_backend(&self, f: impl BlockCipherDecClosure<BlockSize = C::BlockSize>) {
        f.call(self);
    }
}

impl<C: OneBlock> BlockCipherDecBackend for Own<C> {
    fn decrypt_block(&self, mut block: InOut<'_, '_, Block<Self>>) {
        let mut copy = block.clone_in();
        self.0.decrypt(&mut copy);
        *block.get_out() = copy;
    }

    fn decrypt_par_blocks(&self, mut blocks: InOut<'_, '_, ParBlocks<Self>>) {
        let mut copies = blocks.clone_in();
        self.0.decrypt_side_by_side(&mut copies.0);
        *blocks.get_out() = copies;
    }
}

/// N big-endian words.
///
/// # Panics
/// Unless `bytes` has 4 N bytes.
pub(super) fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    assert!(bytes.len() == 4 * N, "the words are all of it");
    core::array::from_fn(|index| u32::from_be_bytes(bytes.as_chunks().0[index]))
}

/// The opposite of [`words`].
pub(super) fn set_words<const N: usize>(bytes: &mut [u8], words: [u32; N]) {
    assert!(bytes.len() == 4 * N, "the words are all of it");
    for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
        *bytes = word.to_be_bytes();
    }
}
