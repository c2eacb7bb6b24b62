//! What can be wrong with a header, one kind per rule.

use std::fmt;

use crate::text::ImageText;

/// A rule of the format that a header breaks.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Corrupt {
    /// The storage ends inside the header.
    #[error("{object} needs {need} bytes, the storage has {have}")]
    Truncated {
        /// What does not fit.
        object: String,
        /// Bytes needed from the start of the storage.
        need: u64,
        /// Bytes there are.
        have: u64,
    },
    /// The storage fails where it is read.
    #[error("byte {at} cannot be read: {problem}")]
    Unreadable {
        /// The first byte that cannot.
        at: u64,
        /// The storage's reason.
        problem: String,
    },
    /// A field is cut off.
    #[error("{field} is cut off")]
    FieldTruncated {
        /// The field's name in the specification.
        field: &'static str,
    },
    /// A text field without its closing NUL.
    #[error("{field} is not terminated")]
    StringNotTerminated {
        /// The field's name in the specification.
        field: &'static str,
    },
    /// A text field that is not UTF-8.
    #[error("{field} is not text")]
    StringNotText {
        /// The field's name in the specification.
        field: &'static str,
    },
    /// The magic is not there.
    #[error("no magic")]
    Magic,
    /// A cipher or hash specification that cannot be read.
    #[error("{object}: {problem}")]
    Spec {
        /// Where it stands.
        object: String,
        /// What is wrong.
        problem: String,
    },

    /// LUKS1: a key size that no cipher has.
    #[error("key-bytes is {0}")]
    KeyBytes(u32),
    /// LUKS1: the digest's iterations are zero.
    #[error("mk-digest-iter is 0")]
    DigestIterations,
    /// LUKS1: a keyslot is neither enabled nor disabled.
    #[error("keyslot {keyslot}: state {state:#010x}")]
    KeyslotState {
        /// The keyslot.
        keyslot: u32,
        /// What stands there.
        state: u32,
    },
    /// LUKS1: an enabled keyslot with zero iterations.
    #[error("keyslot {keyslot}: 0 iterations")]
    KeyslotIterations {
        /// The keyslot.
        keyslot: u32,
    },
    /// A number of stripes other than 4000.
    #[error("keyslot {keyslot}: {stripes} stripes, not 4000")]
    Stripes {
        /// The keyslot.
        keyslot: u32,
        /// What stands there.
        stripes: u32,
    },
    /// An area that begins inside the header.
    #[error(
        "keyslot {keyslot}: area {start:#x}+{length:#x} begins inside the header, which ends at {header_end:#x}"
    )]
    AreaInHeader {
        /// The keyslot.
        keyslot: u32,
        /// Byte offset.
        start: u64,
        /// Bytes.
        length: u64,
        /// First byte after the header.
        header_end: u64,
    },
    /// An area that reaches into the data.
    #[error("keyslot {keyslot}: area {start:#x}+{length:#x} reaches into the data at {data:#x}")]
    AreaInData {
        /// The keyslot.
        keyslot: u32,
        /// Byte offset.
        start: u64,
        /// Bytes.
        length: u64,
        /// First byte of data.
        data: u64,
    },
    /// An area that reaches beyond the keyslots area.
    #[error(
        "keyslot {keyslot}: area {start:#x}+{length:#x} reaches beyond the keyslots area, which ends at {end:#x}"
    )]
    AreaOutside {
        /// The keyslot.
        keyslot: u32,
        /// Byte offset.
        start: u64,
        /// Bytes.
        length: u64,
        /// First byte after the keyslots area.
        end: u64,
    },
    /// An area whose end is no 64-bit number.
    #[error("keyslot {keyslot}: area {start:#x}+{length:#x} wraps around")]
    AreaOverflow {
        /// The keyslot.
        keyslot: u32,
        /// Byte offset.
        start: u64,
        /// Bytes.
        length: u64,
    },
    /// Two areas share bytes.
    #[error("keyslot {keyslot}: area {start:#x}+{length:#x} overlaps keyslot {other}")]
    AreaOverlap {
        /// The keyslot.
        keyslot: u32,
        /// Byte offset.
        start: u64,
        /// Bytes.
        length: u64,
        /// The other keyslot.
        other: u32,
    },
    /// An area that is too small for its key material.
    #[error(
        "keyslot {keyslot}: area of {length} bytes is too small for {need} bytes of key material"
    )]
    AreaTooSmall {
        /// The keyslot.
        keyslot: u32,
        /// Bytes there are.
        length: u64,
        /// Bytes needed.
        need: u64,
    },

    /// LUKS2: `hdr_size` is none of the nine sizes.
    #[error("hdr_size is {0}, none of the nine sizes")]
    HeaderSize(u64),
    /// LUKS2: `hdr_offset` is not where the header lies.
    #[error("hdr_offset is {have}, the header lies at {at}")]
    HeaderOffset {
        /// What the header says, in bytes.
        have: u64,
        /// Where it was read, in bytes.
        at: u64,
    },
    /// LUKS2: the checksum does not match.
    #[error("the checksum does not match")]
    Checksum,
    /// LUKS2: both copies have the same epoch and say different things.
    #[error("both header copies have epoch {epoch} and differ")]
    CopiesDiffer {
        /// The epoch of both.
        epoch: u64,
    },
    /// LUKS2: no change is possible any more, because each raises the epoch.
    #[error("the epoch {epoch} leaves no room for changes, each of which raises it")]
    EpochEnd {
        /// The epoch.
        epoch: u64,
    },
    /// LUKS2: neither copy is sound.
    #[error("both header copies are damaged: primary: {primary}; secondary: {secondary}")]
    BothCopies {
        /// What is wrong with the primary.
        primary: Box<Corrupt>,
        /// What is wrong with the secondary.
        secondary: Box<Corrupt>,
    },

    /// LUKS2: the JSON area does not start with `{`.
    #[error("the JSON area does not start with '{{'")]
    JsonStart,
    /// LUKS2: no NUL ends the JSON text.
    #[error("the JSON text has no NUL at its end")]
    JsonNotTerminated,
    /// LUKS2: bytes other than NUL after the JSON text.
    #[error("the JSON area holds other bytes than NUL after its text, at {0:#x}")]
    JsonTail(usize),
    /// LUKS2: not JSON, or nested too deep.
    #[error("the JSON text cannot be parsed: {0}")]
    JsonSyntax(ImageText),
    /// LUKS2: a member that is missing or is not what it must be.
    #[error("{path} {problem}")]
    Member {
        /// Its place, for example `keyslots.0.area.size`.
        path: ImageText,
        /// What is wrong.
        problem: MemberProblem,
    },
    /// LUKS2: more objects of one kind than any header may hold.
    #[error("{path}: {count} objects, the limit is {limit}")]
    TooManyObjects {
        /// Which kind.
        path: ImageText,
        /// How many there are.
        count: usize,
        /// How many may be.
        limit: usize,
    },
    /// LUKS2: an array names an object that does not exist.
    #[error("{path}: names {name:?}, which does not exist")]
    DanglingReference {
        /// The array.
        path: ImageText,
        /// The name.
        name: ImageText,
    },
    /// LUKS2: a keyslot is in more than one digest.
    #[error("keyslot {keyslot} is in more than one digest")]
    KeyslotInManyDigests {
        /// The keyslot.
        keyslot: u32,
    },
    /// LUKS2: a keyslot is in no digest.
    #[error("keyslot {keyslot} is in no digest")]
    KeyslotWithoutDigest {
        /// The keyslot.
        keyslot: u32,
    },
    /// LUKS2: `json_size` does not match the binary header.
    #[error("config.json_size is {have}, the header has {need}")]
    JsonSize {
        /// What stands there, in bytes.
        have: u64,
        /// What the binary header says, in bytes.
        need: u64,
    },
    /// LUKS2: `keyslots_size` is not aligned.
    #[error("config.keyslots_size {0} is no multiple of 4096")]
    KeyslotsSizeAlignment(u64),
    /// LUKS2: `keyslots_size` is beyond 128 MiB.
    #[error("config.keyslots_size {0} is beyond 128 MiB")]
    KeyslotsSizeTooLarge(u64),
    /// LUKS2: header and keyslots area reach into the data.
    #[error(
        "header and keyslots area end at {end:#x}, beyond the start of segment {segment} at {offset:#x}"
    )]
    KeyslotsInData {
        /// First byte after the keyslots area.
        end: u64,
        /// The segment.
        segment: u32,
        /// Its first byte.
        offset: u64,
    },
    /// LUKS2: the names of regular segments do not count from 0 without a gap.
    #[error("segment {0} is missing")]
    SegmentGap(u32),
    /// LUKS2: a backup segment stands before a regular one or leaves a gap.
    #[error("backup segments do not follow the regular ones without a gap at {0}")]
    BackupSegmentGap(u32),
    /// LUKS2: a segment other than the last has the size `dynamic`.
    #[error("segment {0} has the size \"dynamic\" and is not the last")]
    DynamicSegment(u32),
    /// LUKS2: no digest tells whether a key is that of an encrypted segment.
    #[error("segment {0} is encrypted and in no digest")]
    SegmentWithoutDigest(u32),
    /// LUKS2: the same bytes belong to two segments.
    #[error("segment {segment} overlaps segment {other}")]
    SegmentOverlap {
        /// The segment.
        segment: u32,
        /// The one before it.
        other: u32,
    },
    /// LUKS2: the end of a segment is no 64-bit number.
    #[error("segment {segment}: {offset:#x}+{size:#x} wraps around")]
    SegmentOverflow {
        /// The segment.
        segment: u32,
        /// Byte offset.
        offset: u64,
        /// Bytes.
        size: u64,
    },
    /// LUKS2: a sector size that is no multiple of 512.
    #[error("segment {segment}: sector size {bytes}")]
    SegmentSectorSize {
        /// The segment.
        segment: u32,
        /// What stands there.
        bytes: u32,
    },
    /// LUKS2: a segment's offset or size is no multiple of its sectors.
    #[error(
        "segment {segment}: {offset:#x}+{size:#x} is not made of its sectors of {sector} bytes"
    )]
    SegmentAlignment {
        /// The segment.
        segment: u32,
        /// Byte offset.
        offset: u64,
        /// Bytes.
        size: u64,
        /// Bytes of a sector.
        sector: u32,
    },
    /// LUKS2: the state of a reencryption that is under way contradicts itself.
    #[error("reencryption: {0}")]
    Reencryption(ReencryptionProblem),
    /// The data would start or end beyond the storage.
    #[error("the data at {start:#x} needs {need} bytes, the storage ends after {have}")]
    DataOutside {
        /// Byte offset of the data.
        start: u64,
        /// Bytes of storage needed.
        need: u64,
        /// Bytes of storage there are.
        have: u64,
    },
}

/// What is wrong with a JSON member.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum MemberProblem {
    /// It is not there.
    Missing,
    /// It is not of this JSON type.
    NotA(&'static str),
    /// It is empty.
    Empty,
    /// Not a string that holds an unsigned 64-bit decimal number, without sign, blank or leading zero.
    NotU64String,
    /// Not an unsigned 32-bit number.
    NotU32,
    /// Not base64.
    NotBase64,
    /// A name that is not a decimal number.
    NotANumberedName,
    /// A value that this member cannot have.
    Value(ImageText),
}

impl fmt::Display for MemberProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing"),
            Self::NotA(kind) => write!(f, "is not {kind}"),
            Self::Empty => f.write_str("is empty"),
            Self::NotU64String => {
                f.write_str("is not a string that holds an unsigned 64-bit number")
            }
            Self::NotU32 => f.write_str("is not an unsigned 32-bit number"),
            Self::NotBase64 => f.write_str("is not base64"),
            Self::NotANumberedName => f.write_str("is not a number"),
            Self::Value(value) => write!(f, "is {value}"),
        }
    }
}

/// What is wrong with the state of a reencryption.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReencryptionProblem {
    /// Its keyslot is there, its requirement is not.
    #[error("config.requirements does not name it, a keyslot is its own")]
    NoRequirement,
    /// Several requirements say that one is under way.
    #[error("config.requirements names it more than once")]
    ManyRequirements,
    /// Its requirement is there, its keyslot is not.
    #[error("config.requirements names it, no keyslot is its own")]
    NoKeyslot,
    /// Several keyslots say how it goes on.
    #[error("more than one keyslot is its own")]
    ManyKeyslots,
    /// The state before or after it is not there.
    #[error("no segment is its {0}")]
    NoBackup(&'static str),
    /// A segment is neither as before nor as after it.
    #[error("segment {0} is neither as before nor as after it")]
    Segment(u32),
}
