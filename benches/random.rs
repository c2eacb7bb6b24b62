//! Numbers that look random and are the same in each run.

/// xorshift64 (Marsaglia 2003).
#[derive(Clone, Debug)]
pub struct Xorshift(u64);

impl Xorshift {
    /// From a seed that is not zero.
    pub fn new(seed: u64) -> Self {
        assert!(seed != 0, "zero is followed by zeros");
        Self(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
