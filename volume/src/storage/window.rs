//! A part of another storage.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::{Storage, no_room, past_end};
use crate::lock::{HeaderLock, LockMode};

/// A range of the bytes of another storage, as a storage of its own: a partition of a disk, say.
///
/// Its length is fixed, and nothing outside of the range is read or written through it. Syncs and the header lock are
/// those of the storage below.
///
/// ```
/// # use std::sync::Arc;
/// # use volume::{MemoryStorage, Storage, Window};
/// # fn main() -> std::io::Result<()> {
/// let disk = Arc::new(MemoryStorage::from_vec(b"boot|data|rest".to_vec()));
/// let partition = Window::new(disk.clone(), 5..9)?;
/// partition.write_at(0, b"DA")?;
/// assert_eq!(partition.len()?, 4);
/// assert!(partition.write_at(2, b"TA|").is_err());
/// assert_eq!(disk.snapshot(), b"boot|DAta|rest");
/// # Ok(())
/// # }
/// ```
pub struct Window {
    below: Arc<dyn Storage>,
    /// Ends at or behind its start, within 64 bits.
    range: Range<u64>,
}

impl Window {
    /// The bytes of `range`. What gets them from a partition table need not check them first.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] when the range ends before it starts, [`io::ErrorKind::UnexpectedEof`] when it goes
    /// past the storage's end, and what the storage says when it is asked for its length.
    pub fn new(below: Arc<dyn Storage>, range: Range<u64>) -> io::Result<Self> {
        let Range { start, end } = range;
        if end < start {
            let message = format!("a window cannot start at byte {start} and end at byte {end}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let len = below.len()?;
        if end > len {
            let message =
                format!("a window of bytes {start} to {end} goes past the end at byte {len}");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        Ok(Self { below, range })
    }

    /// What it is a part of.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.below
    }

    /// Which part.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    fn bytes(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Where `len` bytes at `offset` lie below, if they lie within.
    fn place(&self, offset: u64, len: usize) -> Option<u64> {
        let end = offset.checked_add(u64::try_from(len).ok()?)?;
        (end <= self.bytes()).then(|| self.range.start + offset)
    }

    /// Where a byte lies below; those beyond the end are the end.
    fn clip(&self, offset: u64) -> u64 {
        self.range.start + offset.min(self.bytes())
    }
}

impl Storage for Window {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        match self.place(offset, buf.len()) {
            Some(place) => self.below.read_at(place, buf),
            None => Err(past_end(offset, buf.len(), self.bytes())),
        }
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        match self.place(offset, data.len()) {
            Some(place) => self.below.write_at(place, data),
            None => Err(no_room(offset, data.len(), self.bytes())),
        }
    }

    fn write_in_place(&self, offset: u64, data: &mut [u8]) -> io::Result<()> {
        match self.place(offset, data.len()) {
            Some(place) => self.below.write_in_place(place, data),
            None => Err(no_room(offset, data.len(), self.bytes())),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.below.sync()
    }

    /// That of the storage below, as far as the window starts at one of its blocks.
    fn block_size(&self) -> u64 {
        let below = self.below.block_size();
        if self.range.start.is_multiple_of(below) {
            below
        } else {
            1 << self.range.start.trailing_zeros()
        }
    }

    fn write_zeroes(&self, offset: u64, len: u64) -> io::Result<()> {
        let (start, end) = (self.clip(offset), self.clip(offset.saturating_add(len)));
        self.below.write_zeroes(start, end - start)
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        let (start, end) = (self.clip(offset), self.clip(offset.saturating_add(len)));
        self.below.discard(start, end - start)
    }

    fn punch_hole(&self, offset: u64, len: u64) -> io::Result<()> {
        let start = self.clip(offset);
        let end = self.clip(offset.saturating_add(len));
        self.below.punch_hole(start, end - start)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        if len > self.bytes() {
            return Err(no_room(0, 0, self.bytes()));
        }
        self.below.allocate(self.clip(len))
    }

    fn data_extent(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        let start = self.clip(offset);
        if start == self.range.end {
            return Ok(None);
        }
        let found = self.below.data_extent(start)?;
        Ok(found
            .map(|found| found.start.max(start)..found.end.min(self.range.end))
            .filter(|data| !data.is_empty())
            .map(|data| data.start - self.range.start..data.end - self.range.start))
    }

    fn lock(&self, mode: LockMode) -> io::Result<HeaderLock> {
        self.below.lock(mode)
    }
}
