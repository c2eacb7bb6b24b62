//! [`Bytes`] of 64 blocks in vectors of 512 bits.
#![expect(
    clippy::cast_ptr_alignment,
    reason = "loads and stores here are those that need none"
)]
#![expect(
    clippy::inline_always,
    reason = "what is inlined into a function is compiled for the instructions that the function has"
)]

use super::cpu::Gfni512;
use crate::kernels::bytes::{Bytes, BytesWork};
use cipher::{
    Array,
    consts::{U16, U64},
};
use std::arch::x86_64::{
    __m512i, _mm512_and_si512, _mm512_gf2p8affine_epi64_epi8, _mm512_gf2p8affineinv_epi64_epi8,
    _mm512_loadu_si512, _mm512_or_si512, _mm512_set1_epi8, _mm512_set1_epi64, _mm512_storeu_si512,
    _mm512_unpackhi_epi8, _mm512_unpacklo_epi8, _mm512_xor_si512,
};

impl Gfni512 {
    /// The work, compiled for these instructions.
    pub(crate) fn run(self, work: impl BytesWork) {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,gfni,bmi1,bmi2")]
        fn inner(token: Gfni512, work: impl BytesWork) {
            work.run::<Zmm>(token);
        }
        // SAFETY: the token says that the processor has these instructions.
        unsafe { inner(self, work) }
    }
}

/// A byte of each of 64 blocks.
#[derive(Clone, Copy)]
pub(crate) struct Zmm(__m512i);

/// Rows to columns in each fourth of the vectors, and back: four times the first eight of them are shuffled into the others.
macro_rules! transposed {
    ($rows:expr) => {{
        let mut rows: [__m512i; 16] = $rows;
        for _ in 0..4 {
            let mut shuffled = rows;
            for pair in 0..8 {
                shuffled[2 * pair] = _mm512_unpacklo_epi8(rows[pair], rows[pair + 8]);
                shuffled[2 * pair + 1] = _mm512_unpackhi_epi8(rows[pair], rows[pair + 8]);
            }
            rows = shuffled;
        }
        rows
    }};
}

// SAFETY of every block here: a value of this type is made by `load` alone, or of another value; `load` takes the token,
// which says that the processor has these instructions. What is loaded and stored is an array of just these bytes.
impl Bytes for Zmm {
    type Token = Gfni512;

    #[inline(always)]
    fn load(_token: Gfni512, blocks: &Array<Array<u8, U16>, U64>) -> [Self; 16] {
        let rows = blocks.as_ptr().cast::<__m512i>();
        unsafe {
            let rows = std::array::from_fn(|row| _mm512_loadu_si512(rows.add(row)));
            transposed!(rows).map(Self)
        }
    }

    #[inline(always)]
    fn store(bytes: [Self; 16], blocks: &mut Array<Array<u8, U16>, U64>) {
        let rows = blocks.as_mut_ptr().cast::<__m512i>();
        unsafe {
            for (row, vector) in transposed!(bytes.map(|byte| byte.0))
                .into_iter()
                .enumerate()
            {
                _mm512_storeu_si512(rows.add(row), vector);
            }
        }
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        Self(unsafe { _mm512_xor_si512(self.0, other.0) })
    }

    #[inline(always)]
    fn xor_each(self, byte: u8) -> Self {
        Self(unsafe { _mm512_xor_si512(self.0, _mm512_set1_epi8(byte.cast_signed())) })
    }

    #[inline(always)]
    fn and_each(self, byte: u8) -> Self {
        Self(unsafe { _mm512_and_si512(self.0, _mm512_set1_epi8(byte.cast_signed())) })
    }

    #[inline(always)]
    fn or_each(self, byte: u8) -> Self {
        Self(unsafe { _mm512_or_si512(self.0, _mm512_set1_epi8(byte.cast_signed())) })
    }

    #[inline(always)]
    fn affine<const CONSTANT: i32>(self, matrix: u64) -> Self {
        let matrix = unsafe { _mm512_set1_epi64(matrix.cast_signed()) };
        Self(unsafe { _mm512_gf2p8affine_epi64_epi8::<CONSTANT>(self.0, matrix) })
    }

    #[inline(always)]
    fn inverse_affine<const CONSTANT: i32>(self, matrix: u64) -> Self {
        let matrix = unsafe { _mm512_set1_epi64(matrix.cast_signed()) };
        Self(unsafe { _mm512_gf2p8affineinv_epi64_epi8::<CONSTANT>(self.0, matrix) })
    }
}
