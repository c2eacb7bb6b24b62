//! The passphrase of an older `OpenStack`: replaced, wherever the power goes.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;

use dmcrypt::LockedBytes;
use jobs::encrypt::{Format, encrypt};
use jobs::key::test::{TestOptions, test};
use jobs::key::unmangle::{UnmangleOptions, Unmangled, unmangle};
use jobs::new_keyslot::NewKeyslot;
use jobs::new_luks::{Cost, Kdf};
use jobs::secret::Passphrase;
use jobs::{Blame, Error, Place};
use luks::Version;
use volume::{SimulatedStorage, Storage};

use crate::{all_of, bytes, memory, place, quick, secret};

/// os-brick's own example.
const KEY: [u8; 4] = [0x07, 0x25, 0x23, 0x0b];
const MANGLED: &str = "72523b";
const RIGHT: &str = "0725230b";

/// The bytes of a container that `passphrase` opens.
fn made(version: Version, passphrase: &str) -> Vec<u8> {
    let storage = memory(Vec::new());
    let sealed = place("box", Arc::clone(&storage));
    let raw = place("raw", memory(bytes(4 << 10)));
    let key = secret(passphrase);
    let mut options = quick(version);
    if let Format::Luks(luks) = &mut options.format {
        // Each loss of power has an image of its own.
        luks.key_bits = Some(256);
        luks.offset_sectors = Some(0x10_8000 / 512);
        if version == Version::Luks2 {
            luks.metadata_bytes = Some(16 << 10);
            luks.keyslots_bytes = Some(0x10_0000);
        }
    }
    encrypt(&raw, &sealed, &options, &Passphrase(&key), &()).expect("it is encrypted");
    all_of(&*storage)
}

fn done(place: &Place) -> Result<Unmangled, Error> {
    let options = UnmangleOptions {
        new: NewKeyslot {
            cost: Cost {
                kdf: Some(Kdf::Pbkdf2),
                iterations: Some(1000),
                ..Cost::default()
            },
            ..NewKeyslot::default()
        },
        ..UnmangleOptions::default()
    };
    let key = LockedBytes::copy_of(&KEY);
    unmangle(place, &options, &Passphrase(&key), &())
}

fn opens(place: &Place, text: &str) -> Option<u32> {
    let key = secret(text);
    match test(place, &TestOptions::default(), &Passphrase(&key), &()) {
        Ok(tested) => tested.keyslot,
        Err(error) => {
            assert_eq!(error.blame(), Blame::Key, "{error}");
            None
        }
    }
}

#[test]
fn it_is_proven_replaced_and_removed() {
    for version in [Version::Luks1, Version::Luks2] {
        let storage = memory(made(version, MANGLED));
        let sealed = place("box", Arc::clone(&storage));
        let unmangled = done(&sealed).unwrap();
        assert!(unmangled.added);
        assert_eq!((unmangled.keyslot, unmangled.removed), (1, vec![0]));
        assert_eq!(
            (opens(&sealed, MANGLED), opens(&sealed, RIGHT)),
            (None, Some(1))
        );

        // There is nothing left to do, and nothing is done.
        let before = all_of(&*storage);
        let unmangled = done(&sealed).unwrap();
        assert!(!unmangled.added && unmangled.removed.is_empty());
        assert!(before == all_of(&*storage));
    }
}

#[test]
fn another_key_changes_nothing() {
    for version in [Version::Luks1, Version::Luks2] {
        let before = made(version, "another");
        let storage = memory(before.clone());
        let error = done(&place("box", Arc::clone(&storage))).unwrap_err();
        assert_eq!(error.blame(), Blame::Key, "{error}");
        assert!(before == all_of(&*storage));
    }
}

#[test]
fn one_of_the_two_opens_it_wherever_the_power_goes() {
    for version in [Version::Luks1, Version::Luks2] {
        let disk = Arc::new(SimulatedStorage::from_vec(made(version, MANGLED)));
        disk.restart();
        let storage: Arc<dyn Storage> = disk.clone();
        done(&place("box", storage)).unwrap();
        let mut known: HashMap<u64, (bool, bool)> = HashMap::new();
        let mut seen = [0_usize; 3];
        // Of all of them a share: what adds and what removes a keyslot is held to each of its own.
        for state in disk.crash_states(1).step_by(4) {
            let image = state.storage.snapshot();
            let mut hasher = DefaultHasher::new();
            image.hash(&mut hasher);
            let number = known.len();
            let (mangled, right) = *known.entry(hasher.finish()).or_insert_with(|| {
                let at = place("box", memory(image));
                let found = (opens(&at, MANGLED).is_some(), opens(&at, RIGHT).is_some());
                assert!(found.0 || found.1, "{version:?}: nothing opens, {state}");
                if number.is_multiple_of(16) {
                    done(&at).unwrap();
                    assert!(opens(&at, RIGHT).is_some() && opens(&at, MANGLED).is_none());
                }
                found
            });
            seen[match (mangled, right) {
                (true, false) => 0,
                (true, true) => 1,
                _ => 2,
            }] += 1;
        }
        assert!(seen.iter().all(|times| *times > 0), "{version:?}: {seen:?}");
        println!(
            "cases: losses of power while a key is unmangled, {version:?}, {} passed, 0 failed",
            seen.iter().sum::<usize>()
        );
    }
}
