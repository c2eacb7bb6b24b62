//! Writing a changed header over a sound one, so that a crash at any write leaves the old header or the new one.
//!
//! LUKS2 goes copy by copy: everything but the first sector, then that sector, which holds the checksum of it all,
//! then a sync, and only then the other copy. A copy that is cut off anywhere does not match its checksum, so that
//! within a copy no sync is needed; between the copies one is, since the second is written over the only sound one.
//! For the same reason the copy that does not count (damaged, or older) goes first.
//!
//! LUKS1 has one copy and no checksum. Its header lies in two sectors, and keyslot 6 in both: where both change, a
//! keyslot is described first while it is still off, then, after a sync, turned on by a write of one sector.

use volume::Storage;

use super::{Copies, Fault};
use crate::error::{Error, InvalidOption};
use crate::luks1;
use crate::luks2::{self, BinaryHeader, Which};
use crate::number::{to_u64, to_usize};
use crate::random::Random;

/// What a disk writes all of or nothing.
const SECTOR_BYTES: usize = 512;

/// Writes both copies of `new` over the `standing` ones. A sound copy's salt is kept, a damaged copy gets a fresh one.
///
/// The caller holds the exclusive lock, under which it has read `standing`.
///
/// # Errors
///
/// [`InvalidOption::JsonTooLarge`] and [`Error::Random`] before anything is written, [`Error::Io`].
pub(crate) fn luks2(
    storage: &dyn Storage,
    standing: &Copies<luks2::Header>,
    new: &luks2::Header,
    random: &mut dyn Random,
) -> Result<(), Error> {
    check_room(new)?;
    let order = match standing {
        Copies::Both(_) => [(Which::Primary, true), (Which::Secondary, true)],
        Copies::PrimaryOnly(_, fault) => {
            [(Which::Secondary, is_sound(fault)), (Which::Primary, true)]
        }
        Copies::SecondaryOnly(_, fault) => {
            [(Which::Primary, is_sound(fault)), (Which::Secondary, true)]
        }
    };
    let mut copies = Vec::with_capacity(2);
    for (which, sound) in order {
        let at = match which {
            Which::Primary => 0,
            Which::Secondary => new.binary.header_bytes,
        };
        let mut salt = [0; BinaryHeader::SALT_BYTES];
        if sound {
            storage
                .read_at(at.saturating_add(BinaryHeader::SALT_OFFSET), &mut salt)
                .map_err(Error::io("read a header's salt"))?;
        } else {
            random.fill(&mut salt)?;
        }
        copies.push((at, new.to_bytes(which, salt)?));
    }
    for (at, bytes) in &copies {
        let (sector, rest) = bytes.split_at(SECTOR_BYTES);
        storage
            .write_at(at.saturating_add(to_u64(SECTOR_BYTES)), rest)
            .map_err(Error::io("write the header"))?;
        storage
            .write_at(*at, sector)
            .map_err(Error::io("write the header's checksum"))?;
        storage
            .sync()
            .map_err(Error::io("write the header through to the disk"))?;
    }
    Ok(())
}

/// Whether the JSON text of `new` and its NUL have room.
///
/// # Errors
///
/// [`InvalidOption::JsonTooLarge`].
pub(crate) fn check_room(new: &luks2::Header) -> Result<(), InvalidOption> {
    let need = to_u64(new.metadata.to_text().len()).saturating_add(1);
    let have = new
        .binary
        .header_bytes
        .saturating_sub(to_u64(BinaryHeader::BYTES));
    if need > have {
        return Err(InvalidOption::JsonTooLarge { need, have });
    }
    Ok(())
}

fn is_sound(fault: &Fault) -> bool {
    matches!(fault, Fault::Older { .. })
}

/// Writes `new` over `old`, which was read under the exclusive lock that the caller holds. Bytes that mean nothing
/// (behind the NUL of a text, behind the header) stay as they are.
///
/// # Errors
///
/// [`Error::Io`].
pub(crate) fn luks1(
    storage: &dyn Storage,
    old: &luks1::Header,
    new: &luks1::Header,
) -> Result<(), Error> {
    let length = storage
        .len()
        .map_err(Error::io("find the size of the container"))?;
    let whole = to_u64(luks1::Header::BYTES.next_multiple_of(SECTOR_BYTES));
    let mut block = vec![0; to_usize(whole.min(length))];
    storage
        .read_at(0, &mut block)
        .map_err(Error::io("read the header"))?;
    let mut described = new.clone();
    for (slot, before) in described.keyslots.iter_mut().zip(&old.keyslots) {
        slot.active &= before.active;
    }
    let (old, described, new) = (old.to_bytes(), described.to_bytes(), new.to_bytes());
    if changed_sectors(&old, &new).count() == 1 {
        return write_stage(storage, &mut block, &old, &new);
    }
    write_stage(storage, &mut block, &old, &described)?;
    write_stage(storage, &mut block, &described, &new)
}

/// Numbers of the sectors in which two headers differ.
fn changed_sectors(before: &[u8], after: &[u8]) -> impl Iterator<Item = usize> {
    before
        .chunks(SECTOR_BYTES)
        .zip(after.chunks(SECTOR_BYTES))
        .enumerate()
        .filter(|(_, (before, after))| before != after)
        .map(|(number, _)| number)
}

/// Brings what changes into `block`, which is what is on the disk, and writes the sectors that it changed.
fn write_stage(
    storage: &dyn Storage,
    block: &mut [u8],
    before: &[u8],
    after: &[u8],
) -> Result<(), Error> {
    for ((byte, was), is) in block.iter_mut().zip(before).zip(after) {
        if was != is {
            *byte = *is;
        }
    }
    let mut is_changed = false;
    for number in changed_sectors(before, after) {
        let start = number.saturating_mul(SECTOR_BYTES);
        let end = start.saturating_add(SECTOR_BYTES).min(block.len());
        storage
            .write_at(to_u64(start), &block[start..end])
            .map_err(Error::io("write the header"))?;
        is_changed = true;
    }
    if is_changed {
        storage
            .sync()
            .map_err(Error::io("write the header through to the disk"))?;
    }
    Ok(())
}
