use std::fmt;

use crate::common::{PROGRAM, Place, check_all};

/// Cheap, and never measured.
const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";

/// A change of `box`, in which the key files `a` and `b` open keyslots 0 and 1; `c` is another one. `$K` is [`CHEAP`].
struct Case {
    version: u32,
    line: &'static str,
    opens: &'static str,
    refuses: &'static str,
    /// Keyslots whose areas may change; none where what lies between two changes is not looked at.
    touched: &'static [u64],
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LUKS{}: {}", self.version, self.line)
    }
}

/// The same for both versions.
fn both(
    line: &'static str,
    opens: &'static str,
    refuses: &'static str,
    touched: &'static [u64],
) -> Vec<Case> {
    let of = |version| Case {
        version,
        line,
        opens,
        refuses,
        touched,
    };
    vec![of(1), of(2)]
}

fn luks2(
    line: &'static str,
    opens: &'static str,
    refuses: &'static str,
    touched: &'static [u64],
) -> Vec<Case> {
    both(line, opens, refuses, touched).split_off(1)
}

fn place(version: u32) -> Place {
    let options = if version == 1 {
        "--type luks1 --offset 8192"
    } else {
        "--type luks2 --offset 16384 --luks2-keyslots-size 4m"
    };
    place_with(options, 9 << 20)
}

fn place_with(options: &str, bytes: u64) -> Place {
    let place = Place::new();
    for name in ["a", "b", "c"] {
        place.write(name, format!("passphrase {name}"));
    }
    place.write("vk", [7; 32]);
    place.hole("box", bytes);
    place.sh(&format!(
        "cryptsetup luksFormat -q {options} {CHEAP} box a && cryptsetup luksAddKey {CHEAP} --key-file a box b"
    ));
    place
}

/// Offset and size of each keyslot's area.
fn areas(place: &Place) -> Vec<(u64, u64, u64)> {
    let list = place.luksmith("key list box --json");
    let list: serde_json::Value = serde_json::from_slice(&list).unwrap();
    let number = |slot: &serde_json::Value, name: &str| slot[name].as_u64().unwrap();
    list["keyslots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|slot| {
            let place = (number(slot, "area_offset"), number(slot, "area_bytes"));
            (number(slot, "id"), place.0, place.1)
        })
        .collect()
}

/// Whether a key file opens the container, for us and for cryptsetup.
#[track_caller]
fn opens(place: &Place, key: &str) -> bool {
    let theirs = place.sh_code(&format!(
        "cryptsetup open --test-passphrase box --key-file {key} 2>/dev/null"
    ));
    let ours = place.sh_code(&format!(
        "luksmith key test box --key-file {key} 2>/dev/null"
    ));
    // Where there is an unbound keyslot too, cryptsetup's code for a key that fits nothing is 1.
    assert!(
        matches!((ours, theirs), (0, 0) | (2, 1 | 2)),
        "{key}: {ours}, {theirs}"
    );
    theirs == 0
}

#[track_caller]
fn run(case: &Case) {
    let place = place(case.version);
    let (before, areas_before) = (place.read("box"), areas(&place));
    place.sh(&case.line.replace("$K", CHEAP));
    for key in case.opens.split_whitespace() {
        assert!(opens(&place, key), "{key} opens nothing");
    }
    for key in case.refuses.split_whitespace() {
        assert!(!opens(&place, key), "{key} still opens it");
    }
    if case.touched.is_empty() {
        return;
    }
    let after = place.read("box");
    let header = if case.version == 1 { 592 } else { 2 * 16384 };
    let areas = areas_before.into_iter().chain(areas(&place));
    let allowed: Vec<_> = areas
        .filter(|(id, ..)| case.touched.contains(id))
        .map(|(_, offset, bytes)| offset..offset + bytes)
        .chain(std::iter::once(0..header))
        .collect();
    assert_eq!(before.len(), after.len());
    let outside = (0u64..)
        .zip(before.iter().zip(&after))
        .find(|(at, (one, other))| one != other && !allowed.iter().any(|range| range.contains(at)));
    assert_eq!(outside, None, "a byte that is not the keyslots'");
}

#[test]
fn what_we_change_cryptsetup_opens() {
    let ours: Vec<Case> = [
        both("luksmith key add box --key-file a --new-keyfile c $K", "a b c", "vk", &[2]),
        both("luksmith key add box --key-file b --new-keyfile c --new-key-slot 5 $K", "a b c", "", &[5]),
        both("luksmith key add box --key-file b --key-slot 1 --new-keyfile c --new-key-slot 6 $K && \
              cryptsetup open --test-passphrase box -S 6 --key-file c", "a b c", "", &[6]),
        both("luksmith key export box -q --key-file a --volume-key-file key && \
              luksmith key add box --volume-key-file key --new-keyfile c $K", "a b c", "", &[2]),
        both("printf 'passphrase a\\npassphrase c\\n' | luksmith key add box $K", "a b c", "", &[2]),
        both("{ cat a; echo; cat c; } | luksmith key change box $K", "b c", "a", &[0, 2]),
        both("luksmith key change box --key-file b --new-keyfile c $K", "a c", "b", &[1, 2]),
        both("luksmith key change box --key-slot 1 --key-file b --new-keyfile c $K", "a c", "b", &[1, 2]),
        both("luksmith key change box --key-file b --keep-passphrase --pbkdf pbkdf2 --pbkdf-force-iterations 1234 && \
              cryptsetup luksDump box | grep -q 1234", "a b", "c", &[1, 2]),
        both("luksmith key export box -q --key-file b --volume-key-file key && \
              luksmith key change box --key-slot 0 --volume-key-file key --new-keyfile c $K", "b c", "a", &[0, 2]),
        both("luksmith key export box -q --key-file b --volume-key-file key && \
              luksmith key remove box --key-slot 0 --volume-key-file key", "b", "a", &[0]),
        both("luksmith key remove box --key-file a", "b", "a", &[0]),
        both("luksmith key remove box <b", "a", "b", &[1]),
        both("luksmith key remove box --key-slot 0 --key-file b", "b", "a", &[0]),
        both("luksmith key remove box --key-slot 1 -q", "a", "b", &[1]),
        both("luksmith key remove box --key-slot 1 -q && luksmith key add box --key-file a --new-keyfile c $K", "a c", "b", &[1]),
        both("luksmith key add box --key-file a --new-keyfile c $K --header-backup-file saved && \
              cryptsetup luksHeaderRestore -q box --header-backup-file saved", "a b", "c", &[2]),
        luks2("luksmith key add box --key-file a --new-keyfile c --pbkdf argon2id --pbkdf-force-iterations 4 --pbkdf-memory 64 --pbkdf-parallel 2", "a b c", "", &[2]),
        luks2("luksmith key change box --key-file a --keep-passphrase --pbkdf argon2i --pbkdf-force-iterations 5 --pbkdf-memory 128 --pbkdf-parallel 1", "a b", "c", &[0]),
        luks2("luksmith key add box --key-file a --new-keyfile c $K --hash sha512 --keyslot-cipher aes-cbc-essiv:sha256 --keyslot-key-size 256 && \
               cryptsetup luksDump box | grep -q 'aes-cbc-essiv:sha256'", "a b c", "", &[2]),
        luks2("luksmith key add box --key-file a --new-keyfile c $K --priority prefer && \
               cryptsetup luksDump box | grep -q preferred", "a b c", "", &[2]),
        luks2("luksmith header config box --key-slot 1 --priority ignore && \
               cryptsetup luksDump box | grep -q ignored && cryptsetup open --test-passphrase box -S 1 --key-file b && \
               luksmith header config box --key-slot 0 --priority prefer && \
               cryptsetup luksDump box | grep -q preferred", "a", "b", &[]),
        luks2("luksmith key add box --unbound --key-size 256 --new-keyfile c $K && \
               cryptsetup open --test-passphrase --unbound -S 2 box --key-file c", "a b", "c", &[2]),
        luks2("luksmith key add box --unbound --volume-key-file vk --new-keyfile c --new-key-slot 9 $K && \
               cryptsetup luksDump --unbound -S 9 --key-file c --volume-key-file out -q box && cmp out vk && \
               luksmith key export -q box --key-slot 9 --key-file c --volume-key-file ours && cmp ours vk", "a b", "c", &[9]),
    ]
    .into_iter()
    .flatten()
    .collect();
    check_all("keyslots changed by us, opened by cryptsetup", &ours, run);
}

#[test]
fn what_cryptsetup_changes_we_open() {
    let theirs: Vec<Case> = [
        both("cryptsetup luksAddKey box $K --key-file a c", "a b c", "", &[2]),
        both("cryptsetup luksAddKey box $K --key-file a -S 7 c", "a b c", "", &[7]),
        both("cryptsetup luksChangeKey box $K --key-file b c", "a c", "b", &[1, 2]),
        both("cryptsetup luksRemoveKey box a", "b", "a", &[0]),
        both("cryptsetup luksKillSlot -q box 1", "a", "b", &[1]),
        luks2("cryptsetup luksConvertKey box --key-file a --pbkdf argon2id --pbkdf-force-iterations 4 --pbkdf-memory 64 --pbkdf-parallel 1", "a b", "c", &[0]),
        luks2("cryptsetup luksAddKey box $K --unbound --key-size 256 -S 4 c && \
               luksmith key test box --key-file c --key-slot 4", "a b", "c", &[4]),
        // Taken up by us afterwards.
        both("cryptsetup luksAddKey box $K --key-file a c && luksmith key remove box --key-file a && \
              cryptsetup luksAddKey box $K --key-file b a", "a b c", "", &[0, 2]),
        both("luksmith key change box $K --key-file b --new-keyfile c && cryptsetup luksChangeKey box $K --key-file c b", "a b", "c", &[]),
    ]
    .into_iter()
    .flatten()
    .collect();
    check_all("keyslots changed by cryptsetup, opened by us", &theirs, run);
}

/// The volume key is what cryptsetup says, and opens the container for it.
#[test]
fn the_exported_volume_key_is_cryptsetups() {
    for version in [1, 2] {
        let place = place(version);
        place.luksmith("key export box -q --key-file a --volume-key-file ours");
        place.sh("cryptsetup luksDump --dump-volume-key -q --key-file b --volume-key-file theirs box && cmp ours theirs");
        let mode = place.sh("stat -c %a ours");
        assert_eq!(mode, b"600\n");
        let again = "luksmith key export box -q --key-file a --volume-key-file ours 2>/dev/null";
        assert_eq!(place.sh_code(again), 5);
    }
}

/// A detached header: the container itself is not touched.
#[test]
fn a_detached_header_is_changed_where_it_is() {
    let place = place(2);
    place.write("data", vec![0; 1 << 20]);
    place.hole("header", 8 << 20);
    place.sh(&format!(
        "cryptsetup luksFormat -q --type luks2 --luks2-keyslots-size 4m {CHEAP} --header header data a"
    ));
    let before = place.read("data");
    place.luksmith(&format!(
        "key add data --header header --key-file a --new-keyfile c {CHEAP}"
    ));
    place.sh("cryptsetup open --test-passphrase --header header data --key-file c");
    place.luksmith("key remove data --header header --key-file a");
    assert_eq!(
        place.sh_code("cryptsetup open --test-passphrase --header header data --key-file a"),
        2
    );
    assert!(place.read("data") == before);
}

/// Without its last keyslot a container has none, for both.
#[test]
fn the_last_keyslot_goes_when_it_is_meant() {
    for version in [1, 2] {
        let place = place(version);
        place.luksmith("key remove box --key-file a");
        let before = place.read("box");
        // Without a terminal nobody can be asked, which is a refusal.
        let unasked = format!("setsid -w '{PROGRAM}' key remove box --key-file b 2>/dev/null");
        assert_eq!(place.sh_code(&unasked), 1);
        assert!(place.read("box") == before);
        place.luksmith("key remove box -q --key-file b");
        for key in ["a", "b"] {
            let line = format!("cryptsetup open --test-passphrase box --key-file {key}");
            assert_ne!(place.sh_code(&line), 0);
        }
    }
}

/// Both take turns under the header lock: every change that says that it was made is there. With
/// `LUKSMITH_LOCKS="PROCESSES EDITS"` as many of them, half of the processes cryptsetup's.
#[test]
fn e5_many_processes_change_one_header_at_once() {
    let counts = std::env::var("LUKSMITH_LOCKS").unwrap_or_else(|_| "8 6".into());
    let counts: Vec<u64> = counts
        .split_whitespace()
        .map(|count| count.parse().unwrap())
        .collect();
    let &[processes, edits] = &counts[..] else {
        panic!("LUKSMITH_LOCKS={counts:?}")
    };
    assert!((2..=28).contains(&processes) && edits > 1);
    // Room for 30 keyslots, so that nobody is refused for want of it.
    let place = place_with(
        "--type luks2 --offset 32768 --luks2-keyslots-size 8m",
        17 << 20,
    );
    place.write("token", r#"{"type":"own","keyslots":[]}"#);
    // cryptsetup's `token add` is two edits, of which the second may be refused; its `token import` is one.
    // Each has a token and a keyslot of its own, which it gives and takes.
    let lines = |slot: u64| {
        if slot.is_multiple_of(2) {
            [
                format!("luksmith token add box --key-description x --unbound --token-id {slot}"),
                format!(
                    "luksmith key add box --key-file a --new-keyfile c --new-key-slot {slot} {CHEAP}"
                ),
                format!("luksmith key remove box -q --key-slot {slot}"),
            ]
        } else {
            [
                format!("cryptsetup token import box --json-file token --token-id {slot}"),
                format!("cryptsetup luksAddKey box --key-file a -S {slot} {CHEAP} c"),
                format!("cryptsetup luksKillSlot -q box {slot}"),
            ]
        }
    };
    // Of an even number of edits the last one would take the keyslot: then the token is the first.
    let has_token = edits.is_multiple_of(2);
    let rounds = (edits + 1 - u64::from(has_token)) / 2;
    let epoch = |place: &Place| {
        let bytes = place.read_start("box", 24);
        u64::from_be_bytes(bytes[16..24].try_into().unwrap())
    };
    // How much each edit adds to the epoch when nobody else is there.
    let image = place.read("box");
    let mut expected = epoch(&place);
    for slot in 2..2 + processes {
        for (line, times) in lines(slot)
            .iter()
            .zip([u64::from(has_token), rounds, rounds - 1])
        {
            let before = epoch(&place);
            place.sh(line);
            expected += times * (epoch(&place) - before);
        }
        place.write("box", &image);
    }
    let job = |slot: u64| {
        // One that was refused tries again.
        let [token, add, remove] =
            lines(slot).map(|line| format!("until {line} 2>/dev/null; do :; done"));
        let token = if has_token { token } else { "true".into() };
        format!(
            "{token}; for round in $(seq {rounds}); do {add}; [ $round = {rounds} ] || {{ {remove}; }}; done"
        )
    };
    let jobs: Vec<String> = (2..2 + processes)
        .map(|slot| format!("( {} ) &", job(slot)))
        .collect();
    place.sh(&format!("{} wait", jobs.join(" ")));
    assert_eq!(epoch(&place), expected, "what each change adds");
    for slot in 2..2 + processes {
        for program in ["cryptsetup open --test-passphrase", "luksmith key test"] {
            place.sh(&format!("{program} box --key-slot {slot} --key-file c"));
        }
        if has_token {
            place.sh(&format!("cryptsetup token export box --token-id {slot}"));
        }
    }
    place.sh("cryptsetup luksDump box && luksmith verify box --key-file c");
    println!(
        "cases: edits by {processes} processes at once {} passed, 0 failed",
        processes * edits
    );
}
