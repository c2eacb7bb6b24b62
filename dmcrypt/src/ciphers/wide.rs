//! A cipher of words on the vectors of the processor: as many blocks at once as they have words.

use crate::{
    expand::NamedCode,
    kernels::{
        PORTABLE,
        lanes::{Lanes, OfWords, Work},
    },
};
use ::cipher::{
    Array, Block, BlockCipherDecBackend, BlockCipherDecClosure, BlockCipherDecrypt,
    BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, InOut,
    InvalidLength, Key, KeyInit, KeySizeUser, ParBlocks, ParBlocksSizeUser, consts::U16,
    inout::InOutBuf, typenum::Unsigned,
};
use core::marker::PhantomData;

#[cfg(target_arch = "x86_64")]
use crate::low::x86_64::cpu::{Avx2, Avx512};

/// Vectors that this processor has.
#[derive(Clone, Copy)]
pub(super) enum Vectors {
    /// One word: the model of the others.
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

impl Vectors {
    /// All, the widest last.
    pub(super) fn here() -> Vec<Self> {
        let here = std::iter::once(Self::Portable);
        #[cfg(target_arch = "x86_64")]
        let here = here
            .chain(Avx2::new().map(Self::Avx2))
            .chain(Avx512::new().map(Self::Avx512));
        here.collect()
    }

    fn widest() -> Self {
        let here = Self::here();
        here[here.len() - 1]
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Portable => PORTABLE,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512",
        }
    }

    /// The work with lanes of this width, in a function that is compiled for them.
    fn run(self, work: impl Work) {
        match self {
            Self::Portable => work.run::<u32>(()),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(token) => token.run(work),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(token) => token.run(work),
        }
    }
}

/// The cipher with the traits of the cipher crate.
pub(super) struct Wide<C> {
    cipher: C,
    vectors: Vectors,
}

impl<C: OfWords> Wide<C> {
    /// By these vectors; `None` when the cipher takes no key of this length.
    fn by(vectors: Vectors, key: &[u8]) -> Option<Self> {
        C::expand(key).map(|cipher| Self { cipher, vectors })
    }
}

impl<C: OfWords> NamedCode for Wide<C> {
    fn code() -> &'static str {
        Vectors::widest().name()
    }
}

impl<C: OfWords> KeySizeUser for Wide<C> {
    type KeySize = C::KeySize;
}

impl<C: OfWords> KeyInit for Wide<C> {
    fn new(key: &Key<Self>) -> Self {
        Self::by(Vectors::widest(), key).expect("the longest key is a key")
    }

    fn new_from_slice(key: &[u8]) -> Result<Self, InvalidLength> {
        Self::by(Vectors::widest(), key).ok_or(InvalidLength)
    }
}

impl<C: OfWords> BlockSizeUser for Wide<C> {
    type BlockSize = U16;
}

/// One direction of a cipher over lanes.
struct Backend<'a, C, L: Lanes> {
    cipher: &'a C,
    token: L::Token,
    lanes: PhantomData<fn(L)>,
}

impl<C, L: Lanes> BlockSizeUser for Backend<'_, C, L> {
    type BlockSize = U16;
}

impl<C, L: Lanes> ParBlocksSizeUser for Backend<'_, C, L> {
    type ParBlocksSize = L::Count;
}

/// The traits of the cipher crate in one direction: `$method` of the cipher, by a closure of `$closure`.
macro_rules! direction {
    (
        $cipher:ident, $with:ident, $closure:ident, $backend:ident, $block:ident, $par:ident, $tail:ident, $method:ident,
        $work:ident
    ) => {
        impl<C: OfWords> $cipher for Wide<C> {
            #[inline]
            fn $with(&self, f: impl $closure<BlockSize = U16>) {
                self.vectors.run($work(&self.cipher, f));
            }
        }

        struct $work<'a, C, F>(&'a C, F);

        impl<C: OfWords, F: $closure<BlockSize = U16>> Work for $work<'_, C, F> {
            #[inline(always)]
            fn run<L: Lanes>(self, token: L::Token) {
                let $work(cipher, f) = self;
                f.call(&Backend::<C, L> {
                    cipher,
                    token,
                    lanes: PhantomData,
                });
            }
        }

        impl<C: OfWords, L: Lanes> $backend for Backend<'_, C, L> {
            #[inline(always)]
            fn $block(&self, mut block: InOut<'_, '_, Block<Self>>) {
                let mut copy = Array([block.clone_in()]);
                u32::store(self.cipher.$method(u32::load((), &copy)), &mut copy);
                *block.get_out() = copy.0[0];
            }

            #[inline(always)]
            fn $par(&self, mut blocks: InOut<'_, '_, ParBlocks<Self>>) {
                let words = self.cipher.$method(L::load(self.token, blocks.get_in()));
                L::store(words, blocks.get_out());
            }

            #[inline(always)]
            fn $tail(&self, mut blocks: InOutBuf<'_, '_, Block<Self>>) {
                // A vector takes as long as a block does, whatever is in it.
                let count = blocks.len();
                if L::Count::USIZE > 1 && count > 1 {
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
    Decrypting
);

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Every number of blocks up to two vectors and one, by every vector that the processor has, against one word.
    pub(in crate::ciphers) fn each_width_is_the_portable_one<C: OfWords>(key_bytes: usize) {
        let mut bytes = (0_u32..).map(|at| at.wrapping_mul(0x9e37_79b9).to_be_bytes()[0]);
        let key: Vec<u8> = bytes.by_ref().take(key_bytes).collect();
        let plain: Vec<Block<Wide<C>>> = (0..65)
            .map(|_| Array::from_fn(|_| bytes.next().expect("there are always more")))
            .collect();
        let one = Wide::<C>::by(Vectors::Portable, &key).unwrap();
        let mut expected = plain.clone();
        for block in &mut expected {
            one.encrypt_block(block);
        }
        for vectors in Vectors::here() {
            let wide = Wide::<C>::by(vectors, &key).unwrap();
            for count in 0..=plain.len() {
                let mut blocks = plain[..count].to_vec();
                wide.encrypt_blocks(&mut blocks);
                assert_eq!(blocks, expected[..count], "{} of {count}", vectors.name());
                wide.decrypt_blocks(&mut blocks);
                assert_eq!(blocks, plain[..count], "{} of {count}", vectors.name());
            }
        }
    }
}
