use crate::common::{Place, check_all, pattern};

const PBKDF2: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";

/// What cryptsetup does to a container after it was made, in this order. The key `first` is that of its first
/// keyslot; `$v` is its version.
const EDITS: [&str; 13] = [
    "luksAddKey image second --key-file first --key-slot 5 $cheap",
    "luksAddKey image third --key-file second $cheap",
    "luksChangeKey image fourth --key-file third $cheap",
    "luksAddKey image third --volume-key-file volume-key --key-slot 7 $cheap",
    "luksAddKey image fifth --key-file first $cheap",
    "luksRemoveKey image fifth",
    "luksKillSlot image 0",
    "luksUUID image --uuid 01234567-89ab-4def-8123-456789abcdef",
    "repair image",
    "luksHeaderBackup image --header-backup-file backup",
    "erase image",
    "luksHeaderRestore image --header-backup-file backup",
    "isLuks image --type luks$v",
];

/// The same for what only LUKS2 has.
const LUKS2_EDITS: [&str; 9] = [
    "config image --label other --subsystem thing",
    "config image --key-slot 7 --priority prefer",
    "config image --key-slot 5 --priority ignore",
    "luksConvertKey image --key-file fourth --pbkdf argon2id --pbkdf-memory 32 --pbkdf-force-iterations 4 \
     --pbkdf-parallel 1",
    "luksAddKey image unbound --unbound --key-slot 9 --key-size 256 $cheap",
    "token add image --key-description name --token-id 3 --key-slot 7",
    "token import image --json-file token.json --token-id 4",
    "token remove image --token-id 3",
    "luksKillSlot image 9 --key-file fourth",
];

const KEYS: [&str; 6] = ["first", "second", "third", "fourth", "fifth", "unbound"];

/// After every step both open the container with the same keys, and the data stay what they were.
#[test]
fn cryptsetup_edits_what_we_make() {
    check_all("edits by cryptsetup", &[1, 2], |version| {
        let place = Place::new();
        for key in KEYS {
            place.write(key, key);
        }
        place.write("volume-key", pattern(64));
        place.write(
            "token.json",
            r#"{"type":"own","keyslots":["7"],"more":{"b":[1,null],"a":"x"}}"#,
        );
        place.write("raw", pattern(64 << 10));
        place.sh(&format!(
            "luksmith encrypt raw image --type luks{version} --key-file first --volume-key-file volume-key {PBKDF2}"
        ));
        let more = if *version == 2 { &LUKS2_EDITS[..] } else { &[] };
        for edit in EDITS.iter().chain(more) {
            place.sh(&format!(
                "cheap='{PBKDF2}'; v={version}; cryptsetup --batch-mode {edit}"
            ));
            check_keys(&place, edit);
        }
        place.sh("luksmith decrypt image back --key-file third");
        assert!(place.read("back") == pattern(64 << 10));
        if *version == 2 {
            recovers_from_the_second_header(&place);
        }
    });
}

/// Which keys fit: also into keyslots that are not tried unasked.
fn check_keys(place: &Place, edit: &str) {
    let named = ["second --key-slot 5", "unbound --key-slot 9"];
    for key in KEYS.into_iter().chain(named) {
        let codes = ["cryptsetup open --test-passphrase", "luksmith key test"]
            .map(|test| place.sh_code(&format!("{test} image --key-file {key}")));
        assert_eq!(codes[0], codes[1], "{key} after {edit}");
    }
}

/// cryptsetup finds it, repairs the first and opens the container.
fn recovers_from_the_second_header(place: &Place) {
    place.sh("dd if=/dev/zero of=image bs=4096 count=1 conv=notrunc status=none");
    place.sh("luksmith decrypt image again --key-file third");
    assert!(place.read("again") == pattern(64 << 10));
    place.sh("cryptsetup open --test-passphrase image --key-file third");
    assert_eq!(place.read("image")[..6], *b"LUKS\xba\xbe");
}

/// Its data are partly plain and lie in two places: they are read as what they were, and nothing is changed.
#[test]
fn a_reencryption_in_progress_is_read_without_a_write() {
    let place = Place::new();
    place.write("key", "secret");
    let mut image = pattern(1 << 20);
    image.resize(33 << 20, 0);
    place.write("image", image);
    place.sh(&format!(
        "cryptsetup reencrypt --encrypt --init-only --force-offline-reencrypt --batch-mode image --type luks2 \
         --reduce-device-size 32M --key-file key {PBKDF2}"
    ));
    let before = place.read("image");
    place.sh("luksmith inspect image && luksmith key test image --key-file key");
    place.sh("luksmith decrypt image before --key-file key");
    assert!(place.read("before") == pattern(1 << 20));
    assert!(place.read("image") == before, "reading changes nothing");
    // Once it has come to its end they are read.
    place.sh("cryptsetup reencrypt --resume-only --force-offline-reencrypt --batch-mode image --key-file key");
    place.sh("luksmith decrypt image back --key-file key");
    assert!(place.read("back")[..1 << 20] == pattern(1 << 20));
}
