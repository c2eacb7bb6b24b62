//! What of an image could not be read: counted while it is read, listed at the end.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::error::{ChangeError, Error};
use crate::folder::Folder;
use crate::temporary::{Content, TemporaryFile, writing};
use crate::text;

/// What becomes of what cannot be read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct BadPlaces {
    /// It is left out, and its place is zeros; else it ends the job, and nothing is made.
    pub go_on: bool,
    /// A new file for a list of it, as a mapfile of ddrescue; positions count in the plaintext.
    pub map: Option<PathBuf>,
}

impl BadPlaces {
    /// What [`Self::go_on`] is in an [`Error::Conflict`].
    pub const GO_ON: &str = "going on where an image cannot be read";
    /// The opposite.
    pub const STOP: &str = "ending where an image cannot be read";
    /// What [`Self::map`] is in one.
    pub const MAP: &str = "a list of what is lost";
}

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
    pub fn check(bad_places: &BadPlaces, is_stream: bool) -> Result<(), Error> {
        let conflict = |one, other| Err(Error::Conflict { one, other });
        match (bad_places.go_on, &bad_places.map) {
            (true, _) if is_stream => conflict(BadPlaces::GO_ON, "an image that is a stream"),
            (false, Some(_)) => conflict(BadPlaces::MAP, BadPlaces::STOP),
            (_, Some(path)) if path.symlink_metadata().is_ok() => {
                let name = text::path(path);
                Err(ChangeError::Exists { name }.into())
            }
            _ => Ok(()),
        }
    }

    /// Nothing is lost yet. The file of the list is made, so that hours of work do not end without it.
    pub fn begin(bad_places: &BadPlaces) -> Result<Self, Error> {
        let map = bad_places
            .map
            .as_deref()
            .map(ErrorMap::create)
            .transpose()?;
        Ok(Self {
            may_lose: bad_places.go_on,
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
            in_order(ranges.clone())
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
}

/// What was lost in one reading or in another.
pub(crate) fn joined(one: Option<Vec<Lost>>, other: Option<Vec<Lost>>) -> Option<Vec<Lost>> {
    let (Some(one), Some(other)) = (&one, &other) else {
        return one.or(other);
    };
    let all = one.iter().chain(other);
    let ranges = all.map(|lost| lost.offset..lost.offset + lost.length);
    Some(in_order(ranges.collect()))
}

fn in_order(mut ranges: Vec<Range<u64>>) -> Vec<Lost> {
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
        let name = text::path(path);
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
        let lost = in_order(vec![4096..8192, 512..1024, 8192..8704, 0..512]);
        let expected = [(0, 1024), (4096, 4608)].map(|(offset, length)| Lost { offset, length });
        assert_eq!(lost, expected);
        assert_eq!(in_order(Vec::new()), []);
        let [one, two] = [512, 4096].map(|offset| {
            vec![Lost {
                offset,
                length: 512,
            }]
        });
        let both = joined(Some(two.clone()), Some(one.clone()));
        assert_eq!(both, Some([one, two].concat()));
        assert_eq!(joined(None, Some(Vec::new())), Some(Vec::new()));
        assert_eq!(joined(None, None), None);
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
