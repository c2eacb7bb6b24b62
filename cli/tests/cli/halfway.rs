use crate::support::{Place, golden};

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
