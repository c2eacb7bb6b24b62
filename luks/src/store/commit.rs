//! Writing a changed header over a sound one, so that a crash at any write leaves the old header or the new one.
//!
//! LUKS2 goes copy by copy: everything but the first sector, then that sector, which holds the checksum of it all,
//! then a sync, and only then the other copy. A copy that is cut off anywhere does not match its checksum, so that
//! within a copy no sync is needed; between the copies one is, since the second is written over the only sound one.
//! For the same reason the copy that does not count (damaged, or older) goes first.
//!
//! LUKS1 has one copy and no checksum. Its header lies in two sectors, and keyslot 6 in both: a keyslot is described
//! first while it is still off, then, after a sync, turned on by a write of one sector.

use volume::Storage;

use super::{Copies, Fault};
use crate::error::{Error, InvalidOption};
use crate::luks1;
use crate::luks2::{self, BinaryHeader, Which};
use crate::number::to_u64;
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
    let need = to_u64(new.metadata.to_text().len()).saturating_add(1);
    let have = new
        .binary
        .header_bytes
        .saturating_sub(to_u64(BinaryHeader::BYTES));
    if need > have {
        return Err(InvalidOption::JsonTooLarge { need, have }.into());
    }
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
    let mut described = new.clone();
    for (slot, before) in described.keyslots.iter_mut().zip(&old.keyslots) {
        slot.active &= before.active;
    }
    let length = storage
        .len()
        .map_err(Error::io("find the size of the container"))?;
    let whole = to_u64(luks1::Header::BYTES.next_multiple_of(SECTOR_BYTES));
    let mut block = vec![0; crate::number::to_usize(whole.min(length))];
    storage
        .read_at(0, &mut block)
        .map_err(Error::io("read the header"))?;
    let mut before = old.to_bytes();
    for stage in [&described, new] {
        let after = stage.to_bytes();
        let mut changed = Vec::new();
        for (index, sector) in block.chunks_mut(SECTOR_BYTES).enumerate() {
            let start = index.saturating_mul(SECTOR_BYTES);
            let values = before.iter().zip(&after).skip(start);
            let mut is_changed = false;
            for (byte, (was, is)) in sector.iter_mut().zip(values) {
                if was != is {
                    *byte = *is;
                    is_changed = true;
                }
            }
            if is_changed {
                changed.push((to_u64(start), sector.to_vec()));
            }
        }
        for (at, sector) in &changed {
            storage
                .write_at(*at, sector)
                .map_err(Error::io("write the header"))?;
        }
        if !changed.is_empty() {
            storage
                .sync()
                .map_err(Error::io("write the header through to the disk"))?;
        }
        before = after;
    }
    Ok(())
}
