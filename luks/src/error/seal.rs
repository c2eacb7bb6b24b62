//! What is wrong with the seal of a header.

use crate::text::ImageText;

/// Why a seal does not say that the header is as whoever had the volume key left it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SealProblem {
    /// There is none.
    #[error("the header is not sealed")]
    Missing,
    /// It was made under another volume key.
    #[error("the seal is of another volume: it was made under another volume key")]
    OtherVolume,
    /// It is of a container with another UUID.
    #[error("the seal is of another volume: its UUID is {seal}, the container's {container}")]
    OtherUuid {
        /// The UUID that the seal is of.
        seal: ImageText,
        /// The container's.
        container: ImageText,
    },
    /// It was made by a later program.
    #[error("the seal is of version {version}, and only version {known} is known here")]
    Newer {
        /// Its version.
        version: u64,
        /// The version that can be checked.
        known: u64,
    },
    /// Header and seal do not belong together.
    #[error("the seal is broken: the header was changed since it was sealed")]
    Broken,
    /// What is called a seal is none.
    #[error("the seal is broken: {0}")]
    Malformed(ImageText),
    /// The key that fits is none of the data's.
    #[error("the seal cannot be checked: the key that fits is not the volume key of the data")]
    OtherKey,
    /// The header was changed less often than it is known to have been.
    #[error("the header is of epoch {have}, which is older than {least}")]
    Epoch {
        /// Its epoch.
        have: u64,
        /// The lowest that is taken.
        least: u64,
    },
    /// LUKS1 does not count its changes.
    #[error("LUKS1 has no epoch, which was to be {least} at least")]
    NoEpoch {
        /// The lowest that is taken.
        least: u64,
    },
    /// A header that is to be sealed in a file, and one of whose copies is not sound.
    #[error("a copy of the header is not used: what is sealed in a file is every byte of both")]
    Copies,
    /// LUKS1 has no room for a seal.
    #[error("LUKS1 has no tokens, which a seal is: it can only be kept in a file")]
    Luks1,
    /// The bytes before the data are not all there.
    #[error("{need} bytes are to be sealed, and the image has {have}")]
    Short {
        /// Bytes to be sealed.
        need: u64,
        /// Bytes there are.
        have: u64,
    },
}
