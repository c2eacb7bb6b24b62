//! Serpent (Anderson, Biham and Knudsen 1998, "Serpent: a proposal for the Advanced Encryption Standard"), bit-sliced and
//! so constant-time. A key of any length is padded; the kernel takes shorter ones too.
#![expect(
    clippy::inline_always,
    reason = "all of a cipher must be compiled inside the function that is made for the vectors of the processor"
)]

mod sboxes;

use super::{Cipher, expand_named, expand_xts_named, sizes, wide::Wide};
use crate::kernels::lanes::{Lanes, OfWords};
use ::cipher::consts::U32;
use zeroize::Zeroizing;

pub(super) const SERPENT: Cipher = Cipher {
    name: "serpent",
    block_bytes: 16,
    key_bytes: &sizes::<17>(16, 1),
    expand: expand_named::<Wide<Serpent>>,
    expand_xts: Some(expand_xts_named::<Wide<Serpent>>),
};

/// The words of the round keys.
pub(crate) struct Serpent(Zeroizing<[[u32; 4]; ROUNDS + 1]>);

const ROUNDS: usize = 32;
/// The fractional part of the golden ratio.
const PHI: u32 = 0x9e37_79b9;

/// The S-boxes of the round keys go down from 3, modulo 8.
const OF_KEYS: [fn([u32; 4]) -> [u32; 4]; 8] = [
    sboxes::s3,
    sboxes::s2,
    sboxes::s1,
    sboxes::s0,
    sboxes::s7,
    sboxes::s6,
    sboxes::s5,
    sboxes::s4,
];

/// A round of encryption: the key, the S-box of its number, and what spreads it.
macro_rules! round {
    ($words:ident, $key:expr, $sbox:ident) => {
        $words = spread(sboxes::$sbox(mix($words, $key)));
    };
}

/// A round of decryption.
macro_rules! unround {
    ($words:ident, $key:expr, $sbox:ident) => {
        $words = mix(sboxes::$sbox(gather($words)), $key);
    };
}

impl OfWords for Serpent {
    type KeySize = U32;

    fn expand(key: &[u8]) -> Option<Self> {
        let mut padded = Zeroizing::new([0; 32]);
        padded.get_mut(..key.len())?.copy_from_slice(key);
        if let Some(next) = padded.get_mut(key.len()) {
            *next = 1;
        }
        let mut words = Zeroizing::new([0; 8 + 4 * (ROUNDS + 1)]);
        for (word, bytes) in words.iter_mut().zip(padded.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        for (number, at) in (0..).zip(8..words.len()) {
            let sum = words[at - 8] ^ words[at - 5] ^ words[at - 3] ^ words[at - 1];
            words[at] = (sum ^ PHI ^ number).rotate_left(11);
        }
        let mut keys = Zeroizing::new([[0; 4]; ROUNDS + 1]);
        for (round, (key, words)) in keys.iter_mut().zip(words[8..].as_chunks().0).enumerate() {
            *key = OF_KEYS[round % 8](*words);
        }
        Some(Self(keys))
    }

    #[inline(always)]
    fn encrypt<L: Lanes>(&self, mut words: [L; 4]) -> [L; 4] {
        let (groups, last) = self.0.as_chunks::<8>();
        for (group, keys) in groups.iter().enumerate() {
            round!(words, &keys[0], s0);
            round!(words, &keys[1], s1);
            round!(words, &keys[2], s2);
            round!(words, &keys[3], s3);
            round!(words, &keys[4], s4);
            round!(words, &keys[5], s5);
            round!(words, &keys[6], s6);
            if group + 1 < groups.len() {
                round!(words, &keys[7], s7);
            } else {
                words = sboxes::s7(mix(words, &keys[7]));
            }
        }
        mix(words, &last[0])
    }

    #[inline(always)]
    fn decrypt<L: Lanes>(&self, words: [L; 4]) -> [L; 4] {
        let (groups, last) = self.0.as_chunks::<8>();
        let mut words = mix(words, &last[0]);
        for (group, keys) in groups.iter().enumerate().rev() {
            if group + 1 < groups.len() {
                unround!(words, &keys[7], inverse_s7);
            } else {
                words = mix(sboxes::inverse_s7(words), &keys[7]);
            }
            unround!(words, &keys[6], inverse_s6);
            unround!(words, &keys[5], inverse_s5);
            unround!(words, &keys[4], inverse_s4);
            unround!(words, &keys[3], inverse_s3);
            unround!(words, &keys[2], inverse_s2);
            unround!(words, &keys[1], inverse_s1);
            unround!(words, &keys[0], inverse_s0);
        }
        words
    }
}

#[inline(always)]
fn mix<L: Lanes>(words: [L; 4], key: &[u32; 4]) -> [L; 4] {
    let [x0, x1, x2, x3] = words;
    [
        x0.xor(x0.each(key[0])),
        x1.xor(x1.each(key[1])),
        x2.xor(x2.each(key[2])),
        x3.xor(x3.each(key[3])),
    ]
}

/// The linear transformation.
#[inline(always)]
fn spread<L: Lanes>([x0, x1, x2, x3]: [L; 4]) -> [L; 4] {
    let (x0, x2) = (x0.turned_left::<13>(), x2.turned_left::<3>());
    let x1 = x1.xor(x0).xor(x2).turned_left::<1>();
    let x3 = x3.xor(x2).xor(x0.left::<3>()).turned_left::<7>();
    let x0 = x0.xor(x1).xor(x3).turned_left::<5>();
    let x2 = x2.xor(x3).xor(x1.left::<7>()).turned_left::<22>();
    [x0, x1, x2, x3]
}

/// Its opposite.
#[inline(always)]
fn gather<L: Lanes>([x0, x1, x2, x3]: [L; 4]) -> [L; 4] {
    let x2 = x2.turned_right::<22>().xor(x3).xor(x1.left::<7>());
    let x0 = x0.turned_right::<5>().xor(x1).xor(x3);
    let x3 = x3.turned_right::<7>().xor(x2).xor(x0.left::<3>());
    let x1 = x1.turned_right::<1>().xor(x0).xor(x2);
    [x0.turned_right::<13>(), x1, x2.turned_right::<3>(), x3]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ciphers::wide::tests::each_width_is_the_portable_one;

    #[test]
    fn each_width() {
        each_width_is_the_portable_one::<Serpent>(16);
        each_width_is_the_portable_one::<Serpent>(32);
    }
}
