//! Why an image is not changed.

use std::io;

use crate::blame::Blame;
use crate::block::InUse;
use crate::error::Clash;

/// Why an image is not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// It is not there, or may not be written.
    #[error("cannot open {name} for writing: {source}")]
    Open {
        /// The image.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// It is a directory.
    #[error("{name} is a directory, not an image")]
    Directory {
        /// The image.
        name: String,
    },
    /// It is neither a file nor a block device.
    #[error("{name} is a stream, where a file or a block device is needed")]
    Stream {
        /// The image.
        name: String,
    },
    /// Somebody is using it.
    #[error("{name} is in use by another process")]
    Busy {
        /// The image.
        name: String,
    },
    /// A mapping, a mount, swap space or an array is made of it.
    #[error("{name} is in use{by}")]
    InUse {
        /// The image.
        name: String,
        /// By whom.
        by: InUse,
    },
    /// It is what the job reads, or lies in the same bytes.
    #[error("{name} {clash}")]
    Input {
        /// The image.
        name: String,
        /// What it is.
        clash: Clash,
    },
    /// Somebody has put another file under its name.
    #[error(
        "{name} was replaced or removed meanwhile: nothing in the file of that name is changed"
    )]
    Exchanged {
        /// The image.
        name: String,
    },
    /// The lock cannot be asked for.
    #[error("cannot lock {name}: {source}")]
    Lock {
        /// The image.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The backup of the header, or another file to be written.
    #[error("{name} exists")]
    Exists {
        /// The file.
        name: String,
    },
    /// The backup of the header, or another file to be written.
    #[error("cannot write {name}: {source}")]
    Write {
        /// The file.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The image, the backup of its header, or another file to be read.
    #[error("cannot read {name}: {source}")]
    Read {
        /// The file.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// What is neither blank nor known would be overwritten.
    #[error("{name} has data at byte {offset} and no LUKS header")]
    HoldsData {
        /// The image.
        name: String,
        /// Where the first of them lie.
        offset: u64,
    },
    /// Something that is no LUKS container would be overwritten.
    #[error("{name} holds {content}, no LUKS header")]
    HoldsSomethingElse {
        /// The image.
        name: String,
        /// What was recognised.
        content: &'static str,
    },
}

impl ChangeError {
    /// Whom it is to blame on.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Open { .. }
            | Self::Directory { .. }
            | Self::Read { .. }
            | Self::HoldsData { .. }
            | Self::HoldsSomethingElse { .. } => Blame::Image,
            Self::Stream { .. } | Self::Input { .. } | Self::Lock { .. } | Self::Write { .. } => {
                Blame::Request
            }
            Self::Busy { .. }
            | Self::InUse { .. }
            | Self::Exchanged { .. }
            | Self::Exists { .. } => Blame::Taken,
        }
    }
}

/// Under the image's name is another file, or none.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the file was replaced or removed while its lock was waited for")]
pub struct Exchanged;

/// Whether an error says that the image lost its name.
pub fn is_exchanged(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<Exchanged>)
}
