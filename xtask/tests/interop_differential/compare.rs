//! Two judgements of the same bytes.

use luks::luks2::{self, KeyslotKind, SegmentKind};
use luks::{Error, Header, Luks};
use serde_json::{Map, Value};

use crate::expected;
use crate::ours;

/// Read from the segment in use, of which there may be two while a reencryption goes on; their JSON is compared.
const OF_ONE_SEGMENT: [&str; 5] = [
    "cipher",
    "mode",
    "data offset in sectors",
    "sector size",
    "key size",
];
/// Read from an encrypted segment; libcryptsetup reads them from any.
const OF_CRYPT: [&str; 3] = ["cipher", "mode", "sector size"];
/// Members of a keyslot that we read of the type `luks2` only.
const OF_LUKS2_KEYSLOTS: [&str; 3] = ["cipher", "cipher key size", "kdf"];

pub enum Judgement {
    /// By both, and it says the same to both.
    Accepted,
    Refused,
    /// They differ as an entry of the lists says.
    Listed(&'static str),
    Unexplained(String),
}

pub fn headers(luks: &Result<Luks, Error>, length: u64, answer: &Value) -> Judgement {
    let fields = answer["fields"].as_object();
    match (luks, fields) {
        (Err(_), None) => Judgement::Refused,
        (Ok(luks), Some(fields)) => same_fields(luks, fields),
        (Ok(luks), None) => match expected::accepted(luks, length, answer) {
            Some(name) => Judgement::Listed(name),
            None => Judgement::Unexplained(format!(
                "we accept it, {:?}; libcryptsetup refuses it: {} {}",
                luks.warnings(),
                answer["code"],
                answer["messages"]
            )),
        },
        (Err(error), Some(_)) => match expected::refused(error) {
            Some(name) => Judgement::Listed(name),
            None => Judgement::Unexplained(format!(
                "we refuse it: {error} ({error:?}); libcryptsetup accepts it"
            )),
        },
    }
}

fn same_fields(luks: &Luks, theirs: &Map<String, Value>) -> Judgement {
    if let Some(entry) = expected::other_copy(luks) {
        return Judgement::Listed(entry);
    }
    let mut ours = ours::fields(luks.header());
    let mut theirs = theirs.clone();
    match theirs.get("json").and_then(Value::as_str) {
        Some(text) => {
            let json = serde_json::from_str(text).unwrap_or(Value::Null);
            theirs.insert("json".into(), json);
        }
        None => drop(ours.remove("json")),
    }
    if let Header::Luks2(header) = luks.header() {
        make_comparable(header, &mut ours, &mut theirs);
    }
    let names = ours
        .keys()
        .chain(theirs.keys().filter(|name| !ours.contains_key(*name)));
    let mut listed = None;
    let mut problems = Vec::new();
    for name in names {
        let (a, b) = (ours.get(name), theirs.get(name));
        if a == b {
            continue;
        }
        match expected::different(name, a, b, luks) {
            Some(entry) => listed = Some(entry),
            None => problems.push(format!(
                "{name}: {} for us, {} for libcryptsetup",
                a.unwrap_or(&Value::Null),
                b.unwrap_or(&Value::Null)
            )),
        }
    }
    match (problems.is_empty(), listed) {
        (true, None) => Judgement::Accepted,
        (true, Some(entry)) => Judgement::Listed(entry),
        (false, _) => Judgement::Unexplained(problems.join("; ")),
    }
}

/// Takes out what only one side has a field for.
fn make_comparable(
    header: &luks2::Header,
    ours: &mut Map<String, Value>,
    theirs: &mut Map<String, Value>,
) {
    let metadata = &header.metadata;
    if metadata.segments.len() != metadata.data_segments().count() {
        for name in OF_ONE_SEGMENT {
            ours.remove(name);
            theirs.remove(name);
        }
    }
    let first = metadata.data_segments().next();
    if !first.is_some_and(|segment| matches!(segment.kind, SegmentKind::Crypt(_))) {
        for name in OF_CRYPT {
            ours.remove(name);
            theirs.remove(name);
        }
    }
    for keyslot in &metadata.keyslots {
        let name = format!("keyslot {}", keyslot.id);
        let Some(theirs) = theirs.get_mut(&name).and_then(Value::as_object_mut) else {
            continue;
        };
        match &keyslot.kind {
            KeyslotKind::Reencrypt(_) | KeyslotKind::Other { .. } => {
                for member in OF_LUKS2_KEYSLOTS {
                    theirs.remove(member);
                }
            }
            // Of a derivation that we do not know, only its type is of interest, which the JSON has.
            KeyslotKind::Luks2(slot) if slot.kdf.is_err() => drop(theirs.remove("kdf")),
            // Of a hash we have the name, and not its spelling.
            KeyslotKind::Luks2(_) => {
                let hash = theirs.get_mut("kdf").and_then(|kdf| kdf.get_mut(1));
                if let Some(Value::String(hash)) = hash {
                    hash.make_ascii_lowercase();
                }
            }
        }
    }
}

/// Whether no keyslot and no digest costs more than a few milliseconds, for neither.
pub fn is_cheap(header: &Header) -> bool {
    const MOST: u32 = 100_000;
    match header {
        Header::Luks1(header) => {
            header.mk_digest_iterations <= MOST
                && header
                    .keyslots
                    .iter()
                    .all(|keyslot| keyslot.iterations <= MOST)
        }
        Header::Luks2(header) => {
            let metadata = &header.metadata;
            let digests = metadata
                .digests
                .iter()
                .all(|digest| matches!(digest.pbkdf2, Ok((_, iterations)) if iterations <= MOST));
            digests
                && metadata.keyslots.iter().all(|keyslot| match &keyslot.kind {
                    KeyslotKind::Luks2(slot) => {
                        slot.kdf.as_ref().is_ok_and(|params| match params {
                            luks::KdfParams::Pbkdf2 { iterations, .. } => *iterations <= MOST,
                            luks::KdfParams::Argon2 {
                                time,
                                memory_kib,
                                lanes,
                                ..
                            } => {
                                *memory_kib <= 1024
                                    && *lanes <= 4
                                    && time.saturating_mul(*memory_kib) <= 4096
                            }
                        })
                    }
                    KeyslotKind::Reencrypt(_) | KeyslotKind::Other { .. } => true,
                })
        }
    }
}

/// What a passphrase opens.
pub fn unlocked(luks: &Luks, ours: &Result<(u32, Vec<u8>), Error>, answer: &Value) -> Judgement {
    let theirs = &answer["unlocked"];
    match (ours, theirs["keyslot"].as_u64()) {
        (Ok((keyslot, key)), Some(other)) => {
            let is_same = u64::from(*keyslot) == other && theirs["key"] == Value::from(key.clone());
            if is_same {
                return Judgement::Accepted;
            }
            Judgement::Unexplained(format!(
                "keyslot {keyslot} opens for us, {other} for libcryptsetup, or their keys differ"
            ))
        }
        (Err(_), None) => Judgement::Refused,
        (Ok((keyslot, _)), None) => match expected::unlocked(luks) {
            Some(name) => Judgement::Listed(name),
            None => Judgement::Unexplained(format!(
                "keyslot {keyslot} opens for us; for libcryptsetup none: {theirs} {}",
                answer["messages"]
            )),
        },
        (Err(error), Some(other)) => match expected::not_unlocked(luks, error) {
            Some(name) => Judgement::Listed(name),
            None => Judgement::Unexplained(format!(
                "not opened by us: {error} ({error:?}); keyslot {other} opens for libcryptsetup"
            )),
        },
    }
}
