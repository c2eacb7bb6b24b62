use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use luks::format::{self, Version};
use luks::luks2::Priority;
use luks::{Error, FormatOptions, Header, KeyslotOptions, Luks, OsRandom, UnlockOptions, keyslots};
use volume::{Fault, FaultOn, MemoryStorage, SimulatedStorage, Storage};

use crate::common::{passphrase, unlock};
use crate::crash::small;
use crate::forgetful::{Forgetful, count_syncs};

const SIZE: u64 = 1 << 20;
/// Every passphrase of these tests.
const SECRETS: [&str; 3] = ["old", "other", "new"];
const COPY: usize = 0x4000;

/// One change of the keyslots, and what must hold at every moment of it.
struct Case {
    name: &'static str,
    version: Version,
    /// Keyslots there are besides 0, which "old" opens.
    others: &'static [(u32, &'static str)],
    run: fn(&Luks) -> Result<(), Error>,
    /// Open something, always.
    always: &'static [&'static str],
    /// Of these one does.
    either: &'static [&'static str],
    /// The keyslot that goes, or whose old area does.
    goes: Option<u32>,
    /// What opens something in the end, and nothing else does.
    after: &'static [&'static str],
    /// Syncs that nobody misses, because another one follows before anything depends on them.
    spare: &'static [usize],
}

fn add(luks: &Luks, keyslot: Option<u32>, priority: Priority) -> Result<(), Error> {
    let options = KeyslotOptions {
        keyslot,
        kdf: small(Version::Luks2).kdf,
        priority,
        ..KeyslotOptions::default()
    };
    let unlocked = unlock(luks, b"old")?;
    keyslots::add(
        luks,
        &unlocked,
        &passphrase(b"new"),
        &options,
        &mut OsRandom,
    )
    .map(drop)
}

fn change(luks: &Luks) -> Result<(), Error> {
    let options = KeyslotOptions {
        kdf: small(Version::Luks2).kdf,
        ..KeyslotOptions::default()
    };
    let unlocked = unlock(luks, b"old")?;
    keyslots::change(
        luks,
        &unlocked,
        0,
        &passphrase(b"new"),
        &options,
        &mut OsRandom,
    )
    .map(drop)
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for version in [Version::Luks1, Version::Luks2] {
        cases.push(Case {
            name: "add",
            version,
            others: &[],
            run: |luks| add(luks, None, Priority::Normal),
            always: &["old"],
            either: &[],
            goes: None,
            after: &["old", "new"],
            spare: &[],
        });
        cases.push(Case {
            name: "change",
            version,
            others: &[(2, "other")],
            run: change,
            always: &["other"],
            either: &["old", "new"],
            goes: Some(0),
            after: &["other", "new"],
            spare: &[],
        });
        cases.push(Case {
            name: "remove",
            version,
            others: &[(1, "other")],
            run: |luks| keyslots::remove(luks, 1, false, &mut OsRandom),
            always: &["old"],
            either: &[],
            goes: Some(1),
            after: &["old"],
            spare: &[],
        });
    }
    // Keyslot 6 of LUKS1 lies in both sectors of the header.
    let added = Case {
        name: "add to keyslot 6",
        run: |luks| add(luks, Some(6), Priority::Normal),
        // The area's, since the keyslot is described with a sync of its own before it is turned on.
        spare: &[0],
        ..cases[0]
    };
    cases.push(added);
    cases.push(Case {
        name: "remove keyslot 6",
        version: Version::Luks1,
        others: &[(6, "other")],
        run: |luks| keyslots::remove(luks, 6, false, &mut OsRandom),
        always: &["old"],
        either: &[],
        goes: Some(6),
        after: &["old"],
        spare: &[],
    });
    cases.push(Case {
        name: "priority",
        version: Version::Luks2,
        others: &[],
        run: |luks| keyslots::set_priority(luks, 0, Priority::Prefer, &mut OsRandom),
        always: &["old"],
        either: &[],
        goes: None,
        after: &["old"],
        spare: &[],
    });
    cases
}

/// The container of a case, before it.
fn made(case: &Case) -> Vec<u8> {
    let options = FormatOptions {
        data_offset: Some(0x9_0000),
        ..small(case.version)
    };
    let disk: Arc<dyn Storage> = Arc::new(MemoryStorage::new(SIZE));
    let new = format::prepare(&options, &passphrase(b"old"), None, &mut OsRandom, &|| {
        false
    })
    .unwrap();
    new.write_areas(&*disk, &mut OsRandom).unwrap();
    new.commit(&*disk).unwrap();
    for (keyslot, secret) in case.others {
        let luks = Luks::open(disk.clone()).unwrap();
        let unlocked = unlock(&luks, b"old").unwrap();
        let options = KeyslotOptions {
            keyslot: Some(*keyslot),
            kdf: options.kdf.clone(),
            ..KeyslotOptions::default()
        };
        let secret = passphrase(secret.as_bytes());
        keyslots::add(&luks, &unlocked, &secret, &options, &mut OsRandom).unwrap();
    }
    let mut image = vec![0; usize::try_from(SIZE).unwrap()];
    disk.read_at(0, &mut image).unwrap();
    image
}

/// Number, bytes of the container, and what else its key derivation depends on.
fn listed(header: &Header) -> Vec<(u32, Range<usize>, Vec<u8>)> {
    let range = |offset: u64, length: u64| {
        usize::try_from(offset).unwrap()..usize::try_from(offset + length).unwrap()
    };
    match header {
        Header::Luks1(header) => (0..)
            .zip(&header.keyslots)
            .filter(|(_, slot)| slot.active)
            .map(|(id, slot)| {
                let area = range(slot.area_offset(), header.area_length());
                (id, area, slot.salt.to_vec())
            })
            .collect(),
        Header::Luks2(header) => header
            .metadata
            .keyslots
            .iter()
            .map(|slot| {
                let object = &header.metadata.raw()["keyslots"][slot.id.to_string()];
                let area = range(slot.area.offset, slot.area.size);
                (slot.id, area, object.to_string().into_bytes())
            })
            .collect(),
    }
}

/// Says what is wrong with a disk; derivations that were done before are not done again.
struct Judge<'a> {
    case: &'a Case,
    before: &'a [u8],
    /// The area that goes.
    goes: Option<Range<usize>>,
    known: RefCell<HashMap<u64, Option<&'static str>>>,
}

impl<'a> Judge<'a> {
    fn new(case: &'a Case, before: &'a [u8]) -> Self {
        let luks = Luks::open(Arc::new(MemoryStorage::from_vec(before.to_vec()))).unwrap();
        let goes = listed(luks.header())
            .into_iter()
            .find(|(id, ..)| case.goes == Some(*id))
            .map(|(_, area, _)| area);
        Self {
            case,
            before,
            goes,
            known: RefCell::default(),
        }
    }

    /// During the change: the container as it is, and with either of its copies alone, as long as that is sound.
    fn during(&self, image: &[u8]) -> Result<(), String> {
        let luks = open(image.to_vec()).map_err(|error| format!("damaged: {error}"))?;
        self.header(&luks, image)?;
        if self.case.version == Version::Luks2 {
            for at in [0, COPY] {
                let mut alone = image.to_vec();
                alone[at..at + 512].fill(0);
                if let Ok(luks) = open(alone) {
                    self.header(&luks, image)
                        .map_err(|problem| format!("without the copy at {at:#x}: {problem}"))?;
                }
            }
        }
        Ok(())
    }

    /// After the change: all of it is there, and both copies say so.
    fn done(&self, image: &[u8]) -> Result<(), String> {
        let luks = open(image.to_vec()).map_err(|error| format!("damaged: {error}"))?;
        if let Some(warning) = luks.warnings().first() {
            return Err(warning.to_string());
        }
        let slots = listed(luks.header());
        let mut open: Vec<_> = slots
            .iter()
            .map(|slot| self.opened_by(&luks, image, slot))
            .collect();
        let mut wanted: Vec<_> = self.case.after.iter().map(|secret| Some(*secret)).collect();
        open.sort_unstable();
        wanted.sort_unstable();
        if open != wanted {
            return Err(format!("in the end {open:?} open something"));
        }
        self.header(&luks, image)
    }

    fn header(&self, luks: &Luks, image: &[u8]) -> Result<(), String> {
        let slots = listed(luks.header());
        let going = |id: u32, area: &Range<usize>| {
            self.case.goes == Some(id) && self.goes.as_ref() == Some(area)
        };
        let mut open = Vec::new();
        for slot in slots.iter().filter(|(id, area, _)| !going(*id, area)) {
            match self.opened_by(luks, image, slot) {
                Some(secret) => open.push(secret),
                None => return Err(format!("keyslot {} opens with nothing", slot.0)),
            }
        }
        let enough = |open: &[&str]| {
            let has = |secret: &&str| open.contains(secret);
            self.case.always.iter().all(has)
                && (self.case.either.is_empty() || self.case.either.iter().any(has))
        };
        let left = slots.iter().find(|(id, area, _)| going(*id, area));
        if !enough(&open) {
            open.extend(left.and_then(|slot| self.opened_by(luks, image, slot)));
            if !enough(&open) {
                return Err(format!("only {open:?} open something"));
            }
        }
        if let (None, Some(area)) = (left, &self.goes)
            && let Some(start) = area
                .clone()
                .step_by(512)
                // The end of a LUKS2 area is filler that was never written.
                .take(125)
                .find(|start| image[*start..start + 512] == self.before[*start..start + 512])
        {
            return Err(format!("the old area is still there at {start:#x}"));
        }
        Ok(())
    }

    fn opened_by(
        &self,
        luks: &Luks,
        image: &[u8],
        (id, area, rest): &(u32, Range<usize>, Vec<u8>),
    ) -> Option<&'static str> {
        let mut hasher = DefaultHasher::new();
        (&image[area.clone()], rest).hash(&mut hasher);
        let key = hasher.finish();
        if let Some(known) = self.known.borrow().get(&key) {
            return *known;
        }
        let options = UnlockOptions {
            keyslot: Some(*id),
            ..UnlockOptions::default()
        };
        let found = SECRETS.into_iter().find(|secret| {
            luks.unlock(&passphrase(secret.as_bytes()), &options)
                .is_ok()
        });
        self.known.borrow_mut().insert(key, found);
        found
    }
}

fn open(image: Vec<u8>) -> Result<Luks, Error> {
    Luks::open(Arc::new(MemoryStorage::from_vec(image)))
}

/// Every state that a crash may leave, during the change and after it; how many, or the first that is wrong.
fn states(disk: &SimulatedStorage, judge: &Judge<'_>) -> Result<usize, String> {
    let mut count = 0;
    for state in disk.crash_states(1) {
        count += 1;
        judge
            .during(&state.storage.snapshot())
            .map_err(|problem| format!("{state}: {problem}"))?;
    }
    for state in disk.crash_states_now(1) {
        count += 1;
        judge
            .done(&state.storage.snapshot())
            .map_err(|problem| format!("when it is done, {state}: {problem}"))?;
    }
    Ok(count)
}

#[test]
fn a_crash_at_each_write_leaves_the_old_or_the_new_passphrase_working() {
    let mut count = 0;
    for case in cases() {
        let before = made(&case);
        let judge = Judge::new(&case, &before);
        let disk = Arc::new(SimulatedStorage::from_vec(before.clone()));
        let luks = Luks::open(disk.clone()).unwrap();
        disk.restart();
        (case.run)(&luks).unwrap();
        let what = format!("{} {:?}", case.name, case.version);
        count += states(&disk, &judge).unwrap_or_else(|problem| panic!("{what}: {problem}"));
    }
    println!("cases: crash states of changed keyslots {count} passed, 0 failed");
    assert!(count > 5000, "{count}");
}

/// What the test above would not notice may as well not be there.
#[test]
fn each_sync_matters() {
    let mut count = 0;
    for case in cases() {
        let before = made(&case);
        let judge = Judge::new(&case, &before);
        let run = |forgotten: usize| {
            let disk = Arc::new(SimulatedStorage::from_vec(before.clone()));
            let luks = Luks::open(Forgetful::of(&disk, forgotten)).unwrap();
            disk.restart();
            (case.run)(&luks).unwrap();
            disk
        };
        let syncs = count_syncs(&run(usize::MAX));
        for forgotten in 0..syncs {
            let what = format!("{} {:?}", case.name, case.version);
            assert_ne!(
                states(&run(forgotten), &judge).is_ok(),
                !case.spare.contains(&forgotten),
                "{what}: sync {forgotten} of {syncs}"
            );
            count += 1;
        }
    }
    println!("cases: syncs of changed keyslots left out {count} passed, 0 failed");
    assert!(count > 20, "{count}");
}

/// A passphrase is added and the process killed before that is synced; another one sees it, and takes the old one away.
#[test]
fn what_a_killed_change_left_is_synced_before_it_is_built_on() {
    let mut count = 0;
    for case in cases().into_iter().filter(|case| case.name == "add") {
        let before = made(&case);
        let judge = Judge::new(&case, &before);
        for after in 0.. {
            let disk = Arc::new(SimulatedStorage::from_vec(before.clone()));
            disk.fail(Fault {
                on: FaultOn::Sync,
                after,
                forever: false,
                os_error: 5,
            });
            if (case.run)(&Luks::open(disk.clone()).unwrap()).is_ok() {
                break;
            }
            let luks = Luks::open(disk.clone()).unwrap();
            if unlock(&luks, b"new").is_err() {
                continue;
            }
            keyslots::remove(&luks, 0, false, &mut OsRandom).unwrap();
            for state in disk.crash_states(1) {
                let name = state.to_string();
                let image = state.storage.snapshot();
                let luks = open(image.clone()).unwrap();
                let slots = listed(luks.header());
                let mut slots = slots.iter();
                assert!(
                    slots.any(|slot| judge.opened_by(&luks, &image, slot).is_some()),
                    "{:?}, killed at sync {after}, {name}: nobody gets in",
                    case.version
                );
                count += 1;
            }
        }
    }
    println!("cases: crash states of a change upon a killed one {count} passed, 0 failed");
    assert!(count > 50, "{count}");
}

/// Each operation fails once, and all that follow: an error comes back, and nobody is locked out.
#[test]
fn a_failing_disk_is_an_error_and_locks_nobody_out() {
    let mut failed = 0;
    for case in cases() {
        let before = made(&case);
        let judge = Judge::new(&case, &before);
        for after in 0.. {
            let disk = Arc::new(SimulatedStorage::from_vec(before.clone()));
            let luks = Luks::open(disk.clone()).unwrap();
            disk.fail(Fault {
                on: FaultOn::Any,
                after,
                forever: true,
                os_error: 28,
            });
            let outcome = (case.run)(&luks);
            let what = format!("{} {:?}, failure {after}", case.name, case.version);
            judge
                .during(&disk.snapshot())
                .unwrap_or_else(|problem| panic!("{what}: {problem}"));
            match outcome {
                Ok(()) => break,
                Err(error) => assert!(matches!(error, Error::Io { .. }), "{what}: {error}"),
            }
            failed += 1;
        }
    }
    println!("cases: failing disks under changed keyslots {failed} passed, 0 failed");
    assert!(failed > 50, "{failed}");
}
