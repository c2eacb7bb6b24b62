use std::sync::Arc;

use luks::format::Version;
use luks::keyslots;
use luks::luks2::Priority;
use luks::{Edit, Error, InvalidOption, Luks, OsRandom, Unsupported};
use volume::{MemoryStorage, SimulatedStorage, Storage};

use crate::common::{passphrase, unlock};
use crate::copies::fix_checksum;
use crate::keyslots::{COPY, add, change, cheap, container, metadata, open, opens};

#[test]
fn a_header_that_changed_meanwhile_is_refused() {
    for version in [Version::Luks1, Version::Luks2] {
        let disk = container(version);
        let seen = open(&disk);
        let unlocked = unlock(&seen, b"old").unwrap();
        add(&disk, "meanwhile", &cheap()).unwrap();
        let before = disk.snapshot();
        let secret = passphrase(b"late");
        assert!(matches!(
            keyslots::add(&seen, &unlocked, &secret, &cheap(), &mut OsRandom),
            Err(Error::Changed)
        ));
        assert!(disk.snapshot() == before);
        assert_eq!(opens(&disk, "meanwhile"), Some(1));
    }
}

#[test]
fn a_damaged_copy_is_written_anew_and_a_foreign_one_is_not() {
    for at in [0, COPY] {
        let disk = container(Version::Luks2);
        let salt = disk.snapshot()[at + 104..at + 168].to_vec();
        disk.write_at(at as u64 + 5000, b"x").unwrap();
        assert_eq!(open(&disk).warnings().len(), 1);
        add(&disk, "new", &cheap()).unwrap();
        assert_eq!(open(&disk).warnings().len(), 0);
        assert_ne!(disk.snapshot()[at + 104..at + 168], salt, "a fresh salt");

        disk.write_at(at as u64, &[0; 4096]).unwrap();
        let before = disk.snapshot();
        assert!(matches!(
            add(&disk, "newer", &cheap()),
            Err(Error::Overwritten { .. })
        ));
        assert!(disk.snapshot() == before);
    }
}

/// The copy that does not count is written first, so that there is always one that does.
#[test]
fn the_sound_copy_is_written_last() {
    for at in [0, COPY] {
        let disk = container(Version::Luks2);
        disk.write_at(at as u64 + 5000, b"x").unwrap();
        let disk = Arc::new(SimulatedStorage::from_vec(disk.snapshot()));
        let luks = Luks::open(disk.clone()).unwrap();
        keyslots::set_priority(&luks, 0, Priority::Prefer, &mut OsRandom).unwrap();
        for state in disk.crash_states(1) {
            let storage = Arc::new(MemoryStorage::from_vec(state.storage.snapshot()));
            assert!(Luks::open(storage).is_ok(), "{state}");
        }
    }
}

#[test]
fn c5_requirements_are_read_and_not_written() {
    for (requirement, recovery) in [("later", false), ("offline-reencrypt", true)] {
        let disk = container(Version::Luks2);
        let mut image = disk.snapshot();
        for at in [0, COPY] {
            let json = &mut image[at + 4096..at + COPY];
            let end = json.iter().position(|byte| *byte == 0).unwrap();
            let extra = format!(",\"requirements\":{{\"mandatory\":[\"{requirement}\"]}}}}}}");
            json[end - 2..end - 2 + extra.len()].copy_from_slice(extra.as_bytes());
            fix_checksum(&mut image, at, COPY);
        }
        let disk = Arc::new(MemoryStorage::from_vec(image.clone()));
        let luks = open(&disk);
        match keyslots::remove(&luks, 0, true, &mut OsRandom) {
            Err(Error::NeedsRecovery { .. }) if recovery => {}
            Err(Error::Unsupported(Unsupported::Requirements(names))) if !recovery => {
                assert_eq!(names, [requirement]);
            }
            other => panic!("{requirement}: {other:?}"),
        }
        assert!(disk.snapshot() == image);
    }
}

#[test]
fn metadata_that_is_too_large_or_breaks_a_rule_is_refused() {
    let disk = container(Version::Luks2);
    let before = disk.snapshot();
    let mut edit = Edit::begin(&open(&disk)).unwrap();
    let mut draft = edit.draft().unwrap();
    draft.json["config"]["filler"] = "x".repeat(COPY - 4096).into();
    let error = edit.commit_draft(draft, &mut OsRandom);
    assert!(matches!(
        error,
        Err(Error::InvalidOption(InvalidOption::JsonTooLarge { .. }))
    ));
    let mut draft = edit.draft().unwrap();
    draft.json["tokens"]["0"] = serde_json::json!({"type": "note", "keyslots": ["9"]});
    let error = edit.commit_draft(draft, &mut OsRandom);
    assert!(matches!(
        error,
        Err(Error::InvalidOption(InvalidOption::Breaks(_)))
    ));
    assert!(disk.snapshot() == before);
}

#[test]
fn unknown_members_stay_and_references_go() {
    let disk = container(Version::Luks2);
    add(&disk, "new", &cheap()).unwrap();
    let mut edit = Edit::begin(&open(&disk)).unwrap();
    let mut draft = edit.draft().unwrap();
    draft.json["keyslots"]["1"]["later"] = serde_json::json!({"version": 3});
    draft.json["tokens"]["0"] = serde_json::json!({"type": "note", "keyslots": ["1"], "text": "x"});
    draft.json["config"]["beyond"] = 1.into();
    edit.commit_draft(draft, &mut OsRandom).unwrap();
    drop(edit);

    change(&disk, ["new", "newer"], &cheap()).unwrap();
    let raw = metadata(&disk).raw().clone();
    assert_eq!(raw["keyslots"]["1"]["later"]["version"], 3);
    assert_eq!(raw["tokens"]["0"]["keyslots"][0], "1");
    keyslots::remove(&open(&disk), 1, false, &mut OsRandom).unwrap();
    let raw = metadata(&disk).raw().clone();
    assert_eq!(raw["config"]["beyond"], 1);
    assert_eq!(raw["tokens"]["0"]["text"], "x");
    assert_eq!(raw["tokens"]["0"]["keyslots"].as_array().unwrap().len(), 0);
    assert!(raw["keyslots"].get("1").is_none());
}
