//! Twofish (Schneier, Kelsey, Whiting, Wagner, Hall and Ferguson 1998, "Twofish: a 128-bit block cipher"). Not
//! constant-time: it looks tables up.

use super::{
    Cipher, expand, expand_xts,
    galois::multiply,
    own::{OneBlock, Own, SIDE_BY_SIDE},
};
use ::cipher::{
    Array,
    consts::{U16, U32},
};
use core::array::from_fn;
use zeroize::Zeroizing;

pub(super) const TWOFISH: Cipher = Cipher {
    name: "twofish",
    block_bytes: 16,
    key_bytes: &[16, 24, 32],
    expand: expand::<Own<Twofish>>,
    expand_xts: Some(expand_xts::<Own<Twofish>>),
};

/// The S-boxes of a key, each with its column of the MDS matrix, and the words of its rounds.
pub(super) struct Twofish {
    sboxes: Zeroizing<[[u32; 256]; 4]>,
    whitening: Zeroizing<[[u32; 4]; 2]>,
    rounds: Zeroizing<[[u32; 2]; ROUNDS]>,
}

const ROUNDS: usize = 16;

impl Twofish {
    /// g of section 4.3.1.
    #[inline]
    fn g(&self, word: u32) -> u32 {
        let [x0, x1, x2, x3] = word.to_le_bytes().map(usize::from);
        self.sboxes[0][x0] ^ self.sboxes[1][x1] ^ self.sboxes[2][x2] ^ self.sboxes[3][x3]
    }

    /// The words that F adds to the other half (4.3).
    #[inline]
    fn f(&self, [r0, r1]: [u32; 2], [k0, k1]: [u32; 2]) -> [u32; 2] {
        let t0 = self.g(r0);
        let t1 = self.g(r1.rotate_left(8));
        let sum = t0.wrapping_add(t1);
        [sum.wrapping_add(k0), sum.wrapping_add(t1).wrapping_add(k1)]
    }

    #[inline]
    fn encrypt_lanes<const N: usize>(&self, blocks: &mut [Array<u8, U16>; N]) {
        let [before, after] = *self.whitening;
        let mut lanes: [[u32; 4]; N] = from_fn(|lane| load(&blocks[lane], before));
        for [even, odd] in self.rounds.as_chunks().0 {
            for [r0, r1, r2, r3] in &mut lanes {
                let [f0, f1] = self.f([*r0, *r1], *even);
                *r2 = (*r2 ^ f0).rotate_right(1);
                *r3 = r3.rotate_left(1) ^ f1;
            }
            for [r0, r1, r2, r3] in &mut lanes {
                let [f0, f1] = self.f([*r2, *r3], *odd);
                *r0 = (*r0 ^ f0).rotate_right(1);
                *r1 = r1.rotate_left(1) ^ f1;
            }
        }
        for (block, [r0, r1, r2, r3]) in blocks.iter_mut().zip(lanes) {
            store(block, [r2, r3, r0, r1], after);
        }
    }

    #[inline]
    fn decrypt_lanes<const N: usize>(&self, blocks: &mut [Array<u8, U16>; N]) {
        let [after, before] = *self.whitening;
        let mut lanes: [[u32; 4]; N] = from_fn(|lane| {
            let [r2, r3, r0, r1] = load(&blocks[lane], before);
            [r0, r1, r2, r3]
        });
        for [even, odd] in self.rounds.as_chunks().0.iter().rev() {
            for [r0, r1, r2, r3] in &mut lanes {
                let [f0, f1] = self.f([*r2, *r3], *odd);
                *r0 = r0.rotate_left(1) ^ f0;
                *r1 = (*r1 ^ f1).rotate_right(1);
            }
            for [r0, r1, r2, r3] in &mut lanes {
                let [f0, f1] = self.f([*r0, *r1], *even);
                *r2 = r2.rotate_left(1) ^ f0;
                *r3 = (*r3 ^ f1).rotate_right(1);
            }
        }
        for (block, words) in blocks.iter_mut().zip(lanes) {
            store(block, words, after);
        }
    }
}

#[inline]
fn load(block: &Array<u8, U16>, whitening: [u32; 4]) -> [u32; 4] {
    let words = block.as_chunks().0;
    from_fn(|index| u32::from_le_bytes(words[index]) ^ whitening[index])
}

#[inline]
fn store(block: &mut Array<u8, U16>, words: [u32; 4], whitening: [u32; 4]) {
    for ((bytes, word), mask) in block.as_chunks_mut().0.iter_mut().zip(words).zip(whitening) {
        *bytes = (word ^ mask).to_le_bytes();
    }
}

impl OneBlock for Twofish {
    type BlockSize = U16;
    type KeySize = U32;

    fn expand(key: &[u8]) -> Option<Self> {
        if !matches!(key.len(), 16 | 24 | 32) {
            return None;
        }
        let pairs = key.len() / 8;
        let (words, _) = key.as_chunks::<4>();
        let mut even = Zeroizing::new([[0; 4]; 4]);
        let mut odd = Zeroizing::new([[0; 4]; 4]);
        let mut keys = Zeroizing::new([[0; 4]; 4]);
        for pair in 0..pairs {
            even[pair] = words[2 * pair];
            odd[pair] = words[2 * pair + 1];
            // The words of the S-boxes come in the opposite order.
            keys[pairs - 1 - pair] = reed_solomon(&key[8 * pair..8 * pair + 8]);
        }
        let mut sboxes = Zeroizing::new([[0; 256]; 4]);
        for (place, sbox) in sboxes.iter_mut().enumerate() {
            for (x, image) in sbox.iter_mut().enumerate() {
                let byte = substitute(place, x, &keys[..pairs]);
                *image = MDS[place][usize::from(byte)];
            }
        }
        let pair = |index: usize| {
            let word = |number: usize, list: &[[u8; 4]]| {
                (0..4).fold(0, |sum, place| {
                    sum ^ MDS[place][usize::from(substitute(place, number, list))]
                })
            };
            let a = word(2 * index, &even[..pairs]);
            let b = word(2 * index + 1, &odd[..pairs]).rotate_left(8);
            let sum = a.wrapping_add(b);
            [sum, sum.wrapping_add(b).rotate_left(9)]
        };
        let four = |index: usize| {
            let ([k0, k1], [k2, k3]) = (pair(index), pair(index + 1));
            [k0, k1, k2, k3]
        };
        Some(Self {
            sboxes,
            whitening: Zeroizing::new([four(0), four(2)]),
            rounds: Zeroizing::new(from_fn(|round| pair(4 + round))),
        })
    }

    fn encrypt(&self, block: &mut Array<u8, U16>) {
        self.encrypt_lanes(core::array::from_mut(block));
    }

    fn decrypt(&self, block: &mut Array<u8, U16>) {
        self.decrypt_lanes(core::array::from_mut(block));
    }

    fn encrypt_side_by_side(&self, blocks: &mut [Array<u8, U16>; SIDE_BY_SIDE]) {
        self.encrypt_lanes(blocks);
    }

    fn decrypt_side_by_side(&self, blocks: &mut [Array<u8, U16>; SIDE_BY_SIDE]) {
        self.decrypt_lanes(blocks);
    }
}

/// h of section 4.3.2 up to the MDS matrix: what becomes of the byte `x` at this place of a word.
fn substitute(place: usize, x: usize, keys: &[[u8; 4]]) -> u8 {
    let last = usize::from(Q[ORDER[place][keys.len()]][x]);
    let image = keys.iter().enumerate().rev().fold(last, |x, (index, key)| {
        usize::from(Q[ORDER[place][index]][x ^ usize::from(key[place])])
    });
    u8::try_from(image).expect("it comes out of a byte")
}

/// Which q each place of a word passes through: before the matrix, after the first word of the key, after the second, ...
const ORDER: [[usize; 5]; 4] = [
    [1, 0, 0, 1, 1],
    [0, 0, 1, 1, 0],
    [1, 1, 0, 0, 0],
    [0, 1, 1, 0, 1],
];

/// q0 and q1 (4.3.5).
const Q: [[u8; 256]; 2] = [
    q([
        [8, 1, 7, 13, 6, 15, 3, 2, 0, 11, 5, 9, 14, 12, 10, 4],
        [14, 12, 11, 8, 1, 2, 3, 5, 15, 4, 10, 6, 7, 0, 9, 13],
        [11, 10, 5, 14, 6, 13, 9, 0, 12, 8, 15, 3, 2, 4, 7, 1],
        [13, 7, 15, 4, 1, 2, 6, 14, 9, 11, 3, 0, 8, 5, 12, 10],
    ]),
    q([
        [2, 8, 11, 13, 15, 7, 6, 14, 3, 1, 9, 4, 0, 10, 12, 5],
        [1, 14, 2, 11, 4, 12, 3, 7, 6, 13, 10, 5, 15, 9, 0, 8],
        [4, 12, 7, 5, 1, 6, 9, 10, 0, 14, 13, 8, 2, 11, 3, 15],
        [11, 9, 5, 1, 12, 3, 13, 14, 6, 4, 7, 15, 2, 0, 8, 10],
    ]),
];

const fn q(t: [[u8; 16]; 4]) -> [u8; 256] {
    let mut table = [0; 256];
    let mut x: u16 = 0;
    while x < 256 {
        let byte = x.to_le_bytes()[0];
        let [mut a, mut b] = [byte >> 4, byte & 15];
        let mut layer = 0;
        while layer < 4 {
            let turned = (b >> 1) | (b & 1) << 3;
            [a, b] = [a ^ b, a ^ turned ^ (a << 3) & 15];
            [a, b] = [t[layer][a as usize], t[layer + 1][b as usize]];
            layer += 2;
        }
        table[x as usize] = b << 4 | a;
        x += 1;
    }
    table
}

/// A byte at each place of a word, times its column of the MDS matrix, modulo x^8 + x^6 + x^5 + x^3 + 1.
static MDS: [[u32; 256]; 4] = [
    column([0x01, 0x5b, 0xef, 0xef]),
    column([0xef, 0xef, 0x5b, 0x01]),
    column([0x5b, 0xef, 0x01, 0xef]),
    column([0x5b, 0x01, 0xef, 0x5b]),
];

const fn column(factors: [u8; 4]) -> [u32; 256] {
    let mut table = [0; 256];
    let mut x: u16 = 0;
    while x < 256 {
        let byte = x.to_le_bytes()[0];
        let mut product = [0; 4];
        let mut row = 0;
        while row < 4 {
            product[row] = multiply(factors[row], byte, 0x169);
            row += 1;
        }
        table[x as usize] = u32::from_le_bytes(product);
        x += 1;
    }
    table
}

/// Eight bytes of the key times the matrix RS, modulo x^8 + x^6 + x^3 + x^2 + 1 (4.3).
fn reed_solomon(bytes: &[u8]) -> [u8; 4] {
    const RS: [[u8; 8]; 4] = [
        [0x01, 0xa4, 0x55, 0x87, 0x5a, 0x58, 0xdb, 0x9e],
        [0xa4, 0x56, 0x82, 0xf3, 0x1e, 0xc6, 0x68, 0xe5],
        [0x02, 0xa1, 0xfc, 0xc1, 0x47, 0xae, 0x3d, 0x19],
        [0xa4, 0x55, 0x87, 0x5a, 0x58, 0xdb, 0x9e, 0x03],
    ];
    RS.map(|row| {
        row.iter().zip(bytes).fold(0, |sum, (&factor, &byte)| {
            sum ^ multiply(factor, byte, 0x14d)
        })
    })
}
