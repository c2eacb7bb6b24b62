//! Errors by blame: the disk, the header, what is not built, the passphrase, the cost, the caller.

mod corrupt;
mod obstacle;
mod policy;
mod refused;
mod seal;
mod unfinished;

use std::fmt;
use std::io;

use crate::kdf::{Excess, KdfError};
use crate::random::RandomError;
use crate::text::{self, ImageText};

pub use corrupt::{Corrupt, MemberProblem, ReencryptionProblem};
pub use obstacle::ReencryptionObstacle;
pub use policy::PolicyViolation;
pub use refused::{ConversionObstacle, Mismatch, Refused, TokenProblem};
pub use seal::SealProblem;
pub use unfinished::Unfinished;

/// Whatever can go wrong with a LUKS container.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The storage failed.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was being done, with its object.
        action: String,
        /// The failure.
        source: io::Error,
    },
    /// There is no LUKS header, nor a second copy of one where LUKS2 keeps it.
    #[error("not a LUKS container: no LUKS magic at offset 0 and no LUKS2 secondary header")]
    NotLuks,
    /// A header that says it is LUKS and is not sound.
    #[error("damaged LUKS header: {0}")]
    Corrupt(#[from] Corrupt),
    /// Sound, but outside of what is built or of what may be opened.
    #[error("unsupported: {0}")]
    Unsupported(#[from] Unsupported),
    /// No keyslot that may be tried is opened by this passphrase or key.
    #[error("{}", no_key_fits(tried))]
    NoKeyFits {
        /// The keyslots that were tried; empty when it was a volume key that does not match.
        tried: Vec<u32>,
    },
    /// There is nothing to try: no keyslot is active, bound to data and meant to be tried unasked.
    #[error("no usable keyslot: {0}")]
    NoUsableKeyslot(&'static str),
    /// Some keyslots or the digest cost more than allowed, and none of the others fits.
    #[error("{}", too_costly(refused))]
    TooCostly {
        /// What was not tried, and which limit it exceeds.
        refused: Vec<(Costly, Excess)>,
    },
    /// A null cipher, which protects nothing, and nobody allowed it.
    #[error("{object} uses the null cipher {cipher}: nothing there is encrypted")]
    NullCipher {
        /// Where it stands.
        object: String,
        /// Its specification.
        cipher: ImageText,
    },
    /// Data that no cipher encrypts, in a container that nobody is encrypting or decrypting: whoever wrote the header
    /// chose what is read there, and nobody allowed it.
    #[error("segment {segment} is linear: nothing there is encrypted")]
    Linear {
        /// The segment.
        segment: u32,
    },
    /// The memory for a key derivation within the limits could not be had.
    #[error(
        "keyslot {keyslot}: not enough memory for its key derivation, which needs {need_kib} KiB"
    )]
    OutOfMemory {
        /// The keyslot.
        keyslot: u32,
        /// Memory asked for, in KiB.
        need_kib: u32,
    },
    /// Somebody else holds the container.
    #[error("the container is in use by another program")]
    Busy,
    /// The caller's cancellation was seen.
    #[error("cancelled")]
    Cancelled,
    /// A reencryption was begun and not ended; the data is under two keys.
    #[error("a reencryption is in progress (requirement {requirement})")]
    NeedsRecovery {
        /// The requirement that says so.
        requirement: ImageText,
    },
    /// A reencryption is under way, and its data cannot be read.
    #[error("{0}")]
    Unfinished(#[from] Unfinished),
    /// Between reading the header and changing it somebody else changed it; nothing was written.
    #[error("the header was changed by another program meanwhile")]
    Changed,
    /// What was written to a keyslot's area and read back does not give the key; the header was not changed.
    #[error("keyslot {keyslot}: its area does not hold what was written to it")]
    NotProven {
        /// The keyslot.
        keyslot: u32,
    },
    /// Without this keyslot nothing opens the container any more, and nobody said that this is meant.
    #[error("keyslot {keyslot} is the last one: without it nobody can open the container")]
    LastKeyslot {
        /// The keyslot.
        keyslot: u32,
    },
    /// A header copy is not there at all: whatever overwrote it would be lost by a change, which writes both copies.
    #[error("the {which} header has no LUKS magic: something else may have been written over it")]
    Overwritten {
        /// Which copy: `primary` or `secondary`.
        which: &'static str,
    },
    /// A restore, repair or conversion that would lose something; nothing was written.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// The header says something that the caller's policy does not allow; nothing of it was used.
    #[error("{}", policy_refuses(.0))]
    PolicyRefuses(Vec<PolicyViolation>),
    /// The seal of the header was asked for, and is not what it is to be; nothing of the header was used but to find that
    /// out.
    #[error("{0}")]
    Seal(#[from] SealProblem),
    /// The header is sealed, and was to be changed without a key that seals it anew; nothing was written.
    #[error("the header is sealed: a change of it needs a key, which seals it anew")]
    Sealed,
    /// The caller asks for something that cannot be.
    #[error("{0}")]
    InvalidOption(#[from] InvalidOption),
    /// The random source failed; nothing was written after that.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl Error {
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }

    pub(crate) fn kdf(keyslot: u32) -> impl FnOnce(KdfError) -> Self {
        move |error| match error {
            KdfError::Cancelled => Self::Cancelled,
            KdfError::OutOfMemory { need_kib } => Self::OutOfMemory { keyslot, need_kib },
            KdfError::Parameters(problem) => Unsupported::KdfParameters { keyslot, problem }.into(),
        }
    }
}

/// What costs too much.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Costly {
    /// The key derivation of this keyslot.
    Keyslot(u32),
    /// The check of a volume key against this digest (LUKS1 has only digest 0).
    Digest(u32),
}

impl fmt::Display for Costly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keyslot(id) => write!(f, "keyslot {id}"),
            Self::Digest(id) => write!(f, "digest {id}"),
        }
    }
}

fn no_key_fits(tried: &[u32]) -> String {
    match tried {
        [] => "the volume key does not match the digest".into(),
        [one] => format!("no key fits: keyslot {one} is not opened by this passphrase"),
        many => format!(
            "no key fits: keyslots {} are not opened by this passphrase",
            list(many)
        ),
    }
}

fn too_costly(refused: &[(Costly, Excess)]) -> String {
    let each: Vec<_> = refused
        .iter()
        .map(|(what, excess)| format!("{what} {excess}"))
        .collect();
    format!("refused as too costly: {}", each.join("; "))
}

fn policy_refuses(violations: &[PolicyViolation]) -> String {
    let each: Vec<_> = violations.iter().map(ToString::to_string).collect();
    format!("refused by the policy: {}", each.join("; "))
}

fn list(ids: &[u32]) -> String {
    let ids: Vec<_> = ids.iter().map(u32::to_string).collect();
    ids.join(", ")
}

/// Sound on disk, but not something that this library opens.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// A header version other than 1 and 2.
    #[error("LUKS version {0}")]
    Version(u16),
    /// A checksum algorithm of the binary header other than SHA-256.
    #[error("header checksum algorithm {0:?}")]
    ChecksumAlgorithm(ImageText),
    /// A cipher, mode, IV or hash that is not built, or a key size that the cipher does not take.
    #[error("{object}: {source}")]
    Cipher {
        /// Where it stands.
        object: String,
        /// What is not supported.
        source: dmcrypt::Error,
    },
    /// Requirements that mean the header must not be used by who does not know them (LUKS2 specification 3.5).
    #[error("mandatory requirements {}", text::list(.0))]
    Requirements(Vec<ImageText>),
    /// A data segment of a type that is not built.
    #[error("segment {segment}: type {kind:?}")]
    SegmentType {
        /// The segment.
        segment: u32,
        /// Its type.
        kind: ImageText,
    },
    /// A data segment with authentication tags.
    #[error("segment {segment}: integrity protection")]
    Integrity {
        /// The segment.
        segment: u32,
    },
    /// A sector size that dm-crypt does not take.
    #[error("segment {segment}: sector size {bytes}")]
    SectorSize {
        /// The segment.
        segment: u32,
        /// The size in bytes.
        bytes: u32,
    },
    /// A keyslot, key derivation or digest of a type that is not built.
    #[error("{object}: type {kind:?}")]
    Type {
        /// Where it stands.
        object: String,
        /// The type.
        kind: ImageText,
    },
    /// Costs that the key derivation is not defined for.
    #[error("keyslot {keyslot}: {problem}")]
    KdfParameters {
        /// The keyslot.
        keyslot: u32,
        /// What is out of range.
        problem: String,
    },
    /// No data segment: a header that only stores keys.
    #[error("there is no data segment")]
    NoSegment,
    /// The key belongs to no data segment.
    #[error("keyslot {keyslot} is unbound: its key opens no data")]
    Unbound {
        /// The keyslot.
        keyslot: u32,
    },
    /// Several data segments, where one mapping is to be all of them.
    #[error("the data are in {segments} segments, and one mapping has one")]
    ManySegments {
        /// How many there are.
        segments: usize,
    },
    /// Data segments under more than one key.
    #[error("the data segments are under more than one volume key")]
    ManyKeys,
}

/// What the caller asked for cannot be.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidOption {
    /// There is no such keyslot.
    #[error("keyslot {keyslot} does not exist: {format} has keyslots 0 to {last}")]
    KeyslotNumber {
        /// The number asked for.
        keyslot: u32,
        /// Which format.
        format: &'static str,
        /// Its highest number.
        last: u32,
    },
    /// A keyslot that is to be changed with the data's volume key.
    #[error(
        "keyslot {keyslot} holds another key than the data's: only its own passphrase changes it"
    )]
    KeyslotUnbound {
        /// Its number.
        keyslot: u32,
    },
    /// The keyslot holds no key.
    #[error("keyslot {keyslot} is not in use")]
    KeyslotInactive {
        /// The number asked for.
        keyslot: u32,
    },
    /// The keyslot holds a key already.
    #[error("keyslot {keyslot} is in use")]
    KeyslotInUse {
        /// The number asked for.
        keyslot: u32,
    },
    /// All keyslots hold keys. A change needs one too: the new key is written before the old one goes.
    #[error("no keyslot is free: all {count} are in use")]
    NoFreeKeyslot {
        /// How many the format has.
        count: u32,
    },
    /// A hash that computes something wrong, for a new header or keyslot.
    #[error("hash {0} is wrong: it only opens what was made with it")]
    FaultyHash(&'static str),
    /// A volume key of the wrong length.
    #[error("the volume key has {have} bytes, the container's has {need}")]
    VolumeKeySize {
        /// Bytes given.
        have: usize,
        /// Bytes needed.
        need: usize,
    },
    /// A volume key that ends in zeros, of a container without a keyslot that tells how long it is.
    #[error(
        "the volume key of {have} bytes ends in zeros and may be one of {shorter} bytes: no keyslot tells which"
    )]
    VolumeKeyTail {
        /// Bytes given.
        have: usize,
        /// Bytes that the cipher takes too, with only zeros behind them.
        shorter: usize,
    },
    /// A cipher that cannot be created with these options.
    #[error(transparent)]
    Cipher(#[from] dmcrypt::Error),
    /// LUKS1 cannot say this.
    #[error("LUKS1 has no way to say {what}")]
    Luks1Cannot {
        /// What it cannot say.
        what: String,
    },
    /// A text that does not fit its field.
    #[error("{field} {value:?} is longer than {limit} bytes")]
    TextTooLong {
        /// The field.
        field: &'static str,
        /// The text.
        value: String,
        /// What fits, in bytes.
        limit: usize,
    },
    /// A text with a character that its field cannot hold.
    #[error("{field} {value:?} holds a NUL")]
    TextNul {
        /// The field.
        field: &'static str,
        /// The text.
        value: String,
    },
    /// A UUID that is none.
    #[error("{0:?} is not a UUID")]
    Uuid(String),
    /// A LUKS2 metadata size that is none of the nine.
    #[error("LUKS2 metadata size {0} is none of 16K, 32K, 64K, 128K, 256K, 512K, 1M, 2M, 4M")]
    MetadataSize(u64),
    /// A keyslots area that cannot be.
    #[error("LUKS2 keyslots size {0} is no multiple of 4096 from 4096 to 128M")]
    KeyslotsSize(u64),
    /// No room for another keyslot.
    #[error("the keyslots area of {have} bytes has no room for a keyslot of {need} bytes")]
    NoRoomForKeyslot {
        /// Bytes there are.
        have: u64,
        /// Bytes needed.
        need: u64,
    },
    /// A data offset that is not aligned.
    #[error("data offset {0} is no multiple of 4096 bytes")]
    DataOffsetAlignment(u64),
    /// A data offset inside the header.
    #[error("data offset {have} lies inside the header, which ends at {need}")]
    DataOffsetInHeader {
        /// The offset asked for, in bytes.
        have: u64,
        /// The lowest that is possible, in bytes.
        need: u64,
    },
    /// A data offset that the header's field cannot hold.
    #[error("data offset {0} does not fit the header")]
    DataOffsetTooLarge(u64),
    /// Costs below or above what may be written.
    #[error("{what} {have} is outside {low} to {high}")]
    KdfCost {
        /// Which cost.
        what: &'static str,
        /// What was asked for.
        have: u64,
        /// The lowest allowed.
        low: u64,
        /// The highest allowed.
        high: u64,
    },
    /// A change after which the JSON text no longer fits its area.
    #[error("the changed metadata needs {need} bytes, its area has {have}")]
    JsonTooLarge {
        /// Bytes needed, the final NUL counted in.
        need: u64,
        /// Bytes there are.
        have: u64,
    },
    /// A change after which the header would break a rule.
    #[error("the change would break a rule of the format: {0}")]
    Breaks(Box<Corrupt>),
    /// Something that this format has not.
    #[error("{format} has no {what}")]
    OtherFormat {
        /// The container's format.
        format: &'static str,
        /// What it has not.
        what: &'static str,
    },
    /// A token that was named, or is to be added.
    #[error(transparent)]
    Token(#[from] TokenProblem),
    /// A reencryption that cannot be begun, or gone on with, as it is asked for.
    #[error(transparent)]
    Reencryption(#[from] ReencryptionObstacle),
    /// A key for a cipher that has none, of a size that no header holds.
    #[error("a volume key of {bytes} bytes for the null cipher is outside 1 to 64")]
    NullKeySize {
        /// Bytes asked for.
        bytes: usize,
    },
    /// LUKS1 encrypts the keyslot as the data, and a null cipher then takes any passphrase: cryptsetup opens such a
    /// keyslot with an empty one only.
    #[error("LUKS1 with the null cipher takes only an empty passphrase")]
    NullPassphrase,
    /// A cipher that encrypts nothing.
    #[error("the null cipher encrypts nothing")]
    NullCipher,
    /// The two halves of an XTS key are equal, which breaks the mode (FIPS 140 IG C.I).
    #[error("the two halves of the XTS volume key are equal")]
    EqualXtsHalves,
    /// The payload does not fit the storage or is no whole number of sectors.
    #[error("a payload of {payload} bytes at offset {offset} does not fit: {problem}")]
    Payload {
        /// Bytes of payload.
        payload: u64,
        /// Where it starts, in bytes.
        offset: u64,
        /// Why it does not fit.
        problem: String,
    },
}
