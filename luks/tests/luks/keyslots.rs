use std::sync::Arc;

use dmcrypt::{HashAlgorithm, VolumeKey};
use luks::format::{self, Version};
use luks::kdf::Argon2Variant;
use luks::keyslots::{self, UnboundKey};
use luks::luks2::{KeyslotKind, Priority};
use luks::{
    Error, FormatOptions, Header, InvalidOption, KdfLimits, KdfParams, KeyslotOptions, Luks,
    OsRandom, Random, RandomError, UnlockOptions, Unsupported,
};
use volume::MemoryStorage;
use zeroize::Zeroizing;

use crate::common::{passphrase, unlock};
use crate::crash::small;

pub const COPY: usize = 0x4000;

pub fn container(version: Version) -> Arc<MemoryStorage> {
    let options = FormatOptions {
        data_offset: Some(0x9_0000),
        ..small(version)
    };
    let disk = Arc::new(MemoryStorage::new(1 << 20));
    let old = passphrase(b"old");
    let new = format::prepare(&options, &old, None, &mut OsRandom, &|| false).unwrap();
    new.write_areas(&*disk, &mut OsRandom).unwrap();
    new.commit(&*disk).unwrap();
    disk
}

pub fn cheap() -> KeyslotOptions<'static> {
    KeyslotOptions {
        kdf: small(Version::Luks2).kdf,
        ..KeyslotOptions::default()
    }
}

pub fn open(disk: &Arc<MemoryStorage>) -> Luks {
    Luks::open(disk.clone()).unwrap()
}

pub fn add(
    disk: &Arc<MemoryStorage>,
    secret: &str,
    options: &KeyslotOptions<'_>,
) -> Result<u32, Error> {
    let luks = open(disk);
    let unlocked = unlock(&luks, b"old")?;
    let secret = passphrase(secret.as_bytes());
    keyslots::add(&luks, &unlocked, &secret, options, &mut OsRandom)
}

pub fn change(
    disk: &Arc<MemoryStorage>,
    secrets: [&str; 2],
    options: &KeyslotOptions<'_>,
) -> Result<u32, Error> {
    let luks = open(disk);
    let [old, new] = secrets.map(|secret| passphrase(secret.as_bytes()));
    let unlocked = luks.unlock(&old, &UnlockOptions::default())?;
    let keyslot = unlocked.keyslot().unwrap();
    keyslots::change(&luks, &unlocked, keyslot, &new, options, &mut OsRandom)
}

/// The keyslot that a passphrase opens.
pub fn opens(disk: &Arc<MemoryStorage>, secret: &str) -> Option<u32> {
    unlock(&open(disk), secret.as_bytes())
        .ok()
        .and_then(|unlocked| unlocked.keyslot())
}

pub fn metadata(disk: &Arc<MemoryStorage>) -> luks::luks2::Metadata {
    match open(disk).header() {
        Header::Luks2(header) => header.metadata.clone(),
        Header::Luks1(_) => panic!("a LUKS2 container"),
    }
}

fn epoch(disk: &Arc<MemoryStorage>) -> u64 {
    match open(disk).header() {
        Header::Luks2(header) => header.binary.epoch,
        Header::Luks1(_) => 0,
    }
}

#[test]
fn a_passphrase_comes_changes_and_goes() {
    for version in [Version::Luks1, Version::Luks2] {
        let disk = container(version);
        let key = unlock(&open(&disk), b"old").unwrap();
        assert_eq!(add(&disk, "other", &cheap()).unwrap(), 1);
        let options = KeyslotOptions {
            keyslot: Some(5),
            ..cheap()
        };
        assert_eq!(add(&disk, "third", &options).unwrap(), 5);
        let changed = change(&disk, ["other", "new"], &cheap()).unwrap();
        let expected = if version == Version::Luks2 { 1 } else { 2 };
        assert_eq!(changed, expected, "LUKS2 keeps the number");
        keyslots::remove(&open(&disk), 0, false, &mut OsRandom).unwrap();
        for (secret, keyslot) in [
            ("old", None),
            ("other", None),
            ("third", Some(5)),
            ("new", Some(expected)),
        ] {
            assert_eq!(opens(&disk, secret), keyslot, "{secret} {version:?}");
        }
        let now = unlock(&open(&disk), b"new").unwrap();
        assert!(now.volume_key().ct_eq(key.volume_key()));
        if version == Version::Luks2 {
            assert_eq!(epoch(&disk), 1 + 1 + 1 + 2 + 1);
        }
    }
}

/// Of LUKS1 only the keyslot's bytes in the header and its area change, of LUKS2 both copies and areas.
#[test]
fn nothing_else_changes() {
    for version in [Version::Luks1, Version::Luks2] {
        let disk = container(version);
        let before = disk.snapshot();
        add(&disk, "new", &cheap()).unwrap();
        let (added, length) = (disk.snapshot(), 16 * 4000);
        keyslots::remove(&open(&disk), 1, false, &mut OsRandom).unwrap();
        let removed = disk.snapshot();
        let (header, area) = match version {
            Version::Luks1 => (208 + 48..208 + 96, 4096 + 0x1_0000),
            Version::Luks2 => (0..2 * COPY, 2 * COPY + 0x1_0000),
        };
        // The rest of a LUKS2 area is wiped too.
        let end = area
            + if version == Version::Luks2 {
                0x1_0000
            } else {
                length
            };
        for (one, other) in [(&before, &added), (&added, &removed)] {
            for (at, (one, other)) in one.iter().zip(other).enumerate() {
                assert!(
                    one == other || header.contains(&at) || (area..end).contains(&at),
                    "{version:?}: byte {at:#x}"
                );
            }
        }
        assert_ne!(added[area..area + length], removed[area..area + length]);
        if version == Version::Luks1 {
            assert_eq!(before[..4096], removed[..4096], "the keyslot is as it was");
        } else {
            assert_eq!(before[104..168], removed[104..168], "the salt is kept");
        }
    }
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_written() {
    let argon2 = KdfParams::Argon2 {
        variant: Argon2Variant::Id,
        time: 4,
        memory_kib: 32,
        lanes: 1,
    };
    for version in [Version::Luks1, Version::Luks2] {
        let disk = container(version);
        let before = disk.snapshot();
        let refused = |options: &KeyslotOptions<'_>| match add(&disk, "new", options) {
            Err(Error::InvalidOption(problem)) => problem,
            other => panic!("{version:?}: {other:?}"),
        };
        let number = |keyslot| KeyslotOptions {
            keyslot: Some(keyslot),
            ..cheap()
        };
        assert_eq!(
            refused(&number(0)),
            InvalidOption::KeyslotInUse { keyslot: 0 }
        );
        let beyond = if version == Version::Luks1 { 8 } else { 32 };
        assert!(matches!(
            refused(&number(beyond)),
            InvalidOption::KeyslotNumber { .. }
        ));
        let weak = KdfParams::Pbkdf2 {
            hash: HashAlgorithm::Sha256,
            iterations: 999,
        };
        let weak = KeyslotOptions {
            kdf: weak,
            ..cheap()
        };
        assert!(matches!(refused(&weak), InvalidOption::KdfCost { .. }));
        let null = KeyslotOptions {
            cipher: Some(("cipher_null-ecb".parse().unwrap(), 16)),
            ..cheap()
        };
        let null = refused(&null);
        if version == Version::Luks2 {
            assert_eq!(null, InvalidOption::NullCipher);
        } else {
            for options in [
                KeyslotOptions {
                    kdf: argon2.clone(),
                    ..cheap()
                },
                KeyslotOptions {
                    priority: Priority::Prefer,
                    ..cheap()
                },
                KeyslotOptions {
                    cipher: Some(("aes-cbc-plain64".parse().unwrap(), 16)),
                    ..cheap()
                },
            ] {
                assert!(matches!(
                    refused(&options),
                    InvalidOption::Luks1Cannot { .. }
                ));
            }
        }
        let luks = open(&disk);
        assert!(matches!(
            keyslots::remove(&luks, 0, false, &mut OsRandom),
            Err(Error::LastKeyslot { keyslot: 0 })
        ));
        assert!(matches!(
            keyslots::remove(&luks, 3, true, &mut OsRandom),
            Err(Error::InvalidOption(InvalidOption::KeyslotInactive {
                keyslot: 3
            }))
        ));
        assert!(disk.snapshot() == before, "{version:?}");
        keyslots::remove(&luks, 0, true, &mut OsRandom).unwrap();
        assert_eq!(opens(&disk, "old"), None);
    }
}

#[test]
fn all_keyslots_can_be_used_and_then_none_is_free() {
    for version in [Version::Luks1, Version::Luks2] {
        let disk = container(version);
        for number in 1..8 {
            assert_eq!(add(&disk, &format!("{number}"), &cheap()).unwrap(), number);
        }
        let full = add(&disk, "more", &cheap());
        let full_too = change(&disk, ["1", "more"], &cheap());
        for problem in [full, full_too] {
            match problem {
                Err(Error::InvalidOption(InvalidOption::NoFreeKeyslot { count: 8 }))
                    if version == Version::Luks1 => {}
                Err(Error::InvalidOption(InvalidOption::NoRoomForKeyslot { .. }))
                    if version == Version::Luks2 => {}
                other => panic!("{other:?}"),
            }
        }
        // A gap in the middle is found again.
        keyslots::remove(&open(&disk), 3, false, &mut OsRandom).unwrap();
        assert_eq!(add(&disk, "again", &cheap()).unwrap(), 3);
        assert_eq!(opens(&disk, "6"), Some(6));
    }
}

#[test]
fn a_key_derivation_and_a_cipher_of_its_own() {
    let disk = container(Version::Luks2);
    let argon2 = KdfParams::Argon2 {
        variant: Argon2Variant::Id,
        time: 4,
        memory_kib: 64,
        lanes: 2,
    };
    let options = KeyslotOptions {
        kdf: argon2.clone(),
        hash: HashAlgorithm::Sha512,
        cipher: Some(("aes-xts-plain64".parse().unwrap(), 64)),
        priority: Priority::Prefer,
        ..cheap()
    };
    assert_eq!(add(&disk, "new", &options).unwrap(), 1);
    let check = |kdf: &KdfParams, hash, cipher: &str, key_bytes| {
        let metadata = metadata(&disk);
        let slot = metadata.keyslot(1).unwrap();
        assert_eq!(slot.priority, Priority::Prefer);
        let KeyslotKind::Luks2(slot) = &slot.kind else {
            panic!("a passphrase's keyslot")
        };
        assert_eq!(slot.kdf.as_ref(), Ok(kdf));
        assert_eq!(slot.af_hash, Ok(hash));
        assert_eq!(slot.cipher.text, cipher);
        assert_eq!(slot.cipher.key_bytes, key_bytes);
    };
    check(&argon2, HashAlgorithm::Sha512, "aes-xts-plain64", 64);
    // The same passphrase under another key derivation: cipher and priority stay.
    change(&disk, ["new", "new"], &cheap()).unwrap();
    check(&cheap().kdf, HashAlgorithm::Sha256, "aes-xts-plain64", 64);
    assert_eq!(opens(&disk, "new"), Some(1));
    assert_eq!(opens(&disk, "old"), Some(0));
}

#[test]
fn an_unbound_key_is_stored_changed_and_removed() {
    let disk = container(Version::Luks2);
    let key = VolumeKey::from_bytes(Zeroizing::new(vec![7; 24]));
    let unbound = UnboundKey {
        key: &key,
        digest_iterations: 1000,
    };
    let luks = open(&disk);
    let secret = passphrase(b"unbound");
    let slot = keyslots::add_unbound(&luks, &unbound, &secret, &cheap(), &mut OsRandom).unwrap();
    assert_eq!(opens(&disk, "unbound"), None, "not tried unasked");
    let named = UnlockOptions {
        keyslot: Some(slot),
        ..UnlockOptions::default()
    };
    let luks = open(&disk);
    let unlocked = luks.unlock(&secret, &named).unwrap();
    assert!(unlocked.volume_key().ct_eq(&key));
    assert!(matches!(
        keyslots::add(&luks, &unlocked, &secret, &cheap(), &mut OsRandom),
        Err(Error::Unsupported(Unsupported::Unbound { keyslot: 1 }))
    ));
    assert!(!keyslots::is_last(luks.header(), slot));
    assert!(keyslots::is_last(luks.header(), 0), "it opens no data");

    let other = passphrase(b"changed");
    keyslots::change(&luks, &unlocked, slot, &other, &cheap(), &mut OsRandom).unwrap();
    let luks = open(&disk);
    assert!(
        luks.unlock(&other, &named)
            .unwrap()
            .volume_key()
            .ct_eq(&key)
    );
    keyslots::remove(&luks, slot, false, &mut OsRandom).unwrap();
    assert_eq!(metadata(&disk).digests.len(), 1, "its digest went with it");

    let disk = container(Version::Luks1);
    assert!(matches!(
        keyslots::add_unbound(&open(&disk), &unbound, &secret, &cheap(), &mut OsRandom),
        Err(Error::InvalidOption(InvalidOption::Luks1Cannot { .. }))
    ));
}

/// The key of one keyslot is not written into another's place.
#[test]
fn a_key_that_is_not_the_keyslots_is_not_proven() {
    let disk = container(Version::Luks2);
    let key = VolumeKey::from_bytes(Zeroizing::new(vec![7; 16]));
    let unbound = UnboundKey {
        key: &key,
        digest_iterations: 1000,
    };
    let secret = passphrase(b"unbound");
    keyslots::add_unbound(&open(&disk), &unbound, &secret, &cheap(), &mut OsRandom).unwrap();
    let luks = open(&disk);
    let unlocked = unlock(&luks, b"old").unwrap();
    assert!(matches!(
        keyslots::change(&luks, &unlocked, 1, &secret, &cheap(), &mut OsRandom),
        Err(Error::NotProven { .. })
    ));
    assert_eq!(metadata(&disk).keyslots.len(), 2);
    assert_eq!(opens(&disk, "old"), Some(0));
}

/// A source that runs dry at each of its uses: an error, and the old passphrase opens.
#[test]
fn a_failing_random_source_ends_the_work() {
    struct Dry(usize);
    impl Random for Dry {
        fn fill(&mut self, buf: &mut [u8]) -> Result<(), RandomError> {
            self.0 = self.0.checked_sub(1).ok_or(RandomError(5))?;
            OsRandom.fill(buf)
        }
    }
    for version in [Version::Luks1, Version::Luks2] {
        let mut failed = 0;
        for uses in 0.. {
            let disk = container(version);
            let luks = open(&disk);
            let unlocked = unlock(&luks, b"old").unwrap();
            let secret = passphrase(b"new");
            let outcome = keyslots::change(&luks, &unlocked, 0, &secret, &cheap(), &mut Dry(uses));
            assert!(opens(&disk, "old").is_some() || opens(&disk, "new").is_some());
            match outcome {
                Ok(_) => break,
                Err(error) => assert!(matches!(error, Error::Random(_)), "{error}"),
            }
            failed += 1;
        }
        assert!(failed >= 3, "{failed}");
    }
}

#[test]
fn any_other_passphrase_shows_that_there_is_a_way_left() {
    for version in [Version::Luks1, Version::Luks2] {
        let disk = container(version);
        let options = UnlockOptions::default();
        let old = passphrase(b"old");
        assert!(matches!(
            keyslots::unlock_other(&open(&disk), 0, &old, &options),
            Err(Error::NoUsableKeyslot(_))
        ));
        add(&disk, "new", &cheap()).unwrap();
        let luks = open(&disk);
        assert!(matches!(
            keyslots::unlock_other(&luks, 0, &old, &options),
            Err(Error::NoKeyFits { .. })
        ));
        let other = keyslots::unlock_other(&luks, 1, &old, &options).unwrap();
        assert_eq!(other.keyslot(), Some(0));
    }
}

/// The limits hold over all the other keyslots, and one that is too costly leaves the rest to be tried.
#[test]
fn unlocking_another_keyslot_keeps_the_limits() {
    for version in [Version::Luks1, Version::Luks2] {
        let disk = container(version);
        let iterations = |iterations| KeyslotOptions {
            kdf: KdfParams::Pbkdf2 {
                hash: HashAlgorithm::Sha256,
                iterations,
            },
            ..cheap()
        };
        add(&disk, "costly", &iterations(5000)).unwrap();
        add(&disk, "cheap", &iterations(1000)).unwrap();
        let luks = open(&disk);
        let with = |slots_total| UnlockOptions {
            limits: KdfLimits {
                pbkdf2_rounds: 2000,
                slots_total,
                ..KdfLimits::default()
            },
            ..UnlockOptions::default()
        };
        let other = |secret: &[u8], slots_total| {
            keyslots::unlock_other(&luks, 0, &passphrase(secret), &with(slots_total))
        };
        assert_eq!(other(b"cheap", 1).unwrap().keyslot(), Some(2));
        assert!(matches!(
            other(b"costly", 1).err(),
            Some(Error::TooCostly { refused }) if refused.len() == 1
        ));
        // Three cheap ones, and a sum that ends after two of them.
        add(&disk, "more", &iterations(1000)).unwrap();
        add(&disk, "most", &iterations(1000)).unwrap();
        let luks = open(&disk);
        let refused = keyslots::unlock_other(&luks, 0, &passphrase(b"most"), &with(2)).err();
        assert!(
            matches!(refused, Some(Error::TooCostly { refused }) if refused.len() == 2),
            "the costly one, and the one beyond the sum"
        );
    }
}
