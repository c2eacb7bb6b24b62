use std::sync::Arc;

use dmcrypt::{HashAlgorithm, SectorSize, VolumeKey};
use luks::format::{self, Version};
use luks::{
    Error, FormatOptions, InvalidOption, KdfParams, KeyslotOptions, Layout, Luks, OsRandom, Random,
    RandomError, UnlockOptions, keyslots,
};
use volume::{MemoryStorage, Storage};
use zeroize::Zeroizing;

use crate::common::{passphrase, unlock};
use crate::crash::small;

fn luks1() -> FormatOptions {
    FormatOptions {
        version: Version::Luks1,
        kdf: KdfParams::Pbkdf2 {
            hash: HashAlgorithm::Sha256,
            iterations: 1000,
        },
        ..FormatOptions::default()
    }
}

/// What `cryptsetup luksFormat` 2.6.1 does with the same options.
#[test]
fn places_are_those_of_cryptsetup() {
    let places = |options: &FormatOptions| {
        let layout = Layout::new(options).unwrap();
        (
            layout.keyslots_bytes,
            layout.area_offset,
            layout.area_bytes,
            layout.data_offset,
            layout.reserved_bytes,
        )
    };
    let luks2 = FormatOptions::default();
    assert_eq!(
        places(&luks2),
        (16_744_448, 32_768, 258_048, 16_777_216, 16_777_216)
    );
    let metadata = |metadata_bytes| FormatOptions {
        metadata_bytes,
        ..luks2.clone()
    };
    assert_eq!(places(&metadata(1 << 16)).0, 16_646_144);
    assert_eq!(places(&metadata(1 << 20)).0, 14_680_064);
    assert_eq!(
        places(&metadata(1 << 22)),
        (8_388_608, 8_388_608, 258_048, 16_777_216, 16_777_216)
    );
    let detached = FormatOptions {
        detached: true,
        ..luks2.clone()
    };
    assert_eq!(
        places(&detached),
        (16_744_448, 32_768, 258_048, 0, 16_777_216)
    );
    let keyslots = FormatOptions {
        keyslots_bytes: Some(512 << 10),
        ..luks2.clone()
    };
    assert_eq!(
        places(&keyslots),
        (524_288, 32_768, 258_048, 1_048_576, 1_048_576)
    );
    let offset = FormatOptions {
        data_offset: Some(2 << 20),
        ..luks2.clone()
    };
    assert_eq!(
        places(&offset),
        (2_064_384, 32_768, 258_048, 2_097_152, 2_097_152)
    );
    let both = FormatOptions {
        data_offset: Some(2 << 20),
        keyslots_bytes: Some(512 << 10),
        ..luks2
    };
    assert_eq!(
        places(&both),
        (524_288, 32_768, 258_048, 2_097_152, 2_097_152)
    );

    let key = |key_bytes| FormatOptions {
        key_bytes,
        ..luks1()
    };
    assert_eq!(
        places(&key(32)),
        (8 * 131_072, 4096, 131_072, 2 << 20, 2 << 20)
    );
    assert_eq!(
        places(&key(64)),
        (8 * 258_048, 4096, 258_048, 2 << 20, 2 << 20)
    );
    let cbc = FormatOptions {
        cipher: "aes-cbc-essiv:sha256".parse().unwrap(),
        ..key(16)
    };
    assert_eq!(places(&cbc).3, 1 << 20);
    let detached = FormatOptions {
        detached: true,
        keyslot: 7,
        ..key(32)
    };
    assert_eq!(
        places(&detached),
        (8 * 131_072, 4096 + 7 * 131_072, 131_072, 0, 1_052_672)
    );
}

#[test]
fn options_that_cannot_be_are_named() {
    let refused = |options: FormatOptions| Layout::new(&options).unwrap_err();
    let luks2 = FormatOptions::default;
    assert!(matches!(
        refused(FormatOptions {
            key_bytes: 33,
            ..luks2()
        }),
        InvalidOption::Cipher(_)
    ));
    assert!(matches!(
        refused(FormatOptions {
            cipher: "aes-lrw-benbi".parse().unwrap(),
            ..luks2()
        }),
        InvalidOption::Cipher(_)
    ));
    assert!(matches!(
        refused(FormatOptions {
            cipher: "cipher_null-ecb".parse().unwrap(),
            ..luks2()
        }),
        InvalidOption::NullCipher
    ));
    for key_bytes in [0, 65] {
        let options = FormatOptions {
            cipher: "cipher_null-ecb".parse().unwrap(),
            null_cipher: true,
            key_bytes,
            ..luks2()
        };
        assert_eq!(
            refused(options),
            InvalidOption::NullKeySize { bytes: key_bytes }
        );
    }
    assert!(matches!(
        refused(FormatOptions {
            metadata_bytes: 12 << 10,
            ..luks2()
        }),
        InvalidOption::MetadataSize(_)
    ));
    for bytes in [0, 4095, (128 << 20) + 4096] {
        let options = FormatOptions {
            keyslots_bytes: Some(bytes),
            ..luks2()
        };
        assert_eq!(refused(options), InvalidOption::KeyslotsSize(bytes));
    }
    let small_area = FormatOptions {
        keyslots_bytes: Some(32 << 10),
        ..luks2()
    };
    assert_eq!(
        refused(small_area),
        InvalidOption::NoRoomForKeyslot {
            have: 32 << 10,
            need: 258_048
        }
    );
    for version in [luks2(), luks1()] {
        let at = |data_offset| FormatOptions {
            data_offset: Some(data_offset),
            ..version.clone()
        };
        assert_eq!(
            refused(at(4097 * 512)),
            InvalidOption::DataOffsetAlignment(4097 * 512)
        );
        assert!(matches!(
            refused(at(16384)),
            InvalidOption::DataOffsetInHeader { .. } | InvalidOption::NoRoomForKeyslot { .. }
        ));
    }
    let far = FormatOptions {
        data_offset: Some(1 << 42),
        ..luks1()
    };
    assert_eq!(refused(far), InvalidOption::DataOffsetTooLarge(1 << 42));
    assert!(matches!(
        refused(FormatOptions {
            uuid: Some("x".into()),
            ..luks2()
        }),
        InvalidOption::Uuid(_)
    ));
    assert!(matches!(
        refused(FormatOptions {
            label: "x".repeat(48),
            ..luks2()
        }),
        InvalidOption::TextTooLong { .. }
    ));
    assert!(matches!(
        refused(FormatOptions {
            subsystem: "\0".into(),
            ..luks2()
        }),
        InvalidOption::TextNul { .. }
    ));
    assert!(matches!(
        refused(FormatOptions {
            keyslot: 32,
            ..luks2()
        }),
        InvalidOption::KeyslotNumber { .. }
    ));
    let weak = KdfParams::Pbkdf2 {
        hash: HashAlgorithm::Sha256,
        iterations: 999,
    };
    assert!(matches!(
        refused(FormatOptions {
            kdf: weak,
            ..luks2()
        }),
        InvalidOption::KdfCost { .. }
    ));
    assert!(matches!(
        refused(FormatOptions {
            digest_iterations: 999,
            ..luks2()
        }),
        InvalidOption::KdfCost { .. }
    ));

    let cannot = |options| matches!(refused(options), InvalidOption::Luks1Cannot { .. });
    assert!(cannot(FormatOptions {
        label: "x".into(),
        ..luks1()
    }));
    assert!(cannot(FormatOptions {
        sector_size: SectorSize::B4096,
        ..luks1()
    }));
    assert!(cannot(FormatOptions {
        kdf: luks2().kdf,
        ..luks1()
    }));
    assert!(cannot(FormatOptions {
        hash: HashAlgorithm::Sha512,
        ..luks1()
    }));
    assert!(matches!(
        refused(FormatOptions {
            keyslot: 8,
            ..luks1()
        }),
        InvalidOption::KeyslotNumber { .. }
    ));
}

/// The same bytes each time.
struct Counting(u8);

impl Random for Counting {
    fn fill(&mut self, buf: &mut [u8]) -> Result<(), RandomError> {
        for byte in buf {
            self.0 = self.0.wrapping_mul(5).wrapping_add(1);
            *byte = self.0;
        }
        Ok(())
    }
}

#[test]
fn a_stream_gets_what_an_empty_storage_gets() {
    for version in [Version::Luks1, Version::Luks2] {
        for (keyslot, data_offset) in [(0, None), (3, Some(3 << 20)), (7, Some((1 << 20) + 4096))] {
            let options = FormatOptions {
                keyslot,
                data_offset,
                ..small(version)
            };
            let secret = passphrase(b"x");
            let new = format::prepare(&options, &secret, None, &mut OsRandom, &|| false).unwrap();
            let disk = MemoryStorage::new(0);
            new.write_areas(&disk, &mut Counting(9)).unwrap();
            let mut stream = Vec::new();
            new.write_in_order(&mut stream, &mut Counting(9)).unwrap();
            new.commit(&disk).unwrap();
            assert!(stream == disk.snapshot(), "{version:?}, {data_offset:?}");
        }
    }
}

/// Gives so many answers and then fails.
struct FailingRandom(usize);

impl Random for FailingRandom {
    fn fill(&mut self, buf: &mut [u8]) -> Result<(), RandomError> {
        self.0 = self.0.checked_sub(1).ok_or(RandomError(5))?;
        OsRandom.fill(buf)
    }
}

#[test]
fn d6_a_failing_random_source_leaves_no_header() {
    for version in [Version::Luks1, Version::Luks2] {
        let mut failures = 0;
        for answers in 0.. {
            let disk = MemoryStorage::new(1 << 20);
            let mut random = FailingRandom(answers);
            let made = format::prepare(
                &small(version),
                &passphrase(b"x"),
                None,
                &mut random,
                &|| false,
            )
            .and_then(|new| new.write_areas(&disk, &mut random).map(|()| new))
            .and_then(|new| new.commit(&disk));
            let disk: Arc<dyn Storage> = Arc::new(disk);
            match made {
                Ok(()) => break,
                Err(error) => assert!(matches!(error, Error::Random(_)), "{error}"),
            }
            assert!(
                matches!(Luks::open(disk).err(), Some(Error::NotLuks)),
                "{version:?} after {answers} answers"
            );
            failures += 1;
        }
        assert!(failures >= 5, "{failures}");
    }
}

#[test]
fn a_given_volume_key_is_the_one_that_is_used() {
    let key = || VolumeKey::from_bytes(Zeroizing::new((0..16).collect()));
    for version in [Version::Luks1, Version::Luks2] {
        let disk: Arc<dyn Storage> = Arc::new(MemoryStorage::new(1 << 20));
        let options = FormatOptions {
            keyslot: 3,
            data_offset: Some(0x9_0000),
            ..small(version)
        };
        let new = format::prepare(
            &options,
            &passphrase(b"x"),
            Some(key()),
            &mut OsRandom,
            &|| false,
        )
        .unwrap();
        new.write_areas(&*disk, &mut OsRandom).unwrap();
        new.commit(&*disk).unwrap();
        let luks = Luks::open(disk).unwrap();
        let unlocked = unlock(&luks, b"x").unwrap();
        assert_eq!(unlocked.keyslot(), Some(3));
        assert!(unlocked.volume_key().ct_eq(&key()));
        assert!(
            luks.unlock_with_volume_key(key(), &UnlockOptions::default())
                .is_ok()
        );
        let short = VolumeKey::zeroed(15);
        assert!(matches!(
            luks.unlock_with_volume_key(short, &UnlockOptions::default())
                .err(),
            Some(Error::InvalidOption(InvalidOption::VolumeKeySize {
                have: 15,
                need: 16
            }))
        ));
        let other = VolumeKey::zeroed(16);
        assert!(matches!(
            luks.unlock_with_volume_key(other, &UnlockOptions::default()).err(),
            Some(Error::NoKeyFits { tried }) if tried.is_empty()
        ));
    }
    let of_equal_halves = |equal_xts_halves| {
        let options = FormatOptions {
            equal_xts_halves,
            kdf: small(Version::Luks2).kdf,
            ..FormatOptions::default()
        };
        let key = Some(VolumeKey::zeroed(64));
        format::prepare(&options, &passphrase(b"x"), key, &mut OsRandom, &|| false)
    };
    assert!(of_equal_halves(true).is_ok());
    assert!(matches!(
        of_equal_halves(false).err(),
        Some(Error::InvalidOption(InvalidOption::EqualXtsHalves))
    ));
}

/// Two containers under one passphrase share nothing: no salt, no key, no filler.
#[test]
fn d7_formatting_twice_gives_different_bytes() {
    let image = || {
        let disk = MemoryStorage::new(1 << 20);
        let new = format::prepare(
            &small(Version::Luks2),
            &passphrase(b"x"),
            None,
            &mut OsRandom,
            &|| false,
        )
        .unwrap();
        new.write_areas(&disk, &mut OsRandom).unwrap();
        new.commit(&disk).unwrap();
        disk.snapshot()
    };
    let (a, b) = (image(), image());
    let equal = |range: std::ops::Range<usize>| a[range.clone()] == b[range];
    assert!(!equal(0x8000..0x8200), "key material");
    assert!(!equal(168..208), "uuid");
    assert_ne!(
        a[104..168],
        a[0x4000 + 104..0x4000 + 168],
        "the copies' salts differ"
    );
    let random = &a[0x8000..0x1_8000];
    assert!(
        random
            .chunks(16)
            .all(|block| block.iter().any(|byte| *byte != 0)),
        "the keyslots area is filled"
    );
}

/// As cryptsetup under a kernel does: the keyslot of LUKS2 is encrypted all the same, that of LUKS1 cannot be.
#[test]
fn a_null_container_is_made_and_opened_only_by_who_asks_for_it() {
    for (version, secret) in [(Version::Luks2, "x"), (Version::Luks1, "")] {
        let disk: Arc<dyn Storage> = Arc::new(MemoryStorage::new(1 << 20));
        let options = FormatOptions {
            cipher: "cipher_null-ecb".parse().unwrap(),
            null_cipher: true,
            data_offset: Some(0x9_0000),
            ..small(version)
        };
        let prepare = |secret: &str| {
            let secret = passphrase(secret.as_bytes());
            format::prepare(&options, &secret, None, &mut OsRandom, &|| false)
        };
        let new = prepare(secret).unwrap();
        new.write_areas(&*disk, &mut OsRandom).unwrap();
        new.commit(&*disk).unwrap();
        let luks = Luks::open(disk).unwrap();
        let refused = unlock(&luks, secret.as_bytes()).err();
        assert!(matches!(refused, Some(Error::NullCipher { .. })));
        let allowed = UnlockOptions {
            null_cipher: true,
            ..UnlockOptions::default()
        };
        let secret = passphrase(secret.as_bytes());
        assert!(luks.unlock(&secret, &allowed).is_ok());
        // A keyslot of LUKS1 encrypts nothing either, and opens by no other passphrase all the same.
        let wrong = luks.unlock(&passphrase(b"wrong"), &allowed);
        assert!(matches!(wrong, Err(Error::NoKeyFits { .. })));
        if version == Version::Luks1 {
            let unlocked = luks.unlock(&secret, &allowed).unwrap();
            let add = |secret: &[u8]| {
                let options = KeyslotOptions {
                    kdf: options.kdf.clone(),
                    ..KeyslotOptions::default()
                };
                let secret = passphrase(secret);
                keyslots::add(&luks, &unlocked, &secret, &options, &mut OsRandom)
            };
            assert!(matches!(
                add(b"x"),
                Err(Error::InvalidOption(InvalidOption::NullPassphrase))
            ));
            assert_eq!(add(b"").unwrap(), 1);
            let refused = prepare("x").err();
            assert!(matches!(
                refused,
                Some(Error::InvalidOption(InvalidOption::NullPassphrase))
            ));
        }
    }
}
