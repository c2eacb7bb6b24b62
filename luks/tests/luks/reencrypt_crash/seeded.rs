//! Random bytes that are the same in each run.

use luks::{Random, RandomError};

/// Repeatable (`SplitMix64`).
pub struct Seeded(pub u64);

impl Seeded {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// One in so many times.
    pub fn is_chosen(&mut self, of: u64) -> bool {
        self.next().is_multiple_of(of)
    }
}

impl Random for Seeded {
    fn fill(&mut self, buf: &mut [u8]) -> Result<(), RandomError> {
        for chunk in buf.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        Ok(())
    }
}

/// No 16 of them, where 16 begin, are found twice.
pub fn unlike_bytes(bytes: u64) -> Vec<u8> {
    let mut random = Seeded(7);
    let mut all = vec![0; usize::try_from(bytes).unwrap()];
    random.fill(&mut all).unwrap();
    all
}
