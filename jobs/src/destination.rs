//! The image that is written: made beside its name and renamed at the end, so that a destination that looks complete
//! is complete.

mod check;
pub mod held;
mod new_file;

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use held::Held;
use new_file::NewFile;
use qcow2::Writer;
use rustix::fs::OFlags;
use volume::{FileStorage, ImageLock, Storage};

use crate::block::Ground;
use crate::error::DestinationError;
use crate::folder::Folder;
use crate::inputs::Inputs;
use crate::temporary::{Content, TemporaryFile};

/// What there is already and may be written over.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overwrite {
    /// A file, which is replaced once the new one is complete.
    pub files: bool,
    /// A block device, whatever is on it.
    pub devices: bool,
}

/// A destination that may be written; nothing has been written yet.
pub struct Target {
    /// How messages name it.
    pub name: String,
    kind: Kind,
}

enum Kind {
    File {
        folder: Arc<Folder>,
        entry: OsString,
        replaces: Option<Replaced>,
    },
    Device(Arc<FileStorage>, ImageLock),
    /// Something that was open already; an empty one grows.
    Storage {
        storage: Arc<dyn Storage>,
        is_empty: bool,
    },
    /// Opened when it is written: a pipe without a reader would block.
    Pipe {
        folder: Arc<Folder>,
        entry: OsString,
        found: File,
        is_symlink: bool,
    },
    Stdout(File),
}

/// A file that is replaced at the end, kept from others until then.
pub(crate) struct Replaced {
    storage: FileStorage,
    _lock: ImageLock,
}

/// An open destination.
pub struct Destination {
    /// How messages name it.
    pub name: String,
    /// Where the bytes go.
    pub bytes: Bytes,
}

/// Where the bytes of a destination go.
pub enum Bytes {
    /// A new file, under a temporary name.
    File(Arc<FileStorage>, NewFile, ImageLock),
    /// A block device.
    Device(Arc<FileStorage>, ImageLock),
    /// Something that was open already, and whether it was empty.
    Storage(Arc<dyn Storage>, bool),
    /// Standard output, a pipe or a character device.
    Stream(File),
    /// The disk of a new qcow2 image, and where that goes.
    Image(Arc<Writer>, Box<Destination>),
}

impl Target {
    /// Standard output, if a job that reads `inputs` may write it.
    pub(crate) fn stdout(name: String, inputs: &Inputs) -> Result<Self, DestinationError> {
        let kind = check::stdout(&name, inputs)?;
        Ok(Self { name, kind })
    }

    /// A file, a device or a pipe, likewise.
    pub(crate) fn at(
        path: &Path,
        name: String,
        overwrite: Overwrite,
        inputs: &Inputs,
    ) -> Result<Self, DestinationError> {
        let kind = check::path(path, &name, overwrite, inputs)?;
        Ok(Self { name, kind })
    }

    /// Something that is open already, likewise.
    pub(crate) fn of_storage(
        storage: &Arc<dyn Storage>,
        name: String,
        overwrite: Overwrite,
        inputs: &Inputs,
    ) -> Result<Self, DestinationError> {
        let kind = check::storage(storage, &name, overwrite, inputs)?;
        Ok(Self { name, kind })
    }

    /// Whether it is written in order only.
    pub fn is_stream(&self) -> bool {
        matches!(self.kind, Kind::Pipe { .. } | Kind::Stdout(_))
    }

    /// Whether it is standard output, so that no result can be printed there.
    pub fn is_stdout(&self) -> bool {
        matches!(self.kind, Kind::Stdout(_))
    }

    /// Whether both are one file or one device, by whatever name.
    pub fn is_same_as(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (
                Kind::File { folder, entry, .. },
                Kind::File {
                    folder: other_folder,
                    entry: other,
                    ..
                },
            ) => folder.is_same_as(other_folder) && entry == other,
            (Kind::Device(one, _), Kind::Device(two, _)) => {
                let ground = |storage: &FileStorage| Ground::of(storage.file());
                match (ground(one), ground(two)) {
                    (Some(one), Some(two)) => one.meets(&two),
                    _ => false,
                }
            }
            (Kind::Storage { storage: one, .. }, Kind::Storage { storage: two, .. }) => {
                Arc::ptr_eq(one, two)
            }
            _ => false,
        }
    }

    /// Whether it is a file that is there already.
    pub fn replaces(&self) -> bool {
        matches!(
            self.kind,
            Kind::File {
                replaces: Some(_),
                ..
            }
        )
    }

    /// How large a device is; other destinations are as large as they become.
    pub fn capacity(&self) -> Result<Option<u64>, DestinationError> {
        let len = match &self.kind {
            Kind::Device(storage, _) => storage.len(),
            Kind::Storage {
                storage,
                is_empty: false,
            } => storage.len(),
            _ => return Ok(None),
        };
        let len = len.map_err(|source| DestinationError::Open {
            name: self.name.clone(),
            source,
        })?;
        Ok(Some(len))
    }

    /// A device must have room for so many bytes; a file system's room shows only when it is written.
    pub fn check_room(&self, needed: u64) -> Result<(), DestinationError> {
        match self.capacity()? {
            Some(capacity) if capacity < needed => Err(DestinationError::TooSmall {
                name: self.name.clone(),
                capacity,
                needed,
            }),
            _ => Ok(()),
        }
    }

    /// Opens it for writing. `content` is what a new file holds until it is complete.
    pub fn create(self, content: Content) -> Result<Destination, DestinationError> {
        let name = self.name;
        let bytes = match self.kind {
            Kind::Stdout(file) => Bytes::Stream(file),
            Kind::Device(storage, lock) => Bytes::Device(storage, lock),
            Kind::Storage { storage, is_empty } => Bytes::Storage(storage, is_empty),
            Kind::Pipe {
                folder,
                entry,
                found,
                is_symlink,
            } => {
                let flags = OFlags::WRONLY;
                let opened = check::open_same(&folder, &entry, &found, is_symlink, flags, &name);
                Bytes::Stream(opened?)
            }
            Kind::File {
                folder,
                entry,
                replaces,
            } => {
                let made = NewFile::create(&folder, &entry, replaces, content)
                    .and_then(|(file, new)| Ok((FileStorage::from_file(file)?, new)));
                let (storage, new) = made.map_err(|source| DestinationError::Create {
                    name: name.clone(),
                    source,
                })?;
                let lock = check::lock(&storage, &name)?;
                Bytes::File(Arc::new(storage), new, lock)
            }
        };
        Ok(Destination { name, bytes })
    }
}

impl Destination {
    /// The storage, where bytes can be written at any position.
    pub fn storage(&self) -> Option<Arc<dyn Storage>> {
        match &self.bytes {
            Bytes::File(file, ..) | Bytes::Device(file, _) => {
                Some(Arc::clone(file) as Arc<dyn Storage>)
            }
            Bytes::Storage(storage, _) => Some(Arc::clone(storage)),
            Bytes::Image(writer, _) => Some(Arc::clone(writer) as Arc<dyn Storage>),
            Bytes::Stream(_) => None,
        }
    }

    /// The same, but of a qcow2 image the file, and not the disk in it.
    pub fn stored(&self) -> Option<Arc<dyn Storage>> {
        match &self.bytes {
            Bytes::Image(_, below) => below.storage(),
            _ => self.storage(),
        }
    }

    /// The same, which is not written any more once a signal has ended the work.
    pub(crate) fn held_storage(&self) -> Option<Arc<dyn Storage>> {
        match &self.bytes {
            Bytes::File(file, ..) => Some(Arc::new(Held(Arc::clone(file)))),
            _ => self.storage(),
        }
    }

    /// The file or block device, where it is one.
    pub fn file(&self) -> Option<&Arc<FileStorage>> {
        match &self.bytes {
            Bytes::File(file, ..) | Bytes::Device(file, _) => Some(file),
            Bytes::Image(_, below) => below.file(),
            Bytes::Storage(..) | Bytes::Stream(_) => None,
        }
    }

    /// Whether it is new and reads as zeros where it is not written.
    pub fn is_new(&self) -> bool {
        matches!(
            self.bytes,
            Bytes::File(..) | Bytes::Storage(_, true) | Bytes::Image(..)
        )
    }

    /// Writes all that it is to hold.
    pub fn write_all(&self, bytes: &[u8]) -> Result<(), DestinationError> {
        let written = match &self.bytes {
            Bytes::File(file, ..) | Bytes::Device(file, _) => file.write_at(0, bytes),
            Bytes::Storage(storage, _) => storage.write_at(0, bytes),
            Bytes::Image(writer, _) => writer.write_at(0, bytes),
            Bytes::Stream(file) => (&*file).write_all(bytes),
        };
        written.map_err(|source| DestinationError::Write {
            name: self.name.clone(),
            source,
        })
    }

    /// `file`, which tells of what is written here, is kept once a new destination has its name, and goes otherwise. What
    /// has its name already is there, and so is the file.
    pub fn take_along(&mut self, file: TemporaryFile) {
        match &mut self.bytes {
            Bytes::File(_, new, _) => new.take_along(file),
            Bytes::Image(_, below) => below.take_along(file),
            Bytes::Device(..) | Bytes::Storage(..) | Bytes::Stream(_) => {
                let kept: Result<(), Infallible> = file.keep(|_| Ok(()));
                let Ok(()) = kept;
            }
        }
    }

    /// Makes what was written durable and, for a file, visible under its name.
    pub fn commit(self) -> Result<(), DestinationError> {
        self.sync()?;
        let name = self.name;
        match self.bytes {
            Bytes::File(_, new, _lock) => new.commit().map_err(|unnamed| unnamed.of(name)),
            Bytes::Image(_, below) => below.commit(),
            Bytes::Device(..) | Bytes::Storage(..) | Bytes::Stream(_) => Ok(()),
        }
    }

    /// The same for data and their detached header, of which both appear or none.
    pub fn commit_with_header(self, header: Self) -> Result<(), DestinationError> {
        self.sync()?;
        header.sync()?;
        match (self.bytes, header.bytes) {
            (Bytes::File(_, data, _data_lock), Bytes::File(_, new_header, _header_lock)) => {
                NewFile::commit_both(data, new_header)
                    .map_err(|failed| failed.of(self.name, header.name))
            }
            // What lies on a device has its name: the other's makes both whole.
            (data, bytes) => {
                let header = Self {
                    name: header.name,
                    bytes,
                };
                header.commit()?;
                let data = Self {
                    name: self.name,
                    bytes: data,
                };
                data.commit()
            }
        }
    }

    fn sync(&self) -> Result<(), DestinationError> {
        let synced = match &self.bytes {
            Bytes::File(file, ..) | Bytes::Device(file, _) => file.sync(),
            Bytes::Storage(storage, _) => storage.sync(),
            // Only now does it begin as an image does.
            Bytes::Image(writer, _) => writer.finish(),
            Bytes::Stream(_) => Ok(()),
        };
        synced.map_err(|source| DestinationError::Write {
            name: self.name.clone(),
            source,
        })
    }
}
