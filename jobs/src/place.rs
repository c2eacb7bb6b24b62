//! Where an image is, before anything is opened.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use volume::Storage;

use crate::text;

/// Where an image is: what a job reads, writes or changes is opened from this small value by [`open`](crate::open).
#[derive(Clone)]
#[non_exhaustive]
pub enum Place {
    /// Standard input for a source, standard output for a destination.
    Standard,
    /// A file or a device.
    Path(PathBuf),
    /// Anything that is open already: memory, a window of something, a volume (so that a container in a container is
    /// reached), a storage of one's own. As a destination an empty one grows, and any other is written over like a device;
    /// a job that fails leaves in it what it has written.
    Storage {
        /// How messages name it.
        name: String,
        /// Its bytes.
        storage: Arc<dyn Storage>,
    },
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
            Self::Storage { name, .. } => text::escape(name),
        }
    }
}

/// Whether both say the same: of storages, whether they are one.
impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Standard, Self::Standard) => true,
            (Self::Path(one), Self::Path(two)) => one == two,
            (Self::Storage { storage: one, .. }, Self::Storage { storage: two, .. }) => {
                Arc::ptr_eq(one, two)
            }
            _ => false,
        }
    }
}

impl Eq for Place {}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard => f.write_str("Standard"),
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Storage { name, .. } => f.debug_tuple("Storage").field(name).finish(),
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

impl From<&str> for Place {
    fn from(path: &str) -> Self {
        Self::Path(path.into())
    }
}

impl From<PathBuf> for Place {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}
