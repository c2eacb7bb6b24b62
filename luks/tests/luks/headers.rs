use std::sync::Arc;

use luks::backup::restore;
use luks::config::{ConfigChanges, configure};
use luks::erase::erase;
use luks::luks1::Damage;
use luks::luks2::Which;
use luks::repair::repair;
use luks::{
    Backup, Corrupt, Error, Fault, Header, InvalidOption, Luks, Mismatch, OsRandom, Refused,
    Repair, RepairOptions, TokenProblem, Version, format, tokens,
};
use volume::{MemoryStorage, SimulatedStorage, Storage};

use crate::common::{memory, passphrase, unlock};
use crate::copies::{fix_checksum, good};
use crate::crash::small;

/// The data of [`small`] containers starts where these bytes end.
const HEADER_BYTES: [usize; 2] = [0x9_0000, 0x1_8000];
const COPY: usize = 0x4000;

/// A small container with the passphrase `pw`, behind it a payload that nobody may touch.
fn container(version: Version) -> Vec<u8> {
    let disk = memory(vec![0x5a; 0xa_0000]);
    let new = format::prepare(
        &small(version),
        &passphrase(b"pw"),
        None,
        &mut OsRandom,
        &|| false,
    )
    .unwrap();
    new.write_areas(&*disk, &mut OsRandom).unwrap();
    new.commit(&*disk).unwrap();
    disk.snapshot()
}

/// First byte behind the keyslots, where a backup ends but for the zeros that fill it up.
fn end_of_areas(version: Version) -> usize {
    match version {
        Version::Luks1 => 0x1000 + 7 * 0x1_0000 + 64000,
        Version::Luks2 => 0x1_8000,
    }
}

fn header_bytes(version: Version) -> usize {
    HEADER_BYTES[usize::from(version == Version::Luks2)]
}

fn open(storage: &Arc<impl Storage + 'static>) -> Luks {
    Luks::open(storage.clone()).unwrap()
}

fn opens(storage: &Arc<impl Storage + 'static>) -> bool {
    Luks::open(storage.clone()).is_ok_and(|luks| unlock(&luks, b"pw").is_ok())
}

/// Runs a change on a disk that loses power at every moment of it, and once to its end: `check` sees each state, and
/// whether the change is done. Bytes from `fixed` on are the same in all of them.
fn cut_everywhere(
    what: &str,
    image: &[u8],
    fixed: usize,
    change: impl Fn(&Arc<SimulatedStorage>),
    check: impl Fn(Arc<MemoryStorage>, bool) -> Result<(), String>,
) -> Vec<u8> {
    let disk = Arc::new(SimulatedStorage::from_vec(image.to_vec()));
    disk.restart();
    change(&disk);
    let mut count = 0;
    for (done, states) in [
        (false, disk.crash_states(1)),
        (true, disk.crash_states_now(1)),
    ] {
        for state in states {
            let name = state.to_string();
            let storage = Arc::new(state.storage);
            assert!(
                storage.snapshot()[fixed..] == image[fixed..],
                "{what}: data changed at {name}"
            );
            check(storage, done).unwrap_or_else(|problem| panic!("{what}: {name}: {problem}"));
            count += 1;
        }
    }
    println!("cases: crash states of {what} {count} passed, 0 failed");
    assert!(count > 3, "{what}: {count}");
    disk.snapshot()
}

fn require(condition: bool, problem: &str) -> Result<(), String> {
    if condition {
        Ok(())
    } else {
        Err(problem.into())
    }
}

#[test]
fn a_crash_of_config_leaves_the_old_texts_or_the_new_ones() {
    let uuid = "01234567-89ab-4def-8123-456789abcdef";
    for version in [Version::Luks1, Version::Luks2] {
        let is_luks2 = version == Version::Luks2;
        let text = is_luks2.then(|| "größe".to_owned());
        let changes = ConfigChanges {
            label: text.clone(),
            subsystem: text,
            uuid: Some(uuid.into()),
            flags: is_luks2.then(|| vec!["allow-discards".into()]),
        };
        let image = container(version);
        let fixed = if is_luks2 { 2 * COPY } else { 512 };
        let change = |disk: &Arc<SimulatedStorage>| {
            configure(&open(disk), &changes, &mut OsRandom).unwrap();
        };
        let what = format!("config {version:?}");
        let after = cut_everywhere(&what, &image, fixed, change, |disk, done| {
            require(opens(&disk), "the passphrase does not open it")?;
            let is_new = match open(&disk).header() {
                Header::Luks1(header) => header.uuid == uuid,
                Header::Luks2(header) => {
                    let is_new = header.binary.uuid == uuid;
                    let flags = header.metadata.config.flags == ["allow-discards"];
                    require(
                        is_new == (header.binary.label == "größe") && is_new == flags,
                        "half",
                    )?;
                    is_new
                }
            };
            require(is_new || !done, "done is not durable")
        });
        if let Header::Luks2(header) = open(&memory(after)).header() {
            assert_eq!(header.binary.epoch, 2);
        }
    }
}

#[test]
fn config_refuses_what_the_format_has_not() {
    let disk = memory(container(Version::Luks1));
    for changes in [
        ConfigChanges {
            label: Some("x".into()),
            ..ConfigChanges::default()
        },
        ConfigChanges {
            flags: Some(vec![]),
            ..ConfigChanges::default()
        },
    ] {
        let error = configure(&open(&disk), &changes, &mut OsRandom).unwrap_err();
        assert!(
            matches!(
                error,
                Error::InvalidOption(InvalidOption::OtherFormat { .. })
            ),
            "{error}"
        );
    }
    let no_uuid = ConfigChanges {
        uuid: Some("none".into()),
        ..ConfigChanges::default()
    };
    let error = configure(&open(&disk), &no_uuid, &mut OsRandom).unwrap_err();
    assert_eq!(error.to_string(), "\"none\" is not a UUID");
    let long = ConfigChanges {
        label: Some("x".repeat(48)),
        ..ConfigChanges::default()
    };
    let disk = memory(container(Version::Luks2));
    let error = configure(&open(&disk), &long, &mut OsRandom).unwrap_err();
    assert!(
        matches!(
            error,
            Error::InvalidOption(InvalidOption::TextTooLong { limit: 47, .. })
        ),
        "{error}"
    );
}

#[test]
fn flags_that_are_taken_away_leave_no_member() {
    let before = container(Version::Luks2);
    let disk = memory(before);
    for flags in [vec!["allow-discards".to_owned()], vec![]] {
        let changes = ConfigChanges {
            flags: Some(flags),
            ..ConfigChanges::default()
        };
        configure(&open(&disk), &changes, &mut OsRandom).unwrap();
    }
    let luks = open(&disk);
    let Header::Luks2(header) = luks.header() else {
        panic!("LUKS2")
    };
    assert!(header.metadata.raw()["config"].get("flags").is_none());
}

#[test]
fn an_erased_container_opens_no_more_and_a_second_run_ends_a_first() {
    for version in [Version::Luks1, Version::Luks2] {
        let image = container(version);
        let fixed = header_bytes(version);
        let change = |disk: &Arc<SimulatedStorage>| {
            assert_eq!(erase(&open(disk), &mut OsRandom).unwrap(), [0]);
        };
        let what = format!("erase {version:?}");
        let after = cut_everywhere(&what, &image, fixed, change, |disk, done| {
            let luks = Luks::open(disk.clone()).map_err(|error| error.to_string())?;
            require(!done || !opens(&disk), "it opens after it was erased")?;
            erase(&luks, &mut OsRandom).map_err(|error| error.to_string())?;
            require(!opens(&disk), "it opens after a second run")
        });
        let area = if version == Version::Luks1 {
            0x1000..0x1000 + 64000
        } else {
            0x8000..0x8000 + 64000
        };
        let survived = image[area.clone()]
            .chunks(16)
            .zip(after[area].chunks(16))
            .filter(|(old, new)| old == new);
        assert_eq!(survived.count(), 0, "{version:?}");
    }
}

#[test]
fn a_crash_of_a_change_of_tokens_leaves_the_old_or_the_new_ones() {
    let image = container(Version::Luks2);
    let token = tokens::parse(br#" {"type":"theirs","keyslots":["0"],"own":{"x":[1.5,null]}} "#);
    let token = token.unwrap();
    let count = |disk: &Arc<MemoryStorage>| match open(disk).header() {
        Header::Luks2(header) => header.metadata.tokens.len(),
        Header::Luks1(_) => panic!("LUKS2"),
    };
    let add = |disk: &Arc<SimulatedStorage>| {
        let id = tokens::add(&open(disk), token.clone(), None, false, &mut OsRandom);
        assert_eq!(id.unwrap(), 0);
    };
    let added = cut_everywhere("token add", &image, 2 * COPY, add, |disk, done| {
        require(opens(&disk), "the passphrase does not open it")?;
        require(!done || count(&disk) == 1, "done is not durable")
    });
    let luks = open(&memory(added.clone()));
    let Header::Luks2(header) = luks.header() else {
        panic!("LUKS2")
    };
    assert_eq!(
        tokens::export(&header.metadata, 0).unwrap(),
        r#"{"type":"theirs","keyslots":["0"],"own":{"x":[1.5,null]}}"#
    );
    let remove = |disk: &Arc<SimulatedStorage>| {
        tokens::remove(&open(disk), 0, &mut OsRandom).unwrap();
    };
    cut_everywhere("token remove", &added, 2 * COPY, remove, |disk, done| {
        require(opens(&disk), "the passphrase does not open it")?;
        require(!done || count(&disk) == 0, "done is not durable")
    });
}

#[test]
fn each_mistake_with_a_token_has_its_error() {
    let disk = memory(container(Version::Luks2));
    let luks = || open(&disk);
    let problem = |outcome: Result<(), Error>| match outcome {
        Err(Error::InvalidOption(InvalidOption::Token(problem))) => problem,
        other => panic!("{other:?}"),
    };
    let add = |id, replace| {
        let token = tokens::keyring("key", &[0]);
        tokens::add(&luks(), token, id, replace, &mut OsRandom).map(drop)
    };
    add(Some(3), false).unwrap();
    assert_eq!(problem(add(Some(3), false)), TokenProblem::InUse(3));
    add(Some(3), true).unwrap();
    assert_eq!(problem(add(Some(32), false)), TokenProblem::Number(32));
    let mut random = OsRandom;
    assert_eq!(
        problem(tokens::remove(&luks(), 4, &mut random)),
        TokenProblem::Missing(4)
    );
    assert_eq!(
        problem(tokens::assign(&luks(), 3, 0, &mut random)),
        TokenProblem::Assigned {
            token: 3,
            keyslot: 0
        }
    );
    tokens::unassign(&luks(), 3, 0, &mut random).unwrap();
    assert_eq!(
        problem(tokens::unassign(&luks(), 3, 0, &mut random)),
        TokenProblem::NotAssigned {
            token: 3,
            keyslot: 0
        }
    );
    let breaks = |outcome: Result<(), Error>| match outcome {
        Err(Error::InvalidOption(InvalidOption::Breaks(corrupt))) => corrupt.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        breaks(tokens::assign(&luks(), 3, 7, &mut random)),
        "tokens.3.keyslots: names \"7\", which does not exist"
    );
    for (text, says) in [
        (r#"{"keyslots":[]}"#, "tokens.0.type is missing"),
        (r#"{"type":"x"}"#, "tokens.0.keyslots is missing"),
        (
            r#"{"type":"luks2-keyring","keyslots":[]}"#,
            "tokens.0.key_description is missing",
        ),
    ] {
        let token = tokens::parse(text.as_bytes()).unwrap();
        let outcome = tokens::add(&luks(), token, None, false, &mut random).map(drop);
        assert_eq!(breaks(outcome), says);
    }
    for text in ["", "[]", "{", r#"{"type":"x","type":"y"}"#] {
        assert!(
            matches!(
                tokens::parse(text.as_bytes()),
                Err(InvalidOption::Token(TokenProblem::NotAnObject(_)))
            ),
            "{text}"
        );
    }
    let large = format!(
        r#"{{"type":"x","keyslots":[],"x":"{}"}}"#,
        "x".repeat(12288)
    );
    let token = tokens::parse(large.as_bytes()).unwrap();
    let error = tokens::add(&luks(), token, None, false, &mut random).unwrap_err();
    assert!(
        matches!(
            error,
            Error::InvalidOption(InvalidOption::JsonTooLarge { have: 12288, .. })
        ),
        "{error}"
    );
    for _ in 1..32 {
        add(None, false).unwrap();
    }
    assert_eq!(problem(add(None, false)), TokenProblem::Full);
}

fn restore_states(
    what: &str,
    image: &[u8],
    backup: &Backup,
    fixed: usize,
    is_always_sound: bool,
) -> Vec<u8> {
    let seen = |disk: &Arc<MemoryStorage>| Luks::open(disk.clone()).ok();
    let change = |disk: &Arc<SimulatedStorage>| {
        let luks = Luks::open(disk.clone()).ok();
        restore(&**disk, luks.as_ref(), backup).unwrap();
    };
    cut_everywhere(what, image, fixed, change, |disk, done| {
        let luks = seen(&disk);
        require(luks.is_some() || !(is_always_sound || done), "no header")?;
        restore(&*disk, luks.as_ref(), backup).map_err(|error| error.to_string())?;
        require(
            disk.snapshot()[..fixed] == backup.bytes()[..fixed],
            "a second restore does not end it",
        )
    })
}

#[test]
fn a_crash_of_restore_leaves_a_whole_header_and_a_second_restore_ends_it() {
    for version in [Version::Luks1, Version::Luks2] {
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
        );
        assert!(after == image, "{version:?}");
        assert!(opens(&memory(after)));
    }
}

/// The backup's epoch is the container's, or higher, and they say different things: no state has two equal epochs.
#[test]
fn a_restore_over_any_epoch_and_either_damaged_copy_is_whole() {
    let image = container(Version::Luks2);
    let label = |disk: &Arc<MemoryStorage>, label: &str| {
        let changes = ConfigChanges {
            label: Some(label.into()),
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
            let what = format!("restore at {changes} changes, {damaged:?} damaged");
            let end = backup.bytes().len();
            let after = restore_states(&what, &disk.snapshot(), &backup, end, true);
            let luks = open(&memory(after));
            assert!(luks.warnings().is_empty(), "{what}");
        }
    }
}

#[test]
fn a_restore_over_no_header_or_another_layout_leaves_none_or_a_whole_one() {
    let luks1 = container(Version::Luks1);
    let luks2 = container(Version::Luks2);
    for (what, image, of) in [
        ("zeros", vec![0; luks1.len()], Version::Luks2),
        ("zeros", vec![0; luks1.len()], Version::Luks1),
        ("LUKS1", luks1.clone(), Version::Luks2),
        ("LUKS2", luks2.clone(), Version::Luks1),
    ] {
        let end = end_of_areas(of);
        let of = if of == Version::Luks1 { &luks1 } else { &luks2 };
        let backup = Backup::read(&open(&memory(of.clone()))).unwrap();
        // What the other layout had behind the end of this backup stays, but its second header does not.
        let what = format!("restore over {what}");
        let after = restore_states(&what, &image, &backup, end, false);
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

const MEND: RepairOptions = RepairOptions {
    overwrite_foreign: false,
    dry_run: false,
};

#[test]
fn a_damaged_copy_is_made_from_the_other_with_a_fresh_salt() {
    let image = container(Version::Luks2);
    for (which, at) in [(Which::Primary, 0), (Which::Secondary, COPY)] {
        let mut damaged = image.clone();
        damaged[at + 5000] ^= 1;
        let fault = Fault::Corrupt(Corrupt::Checksum);
        let expected = Repair::Copy { which, fault };
        let dry_run = RepairOptions {
            dry_run: true,
            ..MEND
        };
        let disk = Arc::new(SimulatedStorage::from_vec(damaged.clone()));
        assert_eq!(repair(&*disk, dry_run, &mut OsRandom).unwrap(), expected);
        assert!(disk.is_untouched());
        let change = |disk: &Arc<SimulatedStorage>| {
            assert_eq!(repair(&**disk, MEND, &mut OsRandom).unwrap(), expected);
        };
        let what = format!("repair {which:?}");
        let after = cut_everywhere(&what, &damaged, 2 * COPY, change, |disk, done| {
            require(opens(&disk), "the passphrase does not open it")?;
            require(!done || open(&disk).warnings().is_empty(), "not durable")?;
            repair(&*disk, MEND, &mut OsRandom).map_err(|error| error.to_string())?;
            require(open(&disk).warnings().is_empty(), "a second repair fails")
        });
        // Only the salt and with it the checksum are other than before the damage.
        for (index, (new, old)) in after.iter().zip(&image).enumerate() {
            let place = index.wrapping_sub(at);
            assert!(
                new == old || (104..168).contains(&place) || (448..480).contains(&place),
                "{which:?}: byte {index:#x}"
            );
        }
        assert_ne!(after[at + 104..at + 168], image[at + 104..at + 168]);
        assert_eq!(
            repair(&*memory(after), MEND, &mut OsRandom).unwrap(),
            Repair::Nothing
        );
    }
}

#[test]
fn an_older_copy_is_brought_up_to_date() {
    let image = container(Version::Luks2);
    let disk = memory(image.clone());
    let changes = ConfigChanges {
        label: Some("new".into()),
        ..ConfigChanges::default()
    };
    configure(&open(&disk), &changes, &mut OsRandom).unwrap();
    disk.write_at(0, &image[..COPY]).unwrap();
    let repaired = repair(&*disk, MEND, &mut OsRandom).unwrap();
    let fault = Fault::Older { epoch: 1, newer: 2 };
    let which = Which::Primary;
    assert_eq!(repaired, Repair::Copy { which, fault });
    let luks = open(&disk);
    let Header::Luks2(header) = luks.header() else {
        panic!("LUKS2")
    };
    assert_eq!(header.binary.label, "new");
    assert!(luks.warnings().is_empty());
}

#[test]
fn what_something_else_wrote_is_overwritten_only_when_asked() {
    let image = container(Version::Luks2);
    type Patch = fn(&mut [u8]);
    let cases: [(&str, Patch, bool); 5] = [
        ("zeros", |copy| copy[..4096].fill(0), false),
        ("a file system", |copy| copy[..8192].fill(0x11), true),
        ("its superblock", |copy| copy[1080..1082].fill(0x53), true),
        ("a boot sector", |copy| copy[510..512].fill(0x55), true),
        ("one bit", |copy| copy[6000] ^= 1, false),
    ];
    for (what, patch, is_foreign) in cases {
        for at in [0, COPY] {
            let mut damaged = image.clone();
            patch(&mut damaged[at..at + COPY]);
            let disk = Arc::new(SimulatedStorage::from_vec(damaged));
            let outcome = repair(&*disk, MEND, &mut OsRandom);
            if is_foreign {
                let error = outcome.unwrap_err();
                assert!(
                    matches!(error, Error::Refused(Refused::Foreign)),
                    "{what}: {error}"
                );
                assert!(disk.is_untouched(), "{what}");
                let force = RepairOptions {
                    overwrite_foreign: true,
                    ..MEND
                };
                repair(&*disk, force, &mut OsRandom).unwrap();
            } else {
                outcome.unwrap_or_else(|error| panic!("{what}: {error}"));
            }
            assert!(open(&disk).warnings().is_empty(), "{what}");
            assert!(opens(&disk), "{what}");
        }
    }
}

#[test]
fn what_cannot_be_mended_is_refused() {
    let mut both = container(Version::Luks2);
    both[5000] ^= 1;
    both[COPY + 5000] ^= 1;
    let refuse = |image: Vec<u8>| repair(&*memory(image), MEND, &mut OsRandom).unwrap_err();
    assert!(matches!(refuse(both), Error::Corrupt(Corrupt::Checksum)));
    assert!(matches!(refuse(vec![0; 0x1_0000]), Error::NotLuks));
    assert!(matches!(refuse(vec![]), Error::NotLuks));
    let luks1 = container(Version::Luks1);
    let slot = |keyslot: usize| 208 + 48 * keyslot;
    for (at, bytes, says) in [
        // A keyslot in use is not touched.
        (
            slot(0) + 44,
            &[0, 0, 0, 1][..],
            "keyslot 0: 1 stripes, not 4000",
        ),
        (slot(0) + 40, &[0, 0, 0, 0], "keyslot 0: area 0x0"),
        // Neither in use nor not.
        (slot(3), &[1, 2, 3, 4], "keyslot 3: state 0x01020304"),
        (108, &[0, 0, 0, 0], "key-bytes is 0"),
        (160, &[0; 8], "mk-digest-iter is 0"),
    ] {
        let mut image = luks1.clone();
        image[at..at + bytes.len()].copy_from_slice(bytes);
        let error = refuse(image);
        assert!(
            matches!(error, Error::Refused(Refused::Irreparable(_))),
            "{error}"
        );
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn each_known_damage_of_luks1_is_mended() {
    let image = container(Version::Luks1);
    let slot = |keyslot: usize| 208 + 48 * keyslot;
    let place = |bytes: &[u8], keyslot: usize| {
        let at = slot(keyslot) + 40;
        u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
    };
    type Patch = Box<dyn Fn(&mut [u8])>;
    let cases: Vec<(&str, Patch, Vec<Damage>)> = vec![
        (
            "hash",
            Box::new(|b| b[72..79].copy_from_slice(b"SHA256\0")),
            vec![Damage::HashCase("SHA256".into())],
        ),
        (
            "stripes",
            Box::new(move |b| b[slot(5) + 44] = 1),
            vec![Damage::Stripes {
                keyslot: 5,
                stripes: 0x0100_0fa0,
            }],
        ),
        (
            "mark in the salt",
            Box::new(|b| b[510..512].copy_from_slice(&[0x55, 0xaa])),
            vec![Damage::PartitionMark],
        ),
        (
            "place in use",
            Box::new(move |b| b.copy_within(slot(0) + 40..slot(0) + 44, slot(3) + 40)),
            vec![Damage::Place {
                keyslot: 3,
                have: place(&image, 0),
                now: place(&image, 3),
            }],
        ),
        (
            "places of two, beyond the data and in the header",
            Box::new(move |b| {
                b[slot(2) + 40] = 0x55;
                b[slot(7) + 40..slot(7) + 44].fill(0);
            }),
            vec![
                Damage::Place {
                    keyslot: 2,
                    have: place(&image, 2) | 0x5500_0000,
                    now: place(&image, 2),
                },
                Damage::Place {
                    keyslot: 7,
                    have: 0,
                    now: place(&image, 7),
                },
            ],
        ),
    ];
    for (what, patch, expected) in cases {
        let mut damaged = image.clone();
        patch(&mut damaged);
        let change = |disk: &Arc<SimulatedStorage>| {
            let repaired = repair(&**disk, MEND, &mut OsRandom).unwrap();
            assert_eq!(repaired, Repair::Luks1(expected.clone()), "{what}");
        };
        let name = format!("repair LUKS1 {}", what.replace(',', ""));
        let after = cut_everywhere(&name, &damaged, 1024, change, |disk, done| {
            require(!done || opens(&disk), "done is not durable")?;
            repair(&*disk, MEND, &mut OsRandom).map_err(|error| error.to_string())?;
            require(opens(&disk), "a second repair fails")
        });
        assert!(after == image, "{what}: it is as it was");
    }
    let mut ecb = image.clone();
    ecb[40..52].copy_from_slice(b"ecb-plain64\0");
    let disk = memory(ecb);
    let repaired = repair(&*disk, MEND, &mut OsRandom).unwrap();
    assert_eq!(
        repaired,
        Repair::Luks1(vec![Damage::EcbMode("ecb-plain64".into())])
    );
    assert_eq!(
        disk.snapshot()[40..60],
        *b"ecb\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    );
    assert_eq!(
        repair(&*disk, MEND, &mut OsRandom).unwrap(),
        Repair::Nothing
    );
}
