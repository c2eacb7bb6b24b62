//! G in vectors of four words (AVX2) or eight (AVX-512), which hold a block in registers or nearly so.
//!
//! In the pass over columns a vector has words of several columns, so that nothing has to be brought together. In the pass
//! over rows it has words of one row, or of two that were brought together.

use std::arch::x86_64::{
    __m256i, __m512i, _mm256_add_epi64, _mm256_alignr_epi8, _mm256_load_si256, _mm256_mul_epu32,
    _mm256_permute4x64_epi64, _mm256_setr_epi8, _mm256_shuffle_epi8, _mm256_shuffle_epi32,
    _mm256_srli_epi64, _mm256_store_si256, _mm256_xor_si256, _mm512_add_epi64, _mm512_alignr_epi8,
    _mm512_load_si512, _mm512_mul_epu32, _mm512_permutex_epi64, _mm512_ror_epi64,
    _mm512_shuffle_i64x2, _mm512_store_si512, _mm512_xor_si512,
};
use std::ptr;

use super::Block;

/// The token `$token`, proof that the processor has `$features`, and G in a module `$module`, by the functions that `$vector`
/// has: load, store, XOR, add, product of lower halves, the upper word of each pair with the lower one of another vector;
/// `rotate_right` and `rows` stand in the block.
macro_rules! kernel {
    (
        $(#[$doc:meta])* $token:ident, $module:ident, $features:literal, [$($detected:tt),*], $vector:ident,
        $load:ident, $store:ident, $xor:ident, $add:ident, $multiply:ident, $align:ident, { $($own:item)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(super) struct $token(());

        impl $token {
            pub(super) fn new() -> Option<Self> {
                ($(is_x86_feature_detected!($detected))&&*).then_some(Self(()))
            }

            /// As [`Mixer::mix`](super::Mixer::mix).
            #[inline]
            pub(super) fn mix(self, x: &Block, y: &Block, out: &mut Block, xor: bool) {
                // SAFETY: the token says that the processor has these instructions.
                unsafe { $module::mix(x, y, out, xor) }
            }
        }

        mod $module {
            use super::*;

            /// Vectors of a row and of a block.
            const ROW: usize = 128 / size_of::<$vector>();
            const BLOCK: usize = 8 * ROW;

            #[target_feature(enable = $features)]
            pub(super) fn mix(x: &Block, y: &Block, out: &mut Block, xor: bool) {
                let x = ptr::from_ref(x).cast::<$vector>();
                let y = ptr::from_ref(y).cast::<$vector>();
                let out = ptr::from_mut(out).cast::<$vector>();
                // SAFETY: a block has so many vectors and is aligned for them; `i` is below their number.
                let load = |from: *const $vector, i: usize| unsafe { $load(from.add(i)) };
                // SAFETY: as above.
                let store = |i: usize, vector| unsafe { $store(out.add(i), vector) };
                let mut z: [$vector; BLOCK] = std::array::from_fn(|i| $xor(load(x, i), load(y, i)));
                for i in 0..BLOCK {
                    store(i, if xor { $xor(z[i], load(out, i)) } else { z[i] });
                }
                rows(&mut z);
                columns(&mut z);
                for i in 0..BLOCK {
                    store(i, $xor(z[i], load(out, i)));
                }
            }

            /// P over so many columns at once as a vector has pairs. A column is two vectors of each `a`, `b`, `c` and `d`.
            #[inline]
            #[target_feature(enable = $features)]
            fn columns(z: &mut [$vector; BLOCK]) {
                for i in 0..ROW {
                    let [mut a, mut a2, mut b, mut b2, mut c, mut c2, mut d, mut d2] =
                        std::array::from_fn(|row| z[row * ROW + i]);
                    quarter(&mut a, &mut b, &mut c, &mut d);
                    quarter(&mut a2, &mut b2, &mut c2, &mut d2);
                    (b, b2) = ($align::<8>(b2, b), $align::<8>(b, b2));
                    (d, d2) = ($align::<8>(d, d2), $align::<8>(d2, d));
                    quarter(&mut a, &mut b, &mut c2, &mut d);
                    quarter(&mut a2, &mut b2, &mut c, &mut d2);
                    (b, b2) = ($align::<8>(b, b2), $align::<8>(b2, b));
                    (d, d2) = ($align::<8>(d2, d), $align::<8>(d, d2));
                    for (row, vector) in [a, a2, b, b2, c, c2, d, d2].into_iter().enumerate() {
                        z[row * ROW + i] = vector;
                    }
                }
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn quarter(a: &mut $vector, b: &mut $vector, c: &mut $vector, d: &mut $vector) {
                *a = multiply_add(*a, *b);
                *d = rotate_right::<32>($xor(*d, *a));
                *c = multiply_add(*c, *d);
                *b = rotate_right::<24>($xor(*b, *c));
                *a = multiply_add(*a, *b);
                *d = rotate_right::<16>($xor(*d, *a));
                *c = multiply_add(*c, *d);
                *b = rotate_right::<63>($xor(*b, *c));
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn multiply_add(a: $vector, b: $vector) -> $vector {
                let product = $multiply(a, b);
                $add($add(a, b), $add(product, product))
            }

            $($own)*
        }
    };
}

kernel! {
    /// Vectors of eight words.
    Avx512, wide, "avx512f,avx512bw", ["avx512f", "avx512bw"], __m512i,
    _mm512_load_si512, _mm512_store_si512, _mm512_xor_si512, _mm512_add_epi64, _mm512_mul_epu32, _mm512_alignr_epi8,
    {
        #[inline]
        #[target_feature(enable = "avx512f")]
        fn rotate_right<const BITS: i32>(words: __m512i) -> __m512i {
            _mm512_ror_epi64::<BITS>(words)
        }

        /// P over two rows at once: the halves of their vectors are `a` and `b`, `c` and `d`.
        #[inline]
        #[target_feature(enable = "avx512f,avx512bw")]
        fn rows(z: &mut [__m512i; BLOCK]) {
            for z in z.as_chunks_mut::<4>().0 {
                let [mut a, mut c] = [0, 1].map(|i| _mm512_shuffle_i64x2::<0x44>(z[i], z[2 + i]));
                let [mut b, mut d] = [0, 1].map(|i| _mm512_shuffle_i64x2::<0xee>(z[i], z[2 + i]));
                quarter(&mut a, &mut b, &mut c, &mut d);
                b = _mm512_permutex_epi64::<0x39>(b);
                c = _mm512_permutex_epi64::<0x4e>(c);
                d = _mm512_permutex_epi64::<0x93>(d);
                quarter(&mut a, &mut b, &mut c, &mut d);
                b = _mm512_permutex_epi64::<0x93>(b);
                c = _mm512_permutex_epi64::<0x4e>(c);
                d = _mm512_permutex_epi64::<0x39>(d);
                *z = [
                    _mm512_shuffle_i64x2::<0x44>(a, b),
                    _mm512_shuffle_i64x2::<0x44>(c, d),
                    _mm512_shuffle_i64x2::<0xee>(a, b),
                    _mm512_shuffle_i64x2::<0xee>(c, d),
                ];
            }
        }
    }
}

kernel! {
    /// Vectors of four words.
    Avx2, narrow, "avx2", ["avx2"], __m256i,
    _mm256_load_si256, _mm256_store_si256, _mm256_xor_si256, _mm256_add_epi64, _mm256_mul_epu32, _mm256_alignr_epi8,
    {
        /// Whole bytes are shuffled; a rotation by 63 is one to the left by 1.
        #[inline]
        #[target_feature(enable = "avx2")]
        fn rotate_right<const BITS: i32>(words: __m256i) -> __m256i {
            match BITS {
                32 => _mm256_shuffle_epi32::<0xb1>(words),
                24 => _mm256_shuffle_epi8(words, _mm256_setr_epi8(
                    3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10,
                    3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10,
                )),
                16 => _mm256_shuffle_epi8(words, _mm256_setr_epi8(
                    2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9,
                    2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9,
                )),
                _ => _mm256_xor_si256(_mm256_srli_epi64::<63>(words), _mm256_add_epi64(words, words)),
            }
        }

        /// P over one row and the next: each has one vector of `a`, `b`, `c` and `d`.
        #[inline]
        #[target_feature(enable = "avx2")]
        fn rows(z: &mut [__m256i; BLOCK]) {
            for z in z.as_chunks_mut::<8>().0 {
                let [mut a, mut b, mut c, mut d, mut a2, mut b2, mut c2, mut d2] = *z;
                quarter(&mut a, &mut b, &mut c, &mut d);
                quarter(&mut a2, &mut b2, &mut c2, &mut d2);
                [b, b2] = [b, b2].map(|b| _mm256_permute4x64_epi64::<0x39>(b));
                [c, c2] = [c, c2].map(|c| _mm256_permute4x64_epi64::<0x4e>(c));
                [d, d2] = [d, d2].map(|d| _mm256_permute4x64_epi64::<0x93>(d));
                quarter(&mut a, &mut b, &mut c, &mut d);
                quarter(&mut a2, &mut b2, &mut c2, &mut d2);
                [b, b2] = [b, b2].map(|b| _mm256_permute4x64_epi64::<0x93>(b));
                [c, c2] = [c, c2].map(|c| _mm256_permute4x64_epi64::<0x4e>(c));
                [d, d2] = [d, d2].map(|d| _mm256_permute4x64_epi64::<0x39>(d));
                *z = [a, b, c, d, a2, b2, c2, d2];
            }
        }
    }
}
