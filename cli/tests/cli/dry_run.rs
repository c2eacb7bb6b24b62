//! `--dry-run` of the verbs that change a header: what it says is what then happens.

use serde_json::Value;

use crate::support::Place;

const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";

/// A container that the key files `a` and `b` open, in keyslots 0 and 1; `saved`, a backup from before `b`; `token`.
fn place(kind: &str) -> Place {
    let place = Place::new();
    for name in ["a", "b", "c"] {
        place.write(name, format!("passphrase {name}"));
    }
    place.write("token", "{\"type\":\"own\",\"keyslots\":[]}");
    for line in [
        format!("create box --type {kind} --payload-size 4K --key-file a {CHEAP}"),
        "header backup box --header-backup-file saved".to_owned(),
        format!("key add box --key-file a --new-keyfile b {CHEAP}"),
        "key export box -q --key-file a --volume-key-file vk".to_owned(),
    ] {
        place.run(&line).expect(0);
    }
    if kind == "luks2" {
        place
            .run("token import box --json-file token --token-id 3")
            .expect(0);
    }
    place
}

fn verbs(kind: &str) -> Vec<String> {
    let other = if kind == "luks1" { "luks2" } else { "luks1" };
    let mut verbs = vec![
        format!("key add box --key-file a --new-keyfile c {CHEAP}"),
        format!("key change box --key-file a --new-keyfile c {CHEAP}"),
        format!("key change box --key-slot 1 --volume-key-file vk --new-keyfile c {CHEAP}"),
        "key remove box --key-file a".to_owned(),
        "key remove box --key-slot 1 --volume-key-file vk".to_owned(),
        "header restore box --header-backup-file saved".to_owned(),
        "header erase box".to_owned(),
        "header config box --uuid 01234567-89ab-4def-8123-456789abcdef".to_owned(),
    ];
    if kind == "luks1" {
        verbs.push(format!("header convert box --type {other}"));
    } else {
        verbs.extend(
            [
                "header config box --label x --flags allow-discards",
                "header config box --key-slot 1 --priority prefer",
                "token add box --key-description d",
                "token import box --json-file token",
                "token remove box --token-id 3",
                "token assign box --token-id 3 --key-slot 1",
            ]
            .map(str::to_owned),
        );
    }
    verbs
}

#[test]
fn what_it_says_is_what_happens() {
    let mut count = 0;
    for kind in ["luks1", "luks2"] {
        let place = place(kind);
        let before = place.read("box");
        for verb in verbs(kind) {
            let run = place.run(&format!("{verb} -q --dry-run --json")).expect(0);
            let result: Value = serde_json::from_str(run.text()).expect("JSON");
            assert_eq!(result["dry_run"], true, "{verb}");
            assert!(place.read("box") == before, "{verb}: something was written");
            let text = place.run(&format!("{verb} -q --dry-run")).expect(0);
            assert!(
                text.text().starts_with("nothing is written") && text.text().contains("bytes "),
                "{verb}: {}",
                text.text()
            );
            place.run(&format!("{verb} -q")).expect(0);
            let number = |write: &Value, name: &str| {
                usize::try_from(write[name].as_u64().expect("a number")).expect("a place")
            };
            let writes: Vec<_> = result["writes"]
                .as_array()
                .expect("writes")
                .iter()
                .map(|write| {
                    number(write, "offset")..number(write, "offset") + number(write, "length")
                })
                .collect();
            let mut changed = 0;
            for (at, (old, new)) in before.iter().zip(&place.read("box")).enumerate() {
                if old != new {
                    changed += 1;
                    assert!(
                        writes.iter().any(|range| range.contains(&at)),
                        "{verb}: byte {at} changed, said were {writes:?}"
                    );
                }
            }
            assert!(changed > 0, "{verb}");
            place.write("box", &before);
            count += 1;
        }
    }
    println!("cases: dry runs {count} passed, 0 failed");
}

#[test]
fn a_repair_is_tried_out() {
    let place = place("luks2");
    let mut damaged = place.read("box");
    damaged[5000] ^= 1;
    place.write("box", &damaged);
    let run = place.run("header repair box --dry-run --json").expect(0);
    let result: Value = serde_json::from_str(run.text()).expect("JSON");
    // The sector that differs.
    assert_eq!(result["writes"][0]["offset"], 4608);
    assert_eq!(result["writes"][0]["length"], 512);
    assert_eq!(result["repaired"], false);
    assert!(place.read("box") == damaged);
}

/// It makes no file.
#[test]
fn it_only_reads() {
    let place = place("luks2");
    let before = place.read("box");
    place
        .run("header erase -q box --dry-run --header-backup-file new")
        .expect(0);
    assert!(place.read("box") == before);
    assert!(!place.path("new").exists());
    place
        .run("header erase -q box --dry-run --header-backup-file saved")
        .expect(5)
        .says("saved exists");
    place
        .run("header erase none --dry-run")
        .expect(4)
        .says("cannot open none for writing");
}

/// What the real run refuses before it writes.
#[test]
fn it_refuses_what_the_real_run_refuses() {
    let place = place("luks2");
    place
        .sh("cp box one && \"$LUKSMITH\" key remove one --key-file b -q")
        .expect(0);
    place
        .sh("mkdir full && ln -s nowhere full/link && truncate -s 8K text")
        .expect(0);
    let before = place.read("one");
    let mut count = 0;
    // Nobody can be asked, unless somebody sits there: then it says what would be asked.
    for verb in [
        "key remove one --key-file a",
        "header erase one",
        "header restore one --header-backup-file saved",
        "header convert one --type luks1",
        "key export one --key-file a --volume-key-file key",
    ] {
        for dry in ["", " --dry-run"] {
            let line = format!("setsid -w \"$LUKSMITH\" {verb}{dry}");
            place
                .sh(&line)
                .expect(1)
                .says("There is no terminal to ask on");
            count += 1;
        }
    }
    for (verb, code, says) in [
        (
            "header erase -q one --header-backup-file none/new",
            1,
            "cannot write none/new",
        ),
        (
            "header erase -q one --header-backup-file full/link",
            5,
            "exists",
        ),
        (
            "key add one --key-file a --new-keyfile one",
            1,
            "is the new key file itself",
        ),
        (
            "header restore -q one --header-backup-file one",
            1,
            "is the backup itself",
        ),
        (
            "token import one --json-file one",
            1,
            "is the token file itself",
        ),
        ("encrypt text none/new --key-file a", 1, "none/new"),
        ("encrypt text full/link --key-file a", 5, "symbolic link"),
        (
            "encrypt text one --force --key-file one",
            1,
            "is the key file itself",
        ),
        (
            "decrypt one text --force --key-file text",
            1,
            "is the key file itself",
        ),
        (
            "create none/new --payload-size 1M --key-file a",
            1,
            "none/new",
        ),
    ] {
        for dry in ["", " --dry-run"] {
            place.run(&format!("{verb}{dry}")).expect(code).says(says);
            count += 1;
        }
    }
    assert!(place.read("one") == before);
    println!("cases: refusals of dry runs {count} passed, 0 failed");
}
