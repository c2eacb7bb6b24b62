//! Anubis (Barreto and Rijmen 2000, tweaked 2001): 12 to 18 rounds over a 4x4 matrix of bytes, for keys of 4 to 10 words.
//! Not constant-time: it looks tables up.

use super::{
    Cipher, expand, expand_xts,
    involution::{SBOX, invert_keys, multiples, times},
    own::{OneBlock, Own, set_words, words},
    sizes,
};
use ::cipher::{
    Array,
    consts::{U16, U40},
};
use zeroize::Zeroizing;

pub(super) const ANUBIS: Cipher = Cipher {
    name: "anubis",
    block_bytes: 16,
    key_bytes: &sizes::<7>(16, 4),
    expand: expand::<Own<Anubis>>,
    expand_xts: Some(expand_xts::<Own<Anubis>>),
};

/// Four rows of four bytes, each row a big-endian word.
type State = [u32; 4];

/// The round keys of both directions.
pub(super) struct Anubis {
    rounds: usize,
    encrypt: Zeroizing<[State; MOST_ROUNDS + 1]>,
    decrypt: Zeroizing<[State; MOST_ROUNDS + 1]>,
}

const MOST_ROUNDS: usize = 18;

/// The diffusion matrix: row i has the element H\[i ^ j\] at j.
const H: [u8; 4] = [1, 2, 4, 6];
/// Row i of the matrix times S\[x\], as a big-endian word.
const T: [[u32; 256]; 4] = {
    let mut tables = [[0; 256]; 4];
    let mut row = 0;
    while row < 4 {
        let images = multiples([H[row], H[row ^ 1], H[row ^ 2], H[row ^ 3]]);
        let mut x = 0;
        while x < 256 {
            tables[row][x] = u32::from_be_bytes(images[x]);
            x += 1;
        }
        row += 1;
    }
    tables
};
/// The rows of the Vandermonde matrix that extracts round keys: the powers of these.
const EXTRACTION: [u8; 4] = [1, 2, 6, 8];

impl OneBlock for Anubis {
    type BlockSize = U16;
    type KeySize = U40;

    fn expand(key: &[u8]) -> Option<Self> {
        let (rows, rest) = key.as_chunks::<4>();
        let count = rows.len();
        if !rest.is_empty() || !(4..=10).contains(&count) {
            return None;
        }
        let rounds = 8 + count;
        let mut kappa: Zeroizing<Vec<[u8; 4]>> = Zeroizing::new(rows.to_vec());
        let mut encrypt = Zeroizing::new([State::default(); MOST_ROUNDS + 1]);
        for (place, constant) in encrypt[..=rounds].iter_mut().zip(SBOX.as_chunks().0) {
            *place = extract(&kappa);
            evolve(&mut kappa, *constant);
        }
        let mut decrypt = encrypt.clone();
        invert_keys(&mut decrypt[..=rounds], |key| key.map(diffuse));
        Some(Self {
            rounds,
            encrypt,
            decrypt,
        })
    }

    fn encrypt(&self, block: &mut Array<u8, U16>) {
        crypt(block, &self.encrypt[..=self.rounds]);
    }

    fn decrypt(&self, block: &mut Array<u8, U16>) {
        crypt(block, &self.decrypt[..=self.rounds]);
    }
}

/// A round key: S on each byte of the rows, the extraction over each column, and the result transposed.
fn extract(kappa: &[[u8; 4]]) -> State {
    core::array::from_fn(|column| {
        let image = EXTRACTION.map(|factor| {
            kappa.iter().rev().fold(0, |sum, row| {
                times(sum, factor) ^ SBOX[usize::from(row[column])]
            })
        });
        u32::from_be_bytes(image)
    })
}

/// The next rows: S on each byte, column j moved down by j rows, the diffusion over each row, the constant on the first.
fn evolve(kappa: &mut [[u8; 4]], constant: [u8; 4]) {
    let rows = kappa.len();
    let before = Zeroizing::new(kappa.to_vec());
    for (index, row) in kappa.iter_mut().enumerate() {
        let moved: [u8; 4] =
            core::array::from_fn(|column| before[(index + rows - column) % rows][column]);
        *row = diffuse_images(moved).to_be_bytes();
    }
    for (byte, constant) in kappa[0].iter_mut().zip(constant) {
        *byte ^= constant;
    }
}

fn crypt(block: &mut Array<u8, U16>, keys: &[State]) {
    let (first, rest) = keys.split_first().expect("there are 13 round keys or more");
    let (last, inner) = rest.split_last().expect("there are 13 round keys or more");
    let mut state = add(words(block), first);
    for key in inner {
        state = add(transposed(state).map(diffuse_images), key);
    }
    let images =
        transposed(state).map(|row| u32::from_be_bytes(row.map(|byte| SBOX[usize::from(byte)])));
    set_words(block, add(images, last));
}

fn add(state: State, key: &State) -> State {
    core::array::from_fn(|row| state[row] ^ key[row])
}

fn transposed(state: State) -> [[u8; 4]; 4] {
    let rows = state.map(u32::to_be_bytes);
    core::array::from_fn(|column| rows.map(|row| row[column]))
}

/// S on each byte of a row, and then the diffusion.
fn diffuse_images(row: [u8; 4]) -> u32 {
    T.iter()
        .zip(row)
        .fold(0, |sum, (table, byte)| sum ^ table[usize::from(byte)])
}

/// The diffusion alone: S is its own inverse.
fn diffuse(row: u32) -> u32 {
    diffuse_images(row.to_be_bytes().map(|byte| SBOX[usize::from(byte)]))
}
