//! Why a source cannot be used.

use std::fmt;
use std::io;

use recognise::{Class, Content};

use crate::blame::Blame;

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
#[non_exhaustive]
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
    /// Whom it is to blame on.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Open { .. }
            | Self::Read { .. }
            | Self::Directory { .. }
            | Self::TooSmall { .. } => Blame::Image,
            // Nobody meant what it is.
            Self::NotRaw { content, .. } if content.class() == Class::Unfinished => Blame::Image,
            Self::Stream { .. }
            | Self::Terminal
            | Self::Lock { .. }
            | Self::NotRaw { .. }
            | Self::Empty { .. }
            | Self::PartialSector { .. } => Blame::Request,
            Self::Busy { .. } => Blame::Taken,
        }
    }
}
