use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use volume::{
    CrashedDisks, DisksCrashStates, Fault, FaultOn, MemoryStorage, Operation, SimulatedDisks,
    SimulatedStorage, Storage,
};

/// Two disks of some sectors, all dashes.
fn two(sectors: usize) -> (SimulatedDisks, [SimulatedStorage; 2]) {
    let disks = SimulatedDisks::new();
    let empty = MemoryStorage::from_vec(filled(&"-".repeat(sectors)));
    let both = [disks.add(&empty), disks.add(&empty)];
    (disks, both)
}

/// A sector of 512 equal bytes for each letter.
fn filled(letters: &str) -> Vec<u8> {
    letters.bytes().flat_map(|letter| [letter; 512]).collect()
}

/// One letter for each sector, a dot for one that is torn; a bar between the disks.
fn letters(state: &CrashedDisks) -> String {
    let of = |disk: &Arc<MemoryStorage>| -> String {
        let image = disk.snapshot();
        let letter = |sector: &[u8]| {
            let is_even = sector.iter().all(|&byte| byte == sector[0]);
            if is_even { char::from(sector[0]) } else { '.' }
        };
        image.chunks(512).map(letter).collect()
    };
    state.disks.iter().map(of).collect::<Vec<_>>().join("|")
}

fn words(states: DisksCrashStates) -> HashSet<String> {
    states
        .map(|state| letters(&state))
        .filter(|word| !word.contains('.'))
        .collect()
}

fn set(words: &[&str]) -> HashSet<String> {
    words.iter().map(ToString::to_string).collect()
}

#[test]
fn a_sync_of_one_disk_syncs_no_other() {
    let (disks, [data, header]) = two(1);
    data.write_at(0, &filled("d")).unwrap();
    header.sync().unwrap();
    header.write_at(0, &filled("h")).unwrap();
    assert_eq!(
        words(disks.crash_states_now(1)),
        set(&["-|-", "d|-", "-|h", "d|h"])
    );
    header.sync().unwrap();
    assert_eq!(words(disks.crash_states_now(1)), set(&["-|h", "d|h"]));
    data.sync().unwrap();
    assert_eq!(words(disks.crash_states_now(1)), set(&["d|h"]));
    assert_eq!(
        words(disks.crash_states(1)),
        set(&["-|-", "d|-", "-|h", "d|h"])
    );
    let syncs: HashSet<usize> = disks.crash_states(1).map(|state| state.syncs).collect();
    assert_eq!(syncs, HashSet::from([0, 1, 2, 3]));
}

#[test]
fn what_is_synced_in_time_is_never_missing() {
    let (disks, [data, header]) = two(2);
    data.write_at(0, &filled("a")).unwrap();
    data.sync().unwrap();
    header.write_at(0, &filled("1")).unwrap();
    header.sync().unwrap();
    data.write_at(512, &filled("b")).unwrap();
    data.sync().unwrap();
    header.write_at(0, &filled("2")).unwrap();
    let expected = ["--|--", "a-|--", "a-|1-", "ab|1-", "ab|2-"];
    assert_eq!(words(disks.crash_states(1)), set(&expected));
    // The order of all, for whoever wants to know.
    let expected = [
        (0, Operation::Write(0..512)),
        (0, Operation::Sync),
        (1, Operation::Write(0..512)),
        (1, Operation::Sync),
        (0, Operation::Write(512..1024)),
        (0, Operation::Sync),
        (1, Operation::Write(0..512)),
    ];
    assert_eq!(disks.operations(), expected);
    assert_eq!(header.operations().len(), 3);
    assert!(!data.is_untouched() && !header.is_untouched());

    // Each disk by itself.
    let alone: HashSet<Vec<u8>> = header
        .crash_states(1)
        .map(|state| state.storage.snapshot())
        .filter(|image| image[..512].windows(2).all(|pair| pair[0] == pair[1]))
        .collect();
    assert!(alone == HashSet::from([filled("--"), filled("1-"), filled("2-")]));

    header.restart();
    assert!(data.is_untouched() && header.is_untouched() && disks.operations().is_empty());
    assert_eq!(words(disks.crash_states(1)), set(&["ab|2-"]));
}

#[test]
fn a_sync_that_fails_syncs_nothing() {
    let (disks, [data, header]) = two(1);
    data.write_at(0, &filled("d")).unwrap();
    data.fail(Fault {
        on: FaultOn::Sync,
        after: 0,
        forever: false,
        os_error: 5,
    });
    header.sync().unwrap();
    assert_eq!(data.sync().unwrap_err().raw_os_error(), Some(5));
    assert_eq!(words(disks.crash_states_now(1)), set(&["-|-", "d|-"]));
}

#[test]
fn a_length_may_be_lost_while_another_disk_is_synced() {
    let (disks, [data, header]) = two(1);
    data.set_len(1024).unwrap();
    data.write_at(512, &filled("n")).unwrap();
    header.sync().unwrap();
    let found: HashSet<Vec<u8>> = disks
        .crash_states_now(1)
        .map(|state| state.disks[0].snapshot())
        .filter(|image| [b'n', 0].contains(image.last().unwrap()) || image.len() == 512)
        .collect();
    let grown = [filled("-"), vec![0; 512]].concat();
    assert!(found.is_superset(&HashSet::from([filled("-"), grown, filled("-n")])));
}

#[test]
fn a_disk_begins_as_the_contents_are_and_leaves_them_alone() {
    let contents = MemoryStorage::from_vec(filled("ab"));
    let disks = SimulatedDisks::new();
    let disk = disks.add(&contents);
    disk.write_at(0, &filled("c")).unwrap();
    assert!(disk.snapshot() == filled("cb") && contents.snapshot() == filled("ab"));
    contents.write_at(0, &filled("d")).unwrap();
    assert!(disk.snapshot() == filled("cb"));
}

#[test]
fn whole_blocks_are_written_where_the_disk_has_such() {
    let disks = SimulatedDisks::new();
    let disk = disks.add(&MemoryStorage::from_vec(filled(&"-".repeat(12))));
    disk.write_whole_blocks(1024..5120, 2048);
    disk.write_at(512, &filled("abcdefghi")).unwrap();
    let found: Vec<String> = disks.crash_states(1).map(|state| letters(&state)).collect();
    // Sectors 2 to 5 and 6 to 9 go together, and are never torn.
    for word in &found {
        assert!(["bcde", "----"].contains(&&word[2..6]), "{word}");
        assert!(["fghi", "----"].contains(&&word[6..10]), "{word}");
    }
    for expected in [
        "-a----------",
        "--bcde------",
        "-abcdefghi--",
        "------fghi--",
    ] {
        assert!(found.iter().any(|word| word == expected), "{expected}");
    }
    // What lies before is torn as ever.
    assert!(found.iter().any(|word| word == "-.----------"));
    // A block that is written in part goes as it is written.
    disk.restart();
    disk.write_at(2048, &filled("xyz")).unwrap();
    // The first block of the range ends with sector 5.
    let found = words(disks.crash_states(1));
    assert_eq!(
        found,
        HashSet::from(
            [
                "-abcdefghi--",
                "-abcxyfghi--",
                "-abcdezghi--",
                "-abcxyzghi--"
            ]
            .map(String::from)
        )
    );
}

/// Writes of many pieces: of those that are whole, each is lost while the others are kept, and kept while they are lost.
#[test]
fn each_change_is_lost_and_kept_alone() {
    let (disks, [data, header]) = two(40);
    for (disk, at, letter) in [(&data, 0, "a"), (&header, 0, "b"), (&data, 10_240, "c")] {
        disk.write_at(at, &filled(&letter.repeat(20))).unwrap();
    }
    let word = |a: &str, b: &str, c: &str| {
        format!(
            "{}{}|{}{}",
            a.repeat(20),
            c.repeat(20),
            b.repeat(20),
            "-".repeat(20)
        )
    };
    let found = words(disks.crash_states(1).thinned(0));
    let expected = [
        word("-", "-", "-"),
        word("a", "-", "-"),
        word("-", "b", "-"),
        word("-", "-", "c"),
        word("a", "b", "-"),
        word("a", "-", "c"),
        word("-", "b", "c"),
        word("a", "b", "c"),
    ];
    assert_eq!(found, HashSet::from(expected));
}

#[test]
fn thinned_states_keep_each_write_boundary() {
    let (disks, [data, header]) = two(40);
    for sector in 0..40 {
        data.write_at(sector * 512, &filled("d")).unwrap();
        if sector % 10 == 9 {
            header.write_at(0, &filled("hhh")).unwrap();
            header.sync().unwrap();
        }
    }
    let all = disks.crash_states(3).count();
    let few: Vec<String> = disks
        .crash_states(3)
        .thinned(7)
        .map(|state| state.to_string())
        .collect();
    assert!(all > 2000, "{all}");
    // 11, 21, 31 and 41 changes, the header's with them, then what is not synced after the last sync.
    let pending = [11, 21, 31, 41, 40];
    let boundaries: usize = pending.iter().map(|changes| 3 * changes - 1).sum();
    assert_eq!(few.len(), boundaries + 5 * 7);
    let again = disks.crash_states(3).thinned(7);
    assert!(again.map(|state| state.to_string()).eq(few.iter().cloned()));
    let other = disks.crash_states(4).thinned(7);
    assert!(!other.map(|state| state.to_string()).eq(few.iter().cloned()));
    assert_eq!(disks.crash_states(3).thinned(0).count(), boundaries);
}

/// The judge that the tests below have: no 2 on the second disk without a 1 on the first.
fn in_order(state: &CrashedDisks) -> Result<(), String> {
    let word = letters(state);
    let [first, second] = [0, 1].map(|disk| word.split('|').nth(disk).unwrap());
    if second.contains('2') && first.contains(|letter| letter != '1') {
        return Err(format!("the second is ahead: {word}"));
    }
    Ok(())
}

#[test]
fn the_write_that_may_do_harm_is_named_and_not_made() {
    for sync_first in [false, true] {
        let (disks, [first, second]) = two(3);
        disks.judge(1, usize::MAX, in_order);
        first.write_at(0, &filled("111")).unwrap();
        if sync_first {
            first.sync().unwrap();
        }
        second.sync().unwrap();
        let written = second.write_at(512, &filled("2"));
        if sync_first {
            written.unwrap();
            assert_eq!(disks.guilty(), None);
            continue;
        }
        let error = written.unwrap_err().to_string();
        assert!(
            error.starts_with("operation 2, Write(512..1024) of disk 1: crash after 0 syncs with "),
            "{error}"
        );
        assert!(error.ends_with("the second is ahead: ---|-2-"), "{error}");
        assert_eq!(disks.guilty(), Some(error.clone()));
        assert!(second.snapshot() == filled("---"));
        // Nothing goes on as if nothing were wrong.
        assert_eq!(
            first.write_at(0, &filled("1")).unwrap_err().to_string(),
            error
        );
        assert!(
            first.sync().is_err() && first.set_len(9).is_err() && second.punch_hole(0, 9).is_err()
        );
        disks.restart();
        assert_eq!(disks.guilty(), None);
        // The judge is still there.
        first.write_at(0, &filled("0")).unwrap();
        second.write_at(512, &filled("2")).unwrap_err();
    }
}

/// What was judged before is not judged again: each state has something of the write.
#[test]
fn a_judge_sees_what_the_write_makes_possible_and_nothing_else() {
    for (sectors, most) in [(2, usize::MAX), (30, usize::MAX), (30, 9), (0, usize::MAX)] {
        let (disks, [first, second]) = two(40);
        first.write_at(0, &filled(&"1".repeat(20))).unwrap();
        let seen = Arc::new(AtomicUsize::new(0));
        let whole = Arc::new(AtomicUsize::new(0));
        let (count, complete) = (seen.clone(), whole.clone());
        let all = "2".repeat(sectors);
        let new = all.clone();
        disks.judge(1, most, move |state| {
            count.fetch_add(1, Ordering::Relaxed);
            let word = letters(state);
            let second = word.split('|').nth(1).unwrap();
            if second.starts_with(&new) {
                complete.fetch_add(1, Ordering::Relaxed);
            }
            let is_new = second.contains(['2', '.']) || new.is_empty();
            if is_new { Ok(()) } else { Err(word) }
        });
        second.write_at(0, &filled(&all)).unwrap();
        let seen = seen.load(Ordering::Relaxed);
        match most {
            usize::MAX if sectors > 0 => assert!(seen > 100, "{seen}"),
            usize::MAX => assert_eq!(seen, 1),
            most => assert_eq!(seen, most),
        }
        assert!(whole.load(Ordering::Relaxed) > 0);
    }
}
