//! `verify`: what real programs made is sound, and each thing that is wrong with a copy of it is named.

use std::fs;

use crate::support::{Place, Run, golden, pattern};

const LUKS1: &str = "luks1/xts-512-sha256.img.xz";
const LUKS2: &str = "luks2/pbkdf2-cbc-essiv-128-sector-4096.img.xz";

/// A place with a patched copy of a golden container as `box`, whose passphrase is in `pw`.
fn patched(path: &str, patch: impl FnOnce(&mut Vec<u8>)) -> Place {
    let place = Place::new();
    let mut bytes = golden(path);
    patch(&mut bytes);
    place.write("box", bytes);
    place.write("pw", "golden");
    place
}

/// Patches a golden container: `verify` must say all of this, exit 4, and write nothing.
#[track_caller]
fn refuses(path: &str, patch: impl FnOnce(&mut Vec<u8>), says: &[&str]) {
    let place = patched(path, patch);
    let before = place.read("box");
    let mut run = place.run("verify box").expect(4);
    for text in says {
        run = run.says(text);
    }
    assert!(place.read("box") == before);
    let run = place.run("verify box --json").expect(4);
    let report = json(&run);
    assert_eq!(
        (&report["schema"], &report["sound"]),
        (&"luksmith.verify/1".into(), &false.into())
    );
}

fn json(run: &Run) -> serde_json::Value {
    serde_json::from_str(run.text()).expect("JSON")
}

/// Where the area of keyslot 0 starts, and its sectors of key material.
fn area(path: &str) -> (usize, usize) {
    let place = patched(path, |_| {});
    let report = json(&place.run("verify box --json").expect(0));
    let areas = report["areas"].as_array().expect("areas");
    let area = areas.iter().find(|area| area["keyslot"] == 0).expect("it");
    let number =
        |name: &str| usize::try_from(area[name].as_u64().expect("a number")).expect("fits");
    (number("offset"), number("bytes") / 512)
}

#[test]
fn what_cryptsetup_and_qemu_make_is_sound() {
    let vectors = concat!(env!("CARGO_MANIFEST_DIR"), "/../test-vectors");
    let mut checked = 0;
    for folder in ["luks1", "luks2"] {
        for entry in fs::read_dir(format!("{vectors}/{folder}")).expect("test vectors") {
            let name = entry.expect("an entry").file_name();
            let name = name.to_string_lossy();
            let is_header = name.ends_with(".xz") && !name.contains(".data.");
            if !is_header || name.starts_with("secondary-only") {
                continue;
            }
            let place = patched(&format!("{folder}/{name}"), |_| {});
            let run = place.run("verify box");
            assert_eq!(run.code, 0, "{name}: {}", run.stderr);
            assert!(run.text().contains("result      sound"), "{name}");
            checked += 1;
        }
    }
    assert!(checked >= 35, "{checked}");
    println!("cases: verify golden containers {checked} passed, 0 failed");
}

#[test]
fn copies_that_do_not_agree() {
    refuses(
        "luks2/secondary-only.img.xz",
        |_| {},
        &["box is not sound: the primary header is not used"],
    );
    refuses(
        LUKS2,
        |bytes| bytes[4096 + 10] ^= 1,
        &["the primary header is not used: damaged: the checksum"],
    );
    refuses(
        LUKS2,
        |bytes| bytes[16384 + 4096 + 10] ^= 1,
        &["the secondary header is not used: damaged: the checksum"],
    );
    // Both at once leave no header to verify.
    let place = patched(LUKS2, |bytes| {
        bytes[4096 + 10] ^= 1;
        bytes[16384 + 4096 + 10] ^= 1;
    });
    place
        .run("verify box")
        .expect(4)
        .says("damaged LUKS header: the checksum");
}

#[test]
fn key_material_that_is_overwritten() {
    for path in [LUKS1, LUKS2] {
        let (start, sectors) = area(path);
        let middle = start + sectors / 2 * 512;
        refuses(
            path,
            |bytes| bytes[start..start + 512].fill(0),
            &[&format!(
                "keyslot 0: 1 of {sectors} sectors are no ciphertext (zeros), the first at {start}"
            )],
        );
        refuses(
            path,
            |bytes| bytes[middle..middle + 1024].copy_from_slice(&pattern(1024)),
            &[&format!(
                "keyslot 0: 2 of {sectors} sectors are no ciphertext (text, tables or a pattern), the first at {middle}"
            )],
        );
        let last = start + (sectors - 1) * 512;
        refuses(
            path,
            |bytes| {
                bytes[last..last + 512].fill(b'x');
                bytes[start..start + 512].fill(0);
            },
            &["2 of", "(zeros and something else)"],
        );
        refuses(
            path,
            |bytes| bytes.truncate(middle),
            &["keyslot 0: its area ends at", "beyond the end of the image"],
        );
    }
}

#[test]
fn a_keyslot_that_was_only_switched_off() {
    // The state of keyslot 3: in the header of LUKS1 it is all that says that a keyslot is in use.
    let state = 208 + 3 * 48;
    refuses(
        "luks1/three-keyslots.img.xz",
        |bytes| bytes[state..state + 4].copy_from_slice(&0x0000_DEAD_u32.to_be_bytes()),
        &["keyslot 3: it is not in use, but its salt and iterations are still in the header"],
    );
    // Without them the area alone is worth a note, among zeros.
    let place = patched("luks1/three-keyslots.img.xz", |bytes| {
        bytes[state..state + 4].copy_from_slice(&0x0000_DEAD_u32.to_be_bytes());
        bytes[state + 4..state + 40].fill(0);
    });
    let run = place.run("verify box").expect(0);
    assert!(
        run.text()
            .contains("not in use: looks random, as the filler"),
        "{}",
        run.text()
    );
}

#[test]
fn what_is_left_where_no_keyslot_is() {
    let free = |place: &Place| {
        let report = json(&place.run("verify box --json").expect(0));
        let areas = report["areas"].as_array().expect("areas").clone();
        let last = areas.last().expect("a free area").clone();
        assert_eq!(last["keyslot"], serde_json::Value::Null);
        (last, report["notes"].as_array().expect("notes").len())
    };
    // The filler of a format is random.
    let place = patched("luks2/argon2id-xts-512-sector-512.img.xz", |_| {});
    let (filler, notes) = free(&place);
    assert_eq!((&filler["random_sectors"], notes), (&8.into(), 0));

    let zeros = "luks2/reencrypt-encrypt.img.xz";
    let place = patched(zeros, |_| {});
    let (last, notes) = free(&place);
    assert_eq!((&last["random_sectors"], notes), (&0.into(), 0));
    let at = usize::try_from(last["offset"].as_u64().expect("a number")).expect("fits");

    // Some of keyslot 0's own material, copied to where nothing should be.
    let (material, _) = area(zeros);
    let mut bytes = place.read("box");
    bytes.copy_within(material..material + 4096, at + 4096);
    place.write("box", &bytes);
    assert_eq!(free(&place).0["random_sectors"], 8);
    let run = place.run("verify box").expect(0);
    let said = format!(
        "sectors that look random among zeros: 8, the first at {}",
        at + 4096
    );
    assert!(run.text().contains(&said), "{}", run.text());

    bytes[at..at + 512].fill(b't');
    place.write("box", &bytes);
    let run = place.run("verify box").expect(0);
    assert!(
        run.text()
            .contains("sectors that are neither zeros nor random: 1;"),
        "{}",
        run.text()
    );
}

#[test]
fn a_header_alone_is_sound_and_says_so() {
    let place = patched(LUKS2, |_| {});
    let report = json(&place.run("verify box --json").expect(0));
    let areas = report["areas"].as_array().expect("areas");
    let last = areas.last().expect("one");
    let end = last["offset"].as_u64().expect("a number") + last["bytes"].as_u64().expect("one");
    let mut bytes = place.read("box");
    // An area is whole blocks.
    bytes.truncate(usize::try_from(end).expect("fits").next_multiple_of(4096));
    place.write("box", bytes);
    let run = place.run("verify box").expect(0);
    assert!(run.text().contains("a header alone"), "{}", run.text());
}

#[test]
fn a_key_is_checked_where_one_is_given() {
    for path in [LUKS1, LUKS2] {
        let place = patched(path, |_| {});
        let run = place.run("verify box --key-file pw").expect(0);
        assert!(
            run.text()
                .contains("opens keyslot 0, and the volume key matches its digest"),
            "{}",
            run.text()
        );
        place.write("wrong", "wrong");
        place
            .run("verify box --key-file wrong")
            .expect(2)
            .says("no key fits");
        let run = place.run("verify box --key-file wrong --json").expect(2);
        assert_eq!(json(&run)["key"]["fits"], false);
        place.write("key", [7; 64]);
        place
            .run("verify box --volume-key-file key")
            .expect(match path {
                LUKS1 => 2,
                _ => 1,
            });
        // What is wrong with the image counts for more than a key that does not open it.
        let (start, _) = area(path);
        let mut bytes = place.read("box");
        bytes[start..start + 512].fill(0);
        place.write("box", bytes);
        place
            .run("verify box --key-file pw")
            .expect(4)
            .says("keyslot 0: 1 of");
    }
}

#[test]
fn what_is_no_container() {
    let place = Place::new();
    place.write("raw", pattern(8192));
    place
        .run("verify raw")
        .expect(4)
        .says("not a LUKS container");
    place.run("verify missing").expect(4);
    place.run_with("verify -", &pattern(512)).expect(1);
}

/// Nothing is sound that nobody can open, whatever its checksum says.
#[test]
fn what_nothing_opens() {
    let text = |at: usize, text: &'static str| {
        move |bytes: &mut Vec<u8>| bytes[at..at + text.len()].copy_from_slice(text.as_bytes())
    };
    for (patch, says) in [
        (text(8, "QQQ\0"), "cipher \"QQQ\""),
        (
            text(40, "QQQ"),
            "mode \"QQQ\" of cipher \"aes\" is not supported: nothing opens it",
        ),
        (text(40, "xts-QQQ64\0"), "nothing opens it"),
        (
            text(72, "QQQ\0"),
            "hash \"QQQ\" is not supported: nothing opens it",
        ),
    ] {
        refuses(LUKS1, patch, &[says]);
        let place = patched(LUKS1, patch);
        let run = place.run("verify box").expect(4);
        assert!(!run.text().contains("sound"), "{}", run.text());
        let run = place.run("inspect box").expect(0);
        assert!(run.text().contains("nothing opens it"), "{}", run.text());
    }
    // 24 bytes are no key of this cipher.
    refuses(LUKS1, |bytes| bytes[111] = 24, &["nothing opens it"]);
    for (old, new) in [
        (
            r#""encryption":"aes-cbc-essiv:sha256""#,
            r#""encryption":"aes-cbc-essiv:sha2XX""#,
        ),
        (r#""hash":"sha256""#, r#""hash":"sha2XX""#),
    ] {
        let patch = |bytes: &mut Vec<u8>| {
            for at in [0, COPY] {
                replace(&mut bytes[at..at + COPY], old, new);
            }
        };
        refuses(LUKS2, patch, &["nothing opens it"]);
    }
    let place = patched(LUKS1, |_| {});
    assert!(
        !place
            .run("inspect box")
            .expect(0)
            .text()
            .contains("nothing opens")
    );
}

const COPY: usize = 16384;

/// Replaces a text in a header copy everywhere, and makes its checksum right.
fn replace(copy: &mut [u8], old: &str, new: &str) {
    let places: Vec<_> = (0..copy.len() - old.len())
        .filter(|at| copy[*at..].starts_with(old.as_bytes()))
        .collect();
    assert!(!places.is_empty(), "{old}");
    for at in places {
        copy[at..at + new.len()].copy_from_slice(new.as_bytes());
    }
    copy[448..512].fill(0);
    let checksum = dmcrypt::HashAlgorithm::Sha256.digest(&[copy]);
    copy[448..480].copy_from_slice(&checksum);
}

/// Nothing is said of what is not there, and an image that ends too early is not sound.
#[test]
fn what_is_cut_off() {
    for path in [LUKS1, LUKS2] {
        let (start, sectors) = area(path);
        let whole = patched(path, |_| {});
        let report = json(&whole.run("verify box --json").expect(0));
        let areas = report["areas"].as_array().expect("areas");
        let last = areas.last().expect("one");
        let (at, bytes) = (last["offset"].as_u64(), last["bytes"].as_u64());
        let end = usize::try_from(at.zip(bytes).map_or(0, |(at, bytes)| at + bytes));
        let end = match path {
            LUKS1 => end.expect("fits"),
            // An area is whole blocks.
            _ => end.expect("fits").next_multiple_of(4096),
        };
        for length in [
            start + 512,
            start + sectors * 512 - 1,
            start + sectors * 512,
            end - 1,
        ] {
            let place = patched(path, |bytes| bytes.truncate(length));
            let run = place.run("verify box").expect(4);
            assert!(
                run.stderr.contains("beyond the end of the image"),
                "{}",
                run.stderr
            );
            let of_keyslot = run
                .text()
                .lines()
                .find(|line| line.starts_with("keyslot 0"));
            let of_keyslot = of_keyslot.expect("a line");
            let is_whole = length >= start + sectors * 512;
            assert_eq!(
                of_keyslot.contains("random throughout"),
                is_whole,
                "{length}: {of_keyslot}"
            );
            assert_eq!(of_keyslot.contains("as far as it is there"), !is_whole);
            assert!(!run.text().contains("sound, as far as can be seen"));
            let run = place.run("inspect box").expect(0);
            assert!(
                run.text().contains("beyond the end of the image"),
                "{}",
                run.text()
            );
        }
        let place = patched(path, |bytes| bytes.truncate(end));
        place.run("verify box").expect(0);
        assert!(
            !place
                .run("inspect box")
                .expect(0)
                .text()
                .contains("beyond the end")
        );
    }
}

/// Random bytes do not repeat: 16 zeros in key material are somebody's.
#[test]
fn sixteen_zeros_in_key_material() {
    for path in [LUKS1, LUKS2] {
        let (start, sectors) = area(path);
        for at in [start, start + 700, start + sectors * 512 - 16] {
            let sector = at / 512 * 512;
            refuses(
                path,
                |bytes| bytes[at..at + 16].fill(0),
                &[
                    &format!("keyslot 0: 1 of {sectors} sectors are no ciphertext"),
                    &format!("the first at {sector}"),
                ],
            );
        }
    }
}
