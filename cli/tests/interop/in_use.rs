use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::common::{PROGRAM, Place, check_all};

/// Every disk, so that any verb could be done to it.
const BYTES: u64 = 4 << 20;

/// Disks of the guest and what becomes of each. `$D` is the disk, `$N` its number.
const STATES: &[(&str, &str)] = &[
    ("mounted", "mkfs.ext2 -q $D && mount -o ro $D /run/m$N"),
    // The header of LUKS1 is smaller than what ext2 leaves free at its start.
    (
        "mounted with a header",
        "mkfs.ext2 -q $D && dd if=header1 of=$D conv=notrunc status=none && mount -t ext2 -o ro $D /run/m$N",
    ),
    ("swap", "mkswap $D && swapon $D"),
    (
        "array",
        "mdadm --create /dev/md$N --run --force --level=1 --raid-devices=1 --metadata=1.2 $D",
    ),
    (
        "disk of a mounted partition",
        "echo 2048,2048 | sfdisk -q --label dos $D && mkfs.ext2 -q ${D}1 && mount -o ro ${D}1 /run/m$N",
    ),
    (
        "mapped, LUKS1",
        "cp luks1 $D && cryptsetup open --key-file a $D m$N",
    ),
    (
        "mapped, LUKS2",
        "cp luks2 $D && cryptsetup open --key-file a $D m$N",
    ),
    (
        "partition of a mapped disk",
        "echo 2048,2048 | sfdisk -q --label dos $D && dmsetup create m$N --table \"0 8192 linear $D 0\"",
    ),
];

/// What is done to a disk by both command lines of cryptsetup. Above the line what does not read a header before.
const ACTIONS: &[&str] = &[
    "luksFormat -q $C $D a",
    "luksFormat -q $C --header $D other a",
    "luksHeaderRestore -q $D --header-backup-file saved$V",
    "erase -q $D",
    "convert -q --type luks2 $D",
    // With the header of a container only.
    "luksFormat -q --type luks1 $C1 $D a",
    "repair -q $D",
    "convert -q --type luks1 $D",
    "luksAddKey -q $C1 --key-file a $D b",
    "luksChangeKey -q $C1 --key-file a $D b",
    "luksKillSlot -q $D 0",
    "luksUUID -q --uuid 01234567-89ab-4def-8123-456789abcdef $D",
    "config --label x $D",
    "token add --key-description x $D",
];
const ACTIONS_WITHOUT_HEADER: usize = 5;

/// What is done to a disk by our own verbs.
const VERBS: &[&str] = &[
    "create --force --overwrite-device -q $C --key-file a $D",
    "encrypt --force --overwrite-device -q --type plain -c aes-xts-plain64 -s 512 --size 4096 --key-file key other $D",
    "decrypt --force --overwrite-device -q --key-file a small $D",
    "header restore -q --force --header-backup-file saved$V $D",
    "header erase -q $D",
    "header repair $D",
    "header convert -q --type luks1 $D",
    "key add -q $C1 --key-file a --new-keyfile b $D",
    // With the header of a container only.
    "create --force --overwrite-device -q $C --key-file a --header $D made",
    "header convert -q --type luks2 $D",
    "header config --uuid 01234567-89ab-4def-8123-456789abcdef $D",
    "key change -q $C1 --key-file a --new-keyfile b $D",
    "key remove -q --key-file a $D",
    "token add --key-description x $D",
];
const VERBS_WITHOUT_HEADER: usize = 8;

/// What our verbs may do while only the container's own mapping is open, as cryptsetup does.
const BESIDE_A_MAPPING: &[&str] = &[
    "header restore",
    "header erase",
    "header config",
    "key",
    "token",
];

/// cryptsetup looks for a mapping at most here, and what is mounted there is lost.
const STRICTER: &[&str] = &["luksHeaderRestore", "erase", "convert"];

/// One line of what the guest says.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Outcome {
    code: i32,
    changed: bool,
    said: String,
}

/// A state and what was done in it.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
struct Try {
    state: &'static str,
    line: &'static str,
}

impl fmt::Display for Try {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.state, self.line)
    }
}

fn has_header(state: &str) -> bool {
    state.contains("header") || state.starts_with("mapped")
}

fn script(place: &Path) -> String {
    let mut script = format!(
        "cd '{}'\n\
         C='--pbkdf pbkdf2 --pbkdf-force-iterations 1000 --offset 2112 --luks2-keyslots-size 256K'\n\
         C1='--pbkdf pbkdf2 --pbkdf-force-iterations 1000'\n\
         luksmith() {{ '{PROGRAM}' \"$@\"; }}\n\
         ours() {{ bin/cryptsetup \"$@\"; }}\n\
         theirs() {{ /usr/sbin/cryptsetup \"$@\"; }}\n\
         # Number of the try and who; the state's disk is as before afterwards.\n\
         try() {{ shown=\"$1 $2\"; shift 2\n\
         \"$@\" </dev/null >/dev/null 2>said; code=$?; rm -f made\n\
         if cmp -s $D /run/was; then how=same; else how=changed; dd if=/run/was of=$D bs=1M conv=notrunc status=none; fi\n\
         echo \"$shown $code $how $(head -n 1 said)\"; }}\n",
        place.display()
    );
    for (number, (state, make)) in STATES.iter().enumerate() {
        let version = if state.contains("LUKS2") { 2 } else { 1 };
        let letter = char::from(b'a' + u8::try_from(number).unwrap());
        let _ = write!(
            script,
            "N={number}; V={version}; D=/dev/ubd{letter}; mkdir -p /run/m$N\n\
             {{ {make}; }} >log 2>&1 || {{ cat log; echo 'not made: {state}'; exit 1; }}\n"
        );
        if state.starts_with("partition") {
            script.push_str("D=${D}1\n");
        }
        script.push_str("cat $D >/run/was\n");
        let lines = |all: usize, without: usize| if has_header(state) { all } else { without };
        let actions = lines(ACTIONS.len(), ACTIONS_WITHOUT_HEADER);
        let verbs = lines(VERBS.len(), VERBS_WITHOUT_HEADER);
        for (action, line) in ACTIONS.iter().enumerate().take(actions) {
            for who in ["theirs", "ours"] {
                let _ = writeln!(script, "try {number}.{action} {who} {who} {line}");
            }
        }
        for (verb, line) in VERBS.iter().enumerate().take(verbs) {
            let _ = writeln!(script, "try {number}.{verb} verb luksmith {line}");
        }
    }
    script
}

fn place() -> Place {
    let place = Place::new();
    place.write("a", "passphrase a");
    place.write("b", "passphrase b");
    place.write("key", [7; 64]);
    place.write("token", r#"{"type":"own","keyslots":[]}"#);
    place.hole("other", BYTES);
    for (number, _) in STATES.iter().enumerate() {
        place.hole(&format!("disk{number}"), BYTES);
    }
    place.sh(
        "C='-q --pbkdf pbkdf2 --pbkdf-force-iterations 1000'; truncate -s 4M luks1 luks2 small; \
         cryptsetup luksFormat $C --type luks1 --key-size 256 luks1 a && \
         cryptsetup luksFormat $C --offset 5120 --sector-size 512 --luks2-keyslots-size 1M luks2 a && \
         cryptsetup luksFormat $C --offset 2112 --sector-size 512 --luks2-keyslots-size 256K small a && \
         cryptsetup luksHeaderBackup luks1 --header-backup-file saved1 && \
         cryptsetup luksHeaderBackup luks2 --header-backup-file saved2 && head -c 592 luks1 >header1",
    );
    fs::create_dir(place.path("bin")).unwrap();
    symlink(PROGRAM, place.path("bin/cryptsetup")).unwrap();
    place
}

/// What the guest said of each try, by who did it.
fn outcomes(printed: &str) -> BTreeMap<(Try, String), Outcome> {
    let mut outcomes = BTreeMap::new();
    for line in printed.lines() {
        let mut words = line.splitn(5, ' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let (number, who, code, how, said) = (word(), word(), word(), word(), word());
        let (state, number) = number.split_once('.').unwrap_or_else(|| panic!("{line}"));
        let lines = if who == "verb" { VERBS } else { ACTIONS };
        let key = Try {
            state: STATES[state.parse::<usize>().unwrap()].0,
            line: lines[number.parse::<usize>().unwrap()],
        };
        let outcome = Outcome {
            code: code.parse().unwrap(),
            changed: how == "changed",
            said,
        };
        outcomes.insert((key, who), outcome);
    }
    outcomes
}

#[test]
fn what_somebody_uses_is_not_written() {
    let place = place();
    let disks: Vec<_> = (0..STATES.len()).map(|n| format!("disk{n}")).collect();
    let disks: Vec<_> = disks.iter().map(String::as_str).collect();
    let printed = place.kernel(&script(&place.path("")), &disks);
    let outcomes = outcomes(&printed);
    let of = |key: Try, who: &str| {
        let outcome = outcomes.get(&(key, who.to_owned()));
        outcome.unwrap_or_else(|| panic!("{key}: not tried: {printed}"))
    };
    let all = |who: &str| -> Vec<Try> {
        let of_whom = outcomes.keys().filter(|(_, by)| by == who);
        of_whom.map(|(key, _)| *key).collect()
    };
    let actions = all("theirs");
    let bare = STATES
        .iter()
        .filter(|(state, _)| !has_header(state))
        .count();
    let with = STATES.len() - bare;
    assert_eq!(
        actions.len(),
        bare * ACTIONS_WITHOUT_HEADER + with * ACTIONS.len()
    );
    assert_eq!(
        all("verb").len(),
        bare * VERBS_WITHOUT_HEADER + with * VERBS.len()
    );
    check_all("cryptsetup's actions on what is in use", &actions, |key| {
        let (theirs, ours) = (of(*key, "theirs"), of(*key, "ours"));
        let is_mapping = key.state.starts_with("mapped");
        let is_restore = key.line.starts_with("luksHeaderRestore");
        let is_lost = theirs.changed && STRICTER.iter().any(|action| key.line.starts_with(action));
        if !is_mapping && (is_restore || is_lost) {
            assert_eq!(
                (ours.code, ours.changed),
                (5, false),
                "{ours:?}, {theirs:?}"
            );
            let start = "Cannot exclusively open /dev/ubd";
            assert!(ours.said.starts_with(start), "{ours:?}");
        } else if is_mapping && theirs.said.is_empty() && key.line.starts_with("convert") {
            // It finds an obstacle to the conversion that it has no words for.
            assert_eq!((theirs.code, theirs.changed), (1, false), "{theirs:?}");
            assert_eq!((ours.code, ours.changed), (5, false), "{ours:?}");
        } else {
            assert_eq!(
                (ours.code, ours.changed, &ours.said),
                (theirs.code, theirs.changed, &theirs.said)
            );
        }
    });
    check_all("our verbs on what is in use", &all("verb"), |key| {
        let outcome = of(*key, "verb");
        let is_mapping = key.state.starts_with("mapped");
        let may = BESIDE_A_MAPPING
            .iter()
            .any(|verb| key.line.starts_with(verb));
        if is_mapping && may {
            // What is of the other version is another refusal.
            assert_ne!(outcome.code, 5, "{outcome:?}");
        } else if is_mapping && key.line.starts_with("header repair") {
            assert_eq!((outcome.code, outcome.changed), (0, false), "{outcome:?}");
        } else {
            assert_eq!((outcome.code, outcome.changed), (5, false), "{outcome:?}");
            assert!(outcome.said.contains(" is in use"), "{outcome:?}");
        }
    });
    let added = Try {
        state: "mapped, LUKS2",
        line: VERBS[7],
    };
    assert_eq!(of(added, "verb").code, 0, "{:?}", of(added, "verb"));
    assert!(of(added, "verb").changed);
}

/// Somebody of whom the kernel tells nothing but that he has it for himself, as a program that makes a file system does.
#[test]
fn a_device_that_somebody_has_for_himself_is_not_written() {
    let place = Place::new();
    if place.sh("id -u") != b"0\n" {
        println!("not tried: only root has loop devices");
        return;
    }
    place.hole("disk", BYTES);
    place.write("raw", vec![1; 64 << 10]);
    place.write("key", "pw");
    place.sh(&format!(
        "L=$(losetup -f --show disk); trap 'losetup -d $L' EXIT
         JOB=\"'{PROGRAM}' encrypt raw $L -q --overwrite-device --key-file key --pbkdf pbkdf2\"
         JOB=\"$JOB --pbkdf-force-iterations 1000 --offset 2048 --luks2-keyslots-size 512K\"
         c=0; python3 -c 'import os, subprocess, sys
held = os.open(sys.argv[1], os.O_RDONLY | os.O_EXCL)
sys.exit(subprocess.call(sys.argv[2], shell=True))' $L \"$JOB\" >said 2>&1 || c=$?
         test $c = 5 || {{ cat said; exit 1; }}
         cmp -n {BYTES} disk /dev/zero
         sh -c \"$JOB\""
    ));
}
