//! What can go wrong, by blame.

use std::io;

use rustix::io::Errno;

/// Why a [`Mapping`](crate::Mapping) cannot be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A segment does not consist of whole sectors.
    #[error("segment {segment}: length {length} is no multiple of its sector size {sector_bytes}")]
    SegmentLength {
        /// Which, counted from 0.
        segment: usize,
        /// Its length in bytes.
        length: u64,
        /// Its sector size in bytes.
        sector_bytes: u64,
    },
    /// A segment starts within one of the storage's 512-byte sectors.
    #[error("segment {segment}: storage offset {storage_offset} is no multiple of 512")]
    SegmentOffset {
        /// Which, counted from 0.
        segment: usize,
        /// Where it starts in the storage, in bytes.
        storage_offset: u64,
    },
    /// A segment's end, in the volume or in the storage, is no 64-bit number.
    #[error(
        "segment {segment}: {length} bytes at storage offset {storage_offset} and volume offset {offset} exceed 64 bits"
    )]
    SegmentOverflow {
        /// Which, counted from 0.
        segment: usize,
        /// Its length in bytes.
        length: u64,
        /// Where it starts in the storage, in bytes.
        storage_offset: u64,
        /// Where it starts in the volume, in bytes.
        offset: u64,
    },
}

/// Why a [`copy`](crate::copy) ended early. What was written until then stays; an incomplete sink is the caller's to remove.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The source cannot be read.
    #[error("cannot read the source at byte {offset}: {error}")]
    Read {
        /// Where: a byte of the storage, of the volume's plaintext, or of the stream.
        offset: u64,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The sink cannot be written.
    #[error("cannot write the destination at byte {offset}: {error}")]
    Write {
        /// Where: a byte of the storage, of the volume's plaintext, or of the stream.
        offset: u64,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// None of several sinks is left that can be written; each has its own error.
    #[error("no destination is left that can be written")]
    NoBranchLeft,
    /// [`CopyOptions::cancel`](crate::CopyOptions::cancel) said so.
    #[error("cancelled")]
    Cancelled,
    /// The source's storage has become shorter than the copy needs.
    #[error(
        "source ends at byte {found}, {expected} bytes are needed: it is truncated, or shrank while it was read"
    )]
    SourceShrank {
        /// Bytes that the source's storage has to have.
        expected: u64,
        /// Bytes that it has now.
        found: u64,
    },
    /// The source ends within a sector of the sink, and no padding was asked for.
    #[error("source has {bytes} bytes, which is no multiple of the sector size {sector_bytes}")]
    PartialSector {
        /// Bytes in the source.
        bytes: u64,
        /// The sink's sector size in bytes.
        sector_bytes: usize,
    },
    /// The source is longer than the volume that it should go to.
    #[error("source has {bytes} bytes or more, the destination takes {capacity}")]
    DoesNotFit {
        /// Bytes in the source; of a stream, those read so far.
        bytes: u64,
        /// Bytes in the volume.
        capacity: u64,
    },
}

/// Is this the error of one bad place, with others beside it that can be read? A storage that is gone, or memory that
/// is short, is none.
pub fn is_bad_place(error: &io::Error) -> bool {
    // What the kernel says of a medium, its transport and its checksums.
    const BAD: [Errno; 8] = [
        Errno::IO,
        Errno::NODATA,
        Errno::ILSEQ,
        Errno::REMOTEIO,
        Errno::TIMEDOUT,
        Errno::NOLINK,
        Errno::BADMSG,
        Errno::UCLEAN,
    ];
    Errno::from_io_error(error).is_some_and(|errno| BAD.contains(&errno))
}
