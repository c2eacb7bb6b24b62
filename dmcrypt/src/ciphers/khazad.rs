//! Khazad (Barreto and Rijmen 2000, tweaked 2001): 8 rounds over 64 bits. Not constant-time: it looks tables up.

use super::{
    Cipher, expand,
    involution::{SBOX, invert_keys, multiples},
    own::{OneBlock, Own},
};
use ::cipher::{
    Array,
    consts::{U8, U16},
};
use zeroize::Zeroizing;

pub(super) const KHAZAD: Cipher = Cipher {
    name: "khazad",
    block_bytes: 8,
    key_bytes: &[16],
    expand: expand::<Own<Khazad>>,
    expand_xts: None,
};

/// The round keys of both directions.
pub(super) struct Khazad {
    encrypt: Zeroizing<[u64; ROUNDS + 1]>,
    decrypt: Zeroizing<[u64; ROUNDS + 1]>,
}

const ROUNDS: usize = 8;
/// The first row of the diffusion matrix; row i has the element i ^ j at j.
const H: [u8; 8] = [0x1, 0x3, 0x4, 0x5, 0x6, 0x8, 0xb, 0x7];
/// Row i of the matrix times S\[x\], as a big-endian word.
const T: [[u64; 256]; 8] = {
    let mut tables = [[0; 256]; 8];
    let mut row = 0;
    while row < 8 {
        let mut factors = [0; 8];
        let mut place = 0;
        while place < 8 {
            factors[place] = H[row ^ place];
            place += 1;
        }
        let images = multiples(factors);
        let mut x = 0;
        while x < 256 {
            tables[row][x] = u64::from_be_bytes(images[x]);
            x += 1;
        }
        row += 1;
    }
    tables
};

impl OneBlock for Khazad {
    type BlockSize = U8;
    type KeySize = U16;

    fn expand(key: &[u8]) -> Option<Self> {
        let (halves, rest) = key.as_chunks();
        let halves: &[[u8; 8]; 2] = halves.try_into().ok()?;
        if !rest.is_empty() {
            return None;
        }
        // K[-2] and K[-1]; K[r] = round of K[r-1] with the constant S[8r], ..., S[8r+7], ^ K[r-2].
        let [mut last_but_one, mut last] = halves.map(u64::from_be_bytes);
        let mut encrypt = Zeroizing::new([0; ROUNDS + 1]);
        for (place, constant) in encrypt.iter_mut().zip(SBOX.as_chunks().0) {
            let next = diffuse_images(last) ^ u64::from_be_bytes(*constant) ^ last_but_one;
            *place = next;
            [last_but_one, last] = [last, next];
        }
        let mut decrypt = encrypt.clone();
        invert_keys(&mut *decrypt, |key| diffuse_images(substitute(key)));
        Some(Self { encrypt, decrypt })
    }

    fn encrypt(&self, block: &mut Array<u8, U8>) {
        crypt(block, &self.encrypt);
    }

    fn decrypt(&self, block: &mut Array<u8, U8>) {
        crypt(block, &self.decrypt);
    }
}

fn crypt(block: &mut Array<u8, U8>, keys: &[u64; ROUNDS + 1]) {
    let mut state = u64::from_be_bytes(block.0) ^ keys[0];
    for key in &keys[1..ROUNDS] {
        state = diffuse_images(state) ^ key;
    }
    block.0 = (substitute(state) ^ keys[ROUNDS]).to_be_bytes();
}

/// S on each byte, and then the diffusion.
fn diffuse_images(state: u64) -> u64 {
    T.iter()
        .zip(state.to_be_bytes())
        .fold(0, |sum, (table, byte)| sum ^ table[usize::from(byte)])
}

fn substitute(state: u64) -> u64 {
    u64::from_be_bytes(state.to_be_bytes().map(|byte| SBOX[usize::from(byte)]))
}
