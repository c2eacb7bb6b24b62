//! TEA (Wheeler and Needham 1994), of little-endian words as in the kernel: 32 cycles of two rounds. Constant-time.

use super::{
    Cipher, expand,
    own::{OneBlock, Own},
};
use ::cipher::{
    Array,
    consts::{U8, U16},
};
use zeroize::Zeroizing;

pub(super) const TEA: Cipher = Cipher {
    name: "tea",
    block_bytes: 8,
    key_bytes: &[16],
    expand: expand::<Own<Tea>>,
    expand_xts: None,
};

pub(super) struct Tea(Zeroizing<[u32; 4]>);

const CYCLES: u32 = 32;
/// 2^32 divided by the golden ratio.
const DELTA: u32 = 0x9e37_79b9;

impl Tea {
    /// What a word is mixed with, from the other word.
    fn mix(&self, word: u32, sum: u32, keys: usize) -> u32 {
        (word << 4).wrapping_add(self.0[keys])
            ^ word.wrapping_add(sum)
            ^ (word >> 5).wrapping_add(self.0[keys + 1])
    }
}

impl OneBlock for Tea {
    type BlockSize = U8;
    type KeySize = U16;

    fn expand(key: &[u8]) -> Option<Self> {
        let (words, rest) = key.as_chunks();
        let words: &[[u8; 4]; 4] = words.try_into().ok()?;
        rest.is_empty()
            .then(|| Self(Zeroizing::new(words.map(u32::from_le_bytes))))
    }

    fn encrypt(&self, block: &mut Array<u8, U8>) {
        let [mut y, mut z] = load(*block);
        for cycle in 1..=CYCLES {
            let sum = DELTA.wrapping_mul(cycle);
            y = y.wrapping_add(self.mix(z, sum, 0));
            z = z.wrapping_add(self.mix(y, sum, 2));
        }
        store(block, [y, z]);
    }

    fn decrypt(&self, block: &mut Array<u8, U8>) {
        let [mut y, mut z] = load(*block);
        for cycle in (1..=CYCLES).rev() {
            let sum = DELTA.wrapping_mul(cycle);
            z = z.wrapping_sub(self.mix(y, sum, 2));
            y = y.wrapping_sub(self.mix(z, sum, 0));
        }
        store(block, [y, z]);
    }
}

fn load(block: Array<u8, U8>) -> [u32; 2] {
    core::array::from_fn(|index| u32::from_le_bytes(block.as_chunks().0[index]))
}

fn store(block: &mut Array<u8, U8>, words: [u32; 2]) {
    for (bytes, word) in block.as_chunks_mut().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
}
