//! The image that is read.

use std::fmt;
use std::fs::File;
use std::io::{self, Cursor, IsTerminal, Read};
use std::mem;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;

use recognise::{Class, Content, recognise};
use serde::Serialize;
use volume::{FileStorage, ImageLock, ImageRole, MemoryStorage, Storage};

use crate::args::{BusyArgs, Operand};
use crate::exit::Exit;
use crate::output;
use jobs::block::Place;

/// So much of a stream is looked at: what tells what is in an image stands there.
const START_BYTES: u64 = 128 << 10;
/// As long as no stream is.
const LONG_STREAM_BYTES: u64 = 1 << 62;

/// An open source: its bytes at any position, or one after another.
pub struct Source {
    /// How messages name it.
    pub name: String,
    /// Where its bytes lie; pipes and character devices lie nowhere.
    pub place: Option<Place>,
    /// Its bytes.
    pub bytes: Bytes,
}

/// The bytes of a source.
pub enum Bytes {
    /// A file or a block device, and the lock that keeps writers away while it is read.
    Image(Arc<FileStorage>, Option<ImageLock>),
    /// Standard input, a pipe or a character device.
    Stream(Box<dyn Read + Send>),
}

impl Source {
    /// Opens the image that `operand` names. `force`: read it even while somebody else may be writing it.
    pub fn open(operand: &Operand, force: bool) -> Result<Self, SourceError> {
        let name = operand.source_name();
        let file = match operand {
            Operand::Path(path) => File::open(path).map_err(|source| SourceError::Open {
                name: name.clone(),
                source,
            })?,
            Operand::Standard if io::stdin().is_terminal() => return Err(SourceError::Terminal),
            Operand::Standard => {
                let stdin = io::stdin().as_fd().try_clone_to_owned();
                File::from(stdin.map_err(|source| SourceError::Open {
                    name: name.clone(),
                    source,
                })?)
            }
        };
        let metadata = file.metadata().map_err(|source| SourceError::Open {
            name: name.clone(),
            source,
        })?;
        let place = Place::of_metadata(&metadata);
        let kind = metadata.file_type();
        if kind.is_dir() {
            return Err(SourceError::Directory { name });
        }
        if *operand == Operand::Standard || !(kind.is_file() || kind.is_block_device()) {
            return Ok(Self {
                name,
                place,
                bytes: Bytes::Stream(Box::new(file)),
            });
        }
        let storage = FileStorage::from_file(file).map_err(|source| SourceError::Open {
            name: name.clone(),
            source,
        })?;
        let lock = match storage.lock_image(ImageRole::Reader) {
            Ok(lock) => Some(lock),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && force => {
                output::warn(format_args!(
                    "{name} is in use: what is read may change meanwhile"
                ));
                None
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(SourceError::Busy { name });
            }
            Err(source) => return Err(SourceError::Lock { name, source }),
        };
        Ok(Self {
            name,
            place,
            bytes: Bytes::Image(Arc::new(storage), lock),
        })
    }

    /// What can be looked at before the bytes are used: the image, or the start of a stream, which is still to come
    /// afterwards.
    pub fn start(&mut self) -> Result<Arc<dyn Storage>, SourceError> {
        let stream = match &mut self.bytes {
            Bytes::Image(storage, _) => return Ok(Arc::clone(storage) as Arc<dyn Storage>),
            Bytes::Stream(stream) => stream,
        };
        let mut start = Vec::new();
        if let Err(error) = stream.by_ref().take(START_BYTES).read_to_end(&mut start) {
            return Err(self.unreadable(error));
        }
        // Nothing is known of the end of a longer stream: it is a hole, in which nothing is recognised.
        let storage = MemoryStorage::new(if (start.len() as u64) < START_BYTES {
            start.len() as u64
        } else {
            LONG_STREAM_BYTES
        });
        storage
            .write_at(0, &start)
            .expect("memory takes what it has room for");
        let rest = mem::replace(stream, Box::new(io::empty()));
        *stream = Box::new(Cursor::new(start).chain(rest));
        Ok(Arc::new(storage))
    }

    /// Refuses a source that starts with the header of a container or image format, where `meant` is expected.
    pub fn check_raw(&self, start: &dyn Storage, meant: Meant) -> Result<(), SourceError> {
        match recognise(start) {
            Ok(Some(found)) if matches!(found.content.class(), Class::Luks | Class::Image) => {
                Err(SourceError::NotRaw {
                    name: self.name.clone(),
                    content: found.content,
                    meant,
                })
            }
            Ok(_) => Ok(()),
            Err(source) => Err(self.unreadable(source)),
        }
    }

    /// Refuses a source without a byte.
    pub fn check_not_empty(&self, start: &dyn Storage) -> Result<(), SourceError> {
        match start.len() {
            Ok(0) => Err(SourceError::Empty {
                name: self.name.clone(),
            }),
            Ok(_) => Ok(()),
            Err(source) => Err(self.unreadable(source)),
        }
    }

    /// Its size in bytes, where it has one beforehand.
    pub fn len(&self) -> Result<Option<u64>, SourceError> {
        self.storage()
            .map(|storage| storage.len())
            .transpose()
            .map_err(|source| self.unreadable(source))
    }

    /// The storage; a stream is refused, since a header is read in more than one place.
    pub fn seekable(&self) -> Result<Arc<FileStorage>, SourceError> {
        let stream = || SourceError::Stream {
            name: self.name.clone(),
        };
        self.storage().map(Arc::clone).ok_or_else(stream)
    }

    /// The error of a read that failed.
    pub fn unreadable(&self, source: io::Error) -> SourceError {
        SourceError::Read {
            name: self.name.clone(),
            source,
        }
    }

    /// The storage, where the bytes can be read at any position.
    pub fn storage(&self) -> Option<&Arc<FileStorage>> {
        match &self.bytes {
            Bytes::Image(storage, _) => Some(storage),
            Bytes::Stream(_) => None,
        }
    }
}

/// The file that holds the data of a detached header.
#[derive(Debug, Serialize)]
pub struct Data {
    /// How messages name it.
    pub image: String,
    /// Its size in bytes.
    pub bytes: u64,
}

impl Data {
    /// Looks at the file that `operand` names, where there is one. Only its size is asked for.
    pub fn of(operand: Option<&Operand>, busy: BusyArgs) -> Result<Option<Self>, SourceError> {
        let Some(operand) = operand else {
            return Ok(None);
        };
        let source = Source::open(operand, busy.read_in_use)?;
        let storage = source.seekable()?;
        let bytes = storage.len().map_err(|error| source.unreadable(error))?;
        Ok(Some(Self {
            image: source.name,
            bytes,
        }))
    }
}

/// What a source is meant to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Meant {
    /// A raw image.
    Raw,
    /// A container without a header.
    Plain,
}

impl fmt::Display for Meant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raw => "a raw image",
            Self::Plain => "a plain container",
        })
    }
}

/// Why a source cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It is not there, or may not be read.
    #[error("cannot open {name}: {source}")]
    Open {
        /// The source.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// It is a directory.
    #[error("{name} is a directory, not an image")]
    Directory {
        /// The source.
        name: String,
    },
    /// It can be read once and in order only.
    #[error("{name} is a stream, where a file or a block device is needed")]
    Stream {
        /// The source.
        name: String,
    },
    /// Nobody types an image.
    #[error("standard input is a terminal, not an image")]
    Terminal,
    /// Somebody is writing it.
    #[error("{name} is in use by another process that may write it")]
    Busy {
        /// The source.
        name: String,
    },
    /// The lock cannot be asked for.
    #[error("cannot lock {name}: {source}")]
    Lock {
        /// The source.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// It cannot be read.
    #[error("cannot read {name}: {source}")]
    Read {
        /// The source.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// It is a container where another thing is meant.
    #[error("{name} holds {}, where {meant} is meant", .content.name())]
    NotRaw {
        /// The source.
        name: String,
        /// What it holds.
        content: Content,
        /// What is meant.
        meant: Meant,
    },
    /// There is nothing in it.
    #[error("{name} is empty (0 bytes)")]
    Empty {
        /// The source.
        name: String,
    },
    /// Its size is no multiple of the sector size.
    #[error("{name}: {bytes} bytes are no multiple of the sector size {sector_bytes}")]
    PartialSector {
        /// The source.
        name: String,
        /// Its size.
        bytes: u64,
        /// The sector size.
        sector_bytes: usize,
    },
    /// Fewer sectors than `--offset` and `--size` ask for.
    #[error("{name}: {bytes} bytes, where {needed} are needed for the offset and size given")]
    TooSmall {
        /// The source.
        name: String,
        /// Its size.
        bytes: u64,
        /// The size needed.
        needed: u64,
    },
}

impl SourceError {
    /// How the program ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Open { .. }
            | Self::Read { .. }
            | Self::Directory { .. }
            | Self::TooSmall { .. } => Exit::BadImage,
            Self::Stream { .. }
            | Self::Terminal
            | Self::Lock { .. }
            | Self::NotRaw { .. }
            | Self::Empty { .. }
            | Self::PartialSector { .. } => Exit::Wrong,
            Self::Busy { .. } => Exit::ExistsOrBusy,
        }
    }

    /// What to do.
    pub fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Busy { .. } => {
                "stop the other process, or read a state that may be torn with --read-in-use"
            }
            Self::NotRaw { content, .. } if content.class() == Class::Image => {
                "make a raw image of it (qemu-img convert -O raw), or take its bytes as they are with --allow-any-source"
            }
            Self::NotRaw {
                meant: Meant::Plain,
                ..
            } => {
                "leave --type plain out to open it; --allow-any-source decrypts its bytes as they are"
            }
            Self::NotRaw { .. } => "--allow-any-source encrypts its bytes as they are",
            Self::Empty { .. } => "--allow-empty makes a container all the same",
            Self::PartialSector { .. } => "--pad fills the last sector with zeros",
            _ => return None,
        };
        Some(advice.to_owned())
    }
}
