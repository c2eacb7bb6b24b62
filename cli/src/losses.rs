//! What of an image could not be read: counted while it is read, listed at the end.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::args::{BadPlacesArgs, OnReadError};
use crate::change::ChangeError;
use crate::error::Error;
use crate::output;
use jobs::folder::Folder;
use jobs::temporary::{Content, TemporaryFile, writing};

/// The sectors that a job may lose, and has lost.
pub struct Losses {
    may_lose: bool,
    ranges: Mutex<Vec<Range<u64>>>,
    map: Mutex<Option<ErrorMap>>,
}

/// Bytes of the plaintext that were lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Lost {
    /// The first.
    pub offset: u64,
    /// How many.
    pub length: u64,
}

impl Losses {
    /// Refuses what cannot be meant. `is_stream`: the image passes once, and cannot be read again in smaller pieces.
    pub fn check(args: &BadPlacesArgs, is_stream: bool) -> Result<(), Error> {
        let conflict = |one, other| Err(Error::Conflict { one, other });
        match (args.on_read_error, &args.error_map) {
            (OnReadError::Zero, _) if is_stream => {
                conflict("--on-read-error zero", "an image that is a stream")
            }
            (OnReadError::Stop, Some(_)) => conflict("--error-map", "--on-read-error stop"),
            (_, Some(path)) if path.symlink_metadata().is_ok() => {
                let name = output::path(path);
                Err(ChangeError::Exists { name }.into())
            }
            _ => Ok(()),
        }
    }

    /// Nothing is lost yet. The file of the list is made, so that hours of work do not end without it.
    pub fn begin(args: &BadPlacesArgs) -> Result<Self, Error> {
        let map = args
            .error_map
            .as_deref()
            .map(ErrorMap::create)
            .transpose()?;
        Ok(Self {
            may_lose: args.on_read_error == OnReadError::Zero,
            ranges: Mutex::default(),
            map: Mutex::new(map),
        })
    }

    /// Whether what cannot be read is lost, or ends the work.
    pub fn may_lose(&self) -> bool {
        self.may_lose
    }

    /// These bytes of the plaintext are lost.
    pub fn add(&self, range: Range<u64>) {
        let mut ranges = self.ranges.lock().unwrap_or_else(PoisonError::into_inner);
        ranges.push(range);
    }

    /// All of them in order; `None` where none may be.
    pub fn list(&self) -> Option<Vec<Lost>> {
        self.may_lose.then(|| {
            let ranges = self.ranges.lock().unwrap_or_else(PoisonError::into_inner);
            joined(ranges.clone())
        })
    }

    /// Writes the list of what was lost of `bytes` bytes, where one was asked for, through to the disk. It stays once
    /// [`Self::keep`] says so.
    pub fn write_map(&self, bytes: u64) -> Result<(), Error> {
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        match (&mut *map, self.list()) {
            (Some(map), Some(lost)) => Ok(map.write(&map_text(&lost, bytes))?),
            _ => Ok(()),
        }
    }

    /// What was made is there: so is the list from now on.
    pub fn keep(&self) -> Result<(), Error> {
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(map.take().map_or(Ok(()), ErrorMap::keep)?)
    }

    /// Says what was lost of `source`, and ends with an error where something was. `result` says what there is instead.
    pub fn say(&self, source: &str, result: &str) -> Result<(), Error> {
        /// The rest is in the list of `--error-map` and in the JSON.
        const LINES: usize = 20;
        let lost = self.list().unwrap_or_default();
        for Lost { offset, length } in lost.iter().take(LINES) {
            output::warn(format_args!(
                "{source}: bytes {offset} to {} of the plaintext cannot be read",
                offset + length - 1
            ));
        }
        if lost.len() > LINES {
            output::warn(format_args!(
                "{source}: {} more places cannot be read; --error-map FILE and --json list all of them",
                lost.len() - LINES
            ));
        }
        if lost.is_empty() {
            return Ok(());
        }
        Err(Error::Lost {
            source_name: source.to_owned(),
            bytes: lost.iter().map(|lost| lost.length).sum(),
            places: lost.len(),
            result: result.to_owned(),
        })
    }
}

fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Lost> {
    ranges.sort_by_key(|range| range.start);
    let mut all: Vec<Lost> = Vec::new();
    for range in ranges {
        match all.last_mut() {
            Some(last) if last.offset + last.length >= range.start => {
                last.length = last.length.max(range.end - last.offset);
            }
            _ => all.push(Lost {
                offset: range.start,
                length: range.end - range.start,
            }),
        }
    }
    all
}

/// The list as ddrescue writes one: what was read is finished (`+`), what was not is a bad sector (`-`).
fn map_text(lost: &[Lost], bytes: u64) -> String {
    let mut text = String::from(
        "# Mapfile. Created by luksmith\n\
         # current_pos  current_status  current_pass\n\
         0x00000000     +               1\n\
         #      pos        size  status\n",
    );
    let mut line = |start: u64, end: u64, status| {
        if start < end {
            let _ = writeln!(text, "0x{start:08X}  0x{:08X}  {status}", end - start);
        }
    };
    let mut at = 0;
    for lost in lost {
        line(at, lost.offset, '+');
        at = lost.offset + lost.length;
        line(lost.offset, at, '-');
    }
    line(at, bytes, '+');
    text
}

/// A new file that only its owner reads, and that is gone unless all went well.
struct ErrorMap {
    name: String,
    file: File,
    temporary: TemporaryFile,
}

impl ErrorMap {
    fn create(path: &Path) -> Result<Self, ChangeError> {
        let name = output::path(path);
        let made = Folder::of(path).and_then(|(folder, name)| {
            TemporaryFile::create(&Arc::new(folder), &name, 0o600, Content::Public)
        });
        match made {
            Ok((file, temporary)) => Ok(Self {
                name,
                file,
                temporary,
            }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(ChangeError::Exists { name })
            }
            Err(source) => Err(ChangeError::Write { name, source }),
        }
    }

    fn write(&mut self, text: &str) -> Result<(), ChangeError> {
        let _writing = writing();
        self.file
            .write_all(text.as_bytes())
            .and_then(|()| self.file.sync_all())
            .map_err(|source| ChangeError::Write {
                name: self.name.clone(),
                source,
            })
    }

    fn keep(self) -> Result<(), ChangeError> {
        let name = self.name;
        self.temporary
            .keep(|_| Ok(()))
            .map_err(|source| ChangeError::Write { name, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_joined_and_in_order() {
        let lost = joined(vec![4096..8192, 512..1024, 8192..8704, 0..512]);
        let expected = [(0, 1024), (4096, 4608)].map(|(offset, length)| Lost { offset, length });
        assert_eq!(lost, expected);
        assert_eq!(joined(Vec::new()), []);
    }

    #[test]
    fn a_map_covers_all() {
        let lost = [(0, 512), (4096, 1024)].map(|(offset, length)| Lost { offset, length });
        let rows =
            |text: String| -> Vec<String> { text.lines().skip(4).map(ToOwned::to_owned).collect() };
        assert_eq!(
            rows(map_text(&lost, 8192)),
            [
                "0x00000000  0x00000200  -",
                "0x00000200  0x00000E00  +",
                "0x00001000  0x00000400  -",
                "0x00001400  0x00000C00  +",
            ]
        );
        assert_eq!(rows(map_text(&lost, 5120)).len(), 3);
        assert_eq!(rows(map_text(&[], 512)), ["0x00000000  0x00000200  +"]);
    }
}
