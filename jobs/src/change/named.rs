//! An image that has to keep its name while its header is changed.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use volume::{FileStorage, HeaderLock, LockMode, Storage};

use crate::error::Exchanged;

/// The storage of an image: whoever waited for its header lock finds out whether the file is still the one of this name.
pub struct Named {
    file: Arc<FileStorage>,
    path: PathBuf,
}

impl Named {
    /// An open image and the name that leads to it.
    pub fn new(file: Arc<FileStorage>, path: &Path) -> Self {
        Self {
            file,
            path: path.to_owned(),
        }
    }
}

/// Whether a name leads to an open file.
pub fn leads_to(path: &Path, file: &File) -> bool {
    match (path.metadata(), file.metadata()) {
        (Ok(one), Ok(two)) => {
            (one.dev(), one.ino(), one.rdev()) == (two.dev(), two.ino(), two.rdev())
        }
        _ => false,
    }
}

impl Storage for Named {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, data)
    }

    fn write_in_place(&self, offset: u64, data: &mut [u8]) -> io::Result<()> {
        self.file.write_in_place(offset, data)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn block_size(&self) -> u64 {
        self.file.block_size()
    }

    fn write_zeroes(&self, offset: u64, len: u64) -> io::Result<()> {
        self.file.write_zeroes(offset, len)
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        self.file.discard(offset, len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn punch_hole(&self, offset: u64, len: u64) -> io::Result<()> {
        self.file.punch_hole(offset, len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }

    fn data_extent(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        self.file.data_extent(offset)
    }

    fn lock(&self, mode: LockMode) -> io::Result<HeaderLock> {
        let lock = self.file.lock(mode)?;
        if leads_to(&self.path, self.file.file()) {
            Ok(lock)
        } else {
            Err(io::Error::other(Exchanged))
        }
    }
}
