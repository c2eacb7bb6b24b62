//! The device that a container lies on: itself, or a loop device over its file.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use devmapper::{Loop, LoopOptions, loop_device};
use dmcrypt::SectorSize;
use rustix::io::Errno;
use volume::FileStorage;

use crate::block;
use crate::error::{Error, MappingError, SourceError};

/// What is mapped, as a device of the kernel.
pub(super) struct DataDevice {
    /// Its number.
    pub(super) device: u64,
    /// Nothing can be written to it.
    pub(super) is_read_only: bool,
    /// It is a file's, and goes with the last that has it open.
    pub(super) looped: Option<Loop>,
}

impl DataDevice {
    /// The device of an image that is open for reading. A file gets a loop device, which `sector_size` has blocks of.
    pub(super) fn of(
        image: &FileStorage,
        path: &Path,
        name: &str,
        is_read_only: bool,
        sector_size: SectorSize,
    ) -> Result<Self, Error> {
        let metadata = image
            .file()
            .metadata()
            .map_err(|source| unreadable(name, source))?;
        if image.is_block_device() {
            let is_read_only =
                is_read_only || loop_device::is_read_only(image.file()).unwrap_or(false);
            return Ok(Self {
                device: metadata.rdev(),
                is_read_only,
                looped: None,
            });
        }
        let (file, is_read_only) = open(path, is_read_only).map_err(|source| {
            Error::from(SourceError::Open {
                name: name.to_owned(),
                source,
            })
        })?;
        let now = file.metadata().map_err(|source| unreadable(name, source))?;
        if (now.dev(), now.ino()) != (metadata.dev(), metadata.ino()) {
            return Err(MappingError::Exchanged {
                name: name.to_owned(),
            }
            .into());
        }
        let options = LoopOptions {
            read_only: is_read_only,
            block_bytes: (sector_size == SectorSize::B4096).then_some(4096),
            ..LoopOptions::default()
        };
        let looped = Loop::attach(&file, path, options).map_err(MappingError::from)?;
        Ok(Self {
            device: looped.device(),
            is_read_only,
            looped: Some(looped),
        })
    }
}

/// Opens a file for the kernel to write, or where nobody may write it to read; whether nothing can be written.
fn open(path: &Path, is_read_only: bool) -> io::Result<(File, bool)> {
    let open = |writes| OpenOptions::new().read(true).write(writes).open(path);
    if is_read_only {
        return Ok((open(false)?, true));
    }
    match open(true) {
        Ok(file) => Ok((file, false)),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::ROFS | Errno::ACCESS | Errno::PERM) => Ok((open(false)?, true)),
            _ => Err(error),
        },
    }
}

/// Refuses an image that is mounted, mapped or anything else already.
pub(super) fn check_unused(image: &FileStorage, name: &str) -> Result<(), Error> {
    let users = block::known_users(image.file()).map_err(|source| unreadable(name, source))?;
    if users.users.is_empty() {
        return Ok(());
    }
    Err(MappingError::InUse {
        name: name.to_owned(),
        by: users,
    }
    .into())
}

pub(super) fn unreadable(name: &str, source: io::Error) -> Error {
    SourceError::Read {
        name: name.to_owned(),
        source,
    }
    .into()
}
