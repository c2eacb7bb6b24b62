//! LUKS1, whose header cannot say that its data is half-way: a header of LUKS2 in a storage of its own says it.
//!
//! [`raise`] makes that header in memory, with the same keyslots; it begins there what is to be done, and [`mark`] says in
//! it what the LUKS1 header will be. Written through to a file, it comes before [`take_magic`], which has the image be no
//! container any more; from then on all goes as it does in LUKS2, also by the hands of others. At the end [`lower`] writes
//! the LUKS1 header: keyslots first, then the header without its magic, and the magic when all else is on the disk. Each
//! step can be done again, and none needs a key but the data's.

use std::sync::Arc;

use dmcrypt::{CipherSpec, LockedBytes, SECTOR_BYTES as UNIT, VolumeKey};
use serde_json::{Map, Value, json};
use volume::{MemoryStorage, Storage};

use super::begin::{NewKey, commit, data_segment, luks2_of, new_keyslots, write_areas};
use super::leavings::Leavings;
use super::{metadata, obstacle, storage_bytes, sync_header};
use crate::convert::{HEADER_END, Said, has_luksmeta, metadata as raised, used};
use crate::defaults::{AREA_ALIGNMENT, LUKS2_DATA_OFFSET, LUKS2_METADATA_BYTES};
use crate::device::{Header, Luks, Unlocked};
use crate::edit::Edit;
use crate::error::{
    ConversionObstacle, Corrupt, Error, InvalidOption, ReencryptionObstacle, Refused,
};
use crate::fingerprint::Fingerprint;
use crate::format::{NewContainer, NewHeader};
use crate::keyslots::{free_number, insert, take_out};
use crate::luks1::{self, Keyslot, Layout};
use crate::luks2::{self, BinaryHeader, LOWER, Metadata, TAKE_MAGIC, Which};
use crate::noise;
use crate::number::{to_u64, to_usize};
use crate::random::Random;
use crate::store::{self, Found};

/// The type of the token that says what the LUKS1 header will be.
pub const LUKS1: &str = "luksmith-luks1";

/// What a disk writes all of or nothing.
const SECTOR_BYTES: usize = 512;

/// What a LUKS1 header will be, as far as nothing else tells it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lowering {
    /// Numbers of the keyslots, in the order of those of LUKS2.
    numbers: Vec<u32>,
    /// Where the eight areas lie, in bytes.
    places: [u64; luks1::Header::KEYSLOTS],
    /// First byte behind what is written anew.
    filled_to: u64,
    /// The LUKS1 header that there was.
    was: Option<Fingerprint>,
}

impl Lowering {
    /// Of a container that keeps `numbers` of its keyslots and is encrypted with `cipher` from now on. Areas stay where
    /// they are as long as they have the same size.
    ///
    /// # Errors
    ///
    /// What LUKS1 cannot say, or has no room for.
    pub fn of(
        luks: &Luks,
        numbers: &[u32],
        cipher: &CipherSpec,
        key_bytes: usize,
    ) -> Result<Self, Error> {
        let Header::Luks1(old) = luks.header() else {
            return Err(no_luks1().into());
        };
        if cipher.luks1_fields().is_none() {
            let what = format!("cipher {cipher}");
            return Err(InvalidOption::Luks1Cannot { what }.into());
        }
        let key_bytes = u32::try_from(key_bytes).unwrap_or(u32::MAX);
        let ends = |keyslots: &[Keyslot], length: u64| {
            let ends = keyslots.iter().map(Keyslot::area_offset);
            ends.max().unwrap_or(0).saturating_add(length)
        };
        let before = ends(&old.keyslots, old.area_length());
        let mut filled_to = before;
        let mut keyslots = old.keyslots.clone();
        if key_bytes != old.key_bytes {
            let layout = Layout::new(key_bytes, None, true)?;
            let (have, need) = (old.data_offset(), layout.areas_end);
            if have != 0 && need > have {
                return Err(InvalidOption::DataOffsetInHeader { have, need }.into());
            }
            if has_luksmeta(&**luks.storage(), old)? {
                let obstacle = ConversionObstacle::LuksMeta;
                return Err(Refused::Conversion {
                    to: "a key of another size",
                    obstacle,
                }
                .into());
            }
            keyslots = layout.keyslots();
            filled_to = before.max(need);
        }
        Ok(Self {
            numbers: numbers.to_vec(),
            places: keyslots.map(|slot| slot.area_offset()),
            filled_to,
            was: luks.fingerprint(),
        })
    }

    /// Of a container that is made in place: one keyslot, and data from `data_offset` on, or elsewhere where that is 0.
    ///
    /// # Errors
    ///
    /// A header that reaches into the data.
    pub fn of_new(key_bytes: usize, keyslot: u32, data_offset: u64) -> Result<Self, InvalidOption> {
        let key_bytes = u32::try_from(key_bytes).unwrap_or(u32::MAX);
        let layout = Layout::new(key_bytes, Some(data_offset), data_offset == 0)?;
        Ok(Self {
            numbers: vec![keyslot],
            places: layout.keyslots().map(|slot| slot.area_offset()),
            // Plaintext was there.
            filled_to: data_offset.max(layout.areas_end),
            was: None,
        })
    }

    /// What the header says, where it says it.
    pub fn said(header: &Header) -> Option<Self> {
        let Header::Luks2(header) = header else {
            return None;
        };
        let metadata = &header.metadata;
        let token = metadata.tokens.iter().find(|token| token.kind == LUKS1)?;
        let object = metadata.raw().get("tokens")?.get(token.id.to_string())?;
        let number = |value: &Value| value.as_str()?.parse::<u64>().ok();
        let list = |name: &str| -> Option<Vec<u64>> {
            object.get(name)?.as_array()?.iter().map(number).collect()
        };
        let numbers = list("numbers")?.into_iter();
        let was = object.get("header").and_then(Value::as_str);
        Some(Self {
            numbers: numbers
                .map(|it| u32::try_from(it).ok())
                .collect::<Option<_>>()?,
            places: list("places")?.try_into().ok()?,
            filled_to: number(object.get("end")?)?,
            was: was.and_then(|text| text.parse().ok()),
        })
    }

    fn write(&self, json: &mut Map<String, Value>) {
        let tokens = json.get("tokens").and_then(Value::as_object);
        let taken = tokens.into_iter().flat_map(Map::keys);
        let number = free_number(taken.filter_map(|name| name.parse().ok()));
        let numbers: Vec<_> = self.numbers.iter().map(u32::to_string).collect();
        let mut object = json!({
            "type": LUKS1,
            "keyslots": [],
            "numbers": numbers,
            "places": self.places.map(|place| place.to_string()),
            "end": self.filled_to.to_string(),
        });
        if let Some(was) = self.was {
            object["header"] = was.to_string().into();
        }
        insert(json, "tokens", number, object);
    }
}

/// What a LUKS1 header says, said in LUKS2 in a storage in memory, with the same keyslots. Its data lies where it does.
///
/// # Errors
///
/// What LUKS2 cannot say; [`Error::Io`], [`Error::Random`].
pub fn raise(luks: &Luks, random: &mut dyn Random) -> Result<Arc<dyn Storage>, Error> {
    let Header::Luks1(old) = luks.header() else {
        return Err(no_luks1().into());
    };
    if let Some(crate::device::Warning::Luks1Keyslots(corrupt)) = luks.warnings().first() {
        return Err(corrupt.clone().into());
    }
    let mut moved = old.clone();
    let stride = old.area_length().next_multiple_of(AREA_ALIGNMENT);
    let mut place = HEADER_END;
    // Others hold a header to it that it ends before the data, wherever that lies.
    let end = match old.data_offset() {
        0 => LUKS2_DATA_OFFSET,
        offset => offset.min(LUKS2_DATA_OFFSET),
    };
    let end = end.saturating_sub(end % AREA_ALIGNMENT);
    let storage = MemoryStorage::new(end);
    for ((before, after), id) in old.keyslots.iter().zip(&mut moved.keyslots).zip(0u32..) {
        if !before.active {
            continue;
        }
        let (have, need) = (end.saturating_sub(place), stride);
        if need > have {
            return Err(InvalidOption::NoRoomForKeyslot { have, need }.into());
        }
        let mut area = vec![0; to_usize(old.area_length())];
        let read = luks.storage().read_at(before.area_offset(), &mut area);
        read.map_err(Error::io(format!("read keyslot {id}'s area")))?;
        after.material_offset_sectors = u32::try_from(place / UNIT).unwrap_or(u32::MAX);
        let written = storage.write_at(place, &area);
        written.map_err(Error::io("copy a keyslot's area"))?;
        place = place.saturating_add(stride);
    }
    if used(old).next().is_none() {
        return Err(Error::NoUsableKeyslot("none is in use"));
    }
    let header = luks2::Header {
        binary: BinaryHeader {
            header_bytes: LUKS2_METADATA_BYTES,
            epoch: 1,
            label: String::new(),
            uuid: old.uuid.clone(),
            subsystem: String::new(),
        },
        metadata: raised(&moved, end)?,
    };
    for (which, at) in [
        (Which::Primary, 0),
        (Which::Secondary, LUKS2_METADATA_BYTES),
    ] {
        let mut salt = [0; BinaryHeader::SALT_BYTES];
        random.fill(&mut salt)?;
        let written = storage.write_at(at, &header.to_bytes(which, salt)?);
        written.map_err(Error::io("write the header"))?;
    }
    Ok(Arc::new(storage))
}

/// Gives a raised header keyslots of another hash or cost for the same key, in place of those that it has. Nothing of the
/// data changes.
///
/// # Errors
///
/// [`Error::InvalidOption`]; [`Error::Io`], [`Error::Random`].
pub fn rehash(
    luks: &Luks,
    unlocked: &Unlocked,
    new: NewKey<'_>,
    random: &mut dyn Random,
) -> Result<(), Error> {
    let header = luks2_of(luks.header())?;
    let metadata = &header.metadata;
    let (segment, _, old) = data_segment(metadata)?;
    let key = VolumeKey::from_locked(LockedBytes::copy_of(unlocked.volume_key().expose()));
    let new = NewKey {
        key: Some(key),
        ..new
    };
    let mut json = metadata.raw().clone();
    let mut areas = Vec::new();
    let header_bytes = header.binary.header_bytes;
    let (number, _) = new_keyslots(&mut json, header_bytes, new, &mut areas, random)?;
    if let Some(Value::Object(digests)) = json.get_mut("digests") {
        digests[&number.to_string()]["segments"] = json!([segment.id.to_string()]);
        digests[&old.to_string()]["segments"] = json!([]);
    }
    for slot in &metadata.keyslots {
        take_out(&mut json, slot.id);
    }
    let mut edit = Edit::begin(luks)?;
    write_areas(&mut edit, &areas)?;
    commit(&mut edit, json, random)
}

/// Says in a raised header what the LUKS1 header will be, and that the one there is has still its magic.
///
/// # Errors
///
/// What writing says.
pub fn mark(luks: &Luks, lowering: &Lowering, random: &mut dyn Random) -> Result<(), Error> {
    let mut edit = Edit::go_on(Arc::clone(luks.storage()), luks.header())?;
    let mut json = luks2_of(edit.header())?.metadata.raw().clone();
    lowering.write(&mut json);
    metadata::require(&mut json, TAKE_MAGIC);
    commit(&mut edit, json, random)
}

/// Says in a container that is not written yet, and that [`prepare_encrypt`](super::prepare_encrypt) has prepared, that it
/// will be LUKS1.
///
/// # Errors
///
/// [`Error::InvalidOption`], [`Error::Random`].
pub fn mark_new(
    new: &mut NewContainer,
    lowering: &Lowering,
    random: &mut dyn Random,
) -> Result<(), Error> {
    let NewHeader::Luks2(header) = new.header() else {
        return Err(obstacle(ReencryptionObstacle::Segments));
    };
    let mut json = header.metadata.raw().clone();
    lowering.write(&mut json);
    let header = header
        .with_json(json)
        .map_err(|corrupt| InvalidOption::Breaks(Box::new(corrupt)))?;
    new.change(NewHeader::Luks2(header), None, random)
}

/// Whether a header, in a storage of its own, is that of a job whose image still has its LUKS1 header.
pub fn is_magic_to_be_taken(header: &Header) -> bool {
    let Header::Luks2(header) = header else {
        return false;
    };
    let requirements = &header.metadata.config.requirements;
    requirements.iter().any(|name| name == TAKE_MAGIC)
}

/// Says at the end of a reencryption that the LUKS1 header is next.
pub(super) fn write_end(json: &mut Map<String, Value>, metadata: &Metadata) {
    if metadata.tokens.iter().any(|token| token.kind == LUKS1) {
        metadata::require(json, LOWER);
    }
}

/// Whether a header, in a storage of its own, says of nothing but a LUKS1 header that is to be written.
pub fn is_to_be_lowered(header: &Header) -> bool {
    let Header::Luks2(luks2) = header else {
        return false;
    };
    let metadata = &luks2.metadata;
    Lowering::said(header).is_some()
        && metadata
            .config
            .requirements
            .iter()
            .all(|name| name == LOWER)
        && metadata.reencryption.is_none()
        && metadata.digest_of_data().is_some()
        && Leavings::of(metadata).is_none()
}

/// Takes its magic away from the LUKS1 header in `target`, so that nobody opens what is half-way by it, and then says so
/// in `luks`, which has been written through to a storage of its own. Where it says so already, nothing is done.
///
/// # Errors
///
/// [`Error::Changed`] where `target` has another header than the one that this began with; [`Error::Io`].
pub fn take_magic(luks: &Luks, target: &dyn Storage, random: &mut dyn Random) -> Result<(), Error> {
    if !is_magic_to_be_taken(luks.header()) {
        return Ok(());
    }
    let said = Lowering::said(luks.header());
    sync_header(&**luks.storage())?;
    match store::read(target).map(|reading| (reading.fingerprint(), reading.found)) {
        Ok((found, Found::Luks1(_))) if found == said.and_then(|said| said.was) => {
            let taken = target.write_at(0, &[0; Which::Primary.magic().len()]);
            taken.map_err(Error::io(TAKE))?;
        }
        Ok(_) => return Err(Error::Changed),
        // It was taken before.
        Err(Error::NotLuks) => {}
        Err(error) => return Err(error),
    }
    target.sync().map_err(Error::io(TAKE))?;
    let mut edit = Edit::go_on(Arc::clone(luks.storage()), luks.header())?;
    let mut json = luks2_of(edit.header())?.metadata.raw().clone();
    metadata::release(&mut json, |name| name == TAKE_MAGIC);
    if luks2_of(edit.header())?.metadata.reencryption.is_none() {
        metadata::require(&mut json, LOWER);
    }
    commit(&mut edit, json, random)
}

const TAKE: &str = "take the header's magic away";

/// Overwrites the first bytes of an image that is encrypted in place, which were put aside: nothing is to take what is
/// half-way for what it was. It can be done again, and is synced with the first zone.
///
/// # Errors
///
/// [`Error::Io`].
pub fn clear_start(luks: &Luks, data: &dyn Storage) -> Result<(), Error> {
    const CLEAR: &str = "overwrite what was put aside";
    let metadata = &luks2_of(luks.header())?.metadata;
    let state = metadata.reencryption.as_ref();
    let Some(end) = state
        .filter(|state| state.moved.is_some() && Lowering::said(luks.header()).is_some())
        .map(|state| {
            state
                .after
                .segment
                .offset
                .min(storage_bytes(data).unwrap_or(0))
        })
    else {
        return Ok(());
    };
    sync_header(&**luks.storage())?;
    let mut at = 0;
    let zeros = vec![0; CHUNK_BYTES];
    while at < end {
        let piece = &zeros[..to_usize(end.saturating_sub(at)).min(CHUNK_BYTES)];
        data.write_at(at, piece).map_err(Error::io(CLEAR))?;
        at = at.saturating_add(to_u64(piece.len()));
    }
    Ok(())
}

/// Writes the LUKS1 header that `luks`, in a storage of its own, tells of: areas, header, and its magic at the end. Where
/// it is there already it stays. `luks` is not needed any more then.
///
/// # Errors
///
/// [`ReencryptionObstacle::NotInProgress`] where nothing is to be written; [`Refused::Conversion`] for what LUKS1 cannot
/// say; [`Corrupt`] where it is not told right; [`Error::Io`].
pub fn lower(luks: &Luks, target: &dyn Storage, random: &mut dyn Random) -> Result<(), Error> {
    let Lowered {
        header,
        areas,
        filled_to,
    } = Lowered::of(luks)?;
    let storage = &**luks.storage();
    if let Ok(Found::Luks1(found)) = store::read(target).map(|reading| reading.found)
        && found == header
    {
        // Whoever wrote it may not have synced it.
        return target.sync().map_err(Error::io(WRITE));
    }
    sync_header(storage)?;
    let have = storage_bytes(target)?;
    let block = to_u64(BinaryHeader::BYTES);
    let need = filled_to.max(block);
    if have < need {
        if header.data_offset() != 0 {
            return Err(obstacle(ReencryptionObstacle::Length { have, need }));
        }
        target
            .set_len(need)
            .map_err(Error::io("make room for the header"))?;
    }
    noise::write(target, block..filled_to, random, "fill the keyslots area")?;
    let mut area = vec![0; to_usize(header.area_length())];
    for (from, place) in areas {
        let read = storage.read_at(from, &mut area);
        read.map_err(Error::io("read a keyslot's area"))?;
        let written = target.write_at(place, &area);
        written.map_err(Error::io("write the keyslots"))?;
    }
    let mut bytes = header.to_bytes();
    bytes.resize(BinaryHeader::BYTES, 0);
    let mut unnamed = bytes.clone();
    unnamed[..Which::Primary.magic().len()].fill(0);
    for piece in [&unnamed[..], &bytes[..SECTOR_BYTES]] {
        let written = target.write_at(0, piece).and_then(|()| target.sync());
        written.map_err(Error::io(WRITE))?;
    }
    Ok(())
}

/// Whether the LUKS1 header in `target` is the one that `luks` tells of.
pub fn is_lowered(luks: &Luks, target: &Luks) -> bool {
    match (Lowered::of(luks), target.header()) {
        (Ok(lowered), Header::Luks1(there)) => lowered.header == *there,
        _ => false,
    }
}

const WRITE: &str = "write the LUKS1 header";
/// Bytes that are written at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// A LUKS1 header that is to be written.
struct Lowered {
    header: luks1::Header,
    /// Where the areas are, and where they go.
    areas: Vec<(u64, u64)>,
    filled_to: u64,
}

impl Lowered {
    fn of(luks: &Luks) -> Result<Self, Error> {
        let luks2 = luks2_of(luks.header())?;
        let lowering = Lowering::said(luks.header())
            .filter(|_| is_to_be_lowered(luks.header()))
            .ok_or_else(|| obstacle(ReencryptionObstacle::NotInProgress))?;
        let said = Said::of(&luks2.metadata).map_err(|obstacle| Refused::Conversion {
            to: "LUKS1",
            obstacle,
        })?;
        let mut header = said.header;
        header.uuid.clone_from(&luks2.binary.uuid);
        for (slot, place) in header.keyslots.iter_mut().zip(lowering.places) {
            let sectors = u32::try_from(place / UNIT).map_err(|_| told_wrong("an area"))?;
            *slot = Keyslot::unused(sectors);
        }
        if said.keyslots.len() != lowering.numbers.len() {
            return Err(told_wrong("the number of keyslots"));
        }
        let mut areas = Vec::with_capacity(said.keyslots.len());
        for ((_, active), number) in said.keyslots.into_iter().zip(lowering.numbers) {
            let slot = header
                .keyslots
                .get_mut(to_usize(number))
                .filter(|slot| !slot.active)
                .ok_or_else(|| told_wrong("a keyslot's number"))?;
            areas.push((active.area_offset(), slot.area_offset()));
            *slot = Keyslot {
                material_offset_sectors: slot.material_offset_sectors,
                ..active
            };
        }
        let header = luks1::Header::parse(&header.to_bytes())?;
        let end = match header.data_offset() {
            0 => LUKS2_DATA_OFFSET,
            offset => offset,
        };
        let is_behind = |(_, place): &(u64, u64)| {
            *place >= luks1::Header::AREAS_START
                && place.saturating_add(header.area_length()) <= lowering.filled_to
        };
        if lowering.filled_to > end || !areas.iter().all(is_behind) {
            return Err(told_wrong("what is written anew"));
        }
        Ok(Self {
            header,
            areas,
            filled_to: lowering.filled_to,
        })
    }
}

/// What the metadata say of LUKS1 cannot be.
fn told_wrong(what: &str) -> Error {
    Corrupt::Spec {
        object: "the LUKS1 header to be".into(),
        problem: format!("{what} is told wrong"),
    }
    .into()
}

fn no_luks1() -> InvalidOption {
    InvalidOption::OtherFormat {
        format: "LUKS2",
        what: "LUKS1 header",
    }
}
