use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use luks::luks2::{
    BinaryHeader, Header, KeyslotKind, METADATA_SIZES, Metadata, Priority, SegmentKind,
    SegmentSize, Which,
};
use luks::{ConfigChanges, Corrupt, KdfParams, Luks, OsRandom, config, luks1};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

use crate::common::{memory, open};
use crate::copies::good;

const HASHES: &[&str] = &[
    "sha1",
    "sha256",
    "sha512",
    "ripemd160",
    "whirlpool",
    "not-built",
];

/// Fields of a LUKS1 header that may break rules, but are writable.
fn any_luks1() -> impl Strategy<Value = luks1::Header> {
    let small = |most: u32| prop_oneof![8 => 1..=most, 1 => Just(0), 1 => any::<u32>()];
    let keyslot = (
        any::<bool>(),
        small(5_000_000),
        any::<[u8; 32]>(),
        prop_oneof![9 => 0_u32..3, 1 => any::<u32>()],
    );
    let names = (
        select(&["aes", "serpent", "twofish"]),
        select(&["xts-plain64", "cbc-essiv:sha256", "ecb"]),
        select(HASHES),
    );
    let numbers = (
        small(2080),
        prop_oneof![3 => Just(0), 3 => 0_u32..200_000, 3 => any::<u32>()],
        small(100_000),
    );
    let rest = (
        any::<[u8; 20]>(),
        any::<[u8; 32]>(),
        text(40),
        prop::array::uniform8(keyslot),
    );
    (names, numbers, rest).prop_map(
        |((cipher, mode, hash), (key_bytes, payload_offset_sectors, iterations), rest)| {
            let (mk_digest, mk_digest_salt, uuid, keyslots) = rest;
            // One behind the other, but for what a keyslot's last number says.
            let sectors = (4000 * u64::from(key_bytes)).div_ceil(512);
            let mut next = 2;
            let keyslots = keyslots.map(|(active, iterations, salt, gap)| {
                let at = if gap < 3 {
                    next + u64::from(gap)
                } else {
                    gap.into()
                };
                next = at + sectors;
                luks1::Keyslot {
                    active,
                    iterations,
                    salt,
                    material_offset_sectors: u32::try_from(at).unwrap_or(u32::MAX),
                }
            });
            luks1::Header {
                cipher_name: cipher.into(),
                cipher_mode: mode.into(),
                hash_spec: hash.into(),
                payload_offset_sectors,
                key_bytes,
                mk_digest,
                mk_digest_salt,
                mk_digest_iterations: iterations,
                uuid,
                keyslots,
            }
        },
    )
}

/// Text without NUL that has fewer bytes than its field.
fn text(field_bytes: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>(), 0..field_bytes).prop_map(move |letters| {
        let mut text = String::new();
        for letter in letters.into_iter().filter(|letter| *letter != '\0') {
            if text.len() + letter.len_utf8() < field_bytes {
                text.push(letter);
            }
        }
        text
    })
}

/// The rules of the specification over the fields, one by one.
fn is_sound(header: &luks1::Header) -> bool {
    let length = (4000 * u128::from(header.key_bytes)).div_ceil(512);
    let areas = header.keyslots.each_ref().map(|keyslot| {
        let start = u128::from(keyslot.material_offset_sectors);
        (start, start + length)
    });
    let data = u128::from(header.payload_offset_sectors);
    let apart = |a: (u128, u128), b: (u128, u128)| a.1 <= b.0 || b.1 <= a.0;
    (1..=2080).contains(&header.key_bytes)
        && header.mk_digest_iterations > 0
        && header
            .keyslots
            .iter()
            .all(|keyslot| !keyslot.active || keyslot.iterations > 0)
        && areas
            .iter()
            .all(|area| area.0 >= 2 && (data == 0 || area.1 <= data))
        && areas
            .iter()
            .enumerate()
            .all(|(index, area)| areas[..index].iter().all(|other| apart(*area, *other)))
}

/// Any JSON that a header may hold and nobody knows.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("JSON has finite numbers only", |number| {
            number.is_finite().then(|| Value::from(number))
        }),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,12}", inner, 0..4).prop_map(|members| json!(members)),
        ]
    })
}

/// A header's JSON, and what is to be read of it.
#[derive(Clone, Debug)]
struct Model {
    header_bytes: u64,
    keyslots: Vec<(u32, Slot)>,
    segments: Vec<Part>,
    tokens: Vec<(u32, String)>,
    flags: Vec<String>,
    /// Members that nobody knows, each with a number that chooses the object that it is put into.
    unknown: Vec<(usize, String, Value)>,
}

#[derive(Clone, Debug)]
struct Slot {
    key_bytes: u32,
    priority: Option<u32>,
    kdf: usize,
    cost: u32,
    salt: Vec<u8>,
    /// A type that is not known, with which only the frame counts.
    other: Option<String>,
    gap: u64,
}

#[derive(Clone, Debug)]
struct Part {
    bytes: u32,
    iv_tweak: u64,
    sector_size: u32,
    other: Option<String>,
}

fn any_model() -> impl Strategy<Value = Model> {
    // Starts with a letter that no type has that is known.
    let other = || prop::option::weighted(0.2, "x[a-z]{0,8}");
    let slot = (
        1_u32..=64,
        prop::option::of(0_u32..=2),
        0_usize..3,
        1..=u32::MAX,
        prop::collection::vec(any::<u8>(), 1..65),
        other(),
        0_u64..3,
    )
        .prop_map(|(key_bytes, priority, kdf, cost, salt, other, gap)| Slot {
            key_bytes,
            priority,
            kdf,
            cost,
            salt,
            other,
            gap,
        });
    let part = (
        1..=u32::MAX,
        any::<u64>(),
        select(&[512_u32, 1024, 2048, 4096]),
        other(),
    )
        .prop_map(|(bytes, iv_tweak, sector_size, other)| Part {
            bytes,
            iv_tweak,
            sector_size,
            other,
        });
    let unknown = (any::<usize>(), "unknown [^\0]{0,12}", any_json());
    (
        select(&METADATA_SIZES[1..5]),
        prop::collection::btree_map(0_u32..32, slot, 0..6),
        prop::collection::vec(part, 1..4),
        prop::collection::btree_map(0_u32..32, "[a-z]{1,12}", 0..4),
        prop::collection::vec("[a-z-]{1,16}", 0..3),
        prop::collection::vec(unknown, 0..8),
    )
        .prop_map(
            |(header_bytes, keyslots, segments, tokens, flags, unknown)| Model {
                header_bytes,
                keyslots: keyslots.into_iter().collect(),
                segments,
                tokens: tokens.into_iter().collect(),
                flags,
                unknown,
            },
        )
}

impl Model {
    const AREA_BYTES: u64 = 64 * 4096;
    const KEYSLOTS_BYTES: u64 = 6 * (Self::AREA_BYTES + 3 * 4096);

    fn area(&self, index: usize) -> u64 {
        let gaps: u64 = self.keyslots[..=index]
            .iter()
            .map(|(_, slot)| slot.gap * 4096)
            .sum();
        2 * self.header_bytes + gaps + index as u64 * Self::AREA_BYTES
    }

    fn data(&self, index: usize) -> u64 {
        let before: u64 = self.segments[..index]
            .iter()
            .map(|part| u64::from(part.bytes) * 4096)
            .sum();
        2 * self.header_bytes + Self::KEYSLOTS_BYTES + before
    }

    fn json(&self) -> Map<String, Value> {
        let kdf = |slot: &Slot| {
            let mut kdf = json!({ "type": KDFS[slot.kdf], "salt": BASE64.encode(&slot.salt) });
            if slot.kdf == 0 {
                kdf["hash"] = json!("sha256");
                kdf["iterations"] = json!(slot.cost);
            } else {
                kdf["time"] = json!(slot.cost);
                kdf["memory"] = json!(slot.cost / 2 + 1);
                kdf["cpus"] = json!(slot.cost % 4 + 1);
            }
            kdf
        };
        let keyslots = self.keyslots.iter().enumerate().map(|(index, (id, slot))| {
            let area = json!({
                "type": "raw", "offset": self.area(index).to_string(), "size": Self::AREA_BYTES.to_string(),
                "encryption": "aes-xts-plain64", "key_size": 64,
            });
            let mut keyslot = json!({
                "type": slot.other.as_deref().unwrap_or("luks2"), "key_size": slot.key_bytes, "area": area,
                "af": { "type": "luks1", "stripes": 4000, "hash": "sha256" }, "kdf": kdf(slot),
            });
            if let Some(priority) = slot.priority {
                keyslot["priority"] = json!(priority);
            }
            (id.to_string(), keyslot)
        });
        let segments = self.segments.iter().enumerate().map(|(index, part)| {
            let is_last = index + 1 == self.segments.len();
            let size = if is_last { "dynamic".to_owned() } else { (u64::from(part.bytes) * 4096).to_string() };
            let segment = json!({
                "type": part.other.as_deref().unwrap_or("crypt"), "offset": self.data(index).to_string(), "size": size,
                "iv_tweak": part.iv_tweak.to_string(), "encryption": "aes-xts-plain64", "sector_size": part.sector_size,
            });
            (index.to_string(), segment)
        });
        let ids: Vec<String> = self.keyslots.iter().map(|(id, _)| id.to_string()).collect();
        let tokens = self
            .tokens
            .iter()
            .map(|(id, kind)| (id.to_string(), json!({ "type": kind, "keyslots": ids })));
        let segment_ids: Vec<String> = (0..self.segments.len())
            .map(|index| index.to_string())
            .collect();
        let digest = json!({
            "type": "pbkdf2", "keyslots": ids, "segments": segment_ids, "hash": "sha256", "iterations": 1000,
            "salt": BASE64.encode([1; 32]), "digest": BASE64.encode([2; 32]),
        });
        let config = json!({
            "json_size": (self.header_bytes - 4096).to_string(), "keyslots_size": Self::KEYSLOTS_BYTES.to_string(),
            "flags": self.flags,
        });
        let mut root = json!({
            "keyslots": keyslots.collect::<Map<_, _>>(), "tokens": tokens.collect::<Map<_, _>>(),
            "segments": segments.collect::<Map<_, _>>(), "digests": { "0": digest }, "config": config,
        });
        for (place, name, value) in &self.unknown {
            let objects = objects(&root);
            root.pointer_mut(&objects[place % objects.len()]).unwrap()[name] = value.clone();
        }
        root.as_object().unwrap().clone()
    }
}

const KDFS: [&str; 3] = ["pbkdf2", "argon2i", "argon2id"];

/// Pointers to the objects of a header whose members have names: all but the four whose members are numbered.
fn objects(root: &Value) -> Vec<String> {
    let mut paths = vec![String::new(), "/config".to_owned()];
    for section in ["keyslots", "tokens", "segments", "digests"] {
        for id in root[section].as_object().unwrap().keys() {
            paths.push(format!("/{section}/{id}"));
            if section == "keyslots" {
                paths.extend(["area", "af", "kdf"].map(|inner| format!("/keyslots/{id}/{inner}")));
            }
        }
    }
    paths
}

/// Pointers to every value below the root.
fn places(value: &Value, path: &str) -> Vec<String> {
    let below: Vec<(String, &Value)> = match value {
        // Names with a tilde or a slash would need escapes; none is known.
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| !name.contains(['~', '/']))
            .map(|(name, value)| (format!("{path}/{name}"), value))
            .collect(),
        Value::Array(values) => (0..)
            .zip(values)
            .map(|(index, value): (u32, _)| (format!("{path}/{index}"), value))
            .collect(),
        _ => Vec::new(),
    };
    below
        .into_iter()
        .flat_map(|(path, value)| [places(value, &path), vec![path]].concat())
        .collect()
}

/// The JSON area, as it lies on disk.
fn area(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0; 3]].concat()
}

/// What was accepted, or why it was not.
fn verdict(metadata: Result<Metadata, Corrupt>) -> Result<Map<String, Value>, Corrupt> {
    metadata.map(|metadata| metadata.raw().clone())
}

/// Read as the nearest number, and not as the one beside it that is faster to find.
#[test]
fn a_number_with_a_fraction_is_kept() {
    let (_, luks) = open(good()).unwrap();
    let luks::Header::Luks2(header) = luks.header() else {
        panic!("a LUKS2 header");
    };
    let mut raw = header.metadata.raw().clone();
    raw.insert("unknown".into(), json!(-7.276_771_377_032_514_4e-37));
    let text = serde_json::to_string(&raw).unwrap();
    let metadata = Metadata::parse(&area(&text), 0x4000).unwrap();
    assert_eq!(metadata.to_text(), text);
}

proptest! {
    #[test]
    fn a_luks1_header_is_read_as_it_was_written_exactly_when_it_is_sound(header in any_luks1()) {
        let parsed = luks1::Header::parse(&header.to_bytes());
        prop_assert_eq!(parsed.is_ok(), is_sound(&header), "{:?}", parsed);
        if let Ok(parsed) = parsed {
            prop_assert_eq!(parsed, header);
        }
    }

    #[test]
    fn a_luks2_header_is_read_as_it_was_written(
        model in any_model(),
        epoch in any::<u64>(),
        label in text(48),
        subsystem in text(48),
        uuid in text(40),
        salt in any::<u8>(),
        is_second in any::<bool>(),
    ) {
        let binary = BinaryHeader { header_bytes: model.header_bytes, epoch, label, uuid, subsystem };
        let metadata = Metadata::from_raw(model.json(), model.header_bytes).unwrap();
        let header = Header { binary, metadata };
        let (which, at) = if is_second { (Which::Secondary, model.header_bytes) } else { (Which::Primary, 0) };
        let bytes = header.to_bytes(which, [salt; 64]).unwrap();
        prop_assert_eq!(bytes.len() as u64, model.header_bytes);
        let binary = BinaryHeader::parse(which, at, &bytes).unwrap();
        prop_assert_eq!(&binary, &header.binary);
        let again = Header::parse(binary, &bytes).unwrap();
        prop_assert!(again.says_the_same_as(&header));
        // Byte for byte: the order of members is kept, too.
        prop_assert_eq!(again.to_bytes(which, [salt; 64]).unwrap(), bytes);
    }

    #[test]
    fn luks2_metadata_say_what_they_were_made_of(model in any_model()) {
        let raw = model.json();
        let metadata = Metadata::from_raw(raw.clone(), model.header_bytes).unwrap();
        let again = Metadata::parse(&area(&metadata.to_text()), model.header_bytes).unwrap();
        for metadata in [metadata, again] {
            prop_assert_eq!(metadata.raw(), &raw);
            prop_assert_eq!(metadata.keyslots.len(), model.keyslots.len());
            for (index, (id, slot)) in model.keyslots.iter().enumerate() {
                let keyslot = metadata.keyslot(*id).unwrap();
                prop_assert_eq!(keyslot.key_bytes, slot.key_bytes);
                prop_assert_eq!((keyslot.area.offset, keyslot.area.size), (model.area(index), Model::AREA_BYTES));
                let priorities = [Priority::Ignore, Priority::Normal, Priority::Prefer];
                prop_assert_eq!(keyslot.priority, priorities[slot.priority.unwrap_or(1) as usize]);
                match (&keyslot.kind, &slot.other) {
                    (KeyslotKind::Other { kind }, Some(other)) => prop_assert_eq!(kind, other),
                    (KeyslotKind::Luks2(inner), None) => {
                        prop_assert_eq!(&inner.salt, &slot.salt);
                        let kdf = inner.kdf.as_ref().unwrap();
                        prop_assert_eq!(kdf.name(), KDFS[slot.kdf]);
                        let cost = match *kdf {
                            KdfParams::Pbkdf2 { iterations, .. } => iterations,
                            KdfParams::Argon2 { time, memory_kib, lanes, .. } => {
                                prop_assert_eq!((memory_kib, lanes), (time / 2 + 1, time % 4 + 1));
                                time
                            }
                        };
                        prop_assert_eq!(cost, slot.cost);
                    }
                    (kind, other) => prop_assert!(false, "{kind:?} is not {other:?}"),
                }
            }
            prop_assert_eq!(metadata.segments.len(), model.segments.len());
            for (index, part) in model.segments.iter().enumerate() {
                let segment = &metadata.segments[index];
                prop_assert_eq!(segment.offset, model.data(index));
                let is_last = index + 1 == model.segments.len();
                let bytes = SegmentSize::Bytes(u64::from(part.bytes) * 4096);
                prop_assert_eq!(segment.size, if is_last { SegmentSize::Dynamic } else { bytes });
                match (&segment.kind, &part.other) {
                    (SegmentKind::Other { kind }, Some(other)) => prop_assert_eq!(kind, other),
                    (SegmentKind::Crypt(crypt), None) => {
                        prop_assert_eq!((crypt.iv_tweak, crypt.sector_size), (part.iv_tweak, part.sector_size));
                    }
                    (kind, other) => prop_assert!(false, "{kind:?} is not {other:?}"),
                }
            }
            let ids: Vec<u32> = model.keyslots.iter().map(|(id, _)| *id).collect();
            prop_assert_eq!(&metadata.digests[0].keyslots, &ids);
            let tokens: Vec<(u32, String)> =
                metadata.tokens.iter().map(|token| (token.id, token.kind.clone())).collect();
            prop_assert_eq!(&tokens, &model.tokens);
            prop_assert!(metadata.tokens.iter().all(|token| token.keyslots == ids));
            prop_assert_eq!(&metadata.config.flags, &model.flags);
        }
    }

    /// Whatever is wrong is wrong in memory as it is on disk, and what is right stays so.
    #[test]
    fn luks2_metadata_are_judged_alike_before_and_after_writing(
        model in any_model(),
        changes in prop::collection::vec((any::<Index>(), prop::option::of(any_json())), 1..4),
    ) {
        let mut root = Value::Object(model.json());
        for (place, value) in changes {
            let places = places(&root, "");
            let path = place.get(&places);
            let (parent, name) = path.rsplit_once('/').unwrap();
            match (root.pointer_mut(parent).unwrap(), value) {
                (Value::Object(members), None) => {
                    members.shift_remove(name);
                }
                (Value::Array(values), None) => {
                    values.remove(name.parse().unwrap());
                }
                (_, value) => *root.pointer_mut(path).unwrap() = value.unwrap_or_default(),
            }
        }
        let raw = root.as_object().unwrap().clone();
        let text = root.to_string();
        let before = verdict(Metadata::from_raw(raw, model.header_bytes));
        let after = verdict(Metadata::parse(&area(&text), model.header_bytes));
        prop_assert_eq!(&before, &after, "{}", text);
        if let Ok(raw) = after {
            prop_assert_eq!(verdict(Metadata::from_raw(raw.clone(), model.header_bytes)), Ok(raw));
        }
    }

    /// A change of one thing leaves what nobody knows, at every level.
    #[test]
    fn unknown_members_survive_a_change(model in any_model(), label in text(48)) {
        let raw = model.json();
        let binary = BinaryHeader {
            header_bytes: model.header_bytes,
            epoch: 7,
            label: String::new(),
            uuid: "6a1e0b7e-52f0-4a1c-9d9e-2a8b3d4c5e6f".into(),
            subsystem: String::new(),
        };
        let header = Header { binary, metadata: Metadata::from_raw(raw.clone(), model.header_bytes).unwrap() };
        let mut image = header.to_bytes(Which::Primary, [1; 64]).unwrap();
        image.extend(header.to_bytes(Which::Secondary, [2; 64]).unwrap());
        image.resize(usize::try_from(model.data(0)).unwrap() + 4096, 0);
        let storage = memory(image);
        let changes = ConfigChanges { label: Some(label.clone()), ..ConfigChanges::default() };
        config::configure(&Luks::open(storage.clone()).unwrap(), &changes, &mut OsRandom).unwrap();
        let luks = Luks::open(storage).unwrap();
        let luks::Header::Luks2(header) = luks.header() else {
            panic!("a LUKS2 header");
        };
        prop_assert_eq!(header.metadata.raw(), &raw);
        prop_assert_eq!(&header.binary.label, &label);
    }
}
