//! Why an image is refused.

use std::io;

/// Why an image is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is something else.
    #[error("no qcow2 image: it does not begin with its magic")]
    Magic,
    /// What this library does not know, or does not do.
    #[error("{field} {value} is not supported: {reason}")]
    Unsupported {
        /// Which field.
        field: &'static str,
        /// What it says.
        value: u64,
        /// What that means.
        reason: String,
    },
    /// A number that cannot be.
    #[error("{field} {value}: {reason}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What it says.
        value: u64,
        /// Why it cannot be.
        reason: String,
    },
    /// Two things that would lie in one place.
    #[error("{one} at byte {offset} lies over {other}")]
    Overlap {
        /// One of them.
        one: &'static str,
        /// Where it starts.
        offset: u64,
        /// The other.
        other: &'static str,
    },
    /// No internal snapshot has that name, nor that number.
    #[error("no snapshot is called {0:?}")]
    NoSnapshot(String),
    /// It refers to something that was not given.
    #[error("it refers to {what} {name:?}, which was not given")]
    Missing {
        /// What it is.
        what: &'static str,
        /// As the image names it.
        name: String,
    },
    /// It can be read, and is not written.
    #[error("it can only be read: {0}")]
    ReadOnly(String),
    /// What an image may not refer to.
    #[error("{what} {name:?}: {reason}")]
    Name {
        /// What it is.
        what: &'static str,
        /// As the image names it.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

pub(crate) fn field<T>(
    field: &'static str,
    value: u64,
    reason: impl Into<String>,
) -> Result<T, Error> {
    let reason = reason.into();
    Err(Error::Field {
        field,
        value,
        reason,
    })
}

pub(crate) fn unsupported<T>(
    field: &'static str,
    value: u64,
    reason: impl Into<String>,
) -> Result<T, Error> {
    let reason = reason.into();
    Err(Error::Unsupported {
        field,
        value,
        reason,
    })
}
