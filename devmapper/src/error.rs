//! What can be wrong with the kernel's things.

use std::io;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no device-mapper.
    #[error("there is no device-mapper here: {0}")]
    NoDeviceMapper(#[source] io::Error),
    /// Device-mapper is root's.
    #[error("device-mapper is not for this user: {0}")]
    NotPermitted(#[source] io::Error),
    /// A command of device-mapper.
    #[error("device-mapper does not {what} {name}: {source}")]
    Mapping {
        /// What was to be done, as a verb.
        what: &'static str,
        /// To which mapping.
        name: String,
        /// The kernel's reason.
        #[source]
        source: io::Error,
    },
    /// A table that cannot be.
    #[error("no table of dm-crypt: {0}")]
    Table(&'static str),
    /// A loop device.
    #[error("no loop device: cannot {what}: {source}")]
    Loop {
        /// What was to be done, as a verb.
        what: &'static str,
        /// The kernel's reason.
        #[source]
        source: io::Error,
    },
    /// A node of a device.
    #[error("cannot make {path}: {source}")]
    Node {
        /// The node.
        path: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// The kernel's reason.
    pub fn reason(&self) -> Option<&io::Error> {
        match self {
            Self::NoDeviceMapper(source)
            | Self::NotPermitted(source)
            | Self::Mapping { source, .. }
            | Self::Loop { source, .. }
            | Self::Node { source, .. } => Some(source),
            Self::Table(_) => None,
        }
    }

    /// Whether somebody uses the mapping, its name or its device.
    pub fn is_busy(&self) -> bool {
        let reason = self.reason().and_then(rustix::io::Errno::from_io_error);
        reason == Some(rustix::io::Errno::BUSY)
    }
}
