use std::fs;

use luks::{Corrupt, Error, Header, InvalidOption, Luks, UnlockOptions, Unsupported};

use crate::common::{memory, open, passphrase, plaintext, sha256, test_vectors, unxz};

fn read(path: &str) -> Vec<u8> {
    let path = test_vectors().join(path);
    if path.extension().is_some_and(|extension| extension == "xz") {
        unxz(&path)
    } else {
        fs::read(path).unwrap()
    }
}

/// Slot, passphrase, unbound.
fn keyslots(entry: &toml::Table) -> Vec<(u32, String, bool)> {
    let text = |table: &toml::Table, name: &str| table[name].as_str().unwrap().to_owned();
    if let Some(keyslots) = entry.get("keyslots") {
        let slot = |value: &toml::Value| {
            let table = value.as_table().unwrap();
            let number = u32::try_from(table["slot"].as_integer().unwrap()).unwrap();
            (
                number,
                text(table, "passphrase"),
                table.contains_key("unbound"),
            )
        };
        return keyslots.as_array().unwrap().iter().map(slot).collect();
    }
    vec![(0, text(entry, "passphrase"), false)]
}

#[test]
fn every_golden_container_gives_its_payload_through_every_keyslot() {
    let index: toml::Table = fs::read_to_string(test_vectors().join("index.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let mut passed = 0;
    for entry in index["file"].as_array().unwrap() {
        let entry = entry.as_table().unwrap();
        let path = entry["path"].as_str().unwrap();
        let is_header = path.starts_with("luks")
            && (entry.contains_key("passphrase") || entry.contains_key("keyslots"));
        if is_header {
            check(path, entry);
            passed += 1;
        }
    }
    assert!(passed >= 37, "{passed}");
    println!("cases: golden containers {passed} passed, 0 failed");
}

fn check(path: &str, entry: &toml::Table) {
    let bytes = read(path);
    let storage = memory(bytes.clone());
    let data = entry.get("data").map_or_else(
        || storage.clone(),
        |data| memory(read(data.as_str().unwrap())),
    );
    let luks = Luks::open(storage.clone()).unwrap_or_else(|error| panic!("{path}: {error}"));
    for (slot, secret, unbound) in keyslots(entry) {
        let options = UnlockOptions {
            keyslot: Some(slot),
            ..UnlockOptions::default()
        };
        let unlocked = luks
            .unlock(&passphrase(secret.as_bytes()), &options)
            .unwrap_or_else(|error| panic!("{path}, keyslot {slot}: {error}"));
        assert_eq!(unlocked.keyslot(), Some(slot), "{path}");
        let volume = unlocked.volume(data.clone());
        if unbound {
            let refused = volume.err().unwrap();
            assert!(
                matches!(refused, Error::Unsupported(Unsupported::Unbound { .. })),
                "{path}: {refused}"
            );
            continue;
        }
        let plaintext = plaintext(&volume.unwrap_or_else(|error| panic!("{path}: {error}")));
        assert_eq!(
            plaintext.len(),
            usize::try_from(entry["payload_bytes"].as_integer().unwrap()).unwrap(),
            "{path}"
        );
        assert_eq!(
            sha256(&plaintext),
            entry["payload_sha256"].as_str().unwrap(),
            "{path}"
        );
    }
    assert!(matches!(
        luks.unlock(&passphrase(b"wrong"), &UnlockOptions::default()),
        Err(Error::NoKeyFits { .. })
    ));
    assert!(
        storage.snapshot() == bytes,
        "{path} was changed by reading it"
    );
}

#[test]
fn priorities_rule_the_order_and_ignored_or_unbound_keyslots_are_not_tried_unasked() {
    let (_, luks) = open(read("luks2/objects.img.xz")).unwrap();
    let unasked = |secret: &[u8]| luks.unlock(&passphrase(secret), &UnlockOptions::default());
    assert_eq!(unasked(b"golden").unwrap().keyslot(), Some(0));
    assert_eq!(unasked(b"preferred").unwrap().keyslot(), Some(4));
    for secret in [b"ignored unless asked for".as_slice(), b"unbound"] {
        match unasked(secret) {
            Err(Error::NoKeyFits { tried }) => assert_eq!(tried, [4, 0], "preferred first"),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("opened unasked"),
        }
    }
    let named = |keyslot| {
        luks.unlock(
            &passphrase(b"golden"),
            &UnlockOptions {
                keyslot: Some(keyslot),
                ..UnlockOptions::default()
            },
        )
    };
    assert!(matches!(
        named(3).err(),
        Some(Error::InvalidOption(InvalidOption::KeyslotInactive {
            keyslot: 3
        }))
    ));
    assert!(matches!(
        named(32).err(),
        Some(Error::InvalidOption(InvalidOption::KeyslotNumber { .. }))
    ));
}

/// The preferred keyslot has a cipher that takes no key of its size, or asks for less memory than Argon2 needs: that
/// shows only when it is used.
#[test]
fn a_keyslot_that_cannot_be_used_does_not_keep_the_others_from_opening() {
    for (from, to) in [
        ("aes-cbc-essiv:sha256", "aes-xts-plain64"),
        ("\"memory\":32", "\"memory\":7"),
    ] {
        let mut image = read("luks2/objects.img.xz");
        for copy in [0, 0x4000] {
            let area = &mut image[copy + 4096..copy + 0x4000];
            let end = area.iter().position(|byte| *byte == 0).unwrap();
            let text = String::from_utf8(area[..end].to_vec()).unwrap();
            let (before, keyslot) = text.split_at(text.find("\"4\":{").unwrap());
            let text = format!("{before}{}", keyslot.replacen(from, to, 1));
            area.fill(0);
            area[..text.len()].copy_from_slice(text.as_bytes());
            crate::copies::fix_checksum(&mut image, copy, 0x4000);
        }
        let (_, luks) = open(image).unwrap();
        let unlock = |secret: &[u8], keyslot| {
            let options = UnlockOptions {
                keyslot,
                ..UnlockOptions::default()
            };
            luks.unlock(&passphrase(secret), &options)
        };
        assert_eq!(unlock(b"golden", None).unwrap().keyslot(), Some(0), "{to}");
        let error = unlock(b"preferred", None).err().unwrap();
        assert!(
            matches!(&error, Error::NoKeyFits { tried } if *tried == [0]),
            "{to}: {error}"
        );
        let error = unlock(b"preferred", Some(4)).err().unwrap();
        assert!(matches!(error, Error::Unsupported(_)), "{to}: {error}");
    }
}

#[test]
fn unknown_members_stay_in_the_metadata() {
    let (_, luks) = open(read("luks2/objects.img.xz")).unwrap();
    let Header::Luks2(header) = luks.header() else {
        panic!("a LUKS2 image")
    };
    assert_eq!(
        (
            header.binary.label.as_str(),
            header.binary.subsystem.as_str()
        ),
        ("golden label", "golden subsystem")
    );
    assert_eq!(header.metadata.config.flags, ["allow-discards"]);
    assert_eq!(
        header.metadata.raw()["tokens"]["7"]["note"],
        "unknown members stay"
    );
    assert_eq!(
        header
            .metadata
            .tokens
            .iter()
            .map(|token| token.id)
            .collect::<Vec<_>>(),
        [2, 7]
    );
    // cryptsetup writes compact JSON, so writing its metadata back gives its text.
    let image = read("luks2/objects.img.xz");
    assert!(image[4096..].starts_with(header.metadata.to_text().as_bytes()));
}

#[test]
fn a_lost_primary_is_replaced_by_the_secondary_in_memory_only() {
    let (_, luks) = open(read("luks2/secondary-only.img.xz")).unwrap();
    let warnings: Vec<_> = luks.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["the primary header is not used: damaged: no magic"]
    );
}

#[test]
fn a_truncated_container_is_told_from_a_wrong_passphrase() {
    let image = read("luks2/pbkdf2-xts-256-sector-2048.img.xz");
    let (_, luks) = open(image[..40 * 1024].to_vec()).unwrap();
    let error = luks
        .unlock(&passphrase(b"golden"), &UnlockOptions::default())
        .err()
        .unwrap();
    assert!(
        matches!(error, Error::Corrupt(Corrupt::Truncated { .. })),
        "{error}"
    );
    let error = open(image[..100].to_vec()).err().unwrap();
    assert!(matches!(error, Error::Corrupt(_)), "{error}");
    assert!(matches!(open(Vec::new()).err(), Some(Error::NotLuks)));
    assert!(matches!(open(vec![0; 1 << 20]).err(), Some(Error::NotLuks)));
}
