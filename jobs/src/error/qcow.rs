//! Why a qcow2 image cannot be used.

use std::io;

use crate::blame::Blame;

/// Why a qcow2 image cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QcowError {
    /// The image itself.
    #[error("{name}: {error}")]
    Image {
        /// The image.
        name: String,
        /// What is wrong with it.
        error: Box<qcow2::Error>,
    },
    /// It is encrypted, where that is not meant.
    #[error("{name} is encrypted")]
    Encrypted {
        /// The image.
        name: String,
    },
    /// It refers to another file, and nobody has allowed that to be read.
    #[error("{name} refers to {what} {refers_to}, which is not read unless that is allowed")]
    NotAllowed {
        /// The image.
        name: String,
        /// What the file is to it.
        what: &'static str,
        /// As the image names it.
        refers_to: String,
    },
    /// It refers to a file that it may not refer to, or in a way that it may not.
    #[error("{name} refers to {what} {refers_to}: {reason}")]
    Refers {
        /// The image.
        name: String,
        /// What the file is to it.
        what: &'static str,
        /// As the image names it.
        refers_to: String,
        /// What is wrong with that.
        reason: String,
    },
    /// What it refers to cannot be opened.
    #[error("{name} refers to {what} {refers_to}: {source}")]
    Beside {
        /// The image.
        name: String,
        /// What the file is to it.
        what: &'static str,
        /// As the image names it.
        refers_to: String,
        /// The system's reason.
        source: io::Error,
    },
}

impl QcowError {
    /// Whom it is to blame on.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Encrypted { .. } => Blame::Request,
            Self::Image { error, .. } if matches!(**error, qcow2::Error::NoSnapshot(_)) => {
                Blame::Request
            }
            Self::Image { .. }
            | Self::NotAllowed { .. }
            | Self::Refers { .. }
            | Self::Beside { .. } => Blame::Image,
        }
    }
}
