//! Damaged, strange and hostile containers: each is refused for its own reason, exit 4, and nothing is written.

use std::time::{Duration, Instant};

use crate::support::{Place, cheap_luks_place};

const CHEAP: &str = "--key-file pw --pbkdf pbkdf2 --pbkdf-force-iterations 1000";
/// Bytes of one LUKS2 header copy unless said.
const COPY: usize = 16384;

/// A container named `box`.
fn container(kind: &str) -> Place {
    let place = cheap_luks_place(8192);
    place
        .run(&format!("encrypt raw box --type {kind} {CHEAP}"))
        .expect(0);
    place
}

/// Patches `box` and decrypts it: the exit code, and what is said.
#[track_caller]
fn refuses(kind: &str, patch: impl FnOnce(&mut Vec<u8>), says: &str) {
    let place = container(kind);
    let mut bytes = place.read("box");
    patch(&mut bytes);
    place.write("box", &bytes);
    let before = place.names();
    place
        .run("decrypt box back --key-file pw")
        .expect(4)
        .says(says);
    place.run("key test box --key-file pw").expect(4).says(says);
    place
        .run_with("decrypt - - --key-file pw", &bytes)
        .expect(4);
    assert!(place.read("box") == bytes, "reading changes nothing");
    assert_eq!(place.names(), before);
}

#[test]
fn what_is_no_container() {
    refuses("luks2", |bytes| bytes.fill(0), "box: not a LUKS container");
    refuses(
        "luks1",
        |bytes| bytes.truncate(0),
        "box: not a LUKS container",
    );
    refuses(
        "luks1",
        |bytes| bytes[0] = b'X',
        "box: not a LUKS container",
    );
}

#[test]
fn unknown_versions() {
    refuses("luks1", |bytes| bytes[7] = 3, "LUKS version 3");
}

#[test]
fn one_good_copy_is_enough() {
    for damaged in [0, COPY] {
        let place = container("luks2");
        let mut bytes = place.read("box");
        bytes[damaged + 4096 + 10] ^= 1;
        place.write("box", &bytes);
        let run = place.run("decrypt box back --key-file pw").expect(0);
        let which = if damaged == 0 { "primary" } else { "secondary" };
        assert!(
            run.stderr
                .contains(&format!("warning: box: the {which} header is not used")),
            "{}",
            run.stderr
        );
        assert_eq!(place.read("back"), place.read("raw"));
        assert!(place.read("box") == bytes, "reading repairs nothing");
        let out = place
            .run_with("decrypt - - --key-file pw", &bytes)
            .expect(0);
        assert_eq!(out.stdout, place.read("raw"), "{which}");
    }
}

#[test]
fn both_copies_damaged() {
    let same = |bytes: &mut Vec<u8>| {
        bytes[4096 + 10] ^= 1;
        bytes[COPY + 4096 + 10] ^= 1;
    };
    refuses(
        "luks2",
        same,
        "damaged LUKS header: the checksum does not match",
    );
    let different = |bytes: &mut Vec<u8>| {
        bytes[4096 + 10] ^= 1;
        bytes[COPY + 8] ^= 1;
    };
    refuses(
        "luks2",
        different,
        "both header copies are damaged: primary: the checksum does not match",
    );
}

#[test]
fn truncated_containers() {
    refuses("luks2", |bytes| bytes.truncate(100_000), "keyslot 0's area");
    refuses("luks1", |bytes| bytes.truncate(100_000), "keyslot 0");
    refuses("luks2", |bytes| bytes.truncate(1000), "box");
    refuses("luks1", |bytes| bytes.truncate(300), "box");
}

#[test]
fn a_cipher_that_is_not_built() {
    let unknown = |bytes: &mut Vec<u8>| bytes[8..16].copy_from_slice(b"unknown\0");
    refuses("luks1", unknown, "cipher \"unknown\" is not supported");
    let null = |bytes: &mut Vec<u8>| {
        bytes[8..40].fill(0);
        bytes[8..19].copy_from_slice(b"cipher_null");
        bytes[40..72].fill(0);
        bytes[40..43].copy_from_slice(b"ecb");
    };
    refuses("luks1", null, "null cipher");
}

#[test]
fn the_type_asked_for_must_be_there() {
    let place = container("luks2");
    place
        .run("decrypt box back --type luks1 --key-file pw")
        .expect(4)
        .says("box is luks2, which is not the type asked for");
    let run = place
        .run("decrypt raw back --key-file pw")
        .expect(4)
        .says("raw: not a LUKS container");
    assert!(!run.stderr.contains("--type plain"), "{}", run.stderr);
}

#[test]
fn a_key_derivation_that_costs_too_much_is_refused_at_once() {
    let place = container("luks1");
    let mut bytes = place.read("box");
    // The iterations of keyslot 0.
    bytes[208 + 4..208 + 8].copy_from_slice(&u32::MAX.to_be_bytes());
    place.write("box", &bytes);
    let start = Instant::now();
    place
        .run("decrypt box back --key-file pw --max-kdf-time 1000")
        .expect(4)
        .says("refused as too costly: keyslot 0")
        .advises("--max-kdf-time");
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    assert!(!place.path("back").exists());
}

#[test]
fn labels_cannot_drive_the_terminal() {
    let place = cheap_luks_place(8192);
    let line = format!("\"$LUKSMITH\" encrypt raw box {CHEAP} --label \"$(printf 'a\\033[31mb')\"");
    place.sh(&line).expect(0);
    let run = place.run("inspect box").expect(0);
    assert!(
        run.text().contains("a\\u{1b}[31mb") && !run.text().contains('\u{1b}'),
        "{}",
        run.text()
    );
}

/// What a keyslot has lost keeps no other one from opening.
#[test]
fn a_keyslot_that_is_cut_off_is_a_warning() {
    for kind in ["luks1", "luks2"] {
        let place = container(kind);
        place.write("second", "another passphrase");
        place
            .run("key add -q box --key-file pw --new-keyfile second --pbkdf-force-iterations 1000 --pbkdf pbkdf2")
            .expect(0);
        let areas = place.run("inspect box --json").expect(0);
        let areas: serde_json::Value = serde_json::from_str(areas.text()).expect("JSON");
        let end = areas["keyslots"][1]["area_offset"]
            .as_u64()
            .expect("a number")
            + 4096;
        let mut bytes = place.read("box");
        bytes.truncate(usize::try_from(end).expect("fits"));
        place.write("box", &bytes);
        place.run("key test box --key-file pw").expect(0);
        let run = place.run("key test box --key-file second").expect(2);
        assert!(
            run.stderr
                .contains("warning: keyslot 1 is not usable: keyslot 1's area needs"),
            "{}",
            run.stderr
        );
        for line in [
            "key add -q box --key-file pw --new-keyfile second --pbkdf-force-iterations 1000 --pbkdf pbkdf2",
            "key change -q box --key-file pw --new-keyfile second --pbkdf-force-iterations 1000 --pbkdf pbkdf2",
        ] {
            place
                .run(line)
                .expect(4)
                .says("the area of the keyslot to be written needs");
            assert!(place.read("box") == bytes, "{line}");
        }
        let run = place
            .run("header backup box --header-backup-file saved --json")
            .expect(4);
        let report: serde_json::Value = serde_json::from_str(run.text()).expect("JSON");
        assert_eq!(report["holes"][0]["offset"], end);
        assert_eq!(report["holes"][0]["in_use"], true);
        assert!(place.read("saved").starts_with(&bytes));
        for line in ["key remove -q box -S 1", "header erase -q box"] {
            place.run(line).expect(0);
            assert_eq!(place.read("box").len(), bytes.len(), "{line}");
        }
    }
}

/// The list of bad places is a new file, made before the work begins, and it is there when the work is done and only then.
#[test]
fn the_map_of_what_cannot_be_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = container("luks2");
    place
        .run("decrypt box back --key-file pw --error-map map")
        .expect(1)
        .says("--error-map does not go with --on-read-error stop");
    place
        .run_with(
            "decrypt - back --key-file pw --on-read-error zero",
            &place.read("box"),
        )
        .expect(1)
        .says("--on-read-error zero");
    place.write("taken", "somebody's");
    for line in [
        "decrypt box back --key-file pw --on-read-error zero --error-map taken",
        "encrypt raw again --key-file pw --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --on-read-error zero --error-map taken",
        "compare box raw --key-file pw --on-read-error zero --error-map taken",
    ] {
        place.run(line).expect(5).says("taken exists");
    }
    assert_eq!(place.read("taken"), b"somebody's");
    place
        .run("decrypt box back --key-file pw --on-read-error zero --error-map map --dry-run")
        .expect(0);
    let before = place.names();
    assert!(!before.contains(&"map".to_owned()));
    // Nothing is left of work that ends early.
    place.write("wrong", "wrong");
    place
        .run("decrypt box back --key-file wrong --on-read-error zero --error-map map")
        .expect(2);
    place
        .run("decrypt box nowhere/back --key-file pw --on-read-error zero --error-map map")
        .expect(1);
    let after: Vec<_> = place
        .names()
        .into_iter()
        .filter(|name| name != "wrong")
        .collect();
    assert_eq!(after, before);
    // Where all can be read it says so.
    for (line, map) in [
        ("decrypt box back --key-file pw --json", "of-decrypt"),
        ("compare box raw --key-file pw --json", "of-compare"),
        (
            "encrypt raw again --key-file pw --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --json",
            "of-encrypt",
        ),
    ] {
        let run = place
            .run(&format!("{line} --on-read-error zero --error-map {map}"))
            .expect(0);
        let report: serde_json::Value = serde_json::from_str(run.text()).expect("JSON");
        assert_eq!(report["lost"], serde_json::json!([]), "{line}");
        let text = String::from_utf8(place.read(map)).expect("text");
        assert!(text.ends_with("0x00000000  0x00002000  +\n"), "{text}");
        let mode = place
            .path(map)
            .metadata()
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(place.read("back"), place.read("raw"));
}
