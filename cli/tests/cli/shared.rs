//! Options that every verb shares, as they work: a detached header, keys from everywhere, sizes, silence, rehearsals.

use serde_json::Value;

use crate::support::{Place, Run, pattern, plain_place};

const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";

/// Data without a header in `data`, whose header is `head`; `box` has its own; both hold `raw`, and `key` opens them.
fn place(kind: &str) -> Place {
    let place = plain_place(8192);
    place.write("other", "other");
    for line in [
        format!(
            "encrypt raw data --type {kind} --sector-size 512 --header head --key-file key {CHEAP} -q"
        ),
        format!("encrypt raw box --type {kind} --key-file key {CHEAP} -q"),
    ] {
        place.run(&line).expect(0);
    }
    place
}

fn json(run: &Run) -> Value {
    serde_json::from_str(run.text()).expect("JSON")
}

/// Every verb that takes a container takes its header from elsewhere.
#[test]
fn a_header_that_lies_elsewhere() {
    let mut count = 0;
    for kind in ["luks1", "luks2"] {
        let place = place(kind);
        let data = place.read("data");
        let mut lines = vec![
            "inspect data",
            "verify data --key-file key",
            "decrypt data back --key-file key",
            "compare raw data --key-file key",
            "key list data",
            "key test data --key-file key",
            "key export data -q --key-file key --volume-key-file vk",
            "key add data --key-file key --new-keyfile other --pbkdf pbkdf2 --pbkdf-force-iterations 1000",
            "key change data --key-file other --new-keyfile raw --pbkdf pbkdf2 --pbkdf-force-iterations 1000",
            "key remove data --key-file raw",
            "header backup data --header-backup-file saved",
            "header repair data",
            "header restore data -q --header-backup-file saved",
            "header config data --uuid 01234567-89ab-4def-8123-456789abcdef",
            "token list data",
        ];
        if kind == "luks2" {
            lines.extend([
                "token add data --key-description d",
                "token export data --token-id 0",
                "token unassign data --token-id 0 --key-slot 0",
                "token assign data --token-id 0 --key-slot 0",
                "token remove data --token-id 0",
                "header convert data -q --type luks1",
            ]);
        } else {
            lines.push("header convert data -q --type luks2");
        }
        lines.push("header erase data -q");
        for line in lines {
            place.run(&format!("{line} --header head")).expect(0);
            assert!(
                place.read("data") == data,
                "{line}: the data are not touched"
            );
            count += 1;
        }
        assert_eq!(place.read("back"), place.read("raw"));
    }
    println!("cases: verbs with a detached header {count} passed, 0 failed");
}

#[test]
fn the_header_and_the_data_are_told_apart() {
    let place = place("luks2");
    let report = json(&place.run("inspect data --header head --json").expect(0));
    assert_eq!(report["image"], "head");
    assert_eq!(report["data"]["image"], "data");
    assert_eq!(report["data"]["bytes"], 8192);
    let text = place.run("inspect data --header head").expect(0);
    assert!(
        text.text().contains("data        data, 8192 bytes (8 KiB)"),
        "{}",
        text.text()
    );
    // Without its header it is no container, and of two images either may have one elsewhere.
    place.run("inspect data").expect(4);
    place
        .run("compare data raw --header head --key-file key")
        .expect(1);
    let run = place
        .run("compare data data --header head --header head --key-file key --json")
        .expect(0);
    let result = json(&run);
    assert_eq!(
        (&result["same"], &result["a"]["type"]),
        (&true.into(), &"luks2".into())
    );
    place
        .run("compare box data --header head --key-file key")
        .expect(0);
    place
        .run("compare a b --header x --header y --header z")
        .expect(64)
        .says("--header stands 3 times");
}

#[test]
fn keys_from_descriptors_and_volume_keys() {
    let place = place("luks2");
    let sh = |line: &str| {
        let line = line
            .replace("luksmith", "\"$LUKSMITH\"")
            .replace("CHEAP", CHEAP);
        place.sh(&line).expect(0)
    };
    sh("luksmith key add box -q --key-fd 3 --new-key-fd 4 CHEAP 3<key 4<other");
    place.run("key test box --key-file other").expect(0);
    sh(
        "luksmith key change box -q --key-fd 3 --new-key-fd 4 --new-keyfile-size 4 CHEAP 3<other 4<raw",
    );
    place.write("start", &place.read("raw")[..4]);
    place.run("key test box --key-file start").expect(0);
    sh("luksmith compare box raw --key-fd 3 3<key");
    place
        .run("key export box -q --key-file key --volume-key-file vk")
        .expect(0);
    place.run("compare box raw --volume-key-file vk").expect(0);
    place
        .run("compare raw raw --volume-key-file vk")
        .expect(64)
        .says("--volume-key-file does not go with two raw images");
    // Two keys cannot come from one place.
    let line = format!("\"$LUKSMITH\" key add box --key-fd 3 --new-key-fd 3 {CHEAP} 3<key");
    place
        .sh(&line)
        .expect(1)
        .says("--key-fd does not go with --new-key-fd");
    let line = format!("key add box --key-file - --new-key-fd 0 {CHEAP}");
    place
        .run_with(&line, b"x")
        .expect(1)
        .says("--key-file - does not go with");
    place
        .run("key change box --key-file key --keep-passphrase --new-key-fd 4")
        .expect(1);
}

/// The option that a hint names is that of the key which is asked for.
#[test]
fn hints_about_the_new_key_name_its_options() {
    let place = place("luks2");
    place.write("large", vec![b'x'; (8 << 20) + 1]);
    place
        .run(&format!(
            "key add box -q --key-file key --new-keyfile large {CHEAP}"
        ))
        .expect(1)
        .advises("--new-keyfile-size N");
    place
        .run("key test box --key-file large")
        .expect(1)
        .advises("--keyfile-size N");
    // What a verb has not is no help with it.
    place.write("null", {
        let mut bytes = crate::support::golden("luks1/xts-512-sha256.img.xz");
        bytes[8..72].fill(0);
        bytes[8..19].copy_from_slice(b"cipher_null");
        bytes[40..43].copy_from_slice(b"ecb");
        bytes
    });
    let run = place.run("key test null --key-file key").expect(4);
    assert!(run.stderr.contains("--allow-unencrypted"), "{}", run.stderr);
    place
        .run("create new --payload-size 1M --key-size 64 --key-file key")
        .expect(1)
        .advises("--key-size is in bits: 256, 384 or 512");
}

#[test]
fn sizes_have_cryptsetups_suffixes_on_every_verb() {
    let place = plain_place(512);
    place.write("long", pattern(4096));
    for (line, code) in [
        (
            "create a -q --payload-size 8MiB --key-file long --keyfile-size 1KiB --keyfile-offset 1K CHEAP",
            0,
        ),
        (
            "key test a --key-file long --keyfile-size 1024 --keyfile-offset 2s",
            0,
        ),
        ("measure --payload-size 10GB", 0),
        ("measure --container-size 1GiB", 0),
        ("measure --payload-size 8MiX", 1),
        (
            "create b -q --payload-size 1MB --sector-size 512 --key-file key --luks2-metadata-size 32KiB CHEAP",
            1,
        ),
        (
            "create c -q --payload-size 1024KB --sector-size 512 --key-file key --luks2-metadata-size 32KiB CHEAP",
            0,
        ),
    ] {
        place.run(&line.replace("CHEAP", CHEAP)).expect(code);
    }
}

/// A rehearsal of what makes a file makes none, and finds what would be in the way.
#[test]
fn what_makes_a_file_can_be_tried_out() {
    let place = place("luks2");
    place.run("token add box --key-description d -q").expect(0);
    let before = place.names();
    for (line, file) in [
        ("header backup box --header-backup-file FILE", "saved"),
        (
            "key export box -q --key-file key --volume-key-file FILE",
            "vk",
        ),
        ("token export box --token-id 0 --json-file FILE", "token"),
    ] {
        let run = place
            .run(&format!("{} --dry-run", line.replace("FILE", file)))
            .expect(0);
        assert!(
            run.text().starts_with("nothing is written"),
            "{}",
            run.text()
        );
        assert!(run.text().contains(file), "{}", run.text());
        let run = place
            .run(&format!("{} --dry-run --json", line.replace("FILE", file)))
            .expect(0);
        assert_eq!(json(&run)["dry_run"], true);
        place
            .run(&format!("{} --dry-run", line.replace("FILE", "raw")))
            .expect(5)
            .says("raw exists");
    }
    assert_eq!(place.names(), before);
}

/// -q is taken by every verb, and leaves results alone.
#[test]
fn silence_is_about_what_was_done() {
    let place = place("luks2");
    for line in [
        "inspect box -q",
        "verify box -q",
        "compare box raw -q --key-file key",
        "measure -q --payload-size 1M",
        "key test box -q --key-file key",
        "key list box -q",
        "header repair box -q --dry-run",
    ] {
        assert!(!place.run(line).expect(0).text().is_empty(), "{line}");
    }
    for line in [
        "header repair box -q",
        "header config box -q --label x",
        "header backup box -q --header-backup-file saved",
        "token add box -q --key-description d",
        "man pages -q",
    ] {
        let run = place.run(line).expect(0);
        assert!(
            run.stdout.is_empty() && run.stderr.is_empty(),
            "{line}: {}",
            run.text()
        );
    }
}
