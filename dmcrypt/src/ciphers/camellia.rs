//! Camellia (RFC 3713): a Feistel network over two halves of eight bytes, with a layer of its own after every six rounds.
//! Constant-time where the processor has GFNI and AVX-512; elsewhere it looks tables up.
#![expect(
    clippy::inline_always,
    reason = "all of a cipher must be compiled inside the function that is made for the vectors of the processor"
)]

use super::{
    Cipher,
    affine::{Substitution, apply, compose, matrix},
    expand_named, expand_xts_named,
    own::{OneBlock, SIDE_BY_SIDE},
    sliced::{OfBytes, Sliced},
};
use crate::kernels::bytes::Bytes;
use ::cipher::{
    Array,
    consts::{U16, U32},
};
use core::array::from_fn;
use zeroize::{Zeroize, Zeroizing};

pub(super) const CAMELLIA: Cipher = Cipher {
    name: "camellia",
    block_bytes: 16,
    key_bytes: &[16, 24, 32],
    expand: expand_named::<Sliced<Camellia>>,
    expand_xts: Some(expand_xts_named::<Sliced<Camellia>>),
};

/// The keys of the rounds in their order, and in the opposite one.
pub(super) struct Camellia {
    encrypt: Keys,
    decrypt: Keys,
}

/// Keys in the order in which they are used.
struct Keys {
    /// Of the halves before the first round, and after the last.
    whitening: [[u64; 2]; 2],
    /// Six rounds each; the last is of keys of more than 128 bits.
    rounds: [[u64; 6]; 4],
    /// Of the layers between them.
    layers: [[u64; 2]; 3],
    groups: usize,
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.whitening.zeroize();
        self.rounds.zeroize();
        self.layers.zeroize();
    }
}

impl Keys {
    fn backwards(&self) -> Self {
        let [[w1, w2], [w3, w4]] = self.whitening;
        let mut rounds = self.rounds;
        rounds[..self.groups].reverse();
        for group in &mut rounds {
            group.reverse();
        }
        let mut layers = self.layers;
        layers[..self.groups - 1].reverse();
        for layer in &mut layers {
            layer.reverse();
        }
        Self {
            whitening: [[w3, w4], [w1, w2]],
            rounds,
            layers,
            groups: self.groups,
        }
    }
}

/// s1 of RFC 3713, 2.4.3, in the field of AES. s2 and s3 turn what comes out of it by one bit, s4 what goes in.
const S1: Substitution = Substitution {
    before: 0xd9da_1efc_909e_4e7e,
    c: 0x1d,
    after: 0xb7cc_ec52_f307_85bf,
    d: 0x6e,
};
const TURN_LEFT: u64 = matrix([2, 4, 8, 16, 32, 64, 128, 1]);
const TURN_RIGHT: u64 = matrix([128, 1, 2, 4, 8, 16, 32, 64]);
const S2: Substitution = Substitution {
    after: compose(TURN_LEFT, S1.after),
    d: apply(TURN_LEFT, S1.d),
    ..S1
};
const S3: Substitution = Substitution {
    after: compose(TURN_RIGHT, S1.after),
    d: apply(TURN_RIGHT, S1.d),
    ..S1
};
const S4: Substitution = Substitution {
    before: compose(S1.before, TURN_LEFT),
    ..S1
};
/// Which bytes of a half each byte of P's image is the sum of (2.4.2), the first byte as the highest bit.
const P: [u8; 8] = [
    0b1011_0111,
    0b1101_1011,
    0b1110_1101,
    0b0111_1110,
    0b1100_0111,
    0b0110_1011,
    0b0011_1101,
    0b1001_1110,
];
/// Each byte of a half substituted, and what P makes of it.
static SPREAD: [[u64; 256]; 8] = {
    let tables = [S1.table(), S2.table(), S3.table(), S4.table()];
    let places = [0, 1, 2, 3, 1, 2, 3, 0];
    let mut spread = [[0; 256]; 8];
    let mut place = 0;
    while place < 8 {
        let mut x = 0;
        while x < 256 {
            let byte = tables[places[place]][x];
            let mut image = [0; 8];
            let mut row = 0;
            while row < 8 {
                if P[row] & 0x80 >> place != 0 {
                    image[row] = byte;
                }
                row += 1;
            }
            spread[place][x] = u64::from_be_bytes(image);
            x += 1;
        }
        place += 1;
    }
    spread
};

/// The constants of the key schedule (2.2).
const SIGMA: [u64; 6] = [
    0xa09e_667f_3bcc_908b,
    0xb67a_e858_4caa_73b2,
    0xc6ef_372f_e94f_82be,
    0x54ff_53a5_f1d3_6f1c,
    0x10e5_27fa_de68_2d1d,
    0xb056_88c2_b3e6_c1fd,
];

#[inline]
fn f(half: u64, key: u64) -> u64 {
    (half ^ key)
        .to_be_bytes()
        .iter()
        .zip(&SPREAD)
        .fold(0, |sum, (&byte, table)| sum ^ table[usize::from(byte)])
}

/// FL of 2.4.4.
#[inline]
fn fl(half: u64, key: u64) -> u64 {
    let [mut left, mut right] = halves(half);
    let [key_left, key_right] = halves(key);
    right ^= (left & key_left).rotate_left(1);
    left ^= right | key_right;
    u64::from(left) << 32 | u64::from(right)
}

/// FLINV of 2.4.5.
#[inline]
fn fl_inverse(half: u64, key: u64) -> u64 {
    let [mut left, mut right] = halves(half);
    let [key_left, key_right] = halves(key);
    left ^= right | key_right;
    right ^= (left & key_left).rotate_left(1);
    u64::from(left) << 32 | u64::from(right)
}

fn halves(half: u64) -> [u32; 2] {
    let bytes = half.to_be_bytes();
    from_fn(|index| u32::from_be_bytes(bytes.as_chunks().0[index]))
}

impl Camellia {
    #[inline]
    fn crypt<const N: usize>(keys: &Keys, blocks: &mut [Array<u8, U16>; N]) {
        let [before, after] = keys.whitening;
        let mut lanes: [[u64; 2]; N] = from_fn(|lane| {
            from_fn(|half| u64::from_be_bytes(blocks[lane].as_chunks().0[half]) ^ before[half])
        });
        for (group, round_keys) in keys.rounds[..keys.groups].iter().enumerate() {
            if let Some(layer) = group.checked_sub(1).map(|layer| keys.layers[layer]) {
                for [left, right] in &mut lanes {
                    *left = fl(*left, layer[0]);
                    *right = fl_inverse(*right, layer[1]);
                }
            }
            for [even, odd] in round_keys.as_chunks().0 {
                for [left, right] in &mut lanes {
                    *right ^= f(*left, *even);
                }
                for [left, right] in &mut lanes {
                    *left ^= f(*right, *odd);
                }
            }
        }
        for (block, [left, right]) in blocks.iter_mut().zip(lanes) {
            let halves = block.as_chunks_mut().0;
            halves[0] = (right ^ after[0]).to_be_bytes();
            halves[1] = (left ^ after[1]).to_be_bytes();
        }
    }

    #[inline(always)]
    fn crypt_bytes<B: Bytes>(keys: &Keys, state: [B; 16]) -> [B; 16] {
        let [before, after] = keys.whitening.map(|halves| halves.map(u64::to_be_bytes));
        let mut left: [B; 8] = from_fn(|place| state[place].xor_each(before[0][place]));
        let mut right: [B; 8] = from_fn(|place| state[8 + place].xor_each(before[1][place]));
        for (group, round_keys) in keys.rounds[..keys.groups].iter().enumerate() {
            if let Some(layer) = group.checked_sub(1).map(|layer| keys.layers[layer]) {
                let [of_left, of_right] = layer.map(u64::to_be_bytes);
                left = or_right(and_left(left, of_left), of_left);
                right = and_left(or_right(right, of_right), of_right);
            }
            for [even, odd] in round_keys.as_chunks().0 {
                right = add_f(right, left, *even);
                left = add_f(left, right, *odd);
            }
        }
        from_fn(|place| match place {
            0..8 => right[place].xor_each(after[0][place]),
            _ => left[place - 8].xor_each(after[1][place - 8]),
        })
    }
}

/// A half plus F of the other one. P is made of sums that several bytes share: its words are added to each other four times,
/// turned by some bytes.
#[inline(always)]
fn add_f<B: Bytes>(to: [B; 8], half: [B; 8], key: u64) -> [B; 8] {
    const C: i32 = S1.c as i32;
    let key = key.to_be_bytes();
    let byte = |place: usize| half[place].xor_each(key[place]);
    let s1 = |x: B| {
        x.affine::<C>(S1.before)
            .inverse_affine::<{ S1.d as i32 }>(S1.after)
    };
    let s2 = |x: B| {
        x.affine::<C>(S2.before)
            .inverse_affine::<{ S2.d as i32 }>(S2.after)
    };
    let s3 = |x: B| {
        x.affine::<C>(S3.before)
            .inverse_affine::<{ S3.d as i32 }>(S3.after)
    };
    let s4 = |x: B| {
        x.affine::<C>(S4.before)
            .inverse_affine::<{ S4.d as i32 }>(S4.after)
    };
    let upper = [s1(byte(0)), s2(byte(1)), s3(byte(2)), s4(byte(3))];
    let lower = [s2(byte(4)), s3(byte(5)), s4(byte(6)), s1(byte(7))];
    let upper = add_turned::<1, B>(upper, lower);
    let lower = add_turned::<2, B>(lower, upper);
    let upper = add_turned::<3, B>(upper, lower);
    let lower = add_turned::<3, B>(lower, upper);
    from_fn(|place| match place {
        0..4 => to[place].xor(lower[place]),
        _ => to[place].xor(upper[place - 4]),
    })
}

/// Each byte plus the one that stands so far after its place in the others.
#[inline(always)]
fn add_turned<const TURN: usize, B: Bytes>(to: [B; 4], others: [B; 4]) -> [B; 4] {
    from_fn(|place| to[place].xor(others[(place + TURN) % 4]))
}

/// The left word and a key, turned by one bit, added to the right word.
#[inline(always)]
fn and_left<B: Bytes>(half: [B; 8], key: [u8; 8]) -> [B; 8] {
    const UP: u64 = matrix([2, 4, 8, 16, 32, 64, 128, 0]);
    const OVER: u64 = matrix([0, 0, 0, 0, 0, 0, 0, 1]);
    let masked: [B; 4] = from_fn(|place| half[place].and_each(key[place]));
    from_fn(|place| match place {
        0..4 => half[place],
        _ => half[place]
            .xor(masked[place - 4].affine::<0>(UP))
            .xor(masked[(place - 3) % 4].affine::<0>(OVER)),
    })
}

/// The right word or a key, added to the left word.
#[inline(always)]
fn or_right<B: Bytes>(half: [B; 8], key: [u8; 8]) -> [B; 8] {
    from_fn(|place| match place {
        0..4 => half[place].xor(half[place + 4].or_each(key[place + 4])),
        _ => half[place],
    })
}

impl OneBlock for Camellia {
    type BlockSize = U16;
    type KeySize = U32;

    fn expand(key: &[u8]) -> Option<Self> {
        if !matches!(key.len(), 16 | 24 | 32) {
            return None;
        }
        let mut words = Zeroizing::new([0; 4]);
        for (word, bytes) in words.iter_mut().zip(key.as_chunks().0) {
            *word = u64::from_be_bytes(*bytes);
        }
        if key.len() == 24 {
            words[3] = !words[2];
        }
        let mix = |[mut left, mut right]: [u64; 2], sigmas: &[u64]| {
            right ^= f(left, sigmas[0]);
            left ^= f(right, sigmas[1]);
            [left, right]
        };
        let [l0, l1, r0, r1] = *words;
        let [a0, a1] = mix([l0 ^ r0, l1 ^ r1], &SIGMA[..2]);
        let [a0, a1] = mix([a0 ^ l0, a1 ^ l1], &SIGMA[2..4]);
        let [b0, b1] = mix([a0 ^ r0, a1 ^ r1], &SIGMA[4..]);
        let wide = |[high, low]: [u64; 2]| Zeroizing::new(u128::from(high) << 64 | u128::from(low));
        let (l, r, a, b) = (
            wide([l0, l1]),
            wide([r0, r1]),
            wide([a0, a1]),
            wide([b0, b1]),
        );
        let pair = |of: u128, turn: u32| -> [u64; 2] {
            let bytes = of.rotate_left(turn).to_be_bytes();
            from_fn(|half| u64::from_be_bytes(bytes.as_chunks().0[half]))
        };
        let six = |pairs: [[u64; 2]; 3]| from_fn(|index| pairs[index / 2][index % 2]);
        let encrypt = if key.len() == 16 {
            Keys {
                whitening: [pair(*l, 0), pair(*a, 111)],
                rounds: [
                    six([pair(*a, 0), pair(*l, 15), pair(*a, 15)]),
                    six([
                        pair(*l, 45),
                        [pair(*a, 45)[0], pair(*l, 60)[1]],
                        pair(*a, 60),
                    ]),
                    six([pair(*l, 94), pair(*a, 94), pair(*l, 111)]),
                    [0; 6],
                ],
                layers: [pair(*a, 30), pair(*l, 77), [0; 2]],
                groups: 3,
            }
        } else {
            Keys {
                whitening: [pair(*l, 0), pair(*b, 111)],
                rounds: [
                    six([pair(*b, 0), pair(*r, 15), pair(*a, 15)]),
                    six([pair(*b, 30), pair(*l, 45), pair(*a, 45)]),
                    six([pair(*r, 60), pair(*b, 60), pair(*l, 77)]),
                    six([pair(*r, 94), pair(*a, 94), pair(*l, 111)]),
                ],
                layers: [pair(*r, 30), pair(*l, 60), pair(*a, 77)],
                groups: 4,
            }
        };
        let decrypt = encrypt.backwards();
        Some(Self { encrypt, decrypt })
    }

    fn encrypt(&self, block: &mut Array<u8, U16>) {
        Self::crypt(&self.encrypt, core::array::from_mut(block));
    }

    fn decrypt(&self, block: &mut Array<u8, U16>) {
        Self::crypt(&self.decrypt, core::array::from_mut(block));
    }

    fn encrypt_side_by_side(&self, blocks: &mut [Array<u8, U16>; SIDE_BY_SIDE]) {
        Self::crypt(&self.encrypt, blocks);
    }

    fn decrypt_side_by_side(&self, blocks: &mut [Array<u8, U16>; SIDE_BY_SIDE]) {
        Self::crypt(&self.decrypt, blocks);
    }
}

impl OfBytes for Camellia {
    #[inline(always)]
    fn encrypt_bytes<B: Bytes>(&self, state: [B; 16]) -> [B; 16] {
        Self::crypt_bytes(&self.encrypt, state)
    }

    #[inline(always)]
    fn decrypt_bytes<B: Bytes>(&self, state: [B; 16]) -> [B; 16] {
        Self::crypt_bytes(&self.decrypt, state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ciphers::sliced::tests::vectors_are_the_portable_code;

    #[test]
    fn vectors() {
        vectors_are_the_portable_code::<Camellia>(16);
        vectors_are_the_portable_code::<Camellia>(24);
        vectors_are_the_portable_code::<Camellia>(32);
    }
}
