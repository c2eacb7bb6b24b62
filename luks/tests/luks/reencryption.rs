use std::sync::Arc;

use luks::backup::restore;
use luks::erase::erase;
use luks::{
    Backup, Corrupt, Error, KeyslotOptions, Luks, MemberProblem, OsRandom, ReencryptionProblem,
    Refused, keyslots,
};
use serde_json::{Value, json};

use crate::common::{open, test_vectors, unxz};
use crate::tampering::{COPY, json_of, with_json};

/// What cryptsetup leaves of an encryption that was begun, changed.
fn changed(change: impl FnOnce(&mut Value)) -> Result<Luks, Error> {
    let image = unxz(&test_vectors().join("luks2/reencrypt-in-progress.img.xz"));
    let mut json = json_of(&image, 0);
    change(&mut json);
    let image = with_json(&image, &[0, COPY], &json).expect("it fits");
    open(image).map(|(_, luks)| luks)
}

fn corrupt(change: impl FnOnce(&mut Value)) -> Corrupt {
    match changed(change).err() {
        Some(Error::Corrupt(corrupt)) => corrupt,
        other => panic!("{other:?}"),
    }
}

fn problem(change: impl FnOnce(&mut Value)) -> ReencryptionProblem {
    match corrupt(change) {
        Corrupt::Reencryption(problem) => problem,
        other => panic!("{other:?}"),
    }
}

fn remove(json: &mut Value, section: &str, name: &str) {
    let members = json[section].as_object_mut().unwrap();
    assert!(members.remove(name).is_some());
}

#[test]
fn requirement_and_keyslot_are_there_together() {
    let named = |names: Value| {
        move |json: &mut Value| json["config"]["requirements"] = json!({"mandatory": names})
    };
    assert_eq!(
        problem(|json| remove(json, "config", "requirements")),
        ReencryptionProblem::NoRequirement
    );
    // Another requirement is not its own.
    assert_eq!(
        problem(named(json!(["later"]))),
        ReencryptionProblem::NoRequirement
    );
    assert_eq!(
        problem(named(json!(["online-reencrypt-v2", "online-reencrypt-v3"]))),
        ReencryptionProblem::ManyRequirements
    );
    assert_eq!(
        problem(|json| {
            remove(json, "keyslots", "1");
            json["digests"]["1"]["keyslots"] = json!([]);
        }),
        ReencryptionProblem::NoKeyslot
    );
    assert_eq!(
        problem(|json| {
            json["keyslots"]["2"] = json["keyslots"]["1"].clone();
            json["keyslots"]["2"]["area"]["offset"] = "167936".into();
        }),
        ReencryptionProblem::ManyKeyslots
    );
    for names in [
        json!(["online-reencrypt"]),
        json!(["online-reencrypt-v2"]),
        json!(["online-reencrypt-v3"]),
        // Of later versions nothing is known but that they are its own.
        json!(["online-reencrypt-v99999999999"]),
        // What has no number for a version is none of its own, beside one that is.
        json!(["online-reencrypt-v2", "online-reencrypt-v3X"]),
        json!([
            "online-reencrypt-v",
            "online-reencrypt-v2",
            "online-reencryptX"
        ]),
        json!(["online-reencrypt-v2", "offline-reencrypt"]),
    ] {
        changed(named(names)).unwrap();
    }
    for name in [
        "online-reencrypt-v3X",
        "online-reencrypt-v",
        "online-reencrypt-v-1",
        "online-reencrypt-v2 ",
    ] {
        assert_eq!(
            problem(named(json!([name]))),
            ReencryptionProblem::NoRequirement
        );
    }
    for names in [
        ["online-reencrypt", "online-reencrypt-v2"],
        ["online-reencrypt-v2", "online-reencrypt-v4"],
    ] {
        assert_eq!(
            problem(named(json!(names))),
            ReencryptionProblem::ManyRequirements
        );
    }
}

/// What a later version leaves is not known, and nothing is opened under its requirement.
#[test]
fn another_version_is_not_judged() {
    let luks = changed(|json| {
        json["config"]["requirements"] = json!({"mandatory": ["online-reencrypt-v9"]});
        remove(json, "keyslots", "1");
        json["digests"]["1"]["keyslots"] = json!([]);
    });
    let luks = luks.unwrap();
    let refused = luks::Edit::begin(&luks).err();
    assert!(
        matches!(&refused, Some(Error::NeedsRecovery { .. })),
        "{refused:?}"
    );
}

#[test]
fn segments_are_as_before_or_as_after_it() {
    for (id, flag) in [("2", "backup-previous"), ("3", "backup-final")] {
        assert_eq!(
            problem(|json| json["segments"][id]["flags"] = json!(["backup-other"])),
            ReencryptionProblem::NoBackup(flag)
        );
    }
    let crypt = |json: &Value| {
        let mut crypt = json["segments"]["3"].clone();
        crypt["flags"] = json!([]);
        crypt
    };
    let as_after = |json: &mut Value| {
        json["segments"]["0"] = crypt(json);
        json["digests"]["0"]["segments"] = json!(["0", "3"]);
    };
    changed(as_after).unwrap();
    // What is being moved is as it will be.
    let moved = json!(["in-reencryption"]);
    changed(|json| {
        as_after(json);
        json["segments"]["0"]["flags"] = moved.clone();
    })
    .unwrap();
    assert_eq!(
        problem(|json| json["segments"]["0"]["flags"] = moved.clone()),
        ReencryptionProblem::Segment(0)
    );
    for (member, value) in [
        ("encryption", json!("aes-cbc-plain64")),
        ("sector_size", json!(4096)),
        ("type", json!("later")),
    ] {
        assert_eq!(
            problem(|json| {
                as_after(json);
                json["segments"]["0"][member] = value;
            }),
            ReencryptionProblem::Segment(0)
        );
    }
    assert_eq!(
        corrupt(|json| json["segments"]["0"]["flags"] = json!(["backup-moved-segment"])),
        Corrupt::BackupSegmentGap(0)
    );
}

#[test]
fn members_of_its_keyslot() {
    let set = |path: &'static str, value: Value| {
        move |json: &mut Value| {
            *json.pointer_mut(path).unwrap() = value.clone();
        }
    };
    let member = |change: &dyn Fn(&mut Value)| match corrupt(change) {
        Corrupt::Member { path, problem } => (path.as_raw().to_owned(), problem),
        other => panic!("{other:?}"),
    };
    let value = |text: &str| MemberProblem::Value(text.into());
    for (path, new, expected) in [
        ("/keyslots/1/key_size", json!(2), value("2")),
        ("/keyslots/1/mode", json!("resize"), value("\"resize\"")),
        (
            "/keyslots/1/mode",
            json!(7),
            MemberProblem::NotA("a string"),
        ),
        ("/keyslots/1/direction", json!("up"), value("\"up\"")),
        ("/keyslots/1/area/type", json!("raw"), value("\"raw\"")),
        ("/keyslots/1/area/shift_size", json!("511"), value("511")),
        ("/keyslots/1/area/size", json!("0"), value("0")),
        ("/keyslots/1/area/shift_size", json!("0"), value("0")),
        (
            "/keyslots/1/area/shift_size",
            json!(512),
            MemberProblem::NotA("a string"),
        ),
    ] {
        let path_in_error = path[1..].replace('/', ".");
        assert_eq!(
            member(&set(path, new.clone())),
            (path_in_error, expected),
            "{new}"
        );
    }
    for (kind, needs) in [
        ("none", &[] as &[&str]),
        ("journal", &[]),
        ("checksum", &["hash", "sector_size"]),
        ("datashift", &["shift_size"]),
        ("datashift-journal", &["shift_size"]),
        ("datashift-checksum", &["hash", "sector_size", "shift_size"]),
    ] {
        let area = |left_out: Option<&str>| {
            let mut area = json!({"type": kind, "offset": "163840", "size": "4096"});
            for (name, value) in [
                ("hash", json!("sha256")),
                ("sector_size", json!(512)),
                ("shift_size", json!("512")),
            ] {
                if needs.contains(&name) && Some(name) != left_out {
                    area[name] = value;
                }
            }
            set("/keyslots/1/area", area)
        };
        changed(area(None)).unwrap_or_else(|error| panic!("{kind}: {error}"));
        for name in needs {
            assert_eq!(
                member(&area(Some(name))),
                (format!("keyslots.1.area.{name}"), MemberProblem::Missing),
                "{kind}"
            );
        }
    }
}

#[test]
fn a_block_of_checksums_is_a_power_of_two() {
    let with_block = |bytes: u32| {
        changed(|json| {
            json["keyslots"]["1"]["area"] = json!({
                "type": "checksum", "offset": "163840", "size": "4096", "hash": "sha256", "sector_size": bytes,
            });
        })
    };
    for bytes in [512, 4096, 1 << 20] {
        with_block(bytes).unwrap();
    }
    for bytes in [0, 256, 1536, 5120] {
        let error = with_block(bytes).err().unwrap();
        assert!(
            matches!(
                &error,
                Error::Corrupt(Corrupt::Member { path, problem: MemberProblem::Value(_) })
                    if *path == *"keyslots.1.area.sector_size"
            ),
            "{bytes}: {error}"
        );
    }
}

/// A change could cost the data, which lie under two keys or under none.
#[test]
fn no_change_of_the_header_is_begun() {
    let image = unxz(&test_vectors().join("luks2/reencrypt-in-progress.img.xz"));
    let disk = Arc::new(volume::SimulatedStorage::from_vec(image.clone()));
    let luks = Luks::open(disk.clone()).unwrap();
    let backup = Backup::read(&luks).unwrap();
    let unlocked = crate::common::unlock(&luks, b"golden").unwrap();
    let new = crate::common::passphrase(b"new");
    let options = KeyslotOptions::default();
    let unbound = keyslots::UnboundKey {
        key: &crate::common::volume_key(&"5a".repeat(16)),
        digest_iterations: 1000,
    };
    for (what, outcome) in [
        ("erase", erase(&luks, &mut OsRandom).map(drop)),
        ("remove", keyslots::remove(&luks, 0, true, &mut OsRandom)),
        (
            "add",
            keyslots::add(&luks, &unlocked, &new, &options, &mut OsRandom).map(drop),
        ),
        (
            "add unbound",
            keyslots::add_unbound(&luks, &unbound, &new, &options, &mut OsRandom).map(drop),
        ),
        (
            "change",
            keyslots::change(&luks, &unlocked, 0, &new, &options, &mut OsRandom).map(drop),
        ),
        ("restore", restore(&*disk, Some(&luks), &backup)),
    ] {
        let error = outcome.unwrap_err();
        assert!(
            matches!(&error, Error::NeedsRecovery { requirement } if requirement == "online-reencrypt-v2"),
            "{what}: {error}"
        );
        assert!(disk.is_untouched(), "{what}");
    }
    assert_eq!(
        backup.check_settled(),
        Err(Refused::BackupInReencryption("online-reencrypt-v2".into()))
    );
    let settled = unxz(&test_vectors().join("luks2/objects.img.xz"));
    let settled = Backup::read(&open(settled).unwrap().1).unwrap();
    settled.check_settled().unwrap();
}

/// Of what is needed nothing is called unbound: the key of what will be, and the keyslot that says how far it is.
#[test]
fn keyslots_that_are_needed_are_bound() {
    let bound = |luks: &Luks| match luks.header() {
        luks::Header::Luks2(header) => {
            let ids = header.metadata.keyslots.iter().map(|slot| slot.id);
            let bound: Vec<_> = ids
                .clone()
                .filter(|id| header.metadata.is_bound(*id))
                .collect();
            (ids.count(), bound)
        }
        luks::Header::Luks1(_) => panic!("LUKS2"),
    };
    assert_eq!(bound(&changed(|_| ()).unwrap()), (2, vec![0, 1]));
    // Another key than that of any segment.
    let stored = changed(|json| {
        let mut keyslot = json["keyslots"]["0"].clone();
        keyslot["area"]["offset"] = "167936".into();
        json["keyslots"]["2"] = keyslot;
        json["config"]["keyslots_size"] = "1048576".into();
        json["digests"]["2"] = json["digests"]["0"].clone();
        json["digests"]["2"]["keyslots"] = json!(["2"]);
        json["digests"]["2"]["segments"] = json!([]);
    });
    assert_eq!(bound(&stored.unwrap()), (3, vec![0, 1]));
}
