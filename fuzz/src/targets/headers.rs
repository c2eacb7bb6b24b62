//! Headers from bytes.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use arbitrary::Unstructured;
use luks::luks2::{BinaryHeader, Header, Metadata, Which};
use luks::{Error, Luks, Version, luks1};
use serde_json::Value;
use volume::{MemoryStorage, Storage};

use super::support::{
    PASSPHRASE, changeable, check_data, container, damage, fix_checksums, options, passphrase,
};

/// A LUKS1 header is refused or keeps every rule: written it is read as the same, its areas lie behind it and apart from
/// each other, and a container of these bytes is judged alike.
///
/// # Panics
/// When one of these does not hold.
pub fn luks1_header(data: &[u8]) -> bool {
    let parsed = luks1::Header::parse(data);
    if let Ok(header) = &parsed {
        let written = header.to_bytes();
        assert_eq!(luks1::Header::parse(&written).as_ref(), Ok(header));
        let mut areas: Vec<_> = header
            .keyslots
            .iter()
            .map(|keyslot| {
                (
                    keyslot.area_offset(),
                    keyslot.area_offset() + header.area_length(),
                )
            })
            .collect();
        areas.sort_unstable();
        assert!(areas[0].0 >= 592, "an area within the header");
        assert!(
            areas.windows(2).all(|pair| pair[0].1 <= pair[1].0),
            "areas overlap"
        );
        let _ = (header.cipher(), header.hash(), header.data_offset());
    }
    if data.starts_with(b"LUKS\xba\xbe\0\x01") && data.len() >= 1024 {
        let opened = Luks::open(Arc::new(MemoryStorage::from_vec(data.to_vec())));
        assert!(
            parsed.is_ok() || opened.is_err(),
            "accepted although it breaks a rule"
        );
    }
    parsed.is_ok()
}

/// A copy of a LUKS2 header is refused or keeps every rule: written it is read as the same.
///
/// # Panics
/// When it is not.
pub fn luks2_header(data: &[u8]) -> bool {
    let mut is_accepted = false;
    for (which, at) in [(Which::Primary, 0), (Which::Secondary, 0x4000)] {
        let Ok(binary) = BinaryHeader::parse(which, at, data) else {
            continue;
        };
        assert!((0x4000..=0x40_0000).contains(&binary.header_bytes));
        assert!(binary.label.len() < 48 && binary.subsystem.len() < 48 && binary.uuid.len() < 40);
        // As if its checksum were right, and as if zeros followed: neither is what is tried here.
        let mut area = data.get(BinaryHeader::BYTES..).unwrap_or_default().to_vec();
        area.push(0);
        let Ok(metadata) = Metadata::parse(&area, binary.header_bytes) else {
            continue;
        };
        let header = Header { binary, metadata };
        let written = header.to_bytes(which, [7; 64]).expect("what was read fits");
        let binary = BinaryHeader::parse(which, at, &written).expect("what was written is read");
        let again = Header::parse(binary, &written).expect("what was written is read");
        assert!(header.says_the_same_as(&again));
        is_accepted = true;
    }
    is_accepted
}

/// JSON of a header with some of its values replaced, removed and added is refused or keeps every rule: written it is
/// read as the same, unknown members included, areas lie in the keyslots area, and nothing refers to what is not there.
/// Unchanged it is read.
///
/// # Panics
/// When one of these does not hold.
pub fn luks2_json(data: &[u8]) -> bool {
    static UNCHANGED: OnceLock<Value> = OnceLock::new();
    let mut input = Unstructured::new(data);
    let unchanged = UNCHANGED.get_or_init(json);
    let mut json = unchanged.clone();
    let Ok(count) = input.int_in_range(0..=8) else {
        return false;
    };
    for _ in 0..count {
        let Ok(depth) = input.int_in_range(0..=5) else {
            break;
        };
        if change(&mut json, depth, &mut input).is_err() {
            break;
        }
    }
    let mut area = serde_json::to_vec(&json).expect("JSON is written");
    if area.len() > 0x3000 - 1 {
        return false;
    }
    // A few of the zeros that follow it in a header.
    area.extend([0; 16]);
    let Ok(metadata) = Metadata::parse(&area, 0x4000) else {
        assert!(json != *unchanged, "whole, and yet refused");
        return false;
    };
    assert_eq!(Value::Object(metadata.raw().clone()), json);
    let again = Metadata::from_raw(metadata.raw().clone(), 0x4000).expect("it was read before");
    assert_eq!(again.to_text(), metadata.to_text());
    let within = metadata.keyslots_area();
    for keyslot in &metadata.keyslots {
        let (start, end) = (keyslot.area.offset, keyslot.area.end());
        assert!(
            within.start <= start && end <= within.end,
            "an area elsewhere"
        );
    }
    let is_there = |id: &u32| metadata.keyslot(*id).is_some();
    for digest in &metadata.digests {
        assert!(
            digest.keyslots.iter().all(is_there),
            "a keyslot that is not there"
        );
    }
    true
}

/// The JSON of a container.
fn json() -> Value {
    let luks = Luks::open(container(Version::Luks2)).expect("it is a container");
    let luks::Header::Luks2(header) = luks.header() else {
        unreachable!("it is LUKS2");
    };
    Value::Object(header.metadata.raw().clone())
}

/// Changes a value so many members below this one, or where there are no further ones.
pub(super) fn change(
    value: &mut Value,
    depth: u8,
    input: &mut Unstructured<'_>,
) -> arbitrary::Result<()> {
    match value {
        Value::Object(members) if depth > 0 && !members.is_empty() => {
            let index = input.choose_index(members.len())?;
            let below = members.values_mut().nth(index);
            change(
                below.expect("the index is below the length"),
                depth - 1,
                input,
            )
        }
        Value::Array(values) if depth > 0 && !values.is_empty() => {
            let index = input.choose_index(values.len())?;
            change(&mut values[index], depth - 1, input)
        }
        Value::Object(members) if input.arbitrary()? => {
            let name = *input.choose(&["0", "1", "7", "31", "size", "flags", "unknown"])?;
            let new = new_value(input)?;
            members.insert(name.to_owned(), new);
            Ok(())
        }
        Value::Array(values) if input.arbitrary()? => {
            values.push(new_value(input)?);
            Ok(())
        }
        value => {
            *value = new_value(input)?;
            Ok(())
        }
    }
}

fn new_value(input: &mut Unstructured<'_>) -> arbitrary::Result<Value> {
    const TEXTS: &[&str] = &[
        "0",
        "1",
        "4096",
        "32768",
        "dynamic",
        "crypt",
        "aes-xts-plain64",
    ];
    Ok(match input.int_in_range(0..=7)? {
        0 => Value::Null,
        1 => Value::Bool(input.arbitrary()?),
        2 => Value::from(input.arbitrary::<i64>()?),
        3 => Value::from(input.arbitrary::<u64>()?.to_string()),
        4 => Value::from(*input.choose(TEXTS)?),
        5 => Value::from(input.arbitrary::<&str>()?),
        6 => Value::Array(vec![Value::from("0"), Value::from("1")]),
        _ => Value::Object(serde_json::Map::new()),
    })
}

/// Damaged containers, checksums made right, are refused or give no other volume key than theirs; whole ones open; reading
/// writes nothing.
///
/// # Panics
/// When one of these does not hold.
pub fn image(data: &[u8]) -> bool {
    let mut input = Unstructured::new(data);
    let (version, storage) = changeable(&mut input);
    // All of the header, and with LUKS2 its fields and the start of its text, where more depends on each byte.
    let ranges: &[Range<u64>] = match version {
        Version::Luks1 => &[0..592, 0..0x8000],
        Version::Luks2 => &[
            0..0x8000,
            0..448,
            0x1000..0x1400,
            0x4000..0x41c0,
            0x5000..0x5400,
        ],
    };
    let Ok(longest) = input.choose(&[1, 32]).copied() else {
        return false;
    };
    let Ok(is_damaged) = damage(&mut input, &*storage, ranges, 8, longest) else {
        return false;
    };
    if version == Version::Luks2 && input.arbitrary().unwrap_or(true) {
        fix_checksums(&*storage);
    }
    let written = storage.written();
    let opened = Luks::open(Arc::clone(&storage) as Arc<dyn Storage>);
    assert!(is_damaged || opened.is_ok(), "whole, and yet refused");
    if let Ok(luks) = &opened {
        let unlocked = luks.unlock(&passphrase(PASSPHRASE), &options());
        assert!(is_damaged || unlocked.is_ok() && luks.warnings().is_empty());
        if let Ok(unlocked) = unlocked {
            check_data(&unlocked, version);
        }
    }
    assert_eq!(storage.written(), written, "reading wrote");
    opened.is_ok()
}

/// A keyslot whose area is damaged opens nothing; a whole one opens the container with its passphrase alone.
///
/// # Panics
/// When it does otherwise.
pub fn keyslot(data: &[u8]) -> bool {
    let mut input = Unstructured::new(data);
    let (version, storage) = changeable(&mut input);
    let start = match version {
        Version::Luks1 => 0x1000,
        Version::Luks2 => 0x8000,
    };
    // 4000 stripes of 16 bytes.
    let area = start..start + 64_000;
    let Ok(is_damaged) = damage(&mut input, &*storage, &[area], 3, 16) else {
        return false;
    };
    let Ok(text) = input.arbitrary::<&str>() else {
        return false;
    };
    let luks = Luks::open(storage as Arc<dyn Storage>).expect("the header is whole");
    let opened = luks.unlock(&passphrase(text), &options());
    assert!(text == PASSPHRASE || opened.is_err(), "opened by {text:?}");
    match luks.unlock(&passphrase(PASSPHRASE), &options()) {
        Ok(opened) => {
            assert!(!is_damaged, "damaged, and yet it opens");
            check_data(&opened, version);
        }
        Err(Error::NoKeyFits { .. }) => assert!(is_damaged, "whole, and yet it does not open"),
        Err(error) => panic!("{error}"),
    }
    true
}
