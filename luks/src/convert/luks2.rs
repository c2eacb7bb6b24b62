//! LUKS1 becomes LUKS2.

use dmcrypt::SECTOR_BYTES as UNIT;
use serde_json::{Map, Value, json};
use volume::Storage;

use super::{SECTOR_BYTES, is_free, obstacle, write_through};
use crate::defaults::{AREA_ALIGNMENT, LUKS2_MAX_KEYSLOTS_BYTES, LUKS2_METADATA_BYTES, STRIPES};
use crate::edit::{Edit, check_room};
use crate::error::{ConversionObstacle, Error};
use crate::luks1;
use crate::luks2::{BinaryHeader, Header, Metadata, Which, to_base64};
use crate::number::{to_u64, to_usize};
use crate::random::Random;

/// Where the keyslots of the new header may begin.
pub(crate) const HEADER_END: u64 = 2 * LUKS2_METADATA_BYTES;

pub(super) fn from_luks1(mut edit: Edit, random: &mut dyn Random) -> Result<(), Error> {
    let refuse = obstacle("LUKS2");
    let old = edit.luks1()?.clone();
    if has_luksmeta(&**edit.storage(), &old)? {
        return Err(refuse(ConversionObstacle::LuksMeta));
    }
    let end = match old.data_offset() {
        0 => edit
            .storage()
            .len()
            .map_err(Error::io("find the size of the container"))?,
        offset => offset,
    };
    let room = end.saturating_sub(HEADER_END).min(LUKS2_MAX_KEYSLOTS_BYTES);
    let keyslots_bytes = room.saturating_sub(room % AREA_ALIGNMENT);
    let areas_end = HEADER_END.saturating_add(keyslots_bytes);
    if keyslots_bytes == 0 {
        let what = "two header copies of 16 KiB";
        return Err(refuse(ConversionObstacle::NoRoom(what)));
    }
    check_room(&**edit.storage(), "the LUKS2 header", HEADER_END)?;
    // The move comes first in time, but whatever may fail without a write comes before it.
    let moved = move_from_header(&old, areas_end).map_err(&refuse)?;
    let header = Header {
        binary: BinaryHeader {
            header_bytes: LUKS2_METADATA_BYTES,
            epoch: 1,
            label: String::new(),
            uuid: old.uuid.clone(),
            subsystem: String::new(),
        },
        metadata: metadata(&moved, areas_end)?,
    };
    let mut copy = |which| {
        let mut salt = [0; BinaryHeader::SALT_BYTES];
        random.fill(&mut salt)?;
        Ok::<_, Error>(header.to_bytes(which, salt)?)
    };
    let (primary, secondary) = (copy(Which::Primary)?, copy(Which::Secondary)?);

    for (before, after) in old.keyslots.iter().zip(&moved.keyslots) {
        if before.active && before != after {
            let mut area = vec![0; to_usize(old.area_length())];
            edit.storage()
                .read_at(before.area_offset(), &mut area)
                .map_err(Error::io("read a keyslot's area"))?;
            edit.write_area(after.area_offset(), &area)?;
        }
    }
    if moved != old {
        edit.commit_luks1(moved)?;
    }
    let storage = &**edit.storage();
    let (head, rest) = primary.split_at(2 * SECTOR_BYTES);
    let rest_at = to_u64(2 * SECTOR_BYTES);
    storage
        .write_at(rest_at, rest)
        .map_err(Error::io("write the header"))?;
    write_through(storage, LUKS2_METADATA_BYTES, &secondary)?;
    let (first, second) = head.split_at(SECTOR_BYTES);
    write_through(storage, 0, first)?;
    write_through(storage, to_u64(SECTOR_BYTES), second)
}

/// Whether `LUKSMeta` keeps something in the gap before the data: the pins of clevis, for one. It begins at the first
/// multiple of 4096 bytes behind the eight areas.
pub(crate) fn has_luksmeta(storage: &dyn Storage, old: &luks1::Header) -> Result<bool, Error> {
    const MARK: &[u8; 8] = b"LUKSMETA";
    let ends = old
        .keyslots
        .iter()
        .map(|slot| slot.area_offset().saturating_add(old.area_length()));
    let at = ends.max().unwrap_or(0).next_multiple_of(AREA_ALIGNMENT);
    let length = storage
        .len()
        .map_err(Error::io("find the size of the container"))?;
    let mut found = [0; MARK.len()];
    if length.saturating_sub(at) < to_u64(found.len()) {
        return Ok(false);
    }
    storage
        .read_at(at, &mut found)
        .map_err(Error::io("read what is behind the keyslots"))?;
    Ok(found == *MARK)
}

/// The LUKS1 header in which no keyslot in use lies where the LUKS2 header goes. It differs from `old` in its first
/// sector at most: it is there or it is not.
fn move_from_header(old: &luks1::Header, end: u64) -> Result<luks1::Header, ConversionObstacle> {
    let mut new = old.clone();
    let length = old.area_length();
    let taken: Vec<u64> = used(old).map(|(_, slot)| slot.area_offset()).collect();
    let inside: Vec<usize> = used(old)
        .filter(|(_, slot)| slot.area_offset() < HEADER_END)
        .map(|(id, _)| id)
        .collect();
    let [from] = inside[..] else {
        return match inside.last() {
            None => Ok(new),
            Some(id) => Err(no_room_to_move(*id)),
        };
    };
    let unused = |id: &usize| !old.keyslots[*id].active;
    let fits = |start: u64| start >= HEADER_END && is_free(&taken, length, start, end);
    // Another keyslot's place, whose field lies in the first sector too: the two change places.
    let other = (0..IN_FIRST_SECTOR)
        .filter(unused)
        .find(|id| fits(old.keyslots[*id].area_offset()));
    if from < IN_FIRST_SECTOR {
        if let Some(other) = other {
            new.keyslots[from].material_offset_sectors =
                old.keyslots[other].material_offset_sectors;
            new.keyslots[other].material_offset_sectors =
                old.keyslots[from].material_offset_sectors;
            return Ok(new);
        }
        // Or one that is nobody's.
        let all: Vec<u64> = old
            .keyslots
            .iter()
            .map(luks1::Keyslot::area_offset)
            .collect();
        let behind = all.iter().map(|start| {
            start
                .saturating_add(length)
                .next_multiple_of(AREA_ALIGNMENT)
        });
        let place = behind
            .chain([HEADER_END])
            .find(|start| fits(*start) && is_free(&all, length, *start, end));
        if let Some(sectors) = place.and_then(|place| u32::try_from(place / UNIT).ok()) {
            new.keyslots[from].material_offset_sectors = sectors;
            return Ok(new);
        }
    }
    Err(no_room_to_move(from))
}

/// The fields of keyslots 0 to 5 lie in the first sector, the places of 6 and 7 in the second.
const IN_FIRST_SECTOR: usize = 6;

fn no_room_to_move(id: usize) -> ConversionObstacle {
    ConversionObstacle::NoRoomToMove {
        keyslot: u32::try_from(id).unwrap_or(u32::MAX),
    }
}

pub(crate) fn used(header: &luks1::Header) -> impl Iterator<Item = (usize, &luks1::Keyslot)> {
    header
        .keyslots
        .iter()
        .enumerate()
        .filter(|(_, slot)| slot.active)
}

/// What LUKS2 says of the same container, whose keyslots in use lie where `header` has them.
pub(crate) fn metadata(header: &luks1::Header, areas_end: u64) -> Result<Metadata, Error> {
    let cipher = header.cipher()?.to_dm_crypt();
    let hash = header.hash()?.name();
    let mut keyslots = Map::new();
    for (id, slot) in used(header) {
        let start = slot.area_offset();
        // As large as cryptsetup makes it, where nothing else begins before that.
        let aligned = header.area_length().next_multiple_of(AREA_ALIGNMENT);
        let room = used(header)
            .map(|(_, other)| other.area_offset())
            .filter(|other| *other > start)
            .chain([areas_end])
            .map(|stop| stop.saturating_sub(start))
            .min();
        let size = aligned.min(room.unwrap_or(aligned));
        let keyslot = json!({
            "type": "luks2",
            "key_size": header.key_bytes,
            "af": {"type": "luks1", "stripes": STRIPES, "hash": hash},
            "area": {
                "type": "raw",
                "offset": start.to_string(),
                "size": size.to_string(),
                "encryption": cipher,
                "key_size": header.key_bytes,
            },
            "kdf": {
                "type": "pbkdf2",
                "hash": hash,
                "iterations": slot.iterations,
                "salt": to_base64(&slot.salt),
            },
        });
        keyslots.insert(id.to_string(), keyslot);
    }
    let names: Vec<_> = keyslots.keys().cloned().collect();
    let json_bytes = LUKS2_METADATA_BYTES.saturating_sub(to_u64(BinaryHeader::BYTES));
    let root = json!({
        "keyslots": keyslots,
        "tokens": {},
        "segments": {"0": {
            "type": "crypt",
            "offset": header.data_offset().to_string(),
            "size": "dynamic",
            "iv_tweak": "0",
            "encryption": cipher,
            "sector_size": 512,
        }},
        "digests": {"0": {
            "type": "pbkdf2",
            "keyslots": names,
            "segments": ["0"],
            "hash": hash,
            "iterations": header.mk_digest_iterations,
            "salt": to_base64(&header.mk_digest_salt),
            "digest": to_base64(&header.mk_digest),
        }},
        "config": {
            "json_size": json_bytes.to_string(),
            "keyslots_size": areas_end.saturating_sub(HEADER_END).to_string(),
        },
    });
    let Value::Object(raw) = root else {
        unreachable!("the macro above builds an object")
    };
    Ok(Metadata::from_raw(raw, LUKS2_METADATA_BYTES)?)
}
