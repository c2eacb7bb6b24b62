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
            let run = place.run(&format!("{verb} --dry-run --json")).expect(0);
            let result: Value = serde_json::from_str(run.text()).expect("JSON");
            assert_eq!(result["dry_run"], true, "{verb}");
            assert!(place.read("box") == before, "{verb}: something was written");
            let text = place.run(&format!("{verb} --dry-run")).expect(0);
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
    assert_eq!(result["writes"][0]["offset"], 0);
    assert_eq!(result["writes"][0]["length"], 16384);
    assert_eq!(result["repaired"], false);
    assert!(place.read("box") == damaged);
}

/// It asks for nothing but keys, needs no permission to write, and makes no file.
#[test]
fn it_only_reads() {
    let place = place("luks2");
    let before = place.read("box");
    let line = "chmod 400 box && setsid -w \"$LUKSMITH\" header erase box --dry-run --header-backup-file new";
    place.sh(line).expect(0);
    assert!(place.read("box") == before);
    assert!(!place.path("new").exists());
    place
        .run("header erase box --dry-run --header-backup-file saved")
        .expect(5)
        .says("saved exists");
    place
        .run("header erase none --dry-run")
        .expect(4)
        .says("cannot read none");
}
