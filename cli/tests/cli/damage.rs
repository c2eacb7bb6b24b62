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
    place
        .run("decrypt raw back --key-file pw")
        .expect(4)
        .says("raw: not a LUKS container")
        .advises("--type plain");
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
