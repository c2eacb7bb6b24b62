//! Why a new qcow2 image is not made.

use crate::blame::Blame;

/// Why a new qcow2 image is not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// Numbers that QEMU would not take, or a file that cannot be written.
    #[error("{name}: {error}")]
    Make {
        /// The image.
        name: String,
        /// What is wrong.
        error: qcow2::Error,
    },
    /// A header that only Linux knows.
    #[error("LUKS2 does not go into a qcow2 image: QEMU knows LUKS1")]
    Luks2,
    /// Something in a header that is not in QEMU's table.
    #[error("QEMU does not know {what} in an image")]
    QemuLacks {
        /// What it does not know.
        what: String,
    },
    /// A stream that nobody knows the length of.
    #[error(
        "{name} is a stream whose size is not given, and the size of a disk stands in its image"
    )]
    SizeUnknown {
        /// The stream.
        name: String,
    },
}

impl ImageError {
    /// Whom it is to blame on.
    pub fn blame(&self) -> Blame {
        Blame::Request
    }
}
