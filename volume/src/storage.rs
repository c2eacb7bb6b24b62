//! Where bytes are kept: the trait, and its implementations.

mod file;
mod memory;
mod rehearsed;
mod simulated;
#[cfg(test)]
mod steps;
mod window;

use std::io;
use std::ops::Range;

pub use file::{Access, FileStorage};
pub use memory::MemoryStorage;
pub use rehearsed::RehearsedStorage;
pub use simulated::{
    CrashState, CrashStates, CrashedDisks, DisksCrashStates, Fault, FaultOn, Operation,
    SimulatedDisks, SimulatedStorage,
};
pub use window::Window;

use crate::lock::{HeaderLock, LockMode};
use crate::span::bytes_of;

/// Bytes that can be read and written at any position, by many threads at once.
///
/// Offsets and lengths are bytes. Nothing that changes a disk bypasses this trait.
///
/// Storages compose: a [`Window`] is a part of another, and a [`Volume`](crate::Volume) is what another holds encrypted, so
/// that a container in a partition in a container is read as any file is. What not every storage can do has a default
/// here, that of one whose length is fixed and that knows of no holes.
#[expect(
    clippy::len_without_is_empty,
    reason = "an empty storage is nothing that a caller asks for"
)]
pub trait Storage: Send + Sync {
    /// Its length; of a block device its size.
    fn len(&self) -> io::Result<u64>;

    /// Fills `buf` from `offset` on.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::UnexpectedEof`] when the storage ends before `buf` is full; the message names the offset, the
    /// bytes wanted and the length. What `buf` then holds is not specified.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// Writes all of `data` from `offset` on. A file grows; what lies between its old end and `offset` reads as zeros.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::StorageFull`] past the end of a storage that cannot grow, and where no room is left. A window and
    /// a volume then hold what they held; elsewhere a part may have been written.
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// The same without a copy of the data, where `data` may be used up: what it holds afterwards is not specified.
    ///
    /// # Errors
    ///
    /// As [`Self::write_at`].
    fn write_in_place(&self, offset: u64, data: &mut [u8]) -> io::Result<()> {
        self.write_at(offset, data)
    }

    /// Returns once everything written so far will survive a loss of power.
    fn sync(&self) -> io::Result<()>;

    /// The bytes that are best read and written as one, from a multiple of them on; a power of 2. It only says what is
    /// fast. Without a method of its own a storage takes all bytes alike.
    fn block_size(&self) -> u64 {
        1
    }

    /// Cuts off what lies beyond `len`, or grows with zeros.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] for a storage whose length is fixed, unless it is `len` already. Without a method of
    /// its own a storage is such a one.
    fn set_len(&self, len: u64) -> io::Result<()> {
        let fixed = self.len()?;
        if len == fixed {
            return Ok(());
        }
        let message = format!("its length is fixed: {fixed} bytes cannot be made {len}");
        Err(io::Error::new(io::ErrorKind::InvalidInput, message))
    }

    /// Makes the `len` bytes from `offset` read as zeros and gives their space back where that can be done. The length
    /// stays: what lies beyond it is left out. Without a method of its own a storage has zeros written to it.
    fn punch_hole(&self, offset: u64, len: u64) -> io::Result<()> {
        write_zeros(self, offset..offset.saturating_add(len))
    }

    /// Makes the `len` bytes from `offset` read as zeros, and they keep or get the room that they need. The length stays:
    /// what lies beyond it is left out. Without a method of its own a storage has zeros written to it.
    fn write_zeroes(&self, offset: u64, len: u64) -> io::Result<()> {
        write_zeros(self, offset..offset.saturating_add(len))
    }

    /// Says that nobody needs the `len` bytes from `offset` any more: their space may be given back, and what they read as
    /// from now on is not specified. It is a hint. Without a method of its own a storage does nothing.
    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        let _ = (offset, len);
        Ok(())
    }

    /// Makes it `len` bytes long, if it is shorter, and gives its holes the room that they need to be written: a write below
    /// `len` does not fail for want of it later. What it holds stays. Without a method of its own a storage has all the room
    /// that it needs.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::StorageFull`], and those of [`Self::set_len`]. It may be longer then than it was.
    fn allocate(&self, len: u64) -> io::Result<()> {
        if self.len()? < len {
            self.set_len(len)?;
        }
        Ok(())
    }

    /// The first run of bytes at or after `offset` that may hold data; `None` when only a hole, which reads as zeros,
    /// follows to the end. A storage that knows of no holes answers with all the rest, and so does one without a method
    /// of its own.
    fn data_extent(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        let len = self.len()?;
        Ok((offset < len).then_some(offset..len))
    }

    /// Takes the lock under which a header is read (shared) or changed (exclusive), and waits for it.
    ///
    /// A storage that is a view of another takes that one's, which is what keeps other processes out: whoever holds the
    /// lock of one view waits for ever for that of another.
    fn lock(&self, mode: LockMode) -> io::Result<HeaderLock>;
}

/// The error of a read that the storage is too short for.
pub(crate) fn past_end(offset: u64, wanted: usize, len: u64) -> io::Error {
    let message =
        format!("read of {wanted} bytes at offset {offset} goes past the end at byte {len}");
    io::Error::new(io::ErrorKind::UnexpectedEof, message)
}

/// The error of a write that the storage is too short for and cannot grow for.
pub(crate) fn no_room(offset: u64, wanted: usize, len: u64) -> io::Error {
    let message =
        format!("write of {wanted} bytes at offset {offset} goes past the end at byte {len}");
    io::Error::new(io::ErrorKind::StorageFull, message)
}

/// Writes zeros over what of `range` the storage has.
pub(crate) fn write_zeros<S: Storage + ?Sized>(storage: &S, range: Range<u64>) -> io::Result<()> {
    let end = range.end.min(storage.len()?);
    let zeros = vec![0; bytes_of(end.saturating_sub(range.start).min(ZEROS_BYTES))];
    let mut offset = range.start;
    while offset < end {
        let step = bytes_of((end - offset).min(ZEROS_BYTES));
        storage.write_at(offset, &zeros[..step])?;
        offset += step as u64;
    }
    Ok(())
}

/// How many zeros are written at a time.
const ZEROS_BYTES: u64 = 64 * 1024;

/// The end of `len` bytes at `offset`.
fn end_of(offset: u64, len: usize) -> io::Result<u64> {
    u64::try_from(len)
        .ok()
        .and_then(|len| offset.checked_add(len))
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{len} bytes at offset {offset} exceed 64 bits"),
            )
        })
}
