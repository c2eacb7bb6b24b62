//! The image that is written: made beside its name and renamed at the end, so that a destination that looks complete
//! is complete.

pub mod held;
mod new_file;

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use recognise::recognise;
use rustix::fs::OFlags;
use rustix::io::Errno;
use volume::{FileStorage, ImageLock, ImageRole, Storage};

use crate::args::{Operand, ResultArgs};
use crate::block::{self, InUse};
use crate::exit::Exit;
use crate::signals::Content;
use crate::source::Identity;

use new_file::NewFile;

/// What there is already and may be written over.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overwrite {
    /// A file, which is replaced once the new one is complete.
    pub files: bool,
    /// A block device, whatever is on it.
    pub devices: bool,
}

impl From<&ResultArgs> for Overwrite {
    fn from(args: &ResultArgs) -> Self {
        Self {
            files: args.force,
            devices: args.overwrite_device,
        }
    }
}

/// A destination that may be written; nothing has been written yet.
pub struct Target {
    /// How messages name it.
    pub name: String,
    kind: Kind,
}

enum Kind {
    File {
        path: PathBuf,
        replaces: bool,
    },
    Device(Arc<FileStorage>, ImageLock),
    /// Opened when it is written: a pipe without a reader would block.
    Pipe(PathBuf),
    Stdout(File),
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
    /// Standard output, a pipe or a character device.
    Stream(File),
}

impl Target {
    /// Finds out whether `operand` may be written by a job that reads `sources`.
    pub fn check(
        operand: &Operand,
        overwrite: Overwrite,
        sources: &[Option<Identity>],
    ) -> Result<Self, DestinationError> {
        let name = operand.destination_name();
        let kind = match operand {
            Operand::Standard => check_stdout(&name, sources)?,
            Operand::Path(path) => check_path(path, &name, overwrite, sources)?,
        };
        Ok(Self { name, kind })
    }

    /// Whether it is written in order only.
    pub fn is_stream(&self) -> bool {
        matches!(self.kind, Kind::Pipe(_) | Kind::Stdout(_))
    }

    /// Whether it is standard output, so that no result can be printed there.
    pub fn is_stdout(&self) -> bool {
        matches!(self.kind, Kind::Stdout(_))
    }

    /// Whether both are one file or one device, by whatever name.
    pub fn is_same_as(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::File { path: one, .. }, Kind::File { path: two, .. }) => {
                place_of(one) == place_of(two)
            }
            (Kind::Device(one, _), Kind::Device(two, _)) => {
                let identity = |storage: &FileStorage| {
                    storage
                        .file()
                        .metadata()
                        .ok()
                        .and_then(|metadata| Identity::of(&metadata))
                };
                identity(one) == identity(two)
            }
            _ => false,
        }
    }

    /// How large a device is; other destinations are as large as they become.
    pub fn capacity(&self) -> Result<Option<u64>, DestinationError> {
        let Kind::Device(storage, _) = &self.kind else {
            return Ok(None);
        };
        let len = storage.len().map_err(|source| DestinationError::Open {
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
            Kind::Pipe(path) => {
                let opened = OpenOptions::new().write(true).open(path);
                Bytes::Stream(opened.map_err(|source| DestinationError::Open {
                    name: name.clone(),
                    source,
                })?)
            }
            Kind::File { path, replaces } => {
                let made = NewFile::create(&path, replaces, content)
                    .and_then(|(file, new)| Ok((FileStorage::from_file(file)?, new)));
                let (storage, new) = made.map_err(|source| DestinationError::Create {
                    name: name.clone(),
                    source,
                })?;
                let lock = lock(&storage, &name)?;
                Bytes::File(Arc::new(storage), new, lock)
            }
        };
        Ok(Destination { name, bytes })
    }
}

impl Destination {
    /// The storage, where bytes can be written at any position.
    pub fn storage(&self) -> Option<&Arc<FileStorage>> {
        match &self.bytes {
            Bytes::File(storage, ..) | Bytes::Device(storage, _) => Some(storage),
            Bytes::Stream(_) => None,
        }
    }

    /// Whether it is new and reads as zeros where it is not written.
    pub fn is_new(&self) -> bool {
        matches!(self.bytes, Bytes::File(..))
    }

    /// Makes what was written durable and, for a file, visible under its name.
    pub fn commit(self) -> Result<(), DestinationError> {
        let synced = match &self.bytes {
            Bytes::File(storage, ..) | Bytes::Device(storage, _) => storage.sync(),
            Bytes::Stream(_) => Ok(()),
        };
        let name = self.name;
        synced.map_err(|source| DestinationError::Write {
            name: name.clone(),
            source,
        })?;
        match self.bytes {
            Bytes::File(_, new, _lock) => new.commit().map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists => DestinationError::Exists {
                    name,
                    replaceable: true,
                },
                _ => DestinationError::Create { name, source },
            }),
            Bytes::Device(..) | Bytes::Stream(_) => Ok(()),
        }
    }
}

/// A file that may not exist yet: its directory, by its real name, and its own name.
fn place_of(path: &Path) -> (Option<PathBuf>, Option<&std::ffi::OsStr>) {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    (
        directory.unwrap_or(Path::new(".")).canonicalize().ok(),
        path.file_name(),
    )
}

fn check_stdout(name: &str, sources: &[Option<Identity>]) -> Result<Kind, DestinationError> {
    let opened = io::stdout().as_fd().try_clone_to_owned().map(File::from);
    let (file, metadata) = opened
        .and_then(|file| file.metadata().map(|metadata| (file, metadata)))
        .map_err(|source| DestinationError::Open {
            name: name.to_owned(),
            source,
        })?;
    if file.is_terminal() {
        return Err(DestinationError::Terminal {
            name: name.to_owned(),
        });
    }
    check_identity(Identity::of(&metadata), name, sources)?;
    Ok(Kind::Stdout(file))
}

fn check_path(
    path: &Path,
    name: &str,
    overwrite: Overwrite,
    sources: &[Option<Identity>],
) -> Result<Kind, DestinationError> {
    let name = || name.to_owned();
    let cannot_open = |source| DestinationError::Open {
        name: name(),
        source,
    };
    let is_symlink = match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Kind::File {
                path: path.to_owned(),
                replaces: false,
            });
        }
        Err(error) => return Err(cannot_open(error)),
        Ok(metadata) => metadata.is_symlink(),
    };
    let metadata = match fs::metadata(path) {
        Err(error) if is_symlink && error.kind() == io::ErrorKind::NotFound => {
            return Err(DestinationError::Symlink { name: name() });
        }
        found => found.map_err(cannot_open)?,
    };
    check_identity(Identity::of(&metadata), &name(), sources)?;
    let kind = metadata.file_type();
    if is_symlink && !kind.is_block_device() && !kind.is_char_device() {
        return Err(DestinationError::Symlink { name: name() });
    }
    if kind.is_file() {
        return if overwrite.files {
            Ok(Kind::File {
                path: path.to_owned(),
                replaces: true,
            })
        } else {
            Err(DestinationError::Exists {
                name: name(),
                replaceable: true,
            })
        };
    }
    if kind.is_block_device() {
        return check_device(path, &name(), overwrite.devices);
    }
    if kind.is_char_device() || kind.is_fifo() {
        let is_terminal =
            kind.is_char_device() && File::open(path).is_ok_and(|file| file.is_terminal());
        return if is_terminal {
            Err(DestinationError::Terminal { name: name() })
        } else {
            Ok(Kind::Pipe(path.to_owned()))
        };
    }
    Err(DestinationError::Exists {
        name: name(),
        replaceable: false,
    })
}

fn check_device(path: &Path, name: &str, overwrite: bool) -> Result<Kind, DestinationError> {
    let cannot_open = |source| DestinationError::Open {
        name: name.to_owned(),
        source,
    };
    // O_EXCL on a device: not while it is mounted or part of a mapping. The kernel's flags are a C int.
    let exclusive = OFlags::EXCL.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(exclusive)
        .open(path)
        .map_err(|error| {
            if Errno::from_io_error(&error) == Some(Errno::BUSY) {
                DestinationError::InUse {
                    name: name.to_owned(),
                    by: block::users_of_path(path),
                }
            } else {
                cannot_open(error)
            }
        })?;
    let storage = FileStorage::from_file(file).map_err(cannot_open)?;
    let lock = lock(&storage, name)?;
    if !overwrite && let Some(found) = recognise(&storage).map_err(cannot_open)? {
        return Err(DestinationError::DeviceHolds {
            name: name.to_owned(),
            content: found.content.name(),
        });
    }
    Ok(Kind::Device(Arc::new(storage), lock))
}

fn check_identity(
    identity: Option<Identity>,
    name: &str,
    sources: &[Option<Identity>],
) -> Result<(), DestinationError> {
    if identity.is_some() && sources.contains(&identity) {
        return Err(DestinationError::SameAsSource {
            name: name.to_owned(),
        });
    }
    Ok(())
}

/// A device that somebody else uses is refused whatever was allowed: two writers leave nothing of use to either.
fn lock(storage: &FileStorage, name: &str) -> Result<ImageLock, DestinationError> {
    storage
        .lock_image(ImageRole::Writer)
        .map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => DestinationError::Busy {
                name: name.to_owned(),
            },
            _ => DestinationError::Open {
                name: name.to_owned(),
                source,
            },
        })
}

/// Why a destination cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// It exists.
    #[error("{name} exists")]
    Exists {
        /// The destination.
        name: String,
        /// Whether `--force` would help.
        replaceable: bool,
    },
    /// It is a symbolic link to something that is no device.
    #[error("{name} is a symbolic link, and not to a device")]
    Symlink {
        /// The destination.
        name: String,
    },
    /// It is the source.
    #[error("{name} is the source itself")]
    SameAsSource {
        /// The destination.
        name: String,
    },
    /// Image data is never written to a terminal.
    #[error("{name} is a terminal")]
    Terminal {
        /// The destination.
        name: String,
    },
    /// A device holds something.
    #[error("{name} holds {content}")]
    DeviceHolds {
        /// The destination.
        name: String,
        /// What was recognised on it.
        content: &'static str,
    },
    /// A device is mounted or mapped, or a file lies under one that is.
    #[error("{name} is in use{by}")]
    InUse {
        /// The destination.
        name: String,
        /// By whom.
        by: InUse,
    },
    /// Another job has locked it.
    #[error("{name} is in use")]
    Busy {
        /// The destination.
        name: String,
    },
    /// A device is too small.
    #[error("{name} has {capacity} bytes, {needed} are needed")]
    TooSmall {
        /// The destination.
        name: String,
        /// Its size.
        capacity: u64,
        /// The size needed.
        needed: u64,
    },
    /// It cannot be opened.
    #[error("cannot open {name}: {source}")]
    Open {
        /// The destination.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A new file cannot be made, or not be given its name.
    #[error("cannot create {name}: {source}")]
    Create {
        /// The destination.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write {name}: {source}")]
    Write {
        /// The destination.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
}

impl DestinationError {
    /// How the program ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Exists { .. }
            | Self::Symlink { .. }
            | Self::DeviceHolds { .. }
            | Self::InUse { .. }
            | Self::Busy { .. } => Exit::ExistsOrBusy,
            Self::SameAsSource { .. }
            | Self::Terminal { .. }
            | Self::TooSmall { .. }
            | Self::Open { .. }
            | Self::Create { .. }
            | Self::Write { .. } => Exit::Wrong,
        }
    }

    /// What to do.
    pub fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Exists {
                replaceable: true, ..
            } => "--force replaces it once the new one is complete",
            Self::Symlink { .. } => "name the file itself",
            Self::Terminal { .. } => "redirect it, or name a file",
            Self::DeviceHolds { .. } => "--overwrite-device writes over it",
            Self::InUse { .. } => block::RELEASE,
            _ => return None,
        };
        Some(advice.to_owned())
    }
}
