//! The state of a reencryption that is under way, held to the digest that whoever wrote it made of it with both volume
//! keys: nobody without them can have changed what it says of how the data was and will be. What it says of progress is
//! in no digest.

use dmcrypt::{Passphrase, VolumeKey};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::device::{Header, Luks, luks2_digest};
use crate::error::Error;
use crate::luks2::{Digest, KeyslotKind, Metadata, Segment, SegmentKind, SegmentSize};
use crate::unlock::{self, UnlockOptions};

/// The state of a reencryption as far as it can be judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// No reencryption is under way.
    None,
    /// Its version is not known, or makes no digest.
    Unknown,
    /// It has no digest.
    NoDigest,
    /// It has one.
    Clean,
    /// The same, and a crash left it while data was moved.
    NeedsRecovery,
}

/// Which it is; no secret is needed.
pub fn state(metadata: &Metadata) -> State {
    let requirements = &metadata.config.requirements;
    match &requirements[..] {
        [] => State::None,
        [one] if one == "online-reencrypt" => State::NoDigest,
        [one] if version(one).is_some() => {
            let is_moved = |segment: &Segment| has(segment, "in-reencryption");
            if digest(metadata).is_none() {
                State::NoDigest
            } else if metadata.data_segments().any(is_moved) {
                State::NeedsRecovery
            } else {
                State::Clean
            }
        }
        _ => State::Unknown,
    }
}

/// Whether the data go from one key to another.
pub fn has_two_keys(metadata: &Metadata) -> bool {
    let is_backup = |digest: &&Digest| {
        metadata
            .segments
            .iter()
            .any(|segment| segment.is_backup() && digest.segments.contains(&segment.id))
    };
    metadata.digests.iter().filter(is_backup).count() > 1
}

/// Whether the state is what its digest was made of. `passphrase` opens the keyslots of both keys.
///
/// # Errors
///
/// [`Error::NoKeyFits`] where it does not, and what [`Luks::unlock`] says.
///
/// # Panics
///
/// Where [`state`] says that there is no digest.
pub fn is_proven(
    luks: &Luks,
    passphrase: &Passphrase,
    options: &UnlockOptions<'_>,
) -> Result<bool, Error> {
    let Header::Luks2(header) = luks.header() else {
        panic!("LUKS1 has no digest of a reencryption");
    };
    let metadata = &header.metadata;
    let requirement = metadata.config.requirements.first();
    let version = requirement.and_then(|name| version(name));
    let (Some(version), Some(digest)) = (version, digest(metadata)) else {
        panic!("there is no digest of a reencryption");
    };
    let old = key_of(luks, metadata, "backup-previous", passphrase, options)?;
    let new = key_of(luks, metadata, "backup-final", passphrase, options)?;
    let mut message = Zeroizing::new(vec![b'v', version]);
    if let Some((_, key)) = &old {
        message.extend_from_slice(key.expose());
    }
    if let Some((id, key)) = &new
        && old.as_ref().is_none_or(|(other, _)| other != id)
    {
        message.extend_from_slice(key.expose());
    }
    add_keyslot(&mut message, metadata);
    for flag in ["backup-previous", "backup-final", "backup-moved-segment"] {
        if let Some(segment) = flagged(metadata, flag) {
            add_segment(&mut message, segment);
        }
    }
    let mut secret = VolumeKey::zeroed(message.len());
    secret.expose_mut().copy_from_slice(&message);
    match unlock::check_key(&secret, &luks2_digest(digest)?, options) {
        Ok(()) => Ok(true),
        Err(Error::NoKeyFits { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The digit of the version that a digest starts with.
fn version(requirement: &str) -> Option<u8> {
    match requirement {
        "online-reencrypt-v2" => Some(b'2'),
        "online-reencrypt-v3" => Some(b'3'),
        _ => None,
    }
}

/// The digest of the reencryption's own keyslot.
fn digest(metadata: &Metadata) -> Option<&Digest> {
    metadata.digest_of_keyslot(own_keyslot(metadata)?)
}

fn own_keyslot(metadata: &Metadata) -> Option<u32> {
    let is_its_own =
        |kind: &KeyslotKind| matches!(kind, KeyslotKind::Other { kind } if kind == "reencrypt");
    let slot = metadata.keyslots.iter().find(|slot| is_its_own(&slot.kind));
    slot.map(|slot| slot.id)
}

fn has(segment: &Segment, flag: &str) -> bool {
    segment.flags.iter().any(|name| name == flag)
}

fn flagged<'a>(metadata: &'a Metadata, flag: &str) -> Option<&'a Segment> {
    metadata.segments.iter().find(|segment| has(segment, flag))
}

/// The key of a backup segment and the number of its digest, where it has one.
fn key_of(
    luks: &Luks,
    metadata: &Metadata,
    flag: &str,
    passphrase: &Passphrase,
    options: &UnlockOptions<'_>,
) -> Result<Option<(u32, VolumeKey)>, Error> {
    let Some(segment) = flagged(metadata, flag) else {
        return Ok(None);
    };
    let mut digests = metadata.digests.iter();
    let Some(digest) = digests.find(|digest| digest.segments.contains(&segment.id)) else {
        return Ok(None);
    };
    let stores_it = |id: &&u32| {
        let slot = metadata.keyslot(**id);
        slot.is_some_and(|slot| matches!(slot.kind, KeyslotKind::Luks2(_)))
    };
    let keyslots: Vec<u32> = digest.keyslots.iter().filter(stores_it).copied().collect();
    if keyslots.is_empty() {
        return Err(Error::NoKeyFits { tried: keyslots });
    }
    let unlocked = luks.unlock_among(&keyslots, passphrase, options)?;
    let mut key = VolumeKey::zeroed(unlocked.volume_key().len());
    key.expose_mut()
        .copy_from_slice(unlocked.volume_key().expose());
    Ok(Some((digest.id, key)))
}

/// Mode, direction and area; the rules of a keyslot have it that all are there.
fn add_keyslot(message: &mut Vec<u8>, metadata: &Metadata) {
    let Some(id) = own_keyslot(metadata) else {
        return;
    };
    let nothing = Map::new();
    let object =
        |value: Option<&'_ Value>| value.and_then(Value::as_object).unwrap_or(&nothing).clone();
    let keyslot = object(metadata.raw()["keyslots"].get(id.to_string()));
    let area = object(keyslot.get("area"));
    let text = |members: &Map<String, Value>, name: &str| {
        let text = members.get(name).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let number = |name: &str| text(&area, name).parse::<u64>().unwrap_or_default();
    let resilience = text(&area, "type");
    for member in [
        text(&keyslot, "mode"),
        text(&keyslot, "direction"),
        resilience.clone(),
    ] {
        message.extend_from_slice(member.as_bytes());
    }
    message.extend_from_slice(&number("offset").to_be_bytes());
    message.extend_from_slice(&number("size").to_be_bytes());
    if resilience.ends_with("checksum") {
        message.extend_from_slice(text(&area, "hash").as_bytes());
        let block = area.get("sector_size").and_then(Value::as_u64);
        let block = block.and_then(|block| u32::try_from(block).ok());
        message.extend_from_slice(&block.unwrap_or_default().to_be_bytes());
    }
    if resilience.starts_with("datashift") {
        message.extend_from_slice(&number("shift_size").to_be_bytes());
    }
}

fn add_segment(message: &mut Vec<u8>, segment: &Segment) {
    let kind = match &segment.kind {
        SegmentKind::Linear => "linear",
        SegmentKind::Crypt(_) => "crypt",
        SegmentKind::Other { kind } => kind,
    };
    message.extend_from_slice(kind.as_bytes());
    message.extend_from_slice(&segment.offset.to_be_bytes());
    match segment.size {
        SegmentSize::Dynamic => message.extend_from_slice(b"dynamic"),
        SegmentSize::Bytes(bytes) => message.extend_from_slice(&bytes.to_be_bytes()),
    }
    if let SegmentKind::Crypt(crypt) = &segment.kind {
        message.extend_from_slice(&crypt.iv_tweak.to_be_bytes());
        message.extend_from_slice(crypt.text.as_bytes());
        message.extend_from_slice(&crypt.sector_size.to_be_bytes());
    }
}
