use std::sync::Arc;

use luks::config::{ConfigChanges, configure};
use luks::erase::erase;
use luks::{Error, Header, InvalidOption, Luks, OsRandom, Version, format};
use volume::{MemoryStorage, SimulatedStorage, Storage};

use crate::common::{memory, passphrase, unlock};
use crate::crash::small;
use crate::forgetful::{Forgetful, count_syncs};

/// The data of [`small`] containers starts where these bytes end.
const HEADER_BYTES: [usize; 2] = [0x9_0000, 0x1_8000];
pub const COPY: usize = 0x4000;

/// A small container with the passphrase `pw`, behind it a payload that nobody may touch.
pub fn container(version: Version) -> Vec<u8> {
    let mut image = vec![0x5a; 0xa_0000];
    image[..header_bytes(version)].fill(0);
    let disk = memory(image);
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
pub fn end_of_areas(version: Version) -> usize {
    match version {
        Version::Luks1 => 0x1000 + 7 * 0x1_0000 + 64000,
        Version::Luks2 => 0x1_8000,
    }
}

fn header_bytes(version: Version) -> usize {
    HEADER_BYTES[usize::from(version == Version::Luks2)]
}

pub fn open(storage: &Arc<impl Storage + 'static>) -> Luks {
    open_any(&(storage.clone() as Arc<dyn Storage>))
}

pub fn open_any(storage: &Arc<dyn Storage>) -> Luks {
    Luks::open(storage.clone()).unwrap()
}

pub fn opens(storage: &Arc<impl Storage + 'static>) -> bool {
    Luks::open(storage.clone()).is_ok_and(|luks| unlock(&luks, b"pw").is_ok())
}

/// A change of a header, and what is to hold of it.
pub struct Cut<'a> {
    pub what: &'a str,
    pub image: &'a [u8],
    /// Bytes from here on are the same in every state.
    pub fixed: usize,
    /// Syncs that nobody misses, by number.
    pub spare: &'a [usize],
}

impl Cut<'_> {
    /// Runs the change on a disk that loses power at every moment of it, and once to its end: `check` sees each state,
    /// and whether the change is done. Then again with each sync left out, which `check` has to notice.
    pub fn everywhere(
        &self,
        change: impl Fn(&Arc<dyn Storage>),
        check: impl Fn(Arc<MemoryStorage>, bool) -> Result<(), String>,
    ) -> Vec<u8> {
        let what = self.what;
        let (disk, outcome) = self.run(usize::MAX, &change, &check);
        let count = outcome.unwrap_or_else(|problem| panic!("{what}: {problem}"));
        println!("cases: crash states of {what} {count} passed, 0 failed");
        assert!(count > 3, "{what}: {count}");
        let syncs = count_syncs(&disk);
        for forgotten in 0..syncs {
            let (_, outcome) = self.run(forgotten, &change, &check);
            assert_eq!(
                outcome.is_ok(),
                self.spare.contains(&forgotten),
                "{what}: without sync {forgotten} of {syncs}: {outcome:?}"
            );
        }
        disk.snapshot()
    }

    fn run(
        &self,
        forgotten: usize,
        change: impl Fn(&Arc<dyn Storage>),
        check: impl Fn(Arc<MemoryStorage>, bool) -> Result<(), String>,
    ) -> (Arc<SimulatedStorage>, Result<usize, String>) {
        let disk = Arc::new(SimulatedStorage::from_vec(self.image.to_vec()));
        disk.restart();
        change(&Forgetful::of(&disk, forgotten));
        let mut count = 0;
        for (done, states) in [
            (false, disk.crash_states(1)),
            (true, disk.crash_states_now(1)),
        ] {
            for state in states {
                let name = state.to_string();
                let storage = Arc::new(state.storage);
                let fixed = storage.snapshot()[self.fixed..] == self.image[self.fixed..];
                let outcome = require(fixed, "data changed").and_then(|()| check(storage, done));
                if let Err(problem) = outcome {
                    return (disk, Err(format!("{name}: {problem}")));
                }
                count += 1;
            }
        }
        (disk, Ok(count))
    }
}

/// Whether the header has a keyslot in use.
pub fn names_keyslots(luks: &Luks) -> bool {
    match luks.header() {
        Header::Luks1(header) => header.keyslots.iter().any(|slot| slot.active),
        Header::Luks2(header) => !header.metadata.keyslots.is_empty(),
    }
}

pub fn require(condition: bool, problem: &str) -> Result<(), String> {
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
        let change = |disk: &Arc<dyn Storage>| {
            configure(&open_any(disk), &changes, &mut OsRandom).unwrap();
        };
        let what = format!("config {version:?}");
        let after = Cut {
            what: &what,
            image: &image,
            fixed,
            spare: &[],
        }
        .everywhere(change, |disk, done| {
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
            let both_copies = open(&disk).warnings().is_empty();
            require(!done || is_new && both_copies, "done is not durable")
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

/// Where the key material of keyslot 0 lies in a [`container`]: 16 bytes of key, 4000 stripes.
fn area_of(version: Version) -> std::ops::Range<usize> {
    let start = if version == Version::Luks1 {
        0x1000
    } else {
        0x8000
    };
    start..start + 64000
}

/// No 16 bytes are what they were.
fn is_overwritten(old: &[u8], new: &[u8]) -> bool {
    let mut pairs = old.chunks(16).zip(new.chunks(16));
    pairs.all(|(old, new)| old != new)
}

#[test]
fn an_erased_container_opens_no_more_and_a_second_run_ends_a_first() {
    for version in [Version::Luks1, Version::Luks2] {
        let image = container(version);
        let fixed = header_bytes(version);
        let change = |disk: &Arc<dyn Storage>| {
            assert_eq!(erase(&open_any(disk), &mut OsRandom).unwrap(), [0]);
        };
        let what = format!("erase {version:?}");
        let after = Cut {
            what: &what,
            image: &image,
            fixed,
            spare: &[],
        }
        .everywhere(change, |disk, done| {
            let luks = Luks::open(disk.clone()).map_err(|error| error.to_string())?;
            require(!done || !opens(&disk), "it opens after it was erased")?;
            let names_none = !names_keyslots(&luks);
            let both_copies = luks.warnings().is_empty();
            require(!done || names_none && both_copies, "done is not durable")?;
            let area = &disk.snapshot()[area_of(version)];
            require(
                !names_none || is_overwritten(&image[area_of(version)], area),
                "the area is there and the header does not name it",
            )?;
            erase(&luks, &mut OsRandom).map_err(|error| error.to_string())?;
            require(!opens(&disk), "it opens after a second run")
        });
        let area = area_of(version);
        assert!(
            is_overwritten(&image[area.clone()], &after[area]),
            "{version:?}"
        );
    }
}
