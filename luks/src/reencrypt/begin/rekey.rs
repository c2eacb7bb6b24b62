//! Another key, cipher or sector size.

use std::sync::Arc;

use dmcrypt::{CipherSpec, HashAlgorithm, Passphrase, SectorSize, VolumeKey};
use serde_json::{Map, Value};
use volume::Storage;

use super::{
    Planned, StartOptions, check_begin, checked, data_segment, luks2_of, resilience, under_way,
    volume_bytes,
};
use crate::defaults::{self, SALT_BYTES};
use crate::device::{Luks, Unlocked};
use crate::edit::Edit;
use crate::error::{Error, InvalidOption, ReencryptionObstacle};
use crate::format::Placed;
use crate::kdf::{self, Effort, KdfParams};
use crate::keyslots::{KeyslotOptions, blank_luks2, free_number, insert, make_luks2, refer};
use crate::luks2::{
    self, Crypt, Direction, KeyslotKind, Metadata, NewDigest, ReencryptionMode, Resilience, Segment,
};
use crate::random::{Random, random_volume_key};
use crate::reencrypt::metadata::{Begin, SegmentObject};
use crate::reencrypt::plan::ZoneRun;
use crate::reencrypt::zones::Shape;
use crate::reencrypt::{Running, obstacle};
use crate::unlock::KeyDigest;

/// What data is encrypted with from now on.
pub struct NewKey<'a> {
    /// The volume key; a random one unless said.
    pub key: Option<VolumeKey>,
    /// Keep the volume key, and the keyslots with it: only cipher or sector size change.
    pub keep_key: bool,
    /// Take a given key whose two halves for XTS are equal, which breaks the mode.
    pub equal_xts_halves: bool,
    /// The cipher.
    pub cipher: CipherSpec,
    /// Bytes of a random volume key.
    pub key_bytes: usize,
    /// The sector size.
    pub sector_size: SectorSize,
    /// The keyslots of the new key. One at least, unless it is kept.
    pub keyslots: Vec<NewSlot<'a>>,
    /// Hash and iterations of the new key's digest.
    pub digest: (HashAlgorithm, u32),
}

impl Default for NewKey<'_> {
    /// A random key of the default cipher, sectors of 512 bytes, no keyslot.
    fn default() -> Self {
        Self {
            key: None,
            keep_key: false,
            equal_xts_halves: false,
            cipher: defaults::CIPHER
                .parse()
                .expect("the default cipher is a specification"),
            key_bytes: defaults::XTS_KEY_BYTES,
            sector_size: SectorSize::B512,
            keyslots: Vec::new(),
            digest: (defaults::HASH, 100 * defaults::PBKDF2_MIN_ITERATIONS),
        }
    }
}

/// A keyslot of the new key.
pub struct NewSlot<'a> {
    /// The keyslot of the old key that it comes in place of: priority and tokens move along, and it is wiped at the end.
    pub replaces: u32,
    /// What opens it.
    pub passphrase: &'a Passphrase,
    /// What it is; its priority and number are not looked at.
    pub options: KeyslotOptions<'a>,
}

/// Begins to give data another key, cipher or sector size, in one commit. What comes out is gone on with.
///
/// # Errors
///
/// [`Error::InvalidOption`] for what cannot be, before anything is written; what [`Edit::begin`] says; [`Error::Io`].
pub fn start_reencrypt(
    luks: &Luks,
    unlocked: Unlocked,
    data: Arc<dyn Storage>,
    new: NewKey<'_>,
    options: &StartOptions,
    random: &mut dyn Random,
) -> Result<Running, Error> {
    check_begin(luks)?;
    let header = luks2_of(luks.header())?;
    let crypt = new_crypt(&header.metadata, &new)?;
    let header_bytes = header.binary.header_bytes;
    let mut json = header.metadata.raw().clone();
    let mut areas: Vec<Placed> = Vec::new();
    let mut another = None;
    // What is refused is refused before any key is derived.
    planned(header, &crypt, json.clone(), None, &*data, options)?;
    if !new.keep_key {
        let (number, key) = new_keyslots(&mut json, header_bytes, new, &mut areas, random)?;
        another = Some((number, key));
    }
    let number = another.as_ref().map(|(number, _)| *number);
    let key_of = |number: u32| match &another {
        Some((id, key)) if *id == number => Some(key),
        _ => unlocked.key_of(number),
    };
    let planned = planned(header, &crypt, json, number, &*data, options)?;
    let json = planned.begun(&key_of, options, random)?;

    let mut edit = Edit::begin(luks)?;
    write_areas(&mut edit, &areas)?;
    under_way(edit, json, unlocked, another, data, random)
}

/// The zones of [`start_reencrypt`] with so many new keyslots of `new`, whose own are not looked at; nothing is written.
///
/// # Errors
///
/// As [`start_reencrypt`].
pub fn plan_reencrypt(
    luks: &Luks,
    data: &dyn Storage,
    new: &NewKey<'_>,
    keyslots: usize,
    options: &StartOptions,
) -> Result<Vec<ZoneRun>, Error> {
    let header = luks2_of(luks.header())?;
    let crypt = new_crypt(&header.metadata, new)?;
    let mut json = header.metadata.raw().clone();
    let mut digest = None;
    if !new.keep_key {
        let (hash, iterations) = new.digest;
        for _ in 0..keyslots {
            let metadata = checked(json.clone(), header.binary.header_bytes)?;
            let id = free_keyslot(&metadata)?;
            let slot = blank_luks2(&metadata, new.key_bytes, &KeyslotOptions::default())?;
            insert(&mut json, "keyslots", id, slot);
            if let Some(digest) = digest {
                refer(&mut json, digest, id);
                continue;
            }
            let number = free_number(metadata.digests.iter().map(|digest| digest.id));
            let object = NewDigest {
                keyslot: id,
                segment: None,
                hash: hash.name(),
                iterations,
                salt: &[0; SALT_BYTES],
                digest: &vec![0; hash.digest_bytes()],
            };
            insert(&mut json, "digests", number, object.to_json());
            digest = Some(number);
        }
    }
    planned(header, &crypt, json, digest, data, options)?.zones(options)
}

/// How the data is encrypted afterwards; refused where that is as before.
fn new_crypt(metadata: &Metadata, new: &NewKey<'_>) -> Result<Crypt, Error> {
    let (_, old, _) = data_segment(metadata)?;
    check_cipher(new)?;
    let crypt = Crypt {
        text: new.cipher.to_string(),
        spec: Ok(new.cipher.clone()),
        iv_tweak: old.iv_tweak,
        sector_size: u32::try_from(new.sector_size.bytes()).unwrap_or(u32::MAX),
        integrity: false,
    };
    let is_same = crypt.text == old.text && crypt.sector_size == old.sector_size;
    if new.keep_key && is_same {
        return Err(obstacle(ReencryptionObstacle::NothingToChange));
    }
    Ok(crypt)
}

/// `json` has the new key's keyslots and its digest, of that number, if it is to have any.
fn planned<'a>(
    header: &'a luks2::Header,
    crypt: &'a Crypt,
    json: Map<String, Value>,
    new_digest: Option<u32>,
    data: &dyn Storage,
    options: &StartOptions,
) -> Result<Planned<'a>, Error> {
    let (segment, old, digest) = data_segment(&header.metadata)?;
    let sector = u64::from(crypt.sector_size.max(old.sector_size));
    let (volume_bytes, shift) = match options.shift_bytes {
        None => (
            volume_bytes(&segment, data, sector, options.device_bytes)?,
            0,
        ),
        Some(shift) => {
            let first = header.metadata.keyslots_area().end;
            let left = shifted_bytes(&segment, data, sector, shift, first)?;
            (left, shift)
        }
    };
    let is_shifted = options.shift_bytes.is_some();
    let direction = if is_shifted {
        Direction::Backward
    } else {
        Direction::Forward
    };
    let place = SegmentObject {
        crypt: Some(old),
        offset: segment.offset,
        bytes: None,
    };
    let begin = Begin {
        mode: ReencryptionMode::Reencrypt,
        direction,
        resilience: match options.shift_bytes {
            None => resilience(options.protection, sector, None),
            Some(shift) => Resilience::Shift(shift),
        },
        before: (place, Some(digest)),
        after: (
            SegmentObject {
                crypt: Some(crypt),
                offset: segment.offset.saturating_add(shift),
                ..place
            },
            new_digest.or(Some(digest)),
        ),
        moved: None,
    };
    let shape = Shape {
        volume_bytes,
        before: segment.offset,
        after: segment.offset.saturating_add(shift),
        moved: None,
        direction,
        is_dynamic: options.device_bytes.is_none(),
    };
    Ok(Planned {
        begin,
        json,
        header_bytes: header.binary.header_bytes,
        shape,
    })
}

/// Bytes of the volume that are left when its data has moved, to where no header reaches that ends at `first`.
fn shifted_bytes(
    segment: &Segment,
    data: &dyn Storage,
    sector: u64,
    shift: u64,
    first: u64,
) -> Result<u64, Error> {
    let have = volume_bytes(segment, data, sector, None)?;
    let is_whole = shift.checked_rem(sector) == Some(0);
    let is_behind = segment.offset.saturating_add(shift) >= first;
    match have.checked_sub(shift) {
        Some(left) if left > 0 && shift > 0 && is_whole && is_behind => Ok(left),
        _ => Err(obstacle(ReencryptionObstacle::ShiftBytes {
            bytes: shift,
            have,
            alignment: sector,
        })),
    }
}

pub(in crate::reencrypt) fn check_cipher(new: &NewKey<'_>) -> Result<(), InvalidOption> {
    new.cipher.check_supported()?;
    if new.cipher.is_null() {
        return Err(InvalidOption::NullCipher);
    }
    let bytes = new.key.as_ref().map_or(new.key_bytes, VolumeKey::len);
    new.cipher.check_key_bytes(bytes)?;
    Ok(())
}

/// A new key's digest and keyslots, all in memory; the digest's number.
pub(in crate::reencrypt) fn new_keyslots(
    json: &mut Map<String, Value>,
    header_bytes: u64,
    new: NewKey<'_>,
    areas: &mut Vec<Placed>,
    random: &mut dyn Random,
) -> Result<(u32, VolumeKey), Error> {
    let key = match new.key {
        Some(key) => key,
        None => random_volume_key(new.key_bytes, random)?,
    };
    if !new.equal_xts_halves && new.cipher.has_equal_xts_halves(key.expose()) {
        return Err(InvalidOption::EqualXtsHalves.into());
    }
    if new.keyslots.is_empty() {
        return Err(Error::NoUsableKeyslot("the new key has none"));
    }
    let (hash, iterations) = new.digest;
    let mut salt = [0; SALT_BYTES];
    random.fill(&mut salt)?;
    let cost = KdfParams::Pbkdf2 { hash, iterations };
    let effort = Effort {
        threads: 1,
        cancel: &|| false,
    };
    let bytes = hash.digest_bytes();
    let digest = kdf::derive(&cost, key.expose(), &salt, bytes, effort).map_err(Error::kdf(0))?;
    let of_key = |id| KeyDigest {
        id,
        hash,
        iterations,
        salt: salt.to_vec(),
        digest: digest.expose().to_vec(),
    };
    let mut number = None;
    for slot in &new.keyslots {
        let metadata = checked(json.clone(), header_bytes)?;
        let id = free_keyslot(&metadata)?;
        let old = metadata.keyslot(slot.replaces);
        let old = old.filter(|old| matches!(old.kind, KeyslotKind::Luks2(_)));
        let keyslot = slot.replaces;
        let old = old.ok_or(InvalidOption::KeyslotInactive { keyslot })?;
        let options = KeyslotOptions {
            priority: old.priority,
            kdf: slot.options.kdf.clone(),
            cipher: slot.options.cipher.clone(),
            ..slot.options
        };
        let digest_id =
            number.unwrap_or_else(|| free_number(metadata.digests.iter().map(|digest| digest.id)));
        let passphrase = slot.passphrase;
        let (object, area) = make_luks2(
            &metadata,
            &key,
            of_key(digest_id),
            id,
            passphrase,
            &options,
            random,
        )?;
        insert(json, "keyslots", id, object);
        if number.is_none() {
            let object = NewDigest {
                keyslot: id,
                segment: None,
                hash: hash.name(),
                iterations,
                salt: &salt,
                digest: digest.expose(),
            };
            insert(json, "digests", digest_id, object.to_json());
            number = Some(digest_id);
        } else {
            refer(json, digest_id, id);
        }
        add_to_tokens(json, slot.replaces, id);
        areas.push(area);
    }
    Ok((number.unwrap_or_default(), key))
}

fn free_keyslot(metadata: &Metadata) -> Result<u32, InvalidOption> {
    let id = free_number(metadata.keyslots.iter().map(|slot| slot.id));
    if id >= 32 {
        return Err(InvalidOption::NoFreeKeyslot { count: 32 });
    }
    Ok(id)
}

/// Tokens that open a keyslot open the one that comes in its place, too.
fn add_to_tokens(json: &mut Map<String, Value>, old: u32, new: u32) {
    let Some(Value::Object(tokens)) = json.get_mut("tokens") else {
        return;
    };
    let old = old.to_string();
    for token in tokens.values_mut() {
        if let Some(Value::Array(keyslots)) = token.get_mut("keyslots")
            && keyslots.iter().any(|name| name.as_str() == Some(&old))
        {
            keyslots.push(new.to_string().into());
        }
    }
}

pub(in crate::reencrypt) fn write_areas(edit: &mut Edit, areas: &[Placed]) -> Result<(), Error> {
    for (at, area) in areas {
        edit.write_area(*at, area)?;
        let mut back = vec![0; area.len()];
        let read = edit.storage().read_at(*at, &mut back);
        read.map_err(Error::io(format!("read the area at {at:#x} back")))?;
        if back != *area {
            return Err(Error::NotProven { keyslot: 0 });
        }
    }
    Ok(())
}
