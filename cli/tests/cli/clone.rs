//! `clone`: the same data under another key.

use serde_json::Value;

use crate::support::{Place, pattern};

const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";
const ARGON2: &str =
    "--pbkdf argon2id --pbkdf-memory 64 --pbkdf-parallel 1 --pbkdf-force-iterations 4";
const SMALL: &str = "--luks2-metadata-size 16K --luks2-keyslots-size 1M";

/// `raw`, and a container `box` of it that `pw` opens.
fn place(format: &str) -> Place {
    let place = Place::new();
    place.write("pw", "passphrase");
    place.write("other", "other passphrase");
    place.write("raw", pattern(1 << 20));
    place
        .run(&format!("encrypt raw box -q --key-file pw {format}"))
        .expect(0);
    place
}

fn luks2() -> Place {
    place(&format!("{SMALL} {CHEAP}"))
}

fn json(run: &crate::support::Run) -> Value {
    serde_json::from_str(run.text()).expect("JSON")
}

/// The plaintext of `image`, which this key file opens.
fn plaintext(place: &Place, image: &str, key: &str) -> Vec<u8> {
    place
        .run(&format!("decrypt {image} back -q --force --key-file {key}"))
        .expect(0);
    place.read("back")
}

fn inspected(place: &Place, image: &str) -> Value {
    json(&place.run(&format!("inspect {image} --json")).expect(0))
}

#[test]
fn a_clone_has_the_data_and_what_the_source_is_under_another_key() {
    for format in [
        format!("{SMALL} {CHEAP}"),
        format!(
            "--cipher serpent-xts-plain64 --key-size 256 --sector-size 2048 --hash sha512 {CHEAP}"
        ),
        format!("--type luks1 --hash sha1 {CHEAP}"),
        format!("--type luks1 --cipher aes-cbc-essiv:sha256 --key-size 256 --offset 8192 {CHEAP}"),
        ARGON2.to_owned(),
        ARGON2.replace("argon2id", "argon2i"),
    ] {
        let place = place(&format);
        let before = place.read("box");
        place
            .run("clone box copy -q --key-file pw --new-keyfile other")
            .expect(0);
        assert!(
            plaintext(&place, "copy", "other") == place.read("raw"),
            "{format}"
        );
        assert!(place.read("box") == before, "{format}");
        place.run("key test copy --key-file pw").expect(2);
        let (old, new) = (inspected(&place, "box"), inspected(&place, "copy"));
        for same in ["type", "bytes", "payload_offset"] {
            assert_eq!(old[same], new[same], "{format}: {same}");
        }
        for (path, is_same) in [
            ("/uuid", false),
            ("/keyslots/0/kdf/type", true),
            ("/keyslots/0/kdf/iterations", true),
            ("/keyslots/0/kdf/memory_kib", true),
            ("/keyslots/0/kdf/time", true),
            ("/keyslots/0/key_bits", true),
        ] {
            let found = (old.pointer(path), new.pointer(path));
            assert_eq!(found.0 == found.1, is_same, "{format}: {path} {found:?}");
        }
        // No key is another's, and no ciphertext.
        for image in ["box", "copy"] {
            let key = if image == "box" { "pw" } else { "other" };
            place
                .run(&format!(
                    "key export {image} -q --key-file {key} --volume-key-file vk-{image}"
                ))
                .expect(0);
        }
        assert!(place.read("vk-box") != place.read("vk-copy"));
        place
            .run("key test copy --volume-key-file vk-box")
            .expect(2);
        let copy = place.read("copy");
        assert_eq!(copy.len(), before.len(), "{format}");
        let sectors = copy.chunks(512).zip(before.chunks(512)).rev().take(2048);
        assert!(sectors.into_iter().all(|(new, old)| new != old), "{format}");
    }
}

#[test]
fn what_is_asked_for_is_made() {
    let place = luks2();
    place
        .run(
            "clone box copy -q --key-file pw --new-keyfile other --type luks1 --cipher aes-cbc-essiv:sha256 \
             --key-size 256 --hash sha512",
        )
        .expect(0);
    place
        .run(
            "clone copy again -q --key-file other --new-keyfile pw --type luks2 --sector-size 4096 --label l \
             --subsystem s --uuid 11111111-2222-3333-4444-555555555555 --pbkdf-force-iterations 2000 --pbkdf pbkdf2",
        )
        .expect(0);
    assert!(plaintext(&place, "copy", "other") == place.read("raw"));
    assert!(plaintext(&place, "again", "pw") == place.read("raw"));
    let header = inspected(&place, "again");
    assert_eq!(header["uuid"], "11111111-2222-3333-4444-555555555555");
    assert_eq!(header["label"], "l");
    assert_eq!(
        header.pointer("/keyslots/0/kdf/iterations"),
        Some(&2000.into())
    );
    // What is said of it before is what comes of it.
    let line = "clone box third --key-file pw --new-keyfile other --json";
    let mut planned = json(&place.run(&format!("{line} --dry-run")).expect(0));
    assert!(!place.path("third").exists());
    let mut made = json(&place.run(line).expect(0));
    assert_eq!(planned["dry_run"], true);
    planned["dry_run"] = false.into();
    for one in [&mut planned, &mut made] {
        one.as_object_mut().expect("an object").remove("clones");
    }
    assert_eq!(planned, made);
}

#[test]
fn several_keys_are_several_keyslots() {
    for kind in ["luks1", "luks2"] {
        let place = place(&format!("--type {kind} {CHEAP}"));
        let run = place
            .run("clone box copy --json --key-file pw --keep-passphrase --new-keyfile other --recovery-key recovery")
            .expect(0);
        let opened = |name: &str| {
            let ways = json(&run)["clones"][0]["keyslots"].clone();
            let ways = ways.as_array().expect("keyslots").clone();
            let way = ways.iter().find(|way| way["opened_by"] == name);
            way.expect("the way")["keyslot"].as_u64().expect("a number")
        };
        for (name, key) in [
            ("source-passphrase", "pw"),
            ("new-passphrase", "other"),
            ("recovery-key", "recovery"),
        ] {
            let keyslot = opened(name);
            place
                .run(&format!(
                    "key test copy --key-file {key} --key-slot {keyslot}"
                ))
                .expect(0);
        }
        assert!(
            !run.text()
                .contains(std::str::from_utf8(&place.read("recovery")).expect("text"))
        );
        let salts = |image: &str| inspected(&place, image)["keyslots"].to_string();
        assert_ne!(salts("box"), salts("copy"));
        // The token by which systemd knows it.
        let tokens = place.run("token list copy").expect(0);
        let has_token = tokens.text() == "token 0: systemd-recovery, keyslot 2\n";
        assert_eq!(has_token, kind == "luks2", "{}", tokens.text());
        place.run("verify copy --key-file other").expect(0);
    }
}

#[test]
fn a_recovery_key_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let place = luks2();
    place
        .sh("umask 0; \"$LUKSMITH\" clone box copy -q --key-file pw --recovery-key recovery")
        .expect(0);
    let mode = place
        .path("recovery")
        .metadata()
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let key = place.read("recovery");
    let groups: Vec<_> = key.split(|byte| *byte == b'-').collect();
    assert_eq!(groups.len(), 8);
    assert!(groups.iter().all(|group| {
        group.len() == 8 && group.iter().all(|byte| b"cbdefghijklnrtuv".contains(byte))
    }));
    // Never over another one, and gone where no clone was made.
    place
        .run("clone box copy2 -q --key-file pw --recovery-key recovery")
        .expect(5)
        .says("recovery exists");
    assert!(place.read("recovery") == key);
    place
        .run("clone box copy -q --key-file pw --recovery-key second")
        .expect(5);
    assert!(!place.path("second").exists() && !place.path("copy2").exists());
    // Printed, it is one line, and nothing else is printed.
    let run = place
        .run("clone box printed --key-file pw --recovery-key -")
        .expect(0);
    let line = run.text().strip_suffix('\n').expect("a line");
    assert_eq!(line.len(), 71);
    place.write("typed", line);
    place.run("key test printed --key-file typed").expect(0);
    place
        .run("clone box copy3 --key-file pw --recovery-key - --json")
        .expect(1)
        .says("--json does not go with --recovery-key -");
    // Where nobody takes it there is no clone.
    let line = "\"$LUKSMITH\" clone box full -q --key-file pw --recovery-key - >/dev/full";
    place
        .sh(line)
        .expect(1)
        .says("cannot print the recovery key");
    assert!(!place.path("full").exists());
}

#[test]
fn the_new_passphrase_is_the_second_line() {
    let place = luks2();
    place
        .run_with("clone box copy -q", b"passphrase\nnew one\n")
        .expect(0);
    place.write("new", "new one");
    place.run("key test copy --key-file new").expect(0);
    place
        .run_with("clone box copy2 -q", b"passphrase\n\n")
        .expect(1)
        .advises("--allow-empty-passphrase");
    place
        .run_with(
            "clone box copy2 -q --key-file pw --new-keyfile missing",
            b"",
        )
        .expect(1)
        .says("missing");
    assert!(!place.path("copy2").exists());
}

#[test]
fn raw_and_plain_images_get_a_header() {
    let place = Place::new();
    place.write("key", pattern(64));
    place.write("pw", "passphrase");
    place.write("raw", pattern(1 << 20));
    let plain = "--cipher aes-xts-plain64 --key-size 512 --key-file key --offset 8 --skip 3";
    place
        .run(&format!("encrypt raw plain -q --type plain {plain}"))
        .expect(0);
    let from = "--source-type plain --source-cipher aes-xts-plain64 --source-key-size 512 --key-file key --source-offset 8 --skip 3";
    place
        .run(&format!(
            "clone plain copy -q {from} --new-keyfile pw {CHEAP}"
        ))
        .expect(0);
    assert!(plaintext(&place, "copy", "pw") == place.read("raw"));
    place
        .run(&format!(
            "clone raw copy2 -q --source-type raw --new-keyfile pw {CHEAP}"
        ))
        .expect(0);
    assert!(plaintext(&place, "copy2", "pw") == place.read("raw"));
    // What has no header is not taken for raw unasked: it may be a plain container, or the data of a detached header.
    place
        .run("clone raw copy3 -q --new-keyfile pw")
        .expect(4)
        .says("not a LUKS container")
        .advises("--source-type raw");
    place
        .run("clone copy copy3 -q --source-type raw --new-keyfile pw")
        .expect(1)
        .says("copy holds a LUKS")
        .advises("--allow-any-source");
    for (options, says) in [
        (
            "--source-type raw --key-file key",
            "--key-file does not go with a raw image",
        ),
        (
            "--source-type raw --keep-passphrase",
            "--keep-passphrase does not go with a raw image",
        ),
        (
            "--source-type raw --source-cipher x",
            "--source-cipher does not go with",
        ),
        ("--source-cipher x", "--source-cipher does not go with"),
        (
            "--source-type raw --header pw",
            "--header does not go with a raw image",
        ),
        (
            "--source-type plain --key-file key",
            "cipher of a plain container is not given",
        ),
    ] {
        place
            .run(&format!("clone raw copy3 -q --new-keyfile pw {options}"))
            .expect(1)
            .says(says);
    }
    place
        .run("clone raw copy3 -q --new-keyfile pw --source-type plain --key-file key")
        .expect(1)
        .advises("--source-cipher");
    assert!(!place.path("copy3").exists());
}

#[test]
fn headers_may_lie_elsewhere_on_both_sides() {
    let place = place(&format!("--header head {CHEAP}"));
    place
        .run("clone box copy -q --header head --new-header head2 --key-file pw --new-keyfile other")
        .expect(0);
    place
        .run("decrypt copy back -q --header head2 --key-file other")
        .expect(0);
    assert!(place.read("back") == place.read("raw"));
    assert_eq!(place.read("copy").len(), 1 << 20);
    place
        .run("clone box whole -q --header head --key-file pw --new-keyfile other")
        .expect(0);
    assert!(plaintext(&place, "whole", "other") == place.read("raw"));
    place
        .run(
            "clone box third -q --header head --new-header third --key-file pw --new-keyfile other",
        )
        .expect(1);
    place
        .run("clone box third -q --header head --new-header head --key-file pw --new-keyfile other --force")
        .expect(1)
        .says("head is the header itself");
}

#[test]
fn the_source_is_no_clone_of_itself() {
    let place = luks2();
    let before = place.read("box");
    place.sh("ln box hard; ln -s box soft").expect(0);
    for name in ["box", "hard", "./box"] {
        place
            .run(&format!(
                "clone box {name} -q --force --key-file pw --new-keyfile other"
            ))
            .expect(1)
            .says("is the source itself");
    }
    place
        .run("clone soft box -q --force --key-file pw --new-keyfile other")
        .expect(1);
    place
        .run("clone box pw -q --force --key-file pw --new-keyfile other")
        .expect(1)
        .says("pw is the key file itself");
    place
        .run("clone box other -q --force --key-file pw --new-keyfile other")
        .expect(1)
        .says("other is the new key file itself");
    for (source, destination) in [
        ("box", "-"),
        ("-", "copy"),
        ("box", "/dev/null"),
        ("missing", "copy"),
    ] {
        let run = place.run(&format!(
            "clone {source} {destination} -q --key-file pw --new-keyfile other"
        ));
        assert!(
            (1..=4).contains(&run.code),
            "{source} {destination}: {}",
            run.stderr
        );
        assert_eq!(run.stdout, b"");
    }
    assert!(place.read("box") == before && !place.path("copy").exists());
}

#[test]
fn a_clone_is_no_weaker_than_its_source_unless_that_is_allowed() {
    let strong = place(&format!("{SMALL} {ARGON2}"));
    for (options, says, allow) in [
        (
            "--key-size 256",
            "is weaker than the 512 bits",
            "--allow-smaller-key",
        ),
        (
            "--cipher aes-cbc-plain64 --key-size 256",
            "CBC with predictable IVs",
            "--allow-weak-cipher",
        ),
        (CHEAP, "is cheaper to guess", "--allow-cheaper-kdf"),
        (
            "--pbkdf argon2id --pbkdf-memory 32 --pbkdf-parallel 1 --pbkdf-force-iterations 400",
            "is cheaper to guess",
            "--allow-cheaper-kdf",
        ),
        (
            "--type luks1 --pbkdf-force-iterations 1000000",
            "is cheaper to guess",
            "--allow-cheaper-kdf",
        ),
    ] {
        // Nobody is asked for anything before.
        let line = format!("clone box copy -q --new-keyfile other {options}");
        strong
            .run(&format!("{line} --key-file missing"))
            .expect(1)
            .says(says)
            .advises(allow);
        assert!(!strong.path("copy").exists());
        strong
            .run(&format!("{line} --key-file pw {allow}"))
            .expect(0);
        assert!(
            plaintext(&strong, "copy", "other") == strong.read("raw"),
            "{options}"
        );
        strong.sh("rm copy").expect(0);
    }
    // As strong, by another mode.
    strong
        .run("clone box copy -q --key-file pw --new-keyfile other --cipher aes-cbc-essiv:sha256 --key-size 256")
        .expect(0);
    // What the source has that nobody should have is not taken over unasked.
    let null = place(&format!(
        "--cipher cipher_null-ecb --key-size 256 --allow-weak-cipher {CHEAP}"
    ));
    null.run("clone box copy -q --key-file pw --new-keyfile other")
        .expect(4)
        .advises("--allow-unencrypted");
    null.run("clone box copy -q --key-file pw --new-keyfile other --allow-unencrypted")
        .expect(0);
    assert!(plaintext(&null, "copy", "other") == null.read("raw"));
    let text = null.run("inspect copy").expect(0);
    assert!(text.text().contains("aes-xts-plain64"), "{}", text.text());
}

#[test]
fn a_payload_grows_and_shrinks() {
    let place = luks2();
    place
        .run("clone box large -q --key-file pw --new-keyfile other --payload-size 3M")
        .expect(0);
    let mut grown = place.read("raw");
    grown.resize(3 << 20, 0);
    assert!(plaintext(&place, "large", "other") == grown);
    // What is cut off are zeros.
    place
        .run("clone large small -q --key-file other --new-keyfile pw --payload-size 1M")
        .expect(0);
    assert!(plaintext(&place, "small", "pw") == place.read("raw"));
    let line =
        "clone large small -q --force --key-file other --new-keyfile pw --payload-size 516096";
    place
        .run(line)
        .expect(1)
        .says("cuts off data of large, the first at byte 516097")
        .advises("--allow-cut");
    place.run(&format!("{line} --allow-cut")).expect(0);
    assert!(plaintext(&place, "small", "pw")[..] == place.read("raw")[..516_096]);
    place
        .run("clone box odd -q --key-file pw --new-keyfile other --payload-size 1000")
        .expect(1);
    place
        .run("clone box whole -q --key-file pw --new-keyfile other --container-size 8M")
        .expect(0);
    assert_eq!(place.read("whole").len(), 8 << 20);
    assert!(plaintext(&place, "whole", "other").starts_with(&place.read("raw")));
}

#[test]
fn holes_are_noise_only_where_that_is_wanted() {
    let place = Place::new();
    place.write("pw", "passphrase");
    place
        .sh("truncate -s 16M raw; printf data | dd of=raw bs=1M seek=8 conv=notrunc")
        .expect(0);
    let raw = place.read("raw");
    let format = format!("--new-keyfile pw {SMALL} {CHEAP}");
    for (holes, line) in [
        (
            "encrypt",
            format!("clone raw full -q --source-type raw {format}"),
        ),
        (
            "keep",
            format!("clone raw thin -q --source-type raw {format} --holes keep"),
        ),
        // Never written in the container that it is made of, so noise there.
        (
            "keep",
            "clone thin thinner -q --key-file pw --keep-passphrase --holes keep".to_owned(),
        ),
        (
            "encrypt",
            "clone full again -q --key-file pw --keep-passphrase".to_owned(),
        ),
    ] {
        place.run(&line).expect(0);
        let name = line.split_whitespace().nth(2).expect("a name");
        let blocks = place.sh(&format!("du -k {name} | cut -f 1")).expect(0);
        let kib: u64 = blocks.text().trim().parse().expect("a number");
        assert_eq!(kib < 8 << 10, holes == "keep", "{line}: {kib} KiB");
        let found = plaintext(&place, name, "pw");
        assert_eq!(found.len(), raw.len());
        assert!(found[8 << 20..][..4] == raw[8 << 20..][..4], "{line}");
        assert_eq!(found == raw, holes == "encrypt", "{line}");
    }
}

#[test]
fn a_source_that_somebody_writes_or_that_shrinks_is_refused() {
    let place = luks2();
    let storage = volume::FileStorage::open(&place.path("box"), volume::Access::ReadWrite);
    let storage = storage.expect("the container");
    let _lock = storage
        .lock_image(volume::ImageRole::Writer)
        .expect("a lock");
    let line = "clone box copy -q --key-file pw --new-keyfile other";
    place
        .run(line)
        .expect(5)
        .says("is in use by another process");
    place.run(&format!("{line} --read-in-use")).expect(0);
    place.sh("head -c 1500000 box >short; rm copy").expect(0);
    place
        .run("clone short copy -q --key-file pw --new-keyfile other")
        .expect(4)
        .says("the storage ends after 1500000");
    assert!(!place.path("copy").exists());
}
