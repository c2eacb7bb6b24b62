//! Both keys of a container that is being reencrypted, where one passphrase does not open both.

use crate::halfway::{pattern, unpacked};
use crate::support::Place;

const IMAGE: &str = "reencrypt-two-passphrases";

/// The old key is opened by what `pw` holds, the new one by what `second` does.
fn place() -> Place {
    let place = unpacked();
    place.write("second", "second");
    place.write("wrong", "wrong");
    place.write("raw", pattern(65_536));
    place
}

#[track_caller]
fn assert_decrypted(place: &Place, back: &str) {
    assert!(place.read(back) == place.read("raw"));
    std::fs::remove_file(place.path(back)).expect("it is there");
}

#[test]
fn two_key_files_open_it_in_any_order() {
    let place = place();
    let before = place.read(IMAGE);
    for keys in ["--key-file pw --key-file second", "-d second -d pw"] {
        place.run(&format!("decrypt {IMAGE} back {keys}")).expect(0);
        assert_decrypted(&place, "back");
        place.run(&format!("compare raw {IMAGE} {keys}")).expect(0);
        place
            .run(&format!("compare {IMAGE} {IMAGE} {keys}"))
            .expect(0);
        let verified = place.run(&format!("verify {IMAGE} {keys}")).expect(0);
        let proof = "the digest of the reencryption fits its state";
        assert!(verified.text().contains(proof), "{}", verified.text());
        place.run(&format!("key test {IMAGE} {keys}")).expect(0);
    }
    let four = "-d pw -d pw -d second -d second";
    place
        .run(&format!("compare {IMAGE} {IMAGE} {four}"))
        .expect(0);
    place
        .run(&format!("compare {IMAGE} {IMAGE} {four} -d pw"))
        .expect(64)
        .says("--key-file stands 5 times, and 4 at most");
    assert!(place.read(IMAGE) == before);
}

#[test]
fn two_lines_open_it_in_any_order() {
    let place = place();
    for lines in [&b"golden\nsecond\n"[..], b"second\ngolden"] {
        place
            .run_with(&format!("decrypt {IMAGE} back"), lines)
            .expect(0);
        assert_decrypted(&place, "back");
    }
    place
        .run_with(&format!("compare {IMAGE} raw"), b"golden\nsecond")
        .expect(0);
    place
        .run_with(
            &format!("clone {IMAGE} new --pbkdf pbkdf2 --pbkdf-force-iterations 1000"),
            b"golden\nsecond\nthird\n",
        )
        .expect(0);
    place.write("third", "third");
    place.run("compare new raw --key-file third").expect(0);
}

/// A descriptor for each.
#[test]
fn two_descriptors_open_it() {
    let place = place();
    let program = env!("CARGO_BIN_EXE_luksmith");
    let ended = std::process::Command::new("sh")
        .args([
            "-c",
            &format!("'{program}' decrypt {IMAGE} back --key-fd 4 --key-fd 5 4<pw 5<second"),
        ])
        .current_dir(place.path(""))
        .status()
        .expect("a shell");
    assert!(ended.success(), "{ended}");
    assert_decrypted(&place, "back");
}

#[test]
fn one_key_reads_nothing() {
    let place = place();
    let key = "a reencryption is in progress, and the key of digest";
    for keys in ["--key-file pw", "--key-file second", "-d pw -d pw"] {
        let run = place.run(&format!("decrypt {IMAGE} back {keys}")).expect(2);
        let says = if keys.contains("-d") {
            "no key fits: keyslot 3"
        } else {
            key
        };
        run.says(says);
        assert!(!place.path("back").exists());
    }
    place
        .run(&format!("decrypt {IMAGE} back --key-file pw"))
        .expect(2)
        .advises("a second --key-file");
    place
        .run(&format!("decrypt {IMAGE} back -d pw -d wrong"))
        .expect(2)
        .says("no key fits: keyslot 3 is not opened by this passphrase");
    place
        .run(&format!("decrypt {IMAGE} back -d pw -d second -d pw"))
        .expect(1)
        .says("--key-file stands 3 times, and 2 at most");
    place
        .run_with(&format!("decrypt {IMAGE} back"), b"golden\n")
        .expect(2)
        .says(key);
    place
        .run_with(&format!("decrypt {IMAGE} back"), b"golden\nwrong\nsecond\n")
        .expect(2)
        .says("no key fits: keyslot 3");
    assert!(!place.path("back").exists());
}

/// A test of one passphrase asks for no other one.
#[test]
fn a_test_of_one_key_takes_the_other_where_it_is_given() {
    let place = place();
    let missing = "a reencryption is in progress, and its other key was not given";
    for (key, slot) in [("pw", 0), ("second", 3)] {
        let run = place.run(&format!("key test {IMAGE} -d {key}")).expect(0);
        let opens = format!("keyslot {slot} of {IMAGE} is opened by this key");
        assert!(run.text().contains(&opens), "{}", run.text());
        assert!(run.text().contains(missing), "{}", run.text());
        let verified = place.run(&format!("verify {IMAGE} -d {key}")).expect(0);
        assert!(
            verified.text().contains("not proven"),
            "{}",
            verified.text()
        );
    }
    let run = place
        .run_with(&format!("key test {IMAGE}"), b"golden\nwrong\n")
        .expect(0);
    assert!(run.text().contains(missing), "{}", run.text());
    let run = place
        .run(&format!("key test {IMAGE} -d second -d pw --json"))
        .expect(0);
    let json: serde_json::Value = serde_json::from_str(run.text()).expect("JSON");
    let mut slots = [&json["keyslot"], &json["other_keyslot"]].map(serde_json::Value::as_u64);
    slots.sort();
    assert_eq!(slots, [Some(0), Some(3)], "{json}");
    assert!(json.get("other_missing").is_none(), "{json}");
    place
        .run(&format!("key test {IMAGE} -d pw -d wrong"))
        .expect(2);
}

#[test]
fn both_volume_keys_are_exported_and_open_it() {
    let place = place();
    let keys = "--key-file pw --key-file second";
    let export = format!("key export {IMAGE} -q --volume-key-file old");
    place
        .run(&format!("{export} --volume-key-file new --key-file pw"))
        .expect(2)
        .says("the key of digest 1 is needed as well");
    assert!(!place.path("old").exists() && !place.path("new").exists());
    place
        .run(&format!("{export} --volume-key-file new {keys} --dry-run"))
        .expect(0);
    assert!(!place.path("old").exists() && !place.path("new").exists());
    place
        .run(&format!("{export} --volume-key-file new {keys}"))
        .expect(0);
    assert!(place.read("old") != place.read("new"));
    let one = place
        .run(&format!(
            "key export {IMAGE} -q --volume-key-file alone --key-file second"
        ))
        .expect(0);
    let warning = "its data is under two keys: this is the one after it";
    assert!(one.stderr.contains(warning), "{}", one.stderr);
    assert!(place.read("alone") == place.read("new"));

    for (one, other) in [("old", "new"), ("new", "old")] {
        let volume_keys = format!("--volume-key-file {one} --volume-key-file {other}");
        place
            .run(&format!("decrypt {IMAGE} back {volume_keys}"))
            .expect(0);
        assert_decrypted(&place, "back");
        place
            .run(&format!("compare raw {IMAGE} {volume_keys}"))
            .expect(0);
        place
            .run(&format!(
                "cryptsetup open --test-passphrase {IMAGE} {volume_keys}"
            ))
            .expect(0);
        place
            .run(&format!("decrypt {IMAGE} back --volume-key-file {one}"))
            .expect(2);
        place
            .run(&format!(
                "decrypt {IMAGE} back --volume-key-file {one} --volume-key-file {one}"
            ))
            .expect(2);
        let passphrase: &[u8] = if one == "old" { b"second" } else { b"golden" };
        place
            .run_with(
                &format!("decrypt {IMAGE} back --volume-key-file {one}"),
                passphrase,
            )
            .expect(0);
        assert_decrypted(&place, "back");
    }
    place
        .run(&format!(
            "decrypt {IMAGE} back --volume-key-file old --volume-key-file wrong"
        ))
        .expect(1);
    place
        .run("key export reencrypt-keep-key-sector-4096-torn -q --volume-key-file a --volume-key-file b --key-file pw")
        .expect(1)
        .says("is not under two keys");
    assert!(!place.path("a").exists() && !place.path("back").exists());
}

/// One passphrase opens both, and `--key-slot` names one of them.
#[test]
fn a_keyslot_that_is_named_has_one_of_the_keys() {
    let place = place();
    let image = "reencrypt-checksum-hot-torn";
    for slot in [0, 1] {
        let line = format!("{image} back --key-slot {slot}");
        place
            .run(&format!("decrypt {line} --key-file pw"))
            .expect(0);
        assert_decrypted(&place, "back");
        place
            .run(&format!("decrypt {line} --key-file wrong"))
            .expect(2);
    }
    place
        .run(&format!(
            "decrypt {IMAGE} back --key-slot 3 -d second -d pw"
        ))
        .expect(0);
    assert_decrypted(&place, "back");
}

#[test]
fn a_change_takes_one_volume_key() {
    let place = place();
    place
        .run("key add reencrypt-init --unbound --volume-key-file pw --volume-key-file second")
        .expect(1)
        .says("--volume-key-file stands 2 times, and 1 at most");
}

#[test]
fn a_job_in_place_goes_on_with_both_keys() {
    for by_lines in [true, false] {
        let place = place();
        let before = place.read(IMAGE);
        place
            .run(&format!("resume {IMAGE} -q --key-file pw"))
            .expect(2)
            .says("the key of digest 1 is needed as well");
        place
            .run(&format!("resume {IMAGE} -q -d pw -d wrong"))
            .expect(2);
        assert!(place.read(IMAGE) == before);
        if by_lines {
            place
                .run_with(&format!("resume {IMAGE} -q"), b"golden\nsecond\n")
                .expect(0);
        } else {
            place
                .run(&format!("resume {IMAGE} -q -d second -d pw"))
                .expect(0);
        }
        place
            .run(&format!("decrypt {IMAGE} back --key-file second"))
            .expect(0);
        assert_decrypted(&place, "back");
        place.run(&format!("key test {IMAGE} -d pw")).expect(2);
    }
}
