//! What is left of a header that nothing proves, in words.

use volume::{Storage, read_around};

use super::Join;
use super::pieces::Pieces;
use crate::error::{Error, Refused};
use crate::luks2::{BinaryHeader, Header, KeyslotKind, METADATA_SIZES, Metadata, Which};
use crate::number::{to_u64, to_usize};

/// How far a secondary header is looked for that lies where none belongs.
const LOOK_BYTES: u64 = 2 * METADATA_SIZES[8];
const SECTOR_BYTES: usize = 512;

/// Metadata that are whole and that no checksum proves.
pub(super) fn whole_metadata(join: &Join, metadata: &Metadata) -> String {
    let keyslots = metadata.keyslots.iter();
    let keyslots: Vec<_> = keyslots
        .filter(|slot| matches!(slot.kind, KeyslotKind::Luks2(_)))
        .map(|slot| format!("{} at byte {}", slot.id, slot.area.offset))
        .collect();
    let keyslots = match keyslots.len() {
        0 => "no keyslot".to_owned(),
        _ => format!("keyslots {}", keyslots.join(", ")),
    };
    let uuid = match join.binary {
        Some((which, at)) => format!("the {which} binary header at byte {at} has its UUID yet"),
        None => "its UUID is lost".to_owned(),
    };
    let places: Vec<_> = join.json.iter().map(u64::to_string).collect();
    let places = places.join(", ");
    format!(
        "the metadata (JSON) at byte {places} are whole by every rule, their place among them, and name {keyslots}; {uuid}"
    )
}

/// What is found of a header, if anything is.
pub(super) fn describe(storage: &dyn Storage, all: &[Pieces]) -> Result<Option<String>, Error> {
    let mut found = Vec::new();
    for pieces in all {
        for which in [Which::Primary, Which::Secondary] {
            let at = pieces.place(which);
            let json_at = at.saturating_add(to_u64(BinaryHeader::BYTES));
            // The primary's place is the same for all sizes.
            let is_said = which == Which::Primary && pieces.size() != METADATA_SIZES[0];
            if is_said || pieces.is_of_another(which) {
                continue;
            }
            if BinaryHeader::has_magic(which, pieces.binary(which)) {
                found.push(format!("a {which} binary header at byte {at}"));
            }
            let json = pieces.json(which);
            if json.starts_with(b"{\"keyslots\"") {
                let end = json.iter().position(|byte| *byte == 0);
                found.push(format!(
                    "{} bytes of metadata (JSON) at byte {json_at}",
                    end.unwrap_or(json.len())
                ));
            }
        }
    }
    if let Some(Shifted { at, place, .. }) = shifted(storage)? {
        return Err(Refused::Shifted { at, place }.into());
    }
    Ok((!found.is_empty()).then(|| found.join(", ")))
}

/// Refuses to write a header into a container whose secondary header has moved, and with it all that follows.
pub(super) fn refuse_shifted(storage: &dyn Storage, uuid: &str) -> Result<(), Error> {
    match shifted(storage)? {
        Some(shifted) if shifted.uuid == uuid => Err(Refused::Shifted {
            at: shifted.at,
            place: shifted.place,
        }
        .into()),
        _ => Ok(()),
    }
}

/// A secondary header that is whole and lies where it does not belong.
struct Shifted {
    at: u64,
    place: u64,
    uuid: String,
}

/// Looks for one. A container of its own, such as one in a partition, has its primary header before it.
fn shifted(storage: &dyn Storage) -> Result<Option<Shifted>, Error> {
    let length = storage
        .len()
        .map_err(Error::io("find the size of the container"))?
        .min(LOOK_BYTES);
    let mut bytes = vec![0; to_usize(length)];
    read_around(storage, 0, &mut bytes).map_err(Error::io("read the header"))?;
    for start in (0..bytes.len()).step_by(SECTOR_BYTES) {
        let copy = &bytes[start..];
        if copy.len() < BinaryHeader::BYTES || !BinaryHeader::has_magic(Which::Secondary, copy) {
            continue;
        }
        for place in METADATA_SIZES {
            let size = to_usize(place);
            let Some(copy) = copy.get(..size) else {
                break;
            };
            let Ok(binary) = BinaryHeader::parse(Which::Secondary, place, copy) else {
                continue;
            };
            let before = start.checked_sub(size).map(|before| &bytes[before..]);
            let has_primary =
                before.is_some_and(|bytes| BinaryHeader::has_magic(Which::Primary, bytes));
            let at = to_u64(start);
            if at != place && !has_primary && Header::parse(binary.clone(), copy).is_ok() {
                let uuid = binary.uuid;
                return Ok(Some(Shifted { at, place, uuid }));
            }
        }
    }
    Ok(None)
}
