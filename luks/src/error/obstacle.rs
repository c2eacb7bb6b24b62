//! What keeps a reencryption from being begun, or gone on with, as it is asked for.

use crate::text::ImageText;

/// Why not; nothing was written.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReencryptionObstacle {
    /// There is nothing to go on with.
    #[error("no reencryption is in progress")]
    NotInProgress,
    /// Each step of it changes the header, and the key that seals it may be the one that goes.
    #[error("the header is sealed, and a reencryption in place does not seal it anew")]
    Sealed,
    /// Cipher, sector size and key would stay as they are.
    #[error("nothing would be changed: cipher, sector size and volume key stay as they are")]
    NothingToChange,
    /// The data is not one encrypted segment that reaches to the end of its storage.
    #[error("the data is not one encrypted segment that reaches to the end of its storage")]
    Segments,
    /// Data behind a header that is not in the same place cannot become plaintext there.
    #[error(
        "the data begins at byte {offset} of its storage, where a detached header that is decrypted in place needs 0"
    )]
    DataOffset {
        /// First byte of the data.
        offset: u64,
    },
    /// The data are no whole sectors, of the old size or the new one.
    #[error("{bytes} bytes of data are no whole number of sectors of {sector_bytes} bytes")]
    PartialSector {
        /// Bytes of data.
        bytes: u64,
        /// Bytes of a sector.
        sector_bytes: u64,
    },
    /// There is no data.
    #[error("there is no data")]
    NoData,
    /// A hot zone that is no whole number of blocks.
    #[error("a hot zone of {bytes} bytes is no multiple of {alignment} bytes")]
    HotzoneAlignment {
        /// Bytes asked for.
        bytes: u64,
        /// Bytes of a block.
        alignment: u64,
    },
    /// A hot zone that cannot be protected.
    #[error("a hot zone of {bytes} bytes is larger than what can be protected: {most} bytes")]
    HotzoneSize {
        /// Bytes asked for.
        bytes: u64,
        /// Bytes that can be.
        most: u64,
    },
    /// The keyslots area has no room for what protects the data.
    #[error(
        "the keyslots area has a gap of {have} bytes for what protects the data, and {need} are needed"
    )]
    NoRoom {
        /// Bytes of the largest gap.
        have: u64,
        /// Bytes needed.
        need: u64,
    },
    /// Data that is shifted is protected by the shift, and by nothing else.
    #[error("a data shift protects the data: it cannot be changed to resilience {0}")]
    Shift(&'static str),
    /// The length that is to be worked on is more than there is, or no whole number of blocks.
    #[error(
        "{bytes} bytes are not a part of the data, which are {have} bytes, in whole blocks of {alignment} bytes"
    )]
    DeviceSize {
        /// Bytes asked for.
        bytes: u64,
        /// Bytes there are.
        have: u64,
        /// Bytes of a block.
        alignment: u64,
    },
    /// The data cannot move by so many bytes: there are no more, or they are no whole number of blocks.
    #[error(
        "{bytes} bytes cannot be taken from the end of the data, which are {have} bytes, in whole blocks of {alignment} bytes"
    )]
    ShiftBytes {
        /// Bytes asked for.
        bytes: u64,
        /// Bytes there are.
        have: u64,
        /// Bytes of a block.
        alignment: u64,
    },
    /// A storage that has not the length that the job needs.
    #[error("the image has {have} bytes, and {need} are needed")]
    Length {
        /// Bytes there are.
        have: u64,
        /// Bytes needed.
        need: u64,
    },
    /// A hash that nothing here computes.
    #[error("the checksums are of {0}, which is not built")]
    Hash(ImageText),
    /// The LUKS1 header in the image still has its magic, by which others would open what is half-way.
    #[error("the LUKS1 header in the image is to lose its magic first")]
    Magic,
    /// What the header says is left of a job is not what a holder of the key has written.
    #[error(
        "what the header says is left to be wiped does not fit its digest: somebody without the key wrote it"
    )]
    Leavings,
}
