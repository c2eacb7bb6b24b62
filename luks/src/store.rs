//! Finding and reading headers: each byte once, checked in memory, never written. Writing changed ones is
//! [`commit`]'s.

pub(crate) mod commit;

use volume::{LockMode, Storage};

use crate::error::{Corrupt, Error, Unsupported};
use crate::fingerprint::Fingerprint;
use crate::luks1;
use crate::luks2::{self, BinaryHeader, METADATA_SIZES, Which};
use crate::number::{to_u64, to_usize};

/// What was found, with what is wrong with the copy that is not used.
#[derive(Debug)]
pub(crate) enum Found {
    Luks1(luks1::Header),
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

/// Reads whatever header is there, under the shared header lock, and takes its fingerprint.
pub(crate) fn read(storage: &dyn Storage) -> Result<(Found, Option<Fingerprint>), Error> {
    let _lock = storage
        .lock(LockMode::Shared)
        .map_err(Error::io("lock the header"))?;
    let (found, bytes) = read_bytes(storage)?;
    let parts: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
    // Without both copies there is none.
    let fingerprint = (!parts.is_empty()).then(|| Fingerprint::of(&parts));
    Ok((found, fingerprint))
}

/// As [`read`], for a caller who holds the lock.
pub(crate) fn read_locked(storage: &dyn Storage) -> Result<Found, Error> {
    read_bytes(storage).map(|(found, _)| found)
}

/// The header, and the bytes that it was parsed from where none of them was passed over: LUKS1's header, or both
/// LUKS2 copies.
fn read_bytes(storage: &dyn Storage) -> Result<(Found, Vec<Vec<u8>>), Error> {
    let length = storage
        .len()
        .map_err(Error::io("find the size of the container"))?;
    // One read serves both versions: LUKS1's header is shorter than LUKS2's binary header.
    let mut first = vec![0; to_usize(length).min(BinaryHeader::BYTES)];
    storage
        .read_at(0, &mut first)
        .map_err(Error::io("read the header"))?;
    if BinaryHeader::has_magic(Which::Primary, &first) {
        // Another version than 1 may be damage of one copy: the other one tells.
        match version(&first) {
            Some(1) => {
                let header = luks1_header(&first, length)?;
                first.truncate(luks1::Header::BYTES);
                return Ok((Found::Luks1(header), vec![first]));
            }
            Some(_) => {}
            None => return Err(truncated("the header", 8, length)),
        }
    }
    let primary = luks2_copy(storage, Which::Primary, 0, first, length)?;
    let secondary = match &primary {
        Ok((header, _)) => luks2_secondary(storage, header.binary.header_bytes, length)?,
        Err(_) => find_secondary(storage, length)?,
    };
    if let (Err(NO_MAGIC), Err(NO_MAGIC)) = (&primary, &secondary) {
        return Err(Error::NotLuks);
    }
    let (primary, first) = split(primary);
    let (secondary, second) = split(secondary);
    let copies = choose(primary, secondary)?;
    let bytes = match &copies {
        Copies::Both(_) => first.into_iter().chain(second).collect(),
        Copies::PrimaryOnly(..) | Copies::SecondaryOnly(..) => Vec::new(),
    };
    Ok((Found::Luks2(copies), bytes))
}

fn split(copy: CopyBytes) -> (ReadCopy, Option<Vec<u8>>) {
    match copy {
        Ok((header, bytes)) => (Ok(header), Some(bytes)),
        Err(fault) => (Err(fault), None),
    }
}

fn version(first: &[u8]) -> Option<u16> {
    first
        .get(6..8)
        .map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn luks1_header(first: &[u8], length: u64) -> Result<luks1::Header, Error> {
    if first.len() < luks1::Header::BYTES {
        return Err(truncated(
            "the LUKS1 header",
            to_u64(luks1::Header::BYTES),
            length,
        ));
    }
    Ok(luks1::Header::parse(first)?)
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

const NO_MAGIC: Fault = Fault::Corrupt(Corrupt::Magic);

fn luks2_secondary(storage: &dyn Storage, at: u64, length: u64) -> Result<CopyBytes, Error> {
    let rest = length.saturating_sub(at);
    let mut first = vec![0; to_usize(rest).min(BinaryHeader::BYTES)];
    if !first.is_empty() {
        storage
            .read_at(at, &mut first)
            .map_err(Error::io("read the secondary header"))?;
    }
    luks2_copy(storage, Which::Secondary, at, first, length)
}

/// "If the primary header is corrupted, a scan on several known offsets for the secondary header can be performed"
/// (LUKS2 specification 4.5). The first sound one counts.
fn find_secondary(storage: &dyn Storage, length: u64) -> Result<CopyBytes, Error> {
    let mut found = Err(NO_MAGIC);
    for at in METADATA_SIZES.into_iter().take_while(|at| *at < length) {
        match luks2_secondary(storage, at, length)? {
            Ok(header) => return Ok(Ok(header)),
            // A damaged copy says more than a place without one.
            Err(NO_MAGIC) => {}
            damaged => found = damaged,
        }
    }
    Ok(found)
}

/// Reads the rest of a copy whose first bytes are there, and checks all of it.
fn luks2_copy(
    storage: &dyn Storage,
    which: Which,
    at: u64,
    first: Vec<u8>,
    length: u64,
) -> Result<CopyBytes, Error> {
    if !BinaryHeader::has_magic(which, &first) {
        return Ok(Err(NO_MAGIC));
    }
    let cut_off = |object: &str, bytes: u64| {
        let need = at.saturating_add(bytes);
        Ok(Err(Fault::Corrupt(Corrupt::Truncated {
            object: object.into(),
            need,
            have: length,
        })))
    };
    if first.len() < BinaryHeader::BYTES {
        return cut_off("the binary header", to_u64(BinaryHeader::BYTES));
    }
    let binary = match BinaryHeader::parse(which, at, &first) {
        Ok(binary) => binary,
        Err(Error::Corrupt(corrupt)) => return Ok(Err(Fault::Corrupt(corrupt))),
        Err(Error::Unsupported(unsupported)) => return Ok(Err(Fault::Unsupported(unsupported))),
        Err(other) => return Err(other),
    };
    if at.saturating_add(binary.header_bytes) > length {
        return cut_off("the header copy", binary.header_bytes);
    }
    let mut bytes = first;
    // One of nine sizes, 4 MiB at most.
    bytes.resize(to_usize(binary.header_bytes), 0);
    let rest_at = at.saturating_add(to_u64(BinaryHeader::BYTES));
    storage
        .read_at(rest_at, &mut bytes[BinaryHeader::BYTES..])
        .map_err(Error::io("read the JSON area"))?;
    Ok(match luks2::Header::parse(binary, &bytes) {
        Ok(header) => Ok((header, bytes)),
        Err(corrupt) => Err(Fault::Corrupt(corrupt)),
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
}
