//! Mending a header: what is lost of a LUKS2 header from what is left, as far as a checksum proves it, and the damages of
//! a LUKS1 header that are known and harmless.
//!
//! Key material is never written, nor is anything that is in order. A crash leaves the damage, or less of it. What would
//! be done shows a [`RehearsedStorage`](volume::RehearsedStorage).

mod foreign;
mod joined;
mod left;
mod luks2;
mod pieces;

use std::fmt;

use volume::{LockMode, Storage, read_around};

use crate::error::{Corrupt, Error, Refused};
use crate::luks1::{self, Damage};
use crate::luks2::Which;
use crate::number::to_u64;
use crate::random::Random;
use crate::store::Fault;

pub use joined::{Join, Proof};

/// What was mended.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Repair {
    /// Nothing is wrong.
    Nothing,
    /// LUKS2: a copy is written anew: as it was, where its checksum proves what that is, or from the other one.
    Copy {
        /// Which copy.
        which: Which,
        /// What is wrong with it.
        fault: Fault,
    },
    /// LUKS2: no copy that counts was sound; both are written anew.
    Joined(Join),
    /// LUKS2: the count of changes has begun anew, in both copies; it was at its end.
    Epoch(Corrupt),
    /// LUKS1.
    Luks1(Vec<Damage>),
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing is wrong with the header"),
            Self::Copy { which, fault } => write!(f, "the {which} header: {fault}"),
            Self::Joined(join) => join.fmt(f),
            Self::Epoch(end) => write!(f, "{end}: it is 1 now, in both copies"),
            Self::Luks1(damages) => {
                let each: Vec<_> = damages.iter().map(ToString::to_string).collect();
                f.write_str(&each.join("; "))
            }
        }
    }
}

/// What a repair may do.
#[derive(Clone, Copy, Debug, Default)]
pub struct RepairOptions {
    /// Write over what something else has left in a header copy: a file system that was made there, a partition table.
    /// Also write a header anew whose metadata are whole where no checksum is left that proves them.
    pub overwrite_foreign: bool,
}

/// Mends the header of `storage`.
///
/// # Errors
///
/// [`Refused::Foreign`] where something else was written over a copy; [`Refused::Irreparable`]; [`Refused::Unproven`]
/// for what is left of a header and is not proven; [`Error::Unsupported`] for a copy of another version;
/// [`Error::NotLuks`]; [`Error::Corrupt`] when no copy is sound and nothing is left; [`Error::Io`], [`Error::Random`].
pub fn repair(
    storage: &dyn Storage,
    options: RepairOptions,
    random: &mut dyn Random,
) -> Result<Repair, Error> {
    let _lock = storage
        .lock(LockMode::Exclusive)
        .map_err(Error::io("lock the header"))?;
    if let Some(block) = luks1_block(storage)? {
        return repair_luks1(storage, options, &block);
    }
    luks2::repair(storage, options, random)
}

/// The first sectors of a LUKS1 container, damaged or not.
fn luks1_block(storage: &dyn Storage) -> Result<Option<Vec<u8>>, Error> {
    let length = storage
        .len()
        .map_err(Error::io("find the size of the container"))?;
    if length < to_u64(LUKS1_BLOCK_BYTES) {
        return Ok(None);
    }
    let mut block = vec![0; LUKS1_BLOCK_BYTES];
    let unread = read_around(storage, 0, &mut block).map_err(Error::io("read the header"))?;
    let is_luks1 = unread.is_empty() && luks1::is_meant(&block);
    Ok(is_luks1.then_some(block))
}

const SECTOR_BYTES: usize = 512;
/// The sectors that a LUKS1 header lies in.
const LUKS1_BLOCK_BYTES: usize = 2 * SECTOR_BYTES;

fn repair_luks1(
    storage: &dyn Storage,
    options: RepairOptions,
    block: &[u8],
) -> Result<Repair, Error> {
    let (header, rest) = block.split_at(luks1::Header::BYTES);
    let (mended, damages) = luks1::repair(header).map_err(Refused::Irreparable)?;
    if damages.is_empty() {
        return Ok(Repair::Nothing);
    }
    if !options.overwrite_foreign && luks1::has_partitions(header) {
        let what = "a partition table at byte 446".into();
        return Err(Refused::Foreign { what }.into());
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
