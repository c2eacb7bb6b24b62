//! Round keys (FIPS 197, 5.2), laid out for vectors of every width.

use super::cpu::AesNi;
use std::arch::x86_64::{
    __m128i, _mm_aesimc_si128, _mm_aeskeygenassist_si128, _mm_cvtsi128_si32, _mm_set1_epi32,
};
use zeroize::Zeroize;

/// Rounds of AES with its longest key.
const MOST_ROUNDS: usize = 14;
/// Bytes in the widest vector.
const WIDEST_BYTES: usize = 64;
const BLOCK_BYTES: usize = 16;
const WORD_BYTES: usize = 4;

/// The keys of one direction. Each stands as often as it fits the widest vector, so that a kernel of any width loads it
/// with one instruction.
#[repr(C, align(64))]
pub(crate) struct Schedule {
    /// The first key, those of the rounds in the middle (9, 11 or 13), and always in the last place the last.
    keys: [[u8; WIDEST_BYTES]; MOST_ROUNDS + 1],
    rounds: usize,
}

impl Schedule {
    /// Both directions of a key of 16, 24 or 32 bytes, encryption first.
    pub(super) fn pair(cpu: AesNi, key: &[u8]) -> [Self; 2] {
        let _ = cpu;
        // SAFETY: the token says that the processor has these instructions.
        unsafe { expand(key) }
    }

    pub(super) fn rounds(&self) -> usize {
        self.rounds
    }

    /// The keys, [`WIDEST_BYTES`] from one to the next, the last one at [`MOST_ROUNDS`].
    pub(super) fn keys(&self) -> *const u8 {
        self.keys.as_ptr().cast()
    }

    fn new(round_keys: &[[u8; BLOCK_BYTES]]) -> Self {
        let mut keys = [[0; WIDEST_BYTES]; MOST_ROUNDS + 1];
        let rounds = round_keys.len() - 1;
        let places = (0..rounds).chain([MOST_ROUNDS]);
        for (key, place) in round_keys.iter().zip(places) {
            for copy in keys[place].chunks_exact_mut(BLOCK_BYTES) {
                copy.copy_from_slice(key);
            }
        }
        Self { keys, rounds }
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.keys.zeroize();
    }
}

/// w\[i\] = w\[i - Nk\] ^ f(w\[i - 1\]) (FIPS 197, figure 11); and the keys of the equivalent inverse cipher (5.3.5).
#[target_feature(enable = "avx,aes")]
fn expand(key: &[u8]) -> [Schedule; 2] {
    let key_words = key.len() / WORD_BYTES;
    let rounds = key_words + 6;
    let count = 4 * (rounds + 1);
    let mut words = [0_u32; 4 * (MOST_ROUNDS + 1)];
    for (word, bytes) in words.iter_mut().zip(key.chunks_exact(WORD_BYTES)) {
        *word = u32::from_le_bytes(bytes.try_into().expect("four bytes"));
    }
    let mut round_constant = 1_u32;
    for i in key_words..count {
        let mut word = words[i - 1];
        if i % key_words == 0 {
            word = substitute(word).rotate_right(8) ^ round_constant;
            // The next power of x in GF(2^8); only the first ten are ever used.
            round_constant = (round_constant << 1) ^ (0x11b * (round_constant >> 7));
        } else if key_words > 6 && i % key_words == 4 {
            word = substitute(word);
        }
        words[i] = words[i - key_words] ^ word;
    }

    let mut encrypt = [[0_u8; BLOCK_BYTES]; MOST_ROUNDS + 1];
    for (byte, word) in encrypt
        .as_flattened_mut()
        .chunks_exact_mut(WORD_BYTES)
        .zip(words)
    {
        byte.copy_from_slice(&word.to_le_bytes());
    }
    let mut decrypt = encrypt;
    decrypt[..=rounds].reverse();
    for key in &mut decrypt[1..rounds] {
        *key = to_bytes(_mm_aesimc_si128(from_bytes(*key)));
    }
    let pair = [&encrypt, &decrypt].map(|keys| Schedule::new(&keys[..=rounds]));
    words.zeroize();
    encrypt.zeroize();
    decrypt.zeroize();
    pair
}

/// The S-box on each byte (FIPS 197, 5.2, `SubWord`), by the processor and so without a table in memory.
#[target_feature(enable = "avx,aes")]
fn substitute(word: u32) -> u32 {
    let four = _mm_set1_epi32(word.cast_signed());
    _mm_cvtsi128_si32(_mm_aeskeygenassist_si128::<0>(four)).cast_unsigned()
}

fn from_bytes(bytes: [u8; BLOCK_BYTES]) -> __m128i {
    // SAFETY: both are 16 bytes of which every value is valid.
    unsafe { std::mem::transmute(bytes) }
}

fn to_bytes(vector: __m128i) -> [u8; BLOCK_BYTES] {
    // SAFETY: as above.
    unsafe { std::mem::transmute(vector) }
}
