//! Encrypted data that become plaintext where they lie.

use std::sync::Arc;

use volume::Storage;

use super::{
    Planned, StartOptions, check_begin, commit, data_segment, luks2_of, resilience, under_way,
    volume_bytes,
};
use crate::device::{Luks, Unlocked};
use crate::edit::Edit;
use crate::error::{Error, ReencryptionObstacle};
use crate::luks2::{self, Direction, ReencryptionMode, Which};
use crate::random::Random;
use crate::reencrypt::leavings::{self, DECRYPT_IN_PLACE};
use crate::reencrypt::metadata::{Begin, SegmentObject};
use crate::reencrypt::plan::ZoneRun;
use crate::reencrypt::zones::{Moved, Shape};
use crate::reencrypt::{Running, limits, obstacle, protect, storage_bytes, sync_header};

/// Begins to decrypt data in its own place, wherever that begins; the header is another storage.
///
/// # Errors
///
/// As [`start_reencrypt`](super::start_reencrypt).
pub fn start_decrypt(
    luks: &Luks,
    unlocked: Unlocked,
    data: Arc<dyn Storage>,
    options: &StartOptions,
    random: &mut dyn Random,
) -> Result<Running, Error> {
    check_begin(luks)?;
    let key_of = |number: u32| unlocked.key_of(number);
    let json = in_place(luks, &*data, options)?.begun(&key_of, options, random)?;
    let edit = Edit::begin(luks)?;
    under_way(edit, json, unlocked, None, data, random)
}

/// The zones of [`start_decrypt`]; nothing is written.
///
/// # Errors
///
/// As [`start_decrypt`].
pub fn plan_decrypt(
    luks: &Luks,
    data: &dyn Storage,
    options: &StartOptions,
) -> Result<Vec<ZoneRun>, Error> {
    in_place(luks, data, options)?.zones(options)
}

fn in_place<'a>(
    luks: &'a Luks,
    data: &dyn Storage,
    options: &StartOptions,
) -> Result<Planned<'a>, Error> {
    let header = luks2_of(luks.header())?;
    let (segment, old, digest) = data_segment(&header.metadata)?;
    let sector = u64::from(old.sector_size);
    let shape = Shape {
        volume_bytes: volume_bytes(&segment, data, sector, options.device_bytes)?,
        before: segment.offset,
        after: segment.offset,
        moved: None,
        direction: Direction::Forward,
        is_dynamic: options.device_bytes.is_none(),
    };
    let place = SegmentObject {
        crypt: Some(old),
        offset: segment.offset,
        bytes: None,
    };
    let begin = Begin {
        mode: ReencryptionMode::Decrypt,
        direction: Direction::Forward,
        resilience: resilience(options.protection, sector, None),
        before: (place, Some(digest)),
        after: (
            SegmentObject {
                crypt: None,
                ..place
            },
            None,
        ),
        moved: None,
    };
    Ok(Planned {
        begin,
        json: header.metadata.raw().clone(),
        header_bytes: header.binary.header_bytes,
        shape,
    })
}

/// Begins to decrypt data whose header lies before it: `luks` is a copy of that header in a storage of its own, on the
/// disk to stay. The first bytes are put where the header was, and then the copy says so. Until it has, this can be done
/// again, and the copy opens the data where it is.
///
/// # Errors
///
/// As [`start_reencrypt`](super::start_reencrypt).
pub fn start_decrypt_shift(
    luks: &Luks,
    unlocked: Unlocked,
    data: Arc<dyn Storage>,
    options: &StartOptions,
    random: &mut dyn Random,
) -> Result<Running, Error> {
    check_begin(luks)?;
    let (planned, moved) = out_of_data(luks, &*data, options)?;
    let key_of = |number: u32| unlocked.key_of(number);
    let json = planned.begun(&key_of, options, random)?;

    sync_header(&**luks.storage())?;
    wipe_magics(&*data, planned.header_bytes)?;
    protect::put(&*data, planned.shape.before, 0, moved.bytes)?;
    let edit = Edit::begin(luks)?;
    under_way(edit, json, unlocked, None, data, random)
}

/// The zones of [`start_decrypt_shift`]; nothing is written. The header may still lie before the data.
///
/// # Errors
///
/// As [`start_decrypt_shift`].
pub fn plan_decrypt_shift(
    luks: &Luks,
    data: &dyn Storage,
    options: &StartOptions,
) -> Result<Vec<ZoneRun>, Error> {
    out_of_data(luks, data, options)?.0.zones(options)
}

fn out_of_data<'a>(
    luks: &'a Luks,
    data: &dyn Storage,
    options: &StartOptions,
) -> Result<(Planned<'a>, Moved), Error> {
    let header = luks2_of(luks.header())?;
    let (segment, old, digest) = data_segment(&header.metadata)?;
    let shift = segment.offset;
    let sector = u64::from(old.sector_size);
    if shift == 0 || shift.checked_rem(sector) != Some(0) {
        return Err(obstacle(ReencryptionObstacle::DataOffset { offset: shift }));
    }
    let volume_bytes = volume_bytes(&segment, data, sector, None)?;
    let resilience = resilience(options.protection, sector, Some(shift));
    let place = SegmentObject {
        crypt: Some(old),
        offset: shift,
        bytes: None,
    };
    let mut begin = Begin {
        mode: ReencryptionMode::Decrypt,
        direction: Direction::Forward,
        resilience,
        before: (place, Some(digest)),
        after: (
            SegmentObject {
                crypt: None,
                offset: 0,
                bytes: None,
            },
            None,
        ),
        moved: None,
    };
    let room = limits::most_in_place(&begin.resilience, begin.area(&header.metadata)?)?;
    let room = room.unwrap_or(u64::MAX);
    let bytes = shift.min(volume_bytes).min(room);
    let bytes = bytes.saturating_sub(bytes.checked_rem(sector).unwrap_or(0));
    if bytes == 0 {
        let problem = ReencryptionObstacle::NoRoom {
            have: room,
            need: sector,
        };
        return Err(obstacle(problem));
    }
    let moved = Moved { offset: 0, bytes };
    begin.moved = Some((
        SegmentObject {
            crypt: Some(old),
            offset: 0,
            bytes: Some(bytes),
        },
        Some(digest),
    ));
    let shape = Shape {
        volume_bytes,
        before: shift,
        after: 0,
        moved: Some(moved),
        direction: Direction::Forward,
        is_dynamic: true,
    };
    let mut json = header.metadata.raw().clone();
    leavings::write_in_place(&mut json, DECRYPT_IN_PLACE, options.cut);
    let planned = Planned {
        begin,
        json,
        header_bytes: header.binary.header_bytes,
        shape,
    };
    Ok((planned, moved))
}

/// Says in a copy of a header what it was made for, before the data is touched: [`start_decrypt_shift`] is next.
///
/// # Errors
///
/// What [`Edit::begin`] and writing say.
pub fn mark_decrypt_in_place(
    luks: &Luks,
    is_cut: bool,
    random: &mut dyn Random,
) -> Result<(), Error> {
    let mut edit = Edit::begin(luks)?;
    let mut json = luks2_of(edit.header())?.metadata.raw().clone();
    leavings::write_in_place(&mut json, DECRYPT_IN_PLACE, is_cut);
    commit(&mut edit, json, random)
}

/// Headers that would be found first go, and only their magics.
fn wipe_magics(data: &dyn Storage, header_bytes: u64) -> Result<(), Error> {
    let length = storage_bytes(data)?;
    let mut is_written = false;
    for (at, which) in [(0, Which::Primary), (header_bytes, Which::Secondary)] {
        let mut magic = [0; 6];
        if at.saturating_add(6) > length {
            continue;
        }
        let read = data.read_at(at, &mut magic);
        read.map_err(Error::io("read the header in the image"))?;
        if luks2::BinaryHeader::has_magic(which, &magic) {
            let wiped = data.write_at(at, &[0; 6]);
            wiped.map_err(Error::io("take the header out of the image"))?;
            is_written = true;
        }
    }
    if is_written {
        let synced = data.sync();
        synced.map_err(Error::io("take the header out of the image"))?;
    }
    Ok(())
}
