#![expect(
    clippy::single_range_in_vec_init,
    reason = "the bytes that a change may touch are one range or several"
)]

use std::ops::Range;

use crate::common::Place;

const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file pw -q";
/// Bytes of a LUKS2 header copy unless said.
const COPY: usize = 0x4000;

/// The container `box`, by cryptsetup: the first passphrase is in the file `pw`, in keyslot 0.
fn theirs(version: u32) -> Place {
    let place = Place::new();
    place.write("pw", "first");
    place.write("second", "second");
    place.hole("box", 20 << 20);
    place.sh(&format!(
        "cryptsetup luksFormat --type luks{version} {CHEAP} box"
    ));
    place
}

/// Does cryptsetup open `box` with the passphrase in this file?
fn opens(place: &Place, key: &str) -> bool {
    let open = format!("cryptsetup open --test-passphrase --key-file {key} box");
    place.sh_code(&open) == 0
}

/// Runs a change of `box`; only bytes in these ranges may be others afterwards.
#[track_caller]
fn changes_only(place: &Place, line: &str, ranges: &[Range<usize>]) {
    let before = place.read("box");
    place.sh(line);
    let after = place.read("box");
    assert_eq!(before.len(), after.len(), "{line}");
    for (index, (old, new)) in before.iter().zip(&after).enumerate() {
        assert!(
            old == new || ranges.iter().any(|range| range.contains(&index)),
            "{line}: byte {index:#x}"
        );
    }
    assert!(before != after, "{line}: nothing changed");
}

#[test]
fn a_backup_is_the_one_that_cryptsetup_writes() {
    for (version, options) in [
        (1, ""),
        (1, "--key-size 256"),
        (1, "--cipher aes-cbc-essiv:sha256 --key-size 128"),
        (1, "--header det"),
        (2, ""),
        (2, "--luks2-metadata-size 64k --luks2-keyslots-size 1M"),
        (2, "--header det"),
    ] {
        let place = theirs(version);
        place.hole("det", 4 << 20);
        place.sh(&format!(
            "cryptsetup luksFormat --type luks{version} {CHEAP} {options} box"
        ));
        let image = if options.contains("det") {
            "det"
        } else {
            "box"
        };
        if version == 1 {
            // What lies behind the header and between the areas is in it too.
            for at in [2000, 0x1000 + 256_008] {
                place.sh(&format!(
                    "printf x | dd of={image} bs=1 seek={at} conv=notrunc 2>&1"
                ));
            }
        }
        let before = place.read(image);
        place.sh(&format!(
            "luksmith header backup {image} --header-backup-file ours"
        ));
        place.sh(&format!(
            "cryptsetup luksHeaderBackup {image} --header-backup-file theirs"
        ));
        assert!(
            place.read("ours") == place.read("theirs"),
            "{version} {options}"
        );
        assert!(place.read(image) == before, "a backup changes nothing");
        assert_eq!(place.sh("stat -c %a ours"), b"400\n");
        let again = format!("luksmith header backup {image} --header-backup-file ours");
        assert_eq!(place.sh_code(&again), 5);
    }
}

#[test]
fn either_restores_the_others_backup() {
    for version in [1, 2] {
        for (ours_writes, ours_restores) in [(true, false), (false, true), (true, true)] {
            let place = theirs(version);
            place.sh(if ours_writes {
                "luksmith header backup box --header-backup-file backup"
            } else {
                "cryptsetup luksHeaderBackup box --header-backup-file backup"
            });
            let before = place.read("box");
            // The passphrase is another one, in another area.
            place.sh(&format!("cryptsetup luksAddKey {CHEAP} box second"));
            place.sh("cryptsetup luksKillSlot -q box 0");
            assert!(!opens(&place, "pw") && opens(&place, "second"));
            let end = place.read("backup").len();
            let restore = if ours_restores {
                "luksmith header restore -q box --header-backup-file backup"
            } else {
                "cryptsetup luksHeaderRestore -q box --header-backup-file backup"
            };
            changes_only(&place, restore, &[0..end]);
            assert!(opens(&place, "pw") && !opens(&place, "second"));
            assert!(place.read("box") == before, "as it was");
        }
    }
}

#[test]
fn c4_a_restore_says_which_passphrases_come_back() {
    let place = theirs(2);
    place.sh("luksmith header backup box --header-backup-file backup");
    place.sh(&format!("cryptsetup luksAddKey {CHEAP} box second"));
    place.sh("cryptsetup luksKillSlot -q box 0");
    let before = place.read("box");
    let said =
        place.sh("luksmith header restore box -q --header-backup-file backup --dry-run 2>&1");
    let said = String::from_utf8(said).unwrap();
    assert!(
        said.contains("keyslots 0 of the backup are none of box now"),
        "{said}"
    );
    assert!(
        said.contains("keyslots 1 of box are none of the backup"),
        "{said}"
    );
    assert!(place.read("box") == before);
    let json =
        place.sh("luksmith header restore box -q --header-backup-file backup --json 2>/dev/null");
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["schema"], "luksmith.header restore/1");
    assert_eq!(
        (&json["revived"], &json["lost"]),
        (&[0].into(), &[1].into())
    );
}

#[test]
fn a_backup_that_does_not_fit_is_refused() {
    let place = theirs(2);
    let restore =
        |file: &str| format!("luksmith header restore box -q --header-backup-file {file}");
    for (version, options, says) in [
        (2, "", "its UUID is"),
        (
            2,
            "--offset 65536",
            "its data starts at byte 33554432, the container's at 16777216",
        ),
        (
            2,
            "--key-size 256",
            "its volume key has 32 bytes, the container's 64",
        ),
        (1, "", "it is LUKS1, the container is LUKS2"),
    ] {
        place.sh("rm -f other backup; truncate -s 40M other");
        place.sh(&format!(
            "cryptsetup luksFormat --type luks{version} {CHEAP} {options} other"
        ));
        place.sh("luksmith header backup other --header-backup-file backup");
        let before = place.read("box");
        assert_eq!(place.sh_code(&restore("backup")), 4, "{options}");
        let said = place.sh(&format!("{} 2>&1; :", restore("backup")));
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains(says) && said.contains("--force"), "{said}");
        assert!(place.read("box") == before);
    }
    place.sh("rm backup; luksmith header backup box --header-backup-file backup");
    let mut damaged = place.read("backup");
    damaged[5000] ^= 1;
    place.write("damaged", &damaged);
    assert_eq!(place.sh_code(&restore("damaged")), 4);
    place.sh(&format!("{} --force", restore("damaged")));
    assert!(opens(&place, "pw"));
    damaged.truncate(100_000);
    place.write("damaged", &damaged);
    assert_eq!(place.sh_code(&restore("damaged")), 4);
    assert_eq!(place.sh_code(&restore("missing")), 4);
    // Without a header it is restored; over something else only by force.
    place.hole("box", 0);
    place.hole("box", 20 << 20);
    place.sh(&restore("backup"));
    assert!(opens(&place, "pw"));
    place.sh("dd if=/dev/zero of=box bs=1M count=1 conv=notrunc 2>&1; printf XFSB | dd of=box conv=notrunc 2>&1");
    assert_eq!(place.sh_code(&restore("backup")), 4);
    place.sh(&format!("{} --force", restore("backup")));
    assert!(opens(&place, "pw"));
}

#[test]
fn cryptsetup_reads_what_config_writes() {
    let place = theirs(2);
    let copies = [0..2 * COPY];
    let config = "luksmith header config box --label größe --subsystem a/b \
        --uuid 01234567-89AB-4DEF-8123-456789abcdef --flags allow-discards,no-read-workqueue \
        --header-backup-file backup";
    changes_only(&place, config, &copies);
    assert!(opens(&place, "pw"));
    let dump = String::from_utf8(place.sh("cryptsetup luksDump box")).unwrap();
    for line in [
        "Epoch:         \t4",
        "UUID:          \t01234567-89ab-4def-8123-456789abcdef",
        "Label:         \tgröße",
        "Subsystem:     \ta/b",
        "Flags:       \tallow-discards no-read-workqueue",
    ] {
        assert!(dump.contains(line), "{line} is not in {dump}");
    }
    assert_eq!(place.sh("stat -c %a backup"), b"400\n");
    changes_only(
        &place,
        "luksmith header config box --no-flags --label ''",
        &copies,
    );
    let dump = String::from_utf8(place.sh("cryptsetup luksDump box")).unwrap();
    assert!(
        dump.contains("(no flags)") && dump.contains("(no label)"),
        "{dump}"
    );
    // And the reverse.
    place.sh("cryptsetup config --label theirs box");
    let shown = String::from_utf8(place.sh("luksmith inspect box")).unwrap();
    assert!(shown.contains("theirs"), "{shown}");
    for (arguments, code) in [
        ("", 1),
        ("--uuid none", 1),
        ("--flags nonsense", 1),
        (
            "--label 0123456789abcdef0123456789abcdef0123456789abcdef",
            1,
        ),
        // The backup exists: nothing is changed.
        ("--label x --header-backup-file backup", 5),
    ] {
        let before = place.read("box");
        assert_eq!(
            place.sh_code(&format!("luksmith header config box {arguments}")),
            code
        );
        assert!(place.read("box") == before, "{arguments}");
    }

    let place = theirs(1);
    let uuid = "luksmith header config box --uuid 01234567-89ab-4def-8123-456789abcdef";
    changes_only(&place, uuid, &[168..208]);
    assert_eq!(
        place.sh("cryptsetup luksUUID box"),
        b"01234567-89ab-4def-8123-456789abcdef\n"
    );
    assert!(opens(&place, "pw"));
    assert_eq!(place.sh_code("luksmith header config box --label x"), 1);
}

#[test]
fn cryptsetup_opens_nothing_that_was_erased() {
    for version in [1, 2] {
        let place = theirs(version);
        place.sh(&format!("cryptsetup luksAddKey {CHEAP} box second"));
        assert_eq!(
            place.sh_code("luksmith header erase box </dev/null"),
            1,
            "a question"
        );
        assert!(opens(&place, "pw"));
        let area = 0x3f000;
        let start = if version == 1 { 0x1000 } else { 0x8000 };
        let header = if version == 1 { 0..592 } else { 0..2 * COPY };
        let areas = start..start + 2 * area;
        let before = place.read("box");
        changes_only(
            &place,
            "luksmith header erase box -q",
            &[header, areas.clone()],
        );
        let after = place.read("box");
        let same = before[areas.clone()]
            .chunks(16)
            .zip(after[areas].chunks(16));
        let material = same.filter(|(old, new)| old == new && old.iter().any(|byte| *byte != 0));
        assert_eq!(material.count(), 0, "key material survives");
        assert!(!opens(&place, "pw") && !opens(&place, "second"));
        // A new keyslot can be made by the volume key alone; the header is one that cryptsetup changes.
        place.sh("cryptsetup luksUUID box && cryptsetup erase -q box");
        // Nothing is left to erase.
        place.sh("luksmith header erase box -q");
    }
}

#[test]
fn cryptsetup_reads_our_tokens_and_we_keep_theirs() {
    let place = theirs(2);
    place.sh(&format!("cryptsetup luksAddKey {CHEAP} box second"));
    let copies = [0..2 * COPY];
    changes_only(
        &place,
        "luksmith token add box --key-description theirs:key",
        &copies,
    );
    let ours = place.sh("cryptsetup token export --token-id 0 box");
    assert_eq!(
        ours,
        br#"{"type":"luks2-keyring","keyslots":["0","1"],"key_description":"theirs:key"}"#
    );
    place.sh("cryptsetup token add --token-id 7 --key-slot 1 --key-description x box");
    let theirs = place.sh("cryptsetup token export --token-id 7 box");
    assert_eq!(
        place.sh("luksmith token export box --token-id 7"),
        [&theirs, &b"\n"[..]].concat()
    );
    // A type that nobody here knows.
    let foreign =
        r#"{"type":"clevis","keyslots":["1"],"jwe":{"protected":"x","nested":[1,{"a":null}]}}"#;
    place.write("token.json", foreign);
    changes_only(
        &place,
        "luksmith token import box --json-file token.json",
        &copies,
    );
    place.sh("luksmith header config box --label x && luksmith token add box --key-description y --unbound");
    place.sh("luksmith token export box --token-id 1 --json-file exported");
    assert_eq!(place.read("exported"), [foreign.as_bytes(), b"\n"].concat());
    place.sh("cryptsetup token import --token-id 20 --json-file exported box");
    let listed = String::from_utf8(place.sh("luksmith token list box")).unwrap();
    assert_eq!(
        listed,
        "token 0: luks2-keyring, keyslots 0, 1, key theirs:key\n\
         token 1: clevis, keyslot 1\n\
         token 2: luks2-keyring, no keyslot, key y\n\
         token 7: luks2-keyring, keyslot 1, key x\n\
         token 20: clevis, keyslot 1\n"
    );
    place.sh("luksmith token unassign box --token-id 7 --key-slot 1");
    place.sh("luksmith token assign box --token-id 7 --key-slot 0");
    place.sh("luksmith token remove box --token-id 20");
    let dump = String::from_utf8(place.sh("cryptsetup luksDump box")).unwrap();
    assert!(
        dump.contains("7: luks2-keyring\n\tKey description: x\n\tKeyslot:    0\n"),
        "{dump}"
    );
    assert!(
        !dump.contains("20: clevis") && dump.contains("1: clevis"),
        "{dump}"
    );
    assert!(opens(&place, "pw") && opens(&place, "second"));
    for arguments in [
        "remove box --token-id 20",
        "remove box --token-id 32",
        "export box --token-id 20",
        "assign box --token-id 7 --key-slot 0",
        "assign box --token-id 7 --key-slot 5",
        "unassign box --token-id 7 --key-slot 1",
        "import box --json-file token.json --token-id 7",
        "import box --json-file pw",
        "export box --token-id 40",
    ] {
        assert_eq!(
            place.sh_code(&format!("luksmith token {arguments}")),
            1,
            "{arguments}"
        );
    }
    assert_eq!(
        place.sh_code("luksmith token export box --token-id 1 --json-file exported"),
        5
    );
    let place = self::theirs(1);
    assert_eq!(place.sh("luksmith token list box"), b"");
    assert_eq!(
        place.sh_code("luksmith token add box --key-description x"),
        1
    );
}

#[test]
fn cryptsetup_opens_what_repair_mended() {
    for at in [0, COPY] {
        let place = theirs(2);
        let damage =
            |seek: usize| format!("printf X | dd of=box bs=1 seek={seek} conv=notrunc 2>&1");
        place.sh(&damage(at + 5000));
        changes_only(&place, "luksmith header repair box", &[at..at + COPY]);
        let before = place.read("box");
        assert!(opens(&place, "pw"));
        assert!(
            place.read("box") == before,
            "cryptsetup finds nothing to repair"
        );
        // And the reverse.
        place.sh(&damage(at + 5000));
        place.sh("cryptsetup repair -q box");
        let said = place.sh("luksmith header repair box");
        assert_eq!(said, b"nothing is wrong with the header of box\n");
        // A file system in its place.
        place.sh(&format!(
            "head -c 8192 /dev/urandom | dd of=box bs=4096 seek={} conv=notrunc 2>&1",
            at / 4096
        ));
        assert_eq!(place.sh_code("luksmith header repair box"), 4);
        assert_eq!(
            place.sh_code("luksmith token add box --key-description x"),
            4
        );
        place.sh("luksmith header repair box --force");
        assert!(opens(&place, "pw"));
    }
    for (patch, at) in [
        (r"\125\252", 510),
        (r"\125\252", 538),
        (r"\001", 208 + 48 * 3 + 44),
        ("SHA256", 72),
    ] {
        let place = theirs(1);
        let original = place.read("box");
        place.sh(&format!(
            "printf '{patch}' | dd of=box bs=1 seek={at} conv=notrunc 2>&1"
        ));
        changes_only(&place, "luksmith header repair box", &[0..592]);
        assert!(place.read("box") == original, "{at}");
        assert!(opens(&place, "pw"), "{at}");
    }
}

#[test]
fn cryptsetup_opens_what_was_converted_and_we_convert_what_it_did() {
    let version = |place: &Place| {
        let dump = String::from_utf8(place.sh("cryptsetup luksDump box")).unwrap();
        let line = dump.lines().find(|line| line.starts_with("Version:"));
        line.unwrap().split_whitespace().nth(1).unwrap().to_owned()
    };
    for options in [
        "",
        "--key-size 256",
        "--cipher aes-cbc-essiv:sha256 --key-size 256",
    ] {
        let place = theirs(1);
        place.sh(&format!(
            "cryptsetup luksFormat --type luks1 {CHEAP} {options} box"
        ));
        place.sh(&format!("cryptsetup luksAddKey {CHEAP} box second"));
        let header = [0..2 << 20];
        let steps = [
            ("luksmith header convert -q box --type luks2", "2"),
            ("luksmith header convert -q box --type luks1", "1"),
            ("cryptsetup convert -q box --type luks2", "2"),
            ("cryptsetup convert -q box --type luks1", "1"),
            ("cryptsetup convert -q box --type luks2", "2"),
            ("luksmith header convert -q box --type luks1", "1"),
            ("luksmith header convert -q box --type luks2", "2"),
        ];
        for (step, expected) in steps {
            changes_only(&place, step, &header);
            assert_eq!(version(&place), expected, "{options} {step}");
            assert!(
                opens(&place, "pw") && opens(&place, "second"),
                "{options} {step}"
            );
            place.sh("luksmith key test box --key-file second");
        }
        // The places that are free are in order too.
        place.sh(&format!("cryptsetup luksAddKey {CHEAP} box second"));
    }
    let place = theirs(2);
    assert_eq!(
        place.sh_code("luksmith header convert -q box --type luks1"),
        4,
        "sectors of 4096 bytes"
    );
    place.sh(&format!(
        "cryptsetup luksFormat --type luks2 --sector-size 512 {CHEAP} box"
    ));
    place.sh("luksmith header convert -q box --type luks1 --header-backup-file backup");
    assert!(opens(&place, "pw") && version(&place) == "1");
    assert_eq!(
        place.sh_code("luksmith header convert -q box --type luks1"),
        4,
        "it is already"
    );
    assert_eq!(
        place.sh_code("luksmith header convert -q box --type plain"),
        1
    );
    place.sh("luksmith header restore -q box --header-backup-file backup --force");
    assert!(opens(&place, "pw") && version(&place) == "2");
}
