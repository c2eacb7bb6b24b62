//! Buffers for direct I/O.

/// Bytes that start at a multiple of a page, as direct I/O needs them.
pub struct AlignedBuffer {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedBuffer {
    /// `len` zero bytes.
    pub fn new(len: usize) -> Self {
        let bytes = vec![0; len + ALIGNMENT];
        let start = ALIGNMENT - bytes.as_ptr().addr() % ALIGNMENT;
        Self { bytes, start, len }
    }

    /// All of them.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len]
    }
}

const ALIGNMENT: usize = 4096;
