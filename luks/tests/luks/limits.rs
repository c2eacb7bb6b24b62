use luks::error::Costly;
use luks::kdf::Excess;
use luks::{Error, KdfLimits, Luks, Spent, UnlockOptions};

use crate::common::{open, passphrase, test_vectors, unxz};
use crate::patches::json_patched;

/// Keyslots 0, 3 and 7 of 1000, 1234 and 2000 iterations of PBKDF2-SHA-256 for a 16-byte key; the digest has 1000.
fn three_keyslots() -> Luks {
    open(unxz(&test_vectors().join("luks1/three-keyslots.img.xz")))
        .unwrap()
        .1
}

fn refused(luks: &Luks, limits: KdfLimits) -> Vec<(Costly, Excess)> {
    let options = UnlockOptions {
        limits,
        ..UnlockOptions::default()
    };
    match luks.unlock(&passphrase(b"wrong"), &options) {
        Err(Error::TooCostly { refused }) => refused,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened by a wrong passphrase"),
    }
}

/// With a limit of 2000 rounds the three keyslots and their digest checks cost 1, 1.117 and 1.5 keyslots.
#[test]
fn keyslots_are_tried_until_the_sum_is_reached_and_the_rest_is_named() {
    let luks = three_keyslots();
    let with = |slots_total| KdfLimits {
        pbkdf2_rounds: 2000,
        slots_total,
        ..KdfLimits::default()
    };
    let options = UnlockOptions {
        limits: with(4),
        ..UnlockOptions::default()
    };
    let error = luks.unlock(&passphrase(b"wrong"), &options).err().unwrap();
    assert!(
        matches!(&error, Error::NoKeyFits { tried } if *tried == [0, 3, 7]),
        "{error}"
    );

    let left = |slots: &[u32], slots_total| -> Vec<_> {
        slots
            .iter()
            .map(|slot| (Costly::Keyslot(*slot), Excess::Total { slots: slots_total }))
            .collect()
    };
    assert_eq!(refused(&luks, with(3)), left(&[7], 3));
    assert_eq!(refused(&luks, with(2)), left(&[3, 7], 2));
    let options = UnlockOptions {
        limits: with(2),
        ..UnlockOptions::default()
    };
    let message = luks
        .unlock(&passphrase(b"wrong"), &options)
        .err()
        .unwrap()
        .to_string();
    for named in ["keyslot 3", "keyslot 7", "the sum"] {
        assert!(message.contains(named), "{message}");
    }
}

/// Several passphrases of one unlock share its limits; also where the larger limits are asked for meanwhile.
#[test]
fn passphrases_of_one_unlock_have_one_budget() {
    struct Larger(KdfLimits);
    impl luks::Measure for Larger {
        fn limits(&self) -> KdfLimits {
            self.0
        }
    }
    let luks = three_keyslots();
    let with = |pbkdf2_rounds, slots_total| KdfLimits {
        pbkdf2_rounds,
        slots_total,
        ..KdfLimits::default()
    };
    // 3.617 keyslots for each passphrase.
    for (slots_total, left) in [(8, &[][..]), (7, &[7]), (5, &[3, 7]), (4, &[0, 3, 7])] {
        let larger = Larger(with(2000, slots_total));
        for (limits, measure) in [
            (larger.0, None),
            (with(1000, 1), Some(&larger as &dyn luks::Measure)),
        ] {
            let spent = Spent::default();
            let options = UnlockOptions {
                limits,
                measure,
                spent: Some(&spent),
                ..UnlockOptions::default()
            };
            let first = luks.unlock(&passphrase(b"wrong"), &options).err().unwrap();
            assert!(matches!(first, Error::NoKeyFits { .. }), "{first}");
            let refused: Vec<_> = match luks.unlock(&passphrase(b"wronger"), &options).err() {
                Some(Error::TooCostly { refused }) => refused,
                Some(Error::NoKeyFits { .. }) => Vec::new(),
                other => panic!("{other:?}"),
            };
            let slots: Vec<_> = refused
                .iter()
                .map(|(what, why)| {
                    assert_eq!(*why, Excess::Total { slots: slots_total });
                    *what
                })
                .collect();
            let wanted: Vec<_> = left.iter().map(|slot| Costly::Keyslot(*slot)).collect();
            assert_eq!(slots, wanted, "{slots_total}");
        }
    }
}

#[test]
fn a_keyslot_beyond_the_limit_is_passed_over_and_the_others_are_tried() {
    let luks = three_keyslots();
    let limits = KdfLimits {
        pbkdf2_rounds: 500,
        ..KdfLimits::default()
    };
    let slots: Vec<_> = refused(&luks, limits)
        .into_iter()
        .map(|(what, _)| what)
        .collect();
    assert_eq!(slots, [0, 3, 7].map(Costly::Keyslot));

    // Slot 0 is made expensive: the passphrase of slot 3 still opens.
    let mut image = unxz(&test_vectors().join("luks1/three-keyslots.img.xz"));
    image[212..216].copy_from_slice(&u32::MAX.to_be_bytes());
    let (_, luks) = open(image).unwrap();
    let index = std::fs::read_to_string(test_vectors().join("index.toml")).unwrap();
    let index: toml::Table = index.parse().unwrap();
    let entry = index["file"]
        .as_array()
        .unwrap()
        .iter()
        .find(|file| file["path"].as_str() == Some("luks1/three-keyslots.img.xz"));
    let secret = entry.unwrap()["keyslots"][1]["passphrase"]
        .as_str()
        .unwrap()
        .to_owned();
    let unlocked = luks
        .unlock(&passphrase(secret.as_bytes()), &UnlockOptions::default())
        .unwrap();
    assert_eq!(unlocked.keyslot(), Some(3));
}

#[test]
fn the_digest_is_held_to_the_same_limits() {
    let luks = json_patched(
        "\"segments\":[\"0\"],\"hash\":\"sha256\",\"iterations\":1000",
        "\"segments\":[\"0\"],\"hash\":\"sha256\",\"iterations\":4294967295",
    )
    .unwrap();
    let options = UnlockOptions::default();
    let error = luks.unlock(&passphrase(b"golden"), &options).err().unwrap();
    assert!(
        matches!(&error, Error::TooCostly { refused } if matches!(refused[..], [(Costly::Digest(0), Excess::Work { .. })])),
        "{error}"
    );
    let key = dmcrypt::VolumeKey::zeroed(16);
    let error = luks.unlock_with_volume_key(key, &options).err().unwrap();
    assert!(matches!(error, Error::TooCostly { .. }), "{error}");
}
