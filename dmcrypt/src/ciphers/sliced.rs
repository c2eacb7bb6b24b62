//! A cipher of bytes on the vectors of the processor: 64 blocks at once, of which each vector holds one byte.

use super::own::{OneBlock, Own};
use crate::{
    expand::NamedCode,
    kernels::{
        PORTABLE,
        bytes::{Bytes, BytesWork},
    },
};
use ::cipher::{
    Block, BlockCipherDecBackend, BlockCipherDecClosure, BlockCipherDecrypt, BlockCipherEncBackend,
    BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, InOut, InvalidLength, Key, KeyInit,
    KeySizeUser, ParBlocks, ParBlocksSizeUser,
    consts::{U16, U64},
    inout::InOutBuf,
};
use core::marker::PhantomData;

#[cfg(target_arch = "x86_64")]
use crate::low::x86_64::cpu::Gfni512;

/// Vectors of bytes that this processor has.
#[derive(Clone, Copy)]
enum ByteVectors {
    /// None that would do: the portable code, which is the model of the others.
    Portable,
    #[cfg(target_arch = "x86_64")]
    Gfni512(Gfni512),
}

impl ByteVectors {
    /// The widest.
    fn widest() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(token) = Gfni512::new() {
            return Self::Gfni512(token);
        }
        Self::Portable
    }

    fn name(self) -> &'static str {
        match self {
            Self::Portable => PORTABLE,
            #[cfg(target_arch = "x86_64")]
            Self::Gfni512(_) => "gfni-avx512",
        }
    }
}

/// A cipher that also works on the bytes of many blocks.
pub(super) trait OfBytes: OneBlock<BlockSize = U16> {
    fn encrypt_bytes<B: Bytes>(&self, state: [B; 16]) -> [B; 16];

    fn decrypt_bytes<B: Bytes>(&self, state: [B; 16]) -> [B; 16];
}

/// The cipher with the traits of the cipher crate.
pub(super) struct Sliced<C> {
    cipher: Own<C>,
    vectors: ByteVectors,
}

impl<C: OfBytes> Sliced<C> {
    fn by(vectors: ByteVectors, key: &[u8]) -> Option<Self> {
        C::expand(key).map(|cipher| Self {
            cipher: Own(cipher),
            vectors,
        })
    }
}

impl<C: OfBytes> NamedCode for Sliced<C> {
    fn code() -> &'static str {
        ByteVectors::widest().name()
    }
}

impl<C: OfBytes> KeySizeUser for Sliced<C> {
    type KeySize = C::KeySize;
}

impl<C: OfBytes> KeyInit for Sliced<C> {
    fn new(key: &Key<Self>) -> Self {
        Self::by(ByteVectors::widest(), key).expect("the longest key is a key")
    }

    fn new_from_slice(key: &[u8]) -> Result<Self, InvalidLength> {
        Self::by(ByteVectors::widest(), key).ok_or(InvalidLength)
    }
}

impl<C: OfBytes> BlockSizeUser for Sliced<C> {
    type BlockSize = U16;
}

/// One direction of a cipher over vectors.
struct Backend<'a, C, B: Bytes> {
    cipher: &'a C,
    token: B::Token,
    bytes: PhantomData<fn(B)>,
}

impl<C, B: Bytes> BlockSizeUser for Backend<'_, C, B> {
    type BlockSize = U16;
}

impl<C, B: Bytes> ParBlocksSizeUser for Backend<'_, C, B> {
    type ParBlocksSize = U64;
}

/// Up to so many blocks are done faster one by one.
const FEW: usize = 2;

/// The traits of the cipher crate in one direction.
macro_rules! direction {
    (
        $cipher:ident, $with:ident, $closure:ident, $backend:ident, $block:ident, $par:ident, $tail:ident, $one:ident,
        $many:ident, $work:ident
    ) => {
        impl<C: OfBytes> $cipher for Sliced<C> {
            #[inline]
            fn $with(&self, f: impl $closure<BlockSize = U16>) {
                match self.vectors {
                    ByteVectors::Portable => self.cipher.$with(f),
                    #[cfg(target_arch = "x86_64")]
                    ByteVectors::Gfni512(token) => token.run($work(&self.cipher.0, f)),
                }
            }
        }

        #[cfg(target_arch = "x86_64")]
        struct $work<'a, C, F>(&'a C, F);

        #[cfg(target_arch = "x86_64")]
        impl<C: OfBytes, F: $closure<BlockSize = U16>> BytesWork for $work<'_, C, F> {
            #[inline(always)]
            fn run<B: Bytes>(self, token: B::Token) {
                let $work(cipher, f) = self;
                f.call(&Backend::<C, B> {
                    cipher,
                    token,
                    bytes: PhantomData,
                });
            }
        }

        impl<C: OfBytes, B: Bytes> $backend for Backend<'_, C, B> {
            #[inline(always)]
            fn $block(&self, mut block: InOut<'_, '_, Block<Self>>) {
                let mut copy = block.clone_in();
                self.cipher.$one(&mut copy);
                *block.get_out() = copy;
            }

            #[inline(always)]
            fn $par(&self, mut blocks: InOut<'_, '_, ParBlocks<Self>>) {
                let state = self.cipher.$many(B::load(self.token, blocks.get_in()));
                B::store(state, blocks.get_out());
            }

            #[inline(always)]
            fn $tail(&self, mut blocks: InOutBuf<'_, '_, Block<Self>>) {
                let count = blocks.len();
                if count > FEW {
                    let mut padded = ParBlocks::<Self>::default();
                    padded[..count].copy_from_slice(blocks.get_in());
                    self.$par((&mut padded).into());
                    blocks.get_out().copy_from_slice(&padded[..count]);
                } else {
                    for block in blocks {
                        self.$block(block);
                    }
                }
            }
        }
    };
}

direction!(
    BlockCipherEncrypt,
    encrypt_with_backend,
    BlockCipherEncClosure,
    BlockCipherEncBackend,
    encrypt_block,
    encrypt_par_blocks,
    encrypt_tail_blocks,
    encrypt,
    encrypt_bytes,
    Encrypting
);
direction!(
    BlockCipherDecrypt,
    decrypt_with_backend,
    BlockCipherDecClosure,
    BlockCipherDecBackend,
    decrypt_block,
    decrypt_par_blocks,
    decrypt_tail_blocks,
    decrypt,
    decrypt_bytes,
    Decrypting
);

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use ::cipher::Array;

    /// Every number of blocks up to two vectors and one, by the vectors that the processor has, against the portable code.
    pub(in crate::ciphers) fn vectors_are_the_portable_code<C: OfBytes>(key_bytes: usize) {
        let mut bytes = (0_u32..).map(|at| at.wrapping_mul(0x9e37_79b9).to_be_bytes()[0]);
        let key: Vec<u8> = bytes.by_ref().take(key_bytes).collect();
        let plain: Vec<Block<Sliced<C>>> = (0..129)
            .map(|_| Array::from_fn(|_| bytes.next().expect("there are always more")))
            .collect();
        let portable = Sliced::<C>::by(ByteVectors::Portable, &key).unwrap();
        let mut expected = plain.clone();
        for block in &mut expected {
            portable.encrypt_block(block);
        }
        for vectors in [ByteVectors::Portable, ByteVectors::widest()] {
            let sliced = Sliced::<C>::by(vectors, &key).unwrap();
            for count in 0..=plain.len() {
                let mut blocks = plain[..count].to_vec();
                sliced.encrypt_blocks(&mut blocks);
                assert_eq!(blocks, expected[..count], "{} of {count}", vectors.name());
                sliced.decrypt_blocks(&mut blocks);
                assert_eq!(blocks, plain[..count], "{} of {count}", vectors.name());
            }
        }
    }
}
