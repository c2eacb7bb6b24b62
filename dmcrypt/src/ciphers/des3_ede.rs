//! Triple DES with three keys (FIPS 46-3, SP 800-67): encrypt, decrypt, encrypt. Weak keys are taken, as in a kernel that is
//! not in FIPS mode. Not constant-time: it looks tables up.

use super::{
    Cipher, expand,
    own::{OneBlock, Own, SIDE_BY_SIDE},
};
use ::cipher::{
    Array,
    consts::{U8, U24},
};
use core::array::from_fn;
use zeroize::Zeroizing;

pub(super) const DES3_EDE: Cipher = Cipher {
    name: "des3_ede",
    block_bytes: 8,
    key_bytes: &[24],
    expand: expand::<Own<TripleDes>>,
    expand_xts: None,
};

/// The keys of all 48 rounds, as they are used, in both directions: for each round those of S1, S3, S5, S7 in the bytes of
/// one word, and of S2, S4, S6, S8 in the other.
pub(super) struct TripleDes {
    encrypt: Keys,
    decrypt: Keys,
}

type Keys = Zeroizing<[[[u32; 2]; ROUNDS]; 3]>;

const ROUNDS: usize = 16;

/// So many bits the halves of a key are turned in each round.
const TURNS: [u32; ROUNDS] = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1];

/// PC-1, PC-2 and P of the standard, which counts bits from the highest, and from 1.
const PC1: [u32; 56] = [
    57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60,
    52, 44, 36, 63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29,
    21, 13, 5, 28, 20, 12, 4,
];
const PC2: [u32; 48] = [
    14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2, 41, 52,
    31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
];
const P: [u32; 32] = [
    16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19,
    13, 30, 6, 22, 11, 4, 25,
];

/// S1 to S8, row after row.
#[rustfmt::skip]
const S: [[u8; 64]; 8] = [
    [
        14, 4, 13, 1, 2, 15, 11, 8, 3, 10, 6, 12, 5, 9, 0, 7, 0, 15, 7, 4, 14, 2, 13, 1, 10, 6, 12, 11, 9, 5, 3, 8,
        4, 1, 14, 8, 13, 6, 2, 11, 15, 12, 9, 7, 3, 10, 5, 0, 15, 12, 8, 2, 4, 9, 1, 7, 5, 11, 3, 14, 10, 0, 6, 13,
    ],
    [
        15, 1, 8, 14, 6, 11, 3, 4, 9, 7, 2, 13, 12, 0, 5, 10, 3, 13, 4, 7, 15, 2, 8, 14, 12, 0, 1, 10, 6, 9, 11, 5,
        0, 14, 7, 11, 10, 4, 13, 1, 5, 8, 12, 6, 9, 3, 2, 15, 13, 8, 10, 1, 3, 15, 4, 2, 11, 6, 7, 12, 0, 5, 14, 9,
    ],
    [
        10, 0, 9, 14, 6, 3, 15, 5, 1, 13, 12, 7, 11, 4, 2, 8, 13, 7, 0, 9, 3, 4, 6, 10, 2, 8, 5, 14, 12, 11, 15, 1,
        13, 6, 4, 9, 8, 15, 3, 0, 11, 1, 2, 12, 5, 10, 14, 7, 1, 10, 13, 0, 6, 9, 8, 7, 4, 15, 14, 3, 11, 5, 2, 12,
    ],
    [
        7, 13, 14, 3, 0, 6, 9, 10, 1, 2, 8, 5, 11, 12, 4, 15, 13, 8, 11, 5, 6, 15, 0, 3, 4, 7, 2, 12, 1, 10, 14, 9,
        10, 6, 9, 0, 12, 11, 7, 13, 15, 1, 3, 14, 5, 2, 8, 4, 3, 15, 0, 6, 10, 1, 13, 8, 9, 4, 5, 11, 12, 7, 2, 14,
    ],
    [
        2, 12, 4, 1, 7, 10, 11, 6, 8, 5, 3, 15, 13, 0, 14, 9, 14, 11, 2, 12, 4, 7, 13, 1, 5, 0, 15, 10, 3, 9, 8, 6,
        4, 2, 1, 11, 10, 13, 7, 8, 15, 9, 12, 5, 6, 3, 0, 14, 11, 8, 12, 7, 1, 14, 2, 13, 6, 15, 0, 9, 10, 4, 5, 3,
    ],
    [
        12, 1, 10, 15, 9, 2, 6, 8, 0, 13, 3, 4, 14, 7, 5, 11, 10, 15, 4, 2, 7, 12, 9, 5, 6, 1, 13, 14, 0, 11, 3, 8,
        9, 14, 15, 5, 2, 8, 12, 3, 7, 0, 4, 10, 1, 13, 11, 6, 4, 3, 2, 12, 9, 5, 15, 10, 11, 14, 1, 7, 6, 0, 8, 13,
    ],
    [
        4, 11, 2, 14, 15, 0, 8, 13, 3, 12, 9, 7, 5, 10, 6, 1, 13, 0, 11, 7, 4, 9, 1, 10, 14, 3, 5, 12, 2, 15, 8, 6,
        1, 4, 11, 13, 12, 3, 7, 14, 10, 15, 6, 8, 0, 5, 9, 2, 6, 11, 13, 8, 1, 4, 10, 7, 9, 5, 0, 15, 14, 2, 3, 12,
    ],
    [
        13, 2, 8, 4, 6, 15, 11, 1, 10, 9, 3, 14, 5, 0, 12, 7, 1, 15, 13, 8, 10, 3, 7, 4, 12, 5, 6, 11, 0, 14, 9, 2,
        7, 11, 4, 1, 9, 12, 14, 2, 0, 6, 10, 13, 15, 3, 5, 8, 2, 1, 14, 7, 4, 10, 8, 13, 15, 12, 9, 0, 3, 5, 6, 11,
    ],
];

/// The lower six bits of a byte, substituted and spread by P, turned by one bit as the halves are meanwhile ([`halves_of`]).
static SPREAD: [[u32; 256]; 8] = {
    let mut spread = [[0; 256]; 8];
    let mut sbox = 0;
    while sbox < 8 {
        let mut x = 0;
        while x < 256 {
            let row = x >> 4 & 2 | x & 1;
            let nibble = S[sbox][row << 4 | x >> 1 & 15] as u64;
            let word = permute(nibble << (28 - 4 * sbox), 32, &P);
            let [.., b3, b2, b1, b0] = word.to_be_bytes();
            spread[sbox][x] = u32::from_be_bytes([b3, b2, b1, b0]).rotate_left(1);
            x += 1;
        }
        sbox += 1;
    }
    spread
};

/// Bits of a number of `bits` bits, picked by the numbers of the standard.
const fn permute(word: u64, bits: u32, picked: &[u32]) -> u64 {
    let mut image = 0;
    let mut index = 0;
    while index < picked.len() {
        image = image << 1 | (word >> (bits - picked[index]) & 1);
        index += 1;
    }
    image
}

/// Bits of `left` under the mask, so far up, for those of `right` under it.
#[inline]
fn exchange(left: &mut u32, right: &mut u32, up: u32, mask: u32) {
    let differences = ((*left >> up) ^ *right) & mask;
    *right ^= differences;
    *left ^= differences << up;
}

/// The initial permutation, a transposition of the bits as a matrix. Both halves are turned by one bit, so that the six bits
/// for each S-box stand at a byte's end, four of them in one word and four in the word turned by half a byte.
#[inline]
fn halves_of(block: u64) -> [u32; 2] {
    let bytes = block.to_be_bytes();
    let [mut left, mut right] = from_fn(|half| u32::from_be_bytes(bytes.as_chunks().0[half]));
    exchange(&mut left, &mut right, 4, 0x0f0f_0f0f);
    exchange(&mut left, &mut right, 16, 0x0000_ffff);
    exchange(&mut right, &mut left, 2, 0x3333_3333);
    exchange(&mut right, &mut left, 8, 0x00ff_00ff);
    exchange(&mut left, &mut right, 1, 0x5555_5555);
    [left.rotate_left(1), right.rotate_left(1)]
}

/// Its opposite.
#[inline]
fn block_of([left, right]: [u32; 2]) -> u64 {
    let (mut left, mut right) = (left.rotate_right(1), right.rotate_right(1));
    exchange(&mut left, &mut right, 1, 0x5555_5555);
    exchange(&mut right, &mut left, 8, 0x00ff_00ff);
    exchange(&mut right, &mut left, 2, 0x3333_3333);
    exchange(&mut left, &mut right, 16, 0x0000_ffff);
    exchange(&mut left, &mut right, 4, 0x0f0f_0f0f);
    u64::from(left) << 32 | u64::from(right)
}

#[inline]
fn f(half: u32, key: [u32; 2]) -> u32 {
    let odd = (half.rotate_right(4) ^ key[0]).to_be_bytes();
    let even = (half ^ key[1]).to_be_bytes();
    let look = |sbox: usize, byte: u8| SPREAD[sbox][usize::from(byte)];
    (0..4).fold(0, |sum, index| {
        sum ^ look(2 * index, odd[index]) ^ look(2 * index + 1, even[index])
    })
}

#[inline]
fn crypt<const N: usize>(keys: &Keys, blocks: &mut [Array<u8, U8>; N]) {
    let mut lanes: [[u32; 2]; N] = from_fn(|lane| halves_of(u64::from_be_bytes(blocks[lane].0)));
    for one in keys.iter() {
        for [even, odd] in one.as_chunks().0 {
            for [left, right] in &mut lanes {
                *left ^= f(*right, *even);
            }
            for [left, right] in &mut lanes {
                *right ^= f(*left, *odd);
            }
        }
        // The last round does not exchange the halves.
        for [left, right] in &mut lanes {
            [*left, *right] = [*right, *left];
        }
    }
    for (block, halves) in blocks.iter_mut().zip(lanes) {
        block.0 = block_of(halves).to_be_bytes();
    }
}

/// The keys of the rounds of one DES.
fn schedule(key: [u8; 8]) -> Zeroizing<[[u32; 2]; ROUNDS]> {
    const HALF: u64 = (1 << 28) - 1;
    let picked = Zeroizing::new(permute(u64::from_be_bytes(key), 64, &PC1));
    let mut turned = 0;
    let mut keys = Zeroizing::new([[0; 2]; ROUNDS]);
    for (round_key, turn) in keys.iter_mut().zip(TURNS) {
        turned += turn;
        let turn_half = |half: u64| (half << turned | half >> (28 - turned)) & HALF;
        let both = turn_half(*picked >> 28) << 28 | turn_half(*picked & HALF);
        let bits = permute(both, 56, &PC2);
        let word = |first: u64| {
            (0..4).fold(0, |word, index| {
                let six = bits >> (42 - 6 * (2 * index + first)) & 63;
                word << 8 | u32::try_from(six).expect("it has six bits")
            })
        };
        *round_key = [word(0), word(1)];
    }
    keys
}

impl OneBlock for TripleDes {
    type BlockSize = U8;
    type KeySize = U24;

    fn expand(key: &[u8]) -> Option<Self> {
        let (keys, rest) = key.as_chunks();
        let &[first, second, third] = <&[[u8; 8]; 3]>::try_from(keys).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let [first, second, third] = [first, second, third].map(schedule);
        let backwards = |keys: &[[u32; 2]; ROUNDS]| {
            let mut keys = *keys;
            keys.reverse();
            keys
        };
        Some(Self {
            encrypt: Zeroizing::new([*first, backwards(&second), *third]),
            decrypt: Zeroizing::new([backwards(&third), *second, backwards(&first)]),
        })
    }

    fn encrypt(&self, block: &mut Array<u8, U8>) {
        crypt(&self.encrypt, core::array::from_mut(block));
    }

    fn decrypt(&self, block: &mut Array<u8, U8>) {
        crypt(&self.decrypt, core::array::from_mut(block));
    }

    fn encrypt_side_by_side(&self, blocks: &mut [Array<u8, U8>; SIDE_BY_SIDE]) {
        crypt(&self.encrypt, blocks);
    }

    fn decrypt_side_by_side(&self, blocks: &mut [Array<u8, U8>; SIDE_BY_SIDE]) {
        crypt(&self.decrypt, blocks);
    }
}
