//! AES instructions in the order in which they stand: LLVM would make serial chains of interleaved intrinsics.

use std::arch::asm;
use std::arch::x86_64::{
    __m128i, __m256i, __m512i, _mm_loadu_si128, _mm_storeu_si128, _mm_xor_si128,
    _mm256_broadcastsi128_si256, _mm256_loadu_si256, _mm256_storeu_si256, _mm256_xor_si256,
    _mm512_broadcast_i32x4, _mm512_loadu_si512, _mm512_storeu_si512, _mm512_xor_si512,
};

use super::Pass;

/// Round keys; which ones they are does not matter here.
type Keys = [[u8; 16]; 15];

/// The bytes that one step of the narrowest takes, of the widest, and what an area is a multiple of.
const STEP: usize = 512;

pub fn aes_rounds(rounds: usize) -> Option<(&'static str, Pass)> {
    let keys: Keys = std::array::from_fn(|round| {
        std::array::from_fn(|byte| (round * 37 + byte * 91 + 7).to_le_bytes()[0])
    });
    let checked = |area: &mut [u8]| assert!(area.len().is_multiple_of(STEP), "whole steps");
    if is_x86_feature_detected!("vaes") && is_x86_feature_detected!("avx512f") {
        return Some((
            "AESENC loop, 512-bit registers",
            Box::new(move |area| {
                checked(area);
                // SAFETY: both features are there.
                unsafe { wide512(&keys[..=rounds], area) }
            }),
        ));
    }
    if is_x86_feature_detected!("vaes") && is_x86_feature_detected!("avx2") {
        return Some((
            "AESENC loop, 256-bit registers",
            Box::new(move |area| {
                checked(area);
                // SAFETY: both features are there.
                unsafe { wide256(&keys[..=rounds], area) }
            }),
        ));
    }
    (is_x86_feature_detected!("aes") && is_x86_feature_detected!("avx")).then(|| {
        let pass: Pass = Box::new(move |area| {
            checked(area);
            // SAFETY: both features are there.
            unsafe { wide128(&keys[..=rounds], area) }
        });
        ("AESENC loop, 128-bit registers", pass)
    })
}

/// 8192 instructions that take a place and nothing else.
pub fn do_nothing() {
    for _ in 0..16 {
        // SAFETY: it does nothing.
        unsafe {
            asm!(
                ".rept 512",
                "nop",
                ".endr",
                options(nomem, nostack, preserves_flags)
            );
        }
    }
}

macro_rules! round_of_8 {
    ($instruction:literal, $class:ident, $key:expr, $x:expr) => {{
        let [a, b, c, d, e, f, g, h] = &mut $x;
        // SAFETY: the instruction is there, by the features of the function around it, and changes these registers only.
        unsafe {
            asm!(
                concat!($instruction, " {0}, {0}, {8}"), concat!($instruction, " {1}, {1}, {8}"),
                concat!($instruction, " {2}, {2}, {8}"), concat!($instruction, " {3}, {3}, {8}"),
                concat!($instruction, " {4}, {4}, {8}"), concat!($instruction, " {5}, {5}, {8}"),
                concat!($instruction, " {6}, {6}, {8}"), concat!($instruction, " {7}, {7}, {8}"),
                inout($class) *a, inout($class) *b, inout($class) *c, inout($class) *d,
                inout($class) *e, inout($class) *f, inout($class) *g, inout($class) *h,
                in($class) $key, options(pure, nomem, nostack, preserves_flags),
            );
        }
    }};
}

/// One body for three widths, which differ in their types and intrinsics only.
macro_rules! pass {
    ($name:ident, $features:literal, $vector:ty, $class:ident, $load:expr, $store:expr, $xor:ident, $broadcast:expr) => {
        #[inline(never)]
        #[target_feature(enable = $features)]
        fn $name(keys: &[[u8; 16]], area: &mut [u8]) {
            const WIDTH: usize = size_of::<$vector>();
            let [first, middle @ .., last] = keys else {
                unreachable!("a key has more than two rounds");
            };
            for step in area.chunks_exact_mut(8 * WIDTH) {
                // SAFETY: each part is as long as the vector that is loaded from it or stored to it, and no
                // alignment is asked for.
                let load = |at: usize| unsafe {
                    $xor(
                        $load(step[at * WIDTH..][..WIDTH].as_ptr()),
                        $broadcast(first),
                    )
                };
                let mut x: [$vector; 8] = [
                    load(0),
                    load(1),
                    load(2),
                    load(3),
                    load(4),
                    load(5),
                    load(6),
                    load(7),
                ];
                for key in middle {
                    // SAFETY: a round key has 16 bytes.
                    let key: $vector = unsafe { $broadcast(key) };
                    round_of_8!("vaesenc", $class, key, x);
                }
                // SAFETY: a round key has 16 bytes.
                let key: $vector = unsafe { $broadcast(last) };
                round_of_8!("vaesenclast", $class, key, x);
                for (at, vector) in x.into_iter().enumerate() {
                    // SAFETY: as above.
                    unsafe { $store(step[at * WIDTH..][..WIDTH].as_mut_ptr(), vector) }
                }
            }
        }
    };
}

pass!(
    wide128,
    "aes,avx",
    __m128i,
    xmm_reg,
    |from: *const u8| _mm_loadu_si128(from.cast()),
    |to: *mut u8, vector| _mm_storeu_si128(to.cast(), vector),
    _mm_xor_si128,
    |key: &[u8; 16]| _mm_loadu_si128(key.as_ptr().cast())
);
pass!(
    wide256,
    "avx2,vaes",
    __m256i,
    ymm_reg,
    |from: *const u8| _mm256_loadu_si256(from.cast()),
    |to: *mut u8, vector| _mm256_storeu_si256(to.cast(), vector),
    _mm256_xor_si256,
    |key: &[u8; 16]| _mm256_broadcastsi128_si256(_mm_loadu_si128(key.as_ptr().cast()))
);
pass!(
    wide512,
    "avx512f,vaes",
    __m512i,
    zmm_reg,
    |from: *const u8| _mm512_loadu_si512(from.cast()),
    |to: *mut u8, vector| _mm512_storeu_si512(to.cast(), vector),
    _mm512_xor_si512,
    |key: &[u8; 16]| _mm512_broadcast_i32x4(_mm_loadu_si128(key.as_ptr().cast()))
);

#[cfg(test)]
mod tests {
    use super::*;

    /// Two widths give the same bytes: none leaves a part of the area out.
    #[test]
    fn widths_agree() {
        let keys: Keys = std::array::from_fn(|round| [round.to_le_bytes()[0] * 3 + 1; 16]);
        let source = crate::test_bytes(4 * STEP);
        let mut results = Vec::new();
        if is_x86_feature_detected!("aes") && is_x86_feature_detected!("avx") {
            let mut area = source.clone();
            // SAFETY: the features are there.
            unsafe { wide128(&keys, &mut area) };
            results.push(area);
        }
        if is_x86_feature_detected!("vaes") && is_x86_feature_detected!("avx2") {
            let mut area = source.clone();
            // SAFETY: the features are there.
            unsafe { wide256(&keys, &mut area) };
            results.push(area);
        }
        if is_x86_feature_detected!("vaes") && is_x86_feature_detected!("avx512f") {
            let mut area = source.clone();
            // SAFETY: the features are there.
            unsafe { wide512(&keys, &mut area) };
            results.push(area);
        }
        for result in &results {
            assert!(result != &source && result == &results[0]);
        }
    }
}
