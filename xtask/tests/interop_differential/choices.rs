//! What a case is made of, drawn from its seed and number.

/// Numbers that look random and are the same in each run: xorshift64* (Vigna 2014).
pub struct Choices(u64);

impl Choices {
    /// Those of one case: they do not depend on the cases before it.
    pub fn of(seed: u64, number: u64) -> Self {
        // Spreads neighbours over all numbers (splitmix64, Steele and others 2014); xorshift cannot start at 0.
        let mut state = seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((state ^ (state >> 31)) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("lengths are numbers");
        usize::try_from((self.next() >> 16) % end).expect("it is below a length")
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    pub fn one_of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[7]
    }

    /// A number at or beside a limit of its kind, or any.
    pub fn number(&mut self) -> u64 {
        const LIMITS: [u64; 22] = [
            0,
            1,
            2,
            3,
            7,
            16,
            32,
            64,
            512,
            1024,
            4000,
            4095,
            4096,
            4097,
            0x4000,
            0x8000,
            0x7fff_ffff,
            0x8000_0000,
            0xffff_ffff,
            0x1_0000_0000,
            0x8000_0000_0000_0000,
            u64::MAX,
        ];
        match self.below(8) {
            0 => self.next(),
            1 => self.next() & 0xffff,
            2 => self.near(self.0 & 0xff_ffff & !0xfff),
            _ => {
                let limit = self.one_of(&LIMITS);
                if self.once_in(4) {
                    self.near(limit)
                } else {
                    limit
                }
            }
        }
    }

    /// A number beside another, by steps that headers are made of.
    pub fn near(&mut self, number: u64) -> u64 {
        let step = self.one_of(&[1, 2, 8, 256, 511, 512, 513, 4096, 65536]);
        match self.below(4) {
            0 => number.wrapping_add(step),
            1 => number.wrapping_sub(step),
            2 => number.wrapping_mul(2),
            _ => number / 2,
        }
    }
}
