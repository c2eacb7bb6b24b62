//! Why a destination is not written.

use std::io;

use crate::blame::Blame;
use crate::block::InUse;
use crate::error::Clash;

/// Why a destination cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DestinationError {
    /// It exists.
    #[error("{name} exists")]
    Exists {
        /// The destination.
        name: String,
        /// Whether `--force` would help.
        replaceable: bool,
    },
    /// It is a symbolic link to something that is no device.
    #[error("{name} is a symbolic link, and not to a device")]
    Symlink {
        /// The destination.
        name: String,
    },
    /// It is what the job reads, or lies in the same bytes.
    #[error("{name} {clash}")]
    Input {
        /// The destination.
        name: String,
        /// What it is.
        clash: Clash,
    },
    /// It is another file or device than a moment ago.
    #[error("{name} was exchanged meanwhile")]
    Exchanged {
        /// The destination.
        name: String,
    },
    /// A header and data that are there already, which no rename could replace at once.
    #[error("{data} and {header} exist: two files cannot be replaced in one step")]
    TwoExist {
        /// The data.
        data: String,
        /// The header.
        header: String,
    },
    /// Image data is never written to a terminal.
    #[error("{name} is a terminal")]
    Terminal {
        /// The destination.
        name: String,
    },
    /// A device holds something.
    #[error("{name} holds {content}")]
    DeviceHolds {
        /// The destination.
        name: String,
        /// What was recognised on it.
        content: &'static str,
    },
    /// A device is mounted or mapped, or a file lies under one that is.
    #[error("{name} is in use{by}")]
    InUse {
        /// The destination.
        name: String,
        /// By whom.
        by: InUse,
    },
    /// Another job has locked it.
    #[error("{name} is in use")]
    Busy {
        /// The destination.
        name: String,
    },
    /// A device is too small.
    #[error("{name} has {capacity} bytes, {needed} are needed")]
    TooSmall {
        /// The destination.
        name: String,
        /// Its size.
        capacity: u64,
        /// The size needed.
        needed: u64,
    },
    /// It cannot be opened.
    #[error("cannot open {name}: {source}")]
    Open {
        /// The destination.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A new file cannot be made, or not be given its name.
    #[error("cannot create {name}: {source}")]
    Create {
        /// The destination.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// It has its name, which a power failure may take away.
    #[error(
        "{name} is there and whole, but whether its name outlasts a power failure is not certain: cannot sync its folder: {source}"
    )]
    Uncertain {
        /// The destination.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The data could not get their name, nor their header lose its own again.
    #[error("cannot create {name}: {source}; its header {header} is there, without it")]
    HeaderAlone {
        /// The data.
        name: String,
        /// The header.
        header: String,
        /// The system's reason.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write {name}: {source}")]
    Write {
        /// The destination.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
}

impl DestinationError {
    /// Whom it is to blame on.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Exists { .. }
            | Self::Symlink { .. }
            | Self::Exchanged { .. }
            | Self::TwoExist { .. }
            | Self::DeviceHolds { .. }
            | Self::InUse { .. }
            | Self::Busy { .. } => Blame::Taken,
            Self::Input { .. }
            | Self::Terminal { .. }
            | Self::TooSmall { .. }
            | Self::Open { .. }
            | Self::Create { .. }
            | Self::Uncertain { .. }
            | Self::HeaderAlone { .. }
            | Self::Write { .. } => Blame::Request,
        }
    }
}
