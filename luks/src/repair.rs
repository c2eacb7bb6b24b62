//! Mending a header: a LUKS2 copy from the other one, and the damages of a LUKS1 header that are known and harmless.
//!
//! Key material is never written, nor is anything that is in order. A crash leaves the damage, or less of it. What would
//! be done shows a [`RehearsedStorage`](volume::RehearsedStorage).

use volume::{LockMode, Storage};

use crate::error::{Corrupt, Error, Refused};
use crate::luks1::{self, Damage};
use crate::luks2::{self, BinaryHeader, Which};
use crate::number::to_u64;
use crate::random::Random;
use crate::store::{self, Copies, Fault, Found, commit};

/// What was mended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Repair {
    /// Nothing is wrong.
    Nothing,
    /// LUKS2: a copy is written anew from the other one.
    Copy {
        /// Which copy.
        which: Which,
        /// What is wrong with it.
        fault: Fault,
    },
    /// LUKS2: the count of changes has begun anew, in both copies; it was at its end.
    Epoch(Corrupt),
    /// LUKS1.
    Luks1(Vec<Damage>),
}

/// What a repair may do.
#[derive(Clone, Copy, Debug, Default)]
pub struct RepairOptions {
    /// Write over what something else has left in a header copy: a file system that was made there, a partition table.
    pub overwrite_foreign: bool,
}

/// Mends the header of `storage`.
///
/// # Errors
///
/// [`Refused::Foreign`] where something else was written over a copy; [`Refused::Irreparable`];
/// [`Error::Unsupported`] for a copy of another version; [`Error::NotLuks`]; [`Error::Corrupt`] when no copy is sound;
/// [`Error::Io`], [`Error::Random`].
pub fn repair(
    storage: &dyn Storage,
    options: RepairOptions,
    random: &mut dyn Random,
) -> Result<Repair, Error> {
    let _lock = storage
        .lock(LockMode::Exclusive)
        .map_err(Error::io("lock the header"))?;
    if let Some(block) = luks1_block(storage)? {
        return repair_luks1(storage, &block);
    }
    match store::read_locked(storage)? {
        Found::Luks1(_) => Err(Error::Changed),
        Found::Luks1Partly(_, corrupt) => Err(corrupt.into()),
        Found::Luks2(copies @ Copies::Both(_)) => match copies.header().binary.check_epoch() {
            Ok(()) => Ok(Repair::Nothing),
            Err(end) => count_anew(storage, &copies, end, random),
        },
        Found::Luks2(Copies::PrimaryOnly(header, fault)) => {
            repair_copy(storage, options, &header, Which::Secondary, fault, random)
        }
        Found::Luks2(Copies::SecondaryOnly(header, fault)) => {
            repair_copy(storage, options, &header, Which::Primary, fault, random)
        }
    }
}

/// The same header with the first epoch. While only one copy has it, the other one counts, which says the same.
fn count_anew(
    storage: &dyn Storage,
    copies: &Copies<luks2::Header>,
    end: Corrupt,
    random: &mut dyn Random,
) -> Result<Repair, Error> {
    let mut header = copies.header().clone();
    header.binary.epoch = FIRST_EPOCH;
    commit::luks2(storage, copies, &header, random)?;
    Ok(Repair::Epoch(end))
}

/// What a new container has.
const FIRST_EPOCH: u64 = 1;

/// The first sectors of a LUKS1 container, damaged or not.
fn luks1_block(storage: &dyn Storage) -> Result<Option<Vec<u8>>, Error> {
    let length = storage
        .len()
        .map_err(Error::io("find the size of the container"))?;
    if length < to_u64(LUKS1_BLOCK_BYTES) {
        return Ok(None);
    }
    let mut block = vec![0; LUKS1_BLOCK_BYTES];
    storage
        .read_at(0, &mut block)
        .map_err(Error::io("read the header"))?;
    let is_luks1 = BinaryHeader::has_magic(Which::Primary, &block) && block[6..8] == [0, 1];
    Ok(is_luks1.then_some(block))
}

const SECTOR_BYTES: usize = 512;
/// The sectors that a LUKS1 header lies in.
const LUKS1_BLOCK_BYTES: usize = 2 * SECTOR_BYTES;

fn repair_luks1(storage: &dyn Storage, block: &[u8]) -> Result<Repair, Error> {
    let (header, rest) = block.split_at(luks1::Header::BYTES);
    let (mended, damages) = luks1::repair(header).map_err(Refused::Irreparable)?;
    if damages.is_empty() {
        return Ok(Repair::Nothing);
    }
    let mended = [&mended, rest].concat();
    let sectors = mended.chunks(SECTOR_BYTES).zip(block.chunks(SECTOR_BYTES));
    let mut at = 0;
    for (new, old) in sectors {
        if new != old {
            storage
                .write_at(at, new)
                .map_err(Error::io("write the header"))?;
        }
        at = at.saturating_add(to_u64(SECTOR_BYTES));
    }
    storage
        .sync()
        .map_err(Error::io("write the header through to the disk"))?;
    Ok(Repair::Luks1(damages))
}

fn repair_copy(
    storage: &dyn Storage,
    options: RepairOptions,
    good: &luks2::Header,
    which: Which,
    fault: Fault,
    random: &mut dyn Random,
) -> Result<Repair, Error> {
    match &fault {
        Fault::Unsupported(unsupported) => return Err(unsupported.clone().into()),
        Fault::Corrupt(corrupt @ Corrupt::Truncated { .. }) => {
            return Err(Refused::Irreparable(corrupt.clone()).into());
        }
        Fault::Corrupt(_) | Fault::Older { .. } => {}
    }
    let at = match which {
        Which::Primary => 0,
        Which::Secondary => good.binary.header_bytes,
    };
    let length = storage
        .len()
        .map_err(Error::io("find the size of the container"))?;
    let end = at.saturating_add(good.binary.header_bytes);
    if end > length {
        let corrupt = Corrupt::Truncated {
            object: "the header copy".into(),
            need: end,
            have: length,
        };
        return Err(Refused::Irreparable(corrupt).into());
    }
    if !options.overwrite_foreign && holds_something_else(storage, good, which, at)? {
        return Err(Refused::Foreign.into());
    }
    let mut salt = [0; BinaryHeader::SALT_BYTES];
    random.fill(&mut salt)?;
    let bytes = good.to_bytes(which, salt)?;
    let (sector, rest) = bytes.split_at(SECTOR_BYTES);
    storage
        .write_at(at.saturating_add(to_u64(SECTOR_BYTES)), rest)
        .and_then(|()| storage.write_at(at, sector))
        .and_then(|()| storage.sync())
        .map_err(Error::io("write the header copy"))?;
    if let Err(end) = good.binary.check_epoch() {
        count_anew(storage, &Copies::Both(good.clone()), end, random)?;
    }
    Ok(Repair::Copy { which, fault })
}

/// Where a copy is zeros (behind its checksum, or altogether) and other bytes stand there, somebody else wrote them. A
/// copy without its magic that has this container's UUID is one that `wipefs` wiped.
fn holds_something_else(
    storage: &dyn Storage,
    good: &luks2::Header,
    which: Which,
    at: u64,
) -> Result<bool, Error> {
    let mut first = vec![0; BinaryHeader::BYTES];
    storage
        .read_at(at, &mut first)
        .map_err(Error::io("read the damaged header copy"))?;
    let uuid = good.binary.uuid.as_bytes();
    let is_wiped = first[..MAGIC_BYTES] == [0; MAGIC_BYTES]
        && !uuid.is_empty()
        && first[UUID..].starts_with(uuid);
    let zeros = if is_wiped || BinaryHeader::has_magic(which, &first) {
        &first[END_OF_CHECKSUM..]
    } else {
        &first[..]
    };
    Ok(zeros.iter().any(|byte| *byte != 0))
}

const MAGIC_BYTES: usize = 6;
/// Where the binary header's UUID stands (LUKS2 specification, figure 2).
const UUID: usize = 168;
/// Where the binary header's SHA-256 ends; all behind it is zero.
const END_OF_CHECKSUM: usize = 480;
