//! SM4 (GB/T 32907-2016): 32 rounds over four words. No kernel of Debian 12 has it for user-mode-linux: proven by published
//! vectors only. Constant-time where the processor has GFNI and AVX-512; elsewhere it looks tables up.
#![expect(
    clippy::inline_always,
    reason = "all of a cipher must be compiled inside the function that is made for the vectors of the processor"
)]

use super::{
    Cipher,
    affine::{IDENTITY, Substitution, apply, compose, matrix},
    expand_named, expand_xts_named,
    own::{OneBlock, SIDE_BY_SIDE, set_words, words},
    sliced::{OfBytes, Sliced},
};
use crate::kernels::bytes::Bytes;
use ::cipher::{Array, consts::U16};
use core::array::from_fn;
use zeroize::Zeroizing;

pub(super) const SM4: Cipher = Cipher {
    name: "sm4",
    block_bytes: 16,
    key_bytes: &[16],
    expand: expand_named::<Sliced<Sm4>>,
    expand_xts: Some(expand_xts_named::<Sliced<Sm4>>),
};

/// The round keys.
pub(crate) struct Sm4(Zeroizing<[u32; ROUNDS]>);

const ROUNDS: usize = 32;
/// FK of the key expansion.
const FAMILY: [u32; 4] = [0xa3b1_bac6, 0x56aa_3350, 0x677d_9197, 0xb270_22dc];

/// The substitution, in the field of AES.
const SBOX: Substitution = Substitution {
    before: 0x55a4_7eb0_1e7c_5c0e,
    c: 0xc0,
    after: 0xa21a_c597_c094_7780,
    d: 0xd3,
};
static TABLE: [u8; 256] = SBOX.table();
/// A byte at the highest place of a word, substituted and spread.
static SPREAD: [u32; 256] = {
    let table = SBOX.table();
    let mut spread = [0; 256];
    let mut x = 0;
    while x < 256 {
        let word = (table[x] as u32) << 24;
        spread[x] = word
            ^ word.rotate_left(2)
            ^ word.rotate_left(10)
            ^ word.rotate_left(18)
            ^ word.rotate_left(24);
        x += 1;
    }
    spread
};

/// What of a substituted byte goes to its own place: itself, and its lower bits from the turn by 2.
const OWN: u64 = compose(IDENTITY ^ LOWER, SBOX.after);
/// To the two places before it: all of it, turned by 2.
const BEFORE: u64 = compose(LOWER ^ UPPER, SBOX.after);
/// To the place after it: itself, and its upper bits.
const AFTER: u64 = compose(IDENTITY ^ UPPER, SBOX.after);
const LOWER: u64 = matrix([4, 8, 16, 32, 64, 128, 0, 0]);
const UPPER: u64 = matrix([0, 0, 0, 0, 0, 0, 1, 2]);
/// What the constant of the substitution becomes.
const D: i32 = apply(LOWER ^ UPPER, SBOX.d) as i32;

impl Sm4 {
    #[inline]
    fn crypt<'a, const N: usize>(
        blocks: &mut [Array<u8, U16>; N],
        round_keys: impl Iterator<Item = &'a u32>,
    ) {
        let mut lanes: [[u32; 4]; N] = from_fn(|lane| words(&blocks[lane]));
        for round_key in round_keys {
            for [x0, x1, x2, x3] in &mut lanes {
                let [y0, y1, y2, y3] = (*x1 ^ *x2 ^ *x3 ^ round_key).to_be_bytes().map(usize::from);
                let next = *x0
                    ^ SPREAD[y0]
                    ^ SPREAD[y1].rotate_right(8)
                    ^ SPREAD[y2].rotate_right(16)
                    ^ SPREAD[y3].rotate_right(24);
                [*x0, *x1, *x2, *x3] = [*x1, *x2, *x3, next];
            }
        }
        for (block, [x0, x1, x2, x3]) in blocks.iter_mut().zip(lanes) {
            set_words(block, [x3, x2, x1, x0]);
        }
    }

    #[inline(always)]
    fn crypt_bytes<'a, B: Bytes>(
        state: [B; 16],
        round_keys: impl Iterator<Item = &'a u32>,
    ) -> [B; 16] {
        let mut words: [[B; 4]; 4] = from_fn(|word| from_fn(|place| state[4 * word + place]));
        for round_key in round_keys {
            let key = round_key.to_be_bytes();
            let [x0, x1, x2, x3] = words;
            let inside: [B; 4] = from_fn(|place| {
                let sum = x1[place].xor(x2[place]).xor(x3[place]).xor_each(key[place]);
                sum.affine::<{ SBOX.c as i32 }>(SBOX.before)
            });
            let next = from_fn(|place| {
                let from = |distance: usize| inside[(place + distance) % 4];
                x0[place]
                    .xor(from(0).inverse_affine::<D>(OWN))
                    .xor(from(1).inverse_affine::<0>(BEFORE))
                    .xor(from(2).inverse_affine::<0>(BEFORE))
                    .xor(from(3).inverse_affine::<0>(AFTER))
            });
            words = [x1, x2, x3, next];
        }
        from_fn(|at| words[3 - at / 4][at % 4])
    }
}

impl OneBlock for Sm4 {
    type BlockSize = U16;
    type KeySize = U16;

    fn expand(key: &[u8]) -> Option<Self> {
        if key.len() != 16 {
            return None;
        }
        let mut k = Zeroizing::new(words::<4>(key));
        for (word, constant) in k.iter_mut().zip(FAMILY) {
            *word ^= constant;
        }
        let mut round_keys = Zeroizing::new([0; ROUNDS]);
        for (round, round_key) in (0_u8..).zip(round_keys.iter_mut()) {
            let constant = u32::from_be_bytes(from_fn(|place| {
                (4 * round)
                    .wrapping_add([0, 1, 2, 3][place])
                    .wrapping_mul(7)
            }));
            let substituted = (k[1] ^ k[2] ^ k[3] ^ constant)
                .to_be_bytes()
                .map(|byte| TABLE[usize::from(byte)]);
            let word = u32::from_be_bytes(substituted);
            *round_key = k[0] ^ word ^ word.rotate_left(13) ^ word.rotate_left(23);
            *k = [k[1], k[2], k[3], *round_key];
        }
        Some(Self(round_keys))
    }

    fn encrypt(&self, block: &mut Array<u8, U16>) {
        Self::crypt(core::array::from_mut(block), self.0.iter());
    }

    fn decrypt(&self, block: &mut Array<u8, U16>) {
        Self::crypt(core::array::from_mut(block), self.0.iter().rev());
    }

    fn encrypt_side_by_side(&self, blocks: &mut [Array<u8, U16>; SIDE_BY_SIDE]) {
        Self::crypt(blocks, self.0.iter());
    }

    fn decrypt_side_by_side(&self, blocks: &mut [Array<u8, U16>; SIDE_BY_SIDE]) {
        Self::crypt(blocks, self.0.iter().rev());
    }
}

impl OfBytes for Sm4 {
    #[inline(always)]
    fn encrypt_bytes<B: Bytes>(&self, state: [B; 16]) -> [B; 16] {
        Self::crypt_bytes(state, self.0.iter())
    }

    #[inline(always)]
    fn decrypt_bytes<B: Bytes>(&self, state: [B; 16]) -> [B; 16] {
        Self::crypt_bytes(state, self.0.iter().rev())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ciphers::sliced::tests::vectors_are_the_portable_code;

    #[test]
    fn vectors() {
        vectors_are_the_portable_code::<Sm4>(16);
    }
}
