//! Words of many blocks in vectors: a cipher that is made of operations on words is written once, over [`Lanes`], and runs
//! on as many blocks at once as a vector has words.

use cipher::{
    Array,
    array::ArraySize,
    consts::{U1, U16},
};

/// A word of each of some blocks. All operations are those of `u32`, on each by itself.
pub(crate) trait Lanes: Copy {
    /// What proves that the processor has such vectors.
    type Token: Copy;
    /// How many.
    type Count: ArraySize;

    /// The four little-endian words of each block.
    fn load(token: Self::Token, blocks: &Array<Array<u8, U16>, Self::Count>) -> [Self; 4];

    fn store(words: [Self; 4], blocks: &mut Array<Array<u8, U16>, Self::Count>);

    /// The same word for each, of which there is one already.
    fn each(self, word: u32) -> Self;

    fn xor(self, other: Self) -> Self;
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    /// `other` without the bits that are set here.
    fn without_in(self, other: Self) -> Self;
    fn not(self) -> Self;
    fn left<const BITS: i32>(self) -> Self;
    fn turned_left<const BITS: i32>(self) -> Self;
    fn turned_right<const BITS: i32>(self) -> Self;
}

impl Lanes for u32 {
    type Token = ();
    type Count = U1;

    #[inline]
    fn load((): (), blocks: &Array<Array<u8, U16>, U1>) -> [u32; 4] {
        let words = blocks.0[0].as_chunks().0;
        std::array::from_fn(|index| u32::from_le_bytes(words[index]))
    }

    #[inline]
    fn store(words: [u32; 4], blocks: &mut Array<Array<u8, U16>, U1>) {
        for (bytes, word) in blocks.0[0].as_chunks_mut().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
    }

    #[inline]
    fn each(self, word: u32) -> Self {
        word
    }

    #[inline]
    fn xor(self, other: Self) -> Self {
        self ^ other
    }

    #[inline]
    fn and(self, other: Self) -> Self {
        self & other
    }

    #[inline]
    fn or(self, other: Self) -> Self {
        self | other
    }

    #[inline]
    fn without_in(self, other: Self) -> Self {
        !self & other
    }

    #[inline]
    fn not(self) -> Self {
        !self
    }

    #[inline]
    fn left<const BITS: i32>(self) -> Self {
        self << BITS.unsigned_abs()
    }

    #[inline]
    fn turned_left<const BITS: i32>(self) -> Self {
        self.rotate_left(BITS.unsigned_abs())
    }

    #[inline]
    fn turned_right<const BITS: i32>(self) -> Self {
        self.rotate_right(BITS.unsigned_abs())
    }
}

/// A cipher of 16-byte blocks that is made of operations on words.
pub(crate) trait OfWords: Sized + Send + Sync {
    /// Bytes in the longest key.
    type KeySize: ArraySize;

    /// The cipher with its round keys, or `None` when it takes no key of this length.
    fn expand(key: &[u8]) -> Option<Self>;

    fn encrypt<L: Lanes>(&self, words: [L; 4]) -> [L; 4];

    fn decrypt<L: Lanes>(&self, words: [L; 4]) -> [L; 4];
}

/// What is done with lanes of any width.
pub(crate) trait Work {
    /// Must be `inline(always)`, with all that it calls: it is compiled for the vectors by being part of a function that is.
    fn run<L: Lanes>(self, token: L::Token);
}
