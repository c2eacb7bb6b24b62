//! A growing buffer on locked pages.

use std::io::{self, Read, Write};
use std::ops::Deref;

use dmcrypt::LockedBytes;
use zeroize::Zeroize as _;

/// Secret bytes of unknown number. They are put where they are to stay, and what they outgrow is wiped.
pub struct SecretBuffer {
    bytes: LockedBytes,
    len: usize,
}

impl SecretBuffer {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            bytes: LockedBytes::zeroed(FIRST_BYTES),
            len: 0,
        }
    }

    /// Room for at least one more byte and for no more than `most`, to be filled in place before [`Self::advance`].
    fn room(&mut self, most: usize) -> &mut [u8] {
        if self.len == self.bytes.len() {
            let mut larger = LockedBytes::zeroed(2 * self.len);
            larger[..self.len].copy_from_slice(&self.bytes);
            self.bytes = larger;
        }
        let room = &mut self.bytes[self.len..];
        let most = most.min(room.len());
        &mut room[..most]
    }

    /// So many bytes of the room have been filled.
    fn advance(&mut self, count: usize) {
        self.len += count;
    }

    /// Appends a byte.
    pub fn push(&mut self, byte: u8) {
        self.room(1)[0] = byte;
        self.advance(1);
    }

    /// Appends bytes.
    pub fn extend(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = self.room(rest.len());
            let (now, later) = rest.split_at(room.len());
            room.copy_from_slice(now);
            self.advance(now.len());
            rest = later;
        }
    }

    /// Appends a character, in UTF-8.
    pub fn push_char(&mut self, character: char) {
        let mut bytes = [0; 4];
        self.extend(character.encode_utf8(&mut bytes).as_bytes());
        bytes.zeroize();
    }

    /// Reads a line byte by byte, so that what follows it stays with the input: without its newline, to the end of the
    /// input, or as far as `most` bytes. `None` where there was nothing, not even a newline.
    ///
    /// # Errors
    ///
    /// Those of the input, but for interruptions.
    pub fn read_line(input: &mut impl Read, most: u64) -> io::Result<Option<Self>> {
        let mut line = Self::new();
        while (line.len as u64) < most {
            let is_empty = line.is_empty();
            let room = line.room(1);
            match input.read(room) {
                Ok(0) if is_empty => return Ok(None),
                Ok(0) => break,
                Ok(_) if room[0] == b'\n' => break,
                Ok(_) => line.advance(1),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(line))
    }

    /// Reads to the end of the input, or as far as `most` bytes.
    ///
    /// # Errors
    ///
    /// Those of the input, but for interruptions.
    pub fn read_all(input: &mut impl Read, most: u64) -> io::Result<Self> {
        let mut all = Self::new();
        while (all.len as u64) < most {
            let missing = usize::try_from(most - all.len as u64).unwrap_or(usize::MAX);
            match input.read(all.room(missing)) {
                Ok(0) => break,
                Ok(count) => all.advance(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// What is in it.
    pub fn into_bytes(self) -> LockedBytes {
        LockedBytes::copy_of(&self)
    }
}

impl Default for SecretBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl Write for SecretBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Deref for SecretBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// A page.
const FIRST_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_and_keeps_order() {
        let mut buffer = SecretBuffer::new();
        let expected: Vec<u8> = (0..20_000_u32)
            .map(|number| number.to_le_bytes()[0])
            .collect();
        for byte in &expected {
            buffer.push(*byte);
        }
        assert!(*buffer == expected);
        assert!(*buffer.into_bytes() == expected);

        let mut buffer = SecretBuffer::new();
        buffer.extend(&expected[..3000]);
        buffer.extend(&[]);
        buffer.extend(&expected[3000..]);
        assert!(*buffer == expected);
        buffer.push_char('ß');
        assert!(buffer.ends_with("ß".as_bytes()));
    }

    #[test]
    fn it_takes_no_more_than_it_is_asked_for() {
        let text = [[b'x'; 9000].as_slice(), b"\nrest"].concat();
        for (most, line, all) in [(10, 10, 10), (9000, 9000, 9000), (20_000, 9000, 9005)] {
            let mut input = &text[..];
            let read = SecretBuffer::read_line(&mut input, most).unwrap().unwrap();
            assert_eq!(read.len(), line);
            assert!(text.ends_with(input) && input.len() <= text.len() - line);
            let read = SecretBuffer::read_all(&mut &text[..], most).unwrap();
            assert!(*read == text[..all]);
        }
        assert!(SecretBuffer::read_line(&mut &b""[..], 5).unwrap().is_none());
        assert!(
            SecretBuffer::read_line(&mut &b"\n"[..], 5)
                .unwrap()
                .unwrap()
                .is_empty()
        );
    }
}
