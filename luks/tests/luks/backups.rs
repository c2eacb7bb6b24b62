use std::sync::Arc;

use luks::backup::restore;
use luks::config::{ConfigChanges, configure};
use luks::erase::erase;
use luks::{Backup, Corrupt, Error, Luks, Mismatch, OsRandom, Refused, Version};
use volume::{Fault, FaultOn, MemoryStorage, SimulatedStorage, Storage};

use crate::common::memory;
use crate::copies::{fix_checksum, good};
use crate::headers::{COPY, Cut, container, end_of_areas, names_keyslots, open, opens, require};

fn restore_states(
    what: &str,
    image: &[u8],
    backup: &Backup,
    fixed: usize,
    is_always_sound: bool,
    spare: &[usize],
) -> Vec<u8> {
    let seen = |disk: &Arc<MemoryStorage>| Luks::open(disk.clone()).ok();
    let change = |disk: &Arc<dyn Storage>| {
        let luks = Luks::open(disk.clone()).ok();
        restore(&**disk, luks.as_ref(), backup).unwrap();
    };
    Cut {
        what,
        image,
        fixed,
        spare,
    }
    .everywhere(change, |disk, done| {
        let luks = seen(&disk);
        require(luks.is_some() || !(is_always_sound || done), "no header")?;
        let names = luks.as_ref().is_some_and(names_keyslots);
        require(!names || opens(&disk), "a keyslot is named and not there")?;
        let is_there = disk.snapshot()[..fixed] == backup.bytes()[..fixed];
        require(is_there || !done, "done is not durable")?;
        restore(&*disk, luks.as_ref(), backup).map_err(|error| error.to_string())?;
        require(
            disk.snapshot()[..fixed] == backup.bytes()[..fixed],
            "a second restore does not end it",
        )
    })
}

#[test]
fn a_crash_of_restore_leaves_a_whole_header_and_a_second_restore_ends_it() {
    // Of LUKS1 one of the last two: nothing stands behind the header's fields that would be written between them. Of LUKS2 the one before the first copy
    // gets its own epoch: without it the old header, whole, may count again.
    for (version, spare) in [(Version::Luks1, &[1, 2][..]), (Version::Luks2, &[2])] {
        let image = container(version);
        let backup = Backup::read(&open(&memory(image.clone()))).unwrap();
        let end = end_of_areas(version);
        assert!(backup.bytes()[..end] == image[..end], "{version:?}");
        assert!(backup.bytes()[end..].iter().all(|byte| *byte == 0));
        assert_eq!(backup.bytes().len() % 4096, 0);
        let erased = memory(image.clone());
        erase(&open(&erased), &mut OsRandom).unwrap();
        let comparison = backup.compare(open(&erased).header());
        assert!(comparison.mismatches.is_empty());
        assert_eq!((comparison.revived, comparison.lost), (vec![0], vec![]));
        let after = restore_states(
            &format!("restore {version:?}"),
            &erased.snapshot(),
            &backup,
            end,
            true,
            spare,
        );
        assert!(after == image, "{version:?}");
        assert!(opens(&memory(after)));
    }
}

/// What a failed sync left may be read and is not on the disk: the second restore does not rely on it.
#[test]
fn a_restore_after_a_failed_sync_is_durable() {
    let mut count = 0;
    for version in [Version::Luks1, Version::Luks2] {
        let image = container(version);
        let backup = Backup::read(&open(&memory(image.clone()))).unwrap();
        let erased = memory(image);
        erase(&open(&erased), &mut OsRandom).unwrap();
        for after in 0.. {
            let disk = Arc::new(SimulatedStorage::from_vec(erased.snapshot()));
            let again = || restore(&*disk, Luks::open(disk.clone()).ok().as_ref(), &backup);
            disk.fail(Fault {
                on: FaultOn::Sync,
                after,
                forever: false,
                os_error: 5,
            });
            if again().is_ok() {
                break;
            }
            again().unwrap();
            let end = end_of_areas(version);
            for state in disk.crash_states_now(1) {
                let what = format!("{version:?}, failed sync {after}, {state}");
                assert!(
                    state.storage.snapshot()[..end] == backup.bytes()[..end],
                    "{what}"
                );
            }
            count += 1;
        }
    }
    println!("cases: restores after a failed sync {count} passed, 0 failed");
    assert!(count > 5, "{count}");
}

/// The backup's epoch is the container's, or higher, and they say different things: no state has two equal epochs.
#[test]
fn a_restore_over_any_epoch_and_either_damaged_copy_is_whole() {
    let image = container(Version::Luks2);
    let label = |disk: &Arc<MemoryStorage>, label: &str| {
        let changes = ConfigChanges {
            label: Some(label.into()),
            // The JSON too, so that a copy can be torn.
            flags: Some(vec![format!("own-{label}")]),
            ..ConfigChanges::default()
        };
        configure(&open(disk), &changes, &mut OsRandom).unwrap();
    };
    let first = memory(image.clone());
    label(&first, "first");
    let backup = Backup::read(&open(&first)).unwrap();
    for changes in 0..3 {
        for damaged in [None, Some(0), Some(COPY)] {
            let disk = memory(image.clone());
            for _ in 0..changes {
                label(&disk, "second");
            }
            if let Some(at) = damaged {
                disk.write_at(at as u64 + 5000, b"\xff").unwrap();
            }
            // The one between the second copy and the first one's own epoch, which matters where the epochs are equal.
            // (The areas are there already: the sync of those has nothing to write through.)
            let spare = if changes == 1 { &[][..] } else { &[1] };
            let what = format!("restore at {changes} changes, {damaged:?} damaged");
            let end = backup.bytes().len();
            let after = restore_states(&what, &disk.snapshot(), &backup, end, true, spare);
            let luks = open(&memory(after));
            assert!(luks.warnings().is_empty(), "{what}");
        }
    }
}

#[test]
fn a_restore_over_no_header_or_another_layout_leaves_none_or_a_whole_one() {
    let luks1 = container(Version::Luks1);
    let luks2 = container(Version::Luks2);
    // Where no header was, nobody misses the sync after it is removed.
    for (what, image, of, spare) in [
        ("zeros", vec![0; luks1.len()], Version::Luks2, &[0][..]),
        ("zeros", vec![0; luks1.len()], Version::Luks1, &[0]),
        ("LUKS1", luks1.clone(), Version::Luks2, &[]),
        ("LUKS2", luks2.clone(), Version::Luks1, &[]),
    ] {
        let end = end_of_areas(of);
        let of = if of == Version::Luks1 { &luks1 } else { &luks2 };
        let backup = Backup::read(&open(&memory(of.clone()))).unwrap();
        // What the other layout had behind the end of this backup stays, but its second header does not.
        let what = format!("restore over {what}");
        let after = restore_states(&what, &image, &backup, end, false, spare);
        assert!(opens(&memory(after)), "{what}");
    }
}

#[test]
fn a_backup_of_another_container_is_told_apart() {
    let here = memory(container(Version::Luks2));
    let there = Backup::read(&open(&memory(container(Version::Luks2)))).unwrap();
    let comparison = there.compare(open(&here).header());
    assert!(matches!(comparison.mismatches[..], [Mismatch::Uuid { .. }]));
    assert_eq!((comparison.revived, comparison.lost), (vec![0], vec![0]));
    let other = Backup::read(&open(&memory(container(Version::Luks1)))).unwrap();
    let mismatches = other.compare(open(&here).header()).mismatches;
    assert!(
        matches!(
            mismatches[..],
            [
                Mismatch::Format { .. },
                Mismatch::DataOffset {
                    backup: 0x9_0000,
                    container: 0x1_8000
                },
                Mismatch::Uuid { .. }
            ]
        ),
        "{mismatches:?}"
    );
    let golden = Backup::parse(good()).unwrap();
    let mut image = good();
    let other_size = String::from_utf8(image[4096..COPY].to_vec()).unwrap();
    let other_size = other_size.replacen("\"key_size\":16", "\"key_size\":15", 1);
    for at in [0, COPY] {
        image[at + 4096..at + COPY].copy_from_slice(other_size.as_bytes());
        fix_checksum(&mut image, at, COPY);
    }
    let mismatches = Backup::parse(image)
        .unwrap()
        .compare(golden.header())
        .mismatches;
    assert_eq!(
        mismatches,
        [Mismatch::KeySize {
            backup: 15,
            container: 16
        }]
    );
}

#[test]
fn a_damaged_backup_is_refused() {
    let image = container(Version::Luks2);
    let disk = memory(image.clone());
    for at in [5000, COPY + 5000] {
        let mut bytes = image.clone();
        bytes[at] ^= 1;
        let backup = Backup::parse(bytes).unwrap();
        let error = restore(&*disk, Some(&open(&disk)), &backup).unwrap_err();
        assert!(
            matches!(error, Error::Refused(Refused::BackupDamaged(_))),
            "{error}"
        );
    }
    let mut short = image.clone();
    short.truncate(0x1_7fff);
    assert!(matches!(
        Backup::parse(short),
        Err(Error::Corrupt(Corrupt::Truncated { need: 0x1_8000, .. }))
    ));
    assert!(matches!(
        Backup::parse(vec![0; 0x1_8000]),
        Err(Error::NotLuks)
    ));
    let small_disk = memory(vec![0; 0x1_0000]);
    let backup = Backup::parse(image.clone()).unwrap();
    let error = restore(&*small_disk, None, &backup).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Refused(Refused::StorageTooSmall {
                need: 0x1_8000,
                have: 0x1_0000
            })
        ),
        "{error}"
    );
    // Somebody else changed the header after it was compared.
    let seen = open(&disk);
    let changes = ConfigChanges {
        label: Some("x".into()),
        ..ConfigChanges::default()
    };
    configure(&open(&disk), &changes, &mut OsRandom).unwrap();
    for seen in [Some(&seen), None] {
        let error = restore(&*disk, seen, &backup).unwrap_err();
        assert!(matches!(error, Error::Changed), "{error}");
    }
}
