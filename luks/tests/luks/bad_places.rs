//! Places of a disk that cannot be read: whatever can still be opened is, and what cannot be is named.

#![expect(
    clippy::single_range_in_vec_init,
    reason = "a list of one range is meant"
)]

use std::ops::Range;
use std::sync::{Arc, Mutex};

use luks::backup::restore;
use luks::convert::convert;
use luks::erase::erase;
use luks::format::Version;
use luks::{
    Backup, Corrupt, Edit, Error, Fault, Header, KeyslotOptions, Luks, OsRandom, UnlockOptions,
    Warning, keyslots,
};
use volume::{SimulatedStorage, Storage};

use crate::common::passphrase;
use crate::copies::fix_checksum;
use crate::keyslots::{COPY, add, cheap, container};

const EIO: i32 = 5;
/// What is bad at once.
const PLACE: usize = 4096;
const SECRETS: [(&str, u32); 3] = [("old", 0), ("second", 1), ("last", 7)];

/// A container with keyslots 0, 1 and 7.
fn three_keyslots(version: Version) -> Vec<u8> {
    let disk = container(version);
    for (secret, keyslot) in &SECRETS[1..] {
        let options = KeyslotOptions {
            keyslot: Some(*keyslot),
            ..cheap()
        };
        assert_eq!(add(&disk, secret, &options).unwrap(), *keyslot);
    }
    disk.snapshot()
}

fn disk(image: &[u8], bad: &[Range<usize>]) -> Arc<SimulatedStorage> {
    let disk = SimulatedStorage::from_vec(image.to_vec());
    for range in bad {
        disk.break_reads(range.start as u64..range.end as u64, EIO);
    }
    Arc::new(disk)
}

fn open(image: &[u8], bad: &[Range<usize>]) -> Result<Luks, Error> {
    let disk = disk(image, bad);
    let luks = Luks::open(disk.clone());
    assert!(disk.is_untouched());
    luks
}

/// Tries a passphrase: the keyslot that it opens, and what was said of others.
fn try_one(luks: &Luks, secret: &str) -> (Result<u32, Error>, Vec<String>) {
    let said = Mutex::new(Vec::new());
    let options = UnlockOptions {
        unusable: &|unusable| said.lock().unwrap().push(unusable.to_string()),
        ..UnlockOptions::default()
    };
    let outcome = luks
        .unlock(&passphrase(secret.as_bytes()), &options)
        .map(|unlocked| unlocked.keyslot().unwrap());
    (outcome, said.into_inner().unwrap())
}

fn places(area: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    area.step_by(PLACE).map(|start| start..start + PLACE)
}

/// The areas of the three keyslots, as far as there is key material in them.
fn areas(luks: &Luks) -> Vec<(u32, Range<usize>)> {
    let area = |keyslot: u32, start: u64, bytes: u64| {
        let start = usize::try_from(start).unwrap();
        (keyslot, start..start + usize::try_from(bytes).unwrap())
    };
    match luks.header() {
        Header::Luks1(header) => SECRETS
            .iter()
            .map(|(_, keyslot)| {
                let slot = &header.keyslots[*keyslot as usize];
                area(*keyslot, slot.area_offset(), header.area_length())
            })
            .collect(),
        Header::Luks2(header) => header
            .metadata
            .keyslots
            .iter()
            .map(|slot| area(slot.id, slot.area.offset, u64::from(slot.key_bytes) * 4000))
            .collect(),
    }
}

#[test]
fn a_bad_place_in_one_copy_leaves_the_other() {
    let image = three_keyslots(Version::Luks2);
    let mut tried = 0;
    for (which, at) in [("primary", 0), ("secondary", COPY)] {
        for bad in places(at..at + COPY) {
            let luks = open(&image, std::slice::from_ref(&bad)).unwrap();
            let unreadable = Fault::Corrupt(Corrupt::Unreadable {
                at: bad.start as u64,
                problem: "Input/output error (os error 5)".into(),
            });
            let expected = match which {
                "primary" => Warning::Primary(unreadable),
                _ => Warning::Secondary(unreadable),
            };
            assert_eq!(luks.warnings(), [expected], "{bad:?}");
            assert_eq!(luks.fingerprint(), None);
            let (opened, said) = try_one(&luks, "second");
            assert_eq!(opened.unwrap(), 1, "{bad:?}");
            assert_eq!(said, [""; 0]);
            tried += 1;
        }
    }
    println!("cases: bad places in LUKS2 headers {tried} passed, 0 failed");
    assert_eq!(tried, 8);
}

/// Of two bad copies one may still be proven: by its checksum what cannot be read of it is zeros.
#[test]
fn a_checksum_proves_a_copy_that_cannot_all_be_read() {
    let image = three_keyslots(Version::Luks2);
    let json_end = 4096
        + image[4096..COPY]
            .iter()
            .position(|byte| *byte == 0)
            .unwrap();
    let zeros = json_end.next_multiple_of(512);
    assert!(zeros + 512 < COPY);
    let mut proven = 0;
    for sector in (0..COPY).step_by(512) {
        let bad = [sector..sector + 512, COPY + sector..COPY + sector + 512];
        let opened = open(&image, &bad);
        if (512..4096).contains(&sector) || sector >= zeros {
            let luks = opened.unwrap_or_else(|error| panic!("{sector}: {error}"));
            let [Warning::Secondary(Fault::Corrupt(Corrupt::BothCopies { primary, secondary }))] =
                luks.warnings()
            else {
                panic!("{sector}: {:?}", luks.warnings())
            };
            for (copy, at) in [(primary, sector), (secondary, COPY + sector)] {
                let at = at as u64;
                assert!(
                    matches!(**copy, Corrupt::Unreadable { at: found, .. } if found == at),
                    "{copy:?}"
                );
            }
            assert_eq!(try_one(&luks, "last").0.unwrap(), 7, "{sector}");
            proven += 1;
        } else {
            let error = opened.err().unwrap();
            assert!(matches!(error, Error::Corrupt(_)), "{sector}: {error}");
        }
    }
    assert!(proven > 7);
    // The secondary's checksum proves it, whatever the primary has lost.
    let bad = [4096..4608, COPY + zeros..COPY + zeros + 512];
    let luks = open(&image, &bad).unwrap();
    assert!(matches!(luks.warnings(), [Warning::Primary(_)]));
    // The newer of two counts.
    let mut newer = image.clone();
    newer[COPY + 23] += 1;
    fix_checksum(&mut newer, COPY, COPY);
    let luks = open(
        &newer,
        &[zeros..zeros + 512, COPY + zeros..COPY + zeros + 512],
    )
    .unwrap();
    assert!(matches!(luks.warnings(), [Warning::Primary(_)]));
    // What is read as zeros and was not is no copy.
    let error = open(&image, &[4096..4608, COPY + 4096..COPY + 4608]).err();
    assert!(matches!(
        error,
        Some(Error::Corrupt(Corrupt::BothCopies { .. }))
    ));
}

#[test]
fn a_bad_start_of_what_has_no_second_copy_is_named() {
    let mut image = three_keyslots(Version::Luks2);
    image[COPY..2 * COPY].fill(0);
    for bad in [0..512, 0..4096, 0..image.len()] {
        let error = open(&image, &[bad]).err().unwrap();
        assert_eq!(
            error.to_string(),
            "damaged LUKS header: byte 0 cannot be read: Input/output error (os error 5)"
        );
    }
    // No LUKS at all, wherever else it is bad.
    let error = open(&vec![0; 1 << 20], &[COPY..COPY + 512, 0x8000..0x9000]).err();
    assert!(matches!(error, Some(Error::NotLuks)), "{error:?}");
}

#[test]
fn a_bad_place_in_one_keyslot_leaves_the_others() {
    let mut tried = 0;
    for version in [Version::Luks1, Version::Luks2] {
        let image = three_keyslots(version);
        let whole = open(&image, &[]).unwrap();
        assert_eq!(areas(&whole).len(), 3);
        for (keyslot, area) in areas(&whole) {
            let end = area.end;
            for bad in places(area) {
                let what = format!("{version:?} keyslot {keyslot} at {}", bad.start);
                let luks = open(&image, std::slice::from_ref(&bad)).unwrap();
                assert_eq!(luks.warnings(), [], "{what}");
                let named = format!(
                    "keyslot {keyslot} is not usable: cannot read keyslot {keyslot}'s area at byte {}: Input/output \
                     error (os error 5)",
                    bad.start
                );
                for (secret, of) in SECRETS {
                    let (outcome, said) = try_one(&luks, secret);
                    match outcome {
                        Ok(opened) => assert!(opened == of && of != keyslot, "{what}"),
                        Err(Error::NoKeyFits { tried }) => {
                            assert_eq!(of, keyslot, "{what}");
                            assert_eq!(tried.len(), 2, "{what}");
                        }
                        Err(other) => panic!("{what}: {other}"),
                    }
                    // Those behind the one that fits are not looked at.
                    let expected = if keyslot <= of {
                        vec![named.clone()]
                    } else {
                        vec![]
                    };
                    assert_eq!(said, expected, "{what}, {secret}");
                }
                tried += 1;
            }
            // Behind the key material nothing is read.
            let behind = end.next_multiple_of(512)..end.next_multiple_of(PLACE);
            if !behind.is_empty() {
                let luks = open(&image, &[behind]).unwrap();
                let (secret, _) = SECRETS.iter().find(|(_, of)| *of == keyslot).unwrap();
                assert_eq!(try_one(&luks, secret).0.unwrap(), keyslot);
            }
        }
    }
    println!("cases: bad places in keyslots {tried} passed, 0 failed");
    assert!(tried > 90, "{tried}");
}

#[test]
fn where_nothing_else_was_tried_the_bad_keyslot_is_the_error() {
    for version in [Version::Luks1, Version::Luks2] {
        let disk = container(version);
        let image = disk.snapshot();
        let (_, area) = match open(&image, &[]).unwrap() {
            luks if version == Version::Luks1 => areas(&luks).remove(0),
            luks => areas(&luks).remove(0),
        };
        let luks = open(&image, &[area.start..area.start + 1]).unwrap();
        let (outcome, said) = try_one(&luks, "old");
        let error = outcome.unwrap_err();
        assert!(matches!(&error, Error::Io { source, .. } if source.raw_os_error() == Some(EIO)));
        assert_eq!(said, [""; 0], "it is the error itself");
        // The one that was asked for is the only one.
        let image = three_keyslots(version);
        let luks = open(&image, &[area.start..area.start + 1]).unwrap();
        let options = UnlockOptions {
            keyslot: Some(0),
            ..UnlockOptions::default()
        };
        let error = luks.unlock(&passphrase(b"second"), &options).err().unwrap();
        assert!(matches!(error, Error::Io { .. }), "{error}");
    }
}

/// Areas beyond the end: those before it open.
#[test]
fn a_cut_off_keyslot_leaves_the_others() {
    for version in [Version::Luks1, Version::Luks2] {
        let image = three_keyslots(version);
        let (_, last) = areas(&open(&image, &[]).unwrap()).pop().unwrap();
        let luks = open(&image[..last.end - 1], &[]).unwrap();
        for (secret, of) in SECRETS {
            let (outcome, said) = try_one(&luks, secret);
            if of == 7 {
                assert!(matches!(outcome, Err(Error::NoKeyFits { .. })));
                assert_eq!(said.len(), 1);
                assert!(said[0].starts_with("keyslot 7 is not usable: keyslot 7's area needs "));
            } else {
                assert_eq!(outcome.unwrap(), of);
                assert_eq!(said, [""; 0]);
            }
        }
    }
}

/// A disk that is gone is no bad place: nothing else is tried, nothing is said of a keyslot.
#[test]
fn a_disk_that_is_gone_ends_it() {
    const ENODEV: i32 = 19;
    let image = three_keyslots(Version::Luks2);
    let disk = Arc::new(SimulatedStorage::from_vec(image));
    let luks = Luks::open(disk.clone()).unwrap();
    disk.break_reads(0..1 << 20, ENODEV);
    let (outcome, said) = try_one(&luks, "second");
    assert!(
        matches!(outcome, Err(Error::Io { source, .. }) if source.raw_os_error() == Some(ENODEV))
    );
    assert_eq!(said, [""; 0]);
    assert!(matches!(Luks::open(disk), Err(Error::Io { .. })));
}

/// LUKS1 describes keyslots 6 and 7 in its second sector; the first six do not need it.
#[test]
fn the_first_sector_of_luks1_is_enough_for_six_keyslots() {
    let image = three_keyslots(Version::Luks1);
    let luks = open(&image, &[512..1024]).unwrap();
    let [warning @ Warning::Luks1Keyslots(_)] = luks.warnings() else {
        panic!("{:?}", luks.warnings())
    };
    assert_eq!(
        warning.to_string(),
        "keyslots 6 and 7 are not used, whose part of the header is lost: byte 512 cannot be read: Input/output error \
         (os error 5)"
    );
    assert_eq!(luks.fingerprint(), None);
    let Header::Luks1(partly) = luks.header() else {
        panic!("LUKS1")
    };
    let whole = open(&image, &[]).unwrap();
    let Header::Luks1(whole) = whole.header() else {
        panic!("LUKS1")
    };
    assert_eq!(partly.keyslots[..6], whole.keyslots[..6]);
    assert!(!partly.keyslots[7].active);
    assert_eq!(
        partly.keyslots[7].area_offset(),
        whole.keyslots[7].area_offset()
    );
    assert_eq!(try_one(&luks, "old").0.unwrap(), 0);
    assert_eq!(try_one(&luks, "second").0.unwrap(), 1);
    assert!(matches!(try_one(&luks, "last").0, Err(Error::NoKeyFits { tried }) if tried == [0, 1]));
    // It is written by nobody.
    let error = Edit::begin(&luks).err().unwrap();
    assert!(matches!(
        error,
        Error::Corrupt(Corrupt::Unreadable { at: 512, .. })
    ));

    // Behind the header nothing is needed, and without its first sector it is none.
    let luks = open(&image, &[1024..4096]).unwrap();
    assert_eq!(luks.warnings(), []);
    assert!(luks.fingerprint().is_some());
    assert!(open(&image, &[0..512]).is_err());
    assert!(open(&image, &[0..1]).is_err());
}

/// Writing a sector mends it: a copy that could not be read is written anew by the next change.
#[test]
fn a_change_writes_the_bad_copy_anew() {
    let image = three_keyslots(Version::Luks2);
    for at in [0, COPY] {
        let disk = disk(&image, &[at + 4096..at + 8192]);
        let luks = Luks::open(disk.clone()).unwrap();
        let mut edit = Edit::begin(&luks).unwrap();
        let mut draft = edit.draft().unwrap();
        draft.label = "mended".into();
        edit.commit_draft(draft, &mut OsRandom).unwrap();
        drop(edit);
        let luks = Luks::open(disk.clone() as Arc<dyn Storage>).unwrap();
        assert_eq!(luks.warnings(), []);
        assert_eq!(try_one(&luks, "last").0.unwrap(), 7);
    }
}

/// A backup takes what there is, and names what there is not.
#[test]
fn a_backup_has_holes_where_the_disk_is_bad() {
    for version in [Version::Luks1, Version::Luks2] {
        let image = three_keyslots(version);
        let whole = Backup::read(&open(&image, &[]).unwrap()).unwrap();
        assert_eq!(whole.holes(), []);
        let areas = areas(&open(&image, &[]).unwrap());
        let free = areas[2].1.end.next_multiple_of(PLACE)..whole.bytes().len();
        let (in_keyslot, in_free) = (areas[1].1.start, free.start);
        let mut places = vec![(in_keyslot, true)];
        if version == Version::Luks2 {
            places.extend([(in_free, false), (4096, true), (COPY, true)]);
        } else {
            // Keyslot 2 is not in use.
            places.push((areas[1].1.end.next_multiple_of(PLACE), false));
        }
        for (at, is_in_use) in places {
            let luks = open(&image, &[at + 3..at + 4]).unwrap();
            let backup = Backup::read(&luks).unwrap();
            let [hole] = backup.holes() else {
                panic!("{version:?} at {at}: {:?}", backup.holes())
            };
            let place = at as u64..at as u64 + 512;
            assert_eq!(
                (hole.start..hole.end, hole.is_in_use),
                (place, is_in_use),
                "{version:?} {at}"
            );
            assert_eq!(hole.problem, "Input/output error (os error 5)");
            let mut expected = whole.bytes().to_vec();
            expected[at..at + 512].fill(0);
            assert!(backup.bytes() == expected, "{version:?} at {at}");
            assert_eq!(
                backup.check_sound().is_ok(),
                at >= 2 * COPY || version == Version::Luks1
            );
        }
        // What lies beyond the end.
        let end = areas[2].1.end - 1;
        let backup = Backup::read(&open(&image[..end], &[]).unwrap()).unwrap();
        let [hole] = backup.holes() else {
            panic!("{:?}", backup.holes())
        };
        assert_eq!((hole.start, hole.is_in_use), (end as u64, true));
        assert_eq!(hole.problem, "the container ends before");
        assert_eq!(backup.bytes().len(), whole.bytes().len());
        assert!(backup.bytes()[..end] == whole.bytes()[..end]);
    }
}

/// A restore over a disk whose header is lost to bad sectors writes them, which mends them.
#[test]
fn a_restore_writes_over_bad_places() {
    for version in [Version::Luks1, Version::Luks2] {
        let image = three_keyslots(version);
        let backup = Backup::read(&open(&image, &[]).unwrap()).unwrap();
        let broken = disk(&image, &[0..512, COPY..COPY + 512, 0x1_0000..0x1_1000]);
        assert!(matches!(Luks::open(broken.clone()), Err(Error::Corrupt(_))));
        restore(&*broken, None, &backup).unwrap();
        let luks = Luks::open(broken.clone()).unwrap();
        assert_eq!(luks.warnings(), []);
        for (secret, keyslot) in SECRETS {
            assert_eq!(try_one(&luks, secret).0.unwrap(), keyslot);
        }
    }
}

/// A container that is cut off is never made longer: what would lie beyond its end is refused before anything is written,
/// and what can be done is done whole.
#[test]
fn changes_of_a_cut_off_container_do_not_make_it_longer() {
    for version in [Version::Luks1, Version::Luks2] {
        let image = three_keyslots(version);
        let (_, second) = areas(&open(&image, &[]).unwrap()).remove(1);
        let cut = image[..second.start + 4096].to_vec();

        let refused = disk(&cut, &[]);
        let luks = Luks::open(refused.clone()).unwrap();
        let unlocked = luks
            .unlock(&passphrase(b"old"), &UnlockOptions::default())
            .unwrap();
        let new = passphrase(b"new");
        for error in [
            keyslots::add(&luks, &unlocked, &new, &cheap(), &mut OsRandom).unwrap_err(),
            keyslots::change(&luks, &unlocked, 0, &new, &cheap(), &mut OsRandom).unwrap_err(),
        ] {
            assert!(
                matches!(&error, Error::Corrupt(Corrupt::Truncated { object, .. })
                    if object == "the area of the keyslot to be written"),
                "{version:?}: {error}"
            );
        }
        assert!(refused.is_untouched(), "{version:?}");
        let other = match version {
            Version::Luks1 => Version::Luks2,
            Version::Luks2 => Version::Luks1,
        };
        let converted = convert(&luks, other, &mut OsRandom).is_ok();
        assert_eq!(converted, !refused.is_untouched(), "{version:?}");
        assert_eq!(refused.len().unwrap(), cut.len() as u64);

        // A keyslot that is gone in part goes.
        let done = disk(&cut, &[]);
        keyslots::remove(&Luks::open(done.clone()).unwrap(), 1, false, &mut OsRandom).unwrap();
        assert_eq!(done.len().unwrap(), cut.len() as u64);
        let luks = Luks::open(done.clone()).unwrap();
        assert_eq!(try_one(&luks, "old").0.unwrap(), 0);
        assert!(done.snapshot()[second.start..] != cut[second.start..]);

        let done = disk(&cut, &[]);
        let erased = erase(&Luks::open(done.clone()).unwrap(), &mut OsRandom).unwrap();
        assert_eq!(erased, [0, 1, 7]);
        assert_eq!(done.len().unwrap(), cut.len() as u64);
        let luks = Luks::open(done).unwrap();
        assert!(matches!(
            try_one(&luks, "old").0,
            Err(Error::NoUsableKeyslot(_))
        ));
    }
    // Without room for the second copy there is nothing that can be written.
    let cut = disk(&three_keyslots(Version::Luks2)[..COPY + 100], &[]);
    let luks = Luks::open(cut.clone()).unwrap();
    let error = erase(&luks, &mut OsRandom).unwrap_err();
    assert!(
        matches!(error, Error::Corrupt(Corrupt::Truncated { .. })),
        "{error}"
    );
    assert!(cut.is_untouched());
}

/// Copies of the same epoch that differ: nobody knows which is right, and no change picks one.
#[test]
fn copies_that_differ_are_not_changed() {
    let mut image = three_keyslots(Version::Luks2);
    let at = COPY
        + 4096
        + image[4096..COPY]
            .windows(4)
            .position(|text| text == b"1000")
            .unwrap();
    image[at + 3] = b'1';
    fix_checksum(&mut image, COPY, COPY);
    let broken = disk(&image, &[]);
    let error = Luks::open(broken.clone()).err().unwrap();
    assert!(matches!(
        error,
        Error::Corrupt(Corrupt::CopiesDiffer { .. })
    ));
    let whole = three_keyslots(Version::Luks2);
    let backup = Backup::read(&open(&whole, &[]).unwrap()).unwrap();
    restore(&*broken, None, &backup).unwrap();
    assert!(
        broken.snapshot()[..backup.bytes().len()] == *backup.bytes(),
        "restored whole"
    );
}

/// `verify` judges what it could read.
#[test]
fn bad_sectors_are_counted_and_not_judged() {
    for version in [Version::Luks1, Version::Luks2] {
        let image = three_keyslots(version);
        let (keyslot, area) = areas(&open(&image, &[]).unwrap()).remove(1);
        let luks = open(&image, &[area.start + 512..area.start + 1600]).unwrap();
        let stretches = luks::verify::examine(&**luks.storage(), luks.header()).unwrap();
        for stretch in &stretches {
            let content = &stretch.content;
            if stretch.role == luks::verify::Role::Keyslot(keyslot) {
                let first = area.start as u64 + 512;
                assert_eq!(
                    (content.unreadable, content.first_unreadable),
                    (3, Some(first))
                );
                assert_eq!(content.random, (stretch.end - stretch.start) / 512 - 3);
                assert_eq!(content.first_not_random, None);
            } else {
                assert_eq!((content.unreadable, content.first_unreadable), (0, None));
            }
        }
    }
}
