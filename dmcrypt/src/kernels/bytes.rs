//! Bytes of many blocks in vectors: a cipher of byte substitutions is written once over [`Bytes`], where each value holds
//! the same byte of 64 blocks.

use cipher::{
    Array,
    consts::{U16, U64},
};

/// A byte of each of 64 blocks.
pub(crate) trait Bytes: Copy {
    /// What proves that the processor has such vectors, and the arithmetic of GF(2^8) on them.
    type Token: Copy;

    /// The sixteen bytes of each block.
    fn load(token: Self::Token, blocks: &Array<Array<u8, U16>, U64>) -> [Self; 16];

    fn store(bytes: [Self; 16], blocks: &mut Array<Array<u8, U16>, U64>);

    fn xor(self, other: Self) -> Self;
    fn xor_each(self, byte: u8) -> Self;
    fn and_each(self, byte: u8) -> Self;
    fn or_each(self, byte: u8) -> Self;

    /// The matrix times each byte, plus `CONSTANT`. Its highest byte is the row of bit 0 of the image.
    fn affine<const CONSTANT: i32>(self, matrix: u64) -> Self;

    /// The matrix times the inverse of each byte modulo x^8 + x^4 + x^3 + x + 1, plus `CONSTANT`; of 0 that is 0.
    fn inverse_affine<const CONSTANT: i32>(self, matrix: u64) -> Self;
}

/// What is done with bytes of many blocks.
pub(crate) trait BytesWork {
    /// Must be `inline(always)`, with all that it calls: it is compiled for the vectors by being part of a function that is.
    fn run<B: Bytes>(self, token: B::Token);
}
