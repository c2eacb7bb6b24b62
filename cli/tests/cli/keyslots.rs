//! `key add`, `change`, `remove`, `list` and `export`: what is refused, what is asked, what is printed.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::{Place, Run};

/// Cheap, and never measured.
const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";

/// A container `box` that the key file `a` opens; `b` is another one.
fn place(kind: &str) -> Place {
    let place = Place::new();
    for name in ["a", "b"] {
        place.write(name, format!("passphrase {name}"));
    }
    place
        .run(&format!(
            "create box --type {kind} --payload-size 4K --key-file a {CHEAP}"
        ))
        .expect(0);
    place
}

fn json(run: &Run) -> Value {
    serde_json::from_str(run.text()).expect("JSON")
}

#[test]
fn what_is_done_is_printed() {
    for kind in ["luks1", "luks2"] {
        let place = place(kind);
        let run = place
            .run(&format!(
                "key add box --key-file a --new-keyfile b {CHEAP} --json"
            ))
            .expect(0);
        let result = json(&run);
        assert_eq!(result["schema"], "luksmith.key add/1");
        assert_eq!(result["keyslot"], 1);
        let run = place
            .run(&format!(
                "key change box --key-file b --keep-passphrase {CHEAP} --json"
            ))
            .expect(0);
        let (result, now) = (json(&run), if kind == "luks1" { 2 } else { 1 });
        assert_eq!(
            (&result["old_keyslot"], &result["keyslot"]),
            (&1.into(), &now.into())
        );
        let list = json(&place.run("key list box --json").expect(0));
        let numbers: Vec<_> = list["keyslots"]
            .as_array()
            .expect("keyslots")
            .iter()
            .map(|slot| slot["id"].clone())
            .collect();
        assert_eq!(numbers, [Value::from(0), Value::from(now)]);
        let run = place.run("key list box").expect(0);
        assert!(
            run.text()
                .contains("keyslot 0: opens the data, priority normal, pbkdf2")
        );
        let run = place.run("key remove box --key-file a --json").expect(0);
        assert_eq!(json(&run)["keyslot"], 0);
    }
}

#[test]
fn mistakes_are_refused_and_change_nothing() {
    for kind in ["luks1", "luks2"] {
        let place = place(kind);
        let before = place.read("box");
        place.write("empty", "");
        place.write("vk", [1; 64]);
        let both = "key add box --key-file a --new-keyfile b";
        for (arguments, code, says) in [
            (
                format!("{both} {CHEAP} --new-key-slot 0"),
                1,
                "keyslot 0 is in use",
            ),
            (
                format!("{both} {CHEAP} --new-key-slot 32"),
                1,
                "does not exist",
            ),
            (
                format!("{both} {CHEAP} --key-slot 3"),
                1,
                "keyslot 3 is not in use",
            ),
            (
                format!("{both} --pbkdf pbkdf2 --pbkdf-force-iterations 999"),
                1,
                "999 is outside",
            ),
            (
                format!("{both} {CHEAP} --header-backup-file a"),
                5,
                "a exists",
            ),
            (
                format!("key add box --key-file a --new-keyfile empty {CHEAP}"),
                1,
                "empty (0 bytes)",
            ),
            (
                format!("key add box --key-file a --new-keyfile none {CHEAP}"),
                1,
                "cannot read",
            ),
            (
                format!("key add box --key-file b --new-keyfile a {CHEAP}"),
                2,
                "no key fits",
            ),
            (
                format!("key add box --key-file - --new-keyfile - {CHEAP}"),
                1,
                "does not go with",
            ),
            (
                format!("key add box --volume-key-file vk --new-keyfile b {CHEAP}"),
                2,
                "does not match",
            ),
            (
                format!("key change box --key-slot 0 --volume-key-file vk --new-keyfile b {CHEAP}"),
                2,
                "does not match",
            ),
            (
                format!("key change box --volume-key-file vk --new-keyfile b {CHEAP}"),
                1,
                "required",
            ),
            (
                "key remove box -q --key-slot 0 --volume-key-file vk".to_owned(),
                2,
                "does not match",
            ),
            (
                format!("key add none --key-file a --new-keyfile b {CHEAP}"),
                4,
                "cannot open none",
            ),
            (
                format!("key add vk --key-file a --new-keyfile b {CHEAP}"),
                4,
                "not a LUKS container",
            ),
            (
                format!("key add box --unbound --new-keyfile b {CHEAP}"),
                1,
                "required",
            ),
            (
                format!("key change box --key-file b --new-keyfile a {CHEAP}"),
                2,
                "no key fits",
            ),
            ("key remove box --key-file b".to_owned(), 2, "no key fits"),
            (
                "key remove box -q --key-slot 7".to_owned(),
                1,
                "keyslot 7 is not in use",
            ),
            (
                "key export box -q --key-file b --volume-key-file out".to_owned(),
                2,
                "no key fits",
            ),
            (
                "key export box -q --key-file a --volume-key-file b".to_owned(),
                5,
                "b exists",
            ),
        ] {
            let run = place.run(&arguments);
            assert_eq!(run.code, code, "{arguments}: {}", run.stderr);
            assert!(run.stderr.contains(says), "{arguments}: {}", run.stderr);
        }
        assert!(place.read("box") == before, "{kind}");
    }
    let place = place("luks1");
    for arguments in [
        format!("key add box --key-file a --new-keyfile b {CHEAP} --priority prefer"),
        format!("key add box --unbound --key-size 256 --new-keyfile b {CHEAP}"),
        format!("key add box --key-file a --new-keyfile b {CHEAP} --keyslot-cipher aes-xts-plain64 --keyslot-key-size 512"),
        "key add box --key-file a --new-keyfile b --pbkdf argon2id --pbkdf-force-iterations 4 --pbkdf-memory 64".to_owned(),
    ] {
        place.run(&arguments).expect(1).says("LUKS1 has no way to say");
    }
}

#[test]
fn two_passphrases_are_two_lines() {
    let place = place("luks2");
    place
        .run_with(
            &format!("key add box {CHEAP}"),
            b"passphrase a\nsecond\nrest",
        )
        .expect(0);
    place.run_with("key test box", b"second\n").expect(0);
    place
        .run_with(&format!("key change box {CHEAP}"), b"second\nthird")
        .expect(0);
    place.run_with("key test box", b"third").expect(0);
    place.run_with("key test box", b"second").expect(2);
    place
        .run_with(&format!("key add box {CHEAP}"), b"passphrase a\n")
        .expect(1)
        .says("nothing to read");
    place
        .run_with(
            &format!("key add box {CHEAP} --key-format openstack"),
            b"third\nx",
        )
        .expect(2);
}

/// Without a terminal a question is a refusal that names `-q`.
#[test]
fn what_locks_out_or_gives_away_is_asked() {
    let place = place("luks2");
    let before = place.read("box");
    for line in [
        "key remove box --key-file a",
        "key remove box --key-slot 0",
        "key export box --key-file a --volume-key-file out",
    ] {
        let line = format!("setsid -w \"$LUKSMITH\" {line}");
        place.sh(&line).expect(1).advises("-q");
    }
    assert!(place.read("box") == before);
    place
        .run("key export box -q --key-file a --volume-key-file out")
        .expect(0);
    let mode = std::fs::metadata(place.path("out"))
        .expect("the key")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    place.run("key test box --volume-key-file out").expect(0);
    place.run("key remove box -q --key-file a").expect(0);
    place.run("key test box --key-file a").expect(1);
    place.run("key test box --volume-key-file out").expect(0);
}

/// The volume key of the data changes no keyslot that holds another key.
#[test]
fn an_unbound_keyslot_has_its_own_key() {
    let place = place("luks2");
    for line in [
        format!("key add box --unbound --key-size 256 --new-keyfile b {CHEAP}"),
        "key export box -q --key-file a --volume-key-file vk".to_owned(),
    ] {
        place.run(&line).expect(0);
    }
    let before = place.read("box");
    place
        .run(&format!(
            "key change box --key-slot 1 --volume-key-file vk --new-keyfile a {CHEAP}"
        ))
        .expect(1)
        .says("keyslot 1 holds another key");
    let key = |key: &str| format!("key test box --key-slot 1 --key-file {key}");
    place.run(&key("b")).expect(0);
    place.run(&key("a")).expect(2);
    assert!(place.read("box") == before);
}

/// By number with another passphrase, or unasked with -q; never by the passphrase that is to go.
#[test]
fn a_keyslot_goes_when_another_one_is_left() {
    let place = place("luks2");
    place
        .run(&format!("key add box --key-file a --new-keyfile b {CHEAP}"))
        .expect(0);
    place
        .run("key remove box --key-slot 1 --key-file b")
        .expect(2)
        .says("keyslot 0 is not opened by this passphrase");
    place
        .run("key remove box --key-slot 1 --key-file a")
        .expect(0);
    place.run("key test box --key-file b").expect(2);
}

/// The new passphrase of a backup's container works no more once the backup is back.
#[test]
fn a_backup_is_written_first() {
    let place = place("luks2");
    let before = place.read("box");
    place
        .run(&format!(
            "key change box --key-file a --new-keyfile b {CHEAP} --header-backup-file saved"
        ))
        .expect(0);
    let saved = place.read("saved");
    assert!(before.starts_with(&saved), "the header as it was");
    assert!(saved.len() > 32768);
}
