//! A file descriptor as a source.

use std::fs::File;
use std::io;
use std::ops::Range;

use jobs::Place;
use pyo3::prelude::*;
use volume::{FileStorage, HeaderLock, ImageLock, ImageRole, LockMode, Storage};

use crate::argument;
use crate::error;

/// What is open under a descriptor, by another one: that of the caller may be closed. Nobody writes it meanwhile.
pub(crate) struct Descriptor {
    file: FileStorage,
    _lock: ImageLock,
}

impl Descriptor {
    pub(crate) fn place(py: Python<'_>, number: u32) -> PyResult<Place> {
        let name = format!("file descriptor {number}");
        let opened = volume::duplicate_descriptor(number).and_then(|duplicate| {
            let file = FileStorage::from_file(File::from(duplicate))?;
            let lock = file.lock_image(ImageRole::Reader)?;
            Ok(Self { file, _lock: lock })
        });
        match opened {
            Ok(opened) => Ok(argument::place(name, opened)),
            Err(source) => {
                let error = jobs::error::SourceError::Open { name, source };
                Err(error::of_job(py, &error.into()))
            }
        }
    }
}

impl Storage for Descriptor {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, buf)
    }

    fn write_at(&self, _offset: u64, _data: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn block_size(&self) -> u64 {
        self.file.block_size()
    }

    fn data_extent(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        self.file.data_extent(offset)
    }

    fn lock(&self, mode: LockMode) -> io::Result<HeaderLock> {
        self.file.lock(mode)
    }
}
