//! What `OpenStack` made of a key, then and now: `--key-format`, and `key unmangle`.

use serde_json::Value;

use crate::support::Place;

const CHEAP: &str = "-q --pbkdf pbkdf2 --pbkdf-force-iterations 1000";
/// os-brick's own example of a key, in each of its forms.
const KEY: [u8; 4] = [0x07, 0x25, 0x23, 0x0b];
const FORMS: [(&str, &[u8], &str); 3] = [
    ("as-is", &KEY, "as it is"),
    ("openstack", b"0725230b", "by its hexadecimal digits"),
    (
        "openstack-mangled",
        b"72523b",
        "by its hexadecimal digits without the zeros before others",
    ),
];

/// A container of each form, called so, with the passphrase as a file `NAME.key`; `key`, and its record.
fn place(kind: &str) -> Place {
    let place = Place::new();
    place.write("key", KEY);
    place.write("record", r#"{"type": "symmetric", "value": "0725230b"}"#);
    place.write("phrase", r#"{"type": "passphrase", "value": "0725230b"}"#);
    place.write("raw", [7; 4096]);
    for (name, passphrase, _) in FORMS {
        place.write(&format!("{name}.key"), passphrase);
        place
            .run(&format!(
                "encrypt raw {name} --type {kind} --key-file {name}.key {CHEAP}"
            ))
            .expect(0);
    }
    place
}

#[test]
fn the_form_that_fits_is_found_and_said() {
    for kind in ["luks1", "luks2"] {
        let place = place(kind);
        for (name, _, how) in FORMS {
            // Whatever is read is the key, also a passphrase that is no text.
            for key in [
                "--key-file key",
                "--secret json:record",
                "--secret json:phrase",
            ] {
                let run = place
                    .run(&format!("key test {name} {key} --key-format auto"))
                    .expect(0);
                assert_eq!(
                    run.stderr,
                    format!("luksmith: {name} is opened by the key {how} (--key-format {name})\n")
                );
            }
            let run = place
                .run(&format!(
                    "decrypt {name} {name}.out --key-file key --key-format auto --json"
                ))
                .expect(0);
            let said = run
                .stderr
                .lines()
                .find(|line| line.contains("luksmith.note/1"));
            let said: Value = serde_json::from_str(said.expect("a note")).expect("JSON");
            assert_eq!(
                (&said["image"], &said["key_format"]),
                (&name.into(), &name.into())
            );
            assert!(place.read(&format!("{name}.out")) == [7; 4096]);
        }
        place.write("other", b"\x07\x25\x23\x0c");
        place
            .run("key test openstack --key-file other --key-format auto")
            .expect(2)
            .says("no key fits");
    }
}

#[test]
fn every_verb_that_unlocks_finds_it() {
    for (name, _, how) in FORMS {
        let place = place("luks2");
        place.write("new", "new");
        for line in [
            "clone IMG clone --keep-passphrase",
            "compare IMG raw",
            "verify IMG",
            "key export IMG -q --volume-key-file vk",
            "key add IMG --new-keyfile new CHEAP",
            "header seal IMG",
            "token add IMG --key-description words",
            "header config IMG --label x",
            "serve IMG -q --run true",
            "key test IMG --explain",
            "key change IMG --keep-passphrase CHEAP",
            "key remove IMG",
        ] {
            let line = line.replace("IMG", name).replace("CHEAP", CHEAP);
            let run = place
                .run(&format!("{line} --key-file key --key-format auto"))
                .expect(0);
            let needs_no_key = ["token", "config"].iter().any(|verb| line.contains(verb));
            assert!(
                needs_no_key || run.stderr.contains(how),
                "{line}: {}",
                run.stderr
            );
        }
        // What the source is opened by opens the clone, and the key that was added is as it was given.
        let passphrase = format!("key test clone --key-file {name}.key");
        place.run(&passphrase).expect(0);
        place
            .run(&format!("key test {name} --key-file new"))
            .expect(0);
        place
            .run(&format!("key test {name} --key-file {name}.key"))
            .expect(2);
    }
    // Of two containers each has its own.
    let place = place("luks1");
    let run = place
        .run("compare openstack openstack-mangled --key-file key --key-format auto")
        .expect(0);
    for (name, _, how) in &FORMS[1..] {
        assert!(
            run.stderr
                .contains(&format!("{name} is opened by the key {how}"))
        );
    }
}

/// Nothing would tell, or nobody would know afterwards.
#[test]
fn it_is_for_what_can_be_opened() {
    let place = place("luks1");
    for (line, says) in [
        (
            format!("create new --payload-size 4096 {CHEAP}"),
            "in which form a new key",
        ),
        (
            format!("encrypt raw new {CHEAP}"),
            "in which form a new key",
        ),
        (
            "encrypt raw new --type plain --compat 2.7 -q".to_owned(),
            "in which form a key fits a plain container",
        ),
        (
            "decrypt raw new --type plain --compat 2.6 -q".to_owned(),
            "in which form a key fits a plain container",
        ),
    ] {
        place
            .run(&format!("{line} --key-file key --key-format auto"))
            .expect(1)
            .says(says)
            .advises("--key-format");
        assert!(!place.names().contains(&"new".to_owned()), "{line}");
    }
}

#[test]
fn what_overrides_the_type_of_a_secret_is_said() {
    let place = place("luks1");
    for (image, options, said) in [
        ("openstack", "json:record", ""),
        ("openstack", "json:record --key-format openstack", ""),
        (
            "as-is",
            "json:record --key-format as-is",
            "secret json:record is a key, which OpenStack uses by its hexadecimal digits: it is used as it is",
        ),
        (
            "openstack-mangled",
            "json:record --key-format openstack-mangled",
            "secret json:record is a key",
        ),
        (
            "openstack",
            "json:phrase --key-format openstack",
            "secret json:phrase is a passphrase, which OpenStack uses as it is: it is used by its hexadecimal digits",
        ),
    ] {
        let run = place
            .run(&format!("key test {image} --secret {options}"))
            .expect(0);
        assert_eq!(
            run.stderr.contains("warning:"),
            !said.is_empty(),
            "{options}"
        );
        assert!(run.stderr.contains(said), "{options}: {}", run.stderr);
    }
}

#[test]
fn the_mangled_passphrase_is_replaced() {
    for kind in ["luks1", "luks2"] {
        let place = place(kind);
        for (image, added, removed) in [("openstack-mangled", true, 1), ("openstack", false, 0)] {
            let line = format!("key unmangle {image} --secret json:record {CHEAP} --json");
            let run = place.run(&line).expect(0);
            let said: Value = serde_json::from_str(run.text()).expect("JSON");
            assert_eq!(said["added"], added);
            assert_eq!(said["removed"].as_array().map(Vec::len), Some(removed));
            place
                .run(&format!("key test {image} --key-file openstack.key"))
                .expect(0);
            place
                .run(&format!(
                    "key test {image} --key-file openstack-mangled.key"
                ))
                .expect(2);
        }
        let before = place.read("as-is");
        place
            .run(&format!("key unmangle as-is --key-file key {CHEAP}"))
            .expect(2)
            .says("no key fits");
        assert!(before == place.read("as-is"));
        place
            .run("key unmangle openstack --key-file key --key-format openstack")
            .expect(1)
            .says("--key-format does not go with key unmangle");
    }
}

/// A second keyslot of the mangled passphrase goes as well, and one where the right one was added already.
#[test]
fn what_was_cut_off_is_ended() {
    let place = place("luks1");
    for new in ["openstack-mangled.key", "openstack.key"] {
        place
            .run(&format!(
                "key add openstack-mangled --key-file openstack-mangled.key --new-keyfile {new} {CHEAP}"
            ))
            .expect(0);
    }
    let line = "key unmangle openstack-mangled --key-file key";
    let run = place.run(&format!("{line} --dry-run")).expect(0);
    assert!(run.text().contains("nothing is written"), "{}", run.text());
    let run = place
        .run(&format!("{line} --header-backup-file saved"))
        .expect(0);
    assert_eq!(
        run.text(),
        "keyslot 2 of openstack-mangled has the right passphrase already\n\
         keyslot 0 of openstack-mangled is removed, of the mangled passphrase\n\
         keyslot 1 of openstack-mangled is removed, of the mangled passphrase\n"
    );
    place
        .run("key test saved --key-file openstack-mangled.key")
        .expect(0);
}

/// A header that was sealed is sealed afterwards, and one that was not is no sealed one.
#[test]
fn a_seal_is_made_anew() {
    let place = place("luks2");
    let line = format!("key unmangle openstack-mangled --key-file key {CHEAP}");
    let before = place.read("openstack-mangled");
    place
        .run(&format!("{line} --require-seal"))
        .expect(4)
        .says("seal");
    assert!(before == place.read("openstack-mangled"));
    place
        .run("header seal openstack-mangled --key-file openstack-mangled.key")
        .expect(0);
    place.run(&format!("{line} --require-seal")).expect(0);
    place
        .run("key test openstack-mangled --key-file openstack.key --require-seal")
        .expect(0);
}
