//! Why a change of a sound header is refused, and what is wrong with a token that was named.

use std::fmt;

use crate::text::{self, ImageText};

/// A restore, a repair or a conversion that would lose something or that the format has no room for.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// A backup of another container, or of another state of its data.
    #[error("the backup does not fit: {}", each(.0))]
    BackupDiffers(Vec<Mismatch>),
    /// A backup whose header copies are not both sound.
    #[error("the backup is damaged: {0}")]
    BackupDamaged(ImageText),
    /// A backup of a header during a reencryption.
    #[error(
        "the backup is of a reencryption in progress (requirement {0}): its data may be elsewhere by now"
    )]
    BackupInReencryption(ImageText),
    /// A backup that has all keyslots in use, and not all of the keyslots area.
    #[error(
        "the backup ends at {have} bytes, behind all keyslots in use, and header and keyslots area have {need}"
    )]
    BackupShort {
        /// Bytes of header and keyslots area.
        need: u64,
        /// Bytes there are.
        have: u64,
    },
    /// A header whose keyslot areas lie too far away for a backup in memory.
    #[error("header and keyslots of {bytes} bytes are more than a backup may hold, {limit}")]
    BackupTooLarge {
        /// Bytes there are.
        bytes: u64,
        /// The most that is read.
        limit: u64,
    },
    /// The storage has no room for the header of the backup.
    #[error("the backup needs {need} bytes, the storage has {have}")]
    StorageTooSmall {
        /// Bytes needed.
        need: u64,
        /// Bytes there are.
        have: u64,
    },
    /// Something else was written where a header copy was.
    #[error("a header copy was overwritten by {what}, which a repair would destroy")]
    Foreign {
        /// What, and where.
        what: ImageText,
    },
    /// Something is left of a header, and no checksum proves what it was.
    #[error("no checksum proves what is left of the header: {what}")]
    Unproven {
        /// What is left, and where.
        what: ImageText,
        /// The metadata are whole by every rule of the format.
        is_whole: bool,
    },
    /// The secondary header, and with it keyslots and data, lie elsewhere than the header says: a header that is written
    /// where it belongs would destroy keyslots and bring nothing back.
    #[error("{}", shifted(*at, *place))]
    Shifted {
        /// Where it lies, in bytes.
        at: u64,
        /// Where it belongs, in bytes.
        place: u64,
    },
    /// What is wrong is none of the damages that can be mended.
    #[error("this damage cannot be repaired: {0}")]
    Irreparable(super::Corrupt),
    /// The container already is what it was to become.
    #[error("the container is {0} already")]
    AlreadyConverted(&'static str),
    /// The other format cannot say what this header says.
    #[error("cannot convert to {to}: {obstacle}")]
    Conversion {
        /// The format asked for.
        to: &'static str,
        /// What stands in the way.
        obstacle: ConversionObstacle,
    },
}

/// In what a backup differs from the container.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// LUKS1 and LUKS2.
    #[error("it is {backup}, the container is {container}")]
    Format {
        /// The backup's.
        backup: &'static str,
        /// The container's.
        container: &'static str,
    },
    /// Where the data starts.
    #[error("its data starts at byte {backup}, the container's at {container}")]
    DataOffset {
        /// The backup's, in bytes.
        backup: u64,
        /// The container's, in bytes.
        container: u64,
    },
    /// The size of the volume key.
    #[error("its volume key has {backup} bytes, the container's {container}")]
    KeySize {
        /// The backup's, in bytes.
        backup: u32,
        /// The container's, in bytes.
        container: u32,
    },
    /// The UUID.
    #[error("its UUID is {backup}, the container's {container}")]
    Uuid {
        /// The backup's.
        backup: ImageText,
        /// The container's.
        container: ImageText,
    },
}

/// What keeps a header from being said in the other format.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConversionObstacle {
    /// A copy that is damaged or older.
    #[error("the {0} header copy is not sound: repair it first")]
    DamagedCopy(&'static str),
    /// No room for eight keyslots, or for two header copies of 16 KiB.
    #[error("there is no room before the data for {0}")]
    NoRoom(&'static str),
    /// Data of `LUKSMeta` behind the keyslots, where LUKS2 keeps its own.
    #[error("LUKSMeta keeps data behind the keyslots, which nothing would find any more")]
    LuksMeta,
    /// A keyslot that lies where the LUKS2 header goes and can only be moved over itself.
    #[error(
        "keyslot {keyslot} lies where the header goes, and there is no free place to move it to first"
    )]
    NoRoomToMove {
        /// The keyslot.
        keyslot: u32,
    },
    /// A cipher that LUKS1 cannot spell, or with options that it has not.
    #[error("the data is encrypted with {0}")]
    Cipher(ImageText),
    /// A sector size other than 512.
    #[error("the data has sectors of {0} bytes")]
    SectorSize(u32),
    /// IV numbers that do not start at 0.
    #[error("the IVs of the data do not start at 0")]
    IvTweak,
    /// Data of a fixed size, more than one segment, or none.
    #[error("the data is not one segment that reaches to the end")]
    Segments,
    /// No keyslot, and with that nothing that tells the size of the volume key.
    #[error("there is no keyslot, which alone tells the size of the volume key")]
    NoKeyslot,
    /// A digest that LUKS1 cannot hold.
    #[error("the digest of the volume key is not one that LUKS1 can hold")]
    Digest,
    /// Tokens.
    #[error("there are tokens: {}", numbers(.0))]
    Tokens(Vec<u32>),
    /// Persistent flags.
    #[error("there are persistent flags: {}", text::list(.0))]
    Flags(Vec<ImageText>),
    /// A label or subsystem.
    #[error("there is a {0}")]
    Label(&'static str),
    /// A keyslot with a number above 7.
    #[error("keyslot {0} is in use, LUKS1 ends at keyslot 7")]
    KeyslotNumber(u32),
    /// A keyslot that LUKS1 cannot hold.
    #[error("keyslot {keyslot} {problem}")]
    Keyslot {
        /// The keyslot.
        keyslot: u32,
        /// What LUKS1 has not.
        problem: &'static str,
    },
}

/// What is wrong with a token that was named, or with its JSON.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenProblem {
    /// A number above 31.
    #[error("token {0} does not exist: tokens are 0 to 31")]
    Number(u32),
    /// There is none of this number.
    #[error("token {0} is not in use")]
    Missing(u32),
    /// There is one of this number.
    #[error("token {0} is in use")]
    InUse(u32),
    /// All 32 are there.
    #[error("all 32 tokens are in use")]
    Full,
    /// A type that is not known, of those that are cryptsetup's own.
    #[error("types that begin with \"luks2-\" are reserved, and {0:?} is none of them")]
    Reserved(String),
    /// A seal that was not made of the header.
    #[error("a token of type \"luksmith-seal\" is made of the header that it stands in")]
    Seal,
    /// A member that a token of this type has not.
    #[error("a token of type \"luks2-keyring\" has no member {0:?}")]
    Member(String),
    /// Not a JSON object.
    #[error("the token is not a JSON object: {0}")]
    NotAnObject(String),
    /// Already assigned.
    #[error("token {token} is assigned to keyslot {keyslot} already")]
    Assigned {
        /// The token.
        token: u32,
        /// The keyslot.
        keyslot: u32,
    },
    /// Not assigned.
    #[error("token {token} is not assigned to keyslot {keyslot}")]
    NotAssigned {
        /// The token.
        token: u32,
        /// The keyslot.
        keyslot: u32,
    },
}

fn each(mismatches: &[impl fmt::Display]) -> String {
    let texts: Vec<_> = mismatches.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

fn shifted(at: u64, place: u64) -> String {
    let bytes = at.abs_diff(place);
    let what = if at < place { "missing" } else { "too many" };
    format!(
        "the secondary header lies whole at byte {at}, and its place is byte {place}: {bytes} bytes are {what} before \
         it, and keyslots and data have moved with it"
    )
}

fn numbers(ids: &[u32]) -> String {
    let ids: Vec<_> = ids.iter().map(u32::to_string).collect();
    ids.join(", ")
}
