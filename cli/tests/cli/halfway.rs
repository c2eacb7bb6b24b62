use crate::support::{Place, READ, golden};

/// Unpacks the half-way images; their passphrase lies in `pw`.
pub fn unpacked() -> Place {
    let place = Place::new();
    let archive = golden("reencrypt/images.tar.xz");
    let mut rest = &archive[..];
    while rest.first().is_some_and(|byte| *byte != 0) {
        let (head, behind) = rest.split_at(512);
        let text = |field: &[u8]| {
            let end = field.iter().position(|byte| *byte == 0).expect("a NUL");
            String::from_utf8(field[..end].to_vec()).expect("ASCII")
        };
        let size = usize::from_str_radix(&text(&head[124..136]), 8).expect("octal");
        place.write(&text(&head[..100]), &behind[..size]);
        rest = &behind[size.next_multiple_of(512)..];
    }
    place.write("pw", "golden");
    place
}

pub fn pattern(bytes: usize) -> Vec<u8> {
    let lines = (0..bytes / 16).map(|line| format!("{line:015}\n"));
    lines.collect::<String>().into_bytes()
}

/// Every kind of zone, through the whole job.
#[test]
fn it_is_decrypted_and_compared_without_a_write() {
    let place = unpacked();
    place.write("small", pattern(65_536));
    place.write("large", pattern(225_280));
    for (image, header, raw) in [
        ("reencrypt-checksum-hot-torn", None, "small"),
        ("reencrypt-journal-hot-torn", None, "small"),
        ("reencrypt-finished-old-key-gone", None, "small"),
        ("reencrypt-keep-key-sector-4096-torn", None, "small"),
        ("encrypt-shift-hot-torn", None, "large"),
        ("encrypt-shift-hot-moved", None, "large"),
        (
            "encrypt-detached-journal-torn",
            Some("encrypt-detached-journal-torn.hdr"),
            "small",
        ),
        (
            "decrypt-shift-checksum-moved-torn",
            Some("decrypt-shift-checksum-moved-torn.hdr"),
            "large",
        ),
        (
            "decrypt-detached-last-hot",
            Some("decrypt-detached-last-hot.hdr"),
            "small",
        ),
    ] {
        let before = (place.read(image), header.map(|header| place.read(header)));
        let detached = header.map_or(String::new(), |header| format!("--header {header}"));
        place
            .run(&format!("decrypt {image} back {detached} --key-file pw"))
            .expect(0);
        assert!(place.read("back") == place.read(raw), "{image}");
        std::fs::remove_file(place.path("back")).expect("it is there");
        place
            .run(&format!("key test {image} {detached} --key-file pw"))
            .expect(0);
        place
            .run(&format!("compare {raw} {image} {detached} --key-file pw"))
            .expect(0);
        let after = (place.read(image), header.map(|header| place.read(header)));
        assert!(before == after, "{image}");
    }
}

/// What no digest proves, and what nothing protects, gives not a byte.
#[test]
fn what_is_not_proven_is_refused() {
    let place = unpacked();
    for image in [
        "forged-old-flag",
        "forged-no-digest",
        "forged-mode-decrypt",
        "forged-direction",
        "forged-v3",
        "forged-iterations",
        "forged-decryption",
        "forged-decryption-old",
    ] {
        let before = place.read(image);
        place
            .run(&format!("decrypt {image} back --key-file pw"))
            .expect(4)
            .says("a reencryption is in progress, and");
        assert!(!place.path("back").exists(), "{image}");
        place
            .run(&format!("key test {image} --key-file pw"))
            .expect(4);
        place
            .run(&format!("verify {image} --key-file pw"))
            .expect(4);
        let exit = if image.contains("old") || image.contains("no-digest") {
            1
        } else {
            2
        };
        place
            .run(&format!(
                "cryptsetup open --test-passphrase {image} --key-file pw"
            ))
            .expect(exit);
        assert!(place.read(image) == before, "{image}");
    }
    place
        .run("decrypt encrypt-detached-reduce-hot back --header encrypt-detached-reduce-hot.hdr --key-file pw")
        .expect(4)
        .says("bytes 0 to 131072");
    assert!(!place.path("back").exists());
}

#[test]
fn how_far_it_is_is_told() {
    let place = unpacked();
    let hot = "reencrypt-checksum-hot-torn";
    let text = place
        .run(&format!("inspect {hot}"))
        .expect(0)
        .text()
        .to_owned();
    for line in [
        "reencrypts  reencrypt, forward, resilience checksum: a crash left a zone half",
        "  new       16384 bytes (16 KiB) from 360448",
        "  hot       16384 bytes (16 KiB) from 376832",
        "  old       32768 bytes (32 KiB) from 393216",
        "  left      49152 bytes (48 KiB)",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(
        text.contains("luksmith resume reencrypt-checksum-hot-torn"),
        "{text}"
    );
    assert!(!text.contains("unbound"), "{text}");
    let slot = "reencrypt, what the reencryption does and how it is protected";
    assert!(text.contains(slot) && text.contains("no key, "), "{text}");
    assert!(
        !text.contains("not known") && !text.contains("key of 8 bits"),
        "{text}"
    );
    let map = place
        .run(&format!("inspect {hot} --map text"))
        .expect(0)
        .text()
        .to_owned();
    assert!(
        map.contains("being written)") && map.contains(", old)"),
        "{map}"
    );
    let list = place
        .run(&format!("key list {hot}"))
        .expect(0)
        .text()
        .to_owned();
    assert!(
        list.contains("keyslot 0: opens the data that is still to be done"),
        "{list}"
    );
    assert!(
        list.contains("keyslot 1: opens the data that is done"),
        "{list}"
    );
    assert!(
        list.contains("keyslot 2: how far the reencryption is, no key\n"),
        "{list}"
    );

    let verified = place
        .run(&format!("verify {hot} --key-file pw"))
        .expect(0)
        .text()
        .to_owned();
    assert!(
        verified.contains("a crash left a zone half written"),
        "{verified}"
    );
    assert!(
        verified.contains("the digest of the reencryption fits its state"),
        "{verified}"
    );

    // What nothing finishes has no command that does.
    for (image, header) in [
        (
            "encrypt-detached-reduce-hot",
            Some("encrypt-detached-reduce-hot.hdr"),
        ),
        ("forged-no-digest", None),
        ("forged-old-flag", None),
    ] {
        let detached = header.map_or(String::new(), |header| format!("--header {header}"));
        let text = place
            .run(&format!("inspect {image} {detached}"))
            .expect(0)
            .text()
            .to_owned();
        assert!(
            !text.contains("resume") && text.contains("nothing that keeps the data"),
            "{image}: {text}"
        );
    }
    let text = place
        .run("inspect encrypt-detached-checksum-torn --header encrypt-detached-checksum-torn.hdr")
        .expect(0)
        .text()
        .to_owned();
    assert!(
        text.contains("luksmith resume encrypt-detached-checksum-torn --header"),
        "{text}"
    );
    assert!(text.contains("  left      49152 bytes"), "{text}");
}

#[test]
fn a_backup_of_its_header_is_warned_of() {
    let place = unpacked();
    let run = place
        .run("header backup reencrypt-init --header-backup-file backup")
        .expect(0);
    let warning = "once it has gone on, this backup opens the data no more";
    assert!(run.stderr.contains(warning), "{}", run.stderr);
}

/// LUKS1 has no place for a state: cryptsetup takes its magic away, and keeps the headers in files of their own.
#[test]
fn an_unfinished_luks1_is_known_to_every_verb() {
    let place = Place::new();
    let mut image = golden("luks1/cbc-essiv-256-sha512.img.xz");
    image[4..6].copy_from_slice(b"\xde\xad");
    let uuid = String::from_utf8(image[168..204].to_vec()).expect("ASCII");
    place.write("box", &image);
    place.write("pw", "golden");
    place.write("raw", pattern(65_536));
    place.write("token", r#"{"type":"x","keyslots":[]}"#);
    let files =
        format!("LUKS-{uuid}.log says how far it came, .org has the header with the old key, .new");
    let what = "a LUKS1 container that cryptsetup has begun to reencrypt";
    let verbs = READ.into_iter().chain([
        "clone box new --key-file pw",
        "compare box raw --key-file pw",
        "compare raw box --key-file pw",
        "key add box --key-file pw --new-keyfile pw",
        "key change box --key-file pw --new-keyfile pw",
        "key remove box --key-file pw",
        "key export box -q --key-file pw --volume-key-file vk",
        "token import box --json-file token",
        "header erase box -q",
        "header repair box -q",
        "header config box --label x",
        "header convert box --type luks2 -q",
    ]);
    for verb in verbs {
        place.run(verb).expect(4).says(what).advises(&files);
    }
    place
        .run("encrypt box new --key-file pw")
        .expect(4)
        .says(what)
        .advises("--allow-any-source");
    for action in [
        "luksDump",
        "open --test-passphrase --key-file pw",
        "repair -q",
    ] {
        let run = place.run(&format!("cryptsetup {action} box")).expect(1);
        run.says("Device box is not a valid LUKS device.")
            .advises(&files);
    }
    assert!(place.read("box") == image);
    assert_eq!(place.names(), ["box", "pw", "raw", "token"]);
}

/// How far it is stands in the header, and no data is needed for that.
#[test]
fn a_detached_header_alone_tells_its_state() {
    let place = unpacked();
    for (header, parts) in [
        (
            "encrypt-detached-checksum-torn.hdr",
            [
                "  new       16384 bytes (16 KiB) from 0",
                "  hot       16384 bytes (16 KiB) from 16384",
                "  old       to the end from 32768",
            ],
        ),
        (
            "decrypt-shift-hot-torn.hdr",
            ["  new ", "  hot ", "  old       to the end from"],
        ),
        ("decrypt-detached-torn.hdr", ["  new ", "  hot ", "  old "]),
    ] {
        let text = place.run(&format!("inspect {header}")).expect(0);
        let text = text.text();
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for line in parts {
            assert!(text.contains(line), "{header}: {line}: {text}");
        }
        // Backward from the end, what is left is known.
        let left = if header.contains("decrypt-detached") {
            " left 49152 bytes"
        } else {
            "the data is in another file"
        };
        assert!(words.contains(left), "{words}");
        let next = format!("luksmith resume DATA --header {header}");
        assert!(words.contains(&next), "{words}");
        // None of it lies in this file.
        let map = place.run(&format!("inspect {header} --map text")).expect(0);
        assert!(!map.text().contains("segment"), "{}", map.text());
        place.run(&format!("verify {header}")).expect(0);
    }
}

#[test]
fn a_decryption_names_both_ciphers() {
    let place = unpacked();
    for (image, detached, ciphers) in [
        ("encrypt-shift-clean", "", "none and aes-cbc-essiv:sha256"),
        (
            "decrypt-shift-hot-torn",
            "--header decrypt-shift-hot-torn.hdr",
            "aes-cbc-essiv:sha256 and none",
        ),
        ("reencrypt-checksum-hot-torn", "", "aes-cbc-essiv:sha256"),
        ("reencrypt-finished", "", "aes-cbc-essiv:sha256"),
    ] {
        let json = place
            .run(&format!(
                "decrypt {image} back {detached} --key-file pw --json"
            ))
            .expect(0);
        let json: serde_json::Value = serde_json::from_str(json.text()).expect("JSON");
        assert_eq!(json["cipher"], *ciphers, "{image}");
        std::fs::remove_file(place.path("back")).expect("it is there");
    }
}

/// It is refused before a passphrase is asked for.
#[test]
fn a_stream_cannot_be_read_half_way() {
    let place = unpacked();
    for (image, detached) in [
        ("reencrypt-init", ""),
        (
            "encrypt-detached-checksum-torn",
            "--header encrypt-detached-checksum-torn.hdr",
        ),
    ] {
        place
            .sh(&format!(
                "cat {image} | \"$LUKSMITH\" decrypt - back {detached} --key-file nothing"
            ))
            .expect(4)
            .says("its data can be read in a file or device only")
            .advises("copy it into a file first");
    }
    assert!(!place.path("back").exists());
}

/// A change could cost the data. Nothing is written, and no key is asked for.
#[test]
fn nothing_else_changes_its_header() {
    let place = unpacked();
    place.write("token", r#"{"type":"x","keyslots":[]}"#);
    place
        .run("header backup reencrypt-init --header-backup-file backup")
        .expect(0);
    for image in [
        "reencrypt-init",
        "reencrypt-checksum-hot-torn",
        "encrypt-shift-clean",
        "reencrypt-finished",
        "forged-no-digest",
    ] {
        let before = place.read(image);
        for verb in [
            "key add IMG --key-file none --new-keyfile pw",
            "key change IMG --key-file none --new-keyfile pw",
            "key remove IMG --key-file none",
            "key remove IMG --key-slot 0 -q",
            "header erase IMG -q",
            "header restore IMG -q --header-backup-file backup",
            "header restore IMG -q --force --header-backup-file backup",
            "header convert IMG --type luks1 -q",
            "header config IMG --label x",
            "header config IMG --uuid 12345678-1234-1234-1234-123456789abc",
            "token import IMG --json-file token",
            "token add IMG --key-description x",
        ] {
            place
                .run(&verb.replace("IMG", image))
                .expect(4)
                .says("a reencryption is in progress (requirement online-reencrypt")
                .advises("luksmith resume");
        }
        assert!(place.read(image) == before, "{image}");
    }
}
