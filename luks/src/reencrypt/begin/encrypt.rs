//! Plaintext that is encrypted where it lies: with its header in a storage of its own, or in its place.

use std::sync::Arc;

use volume::Storage;

use super::{Planned, StartOptions, commit, data_segment, luks2_of, part, resilience};
use crate::device::{Header, Luks, Unlocked};
use crate::edit::Edit;
use crate::error::{Error, InvalidOption, ReencryptionObstacle};
use crate::format::{FormatOptions, NewContainer, NewHeader, blank};
use crate::luks2::{Direction, Metadata, ReencryptionMode, Resilience};
use crate::number::to_usize;
use crate::random::Random;
use crate::reencrypt::leavings::{self, ENCRYPT_IN_PLACE};
use crate::reencrypt::metadata::{self, Begin, SegmentObject};
use crate::reencrypt::plan::ZoneRun;
use crate::reencrypt::zones::{Moved, Shape};
use crate::reencrypt::{obstacle, protect, storage_bytes, sync_header};
use crate::repair::{RepairOptions, repair};

/// The requirement of a header file whose image has not yet had its first bytes put aside: nobody else goes on from there.
pub const PUT_ASIDE: &str = "luksmith-put-aside";

/// Where plaintext goes that is encrypted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Shift {
    /// It stays where it is: its header lies in another storage.
    #[default]
    None,
    /// It moves to the data offset, and its header to the start of its storage. That must be longer than the payload by
    /// twice the data offset when [`put_aside`] is called; until then the header file says [`PUT_ASIDE`].
    PutAside,
    /// It moves to the data offset, in a storage that is longer than the payload by just that: nothing is put aside, and
    /// the first bytes are the last that move. Its header can lie before it only when all is done.
    Alone,
}

/// Turns a container that is not written yet into one whose header says that `payload_bytes` bytes of plaintext are still
/// to be encrypted.
///
/// # Errors
///
/// [`Error::InvalidOption`], [`Error::Random`].
pub fn prepare_encrypt(
    new: &mut NewContainer,
    payload_bytes: u64,
    shift: Shift,
    options: &StartOptions,
    random: &mut dyn Random,
) -> Result<(), Error> {
    let NewHeader::Luks2(header) = new.header() else {
        return Err(obstacle(ReencryptionObstacle::Segments));
    };
    let header_bytes = header.binary.header_bytes;
    let planned = planned(
        &header.metadata,
        header_bytes,
        payload_bytes,
        shift,
        options,
    )?;
    let (key, (_, digest)) = (new.volume_key(), planned.begin.after);
    let key_of = |number: u32| (Some(number) == digest).then_some(key);
    let mut json = planned.begun(&key_of, options, random)?;
    if shift == Shift::PutAside {
        metadata::require(&mut json, PUT_ASIDE);
    }
    let header = header
        .with_json(json)
        .map_err(|corrupt| InvalidOption::Breaks(Box::new(corrupt)))?;
    new.change(NewHeader::Luks2(header), None, random)
}

/// The zones of a container that is made of `new` for [`prepare_encrypt`]; nothing is made.
///
/// # Errors
///
/// As [`prepare_encrypt`].
pub fn plan_encrypt(
    new: &FormatOptions,
    payload_bytes: u64,
    shift: Shift,
    options: &StartOptions,
) -> Result<Vec<ZoneRun>, Error> {
    let metadata = blank(new)?;
    let header_bytes = new.metadata_bytes;
    planned(&metadata, header_bytes, payload_bytes, shift, options)?.zones(options)
}

fn planned<'a>(
    before: &'a Metadata,
    header_bytes: u64,
    payload_bytes: u64,
    shift: Shift,
    options: &StartOptions,
) -> Result<Planned<'a>, Error> {
    let (segment, crypt, digest) = data_segment(before)?;
    let sector = u64::from(crypt.sector_size);
    let is_shifted = shift != Shift::None;
    let volume_bytes = part(
        payload_bytes,
        options.device_bytes.filter(|_| !is_shifted),
        sector,
    )?;
    let offset = segment.offset;
    let linear = |offset, bytes| SegmentObject {
        crypt: None,
        offset,
        bytes,
    };
    let after = SegmentObject {
        crypt: Some(crypt),
        offset,
        bytes: None,
    };
    let moved = (shift == Shift::PutAside).then(|| Moved {
        offset: payload_bytes.saturating_add(offset),
        bytes: payload_bytes.min(offset),
    });
    let resilience = if is_shifted {
        Resilience::Shift(offset)
    } else {
        resilience(options.protection, sector, None)
    };
    let begin = Begin {
        mode: ReencryptionMode::Encrypt,
        direction: if is_shifted {
            Direction::Backward
        } else {
            Direction::Forward
        },
        resilience,
        before: if is_shifted {
            (linear(0, Some(payload_bytes)), None)
        } else {
            (linear(offset, None), None)
        },
        after: (after, Some(digest)),
        moved: moved.map(|moved| (linear(moved.offset, Some(moved.bytes)), None)),
    };
    let shape = Shape {
        volume_bytes,
        before: if is_shifted { 0 } else { offset },
        after: offset,
        moved,
        direction: begin.direction,
        is_dynamic: !is_shifted && options.device_bytes.is_none(),
    };
    let mut json = before.raw().clone();
    if shift == Shift::PutAside {
        leavings::write_in_place(&mut json, ENCRYPT_IN_PLACE, options.cut);
    }
    Ok(Planned {
        begin,
        json,
        header_bytes,
        shape,
    })
}

/// Whether a header is that of an image whose first bytes are still to be put aside.
pub fn is_to_be_put_aside(header: &Header) -> bool {
    match header {
        Header::Luks1(_) => false,
        Header::Luks2(header) => {
            let metadata = &header.metadata;
            let requirements = &metadata.config.requirements;
            metadata.reencryption.is_some() && requirements.iter().any(|name| name == PUT_ASIDE)
        }
    }
}

/// Whether a header, in a storage of its own, is that of an image which somebody else has encrypted to the end with it:
/// [`put_header`] and [`forget_in_place`] are all that is left.
pub fn is_encrypted_apart(header: &Header) -> bool {
    let Header::Luks2(header) = header else {
        return false;
    };
    let metadata = &header.metadata;
    let mut tokens = metadata.tokens.iter();
    metadata.config.requirements.is_empty()
        && tokens.any(|token| token.kind == ENCRYPT_IN_PLACE)
        && metadata.digest_of_data().is_some()
        && metadata.data_offset().is_some_and(|offset| offset > 0)
}

/// Takes the token of a job in place out of a header that is in its place.
///
/// # Errors
///
/// What [`Edit::begin`] and writing say.
pub fn forget_in_place(luks: &Luks, random: &mut dyn Random) -> Result<(), Error> {
    let mut edit = Edit::begin(luks)?;
    let mut json = luks2_of(edit.header())?.metadata.raw().clone();
    leavings::forget_in_place(&mut json);
    commit(&mut edit, json, random)
}

/// Copies the first bytes of `data` to its end, where `luks`, the header of it in a storage of its own, has them, syncs
/// them and then says in that header that they are there. Where they are already, nothing is done.
///
/// # Errors
///
/// [`Error::Unfinished`] where the digest does not fit, [`ReencryptionObstacle::Length`] where `data` is too short,
/// [`Error::Io`].
pub fn put_aside(
    luks: &Luks,
    unlocked: &Unlocked,
    data: &dyn Storage,
    random: &mut dyn Random,
) -> Result<(), Error> {
    if !is_to_be_put_aside(luks.header()) {
        return Ok(());
    }
    unlocked.proof().clone()?;
    sync_header(&**luks.storage())?;
    let metadata = &luks2_of(luks.header())?.metadata;
    let state = metadata.reencryption.as_ref();
    let moved = state.and_then(|state| state.moved.as_ref());
    let Some(moved) = moved else {
        return Err(obstacle(ReencryptionObstacle::Segments));
    };
    let (offset, have) = (moved.segment.offset, storage_bytes(data)?);
    let bytes = metadata::bytes_of(&moved.segment, have);
    let need = offset.saturating_add(bytes);
    if need > have || bytes > offset {
        return Err(obstacle(ReencryptionObstacle::Length { have, need }));
    }
    protect::put(data, 0, offset, bytes)?;
    let mut edit = Edit::go_on(Arc::clone(luks.storage()), luks.header())?;
    let mut json = metadata.raw().clone();
    metadata::release(&mut json, |name| name == PUT_ASIDE);
    commit(&mut edit, json, random)
}

/// Writes the header of `luks`, a storage of its own, to the start of `data`: keyslots first, and the copies when those
/// are on the disk. From then on the image has its header.
///
/// # Errors
///
/// [`ReencryptionObstacle::Length`] where there is no room for it, [`Error::Io`].
pub fn put_header(luks: &Luks, data: &dyn Storage, random: &mut dyn Random) -> Result<(), Error> {
    let header = luks2_of(luks.header())?;
    let metadata = &header.metadata;
    let place = match &metadata.reencryption {
        Some(state) => Some(state.after.segment.offset),
        None if is_encrypted_apart(luks.header()) => metadata.data_offset(),
        None => None,
    };
    let Some(need) = place.filter(|_| !is_to_be_put_aside(luks.header())) else {
        return Err(obstacle(ReencryptionObstacle::NotInProgress));
    };
    let have = storage_bytes(data)?;
    if need > have {
        return Err(obstacle(ReencryptionObstacle::Length { have, need }));
    }
    let copies = header.binary.header_bytes.saturating_mul(2);
    let from = &**luks.storage();
    // A process that was killed may have left a second copy that tells of the step before: in the image it would count
    // where the first one is torn, and have the header put aside in place of the data.
    let whole = RepairOptions {
        overwrite_foreign: false,
    };
    sync_header(from)?;
    repair(from, whole, random)?;
    sync_header(from)?;
    let there_is = storage_bytes(from)?.min(need);
    for (range, what) in [
        (copies..there_is, "write the keyslots to the image"),
        (0..copies.min(there_is), "write the header to the image"),
    ] {
        let mut at = range.start;
        let mut chunk = vec![0; CHUNK_BYTES];
        while at < range.end {
            let rest = range.end.saturating_sub(at);
            let piece = &mut chunk[..to_usize(rest).min(CHUNK_BYTES)];
            let moved = from
                .read_at(at, piece)
                .and_then(|()| data.write_at(at, piece));
            moved.map_err(Error::io(what))?;
            at = at.saturating_add(crate::number::to_u64(piece.len()));
        }
        data.sync().map_err(Error::io(what))?;
    }
    Ok(())
}

/// Bytes of a header that are written at a time.
const CHUNK_BYTES: usize = 1 << 20;
