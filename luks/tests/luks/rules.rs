use luks::luks2::{Metadata, SegmentSize};
use luks::{Corrupt, Error, Header, Luks, MemberProblem, Policy};
use serde_json::{Value, json};

use crate::common::open;
use crate::copies::good;
use crate::tampering::{COPY, LUKS2, header, json_of, with_json};

/// A container that cryptsetup made with its JSON changed in both copies, checksums right.
pub fn changed(edit: impl FnOnce(&mut Value)) -> Result<Luks, Error> {
    let image = good();
    let mut json = json_of(&image, 0);
    edit(&mut json);
    let image = with_json(&image, &[0, COPY], &json).expect("it fits");
    open(image).map(|(_, luks)| luks)
}

fn corrupt(edit: impl FnOnce(&mut Value)) -> Corrupt {
    match changed(edit) {
        Err(Error::Corrupt(corrupt)) => corrupt,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("accepted"),
    }
}

fn member(edit: impl FnOnce(&mut Value)) -> (String, MemberProblem) {
    match corrupt(edit) {
        Corrupt::Member { path, problem } => (path.as_raw().to_owned(), problem),
        other => panic!("{other:?}"),
    }
}

fn metadata(edit: impl FnOnce(&mut Value)) -> Metadata {
    match changed(edit).unwrap().header() {
        Header::Luks2(header) => header.metadata.clone(),
        Header::Luks1(_) => panic!("a LUKS2 image"),
    }
}

fn value(text: &str) -> MemberProblem {
    MemberProblem::Value(text.into())
}

/// A keyslot of a later version at the side of the one that is there.
fn other_keyslot(offset: u64, size: u64) -> Value {
    json!({
        "type": "later", "key_size": 16,
        "area": {"type": "raw", "offset": offset.to_string(), "size": size.to_string()},
    })
}

#[test]
fn b5_areas_may_touch_and_not_overlap() {
    let with = |at: u64, size: u64, other: Value| {
        changed(|json| {
            json["keyslots"]["0"]["area"]["offset"] = at.to_string().into();
            json["keyslots"]["0"]["area"]["size"] = size.to_string().into();
            json["keyslots"]["1"] = other;
        })
        .err()
    };
    // The keyslots area is 32768 to 98304; 64000 bytes are what the key needs.
    assert!(with(32768, 64000, other_keyslot(96768, 1536)).is_none());
    assert!(with(34304, 64000, other_keyslot(32768, 1536)).is_none());
    for error in [
        with(32768, 64000, other_keyslot(96767, 1536)),
        with(34304, 64000, other_keyslot(32768, 1537)),
        with(32768, 65536, other_keyslot(40000, 8)),
        with(32768, 65536, other_keyslot(32768, 65536)),
    ] {
        assert!(
            matches!(
                error,
                Some(Error::Corrupt(Corrupt::AreaOverlap {
                    keyslot: 1,
                    other: 0,
                    ..
                }))
            ),
            "{error:?}"
        );
    }
    let error = with(32768, 63999, other_keyslot(96768, 1536));
    assert!(
        matches!(
            error,
            Some(Error::Corrupt(Corrupt::AreaTooSmall {
                keyslot: 0,
                length: 63999,
                need: 64000
            }))
        ),
        "{error:?}"
    );
    let error = with(32768, 64000, other_keyslot(96768, 1537));
    assert!(
        matches!(
            error,
            Some(Error::Corrupt(Corrupt::AreaOutside {
                keyslot: 1,
                end: 98304,
                ..
            }))
        ),
        "{error:?}"
    );
}

#[test]
fn c1_a_keyslot_has_one_digest_and_one_of_a_later_kind_needs_none() {
    let many = corrupt(|json| json["digests"]["1"] = json["digests"]["0"].clone());
    assert_eq!(many, Corrupt::KeyslotInManyDigests { keyslot: 0 });
    let metadata = metadata(|json| {
        json["keyslots"]["0"]["area"]["size"] = "64000".into();
        json["keyslots"]["7"] = other_keyslot(96768, 1536);
    });
    assert_eq!(metadata.keyslot(7).unwrap().key_bytes, 16);
    assert!(metadata.digest_of_keyslot(7).is_none());
    assert_eq!(metadata.digest_of_keyslot(0).unwrap().id, 0);
    assert!(metadata.keyslot(1).is_none());
}

#[test]
fn c1_segments_count_from_zero_and_backups_come_last() {
    fn segments(numbers: &[(&str, bool)]) -> impl FnOnce(&mut Value) {
        move |json| {
            let template = json["segments"]["0"].clone();
            let last = numbers.iter().filter(|(_, backup)| !backup).count();
            let all: Vec<_> = numbers.iter().map(|(number, _)| *number).collect();
            json["digests"]["0"]["segments"] = json!(all);
            for (index, (number, is_backup)) in numbers.iter().enumerate() {
                let mut segment = template.clone();
                if *is_backup {
                    segment["flags"] = json!(["backup-final"]);
                    // What a backup says about the past may lie anywhere.
                    segment["offset"] = "4096".into();
                } else {
                    segment["offset"] = (98304 + 4096 * index).to_string().into();
                    if index + 1 < last {
                        segment["size"] = "4096".into();
                    }
                }
                json["segments"][*number] = segment;
            }
            if !numbers.iter().any(|(number, _)| *number == "0") {
                json["segments"].as_object_mut().unwrap().remove("0");
            }
        }
    }
    let both = metadata(segments(&[("0", false), ("1", true)]));
    let data: Vec<_> = both.data_segments().map(|segment| segment.id).collect();
    assert_eq!(data, [0]);
    assert_eq!(both.data_offset(), Some(98304));
    assert_eq!(both.keyslots_area(), 32768..98304);
    metadata(segments(&[("0", false), ("1", false), ("2", true)]));
    for (numbers, expected) in [
        (
            &[("0", true), ("1", false)][..],
            Corrupt::BackupSegmentGap(0),
        ),
        (&[("0", false), ("2", true)], Corrupt::BackupSegmentGap(2)),
        (&[("0", false), ("2", false)], Corrupt::SegmentGap(1)),
        (&[("1", false)], Corrupt::SegmentGap(0)),
    ] {
        assert_eq!(corrupt(segments(numbers)), expected, "{numbers:?}");
    }
    // Their numbers say in which order they are the data, and not where they lie.
    let places = |first: u64, second: u64| {
        move |json: &mut Value| {
            let mut segment = json["segments"]["0"].clone();
            segment["size"] = "4096".into();
            for (number, offset) in [("0", first), ("1", second)] {
                segment["offset"] = offset.to_string().into();
                json["segments"][number] = segment.clone();
            }
            json["digests"]["0"]["segments"] = json!(["0", "1"]);
        }
    };
    for (first, second) in [(102_400, 98304), (98304, 102_400), (110_592, 98304)] {
        metadata(places(first, second));
    }
    for (first, second) in [(102_400, 98816), (98816, 102_400), (98304, 98304)] {
        assert_eq!(
            corrupt(places(first, second)),
            Corrupt::SegmentOverlap {
                segment: 1,
                other: 0
            }
        );
    }
    let dynamic = corrupt(|json| json["segments"]["1"] = json["segments"]["0"].clone());
    assert_eq!(dynamic, Corrupt::DynamicSegment(0));
}

#[test]
fn c1_data_lies_behind_the_keyslots_or_in_another_storage() {
    let at = |offset: &str| {
        let offset = offset.to_owned();
        move |json: &mut Value| json["segments"]["0"]["offset"] = offset.into()
    };
    for offset in ["512", "4096", "97792"] {
        let error = corrupt(at(offset));
        assert!(
            matches!(
                error,
                Corrupt::KeyslotsInData {
                    end: 98304,
                    segment: 0,
                    ..
                }
            ),
            "{error:?}"
        );
    }
    // Where the first one begins at 0 the others lie in that storage too, wherever there.
    let detached = metadata(|json| {
        json["segments"]["1"] = json["segments"]["0"].clone();
        json["segments"]["0"]["offset"] = "0".into();
        json["segments"]["0"]["size"] = "4096".into();
        json["segments"]["1"]["offset"] = "4096".into();
        json["digests"]["0"]["segments"] = json!(["0", "1"]);
    });
    assert_eq!(detached.data_offset(), Some(0));
    assert_eq!(metadata(at("98304")).data_offset(), Some(98304));
    assert_eq!(metadata(at("0")).data_offset(), Some(0));
    let largest = metadata(|json| {
        json["segments"]["0"]["offset"] = "0".into();
        json["config"]["keyslots_size"] = "134217728".into();
    });
    assert_eq!(largest.keyslots_area(), 32768..32768 + 134_217_728);
}

#[test]
fn b5_sizes_of_segments() {
    let of = |offset: &str, size: &str| {
        let (offset, size) = (offset.to_owned(), size.to_owned());
        move |json: &mut Value| {
            json["segments"]["0"]["offset"] = offset.into();
            json["segments"]["0"]["size"] = size.into();
        }
    };
    assert_eq!(
        member(of("98304", "0")),
        ("segments.0.size".into(), value("0"))
    );
    // The last whole sector that ends within 64 bits.
    let largest = u64::MAX - 98303 - 4096;
    let metadata = metadata(of("98304", &largest.to_string()));
    assert_eq!(metadata.segments[0].size, SegmentSize::Bytes(largest));
    // No whole sectors, and so refused by cryptsetup too.
    let most = corrupt(of("98304", &u64::MAX.to_string()));
    assert!(
        matches!(most, Corrupt::SegmentAlignment { segment: 0, .. }),
        "{most:?}"
    );
    let overflow = corrupt(of("98304", &(u64::MAX - 98303).to_string()));
    assert!(
        matches!(overflow, Corrupt::SegmentOverflow { segment: 0, .. }),
        "{overflow:?}"
    );
    for bytes in [0, 511, 513] {
        assert_eq!(
            corrupt(|json| json["segments"]["0"]["sector_size"] = bytes.into()),
            Corrupt::SegmentSectorSize { segment: 0, bytes }
        );
    }
}

/// The highest number that is taken, and the next.
#[test]
fn b5_numbers_are_met_exactly() {
    let slot_key =
        |bytes: u32| move |json: &mut Value| json["keyslots"]["0"]["key_size"] = bytes.into();
    assert_eq!(
        corrupt(slot_key(4096)),
        Corrupt::AreaTooSmall {
            keyslot: 0,
            length: 65536,
            need: 4096 * 4000
        },
        "the size is one that a key has"
    );
    for bytes in [0, 4097] {
        assert_eq!(
            member(slot_key(bytes)),
            ("keyslots.0.key_size".into(), value(&bytes.to_string()))
        );
    }
    let area_key = |bytes: u32| {
        move |json: &mut Value| json["keyslots"]["0"]["area"]["key_size"] = bytes.into()
    };
    changed(area_key(4096)).unwrap();
    for bytes in [0, 4097] {
        assert_eq!(
            member(area_key(bytes)),
            ("keyslots.0.area.key_size".into(), value(&bytes.to_string()))
        );
    }
    let priority =
        |number: u32| move |json: &mut Value| json["keyslots"]["0"]["priority"] = number.into();
    for (number, expected) in [
        (0, luks::luks2::Priority::Ignore),
        (1, luks::luks2::Priority::Normal),
        (2, luks::luks2::Priority::Prefer),
    ] {
        assert_eq!(metadata(priority(number)).keyslots[0].priority, expected);
    }
    assert_eq!(
        member(priority(3)),
        ("keyslots.0.priority".into(), value("3"))
    );
    assert_eq!(
        member(|json| json["digests"]["0"]["iterations"] = 0.into()),
        ("digests.0.iterations".into(), value("0"))
    );
    for name in ["time", "memory", "cpus"] {
        let argon2 = |json: &mut Value| {
            let kdf = &mut json["keyslots"]["0"]["kdf"];
            let salt = kdf["salt"].clone();
            *kdf = json!({"type": "argon2i", "salt": salt, "time": 4, "memory": 32, "cpus": 1});
            kdf[name] = 0.into();
        };
        assert_eq!(
            member(argon2),
            (format!("keyslots.0.kdf.{name}"), value("0"))
        );
    }
    let tokens = |count: u32| {
        move |json: &mut Value| {
            for id in 0..count {
                json["tokens"][id.to_string()] = json!({"type": "t", "keyslots": []});
            }
        }
    };
    assert_eq!(metadata(tokens(32)).tokens.len(), 32);
    assert_eq!(
        corrupt(tokens(33)),
        Corrupt::TooManyObjects {
            path: "tokens".into(),
            count: 33,
            limit: 32
        }
    );
}

#[test]
fn members_that_nobody_knows_are_kept_as_they_are() {
    let unknown = json!({
        "true": true, "false": false, "null": null, "least": i64::MIN, "most": u64::MAX,
        "half": 0.5, "text": "\u{e4}\n", "array": [[], {}, [1, "a"]],
    });
    let metadata = metadata(|json| json["x"] = unknown.clone());
    assert_eq!(metadata.raw()["x"], unknown);
    let again: Value = serde_json::from_str(&metadata.to_text()).unwrap();
    assert_eq!(again["x"], unknown);
}

#[test]
fn b5_arrays_and_requirements() {
    let requirements =
        |value: Value| move |json: &mut Value| json["config"]["requirements"] = value;
    for (value, expected) in [
        (json!([]), &[][..]),
        (json!({}), &[]),
        (json!({"mandatory": []}), &[]),
        (json!({"mandatory": ["a", "b"]}), &["a", "b"]),
        (json!(["a"]), &["a"]),
    ] {
        assert_eq!(metadata(requirements(value)).config.requirements, expected);
    }
    assert_eq!(
        member(requirements(json!(5))),
        (
            "config.requirements".into(),
            MemberProblem::NotA("an object with an array of strings")
        )
    );
    assert_eq!(
        member(requirements(json!({"mandatory": "a"}))),
        (
            "config.requirements.mandatory".into(),
            MemberProblem::NotA("an array")
        )
    );
    for name in ["online-reencrypt-v9", "offline-reencrypt"] {
        let luks = changed(requirements(json!({"mandatory": ["later", name]}))).unwrap();
        let unlocked = crate::common::unlock(&luks, b"golden");
        let opened = unlocked.and_then(|unlocked| unlocked.volume(luks.storage().clone()));
        let error = opened.err().unwrap();
        assert!(
            matches!(&error, Error::NeedsRecovery { requirement } if requirement == name),
            "{error}"
        );
    }
    assert_eq!(
        member(|json| json["config"]["flags"] = json!(["a", 1])),
        (
            "config.flags".into(),
            MemberProblem::NotA("an array of strings")
        )
    );
    let flags = metadata(|json| json["config"]["flags"] = json!(["a", "later"]));
    assert_eq!(flags.config.flags, ["a", "later"]);
    assert_eq!(
        corrupt(|json| json["tokens"]["0"] = json!({"type": "t", "keyslots": ["0", "1"]})),
        Corrupt::DanglingReference {
            path: "tokens.0.keyslots".into(),
            name: "1".into()
        }
    );
}

/// One member too many in every kind of object; the golden headers have none.
#[test]
fn members_that_the_specification_does_not_define_are_named() {
    let unknown = |json: &Value| {
        let image = with_json(&header(LUKS2[0]), &[0, COPY], json).unwrap();
        let (_, luks) = open(image).unwrap();
        let policy = Policy {
            known_members: true,
            ..Policy::default()
        };
        match policy.check(&luks) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        }
    };
    for path in LUKS2 {
        assert_eq!(unknown(&json_of(&header(path), 0)), "", "{path}");
    }
    let golden = [LUKS2[0], LUKS2[1]].map(|path| json_of(&header(path), 0));
    let mut argon2i = golden[1].clone();
    argon2i["keyslots"]["0"]["kdf"]["type"] = "argon2i".into();
    let mut inner = golden[0].clone();
    inner["config"]["requirements"] = json!({"mandatory": []});
    inner["segments"]["0"]["integrity"] = json!({
        "type": "t", "journal_encryption": "none", "journal_integrity": "none", "key_size": 32
    });
    inner["segments"]["0"]["flags"] = json!([]);
    inner["keyslots"]["0"]["priority"] = 1.into();
    let [pbkdf2, argon2id] = golden;
    let mut count = 0;
    for json in [pbkdf2, argon2id, argon2i, inner] {
        assert_eq!(unknown(&json), "");
        for place in [
            "",
            "/keyslots/0",
            "/keyslots/0/area",
            "/keyslots/0/af",
            "/keyslots/0/kdf",
            "/segments/0",
            "/segments/0/integrity",
            "/digests/0",
            "/config",
            "/config/requirements",
        ] {
            let mut json = json.clone();
            // Not every header has every object.
            let Some(object) = json.pointer_mut(place) else {
                continue;
            };
            object["surprise"] = json!({});
            let path = format!("{place}/surprise")[1..].replace('/', ".");
            let said = unknown(&json);
            assert!(
                said.contains(&format!("has the unknown member {path:?}")),
                "{path}: {said}"
            );
            count += 1;
        }
    }
    // What one type has, another has not.
    let mut json = json_of(&header(LUKS2[0]), 0);
    json["digests"]["0"]["type"] = "later".into();
    json["segments"]["0"]["type"] = "linear".into();
    json["keyslots"]["0"]["area"]["type"] = "raw".into();
    json["keyslots"]["0"]["kdf"]["type"] = "later".into();
    let said = unknown(&json);
    for path in [
        "digests.0.hash",
        "digests.0.iterations",
        "segments.0.encryption",
        "segments.0.iv_tweak",
        "segments.0.sector_size",
        "keyslots.0.kdf.hash",
        "keyslots.0.kdf.iterations",
    ] {
        assert!(said.contains(&format!("{path:?}")), "{path}: {said}");
    }
    json["keyslots"]["0"]["type"] = "later".into();
    json["keyslots"]["0"]["area"]["type"] = "none".into();
    let said = unknown(&json);
    for path in [
        "keyslots.0.kdf",
        "keyslots.0.af",
        "keyslots.0.area.encryption",
        "keyslots.0.area.key_size",
    ] {
        assert!(said.contains(&format!("{path:?}")), "{path}: {said}");
    }
    assert!(!said.contains("kdf.hash"), "{said}");
    println!("cases: unknown members {} passed, 0 failed", count + 11);
}
