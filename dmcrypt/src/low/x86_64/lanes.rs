//! [`Lanes`] in vectors of 8 and of 32 words.

#![expect(
    clippy::cast_ptr_alignment,
    reason = "loads and stores here are those that need none"
)]
#![expect(
    clippy::inline_always,
    reason = "what is inlined into a function is compiled for the instructions that the function has"
)]

use super::cpu::{Avx2, Avx512};
use crate::kernels::lanes::{Lanes, Work};
use cipher::{
    Array,
    consts::{U8, U16, U32},
};
use std::arch::x86_64::{
    __m256i, __m512i, _mm_cvtsi32_si128, _mm256_and_si256, _mm256_andnot_si256, _mm256_loadu_si256,
    _mm256_or_si256, _mm256_set1_epi32, _mm256_sll_epi32, _mm256_slli_epi32, _mm256_srl_epi32,
    _mm256_srli_epi32, _mm256_storeu_si256, _mm256_unpackhi_epi32, _mm256_unpackhi_epi64,
    _mm256_unpacklo_epi32, _mm256_unpacklo_epi64, _mm256_xor_si256, _mm512_and_si512,
    _mm512_andnot_si512, _mm512_loadu_si512, _mm512_or_si512, _mm512_rol_epi32, _mm512_ror_epi32,
    _mm512_set1_epi32, _mm512_sll_epi32, _mm512_storeu_si512, _mm512_unpackhi_epi32,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64, _mm512_xor_si512,
};

impl Avx2 {
    /// The work, compiled for these instructions.
    pub(crate) fn run(self, work: impl Work) {
        #[target_feature(enable = "avx2,bmi1,bmi2")]
        fn inner(token: Avx2, work: impl Work) {
            work.run::<Ymm>(token);
        }
        // SAFETY: the token says that the processor has these instructions.
        unsafe { inner(self, work) }
    }
}

impl Avx512 {
    /// The work, compiled for these instructions.
    pub(crate) fn run(self, work: impl Work) {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi1,bmi2")]
        fn inner(token: Avx512, work: impl Work) {
            work.run::<TwoZmm>(token);
        }
        // SAFETY: the token says that the processor has these instructions.
        unsafe { inner(self, work) }
    }
}

/// Eight words.
#[derive(Clone, Copy)]
pub(crate) struct Ymm(__m256i);

/// Two vectors of sixteen words, so that while one waits for its own result the other is worked on.
#[derive(Clone, Copy)]
pub(crate) struct TwoZmm([__m512i; 2]);

/// The four words of the blocks in four vectors, which lie one after the other; the same back.
macro_rules! transposed {
    ($rows:expr, $low32:ident, $high32:ident, $low64:ident, $high64:ident) => {{
        let [r0, r1, r2, r3] = $rows;
        let (a, b, c, d) = (
            $low32(r0, r1),
            $high32(r0, r1),
            $low32(r2, r3),
            $high32(r2, r3),
        );
        [$low64(a, c), $high64(a, c), $low64(b, d), $high64(b, d)]
    }};
}

// SAFETY of every block here: a value of these types is made by `load` alone, or of another value; `load` takes the token,
// which says that the processor has these instructions. What is loaded and stored is an array of just these bytes.
impl Lanes for Ymm {
    type Token = Avx2;
    type Count = U8;

    #[inline(always)]
    fn load(_token: Avx2, blocks: &Array<Array<u8, U16>, U8>) -> [Self; 4] {
        let rows = blocks.as_ptr().cast::<__m256i>();
        unsafe {
            let rows = std::array::from_fn(|row| _mm256_loadu_si256(rows.add(row)));
            transposed!(
                rows,
                _mm256_unpacklo_epi32,
                _mm256_unpackhi_epi32,
                _mm256_unpacklo_epi64,
                _mm256_unpackhi_epi64
            )
            .map(Self)
        }
    }

    #[inline(always)]
    fn store(words: [Self; 4], blocks: &mut Array<Array<u8, U16>, U8>) {
        let rows = blocks.as_mut_ptr().cast::<__m256i>();
        unsafe {
            let words = words.map(|word| word.0);
            let words: [__m256i; 4] = transposed!(
                words,
                _mm256_unpacklo_epi32,
                _mm256_unpackhi_epi32,
                _mm256_unpacklo_epi64,
                _mm256_unpackhi_epi64
            );
            for (row, word) in words.into_iter().enumerate() {
                _mm256_storeu_si256(rows.add(row), word);
            }
        }
    }

    #[inline(always)]
    fn each(self, word: u32) -> Self {
        Self(unsafe { _mm256_set1_epi32(word.cast_signed()) })
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        Self(unsafe { _mm256_xor_si256(self.0, other.0) })
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        Self(unsafe { _mm256_and_si256(self.0, other.0) })
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        Self(unsafe { _mm256_or_si256(self.0, other.0) })
    }

    #[inline(always)]
    fn without_in(self, other: Self) -> Self {
        Self(unsafe { _mm256_andnot_si256(self.0, other.0) })
    }

    #[inline(always)]
    fn not(self) -> Self {
        self.xor(self.each(u32::MAX))
    }

    #[inline(always)]
    fn left<const BITS: i32>(self) -> Self {
        Self(unsafe { _mm256_slli_epi32::<BITS>(self.0) })
    }

    #[inline(always)]
    fn turned_left<const BITS: i32>(self) -> Self {
        let right = unsafe { _mm256_srl_epi32(self.0, _mm_cvtsi32_si128(32 - BITS)) };
        self.left::<BITS>().or(Self(right))
    }

    #[inline(always)]
    fn turned_right<const BITS: i32>(self) -> Self {
        let left = unsafe { _mm256_sll_epi32(self.0, _mm_cvtsi32_si128(32 - BITS)) };
        Self(unsafe { _mm256_srli_epi32::<BITS>(self.0) }).or(Self(left))
    }
}

impl TwoZmm {
    #[inline(always)]
    fn both(self, other: Self, operation: impl Fn(__m512i, __m512i) -> __m512i) -> Self {
        let ([a0, a1], [b0, b1]) = (self.0, other.0);
        Self([operation(a0, b0), operation(a1, b1)])
    }
}

impl Lanes for TwoZmm {
    type Token = Avx512;
    type Count = U32;

    #[inline(always)]
    fn load(_token: Avx512, blocks: &Array<Array<u8, U16>, U32>) -> [Self; 4] {
        let rows = blocks.as_ptr().cast::<__m512i>();
        unsafe {
            let half = |first: usize| {
                let rows: [__m512i; 4] =
                    std::array::from_fn(|row| _mm512_loadu_si512(rows.add(first + row)));
                transposed!(
                    rows,
                    _mm512_unpacklo_epi32,
                    _mm512_unpackhi_epi32,
                    _mm512_unpacklo_epi64,
                    _mm512_unpackhi_epi64
                )
            };
            let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (half(0), half(4));
            [
                Self([a0, b0]),
                Self([a1, b1]),
                Self([a2, b2]),
                Self([a3, b3]),
            ]
        }
    }

    #[inline(always)]
    fn store(words: [Self; 4], blocks: &mut Array<Array<u8, U16>, U32>) {
        let rows = blocks.as_mut_ptr().cast::<__m512i>();
        unsafe {
            for half in 0..2 {
                let words = words.map(|word| word.0[half]);
                let words: [__m512i; 4] = transposed!(
                    words,
                    _mm512_unpacklo_epi32,
                    _mm512_unpackhi_epi32,
                    _mm512_unpacklo_epi64,
                    _mm512_unpackhi_epi64
                );
                for (row, word) in words.into_iter().enumerate() {
                    _mm512_storeu_si512(rows.add(4 * half + row), word);
                }
            }
        }
    }

    #[inline(always)]
    fn each(self, word: u32) -> Self {
        Self([unsafe { _mm512_set1_epi32(word.cast_signed()) }; 2])
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        self.both(other, |a, b| unsafe { _mm512_xor_si512(a, b) })
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        self.both(other, |a, b| unsafe { _mm512_and_si512(a, b) })
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        self.both(other, |a, b| unsafe { _mm512_or_si512(a, b) })
    }

    #[inline(always)]
    fn without_in(self, other: Self) -> Self {
        self.both(other, |a, b| unsafe { _mm512_andnot_si512(a, b) })
    }

    #[inline(always)]
    fn not(self) -> Self {
        self.xor(self.each(u32::MAX))
    }

    #[inline(always)]
    fn left<const BITS: i32>(self) -> Self {
        Self(
            self.0
                .map(|a| unsafe { _mm512_sll_epi32(a, _mm_cvtsi32_si128(BITS)) }),
        )
    }

    #[inline(always)]
    fn turned_left<const BITS: i32>(self) -> Self {
        Self(self.0.map(|a| unsafe { _mm512_rol_epi32::<BITS>(a) }))
    }

    #[inline(always)]
    fn turned_right<const BITS: i32>(self) -> Self {
        Self(self.0.map(|a| unsafe { _mm512_ror_epi32::<BITS>(a) }))
    }
}
