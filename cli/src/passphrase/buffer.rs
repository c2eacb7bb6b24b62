//! A growing buffer that leaves no copies of its bytes behind.

use zeroize::Zeroizing;

/// Bytes of unknown number: a `Vec` that grows by itself would free its old memory unwiped.
pub(super) struct SecretBuffer(Zeroizing<Vec<u8>>);

impl SecretBuffer {
    pub(super) fn new() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(1024)))
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(2 * self.0.capacity())));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn len(&self) -> u64 {
        self.0.len() as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_and_keeps_order() {
        let mut buffer = SecretBuffer::new();
        let expected: Vec<u8> = (0..5000_u32)
            .map(|number| number.to_le_bytes()[0])
            .collect();
        for chunk in expected.chunks(7) {
            buffer.extend(chunk);
        }
        assert_eq!(buffer.len(), 5000);
        assert_eq!(*buffer.into_bytes(), expected);
    }
}
