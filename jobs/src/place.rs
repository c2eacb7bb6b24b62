//! Where an image is, before anything is opened.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::text;

/// Where an image is.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Place {
    /// Standard input for a source, standard output for a destination.
    Standard,
    /// A file or a device.
    Path(PathBuf),
}

impl Place {
    /// How messages name it where it is read.
    pub fn source_name(&self) -> String {
        self.name("standard input")
    }

    /// How messages name it where it is written.
    pub fn destination_name(&self) -> String {
        self.name("standard output")
    }

    fn name(&self, standard: &str) -> String {
        match self {
            Self::Standard => standard.to_owned(),
            Self::Path(path) => text::path(path),
        }
    }
}

/// As a command line names it: `-` is the standard stream.
impl From<OsString> for Place {
    fn from(typed: OsString) -> Self {
        if typed == "-" {
            Self::Standard
        } else {
            Self::Path(typed.into())
        }
    }
}

impl From<PathBuf> for Place {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}
