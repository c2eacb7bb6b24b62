//! Sealed headers: cryptsetup uses and changes them, and the program of `luks/SEAL.md` checks what we seal.

use std::path::Path;

use crate::common::{Place, pattern};

const PBKDF2: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";

/// What cryptsetup does with a sealed header and leaves as it is.
const READS: [&str; 8] = [
    "open --test-passphrase --key-file first image",
    "luksDump image",
    "luksDump --dump-json-metadata image",
    "luksDump -q --dump-volume-key --key-file first image",
    "isLuks --type luks2 image",
    "luksUUID image",
    "token export --token-id 0 image",
    "luksHeaderBackup image --header-backup-file backup",
];

/// What it changes.
const EDITS: [&str; 10] = [
    "config image --label other",
    "config image --key-slot 0 --priority prefer",
    "luksUUID image --uuid 01234567-89ab-4def-8123-456789abcdef",
    "luksAddKey image second --key-file first $cheap",
    "luksChangeKey image third --key-file second $cheap",
    "luksConvertKey image --key-file third --pbkdf pbkdf2 --pbkdf-force-iterations 1001",
    "token add image --key-description name --token-id 3",
    "token import image --json-file token.json --token-id 4",
    "token remove image --token-id 3",
    "luksKillSlot image 1 --key-file first",
];

fn place() -> Place {
    let place = Place::new();
    for key in ["first", "second", "third"] {
        place.write(key, key);
    }
    place.write("token.json", r#"{"type":"own","keyslots":["0"]}"#);
    place.write("raw", pattern(64 << 10));
    place.write("vk", pattern(64));
    place
}

#[test]
fn cryptsetup_uses_a_sealed_header_and_breaks_the_seal_by_changing_it() {
    let place = place();
    place.sh(&format!(
        "luksmith encrypt raw image --key-file first --volume-key-file vk {PBKDF2}; luksmith header seal image --key-file first"
    ));
    let sealed = place.read("image");
    for read in READS {
        place.sh(&format!("rm -f backup; cryptsetup {read}"));
        assert!(place.read("image") == sealed, "{read}");
    }
    let dump = String::from_utf8(place.sh("cryptsetup luksDump image")).unwrap();
    assert!(dump.contains("luksmith-seal"), "{dump}");
    place.sh("luksmith key test image --key-file first --require-seal");
    for edit in EDITS {
        place.sh(&format!("cheap='{PBKDF2}'; cryptsetup -q {edit}"));
        let said = place.sh(
            "luksmith decrypt image out --key-file first --require-seal 2>&1 && exit 1; [ $? = 4 ] && [ ! -e out ]",
        );
        let said = String::from_utf8(said).unwrap();
        assert!(
            said.contains("the seal is broken: the header was changed since it was sealed"),
            "{edit}: {said}"
        );
        place.sh("luksmith header seal image --key-file first");
        place.sh("luksmith key test image --key-file first --require-seal");
    }
    // What we change both open.
    place.sh(&format!(
        "luksmith key add image --key-file first --new-keyfile second {PBKDF2}; \
         luksmith header config image --label ours --key-file second"
    ));
    place.sh("cryptsetup open --test-passphrase --key-file second image");
    place.sh("luksmith decrypt image back --key-file second --require-seal");
    assert!(place.read("back") == pattern(64 << 10));
    println!(
        "cases: cryptsetup and sealed headers {} passed, 0 failed",
        READS.len() + EDITS.len()
    );
}

#[test]
fn another_program_finds_our_seals_right() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../test-vectors/seal/seal.py");
    let program = format!("'{}'", program.display().to_string().replace('\'', r"'\''"));
    let place = place();
    let check = |arguments: &str| place.sh_code(&format!("python3 {program} check {arguments}"));
    place.sh(&format!(
        "luksmith encrypt raw image --key-file first --volume-key-file vk --label 'Ü/\"x\"' {PBKDF2}; \
         luksmith header seal image --key-file first"
    ));
    assert_eq!(check("image vk"), 0);
    for edit in [
        "key add image --new-keyfile second --pbkdf pbkdf2 --pbkdf-force-iterations 1000",
        "token import image --json-file token.json",
        "header config image --subsystem 'a/b\u{e9}' --uuid 01234567-89ab-4def-8123-456789abcdef",
        "token remove image --token-id 1",
    ] {
        place.sh(&format!("luksmith {edit} --key-file first"));
        assert_eq!(check("image vk"), 0, "{edit}");
    }
    place.sh("cryptsetup -q config image --label other");
    assert_ne!(check("image vk"), 0);

    for version in [1, 2] {
        place.sh(&format!(
            "luksmith encrypt raw file{version} --type luks{version} --key-file first --volume-key-file vk {PBKDF2}; \
             luksmith header seal file{version} --key-file first --seal seal{version}"
        ));
        let arguments = format!("file{version} vk seal{version}");
        assert_eq!(check(&arguments), 0);
        // A byte of a keyslot, and what the other program seals.
        place.sh(&format!(
            "printf x | dd of=file{version} bs=1 seek=70000 conv=notrunc status=none"
        ));
        assert_ne!(check(&arguments), 0);
        place.sh(&format!(
            "python3 {program} make file{version} vk theirs{version}; \
             luksmith decrypt file{version} out{version} --volume-key-file vk --seal theirs{version}"
        ));
    }
    // The token, too.
    place.sh(&format!(
        "luksmith encrypt raw other --key-file first --volume-key-file vk {PBKDF2}; \
         echo '{{\"type\":\"luksmith-seal\",\"keyslots\":[]}}' | cryptsetup token import --token-id 0 other; \
         python3 {program} make other vk; luksmith decrypt other out --key-file first --require-seal"
    ));
}
