//! What both accept and do not read alike, or do not open alike.

use dmcrypt::{SectorOptions, SectorSize};
use luks::luks2::{AreaCipher, Digest, Keyslot, KeyslotKind, Metadata, SegmentKind};
use luks::{Error, Header, Luks, Warning};
use serde_json::{Map, Value};

use super::{cut_at_nul, cut_texts, fault, has_nul, requirements};
use crate::ours;

const OTHER_COPY: &str =
    "other-copy: it uses a copy that we refuse by the list above, and we the other one";
const KDF_MEMBERS: &str =
    "kdf-members: it leaves out members that are not those of the derivation's type; we keep them";
const UNREADABLE_CIPHER: &str = "unreadable-cipher: it says as much of a LUKS2 cipher as it can read; we have the text as it stands";
const DIGEST_LENGTH: &str = "digest-length: a LUKS2 digest or its salt has another length than cryptsetup gives it: any passphrase opens";
const NULL_CIPHER: &str = "null-cipher: nothing is encrypted, so that every key would be the right one: refused unless the caller allows it";
const CAPITALS: &str = "capitals: a cipher in capitals is known where keyslots are opened, and not to dm-crypt (tried: Linux 6.1): nothing is decrypted with the key";

const THEIR_OTHER_COPY: &str = "their-other-copy: it refuses the newer copy as the list of what only we accept says, and uses the older one";
const NUL: &str =
    "nul-in-field: JSON texts with a NUL, at which its texts end: what is left says this";
const INT: &str =
    "31-bit-number: a cost or sector size of 2^31 or more, which it reads as 2^31 - 1";
const CUT: &str = "31-letter-name: the name or the mode of a cipher is longer than 31 letters, of which it tells the first";

const HIGH_DIGEST: &str = "digest-number: a digest has a number beyond 31, and it does not look there: keyslots are unbound";
const HIGH_KEYSLOT: &str =
    "keyslot-number: a keyslot has a number beyond 31, and it does not look there";
const SHARED_SEGMENT: &str = "shared-segment: a segment is in two digests: it takes keyslots of both for the data's, we those of the first";
const REENCRYPTION_STATUS: &str = "reencryption-status: which keyslots are unbound while a reencryption goes on: it counts the digests of both keys";
const GOES_ON: &str =
    "goes-on: a keyslot asks for what is not there: it gives up, we try the others";
/// The highest number of an object that cryptsetup itself would give.
const LAST_OBJECT: u32 = 31;

/// Whether another copy counts for libcryptsetup, because it accepts what we refuse.
pub fn other_copy(luks: &Luks) -> Option<&'static str> {
    let is_refused = |warning: &Warning| match warning {
        Warning::Primary(of) | Warning::Secondary(of) => fault(of).is_some(),
        _ => false,
    };
    luks.warnings().iter().any(is_refused).then_some(OTHER_COPY)
}

/// The entry for a field that differs.
pub fn different(
    name: &str,
    ours: Option<&Value>,
    theirs: Option<&Value>,
    luks: &Luks,
) -> Option<&'static str> {
    let Header::Luks2(header) = luks.header() else {
        return None;
    };
    let metadata = &header.metadata;
    let is_refused = has_nul(metadata) || requirements(luks).is_some_and(Value::is_array);
    if is_refused && !luks.warnings().is_empty() {
        return Some(THEIR_OTHER_COPY);
    }
    if has_nul(metadata) {
        let cut = ours::fields(&Header::Luks2(cut_at_nul(header)?));
        return (cut.get(name) == theirs.map(cut_texts).as_ref()).then_some(NUL);
    }
    if let Some(number) = name.strip_prefix("keyslot ") {
        let number: u32 = number.parse().ok()?;
        return if number > LAST_OBJECT && theirs.is_none() {
            Some(HIGH_KEYSLOT)
        } else {
            different_keyslot(ours?, theirs?, metadata)
        };
    }
    match name {
        // That of the first keyslot that it takes for the data's.
        "key size" => other_binding(metadata),
        "json" => {
            let (mut ours, mut theirs) = (ours?.clone(), theirs?.clone());
            keep_known_kdf_members(&mut ours);
            keep_known_kdf_members(&mut theirs);
            (ours == theirs).then_some(KDF_MEMBERS)
        }
        "sector size" => (ours?.as_u64()? > MOST_INT).then_some(INT),
        "cipher" | "mode" => {
            const MOST_LETTERS: usize = 31;
            let start = ours?.as_str()?.get(..MOST_LETTERS);
            if start.is_some() && start == theirs?.as_str() {
                return Some(CUT);
            }
            let first = header.metadata.data_segments().next()?;
            matches!(&first.kind, SegmentKind::Crypt(crypt) if crypt.spec.is_err())
                .then_some(UNREADABLE_CIPHER)
        }
        _ => None,
    }
}

/// What it says of a keyslot is ours, but for its status and for numbers that are too high.
fn different_keyslot(ours: &Value, theirs: &Value, metadata: &Metadata) -> Option<&'static str> {
    let mut ours = ours.clone();
    let mut entry = None;
    let costs = ours.get_mut("kdf").and_then(Value::as_array_mut);
    for cost in costs.into_iter().flatten() {
        if cost.as_u64().is_some_and(|cost| cost > MOST_INT) {
            *cost = MOST_INT.into();
            entry = Some(INT);
        }
    }
    if ours["status"] != theirs["status"] {
        ours["status"] = theirs["status"].clone();
        entry = other_binding(metadata);
    }
    (ours == *theirs).then_some(entry).flatten()
}

/// Why it may bind other keyslots to the data.
fn other_binding(metadata: &Metadata) -> Option<&'static str> {
    let digests = &metadata.digests;
    let is_shared = |segment: &u32| {
        let of = digests
            .iter()
            .filter(|digest| digest.segments.contains(segment));
        of.count() > 1
    };
    if has_reencryption(metadata) {
        Some(REENCRYPTION_STATUS)
    } else if digests.iter().any(|digest| digest.id > LAST_OBJECT) {
        Some(HIGH_DIGEST)
    } else if digests
        .iter()
        .flat_map(|digest| &digest.segments)
        .any(is_shared)
    {
        Some(SHARED_SEGMENT)
    } else {
        None
    }
}

/// The entry for a passphrase that only libcryptsetup opens something with.
pub fn not_unlocked(luks: &Luks, error: &Error) -> Option<&'static str> {
    if matches!(error, Error::NullCipher { .. }) {
        return Some(NULL_CIPHER);
    }
    if let Error::NoKeyFits { .. } = error {
        return other_digest_length(luks);
    }
    // What is not built, and known to its library.
    if !matches!(error, Error::Unsupported(_)) {
        return None;
    }
    let has_capitals = |text: &str| text.contains(|letter: char| letter.is_ascii_uppercase());
    let is_it = match luks.header() {
        Header::Luks1(header) => {
            has_capitals(&header.cipher_name) || has_capitals(&header.cipher_mode)
        }
        Header::Luks2(header) => {
            let mut ciphers = header.metadata.keyslots.iter().filter_map(area_cipher);
            ciphers.any(|cipher| has_capitals(&cipher.text))
        }
    };
    is_it.then_some(CAPITALS)
}

fn other_digest_length(luks: &Luks) -> Option<&'static str> {
    const SALT_BYTES: usize = 32;
    let Header::Luks2(header) = luks.header() else {
        return None;
    };
    let is_other = |digest: &Digest| {
        let bytes = digest.pbkdf2.as_ref().map(|(hash, _)| hash.digest_bytes());
        digest.salt.len() != SALT_BYTES || bytes.ok() != Some(digest.digest.len())
    };
    let mut digests = header.metadata.digests.iter();
    digests.any(is_other).then_some(DIGEST_LENGTH)
}

/// The entry for a passphrase that only we open something with.
pub fn unlocked(luks: &Luks) -> Option<&'static str> {
    let Header::Luks2(header) = luks.header() else {
        return None;
    };
    let is_unsupported = |keyslot: &Keyslot| {
        let KeyslotKind::Luks2(slot) = &keyslot.kind else {
            return true;
        };
        slot.kdf.is_err() || slot.af_hash.is_err() || !is_built(&slot.cipher)
    };
    let mut keyslots = header.metadata.keyslots.iter();
    keyslots.any(is_unsupported).then_some(GOES_ON)
}

fn area_cipher(keyslot: &Keyslot) -> Option<&AreaCipher> {
    match &keyslot.kind {
        KeyslotKind::Luks2(slot) => Some(&slot.cipher),
        KeyslotKind::Reencrypt(_) | KeyslotKind::Other { .. } => None,
    }
}

fn is_built(cipher: &AreaCipher) -> bool {
    let sectors = SectorOptions {
        sector_size: SectorSize::B512,
        iv_large_sectors: false,
    };
    let key = vec![0; cipher.key_bytes.try_into().expect("it is not long")];
    let spec = cipher.spec.as_ref();
    spec.is_ok_and(|spec| spec.sector_cipher(&key, sectors).is_ok())
}

fn has_reencryption(metadata: &Metadata) -> bool {
    let is_keyslot = metadata
        .keyslots
        .iter()
        .any(|keyslot| keyslot.kind.name().starts_with("reencrypt"));
    let is_required = metadata
        .config
        .requirements
        .iter()
        .any(|name| name.starts_with("online-reencrypt"));
    is_keyslot || is_required || metadata.segments.len() != metadata.data_segments().count()
}

/// The highest number that json-c gives as an `int`.
const MOST_INT: u64 = 0x7fff_ffff;

fn keep_known_kdf_members(json: &mut Value) {
    let keyslots = json.get_mut("keyslots").and_then(Value::as_object_mut);
    for (_, keyslot) in keyslots.into_iter().flatten() {
        let Some(kdf) = keyslot.get_mut("kdf").and_then(Value::as_object_mut) else {
            continue;
        };
        let known: &[&str] = match kdf.get("type").and_then(Value::as_str) {
            Some("pbkdf2") => &["type", "salt", "hash", "iterations"],
            Some("argon2i" | "argon2id") => &["type", "salt", "time", "memory", "cpus"],
            _ => continue,
        };
        let old: Map<String, Value> = std::mem::take(kdf);
        kdf.extend(
            old.into_iter()
                .filter(|(name, _)| known.contains(&name.as_str())),
        );
    }
}
