//! The image that is read.

use std::fs::{File, FileType};
use std::io::{self, Cursor, Read};
use std::mem;
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;

use recognise::{Class, recognise};
use serde::Serialize;
use volume::{FileStorage, ImageLock, ImageRole, MemoryStorage, Storage};

use crate::block::Ground;
use crate::error::{Meant, SourceError};
use crate::inputs::Origin;
use crate::watch::Watch;

/// So much of a stream is looked at: what tells what is in an image stands there.
const START_BYTES: u64 = 128 << 10;
/// As long as no stream is.
const LONG_STREAM_BYTES: u64 = 1 << 62;

/// An open source: its bytes at any position, or one after another.
pub struct Source {
    /// How messages name it.
    pub name: String,
    /// What it is by whatever name; pipes and character devices are nothing that could be named twice.
    pub origin: Option<Origin>,
    /// Its bytes.
    pub bytes: Bytes,
}

/// The bytes of a source.
pub enum Bytes {
    /// What can be read at any position.
    Image(Image),
    /// Standard input, a pipe or a character device.
    Stream(Box<dyn Read + Send>),
}

/// A source that can be read at any position.
pub struct Image {
    /// Its bytes.
    pub storage: Arc<dyn Storage>,
    /// The same, where it is a file or a block device.
    pub file: Option<Arc<FileStorage>>,
    /// Keeps writers away while it is read.
    pub lock: Option<ImageLock>,
}

impl Source {
    /// Anything that is open already.
    pub(crate) fn of_storage(name: String, storage: &Arc<dyn Storage>) -> Self {
        Self {
            name,
            origin: Some(Origin::Storage(Arc::clone(storage))),
            bytes: Bytes::Image(Image {
                storage: Arc::clone(storage),
                file: None,
                lock: None,
            }),
        }
    }

    /// What is read in order, whatever it is.
    pub(crate) fn of_stream(name: String, file: File) -> Result<Self, SourceError> {
        let (origin, _) = look(&name, &file)?;
        Ok(Self {
            name,
            origin,
            bytes: Bytes::Stream(Box::new(file)),
        })
    }

    /// A file or a device, kept from writers; a stream, if it is one. `in_use`: read it even while somebody else may be
    /// writing it, which `watch` is told.
    pub(crate) fn of_file(
        name: String,
        file: File,
        in_use: bool,
        watch: &dyn Watch,
    ) -> Result<Self, SourceError> {
        let (origin, kind) = look(&name, &file)?;
        if !(kind.is_file() || kind.is_block_device()) {
            return Self::of_stream(name, file);
        }
        let storage = FileStorage::from_file(file).map_err(|source| SourceError::Open {
            name: name.clone(),
            source,
        })?;
        let lock = match storage.lock_image(ImageRole::Reader) {
            Ok(lock) => Some(lock),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && in_use => {
                watch.warn(&format_args!(
                    "{name} is in use: what is read may change meanwhile"
                ));
                None
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(SourceError::Busy { name });
            }
            Err(source) => return Err(SourceError::Lock { name, source }),
        };
        let file = Arc::new(storage);
        Ok(Self {
            name,
            origin,
            bytes: Bytes::Image(Image {
                storage: Arc::clone(&file) as Arc<dyn Storage>,
                file: Some(file),
                lock,
            }),
        })
    }

    /// What can be looked at before the bytes are used: the image, or the start of a stream, which is still to come
    /// afterwards.
    pub fn start(&mut self) -> Result<Arc<dyn Storage>, SourceError> {
        let stream = match &mut self.bytes {
            Bytes::Image(image) => return Ok(Arc::clone(&image.storage)),
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
            Ok(Some(found))
                if matches!(
                    found.content.class(),
                    Class::Luks | Class::Unfinished | Class::Image
                ) =>
            {
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
    pub fn seekable(&self) -> Result<Arc<dyn Storage>, SourceError> {
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

    /// What keeps writers away.
    pub(crate) fn into_lock(self) -> Option<ImageLock> {
        match self.bytes {
            Bytes::Image(image) => image.lock,
            Bytes::Stream(_) => None,
        }
    }

    /// The storage, where the bytes can be read at any position.
    pub fn storage(&self) -> Option<&Arc<dyn Storage>> {
        self.image().map(|image| &image.storage)
    }

    /// The file or block device, where it is one.
    pub fn file(&self) -> Option<&Arc<FileStorage>> {
        self.image()?.file.as_ref()
    }

    fn image(&self) -> Option<&Image> {
        match &self.bytes {
            Bytes::Image(image) => Some(image),
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
    /// Looks at the file. Only its size is asked for.
    pub(crate) fn of(source: Source) -> Result<Self, SourceError> {
        let storage = source.seekable()?;
        let bytes = storage.len().map_err(|error| source.unreadable(error))?;
        Ok(Self {
            image: source.name,
            bytes,
        })
    }
}

/// What an open file is by whatever name, and its kind: no directory.
fn look(name: &str, file: &File) -> Result<(Option<Origin>, FileType), SourceError> {
    let metadata = file.metadata().map_err(|source| SourceError::Open {
        name: name.to_owned(),
        source,
    })?;
    if metadata.is_dir() {
        return Err(SourceError::Directory {
            name: name.to_owned(),
        });
    }
    let origin = Ground::of_metadata(&metadata).map(Origin::Ground);
    Ok((origin, metadata.file_type()))
}
