//! One copy of a payload, from a source to a destination that messages name.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use volume::{Copied, CopyError, CopyOptions, FileStorage, Sink, Source, is_bad_place};

use crate::args::{OutputArgs, WorkArgs};
use crate::error::Error;
use crate::exit::Exit;
use crate::losses::Losses;
use crate::progress::Progress;

/// What a copy is called, and how it is done.
pub struct Transfer<'a> {
    /// The source, as messages name it.
    pub source: &'a str,
    /// The destination, as messages name it.
    pub destination: &'a str,
    /// Payload bytes, where they are known.
    pub bytes: Option<u64>,
    /// Leave the source's holes unwritten.
    pub keep_holes: bool,
    /// Fill the last sector, of so many bytes, with zeros.
    pub pad_to: Option<usize>,
    /// What may be lost, and is.
    pub losses: &'a Losses,
    /// Threads and progress.
    pub work: &'a WorkArgs,
    /// Whether a bar may be shown.
    pub say: OutputArgs,
}

impl Transfer<'_> {
    /// Copies all of `source` into `sink`.
    pub fn run(&self, source: Source<'_>, sink: Sink<'_>) -> Result<Copied, TransferError> {
        let progress = Progress::start(self.work, self.say, self.source, self.bytes);
        let threads = self
            .work
            .threads
            .or_else(|| thread::available_parallelism().ok());
        let lose = |range| self.losses.add(range);
        let options = CopyOptions {
            threads: threads.map_or(1, NonZeroUsize::get),
            keep_holes: self.keep_holes,
            pad_to: self.pad_to,
            lost: if self.losses.may_lose() {
                Some(&lose)
            } else {
                None
            },
            progress: &|done| progress.update(done),
            ..CopyOptions::default()
        };
        let copied = volume::copy(source, sink, &options).map_err(|error| TransferError {
            source_name: self.source.to_owned(),
            destination: self.destination.to_owned(),
            error,
        })?;
        progress.finish(copied.bytes);
        Ok(copied)
    }
}

/// Moves the data of an image that messages call `name` past the page cache, if that is asked for.
pub fn bypass_page_cache(
    work: &WorkArgs,
    name: &str,
    storage: Option<&Arc<FileStorage>>,
) -> Result<(), Error> {
    let Some(storage) = storage.filter(|_| work.direct) else {
        return Ok(());
    };
    storage.bypass_page_cache().map_err(|source| Error::Direct {
        name: name.to_owned(),
        source,
    })
}

/// Why a copy ended early.
#[derive(Debug, thiserror::Error)]
#[error("{source_name} to {destination}: {error}")]
pub struct TransferError {
    source_name: String,
    destination: String,
    #[source]
    error: CopyError,
}

impl TransferError {
    /// How the program ends.
    pub fn exit(&self) -> Exit {
        match &self.error {
            CopyError::Read { error, .. } | CopyError::Write { error, .. }
                if error.kind() == io::ErrorKind::OutOfMemory =>
            {
                Exit::OutOfMemory
            }
            CopyError::Read { .. } | CopyError::SourceShrank { .. } => Exit::BadImage,
            _ => Exit::Wrong,
        }
    }

    /// What to do.
    pub fn advice(&self) -> Option<String> {
        match &self.error {
            CopyError::PartialSector { .. } => {
                Some("--pad fills the last sector with zeros".to_owned())
            }
            CopyError::Write { error, .. } if error.kind() == io::ErrorKind::StorageFull => {
                Some("make room, or choose another place for the destination".to_owned())
            }
            CopyError::Read { error, .. } if is_bad_place(error) => {
                Some("--on-read-error zero goes on, with zeros for what cannot be read".to_owned())
            }
            _ => None,
        }
    }
}
