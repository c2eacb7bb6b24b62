//! One copy of a payload, from a source to a destination that messages name.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use volume::{Copied, CopyOptions, FileStorage, Sink, Source};

use crate::error::{Error, TransferError};
use crate::losses::Losses;
use crate::watch::Watch;

/// How payloads are copied.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Work {
    /// How many threads work; as many as there are processors unless said.
    pub threads: Option<NonZeroUsize>,
    /// Data move past the page cache, which stays as it is for others.
    pub direct: bool,
}

impl Work {
    /// How many threads work.
    pub fn threads(self) -> usize {
        let threads = self
            .threads
            .or_else(|| thread::available_parallelism().ok());
        threads.map_or(1, NonZeroUsize::get)
    }
}

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
    /// How it is done.
    pub work: Work,
    /// Who is told of it.
    pub watch: &'a dyn Watch,
}

impl Transfer<'_> {
    /// Copies all of `source` into `sink`.
    pub fn run(&self, source: Source<'_>, sink: Sink<'_>) -> Result<Copied, TransferError> {
        self.watch.begin(self.source, self.bytes);
        let lose = |range| self.losses.add(range);
        let options = CopyOptions {
            threads: self.work.threads(),
            keep_holes: self.keep_holes,
            pad_to: self.pad_to,
            lost: if self.losses.may_lose() {
                Some(&lose)
            } else {
                None
            },
            progress: &|done| self.watch.advance(done),
            cancel: &|| self.watch.is_cancelled(),
            ..CopyOptions::default()
        };
        let copied = volume::copy(source, sink, &options).map_err(|error| TransferError {
            source_name: self.source.to_owned(),
            destination: self.destination.to_owned(),
            error,
        })?;
        self.watch.finish(copied.bytes);
        Ok(copied)
    }
}

/// Moves the data of an image that messages call `name` past the page cache, if that is asked for.
pub fn bypass_page_cache(
    work: Work,
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
