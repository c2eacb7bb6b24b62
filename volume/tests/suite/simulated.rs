use std::collections::HashSet;
use std::io;

use volume::{
    CrashStates, Fault, FaultOn, LockMode, MemoryStorage, Operation, SimulatedStorage, Storage,
};

use crate::support::pattern;

fn images(states: CrashStates) -> HashSet<Vec<u8>> {
    states.map(|state| state.storage.snapshot()).collect()
}

/// For short comparisons: one letter for each sector of 512 equal bytes, a dot for the others.
fn letters(image: &[u8]) -> String {
    let letter = |sector: &[u8]| {
        let is_even = sector.iter().all(|&byte| byte == sector[0]);
        if is_even { char::from(sector[0]) } else { '.' }
    };
    image.chunks(512).map(letter).collect()
}

fn sectors(letters: &str) -> Vec<u8> {
    letters.bytes().flat_map(|letter| [letter; 512]).collect()
}

fn words(states: CrashStates) -> HashSet<String> {
    states
        .map(|state| letters(&state.storage.snapshot()))
        .filter(|word| !word.contains('.'))
        .collect()
}

fn set(words: &[&str]) -> HashSet<String> {
    words.iter().map(ToString::to_string).collect()
}

#[test]
fn a_storage_like_any_other() {
    let disk = SimulatedStorage::new(3000);
    let model = MemoryStorage::new(3000);
    for storage in [&disk as &dyn Storage, &model] {
        storage.write_at(2500, &pattern(3000)).unwrap();
        storage.punch_hole(2600, 1000).unwrap();
        storage.set_len(5000).unwrap();
        storage.sync().unwrap();
        assert_eq!(storage.len().unwrap(), 5000);
        assert_eq!(storage.data_extent(0).unwrap(), Some(0..5000));
        assert_eq!(
            storage.read_at(4999, &mut [0; 2]).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }
    assert!(disk.snapshot() == model.snapshot());
}

#[test]
fn small_changes_are_tried_in_every_subset() {
    let disk = SimulatedStorage::from_vec(sectors("----"));
    disk.write_at(0, &sectors("ab")).unwrap();
    disk.write_at(512, &sectors("Bc")).unwrap();
    let expected = [
        "----", "a---", "-b--", "ab--", "-B--", "aB--", "--c-", "a-c-", "-bc-", "abc-", "-Bc-",
        "aBc-",
    ];
    assert_eq!(words(disk.crash_states(1)), set(&expected));
    assert_eq!(words(disk.crash_states_now(1)), set(&expected));
    // Reads see all of it, whatever a crash would leave.
    assert_eq!(letters(&disk.snapshot()), "aBc-");
}

#[test]
fn what_was_synced_stays() {
    let disk = SimulatedStorage::from_vec(sectors("---"));
    disk.write_at(0, &sectors("a")).unwrap();
    disk.sync().unwrap();
    disk.write_at(512, &sectors("b")).unwrap();
    assert_eq!(words(disk.crash_states_now(1)), set(&["a--", "ab-"]));
    // At an earlier moment not even the first was safe, but never the second without it.
    assert_eq!(words(disk.crash_states(1)), set(&["---", "a--", "ab-"]));
    disk.sync().unwrap();
    assert_eq!(words(disk.crash_states_now(1)), set(&["ab-"]));
    let syncs: HashSet<usize> = disk.crash_states(1).map(|state| state.syncs).collect();
    assert_eq!(syncs, HashSet::from([0, 1, 2]));

    disk.restart();
    assert_eq!(words(disk.crash_states(1)), set(&["ab-"]));
    disk.write_at(0, &sectors("c")).unwrap();
    assert_eq!(words(disk.crash_states(1)), set(&["ab-", "cb-"]));
}

#[test]
fn sectors_are_torn_at_each_place_in_turn() {
    let disk = SimulatedStorage::from_vec(sectors("--"));
    disk.write_at(0, &sectors("ab")).unwrap();
    let found = images(disk.crash_states(1));
    for cut in [1, 256, 511] {
        let mut torn = sectors("--");
        torn[..cut].fill(b'a');
        assert!(
            found.contains(&torn),
            "first sector torn after {cut}, the second lost"
        );
        torn[512..].fill(b'b');
        assert!(
            found.contains(&torn),
            "first sector torn after {cut}, the second written"
        );
        let mut torn = sectors("a-");
        torn[512..512 + cut].fill(b'b');
        assert!(found.contains(&torn), "second sector torn after {cut}");
    }
    // Tearing keeps the beginning, never the end alone.
    assert!(
        found
            .iter()
            .all(|image| image[0] == b'a' || image[..512] == sectors("-"))
    );
}

#[test]
fn large_changes_are_tried_by_kinds() {
    let disk = SimulatedStorage::new(40 * 512);
    for sector in 0..40 {
        disk.write_at(sector * 512, &[1; 512]).unwrap();
    }
    let found: Vec<Vec<usize>> = disk
        .crash_states(1)
        .map(|state| state.storage.snapshot())
        .filter(|image| {
            image
                .chunks(512)
                .all(|sector| sector.iter().all(|&byte| byte == sector[0]))
        })
        .map(|image| (0..40).filter(|sector| image[sector * 512] == 1).collect())
        .collect();
    for issued in 0..=40 {
        assert!(found.contains(&(0..issued).collect()), "prefix of {issued}");
    }
    for one in 0..40 {
        assert!(found.contains(&vec![one]), "only {one}");
        assert!(
            found.contains(&(0..40).filter(|&sector| sector != one).collect()),
            "all but {one}"
        );
    }
    let pairs = found
        .iter()
        .filter(|sectors| sectors.len() == 2 && sectors[1] != sectors[0] + 1);
    assert!(pairs.count() >= 20, "pairs");
    let random: HashSet<_> = found
        .iter()
        .filter(|sectors| (3..37).contains(&sectors.len()))
        .collect();
    assert!(random.len() >= 60, "random subsets");
}

#[test]
fn one_long_write_is_cut_in_sectors() {
    let disk = SimulatedStorage::new(100 * 512);
    disk.write_at(100, &pattern(90 * 512)).unwrap();
    let written = disk.snapshot();
    for state in disk.crash_states(5) {
        // Off the borders of torn sectors, each sector is old or new.
        let image = state.storage.snapshot();
        let mixed = image
            .chunks(512)
            .zip(written.chunks(512))
            .filter(|(is, new)| {
                // A write that was lost at the end leaves the rest of its sector; pattern bytes are never zero.
                is != new && is.iter().any(|&byte| byte != 0)
            });
        let count = mixed.count();
        assert!(
            count <= 1,
            "{state}: {count} sectors are neither old nor new"
        );
    }
    let kept: HashSet<usize> = disk
        .crash_states(5)
        .map(|state| {
            state
                .storage
                .snapshot()
                .chunks(512)
                .filter(|sector| sector.iter().any(|&byte| byte != 0))
                .count()
        })
        .collect();
    assert!(kept.contains(&0) && kept.contains(&1) && kept.contains(&90) && kept.contains(&91));
}

#[test]
fn lengths_and_holes_may_be_lost_too() {
    let disk = SimulatedStorage::from_vec(sectors("aaaa"));
    disk.set_len(1024).unwrap();
    disk.punch_hole(0, 512).unwrap();
    let found = images(disk.crash_states(1));
    let zero_first = |mut image: Vec<u8>| {
        image[..512].fill(0);
        image
    };
    let expected = [
        sectors("aaaa"),
        sectors("aa"),
        zero_first(sectors("aaaa")),
        zero_first(sectors("aa")),
    ];
    assert!(found == HashSet::from(expected));
}

#[test]
fn the_same_seed_gives_the_same_states() {
    let disk = SimulatedStorage::new(1 << 20);
    disk.write_at(0, &pattern(300 * 512)).unwrap();
    let texts = |seed| -> Vec<String> {
        disk.crash_states(seed)
            .map(|state| state.to_string())
            .collect()
    };
    assert_eq!(texts(1), texts(1));
    assert_ne!(texts(1), texts(2));
    assert!(texts(1).len() < 2000, "{}", texts(1).len());
}

#[test]
fn states_share_what_they_have_in_common() {
    // Twenty thousand states of 16 MiB each would not fit, nor be ready in time.
    let disk = SimulatedStorage::from_vec(vec![7; 16 << 20]);
    for round in 0..5_u8 {
        for sector in 0..12 {
            disk.write_at(sector * 8192, &[round; 512]).unwrap();
        }
        disk.sync().unwrap();
    }
    let kept: Vec<_> = disk.crash_states(1).take(2000).collect();
    assert_eq!(kept.len(), 2000);
    assert!(disk.crash_states(1).count() > 5 * 4095);
}

#[test]
fn the_operation_asked_for_fails() {
    let eio = |on, after, forever| Fault {
        on,
        after,
        forever,
        os_error: 5,
    };
    let disk = SimulatedStorage::from_vec(sectors("--"));
    disk.fail(eio(FaultOn::Write, 1, false));
    disk.read_at(0, &mut [0; 2]).unwrap();
    disk.write_at(0, &sectors("a")).unwrap();
    assert_eq!(
        disk.write_at(0, &sectors("b")).unwrap_err().raw_os_error(),
        Some(5)
    );
    disk.write_at(512, &sectors("c")).unwrap();
    assert_eq!(letters(&disk.snapshot()), "ac");

    disk.fail(Fault {
        os_error: 28,
        ..eio(FaultOn::Any, 2, true)
    });
    disk.sync().unwrap();
    disk.read_at(0, &mut [0]).unwrap();
    assert_eq!(disk.set_len(9).unwrap_err().raw_os_error(), Some(28));
    assert_eq!(
        disk.punch_hole(0, 9).unwrap_err().kind(),
        io::ErrorKind::StorageFull
    );
    assert!(disk.read_at(0, &mut [0]).is_err());
    disk.restart();
    disk.read_at(0, &mut [0]).unwrap();
    assert_eq!(letters(&disk.snapshot()), "ac");

    // What a failed sync did not make durable may be lost.
    disk.fail(eio(FaultOn::Sync, 0, false));
    disk.write_at(0, &sectors("d")).unwrap();
    assert!(disk.sync().is_err());
    assert_eq!(words(disk.crash_states_now(1)), set(&["ac", "dc"]));
    disk.fail(eio(FaultOn::Read, 0, false));
    disk.write_at(0, &sectors("e")).unwrap();
    assert!(disk.read_at(0, &mut [0]).is_err());
}

#[test]
fn operations_are_logged_in_order() {
    let disk = SimulatedStorage::new(4096);
    let lock = disk.lock(LockMode::Exclusive).unwrap();
    disk.read_at(0, &mut [0; 512]).unwrap();
    disk.read_at(100, &mut [0; 1000]).unwrap();
    assert!(disk.is_untouched());
    disk.write_at(512, &[1; 10]).unwrap();
    disk.sync().unwrap();
    drop(lock);
    disk.set_len(10).unwrap();
    disk.punch_hole(3, 4).unwrap();
    let expected = [
        Operation::Lock(LockMode::Exclusive),
        Operation::Read(0..512),
        Operation::Read(100..1100),
        Operation::Write(512..522),
        Operation::Sync,
        Operation::Unlock(LockMode::Exclusive),
        Operation::SetLen(10),
        Operation::PunchHole(3..7),
    ];
    assert_eq!(disk.operations(), expected);
    assert_eq!(
        (
            disk.reads_of(0..100),
            disk.reads_of(511..512),
            disk.reads_of(1100..4096)
        ),
        (1, 2, 0)
    );
    assert!(!disk.is_untouched());
    disk.restart();
    assert!(disk.operations().is_empty() && disk.is_untouched());
}
