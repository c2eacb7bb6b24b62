//! SEED (RFC 4269): 16 Feistel rounds over two 64-bit halves. Not constant-time: it looks tables up.

use super::{
    Cipher, expand, expand_xts,
    galois::multiply,
    own::{OneBlock, Own, set_words, words},
};
use ::cipher::{Array, consts::U16};
use zeroize::Zeroizing;

pub(super) const SEED: Cipher = Cipher {
    name: "seed",
    block_bytes: 16,
    key_bytes: &[16],
    expand: expand::<Own<Seed>>,
    expand_xts: Some(expand_xts::<Own<Seed>>),
};

/// The two words of each round's key.
pub(super) struct Seed(Zeroizing<[[u32; 2]; ROUNDS]>);

const ROUNDS: usize = 16;
/// RFC 4269, 2.3: KC\[0\]; the others are its rotations.
const KEY_CONSTANT: u32 = 0x9e37_79b9;

impl Seed {
    fn crypt<'a>(block: &mut Array<u8, U16>, round_keys: impl Iterator<Item = &'a [u32; 2]>) {
        let [mut l0, mut l1, mut r0, mut r1] = words(block);
        for round_key in round_keys {
            let [f0, f1] = f([r0, r1], *round_key);
            [l0, l1, r0, r1] = [r0, r1, l0 ^ f0, l1 ^ f1];
        }
        // The last round does not swap.
        set_words(block, [r0, r1, l0, l1]);
    }
}

impl OneBlock for Seed {
    type BlockSize = U16;
    type KeySize = U16;

    fn expand(key: &[u8]) -> Option<Self> {
        if key.len() != 16 {
            return None;
        }
        let [mut a, mut b, mut c, mut d] = words(key);
        let mut round_keys = Zeroizing::new([[0; 2]; ROUNDS]);
        for (round, round_key) in round_keys.iter_mut().enumerate() {
            let constant = KEY_CONSTANT.rotate_left(u32::try_from(round).expect("it is below 16"));
            *round_key = [
                g(a.wrapping_add(c).wrapping_sub(constant)),
                g(b.wrapping_sub(d).wrapping_add(constant)),
            ];
            if round % 2 == 0 {
                [a, b] = [(a >> 8) | (b << 24), (b >> 8) | (a << 24)];
            } else {
                [c, d] = [(c << 8) | (d >> 24), (d << 8) | (c >> 24)];
            }
        }
        Some(Self(round_keys))
    }

    fn encrypt(&self, block: &mut Array<u8, U16>) {
        Self::crypt(block, self.0.iter());
    }

    fn decrypt(&self, block: &mut Array<u8, U16>) {
        Self::crypt(block, self.0.iter().rev());
    }
}

/// RFC 4269, 2.1.
fn f([c, d]: [u32; 2], [k0, k1]: [u32; 2]) -> [u32; 2] {
    let c = c ^ k0;
    let mixed = g(c ^ d ^ k1);
    let first = g(mixed.wrapping_add(c));
    let second = g(first.wrapping_add(mixed));
    [first.wrapping_add(second), second]
}

/// RFC 4269, 2.2: substitution, then a permutation that spreads each byte over the word.
fn g(word: u32) -> u32 {
    let [y0, y1, y2, y3] = word.to_le_bytes().map(usize::from);
    SPREAD[0][y0] ^ SPREAD[1][y1] ^ SPREAD[0][y2].rotate_left(16) ^ SPREAD[1][y3].rotate_left(16)
}

/// The masks m0 to m3 of RFC 4269, 2.2.
const MASKS: [u8; 4] = [0xfc, 0xf3, 0xcf, 0x3f];
/// S1 at byte 0 of a word and S2 at byte 1, with the masks of that place; bytes 2 and 3 have the same, turned by half a word.
const SPREAD: [[u32; 256]; 2] = [
    spread(S1, [MASKS[0], MASKS[1], MASKS[2], MASKS[3]]),
    spread(S2, [MASKS[1], MASKS[2], MASKS[3], MASKS[0]]),
];

/// RFC 4269, appendix A: S(x) = A * x^n + b with x in GF(2^8) modulo x^8 + x^6 + x^5 + x + 1, bits from the highest down.
const S1: [u8; 256] = sbox(
    247,
    [
        0b1000_1010,
        0b1111_1110,
        0b1000_0101,
        0b0100_0010,
        0b0100_0101,
        0b0010_0001,
        0b1000_1000,
        0b0001_0100,
    ],
    169,
);
const S2: [u8; 256] = sbox(
    251,
    [
        0b0100_0101,
        0b1000_0101,
        0b1111_1110,
        0b0010_0001,
        0b1000_1010,
        0b1000_1000,
        0b0100_0010,
        0b0001_0100,
    ],
    56,
);
const POLYNOMIAL: u16 = 0x163;

const fn sbox(exponent: u32, matrix: [u8; 8], constant: u8) -> [u8; 256] {
    let mut sbox = [0; 256];
    let mut x: u16 = 0;
    while x < 256 {
        let mut power = 1;
        let mut step = 0;
        while step < exponent {
            power = multiply(power, x.to_le_bytes()[0], POLYNOMIAL);
            step += 1;
        }
        let mut image = 0;
        let mut row = 0;
        while row < 8 {
            let parity = (matrix[row] & power).count_ones() & 1;
            image = (image << 1) | parity.to_le_bytes()[0];
            row += 1;
        }
        sbox[x as usize] = image ^ constant;
        x += 1;
    }
    sbox
}

const fn spread(sbox: [u8; 256], masks: [u8; 4]) -> [u32; 256] {
    let mut table = [0; 256];
    let mut x = 0;
    while x < 256 {
        let y = sbox[x];
        table[x] = u32::from_le_bytes([y & masks[0], y & masks[1], y & masks[2], y & masks[3]]);
        x += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

    /// RFC 4269, appendix B: all four examples.
    #[test]
    fn rfc_4269_appendix_b() {
        for (key, plaintext, ciphertext) in [
            (
                "00000000000000000000000000000000",
                "000102030405060708090a0b0c0d0e0f",
                "5ebac6e0054e166819aff1cc6d346cdb",
            ),
            (
                "000102030405060708090a0b0c0d0e0f",
                "00000000000000000000000000000000",
                "c11f22f20140505084483597e4370f43",
            ),
            (
                "4706480851e61be85d74bfb3fd956185",
                "83a2f8a288641fb9a4e9a5cc2f131c7d",
                "ee54d13ebcae706d226bc3142cd40d4a",
            ),
            (
                "28dbc3bc49ffd87dcfa509b11d422be7",
                "b41e6be2eba84a148e2eed84593c5ec7",
                "9b9b7bfcd1813cb95d0b3618f40f5122",
            ),
        ] {
            let [key, plaintext, ciphertext] =
                [key, plaintext, ciphertext].map(|text| hex::decode(text).unwrap());
            let cipher = Own::<Seed>::new_from_slice(&key).unwrap();
            let mut block = Array::try_from(plaintext.as_slice()).unwrap();
            cipher.encrypt_block(&mut block);
            assert_eq!(block.as_slice(), ciphertext);
            cipher.decrypt_block(&mut block);
            assert_eq!(block.as_slice(), plaintext);
        }
    }
}
