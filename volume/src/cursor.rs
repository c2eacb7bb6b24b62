//! A storage as the standard library's traits have it.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Deref;

use crate::span::bytes_of;
use crate::storage::Storage;

/// [`Read`], [`Write`] and [`Seek`] over a storage or a [`Volume`](crate::Volume), through any pointer to it: a file system
/// of another crate can lie in a container.
///
/// Any byte is a position. Each read and write goes to the storage at once, where less than a sector costs as much as a
/// sector: wrap it in [`io::BufReader`] or [`io::BufWriter`] for small ones. Several cursors may share a storage.
///
/// A read gives fewer bytes only at the end. A write is all or nothing: past the end of what cannot grow it fails as
/// [`io::ErrorKind::StorageFull`]. [`flush`](Write::flush) has nothing to do; for what shall survive a loss of power there
/// is [`Storage::sync`].
///
/// ```
/// use std::io::{Read, Seek, SeekFrom, Write};
///
/// use volume::{MemoryStorage, StorageCursor};
///
/// # fn main() -> std::io::Result<()> {
/// let storage = MemoryStorage::new(0);
/// let mut cursor = StorageCursor::new(&storage);
/// writeln!(cursor, "at any position")?;
/// cursor.seek(SeekFrom::Start(3))?;
/// let mut word = [0; 3];
/// cursor.read_exact(&mut word)?;
/// assert_eq!(&word, b"any");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct StorageCursor<P> {
    storage: P,
    position: u64,
}

impl<P> StorageCursor<P>
where
    P: Deref<Target: Storage>,
{
    /// At byte 0.
    pub fn new(storage: P) -> Self {
        Self {
            storage,
            position: 0,
        }
    }

    /// Where the next read or write starts.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Moves, to beyond the end too.
    pub fn set_position(&mut self, position: u64) {
        self.position = position;
    }

    /// What it moves over.
    pub fn get_ref(&self) -> &P {
        &self.storage
    }

    /// Gives back what it was made of.
    pub fn into_inner(self) -> P {
        self.storage
    }
}

impl<P> Read for StorageCursor<P>
where
    P: Deref<Target: Storage>,
{
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let rest = self.storage.len()?.saturating_sub(self.position);
        let len = bytes_of(rest.min(buf.len() as u64));
        if len == 0 {
            // Beyond the end too, where a storage refuses to read nothing.
            return Ok(0);
        }
        self.storage.read_at(self.position, &mut buf[..len])?;
        self.position += len as u64;
        Ok(len)
    }
}

impl<P> Write for StorageCursor<P>
where
    P: Deref<Target: Storage>,
{
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.storage.write_at(self.position, buf)?;
        self.position += buf.len() as u64;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<P> Seek for StorageCursor<P>
where
    P: Deref<Target: Storage>,
{
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (base, by) = match to {
            SeekFrom::Start(position) => (position, 0),
            SeekFrom::Current(by) => (self.position, by),
            SeekFrom::End(by) => (self.storage.len()?, by),
        };
        self.position = base.checked_add_signed(by).ok_or_else(|| {
            let message = format!("seek by {by} bytes from byte {base} leaves the 64 bits");
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })?;
        Ok(self.position)
    }
}
