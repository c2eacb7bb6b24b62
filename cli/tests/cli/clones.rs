//! `clone --count`: many clones of one source, each with keys of its own.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{Place, pattern};

const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";
const SMALL: &str = "--luks2-metadata-size 16K --luks2-keyslots-size 768K --offset 2048";

fn place(kind: &str) -> Place {
    let place = Place::new();
    place.write("pw", "passphrase");
    place.write("other", "other passphrase");
    place.write("raw", pattern(64 << 10));
    let small = if kind == "luks2" { SMALL } else { "" };
    place
        .run(&format!(
            "encrypt raw box -q --type {kind} --key-file pw {small} {CHEAP}"
        ))
        .expect(0);
    place.sh("mkdir many").expect(0);
    place
}

fn lines(place: &Place, manifest: &str) -> Vec<Value> {
    let text = String::from_utf8(place.read(manifest)).expect("UTF-8");
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    lines.collect()
}

/// Everything in a header that is random: salts, digests and the UUID.
fn random_parts(header: &Value) -> Vec<String> {
    let mut parts = Vec::new();
    let mut left = vec![header];
    while let Some(value) = left.pop() {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    match value {
                        Value::String(text) if ["salt", "digest", "uuid"].contains(&&**name) => {
                            parts.push(text.clone());
                        }
                        value => left.push(value),
                    }
                }
            }
            Value::Array(items) => left.extend(items),
            _ => {}
        }
    }
    parts
}

#[test]
fn no_two_of_a_hundred_share_anything_but_the_data() {
    for kind in ["luks1", "luks2"] {
        let place = place(kind);
        let (before, raw) = (place.read("box"), place.read("raw"));
        place
            .run("clone box many -q --key-file pw --new-keyfile other --count 100 --name-pattern dev-{index:04}.luks --manifest list")
            .expect(0);
        assert!(place.read("box") == before);
        place
            .run("key export box -q --key-file pw --volume-key-file vk")
            .expect(0);
        let listed = lines(&place, "list");
        assert_eq!(listed.len(), 100);
        let (mut keys, mut parts, mut sectors) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        keys.insert(place.read("vk"));
        sectors.extend(
            before[before.len() - raw.len()..]
                .chunks(512)
                .map(<[u8]>::to_vec),
        );
        let (mut part_count, mut sector_count) = (0, sectors.len());
        for (index, line) in (1..).zip(&listed) {
            let name = format!("dev-{index:04}.luks");
            assert_eq!(line["name"], name.as_str());
            let image = format!("many/{name}");
            place
                .run(&format!(
                    "key export {image} -q --key-file other --volume-key-file vk-{index}"
                ))
                .expect(0);
            assert!(keys.insert(place.read(&format!("vk-{index}"))), "{name}");
            place
                .run(&format!("key test {image} --volume-key-file vk"))
                .expect(2);
            place
                .run(&format!("key test {image} --key-file pw"))
                .expect(2);
            place
                .run(&format!("decrypt {image} back -q --force --key-file other"))
                .expect(0);
            assert!(place.read("back") == raw, "{name}");
            let run = place.run(&format!("inspect {image} --json")).expect(0);
            let header: Value = serde_json::from_str(run.text()).expect("JSON");
            assert_eq!(header["uuid"], line["uuid"]);
            let bytes = place.read(&image);
            let found = if kind == "luks1" {
                // Digest, its salt, and that of the first keyslot.
                let places = [112..132, 132..164, 216..248];
                places.map(|place| hex::encode(&bytes[place])).to_vec()
            } else {
                random_parts(&header)
            };
            assert!(!found.is_empty());
            part_count += found.len();
            parts.extend(found);
            let payload = bytes[bytes.len() - raw.len()..].chunks(512);
            sector_count += payload.len();
            sectors.extend(payload.map(<[u8]>::to_vec));
        }
        // What stands twice in one header is the UUID of LUKS2 at most.
        assert!(
            parts.len() >= part_count - 100 && parts.len() >= 200,
            "{}",
            parts.len()
        );
        let uuids: BTreeSet<_> = listed.iter().map(|line| line["uuid"].to_string()).collect();
        assert_eq!(uuids.len(), 100);
        assert_eq!(sectors.len(), sector_count, "ciphertext is shared");
        // What the list says of them is so.
        let sums = place.sh("cd many && sha256sum dev-*").expect(0);
        let sums: Vec<_> = sums.text().lines().map(|line| &line[..64]).collect();
        let listed_sums: Vec<_> = listed.iter().map(|line| line["sha256"].as_str()).collect();
        assert_eq!(listed_sums, sums.into_iter().map(Some).collect::<Vec<_>>());
        let bytes = if kind == "luks1" { 592 } else { 32768 };
        let first = place
            .sh(&format!("head -c {bytes} many/dev-0001.luks | sha256sum"))
            .expect(0);
        assert_eq!(listed[0]["fingerprint"].as_str(), Some(&first.text()[..64]));
        assert_eq!(
            listed[0]["keyslots"].to_string(),
            r#"[{"keyslot":0,"opened_by":"new-passphrase"}]"#
        );
    }
}

#[test]
fn each_has_a_recovery_key_of_its_own_and_the_list_has_none() {
    let place = place("luks2");
    place.sh("mkdir keys").expect(0);
    place
        .run("clone box many -q --key-file pw --keep-passphrase --recovery-key-dir keys --count 3 --name-pattern {index}.luks --manifest list")
        .expect(0);
    let list = String::from_utf8(place.read("list")).expect("UTF-8");
    let mut keys = BTreeSet::new();
    for index in 1..=3 {
        let key = format!("keys/{index}.luks.recovery");
        place
            .run(&format!(
                "key test many/{index}.luks --key-slot 1 --key-file {key}"
            ))
            .expect(0);
        place
            .run(&format!("key test many/{index}.luks --key-file pw"))
            .expect(0);
        let mode = place.sh(&format!("stat -c %a {key}")).expect(0);
        assert_eq!(mode.text(), "600\n");
        let key = String::from_utf8(place.read(&key)).expect("text");
        assert!(!list.contains(&key));
        keys.insert(key);
    }
    assert_eq!(keys.len(), 3);
}

#[test]
fn one_that_cannot_be_made_keeps_no_other_from_being_made() {
    let place = place("luks2");
    place.write("many/2", "mine");
    let line = "clone box many --key-file pw --new-keyfile other --count 4 --name-pattern {index}";
    let run = place
        .run(&format!("{line} --manifest list --json"))
        .expect(5);
    assert!(
        run.stderr.contains("1 of 4 clones could not be made") && run.stderr.contains("--force"),
        "{}",
        run.stderr
    );
    assert_eq!(place.read("many/2"), b"mine");
    let result: Value = serde_json::from_str(run.text()).expect("JSON");
    let listed = lines(&place, "list");
    assert_eq!(result["clones"], Value::from(listed.clone()));
    for (line, is_made) in listed.iter().zip([true, false, true, true]) {
        assert_eq!(line["error"].is_null(), is_made, "{line}");
        assert_eq!(line["sha256"].is_string(), is_made, "{line}");
        let name = line["name"].as_str().expect("a name");
        let code = if is_made { 0 } else { 4 };
        place
            .run(&format!("key test many/{name} --key-file other"))
            .expect(code);
    }
    // Where none can be made nobody is asked for anything, and no list is begun.
    place.write("many/x1", "mine");
    place
        .run("clone box many --key-file missing --new-keyfile other --count 1 --name-pattern x{index} --manifest list2")
        .expect(5)
        .says("many/x1 exists");
    assert!(!place.path("list2").exists());
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let place = place("luks2");
    place.write("list", "mine");
    for (options, says) in [
        (
            "--count 2 --name-pattern all.luks",
            "without {index} all would have one name",
        ),
        ("--count 2 --name-pattern a/{index}", "it names a folder"),
        (
            "--count 2 --name-pattern {index:4}",
            "only {index} and {index:0N}",
        ),
        (
            "--count 0 --name-pattern {index}",
            "0 is no number of clones",
        ),
        (
            "--count 100001 --name-pattern {index}",
            "100001 is no number of clones",
        ),
        (
            "--count 2 --name-pattern {index} --manifest list",
            "list exists",
        ),
        ("--count 2", "--name-pattern"),
        ("--name-pattern {index}", "--count"),
        ("--manifest list2", "--count"),
        ("--recovery-key-dir many", "--count"),
    ] {
        let line = format!("clone box many -q --key-file missing --new-keyfile other {options}");
        let run = place.run(&line);
        assert!(
            [1, 5].contains(&run.code),
            "{options}: {} {}",
            run.code,
            run.stderr
        );
        assert!(run.stderr.contains(says), "{options}: {}", run.stderr);
    }
    // What is of one clone, and why.
    for (option, says, advises) in [
        (
            "--recovery-key x",
            "--recovery-key does not go with --count",
            "--recovery-key-dir DIR",
        ),
        (
            "--uuid 11111111-2222-3333-4444-555555555555",
            "--uuid does not go with --count",
            "a UUID of its own",
        ),
        (
            "--new-header x",
            "--new-header does not go with --count",
            "the header of one clone",
        ),
        (
            "--on-read-error zero --error-map x",
            "--error-map does not go with --count",
            "tells for each clone what it lacks",
        ),
    ] {
        place
            .run(&format!(
                "clone box many -q --key-file missing --new-keyfile other --count 2 --name-pattern {{index}} {option}"
            ))
            .expect(1)
            .says(says)
            .advises(advises);
        assert!(!place.path("x").exists());
    }
    for folder in ["box", "missing", "-"] {
        place
            .run(&format!("clone box {folder} -q --key-file pw --new-keyfile other --count 2 --name-pattern {{index}}"))
            .expect(1)
            .says("is no folder");
    }
    assert_eq!(place.read("list"), b"mine");
    assert_eq!(
        std::fs::read_dir(place.path("many"))
            .expect("a folder")
            .count(),
        0
    );
}

/// A small file system in memory, which takes root to mount: in a namespace where there is none.
#[test]
fn what_has_room_is_made_and_the_rest_is_told() {
    let place = place("luks2");
    // Three fit.
    let bytes = place.read("box").len();
    let line = format!(
        "mount -t tmpfs -o size={} none many && \
         {{ \"$LUKSMITH\" clone box many -q --key-file pw --new-keyfile other --count 6 --name-pattern {{index}} --manifest list; \
            echo $? >code; ls -A many >names; for made in 1 2 3; do \"$LUKSMITH\" compare box many/$made --key-file pw --key-file other >/dev/null || exit 9; done; }}",
        3 * bytes + (64 << 10)
    );
    place.write("script", line);
    place
        .sh("unshare --mount --map-root-user sh script")
        .expect(0);
    assert_eq!(place.read("code"), b"1\n");
    assert_eq!(place.read("names"), b"1\n2\n3\n");
    let listed = lines(&place, "list");
    let made: Vec<_> = listed.iter().map(|line| line["error"].is_null()).collect();
    assert_eq!(made, [true, true, true, false, false, false]);
    let error = listed[3]["error"].as_str().expect("an error");
    assert!(error.contains("no room for"), "{error}");
}
