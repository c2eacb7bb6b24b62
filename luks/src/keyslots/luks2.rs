//! Keyslots of LUKS2: each with a place, a key derivation and a cipher of its own, joined to a digest.

use dmcrypt::{CipherSpec, Passphrase, VolumeKey};
use serde_json::{Map, Value};

use super::{KeyslotOptions, Made, UnboundKey, free_keyslot, new_salt};
use crate::area;
use crate::defaults::{AREA_ALIGNMENT, SALT_BYTES, STRIPES};
use crate::device::{Luks, Unlocked, luks2_digest};
use crate::edit::{Edit, put_priority};
use crate::error::{Error, InvalidOption, Unsupported};
use crate::format::{Placed, check_hash};
use crate::kdf::{self, KdfParams};
use crate::luks2::{Area, KeyslotKind, Metadata, NewDigest, NewKeyslot, Priority, SegmentKind};
use crate::number::to_usize;
use crate::random::Random;
use crate::sealing::{self, Sealing};
use crate::unlock::KeyDigest;

pub(super) fn add(
    luks: &Luks,
    metadata: &Metadata,
    unlocked: &Unlocked,
    passphrase: &Passphrase,
    options: &KeyslotOptions<'_>,
    random: &mut dyn Random,
) -> Result<u32, Error> {
    let digest = metadata.digest_of_data().ok_or(Unsupported::NoSegment)?;
    if let Some(keyslot) = unlocked
        .keyslot()
        .filter(|keyslot| !digest.keyslots.contains(keyslot))
    {
        return Err(Unsupported::Unbound { keyslot }.into());
    }
    let keyslot = free_keyslot(luks.header(), options.keyslot)?;
    let key = unlocked.volume_key();
    let cipher = cipher_of(options, metadata, key.len());
    let new = New {
        keyslot,
        key,
        cipher: &cipher,
        digest: luks2_digest(digest)?,
        place: place(metadata, key.len())?,
        options,
    };
    let (mut edit, mut object) = new.write(luks, passphrase, random)?;
    put_priority(&mut object, options.priority);
    let mut draft = edit.draft()?;
    insert(&mut draft.json, "keyslots", keyslot, object);
    refer(&mut draft.json, digest.id, keyslot);
    edit.commit_draft(draft, random)?;
    Ok(keyslot)
}

/// Makes a keyslot of a container that is not written yet: its area, and the JSON that speaks of it.
pub(super) fn add_to_new(
    metadata: &Metadata,
    key: &VolumeKey,
    keyslot: u32,
    passphrase: &Passphrase,
    options: &KeyslotOptions<'_>,
    random: &mut dyn Random,
) -> Result<(Map<String, Value>, Placed), Error> {
    let digest = metadata.digest_of_data().ok_or(Unsupported::NoSegment)?;
    let (object, area) = make(
        metadata,
        key,
        luks2_digest(digest)?,
        keyslot,
        passphrase,
        options,
        random,
    )?;
    let mut json = metadata.raw().clone();
    insert(&mut json, "keyslots", keyslot, object);
    refer(&mut json, digest.id, keyslot);
    Ok((json, area))
}

/// Makes a keyslot in memory, in the first gap that there is: its object and its area.
pub(crate) fn make(
    metadata: &Metadata,
    key: &VolumeKey,
    digest: KeyDigest,
    keyslot: u32,
    passphrase: &Passphrase,
    options: &KeyslotOptions<'_>,
    random: &mut dyn Random,
) -> Result<(Value, Placed), Error> {
    let cipher = cipher_of(options, metadata, key.len());
    let new = New {
        keyslot,
        key,
        cipher: &cipher,
        digest,
        place: place(metadata, key.len())?,
        options,
    };
    new.check()?;
    let salt = new_salt(random)?;
    let sealed = new
        .sealing(&salt)
        .seal(key, passphrase, random, options.effort())?;
    let mut object = new.object(&salt);
    put_priority(&mut object, options.priority);
    Ok((object, (new.place.offset, sealed.area)))
}

/// What [`make`] would say of a key of so many bytes, but for the salt; no key has been made yet.
pub(crate) fn blank(
    metadata: &Metadata,
    key_bytes: usize,
    options: &KeyslotOptions<'_>,
) -> Result<Value, InvalidOption> {
    let (cipher, cipher_key_bytes) = cipher_of(options, metadata, key_bytes);
    let place = place(metadata, key_bytes)?;
    let object = NewKeyslot {
        key_bytes,
        area_offset: place.offset,
        area_bytes: place.size,
        area_cipher: &cipher.to_string(),
        area_key_bytes: cipher_key_bytes,
        hash: options.hash.name(),
        kdf: &options.kdf,
        kdf_salt: &[0; SALT_BYTES],
    };
    Ok(object.to_json())
}

pub(super) fn add_unbound(
    luks: &Luks,
    metadata: &Metadata,
    unbound: &UnboundKey<'_>,
    passphrase: &Passphrase,
    options: &KeyslotOptions<'_>,
    random: &mut dyn Random,
) -> Result<u32, Error> {
    let keyslot = free_keyslot(luks.header(), options.keyslot)?;
    let key = unbound.key;
    let cipher = cipher_of(options, metadata, key.len());
    let cost = KdfParams::Pbkdf2 {
        hash: options.hash,
        iterations: unbound.digest_iterations,
    };
    super::check_kdf(&cost)?;
    let salt = new_salt(random)?;
    let bytes = options.hash.digest_bytes();
    let digest = kdf::derive(&cost, key.expose(), &salt, bytes, options.effort())
        .map_err(Error::kdf(keyslot))?;
    let id = free_number(metadata.digests.iter().map(|digest| digest.id));
    let new = New {
        keyslot,
        key,
        cipher: &cipher,
        digest: KeyDigest {
            id,
            hash: options.hash,
            iterations: unbound.digest_iterations,
            salt: salt.to_vec(),
            digest: digest.expose().to_vec(),
        },
        place: place(metadata, key.len())?,
        options,
    };
    let (mut edit, mut object) = new.write(luks, passphrase, random)?;
    put_priority(&mut object, options.priority);
    let mut draft = edit.draft()?;
    insert(&mut draft.json, "keyslots", keyslot, object);
    let digest = NewDigest {
        keyslot,
        segment: None,
        hash: options.hash.name(),
        iterations: unbound.digest_iterations,
        salt: &salt,
        digest: digest.expose(),
    };
    insert(&mut draft.json, "digests", id, digest.to_json());
    edit.commit_draft(draft, random)?;
    Ok(keyslot)
}

pub(super) fn change(
    luks: &Luks,
    metadata: &Metadata,
    key: &VolumeKey,
    keyslot: u32,
    passphrase: &Passphrase,
    options: &KeyslotOptions<'_>,
    random: &mut dyn Random,
) -> Result<u32, Error> {
    let old = metadata
        .keyslot(keyslot)
        .ok_or(InvalidOption::KeyslotInactive { keyslot })?;
    let slot = match &old.kind {
        KeyslotKind::Luks2(slot) => slot,
        other => {
            return Err(Unsupported::Type {
                object: format!("keyslot {keyslot}"),
                kind: other.name().into(),
            }
            .into());
        }
    };
    let cipher = match &options.cipher {
        Some(cipher) => cipher.clone(),
        None => (slot.cipher.spec.clone()?, to_usize(slot.cipher.key_bytes)),
    };
    let digest = metadata
        .digest_of_keyslot(keyslot)
        .expect("checked metadata: every luks2 keyslot has a digest");
    // Beside the old one for a moment, under a number of its own.
    let beside = free_keyslot(luks.header(), None)?;
    let new = New {
        keyslot: beside,
        key,
        cipher: &cipher,
        digest: luks2_digest(digest)?,
        place: place(metadata, key.len())?,
        options,
    };
    let (mut edit, object) = new.write(luks, passphrase, random)?;
    let mut draft = edit.draft()?;
    insert(&mut draft.json, "keyslots", beside, object.clone());
    refer(&mut draft.json, digest.id, beside);
    edit.commit_draft(draft, random)?;

    edit.wipe(old.area.offset..old.area.end(), random)?;
    let mut draft = edit.draft()?;
    take_out(&mut draft.json, beside);
    // What is new about it, last in the list as cryptsetup has it; its priority and members that nobody here knows stay.
    let name = keyslot.to_string();
    if let Some(Value::Object(keyslots)) = draft.json.get_mut("keyslots")
        && let Some(Value::Object(mut known)) = keyslots.shift_remove(&name)
        && let Value::Object(new) = object
    {
        known.extend(new);
        keyslots.insert(name, known.into());
    }
    edit.commit_draft(draft, random)?;
    Ok(keyslot)
}

pub(super) fn remove(edit: &mut Edit, keyslot: u32, random: &mut dyn Random) -> Result<(), Error> {
    let area = edit
        .luks2()?
        .metadata
        .keyslot(keyslot)
        .ok_or(InvalidOption::KeyslotInactive { keyslot })?
        .area;
    edit.wipe(area.offset..area.end(), random)?;
    let mut draft = edit.draft()?;
    take_out(&mut draft.json, keyslot);
    edit.commit_draft(draft, random)
}

pub(super) fn set_priority(
    edit: &mut Edit,
    keyslot: u32,
    priority: Priority,
    random: &mut dyn Random,
) -> Result<(), Error> {
    let mut draft = edit.draft()?;
    draft.set_priority(keyslot, priority)?;
    edit.commit_draft(draft, random)
}

/// A keyslot to be made.
struct New<'a> {
    keyslot: u32,
    key: &'a VolumeKey,
    cipher: &'a (CipherSpec, usize),
    digest: KeyDigest,
    place: Area,
    options: &'a KeyslotOptions<'a>,
}

impl New<'_> {
    /// Derives, takes the lock, writes the area and proves it; the keyslot's object, which the header does not have yet.
    fn write(
        &self,
        luks: &Luks,
        passphrase: &Passphrase,
        random: &mut dyn Random,
    ) -> Result<(Edit, Value), Error> {
        self.check()?;
        let salt = new_salt(random)?;
        let sealing = self.sealing(&salt);
        let made = Made {
            sealed: sealing.seal(self.key, passphrase, random, self.options.effort())?,
            sealing,
            key_bytes: self.key.len(),
            digest: self.digest.clone(),
            effort: self.options.effort(),
        };
        let mut edit = Edit::begin(luks)?;
        made.write(&mut edit, self.place.offset)?;
        Ok((edit, self.object(&salt)))
    }

    fn check(&self) -> Result<(), InvalidOption> {
        sealing::check_area_cipher(self.cipher)?;
        check_hash(self.options.hash)
    }

    fn sealing<'b>(&'b self, salt: &'b [u8]) -> Sealing<'b> {
        let (cipher, cipher_key_bytes) = self.cipher;
        Sealing {
            keyslot: self.keyslot,
            kdf: &self.options.kdf,
            salt,
            cipher,
            cipher_key_bytes: *cipher_key_bytes,
            af_hash: self.options.hash,
        }
    }

    fn object(&self, salt: &[u8]) -> Value {
        let (cipher, cipher_key_bytes) = self.cipher;
        NewKeyslot {
            key_bytes: self.key.len(),
            area_offset: self.place.offset,
            area_bytes: self.place.size,
            area_cipher: &cipher.to_string(),
            area_key_bytes: *cipher_key_bytes,
            hash: self.options.hash.name(),
            kdf: &self.options.kdf,
            kdf_salt: salt,
        }
        .to_json()
    }
}

/// The cipher asked for, or the data's.
fn cipher_of(
    options: &KeyslotOptions<'_>,
    metadata: &Metadata,
    key_bytes: usize,
) -> (CipherSpec, usize) {
    match &options.cipher {
        Some(cipher) => cipher.clone(),
        None => data_cipher(metadata, key_bytes),
    }
}

/// The data's cipher where a keyslot can have it and takes a key of that size.
fn data_cipher(metadata: &Metadata, key_bytes: usize) -> (CipherSpec, usize) {
    let of_data = metadata
        .data_segments()
        .find_map(|segment| match &segment.kind {
            SegmentKind::Crypt(crypt) => crypt.spec.as_ref().ok(),
            _ => None,
        })
        .filter(|spec| !spec.is_null() && spec.check_supported().is_ok());
    let (cipher, bytes) = match of_data {
        Some(spec) if spec.check_key_bytes(key_bytes).is_ok() => (spec.clone(), key_bytes),
        _ => sealing::default_area_cipher(),
    };
    sealing::luks2_area_cipher(&cipher, bytes)
}

/// The first gap of the keyslots area that a key of so many bytes fits into.
fn place(metadata: &Metadata, key_bytes: usize) -> Result<Area, InvalidOption> {
    let size = area::material_bytes(key_bytes, STRIPES)
        .and_then(|bytes| bytes.checked_next_multiple_of(AREA_ALIGNMENT))
        .unwrap_or(u64::MAX);
    let mut areas: Vec<Area> = metadata.keyslots.iter().map(|slot| slot.area).collect();
    areas.sort_by_key(|area| area.offset);
    let range = metadata.keyslots_area();
    let mut offset = range.start;
    for area in areas {
        if area.offset >= offset.saturating_add(size) {
            break;
        }
        offset = area.end().next_multiple_of(AREA_ALIGNMENT);
    }
    if offset.saturating_add(size) > range.end {
        return Err(InvalidOption::NoRoomForKeyslot {
            have: range.end.saturating_sub(range.start),
            need: size,
        });
    }
    Ok(Area { offset, size })
}

pub(crate) fn free_number(taken: impl Iterator<Item = u32>) -> u32 {
    let taken: Vec<u32> = taken.collect();
    (0..=u32::MAX)
        .find(|number| !taken.contains(number))
        .expect("there are at most 32")
}

pub(crate) fn insert(json: &mut Map<String, Value>, section: &str, id: u32, object: Value) {
    if let Some(Value::Object(section)) = json.get_mut(section) {
        section.insert(id.to_string(), object);
    }
}

/// Adds `keyslot` to a digest's keyslots.
pub(crate) fn refer(json: &mut Map<String, Value>, digest: u32, keyslot: u32) {
    let digest = json
        .get_mut("digests")
        .and_then(|digests| digests.get_mut(digest.to_string()));
    if let Some(Value::Array(keyslots)) = digest.and_then(|digest| digest.get_mut("keyslots")) {
        keyslots.push(keyslot.to_string().into());
    }
}

/// Removes a keyslot and every reference to it, and a digest that nothing needs then.
pub(crate) fn take_out(json: &mut Map<String, Value>, keyslot: u32) {
    let name = keyslot.to_string();
    if let Some(Value::Object(keyslots)) = json.get_mut("keyslots") {
        keyslots.shift_remove(&name);
    }
    for section in ["digests", "tokens"] {
        let Some(Value::Object(objects)) = json.get_mut(section) else {
            continue;
        };
        for object in objects.values_mut() {
            if let Some(Value::Array(references)) = object.get_mut("keyslots") {
                references.retain(|reference| reference.as_str() != Some(&name));
            }
        }
        if section == "digests" {
            let is_empty =
                |member: Option<&Value>| member.and_then(Value::as_array).is_none_or(Vec::is_empty);
            objects.retain(|_, digest| {
                !(is_empty(digest.get("keyslots")) && is_empty(digest.get("segments")))
            });
        }
    }
}
