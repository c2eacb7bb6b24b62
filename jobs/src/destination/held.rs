//! A file of secrets that is not written any more once a signal has ended the work.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use volume::{FileStorage, HeaderLock, LockMode, Storage};

use crate::temporary::writing;

/// The storage of a destination whose leavings are overwritten.
pub struct Held(pub Arc<FileStorage>);

impl Storage for Held {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let _writing = writing();
        self.0.write_at(offset, data)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn punch_hole(&self, offset: u64, len: u64) -> io::Result<()> {
        self.0.punch_hole(offset, len)
    }

    fn data_extent(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        self.0.data_extent(offset)
    }

    fn lock(&self, mode: LockMode) -> io::Result<HeaderLock> {
        self.0.lock(mode)
    }
}
