//! What a header of either format says, in the words of a policy.

use dmcrypt::SECTOR_BYTES;
use serde_json::{Map, Value};

use crate::device::{Header, Luks};
use crate::fingerprint::Fingerprint;
use crate::format::Version;
use crate::kdf::KdfParams;
use crate::luks1;
use crate::luks2::{self, KeyslotKind, Priority, SegmentKind, SegmentSize};
use crate::number::to_u64;

pub(super) struct Facts {
    pub(super) version: Version,
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) uuid: String,
    /// What only LUKS2 has.
    pub(super) luks2: Option<Luks2Facts>,
    pub(super) segments: Vec<SegmentFacts>,
    pub(super) keyslots: Vec<KeyslotFacts>,
    pub(super) digests: Vec<DigestFacts>,
}

pub(super) struct Luks2Facts {
    pub(super) label: String,
    pub(super) subsystem: String,
    pub(super) epoch: u64,
    pub(super) header_bytes: u64,
    pub(super) keyslots_area_bytes: u64,
    pub(super) flags: Vec<String>,
    pub(super) requirements: Vec<String>,
    /// Paths of members that LUKS2 does not define.
    pub(super) unknown_members: Vec<String>,
    /// Numbers and types.
    pub(super) tokens: Vec<(u32, String)>,
}

pub(super) struct SegmentFacts {
    pub(super) id: u32,
    pub(super) kind: String,
    pub(super) flags: Vec<String>,
    pub(super) offset_bytes: u64,
    pub(super) size: String,
    pub(super) crypt: Option<CryptFacts>,
}

pub(super) struct CryptFacts {
    pub(super) cipher: String,
    pub(super) sector_bytes: u64,
    pub(super) iv_tweak: u64,
    pub(super) integrity: bool,
}

pub(super) struct KeyslotFacts {
    pub(super) id: u32,
    pub(super) kind: String,
    pub(super) unbound: bool,
    pub(super) priority: &'static str,
    pub(super) key_bits: u64,
    pub(super) area_offset_bytes: u64,
    pub(super) area_bytes: u64,
    /// What only a keyslot under a passphrase has.
    pub(super) passphrase: Option<PassphraseFacts>,
}

pub(super) struct PassphraseFacts {
    pub(super) cipher: String,
    pub(super) cipher_key_bits: u64,
    pub(super) splitter_hash: String,
    pub(super) kdf: String,
    /// The hash of PBKDF2, known or not.
    pub(super) pbkdf2_hash: Option<String>,
    pub(super) costs: Option<Costs>,
    pub(super) salt_bytes: u64,
}

/// What a key derivation that is known costs.
pub(super) enum Costs {
    Pbkdf2 {
        iterations: u64,
    },
    Argon2 {
        time: u64,
        memory_kib: u64,
        lanes: u64,
    },
}

pub(super) struct DigestFacts {
    pub(super) id: u32,
    pub(super) kind: String,
    pub(super) hash: String,
    pub(super) iterations: Option<u64>,
    pub(super) salt_bytes: u64,
    pub(super) digest_bytes: u64,
}

impl Facts {
    pub(super) fn of(luks: &Luks) -> Self {
        let fingerprint = luks.fingerprint();
        match luks.header() {
            Header::Luks1(header) => luks1(header, fingerprint),
            Header::Luks2(header) => luks2(header, fingerprint),
        }
    }
}

fn bits(bytes: u32) -> u64 {
    u64::from(bytes).saturating_mul(8)
}

fn luks1(header: &luks1::Header, fingerprint: Option<Fingerprint>) -> Facts {
    let cipher = format!("{}-{}", header.cipher_name, header.cipher_mode);
    let keyslots = (0u32..)
        .zip(&header.keyslots)
        .filter(|(_, slot)| slot.active);
    Facts {
        version: Version::Luks1,
        fingerprint,
        uuid: header.uuid.clone(),
        luks2: None,
        segments: vec![SegmentFacts {
            id: 0,
            kind: "crypt".into(),
            flags: Vec::new(),
            offset_bytes: header.data_offset(),
            size: DYNAMIC.into(),
            crypt: Some(CryptFacts {
                cipher: cipher.clone(),
                sector_bytes: SECTOR_BYTES,
                iv_tweak: 0,
                integrity: false,
            }),
        }],
        keyslots: keyslots
            .map(|(id, slot)| KeyslotFacts {
                id,
                kind: "luks1".into(),
                unbound: false,
                priority: "normal",
                key_bits: bits(header.key_bytes),
                area_offset_bytes: slot.area_offset(),
                area_bytes: header.area_length(),
                passphrase: Some(PassphraseFacts {
                    cipher: cipher.clone(),
                    cipher_key_bits: bits(header.key_bytes),
                    splitter_hash: header.hash_spec.clone(),
                    kdf: "pbkdf2".into(),
                    pbkdf2_hash: Some(header.hash_spec.clone()),
                    costs: Some(Costs::Pbkdf2 {
                        iterations: slot.iterations.into(),
                    }),
                    salt_bytes: to_u64(slot.salt.len()),
                }),
            })
            .collect(),
        digests: vec![DigestFacts {
            id: 0,
            kind: "pbkdf2".into(),
            hash: header.hash_spec.clone(),
            iterations: Some(header.mk_digest_iterations.into()),
            salt_bytes: to_u64(header.mk_digest_salt.len()),
            digest_bytes: to_u64(header.mk_digest.len()),
        }],
    }
}

const DYNAMIC: &str = "dynamic";

fn luks2(header: &luks2::Header, fingerprint: Option<Fingerprint>) -> Facts {
    let (binary, metadata) = (&header.binary, &header.metadata);
    let tokens = metadata.tokens.iter();
    Facts {
        version: Version::Luks2,
        fingerprint,
        uuid: binary.uuid.clone(),
        luks2: Some(Luks2Facts {
            label: binary.label.clone(),
            subsystem: binary.subsystem.clone(),
            epoch: binary.epoch,
            header_bytes: binary.header_bytes,
            keyslots_area_bytes: metadata.config.keyslots_bytes,
            flags: metadata.config.flags.clone(),
            requirements: metadata.config.requirements.clone(),
            unknown_members: luks2::unknown_members(metadata.raw()),
            tokens: tokens.map(|token| (token.id, token.kind.clone())).collect(),
        }),
        segments: metadata.segments.iter().map(segment).collect(),
        keyslots: metadata
            .keyslots
            .iter()
            .map(|slot| keyslot(metadata, slot))
            .collect(),
        digests: metadata
            .digests
            .iter()
            .map(|digest| DigestFacts {
                id: digest.id,
                kind: text(metadata.raw(), &["digests", &digest.id.to_string(), "type"]),
                hash: text(metadata.raw(), &["digests", &digest.id.to_string(), "hash"]),
                iterations: digest
                    .pbkdf2
                    .as_ref()
                    .ok()
                    .map(|(_, iterations)| u64::from(*iterations)),
                salt_bytes: to_u64(digest.salt.len()),
                digest_bytes: to_u64(digest.digest.len()),
            })
            .collect(),
    }
}

fn segment(segment: &luks2::Segment) -> SegmentFacts {
    let (kind, crypt) = match &segment.kind {
        SegmentKind::Linear => ("linear", None),
        SegmentKind::Other { kind } => (kind.as_str(), None),
        SegmentKind::Crypt(crypt) => (
            "crypt",
            Some(CryptFacts {
                cipher: crypt.text.clone(),
                sector_bytes: crypt.sector_size.into(),
                iv_tweak: crypt.iv_tweak,
                integrity: crypt.integrity,
            }),
        ),
    };
    SegmentFacts {
        id: segment.id,
        kind: kind.into(),
        flags: segment.flags.clone(),
        offset_bytes: segment.offset,
        size: match segment.size {
            SegmentSize::Dynamic => DYNAMIC.into(),
            SegmentSize::Bytes(bytes) => bytes.to_string(),
        },
        crypt,
    }
}

fn keyslot(metadata: &luks2::Metadata, slot: &luks2::Keyslot) -> KeyslotFacts {
    let id = slot.id.to_string();
    let (kind, passphrase) = match &slot.kind {
        other @ (KeyslotKind::Reencrypt(_) | KeyslotKind::Other { .. }) => (other.name(), None),
        KeyslotKind::Luks2(passphrase) => {
            let text = |object, name| text(metadata.raw(), &["keyslots", &id, object, name]);
            let kdf = text("kdf", "type");
            let costs = passphrase.kdf.as_ref().ok().map(|params| match *params {
                KdfParams::Pbkdf2 { iterations, .. } => Costs::Pbkdf2 {
                    iterations: iterations.into(),
                },
                KdfParams::Argon2 {
                    time,
                    memory_kib,
                    lanes,
                    ..
                } => Costs::Argon2 {
                    time: time.into(),
                    memory_kib: memory_kib.into(),
                    lanes: lanes.into(),
                },
            });
            let facts = PassphraseFacts {
                cipher: passphrase.cipher.text.clone(),
                cipher_key_bits: bits(passphrase.cipher.key_bytes),
                splitter_hash: text("af", "hash"),
                pbkdf2_hash: (kdf == "pbkdf2").then(|| text("kdf", "hash")),
                kdf,
                costs,
                salt_bytes: to_u64(passphrase.salt.len()),
            };
            ("luks2", Some(facts))
        }
    };
    let digest = metadata.digest_of_keyslot(slot.id);
    KeyslotFacts {
        id: slot.id,
        kind: kind.into(),
        unbound: digest.is_none_or(|digest| digest.segments.is_empty()),
        priority: match slot.priority {
            Priority::Ignore => "ignore",
            Priority::Normal => "normal",
            Priority::Prefer => "prefer",
        },
        key_bits: bits(slot.key_bytes),
        area_offset_bytes: slot.area.offset,
        area_bytes: slot.area.size,
        passphrase,
    }
}

/// A text of metadata that was checked; of an unknown type it may be absent, and is empty then.
fn text(raw: &Map<String, Value>, path: &[&str]) -> String {
    let mut members = Some(raw);
    let (last, objects) = path.split_last().expect("a path names something");
    for name in objects {
        members = members
            .and_then(|members| members.get(*name))
            .and_then(Value::as_object);
    }
    let value = members
        .and_then(|members| members.get(*last))
        .and_then(Value::as_str);
    value.unwrap_or_default().into()
}
