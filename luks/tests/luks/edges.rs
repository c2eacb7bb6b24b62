use luks::luks1;
use luks::luks2::{BinaryHeader, Metadata, Which};
use luks::{Corrupt, Error, Header, MemberProblem, Unsupported};
use serde_json::{Map, Value, json};

use crate::common::{open, test_vectors, unxz};
use crate::copies::{fix_checksum, good};
use crate::tampering::{COPY, json_of, with_json};

#[test]
fn c2_the_checksum_field_ends_in_zeros() {
    let mut image = good();
    for copy in [0, COPY] {
        image[copy + 511] = 1;
    }
    let error = open(image).err();
    assert!(
        matches!(error, Some(Error::Corrupt(Corrupt::Checksum))),
        "{error:?}"
    );
}

#[test]
fn c2_a_secondary_lies_where_its_size_says() {
    let mut image = good();
    image.resize(0x2_0000, 0);
    let copy = image[COPY..2 * COPY].to_vec();
    image[..2 * COPY].fill(0);
    // Both fields that say where it is agree, and its size is another.
    image[2 * COPY..3 * COPY].copy_from_slice(&copy);
    image[2 * COPY + 256..2 * COPY + 264].copy_from_slice(&0x8000_u64.to_be_bytes());
    fix_checksum(&mut image, 2 * COPY, COPY);
    let Some(Error::Corrupt(Corrupt::BothCopies { secondary, .. })) = open(image).err() else {
        panic!("no copy is sound")
    };
    assert_eq!(
        *secondary,
        Corrupt::HeaderOffset {
            have: 0x8000,
            at: 0x8000
        }
    );
}

/// A container may end right behind its LUKS1 header, and no byte before.
#[test]
fn b4_a_header_is_there_to_its_last_byte() {
    let image = unxz(&test_vectors().join("luks1/xts-256-sha1.img.xz"));
    open(image[..592].to_vec()).unwrap();
    let cases = [
        (image[..591].to_vec(), 592, 591),
        (image[..8].to_vec(), 592, 8),
        (image[..7].to_vec(), 8, 7),
        (image[..6].to_vec(), 8, 6),
    ];
    for (image, needed, there) in cases {
        let error = open(image).err();
        assert!(
            matches!(error, Some(Error::Corrupt(Corrupt::Truncated { need, have, .. })) if need == needed && have == there),
            "{error:?}"
        );
    }
    assert!(matches!(
        open(image[..5].to_vec()).err(),
        Some(Error::NotLuks)
    ));
    let image = good();
    let (_, luks) = open(image[..2 * COPY].to_vec()).unwrap();
    assert!(luks.warnings().is_empty());
    for bytes in [2 * COPY - 1, COPY + 4096, COPY + 4095, COPY + 1, COPY] {
        let (_, luks) = open(image[..bytes].to_vec()).unwrap();
        assert_eq!(luks.warnings().len(), 1, "{bytes}");
    }
    for bytes in [COPY - 1, 4096, 4095, 8] {
        let error = open(image[..bytes].to_vec()).err();
        assert!(
            matches!(&error, Some(Error::Corrupt(Corrupt::BothCopies { primary, .. })) if matches!(**primary, Corrupt::Truncated { .. })),
            "{bytes}: {error:?}"
        );
    }
}

#[test]
fn b6_a_text_fills_its_area_but_for_one_byte() {
    let (_, luks) = open(good()).unwrap();
    let Header::Luks2(header) = luks.header() else {
        panic!("a LUKS2 image")
    };
    let with = |bytes: usize| {
        let mut raw = header.metadata.raw().clone();
        raw.insert("x".into(), "".into());
        let before = serde_json::to_string(&raw).unwrap().len();
        raw.insert("x".into(), "x".repeat(bytes - before).into());
        let mut header = header.clone();
        header.metadata = Metadata::from_raw(raw, 0x4000).unwrap();
        header.to_bytes(Which::Primary, [7; BinaryHeader::USED_BYTES / 8])
    };
    let room = COPY - BinaryHeader::BYTES;
    let full = with(room - 1).unwrap();
    assert_eq!(full.len(), COPY);
    assert_eq!(full[104..168], [7; 64], "the salt");
    let binary = BinaryHeader::parse(Which::Primary, 0, &full).unwrap();
    luks::luks2::Header::parse(binary, &full).unwrap();
    let error = with(room).unwrap_err();
    assert_eq!(
        error,
        Corrupt::Truncated {
            object: "the JSON text".into(),
            need: 12289,
            have: 12288
        }
    );
}

/// The fields of a LUKS1 header that cryptsetup made: 32 bytes of key, 250 sectors of key material.
fn luks1(edit: impl FnOnce(&mut luks1::Header)) -> Result<luks1::Header, Corrupt> {
    let image = unxz(&test_vectors().join("luks1/xts-256-sha1.img.xz"));
    let mut header = luks1::Header::parse(&image).unwrap();
    assert_eq!(header.area_length(), 250 * 512);
    edit(&mut header);
    luks1::Header::parse(&header.to_bytes())
}

#[test]
fn b4_luks1_areas_may_touch_and_not_overlap() {
    let place = |keyslot: usize, sector: u32| {
        luks1(|header| header.keyslots[keyslot].material_offset_sectors = sector)
    };
    let at = luks1(|_| ())
        .unwrap()
        .keyslots
        .map(|slot| slot.material_offset_sectors);
    place(1, at[0] + 250).unwrap();
    place(6, at[7] - 250).unwrap();
    for (keyslot, sector, later, other) in [
        (1, at[0] + 249, 1, 0),
        (6, at[7] - 249, 7, 6),
        (3, at[2], 3, 2),
    ] {
        let error = place(keyslot, sector).unwrap_err();
        assert!(
            matches!(error, Corrupt::AreaOverlap { keyslot, other: o, length: 128_000, .. } if keyslot == later && o == other),
            "{error:?}"
        );
    }
    // Data begins where the last area ends, and not a sector before.
    let data = |sector: u32| luks1(|header| header.payload_offset_sectors = sector);
    assert_eq!(
        data(at[7] + 250).unwrap().data_offset(),
        u64::from(at[7] + 250) * 512
    );
    let error = data(at[7] + 249).unwrap_err();
    assert!(
        matches!(error, Corrupt::AreaInData { keyslot: 7, .. }),
        "{error:?}"
    );
    data(0).unwrap();
    place(0, 2).unwrap();
    let error = place(0, 1).unwrap_err();
    assert!(
        matches!(
            error,
            Corrupt::AreaInHeader {
                keyslot: 0,
                start: 512,
                header_end: 1024,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn b4_luks1_keys_of_up_to_2080_bytes() {
    let key = |bytes: u32| {
        luks1(|header| {
            header.key_bytes = bytes;
            header.payload_offset_sectors = 0;
            for (index, slot) in (0..).zip(&mut header.keyslots) {
                slot.material_offset_sectors = 8 + index * 16250;
            }
        })
    };
    assert_eq!(key(2080).unwrap().area_length(), 2080 * 4000);
    assert_eq!(key(2081), Err(Corrupt::KeyBytes(2081)));
    assert_eq!(key(1).unwrap().area_length(), 4096);
    let cut = luks1::Header::parse(&[b'L'; 5]);
    assert_eq!(cut, Err(Corrupt::FieldTruncated { field: "magic" }));
    // Iterations of a keyslot that is not in use may be anything.
    luks1(|header| header.keyslots[3].iterations = 5).unwrap();
}

#[test]
fn a_cipher_that_luks1_cannot_name_is_refused_with_its_text() {
    let header = luks1(|header| header.cipher_name = "later".into()).unwrap();
    let error = header.cipher().and_then(|cipher| {
        cipher
            .check_supported()
            .map_err(|source| Unsupported::Cipher {
                object: "data".into(),
                source,
            })
    });
    assert!(error.unwrap_err().to_string().contains("later"));
    let header = luks1(|header| header.hash_spec = "later".into()).unwrap();
    let error = header.hash().unwrap_err().to_string();
    assert!(
        error.contains("hash-spec") && error.contains("later"),
        "{error}"
    );
}

#[test]
fn what_a_luks1_header_keeps_of_an_unused_keyslot_is_seen() {
    let bytes = luks1(|_| ()).unwrap().to_bytes();
    let mut other = bytes.clone();
    other[5] = 0;
    assert_eq!(luks1::Header::parse(&other), Err(Corrupt::Magic));

    let used = luks1(|_| ()).unwrap();
    assert!(used.keyslots[0].keeps_parameters());
    assert!(!used.keyslots[3].keeps_parameters());
    let iterations = luks1(|header| header.keyslots[3].iterations = 1).unwrap();
    assert!(iterations.keyslots[3].keeps_parameters());
    let salt = luks1(|header| header.keyslots[3].salt[31] = 1).unwrap();
    assert!(salt.keyslots[3].keeps_parameters());

    let mut header = used;
    header.cipher_mode = String::new();
    let error = header.cipher().unwrap_err();
    assert!(
        matches!(&error, Unsupported::Cipher { object, .. } if object == "data"),
        "{error}"
    );
}

/// The header of a container with 4 MiB of metadata, which has room for more than may be there.
fn large() -> (Map<String, Value>, u64) {
    let image = unxz(&test_vectors().join("luks2/metadata-4096k.img.xz"));
    let (_, luks) = open(image).unwrap();
    let Header::Luks2(header) = luks.header() else {
        panic!("a LUKS2 image")
    };
    (header.metadata.raw().clone(), header.binary.header_bytes)
}

/// As text from a disk, and as what an edit made in memory.
fn both_ways(raw: Map<String, Value>, header_bytes: u64) -> [Result<Metadata, Corrupt>; 2] {
    let mut text = serde_json::to_vec(&raw).unwrap();
    text.push(0);
    [
        Metadata::parse(&text, header_bytes),
        Metadata::from_raw(raw, header_bytes),
    ]
}

/// A text is refused while it is read, at a place in it, and not once all of it is in memory.
fn refused_early([read, made]: [Result<Metadata, Corrupt>; 2], problem: &str) {
    let read = read.unwrap_err().to_string();
    assert!(read.contains(problem), "{read}");
    assert!(read.contains(", at byte "), "{read}");
    let made = made.unwrap_err().to_string();
    assert!(made.ends_with(problem), "{made}");
}

#[test]
fn b6_depth_and_number_of_values_are_met_exactly() {
    let (raw, header_bytes) = large();
    let nested = |depth: usize| {
        let mut raw = raw.clone();
        // The root and the innermost one count too.
        let inner = (2..depth).fold(json!([true]), |inner, level| match level % 2 {
            0 => json!([inner]),
            _ => json!({"x": inner}),
        });
        raw.insert("x".into(), inner);
        both_ways(raw, header_bytes)
    };
    for result in nested(32) {
        result.unwrap();
    }
    refused_early(nested(33), "nested deeper than 32");

    let counted = |value: &Value| {
        fn count(value: &Value) -> usize {
            1 + match value {
                Value::Object(members) => members.values().map(|value| 1 + count(value)).sum(),
                Value::Array(values) => values.iter().map(count).sum(),
                _ => 0,
            }
        }
        count(value)
    };
    let with = |total: usize| {
        let mut raw = raw.clone();
        raw.insert("x".into(), json!([]));
        let before = counted(&Value::Object(raw.clone()));
        raw.insert("x".into(), vec![Value::Null; total - before].into());
        both_ways(raw, header_bytes)
    };
    for result in with(16384) {
        result.unwrap();
    }
    refused_early(with(16385), "more than 16384 names and values");
    // Names count as well, and so does what lies deep.
    let mut deep = raw.clone();
    let names: Map<String, Value> = (0..8192).map(|id| (id.to_string(), Value::Null)).collect();
    deep.insert("x".into(), json!([[names]]));
    refused_early(
        both_ways(deep, header_bytes),
        "more than 16384 names and values",
    );
}

#[test]
fn b6_salts_of_up_to_64_kib() {
    let (raw, header_bytes) = large();
    let salt = |bytes: usize| {
        let mut raw = raw.clone();
        // Three bytes are four letters; what is left over is one or two bytes.
        let rest = ["", "AA==", "AAA="][bytes % 3];
        raw["digests"]["0"]["salt"] = ("AAAA".repeat(bytes / 3) + rest).into();
        Metadata::from_raw(raw, header_bytes)
    };
    for bytes in [1, 65535, 65536] {
        assert_eq!(salt(bytes).unwrap().digests[0].salt.len(), bytes);
    }
    for bytes in [65537, 70000] {
        let error = salt(bytes).unwrap_err();
        assert_eq!(
            error,
            Corrupt::Member {
                path: "digests.0.salt".into(),
                problem: MemberProblem::Value("longer than 65536 bytes".into())
            }
        );
    }
}

#[test]
fn b6_a_segment_ends_in_its_storage_and_in_whole_sectors() {
    let image = good();
    let there_is = image.len() - 98304;
    let opened = |size: usize| {
        let mut json = json_of(&image, 0);
        json["segments"]["0"]["size"] = size.to_string().into();
        let (storage, luks) = open(with_json(&image, &[0, COPY], &json).unwrap())?;
        let unlocked = crate::common::unlock(&luks, b"golden").unwrap();
        unlocked.volume(storage).map(|volume| volume.len())
    };
    for size in [there_is, there_is - 4096, 4096] {
        assert_eq!(opened(size).unwrap(), size as u64);
    }
    let error = opened(there_is + 4096).err();
    assert!(
        matches!(error, Some(Error::Corrupt(Corrupt::DataOutside { start: 98304, need, have })) if need == have + 4096),
        "{error:?}"
    );
    for size in [512, there_is - 1] {
        let error = opened(size).err();
        assert!(
            matches!(
                error,
                Some(Error::Corrupt(Corrupt::SegmentAlignment {
                    segment: 0,
                    sector: 4096,
                    ..
                }))
            ),
            "{error:?}"
        );
    }
}

#[test]
fn what_is_no_whole_sector_is_left_over() {
    let unlocked = |image: Vec<u8>| crate::common::unlock(&open(image).unwrap().1, b"golden");
    let image = good();
    let luks2 = unlocked(image.clone()).unwrap();
    for (bytes, expected) in [(0, 0), (98303, 0), (98304, 0), (98305, 1), (102_399, 4095)] {
        assert_eq!(luks2.leftover_bytes(bytes), expected, "{bytes}");
        assert_eq!(
            luks2.leftover_bytes(bytes + (8 << 30)),
            (bytes + (8 << 30) - 98304) % 4096
        );
    }
    let mut json = json_of(&image, 0);
    json["segments"]["0"]["size"] = "4096".into();
    let fixed = unlocked(with_json(&image, &[0, COPY], &json).unwrap()).unwrap();
    // What lies behind a segment of a fixed size is no part of the data.
    assert_eq!(fixed.leftover_bytes(98304 + 4097), 0);

    let image = unxz(&test_vectors().join("luks1/xts-256-sha1.img.xz"));
    let data = luks1(|_| ()).unwrap().data_offset();
    let luks1 = unlocked(image).unwrap();
    for (bytes, expected) in [(0, 0), (data, 0), (data + 1, 1), (data + 1023, 511)] {
        assert_eq!(luks1.leftover_bytes(bytes), expected, "{bytes}");
    }
    for (unlocked, start) in [(&luks1, data), (&luks2, 98304)] {
        assert!(unlocked.mapping(start).unwrap().is_empty());
        assert_eq!(unlocked.mapping(start + 4096 + 1).unwrap().len(), 4096);
        let error = unlocked.mapping(start - 1).err();
        assert!(
            matches!(error, Some(Error::Corrupt(Corrupt::DataOutside { start: at, need, have })) if at == start && need == start && have == start - 1),
            "{error:?}"
        );
    }
}

/// A second copy that names another place belongs to an image that is stored here; one at its place is damage.
#[test]
fn a_stray_second_copy_is_no_container() {
    let image = good();
    let copy = &image[COPY..2 * COPY];
    for place in [2 * COPY, 4 * COPY, 8 * COPY] {
        let mut disk = vec![0; 1 << 20];
        disk[place..place + COPY].copy_from_slice(copy);
        assert!(
            matches!(open(disk.clone()).err(), Some(Error::NotLuks)),
            "{place}"
        );
        // Its size is another all the same, but it says that it lies here.
        disk[place + 256..place + 264].copy_from_slice(&(place as u64).to_be_bytes());
        assert!(
            matches!(open(disk.clone()).err(), Some(Error::Corrupt(_))),
            "{place}"
        );
        // With the primary's magic it is a damaged container, whatever the copy says.
        disk[place + 256] = 1;
        disk[..8].copy_from_slice(b"LUKS\xba\xbe\0\x02");
        assert!(
            matches!(open(disk).err(), Some(Error::Corrupt(_))),
            "{place}"
        );
    }
}
