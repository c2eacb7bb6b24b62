//! Argon2's compression function G (RFC 9106 3.5), in vectors of eight or four words where the processor has them.
#![expect(
    clippy::arithmetic_side_effects,
    reason = "indices of words in a block, and products of 32-bit numbers"
)]

#[cfg(target_arch = "x86_64")]
mod x86_64;

use zeroize::Zeroize;

/// 1024 bytes of Argon2's memory as little-endian words: eight rows of eight pairs.
#[derive(Clone)]
#[repr(C, align(64))]
pub(crate) struct Block(pub(crate) [u64; 128]);

impl Block {
    pub(crate) const ZERO: Self = Self([0; 128]);
}

impl Zeroize for Block {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

/// The code for this processor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mixer(Kind);

#[derive(Clone, Copy, Debug)]
enum Kind {
    #[cfg(target_arch = "x86_64")]
    Avx512(x86_64::Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(x86_64::Avx2),
    Portable,
}

impl Mixer {
    /// The fastest.
    pub(crate) fn new() -> Self {
        Self::all().next().expect("the portable one runs anywhere")
    }

    /// All that run here, the fastest first.
    fn all() -> impl Iterator<Item = Self> {
        [
            #[cfg(target_arch = "x86_64")]
            x86_64::Avx512::new().map(Kind::Avx512),
            #[cfg(target_arch = "x86_64")]
            x86_64::Avx2::new().map(Kind::Avx2),
            Some(Kind::Portable),
        ]
        .into_iter()
        .flatten()
        .map(Self)
    }

    /// `out = G(x, y)`, or `out = G(x, y) XOR out`.
    #[inline]
    pub(crate) fn mix(self, x: &Block, y: &Block, out: &mut Block, xor: bool) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(token) => token.mix(x, y, out, xor),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(token) => token.mix(x, y, out, xor),
            Kind::Portable => mix(x, y, out, xor),
        }
    }
}

/// The model of the others: `R = X XOR Y`, P over its rows and then its columns, `XOR R`.
fn mix(x: &Block, y: &Block, out: &mut Block, xor: bool) {
    let mut z = x.clone();
    for (z, y) in z.0.iter_mut().zip(&y.0) {
        *z ^= y;
    }
    for (out, z) in out.0.iter_mut().zip(&z.0) {
        *out = if xor { *out ^ z } else { *z };
    }
    for row in 0..8 {
        permute(&mut z, |word| 16 * row + word);
    }
    for column in 0..8 {
        permute(&mut z, |word| 16 * (word / 2) + 2 * column + word % 2);
    }
    for (out, z) in out.0.iter_mut().zip(&z.0) {
        *out ^= z;
    }
}

/// P (RFC 9106 3.6) over the sixteen words that `place` names.
fn permute(z: &mut Block, place: impl Fn(usize) -> usize) {
    let mut v: [u64; 16] = std::array::from_fn(|word| z.0[place(word)]);
    let mut quarter = |a: usize, b: usize, c: usize, d: usize| {
        for (first, second) in [(32, 24), (16, 63)] {
            v[a] = multiply_add(v[a], v[b]);
            v[d] = (v[d] ^ v[a]).rotate_right(first);
            v[c] = multiply_add(v[c], v[d]);
            v[b] = (v[b] ^ v[c]).rotate_right(second);
        }
    };
    for column in 0..4 {
        quarter(column, 4 + column, 8 + column, 12 + column);
    }
    for column in 0..4 {
        let turned = |by: usize| (column + by) % 4;
        quarter(column, 4 + turned(1), 8 + turned(2), 12 + turned(3));
    }
    for (word, value) in v.iter().enumerate() {
        z.0[place(word)] = *value;
    }
}

/// `a + b + 2 * trunc(a) * trunc(b)` modulo 2^64.
fn multiply_add(a: u64, b: u64) -> u64 {
    const LOW: u64 = 0xffff_ffff;
    a.wrapping_add(b)
        .wrapping_add(((a & LOW) * (b & LOW)).wrapping_mul(2))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words() -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec(any::<u64>(), 128)
    }

    proptest! {
        #[test]
        fn vectors_agree_with_the_portable_code(
            x in words(), y in words(), before in words(), xor in any::<bool>(),
        ) {
            let [x, y, before] =
                [x, y, before].map(|words| Block(words.try_into().expect("128 words")));
            let mut expected = before.clone();
            mix(&x, &y, &mut expected, xor);
            for mixer in Mixer::all() {
                let mut out = before.clone();
                mixer.mix(&x, &y, &mut out, xor);
                prop_assert_eq!(out.0, expected.0, "{:?}", mixer);
            }
        }
    }
}
