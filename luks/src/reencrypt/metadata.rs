//! The metadata of each step: requirement, keyslot, segments, digests (LUKS2 specification 3.2.2 to 3.5), with members
//! in the order in which cryptsetup writes them.

use dmcrypt::VolumeKey;
use serde_json::{Map, Value, json};

use super::obstacle;
use super::zones::{Kind, Piece};
use crate::defaults::{AREA_ALIGNMENT, SALT_BYTES};
use crate::error::{Error, InvalidOption, ReencryptionObstacle};
use crate::kdf::{self, Effort, KdfParams};
use crate::keyslots::{free_number, insert, take_out};
use crate::luks2::{
    Area, Checksum, Crypt, Direction, Metadata, NewDigest, Reencryption, ReencryptionMode,
    Resilience, Segment, SegmentKind, SegmentSize,
};
use crate::random::Random;

/// Keyslots of LUKS2.
const KEYSLOTS: u32 = 32;

/// What a reencryption begins with.
pub(super) struct Begin<'a> {
    pub(super) mode: ReencryptionMode,
    pub(super) direction: Direction,
    pub(super) resilience: Resilience,
    /// How the data was, will be and was put aside, each with the digest of its key.
    pub(super) before: (SegmentObject<'a>, Option<u32>),
    pub(super) after: (SegmentObject<'a>, Option<u32>),
    pub(super) moved: Option<(SegmentObject<'a>, Option<u32>)>,
}

/// A segment to be written.
#[derive(Clone, Copy)]
pub(super) struct SegmentObject<'a> {
    /// How it is encrypted, if it is.
    pub(super) crypt: Option<&'a Crypt>,
    pub(super) offset: u64,
    /// To the end of the storage where there is none.
    pub(super) bytes: Option<u64>,
}

impl SegmentObject<'_> {
    fn to_json(self, iv_tweak: u64, flags: &[&str]) -> Value {
        let size = match self.bytes {
            Some(bytes) => bytes.to_string(),
            None => "dynamic".into(),
        };
        let mut object = match self.crypt {
            None => json!({"type": "linear", "offset": self.offset.to_string(), "size": size}),
            Some(crypt) => json!({
                "type": "crypt",
                "offset": self.offset.to_string(),
                "size": size,
                "iv_tweak": iv_tweak.to_string(),
                "encryption": crypt.text,
                "sector_size": crypt.sector_size,
            }),
        };
        if !flags.is_empty() {
            object["flags"] = json!(flags);
        }
        object
    }
}

pub(super) fn crypt_of(segment: &Segment) -> Option<&Crypt> {
    match &segment.kind {
        SegmentKind::Crypt(crypt) => Some(crypt),
        _ => None,
    }
}

impl Begin<'_> {
    /// The metadata of the beginning, when the volume is made of `pieces`; but for the digest of it all, which is made of
    /// them.
    pub(super) fn write(
        &self,
        metadata: &Metadata,
        pieces: &[Piece],
    ) -> Result<Map<String, Value>, Error> {
        let mut json = metadata.raw().clone();
        let area = self.area(metadata)?;
        let keyslot = free_number(metadata.keyslots.iter().map(|slot| slot.id));
        if keyslot >= KEYSLOTS {
            return Err(InvalidOption::NoFreeKeyslot { count: KEYSLOTS }.into());
        }
        let object = json!({
            "area": area_object(area, &self.resilience),
            "type": "reencrypt",
            "key_size": 1,
            "mode": self.mode.name(),
            "direction": self.direction.name(),
            "priority": 0,
        });
        insert(&mut json, "keyslots", keyslot, object);
        let mut segments = Map::new();
        let mut digests = Vec::new();
        let mut add = |(segment, digest): (SegmentObject<'_>, Option<u32>), position, flag| {
            let number = segments.len().to_string();
            let tweak = segment.crypt.map_or(0, |crypt| crypt.iv_tweak);
            let flags: Vec<&str> = Option::into_iter(flag).collect();
            let object = segment.to_json(iv_at(tweak, position), &flags);
            segments.insert(number.clone(), object);
            digests.push((number, digest));
        };
        for piece in pieces {
            let (kept, digest) = match (piece.kind, self.moved) {
                (Kind::Moved, Some(moved)) => moved,
                _ => self.before,
            };
            let object = SegmentObject {
                offset: piece.offset,
                bytes: (!piece.is_dynamic).then_some(piece.length),
                ..kept
            };
            add((object, digest), piece.position, None);
        }
        // In the order in which cryptsetup begins; it goes on in another one.
        if let Some(moved) = self.moved {
            add(moved, 0, Some("backup-moved-segment"));
        }
        add(self.before, 0, Some("backup-previous"));
        add(self.after, 0, Some("backup-final"));
        json.insert("segments".into(), Value::Object(segments));
        assign(&mut json, &digests);
        let name = match (self.mode, &self.resilience) {
            (ReencryptionMode::Decrypt, resilience) if resilience.shift_bytes().is_some() => {
                "online-reencrypt-v3"
            }
            _ => "online-reencrypt-v2",
        };
        require(&mut json, name);
        Ok(json)
    }

    /// A shift needs no area, but a keyslot has one; all else takes the largest gap.
    pub(super) fn area(&self, metadata: &Metadata) -> Result<Area, Error> {
        let gaps = gaps(metadata);
        let area = if let Resilience::Shift(_) = self.resilience {
            let first = gaps.iter().find(|gap| gap.size >= AREA_ALIGNMENT);
            first.map(|gap| Area {
                size: AREA_ALIGNMENT,
                ..*gap
            })
        } else {
            // The first of those that are alike.
            gaps.iter()
                .rev()
                .max_by_key(|gap| gap.size)
                .copied()
                .filter(|gap| gap.size >= AREA_ALIGNMENT)
        };
        area.ok_or_else(|| {
            obstacle(ReencryptionObstacle::NoRoom {
                have: gaps.iter().map(|gap| gap.size).max().unwrap_or(0),
                need: AREA_ALIGNMENT,
            })
        })
    }
}

/// What no keyslot has of the keyslots area, in whole units of its alignment.
fn gaps(metadata: &Metadata) -> Vec<Area> {
    let mut areas: Vec<Area> = metadata.keyslots.iter().map(|slot| slot.area).collect();
    areas.sort_by_key(|area| area.offset);
    let range = metadata.keyslots_area();
    let mut gaps = Vec::new();
    let mut at = range.start.next_multiple_of(AREA_ALIGNMENT);
    let mut add = |from: u64, to: u64| {
        let size = to.saturating_sub(from);
        let size = size.saturating_sub(size.checked_rem(AREA_ALIGNMENT).unwrap_or(0));
        if size > 0 {
            gaps.push(Area { offset: from, size });
        }
    };
    for area in areas {
        add(at, area.offset);
        let end = area.end();
        at = at.max(end.checked_next_multiple_of(AREA_ALIGNMENT).unwrap_or(end));
    }
    add(at, range.end);
    gaps
}

fn area_object(area: Area, resilience: &Resilience) -> Value {
    let mut object = json!({
        "offset": area.offset.to_string(),
        "size": area.size.to_string(),
        "type": resilience.name(),
    });
    if let Some(Checksum {
        text, block_bytes, ..
    }) = resilience.checksum()
    {
        object["hash"] = json!(text);
        object["sector_size"] = json!(block_bytes);
    }
    if let Some(bytes) = resilience.shift_bytes() {
        object["shift_size"] = json!(bytes.to_string());
    }
    object
}

/// The segments of the data, in the order of the volume, and the backups behind them.
pub(super) fn write_segments(
    json: &mut Map<String, Value>,
    state: &Reencryption,
    pieces: &[Piece],
) {
    let Some(Value::Object(old)) = json.get("segments") else {
        return;
    };
    let mut segments = Map::new();
    let mut digests = Vec::new();
    for piece in pieces {
        let backup = match piece.kind {
            Kind::Moved => state.moved.as_ref().unwrap_or(&state.before),
            Kind::Old => &state.before,
            Kind::Hot | Kind::New => &state.after,
        };
        let crypt = crypt_of(&backup.segment);
        let number = segments.len().to_string();
        let object = SegmentObject {
            crypt,
            offset: piece.offset,
            bytes: (!piece.is_dynamic).then_some(piece.length),
        };
        let tweak = crypt.map_or(0, |crypt| iv_at(crypt.iv_tweak, piece.position));
        let is_hot = piece.kind == Kind::Hot;
        let flags: &[&str] = if is_hot { &["in-reencryption"] } else { &[] };
        segments.insert(number.clone(), object.to_json(tweak, flags));
        match crypt {
            // It is under both keys until it is written.
            Some(_) if is_hot => {
                let keys = state.key_digests().into_iter();
                digests.extend(keys.map(|digest| (number.clone(), Some(digest))));
            }
            _ => digests.push((number, backup.digest)),
        }
    }
    for backup in [&state.before, &state.after]
        .into_iter()
        .chain(&state.moved)
    {
        let Some(object) = old.get(&backup.segment.id.to_string()) else {
            continue;
        };
        let number = segments.len().to_string();
        segments.insert(number.clone(), object.clone());
        digests.push((number, backup.digest));
    }
    json.insert("segments".into(), Value::Object(segments));
    assign(json, &digests);
}

pub(super) fn iv_at(iv_tweak: u64, position: u64) -> u64 {
    iv_tweak.wrapping_add(position.checked_div(dmcrypt::SECTOR_BYTES).unwrap_or(0))
}

/// Says which digests the segments have, and none else.
fn assign(json: &mut Map<String, Value>, segments: &[(String, Option<u32>)]) {
    let Some(Value::Object(digests)) = json.get_mut("digests") else {
        return;
    };
    for (name, digest) in digests.iter_mut() {
        let its_own = segments
            .iter()
            .filter(|(_, digest)| digest.is_some_and(|digest| digest.to_string() == *name))
            .map(|(segment, _)| Value::from(segment.as_str()));
        digest["segments"] = its_own.collect();
    }
}

/// Adds a requirement.
pub(super) fn require(json: &mut Map<String, Value>, name: &str) {
    let Some(Value::Object(config)) = json.get_mut("config") else {
        return;
    };
    let requirements = config.entry("requirements").or_insert_with(|| json!({}));
    if let Value::Object(requirements) = requirements {
        let mandatory = requirements.entry("mandatory").or_insert_with(|| json!([]));
        if let Value::Array(names) = mandatory {
            names.push(name.into());
        }
    }
}

/// Takes requirements away that `is_gone` names, and what is empty then.
pub(super) fn release(json: &mut Map<String, Value>, is_gone: impl Fn(&str) -> bool) {
    let Some(Value::Object(config)) = json.get_mut("config") else {
        return;
    };
    let is_stated = |name: &Value| !name.as_str().is_some_and(&is_gone);
    let is_empty = match config.get_mut("requirements") {
        Some(Value::Array(names)) => {
            names.retain(is_stated);
            names.is_empty()
        }
        Some(Value::Object(requirements)) => {
            if let Some(Value::Array(names)) = requirements.get_mut("mandatory") {
                names.retain(is_stated);
                if names.is_empty() {
                    requirements.shift_remove("mandatory");
                }
            }
            requirements.is_empty()
        }
        _ => false,
    };
    if is_empty {
        config.shift_remove("requirements");
    }
}

/// The final metadata: one segment, and nothing of the reencryption but what [`super::leavings`] says of it.
pub(super) fn write_end(json: &mut Map<String, Value>, state: &Reencryption) {
    take_out(json, state.keyslot);
    let after = &state.after;
    let Some(Value::Object(segments)) = json.get_mut("segments") else {
        return;
    };
    let mut object = segments
        .get(&after.segment.id.to_string())
        .cloned()
        .unwrap_or_default();
    if let Some(Value::Array(flags)) = object.get_mut("flags") {
        flags.retain(|flag| flag.as_str() != Some("backup-final"));
    }
    if let Value::Object(members) = &mut object
        && members
            .get("flags")
            .and_then(Value::as_array)
            .is_some_and(Vec::is_empty)
    {
        members.shift_remove("flags");
    }
    *segments = Map::new();
    segments.insert("0".into(), object);
    assign(json, &[("0".into(), after.digest)]);
    if let Some(Value::Object(digests)) = json.get_mut("digests") {
        let is_empty = |member: Option<&Value>| {
            let list = member.and_then(Value::as_array);
            list.is_none_or(Vec::is_empty)
        };
        digests.retain(|_, digest| {
            !(is_empty(digest.get("keyslots")) && is_empty(digest.get("segments")))
        });
    }
    release(json, |name| name.starts_with("online-reencrypt"));
}

/// Says how zones are protected from now on.
pub(super) fn write_resilience(
    json: &mut Map<String, Value>,
    state: &Reencryption,
    resilience: &Resilience,
) {
    let keyslot = json
        .get_mut("keyslots")
        .and_then(|keyslots| keyslots.get_mut(state.keyslot.to_string()));
    if let Some(keyslot) = keyslot {
        keyslot["area"] = area_object(state.area, resilience);
    }
}

/// The digest of a state, made anew. `json` is all else of it.
pub(super) fn write_digest<'k>(
    json: &mut Map<String, Value>,
    header_bytes: u64,
    key_of: &dyn Fn(u32) -> Option<&'k VolumeKey>,
    (hash, iterations): (dmcrypt::HashAlgorithm, u32),
    random: &mut dyn Random,
) -> Result<(), Error> {
    let before = Metadata::from_raw(json.clone(), header_bytes)
        .map_err(|corrupt| InvalidOption::Breaks(Box::new(corrupt)))?;
    let state = before
        .reencryption
        .as_ref()
        .ok_or_else(|| obstacle(ReencryptionObstacle::NotInProgress))?;
    let old = state.before.digest.and_then(key_of);
    let new = state
        .after
        .digest
        .filter(|_| state.after.digest != state.before.digest)
        .and_then(key_of);
    let mut salt = [0; SALT_BYTES];
    random.fill(&mut salt)?;
    let digest = kdf::derive(
        &KdfParams::Pbkdf2 { hash, iterations },
        state.message(old, new).expose(),
        &salt,
        hash.digest_bytes(),
        Effort {
            threads: 1,
            cancel: &|| false,
        },
    )
    .map_err(Error::kdf(state.keyslot))?;
    let number = state
        .digest
        .unwrap_or_else(|| free_number(before.digests.iter().map(|digest| digest.id)));
    let object = NewDigest {
        keyslot: state.keyslot,
        segment: None,
        hash: hash.name(),
        iterations,
        salt: &salt,
        digest: digest.expose(),
    };
    insert(json, "digests", number, object.to_json());
    Ok(())
}

/// The bytes of a segment in a storage of so many.
pub(super) fn bytes_of(segment: &Segment, storage_bytes: u64) -> u64 {
    match segment.size {
        SegmentSize::Bytes(bytes) => bytes,
        SegmentSize::Dynamic => storage_bytes.saturating_sub(segment.offset),
    }
}
