use std::collections::BTreeSet;
use std::sync::Arc;

use dmcrypt::HashAlgorithm;
use luks::error::Costly;
use luks::kdf::Excess;
use luks::{
    Error, FormatOptions, Header, KdfLimits, KdfParams, Luks, OsRandom, Unfinished, UnlockOptions,
    Version, format, keyslots,
};
use serde_json::{Value, json};
use volume::MemoryStorage;

use crate::common::{memory, open, passphrase, plaintext, test_vectors, unlock, unxz};
use crate::copies::good;
use crate::keyslots::{add, change, cheap, container, open as reopen};
use crate::tampering::{COPY, json_of, with_json};

/// CVE-2021-4122: metadata that says a reencryption was cut off. Nothing that no digest proves is read, nothing at all is
/// changed.
#[test]
fn a1_an_unfinished_reencryption_that_nothing_proves_is_not_opened() {
    let forged = |mode: &str, direction: &str| {
        let image = good();
        let mut json = json_of(&image, 0);
        json["config"]["requirements"] = json!({"mandatory": ["online-reencrypt-v2"]});
        // The keyslots area is full: the end of keyslot 0's area is filling.
        json["keyslots"]["0"]["area"]["size"] = "64000".into();
        json["keyslots"]["7"] = json!({
            "type": "reencrypt", "key_size": 1, "mode": mode, "direction": direction,
            "area": {"type": "none", "offset": "96768", "size": "512"},
        });
        for (id, flag) in [("1", "backup-previous"), ("2", "backup-final")] {
            json["segments"][id] = json["segments"]["0"].clone();
            json["segments"][id]["flags"] = json!([flag]);
        }
        json["digests"]["0"]["segments"] = json!(["0", "1", "2"]);
        with_json(&image, &[0, COPY], &json).unwrap()
    };
    let images = [
        unxz(&test_vectors().join("luks2/reencrypt-in-progress.img.xz")),
        forged("decrypt", "backward"),
        forged("encrypt", "forward"),
        forged("reencrypt", "forward"),
    ];
    let count = images.len();
    for image in images {
        let (storage, luks) = open(image.clone()).unwrap();
        let Header::Luks2(header) = luks.header() else {
            panic!("not LUKS2")
        };
        assert!(matches!(
            header.metadata.config.refuse_requirements(),
            Err(Error::NeedsRecovery { .. })
        ));
        let volume = unlock(&luks, b"golden").and_then(|it| it.volume(storage.clone()));
        let is_real = header.metadata.digests.len() == 2;
        match volume {
            Ok(volume) => {
                assert!(is_real);
                assert!(volume.write_at(0, &[0]).is_err());
            }
            Err(error) => assert!(
                !is_real && matches!(error, Error::Unfinished(Unfinished::NoDigest)),
                "{error}"
            ),
        }
        assert!(matches!(
            luks::Edit::begin(&luks).err(),
            Some(Error::NeedsRecovery { .. })
        ));
        assert!(storage.snapshot() == image);
    }
    println!("cases: unfinished reencryptions {count} passed, 0 failed");
}

/// Every pair of numbers of a header at every pair of boundaries: refused, or its areas lie where they may.
#[test]
fn a4_numbers_at_their_boundaries_in_pairs_neither_wrap_nor_panic() {
    const EDGES: [u64; 10] = [
        0,
        1,
        4095,
        4096,
        1 << 31,
        u32::MAX as u64,
        1 << 32,
        1 << 63,
        u64::MAX - 4095,
        u64::MAX,
    ];
    let image = good();
    let json = json_of(&image, 0);
    let mut places = Vec::new();
    numbers(&json, String::new(), &mut places);
    assert!(places.len() >= 12, "{places:?}");
    let options = UnlockOptions {
        limits: KdfLimits {
            pbkdf2_rounds: 1,
            argon2_kib: 1,
            ..KdfLimits::default()
        },
        ..UnlockOptions::default()
    };
    let (mut refused, mut accepted) = (0, 0);
    for (index, a) in places.iter().enumerate() {
        for b in &places[index + 1..] {
            for x in EDGES {
                for y in EDGES {
                    let mut json = json.clone();
                    for (place, value) in [(a, x), (b, y)] {
                        let place = json.pointer_mut(place).unwrap();
                        *place = if place.is_string() {
                            value.to_string().into()
                        } else {
                            value.into()
                        };
                    }
                    let Ok((_, luks)) = open(with_json(&image, &[0, COPY], &json).unwrap()) else {
                        refused += 1;
                        continue;
                    };
                    accepted += 1;
                    check_places(&luks);
                    assert!(luks.unlock(&passphrase(b"golden"), &options).is_err());
                }
            }
        }
    }
    println!(
        "cases: pairs of boundaries {} passed, 0 failed ({refused} refused, {accepted} sound)",
        refused + accepted
    );
}

/// JSON pointers of everything that is a number or reads as one.
fn numbers(value: &Value, pointer: String, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                numbers(member, format!("{pointer}/{name}"), found);
            }
        }
        Value::Number(_) => found.push(pointer),
        Value::String(text) if text.parse::<u64>().is_ok() => found.push(pointer),
        _ => {}
    }
}

/// In 128 bits, where nothing wraps.
fn check_places(luks: &Luks) {
    let Header::Luks2(header) = luks.header() else {
        panic!("not LUKS2")
    };
    let area = header.metadata.keyslots_area();
    for slot in &header.metadata.keyslots {
        let end = u128::from(slot.area.offset) + u128::from(slot.area.size);
        assert!(slot.area.offset >= area.start && end <= u128::from(area.end));
    }
    for segment in header.metadata.data_segments() {
        assert!(segment.offset == 0 || segment.offset >= area.end);
    }
}

/// Iterations are 32 bits without a sign, and what they cost is counted in more.
#[test]
fn a9_iterations_around_2_31_are_counted_and_do_not_wrap() {
    let limits = KdfLimits {
        pbkdf2_rounds: 1,
        ..KdfLimits::default()
    };
    for iterations in [(1 << 31) - 1, 1 << 31, (1 << 31) + 1, u32::MAX] {
        let kdf = KdfParams::Pbkdf2 {
            hash: HashAlgorithm::Sha256,
            iterations,
        };
        let times = u64::from(iterations) * 2;
        assert_eq!(limits.check(&kdf, 64), Err(Excess::Work { times }));
    }
}

/// 32 keyslots of nine tenths of the limit each: the sum ends it, and what was not tried is named.
#[test]
fn b2_32_keyslots_below_the_limit_are_held_to_the_sum() {
    let options = FormatOptions {
        kdf: KdfParams::Pbkdf2 {
            hash: HashAlgorithm::Sha256,
            iterations: 1000,
        },
        digest_iterations: 1000,
        ..FormatOptions::default()
    };
    let storage = Arc::new(MemoryStorage::new(20 << 20));
    let new = format::prepare(&options, &passphrase(b"one"), None, &mut OsRandom, &|| {
        false
    });
    let new = new.unwrap();
    new.write_areas(&*storage, &mut OsRandom).unwrap();
    new.commit(&*storage).unwrap();
    let image = storage.snapshot();
    let mut json = json_of(&image, 0);
    let first = json["keyslots"]["0"].clone();
    for id in 1..32_u64 {
        let mut slot = first.clone();
        slot["area"]["offset"] = (32768 + 258_048 * id).to_string().into();
        json["keyslots"][id.to_string()] = slot;
    }
    json["digests"]["0"]["keyslots"] = (0..32).map(|id| id.to_string()).collect();
    let (_, luks) = open(with_json(&image, &[0, COPY], &json).unwrap()).unwrap();
    // A keyslot of 64 bytes is two blocks of 1000 rounds, its digest one.
    let options = UnlockOptions {
        limits: KdfLimits {
            pbkdf2_rounds: 2222,
            slots_total: 10,
            ..KdfLimits::default()
        },
        ..UnlockOptions::default()
    };
    let error = luks.unlock(&passphrase(b"wrong"), &options).err().unwrap();
    let Error::TooCostly { refused } = error else {
        panic!("{error}")
    };
    let untried: Vec<_> = (7..32)
        .map(|id| (Costly::Keyslot(id), Excess::Total { slots: 10 }))
        .collect();
    assert_eq!(refused, untried);
}

/// What a removed or changed passphrase opened is gone: no 16 bytes of its key material are anywhere.
#[test]
fn c4_nothing_of_a_removed_keyslot_survives() {
    for version in [Version::Luks1, Version::Luks2] {
        let disk = container(version);
        let empty = disk.snapshot();
        add(&disk, "leaves", &cheap()).unwrap();
        let blocks = |image: &[u8]| -> BTreeSet<[u8; 16]> {
            let blocks = image.chunks_exact(16);
            blocks.map(|block| block.try_into().unwrap()).collect()
        };
        let before = disk.snapshot();
        let areas = if version == Version::Luks1 {
            0x1000
        } else {
            2 * COPY
        };
        let material: BTreeSet<_> = blocks(&before[areas..])
            .difference(&blocks(&empty))
            .copied()
            .collect();
        // 4000 stripes of a key of 16 bytes.
        assert_eq!(material.len(), 4000, "{version:?}");
        for remove in [true, false] {
            let disk = Arc::new(MemoryStorage::from_vec(before.clone()));
            if remove {
                keyslots::remove(&reopen(&disk), 1, false, &mut OsRandom).unwrap();
            } else {
                change(&disk, ["leaves", "stays"], &cheap()).unwrap();
            }
            let left = blocks(&disk.snapshot());
            assert_eq!(left.intersection(&material).count(), 0, "{version:?}");
        }
    }
}

/// XTS has no integrity: a byte of ciphertext garbles its block of 16 bytes, and nobody notices.
#[test]
fn d1_a_changed_byte_of_ciphertext_garbles_one_block_and_is_not_noticed() {
    let image = unxz(&test_vectors().join("luks1/xts-256-sha1.img.xz"));
    let (storage, luks) = open(image.clone()).unwrap();
    let Header::Luks1(header) = luks.header() else {
        panic!("not LUKS1")
    };
    let data = usize::try_from(header.data_offset()).unwrap();
    let unlocked = unlock(&luks, b"golden").unwrap();
    let before = plaintext(&unlocked.volume(storage).unwrap());
    for at in [0, 5, 16, 511, 512] {
        let mut changed = image.clone();
        changed[data + at] ^= 1;
        let after = plaintext(&unlocked.volume(memory(changed)).unwrap());
        let blocks: BTreeSet<_> = (0..before.len())
            .filter(|index| before[*index] != after[*index])
            .map(|index| index / 16)
            .collect();
        assert_eq!(blocks, BTreeSet::from([at / 16]));
    }
}
