//! The order of writes of a restore.

use volume::{LockMode, Storage, is_bad_place};

use super::{Backup, says_the_same};
use crate::device::{Header, Luks, end_of_areas};
use crate::error::{Error, Refused};
use crate::format;
use crate::luks1;
use crate::luks2::{self, BinaryHeader, Which};
use crate::number::{to_u64, to_usize};
use crate::store::{self, Copies, Found, commit};

/// What a disk writes all of or nothing.
const SECTOR_BYTES: usize = 512;
/// Bytes that are compared and, where they differ, written at a time.
const CHUNK_BYTES: usize = 4096;

/// Writes a backup over the header and the keyslots of `storage`. `seen` is what was read there before and what the
/// caller compared the backup with; `None` where there was no sound header.
///
/// Both copies of the backup must be sound.
///
/// # Errors
///
/// [`Error::NeedsRecovery`] when the header that is there is that of a reencryption, which alone tells where which key
/// holds; [`Error::Changed`] when it is no longer what was `seen`; [`Refused::BackupDamaged`],
/// [`Refused::StorageTooSmall`]; [`Error::Io`]. After an error of writing restore again: see [`crate::backup`].
pub fn restore(storage: &dyn Storage, seen: Option<&Luks>, backup: &Backup) -> Result<(), Error> {
    backup.check_sound()?;
    let _lock = storage
        .lock(LockMode::Exclusive)
        .map_err(Error::io("lock the header"))?;
    let found = match (store::read_locked(storage), seen) {
        (Ok(found), Some(luks)) if says_the_same(&header_of(&found), luks.header()) => Some(found),
        (Err(error @ Error::Io { .. }), _) => return Err(error),
        (Err(_), None) => None,
        _ => return Err(Error::Changed),
    };
    if let Some(Found::Luks2(copies)) = &found {
        copies.header().metadata.config.refuse_reencryption()?;
    }
    let have = storage
        .len()
        .map_err(Error::io("find the size of the container"))?;
    let need = end_of_areas(&backup.header);
    if need > have {
        return Err(Refused::StorageTooSmall { need, have }.into());
    }
    let bytes = &backup.bytes[..to_usize(need).min(backup.bytes.len())];
    match (&found, &backup.header) {
        (Some(Found::Luks2(copies)), Header::Luks2(new))
            if copies.header().binary.header_bytes == new.binary.header_bytes =>
        {
            over_luks2(storage, copies, new, bytes)
        }
        (Some(Found::Luks1(old)), Header::Luks1(new)) => over_luks1(storage, old, new, bytes),
        (_, header) => over_anything(storage, have, header, bytes),
    }
}

fn header_of(found: &Found) -> Header {
    match found {
        Found::Luks1(header) | Found::Luks1Partly(header, _) => Header::Luks1(header.clone()),
        Found::Luks2(copies) => Header::Luks2(copies.header().clone()),
    }
}

/// The areas, then the copies. Between the copies the newer one counts, whatever the backup's epoch: the first is
/// written with an epoch above both, and gets its own when the second is there. Where there is none above the one that
/// counts, the first is written below it, so that the header appears by the second.
fn over_luks2(
    storage: &dyn Storage,
    copies: &Copies<luks2::Header>,
    new: &luks2::Header,
    bytes: &[u8],
) -> Result<(), Error> {
    let copy_bytes = new.binary.header_bytes;
    write_differing(storage, bytes, copy_bytes.saturating_mul(2))?;
    let places = [(Which::Primary, 0), (Which::Secondary, copy_bytes)];
    // The copy that counts is overwritten last.
    let [second, first] = match copies {
        Copies::Both(_) | Copies::PrimaryOnly(..) => places,
        Copies::SecondaryOnly(..) => [places[1], places[0]],
    };
    let copy_at = |at: u64| {
        let start = to_usize(at);
        &bytes[start..start.saturating_add(to_usize(copy_bytes))]
    };
    let epoch = match copies.header().binary.epoch {
        u64::MAX => 0,
        standing => standing.max(new.binary.epoch).saturating_add(1),
    };
    let between = luks2::Header {
        binary: BinaryHeader {
            epoch,
            ..new.binary.clone()
        },
        metadata: new.metadata.clone(),
    };
    let salt_at = to_usize(BinaryHeader::SALT_OFFSET);
    let salt = copy_at(first.1)[salt_at..]
        .first_chunk()
        .expect("a header copy holds its salt");
    write_copy(storage, first.1, &between.to_bytes(first.0, *salt)?)?;
    write_copy(storage, second.1, copy_at(second.1))?;
    write_copy(storage, first.1, copy_at(first.1))
}

/// The sector with the checksum last; a sync, because the other copy is touched next.
fn write_copy(storage: &dyn Storage, at: u64, copy: &[u8]) -> Result<(), Error> {
    let (sector, rest) = copy.split_at(SECTOR_BYTES);
    storage
        .write_at(at.saturating_add(to_u64(SECTOR_BYTES)), rest)
        .and_then(|()| storage.write_at(at, sector))
        .and_then(|()| storage.sync())
        .map_err(Error::io("write the header"))
}

fn over_luks1(
    storage: &dyn Storage,
    old: &luks1::Header,
    new: &luks1::Header,
    bytes: &[u8],
) -> Result<(), Error> {
    write_differing(storage, bytes, to_u64(CHUNK_BYTES))?;
    commit::luks1(storage, old, new)?;
    // What no field stands in.
    write_differing(storage, bytes, 0)
}

/// Another layout, or none: as when a container is made, the header appears by its first sectors alone.
fn over_anything(
    storage: &dyn Storage,
    length: u64,
    header: &Header,
    bytes: &[u8],
) -> Result<(), Error> {
    format::remove_old_headers(storage, length)?;
    let mut heads = vec![0];
    if let Header::Luks2(header) = header {
        heads.push(to_usize(header.binary.header_bytes));
    }
    let mut without = bytes.to_vec();
    for head in &heads {
        without[*head..head.saturating_add(SECTOR_BYTES)].fill(0);
    }
    write_differing(storage, &without, 0)?;
    for head in &heads {
        storage
            .write_at(
                to_u64(*head),
                &bytes[*head..head.saturating_add(SECTOR_BYTES)],
            )
            .map_err(Error::io("write the header"))?;
    }
    storage
        .sync()
        .map_err(Error::io("write the header through to the disk"))
}

/// Writes those bytes from `start` on that are not there yet, and syncs. It does so even where all of them are there: a
/// restore that failed may have left them where a loss of power takes them away.
fn write_differing(storage: &dyn Storage, bytes: &[u8], start: u64) -> Result<(), Error> {
    let mut at = start;
    let mut there = vec![0; CHUNK_BYTES];
    for chunk in bytes[to_usize(start).min(bytes.len())..].chunks(CHUNK_BYTES) {
        let there = &mut there[..chunk.len()];
        let is_there = match storage.read_at(at, there) {
            Ok(()) => there == chunk,
            // Writing may mend it.
            Err(error) if is_bad_place(&error) => false,
            Err(error) => return Err(Error::io("read header and keyslots")(error)),
        };
        if !is_there {
            storage
                .write_at(at, chunk)
                .map_err(Error::io(format!("write the keyslots at {at:#x}")))?;
        }
        at = at.saturating_add(to_u64(chunk.len()));
    }
    storage
        .sync()
        .map_err(Error::io("write the keyslots through to the disk"))
}
