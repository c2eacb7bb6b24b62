//! Where bytes are kept: the trait, and its implementations.

mod file;
mod memory;
mod rehearsed;
mod simulated;
#[cfg(test)]
mod steps;

use std::io;
use std::ops::Range;

pub use file::{Access, FileStorage};
pub use memory::MemoryStorage;
pub use rehearsed::RehearsedStorage;
pub use simulated::{CrashState, CrashStates, Fault, FaultOn, Operation, SimulatedStorage};

use crate::lock::{HeaderLock, LockMode};

/// Bytes that can be read and written at any position, by many threads at once.
///
/// Offsets and lengths are bytes. Nothing that changes a disk bypasses this trait.
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
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Returns once everything written so far will survive a loss of power.
    fn sync(&self) -> io::Result<()>;

    /// Cuts off what lies beyond `len`, or grows with zeros.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] for a block device of any other size.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes the `len` bytes from `offset` read as zeros and gives their space back where that can be done. The length
    /// stays: what lies beyond it is left out.
    fn punch_hole(&self, offset: u64, len: u64) -> io::Result<()>;

    /// The first run of bytes at or after `offset` that may hold data; `None` when only a hole, which reads as zeros,
    /// follows to the end. A storage that knows of no holes answers with all the rest.
    fn data_extent(&self, offset: u64) -> io::Result<Option<Range<u64>>>;

    /// Takes the lock under which a header is read (shared) or changed (exclusive), and waits for it.
    fn lock(&self, mode: LockMode) -> io::Result<HeaderLock>;
}

/// The error of a read that the storage is too short for.
fn past_end(offset: u64, wanted: usize, len: u64) -> io::Error {
    let message =
        format!("read of {wanted} bytes at offset {offset} goes past the end at byte {len}");
    io::Error::new(io::ErrorKind::UnexpectedEof, message)
}

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
