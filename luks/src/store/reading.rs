//! Bytes of a header as they were read: some of them may not have been.

use std::io;

use volume::{Storage, Unread, read_around};

use crate::error::{Corrupt, Error};
use crate::number::{to_u64, to_usize};

/// What was read from one place on. What cannot be read is zeros.
pub(super) struct Bytes {
    pub(super) content: Vec<u8>,
    at: u64,
    unread: Vec<Unread>,
}

impl Bytes {
    /// Reads `most` bytes at `at`, or those up to the end of a storage of `length` bytes.
    pub(super) fn read(
        storage: &dyn Storage,
        at: u64,
        most: usize,
        length: u64,
    ) -> Result<Self, Error> {
        let there = to_usize(length.saturating_sub(at));
        let mut read = Self {
            content: Vec::new(),
            at,
            unread: Vec::new(),
        };
        read.read_on(storage, there.min(most))?;
        Ok(read)
    }

    /// Reads on until there are `bytes` bytes.
    pub(super) fn read_on(&mut self, storage: &dyn Storage, bytes: usize) -> Result<(), Error> {
        let have = self.content.len();
        if bytes <= have {
            return Ok(());
        }
        self.content.resize(bytes, 0);
        let at = self.at.saturating_add(to_u64(have));
        match read_around(storage, at, &mut self.content[have..]) {
            Ok(unread) => self.unread.extend(unread),
            // It has become shorter meanwhile.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.content[have..].fill(0);
                let end = self.at.saturating_add(to_u64(bytes));
                let range = at..end;
                self.unread.push(Unread { range, error });
            }
            Err(error) => return Err(Error::io("read the header")(error)),
        }
        Ok(())
    }

    /// What cannot be read, where something cannot.
    pub(super) fn unreadable(&self) -> Option<Corrupt> {
        self.unread.first().map(|unread| Corrupt::Unreadable {
            at: unread.range.start,
            problem: unread.error.to_string(),
        })
    }

    /// What lies at this byte of the storage and behind it is not needed.
    pub(super) fn forget_behind(&mut self, end: u64) {
        self.unread.retain(|unread| unread.range.start < end);
    }
}
