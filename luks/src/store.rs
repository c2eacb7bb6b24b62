//! Finding and reading headers: each byte once, checked in memory, never written. Writing changed ones is
//! [`commit`]'s.

pub(crate) mod commit;
mod reading;

use volume::{LockMode, Storage};

use crate::error::{Corrupt, Error, Unsupported};
use crate::fingerprint::Fingerprint;
use crate::luks1;
use crate::luks2::{self, BinaryHeader, METADATA_SIZES, Which};
use crate::number::{to_u64, to_usize};

use self::reading::Bytes;

/// What was found, with what is wrong with the copy that is not used.
#[derive(Debug)]
pub(crate) enum Found {
    Luks1(luks1::Header),
    /// LUKS1 whose second sector cannot be read: keyslots 6 and 7, which it describes, count as not in use. Nothing may
    /// be written over it.
    Luks1Partly(luks1::Header, Corrupt),
    Luks2(Copies<luks2::Header>),
}

/// The sound copies of a header that is kept twice.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Copies<H> {
    /// Both are sound and say the same.
    Both(H),
    /// Only the primary is used.
    PrimaryOnly(H, Fault),
    /// Only the secondary is used.
    SecondaryOnly(H, Fault),
}

/// Why a copy is not used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// It breaks a rule.
    #[error("damaged: {0}")]
    Corrupt(Corrupt),
    /// It is of a kind that is not built.
    #[error("unsupported: {0}")]
    Unsupported(Unsupported),
    /// It is sound and older than the other: a write was cut off between the two.
    #[error("older: epoch {epoch}, the other has {newer}")]
    Older {
        /// Its epoch.
        epoch: u64,
        /// The other's.
        newer: u64,
    },
}

impl<H> Copies<H> {
    /// The header to use.
    pub fn header(&self) -> &H {
        match self {
            Self::Both(header) | Self::PrimaryOnly(header, _) | Self::SecondaryOnly(header, _) => {
                header
            }
        }
    }
}

/// A header as it was read.
pub(crate) struct Reading {
    pub(crate) found: Found,
    /// The bytes of every sound copy, the one that counts first; none of a header that cannot all be read.
    pub(crate) copies: Vec<Vec<u8>>,
}

impl Reading {
    /// `None` while a copy is not used.
    pub(crate) fn fingerprint(&self) -> Option<Fingerprint> {
        let is_whole = matches!(self.found, Found::Luks1(_) | Found::Luks2(Copies::Both(_)));
        let parts: Vec<&[u8]> = self.copies.iter().map(Vec::as_slice).collect();
        is_whole.then(|| Fingerprint::of(&parts))
    }
}

/// Reads whatever header is there, under the shared header lock.
pub(crate) fn read(storage: &dyn Storage) -> Result<Reading, Error> {
    let _lock = storage
        .lock(LockMode::Shared)
        .map_err(Error::io("lock the header"))?;
    read_bytes(storage)
}

/// As [`read`], for a caller who holds the lock.
pub(crate) fn read_locked(storage: &dyn Storage) -> Result<Found, Error> {
    read_bytes(storage).map(|reading| reading.found)
}

fn read_bytes(storage: &dyn Storage) -> Result<Reading, Error> {
    let length = storage
        .len()
        .map_err(Error::io("find the size of the container"))?;
    // One read serves both versions: LUKS1's header is shorter than LUKS2's binary header.
    let first = Bytes::read(storage, 0, BinaryHeader::BYTES, length)?;
    if BinaryHeader::has_magic(Which::Primary, &first.content) {
        // Another version than 1 may be damage of one copy: the other one tells.
        match version(&first.content) {
            Some(1) => return luks1_header(first, length),
            Some(_) => {}
            None => return Err(truncated("the header", 8, length)),
        }
    }
    let start_is_unreadable = first.unreadable();
    let primary = luks2_copy(storage, Which::Primary, 0, first, length)?;
    let secondary = match &primary.outcome {
        Ok((header, _)) => luks2_secondary(storage, header.binary.header_bytes, length)?,
        Err(_) => find_secondary(storage, length, primary.has_magic)?,
    };
    match (&primary.outcome, &secondary.outcome, start_is_unreadable) {
        (Err(NO_MAGIC), Err(NO_MAGIC), _) => return Err(Error::NotLuks),
        // Nothing says that there is a second copy at all.
        (Err(_), Err(NO_MAGIC), Some(unreadable)) if !primary.has_magic => {
            return Err(unreadable.into());
        }
        _ => {}
    }
    if let Some(copies) = proven(&primary, &secondary) {
        let copies_bytes = [primary, secondary].map(|copy| copy.proven.map(|(_, bytes)| bytes));
        return Ok(reading(copies, copies_bytes));
    }
    let (primary, first) = split(primary.outcome);
    let (secondary, second) = split(secondary.outcome);
    Ok(reading(choose(primary, secondary)?, [first, second]))
}

fn reading(copies: Copies<luks2::Header>, mut bytes: [Option<Vec<u8>>; 2]) -> Reading {
    if matches!(copies, Copies::SecondaryOnly(..)) {
        bytes.reverse();
    }
    Reading {
        found: Found::Luks2(copies),
        copies: bytes.into_iter().flatten().collect(),
    }
}

fn split(copy: CopyBytes) -> (ReadCopy, Option<Vec<u8>>) {
    match copy {
        Ok((header, bytes)) => (Ok(header), Some(bytes)),
        Err(fault) => (Err(fault), None),
    }
}

/// Where no copy could be read whole, one whose checksum is right all the same: what could not be read of it is zeros.
/// What is said of the other one then says it of both.
fn proven(primary: &LuksCopy, secondary: &LuksCopy) -> Option<Copies<luks2::Header>> {
    let (Err(first), Err(second)) = (&primary.outcome, &secondary.outcome) else {
        return None;
    };
    let both = || {
        Some(Fault::Corrupt(Corrupt::BothCopies {
            primary: Box::new(first.corrupt()?.clone()),
            secondary: Box::new(second.corrupt()?.clone()),
        }))
    };
    match (&primary.proven, &secondary.proven) {
        (None, None) => None,
        (Some((one, _)), Some((other, _))) if other.binary.epoch > one.binary.epoch => {
            Some(Copies::SecondaryOnly(other.clone(), both()?))
        }
        (Some((one, _)), _) => Some(Copies::PrimaryOnly(one.clone(), both()?)),
        (None, Some((other, _))) => Some(Copies::SecondaryOnly(other.clone(), both()?)),
    }
}

fn version(first: &[u8]) -> Option<u16> {
    first
        .get(6..8)
        .map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn luks1_header(mut first: Bytes, length: u64) -> Result<Reading, Error> {
    let need = luks1::Header::BYTES;
    if first.content.len() < need {
        return Err(truncated("the LUKS1 header", to_u64(need), length));
    }
    first.forget_behind(to_u64(need));
    let Some(unreadable) = first.unreadable() else {
        let header = luks1::Header::parse(&first.content)?;
        first.content.truncate(need);
        return Ok(Reading {
            found: Found::Luks1(header),
            copies: vec![first.content],
        });
    };
    match luks1::Header::parse_first_sector(&first.content) {
        Ok(header) => Ok(Reading {
            found: Found::Luks1Partly(header, unreadable),
            copies: Vec::new(),
        }),
        // What the second sector says may be what is missing.
        Err(_) => Err(unreadable.into()),
    }
}

fn truncated(object: &str, need: u64, have: u64) -> Error {
    Corrupt::Truncated {
        object: object.into(),
        need,
        have,
    }
    .into()
}

/// A copy, or what is wrong with it.
type ReadCopy = Result<luks2::Header, Fault>;
/// The same with the bytes that it was parsed from.
type CopyBytes = Result<(luks2::Header, Vec<u8>), Fault>;

/// What came of reading a copy.
struct LuksCopy {
    outcome: CopyBytes,
    has_magic: bool,
    /// What its checksum proves of a copy that cannot all be read, and its bytes: what could not be read of it is zeros.
    proven: Option<(luks2::Header, Vec<u8>)>,
}

impl LuksCopy {
    fn faulty(fault: impl Into<Fault>) -> Self {
        Self {
            outcome: Err(fault.into()),
            has_magic: true,
            proven: None,
        }
    }
}

const NO_MAGIC: Fault = Fault::Corrupt(Corrupt::Magic);

fn luks2_secondary(storage: &dyn Storage, at: u64, length: u64) -> Result<LuksCopy, Error> {
    let first = Bytes::read(storage, at, BinaryHeader::BYTES, length)?;
    luks2_copy(storage, Which::Secondary, at, first, length)
}

/// "If the primary header is corrupted, a scan on several known offsets for the secondary header can be performed"
/// (LUKS2 specification 4.5). The first sound one counts. In what `is_luks` a place that cannot be read may be one.
fn find_secondary(storage: &dyn Storage, length: u64, is_luks: bool) -> Result<LuksCopy, Error> {
    let mut found = LuksCopy::faulty(NO_MAGIC);
    for at in METADATA_SIZES.into_iter().take_while(|at| *at < length) {
        let first = Bytes::read(storage, at, BinaryHeader::BYTES, length)?;
        // One that says that it lies elsewhere belongs to an image that is stored here, unless the primary is there.
        if !is_luks && BinaryHeader::is_stray(at, &first.content) {
            continue;
        }
        let copy = luks2_copy(storage, Which::Secondary, at, first, length)?;
        match &copy.outcome {
            Ok(_) => return Ok(copy),
            // A damaged copy says more than a place without one, and one that is proven says all.
            Err(NO_MAGIC) => {}
            Err(_) if (copy.has_magic || is_luks) && found.proven.is_none() => found = copy,
            Err(_) => {}
        }
    }
    Ok(found)
}

/// Reads the rest of a copy whose first bytes are there, and checks all of it.
fn luks2_copy(
    storage: &dyn Storage,
    which: Which,
    at: u64,
    mut first: Bytes,
    length: u64,
) -> Result<LuksCopy, Error> {
    if !BinaryHeader::has_magic(which, &first.content) {
        let fault = first.unreadable().map_or(NO_MAGIC, Fault::Corrupt);
        return Ok(LuksCopy {
            has_magic: false,
            ..LuksCopy::faulty(fault)
        });
    }
    let cut_off = |object: &str, bytes: u64| {
        let need = at.saturating_add(bytes);
        Ok(LuksCopy::faulty(Corrupt::Truncated {
            object: object.into(),
            need,
            have: length,
        }))
    };
    if first.content.len() < BinaryHeader::BYTES {
        return cut_off("the binary header", to_u64(BinaryHeader::BYTES));
    }
    let binary = match BinaryHeader::parse(which, at, &first.content) {
        Ok(binary) => binary,
        Err(Error::Corrupt(corrupt)) => {
            return Ok(LuksCopy::faulty(first.unreadable().unwrap_or(corrupt)));
        }
        Err(Error::Unsupported(unsupported)) => {
            return Ok(LuksCopy::faulty(Fault::Unsupported(unsupported)));
        }
        Err(other) => return Err(other),
    };
    if at.saturating_add(binary.header_bytes) > length {
        return cut_off("the header copy", binary.header_bytes);
    }
    // One of nine sizes, 4 MiB at most.
    first.read_on(storage, to_usize(binary.header_bytes))?;
    let parsed = luks2::Header::parse(binary, &first.content);
    Ok(match (parsed, first.unreadable()) {
        (Ok(header), None) => LuksCopy {
            outcome: Ok((header, first.content)),
            has_magic: true,
            proven: None,
        },
        (parsed, Some(unreadable)) => LuksCopy {
            proven: parsed.ok().map(|header| (header, first.content)),
            ..LuksCopy::faulty(unreadable)
        },
        (Err(corrupt), None) => LuksCopy::faulty(corrupt),
    })
}

/// "The header with a higher seqid is more recent and is used"; equal ones must say the same.
pub(crate) fn choose(
    primary: ReadCopy,
    secondary: ReadCopy,
) -> Result<Copies<luks2::Header>, Error> {
    match (primary, secondary) {
        (Ok(primary), Ok(secondary)) => {
            let (a, b) = (primary.binary.epoch, secondary.binary.epoch);
            if a > b {
                Ok(Copies::PrimaryOnly(
                    primary,
                    Fault::Older { epoch: b, newer: a },
                ))
            } else if b > a {
                Ok(Copies::SecondaryOnly(
                    secondary,
                    Fault::Older { epoch: a, newer: b },
                ))
            } else if primary.says_the_same_as(&secondary) {
                Ok(Copies::Both(primary))
            } else {
                Err(Corrupt::CopiesDiffer { epoch: a }.into())
            }
        }
        (Ok(primary), Err(fault)) => Ok(Copies::PrimaryOnly(primary, fault)),
        (Err(fault), Ok(secondary)) => Ok(Copies::SecondaryOnly(secondary, fault)),
        (Err(Fault::Unsupported(unsupported)), Err(_))
        | (Err(_), Err(Fault::Unsupported(unsupported))) => Err(unsupported.into()),
        (Err(primary), Err(secondary)) => {
            let (primary, secondary) = (primary.into_corrupt(), secondary.into_corrupt());
            // One defect in both copies is one defect.
            if primary == secondary {
                return Err(primary.into());
            }
            Err(Corrupt::BothCopies {
                primary: Box::new(primary),
                secondary: Box::new(secondary),
            }
            .into())
        }
    }
}

impl Fault {
    /// What is wrong with a copy that was read on its own.
    fn into_corrupt(self) -> Corrupt {
        match self {
            Self::Corrupt(corrupt) => corrupt,
            Self::Unsupported(_) | Self::Older { .. } => {
                unreachable!("answered before, or told by the other copy")
            }
        }
    }

    fn corrupt(&self) -> Option<&Corrupt> {
        match self {
            Self::Corrupt(corrupt) => Some(corrupt),
            Self::Unsupported(_) | Self::Older { .. } => None,
        }
    }
}

impl From<Corrupt> for Fault {
    fn from(corrupt: Corrupt) -> Self {
        Self::Corrupt(corrupt)
    }
}
