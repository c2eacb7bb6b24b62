use std::sync::Arc;

use jobs::decrypt::{DecryptOptions, decrypt};
use jobs::destination::Overwrite;
use jobs::encrypt::{EncryptOptions, encrypt};
use jobs::error::DestinationError;
use jobs::secret::Passphrase;
use jobs::unlock::Unlock;
use jobs::{Blame, Error, Place, unlock};
use luks::Version;
use volume::{MemoryStorage, SimulatedDisks, Storage, Window};

use crate::{all_of, bytes, memory, place, quick, secret};

#[test]
fn what_is_in_memory_goes_in_and_out() {
    let raw = bytes(1 << 20);
    for version in [Version::Luks1, Version::Luks2] {
        let container = memory(Vec::new());
        let source = place("raw", memory(raw.clone()));
        let key = secret("pw");
        let secrets = Passphrase(&key);
        let sealed = place("sealed", Arc::clone(&container));
        let report = encrypt(&source, &sealed, &quick(version), &secrets, &()).unwrap();
        assert_eq!(report.payload_bytes, Some(1 << 20));
        assert_eq!(container.len().unwrap(), report.container_bytes.unwrap());

        let plain = memory(Vec::new());
        let opened = place("plain", Arc::clone(&plain));
        decrypt(&sealed, &opened, &DecryptOptions::default(), &secrets, &()).unwrap();
        assert!(all_of(&*plain) == raw);
    }
}

/// The data are on their disk before a header on another one says so.
#[test]
fn a_header_that_survives_a_loss_of_power_has_its_data() {
    let raw = bytes(64 << 10);
    let key = secret("pw");
    let secrets = Passphrase(&key);
    for version in [Version::Luks1, Version::Luks2] {
        let disks = SimulatedDisks::new();
        let [data, header] = [(); 2].map(|()| Arc::new(disks.add(&MemoryStorage::new(0))));
        let options = EncryptOptions {
            header: Some(place("header", header)),
            ..quick(version)
        };
        let source = place("raw", memory(raw.clone()));
        encrypt(&source, &place("data", data), &options, &secrets, &()).unwrap();
        let (mut opened, mut not_yet) = (0, 0);
        for state in disks.crash_states(1) {
            let [data, header] = [0, 1].map(|disk| Arc::clone(&state.disks[disk]));
            let how = DecryptOptions {
                header: Some(place("header", header)),
                ..DecryptOptions::default()
            };
            let plain = memory(Vec::new());
            let out = place("plain", Arc::clone(&plain));
            if decrypt(&place("data", data), &out, &how, &secrets, &()).is_ok() {
                assert!(all_of(&*plain) == raw, "{version:?}: {state}");
                opened += 1;
            } else {
                not_yet += 1;
            }
        }
        assert!(opened > 0 && not_yet > 0, "{opened} and {not_yet}");
    }
}

/// A container in a partition of a disk in a container: each is a place made of the one around it.
#[test]
fn a_container_in_a_container_is_a_place() {
    let raw = bytes(256 << 10);
    let (inner_key, outer_key) = (secret("inner"), secret("outer"));
    let inner = memory(Vec::new());
    let source = place("raw", memory(raw.clone()));
    let sealed = place("inner", Arc::clone(&inner));
    encrypt(
        &source,
        &sealed,
        &quick(Version::Luks2),
        &Passphrase(&inner_key),
        &(),
    )
    .unwrap();

    let mut disk = vec![0; 1 << 20];
    disk.extend(all_of(&*inner));
    let outer = memory(Vec::new());
    let sealed = place("outer", Arc::clone(&outer));
    let disk = place("disk", memory(disk));
    encrypt(
        &disk,
        &sealed,
        &quick(Version::Luks1),
        &Passphrase(&outer_key),
        &(),
    )
    .unwrap();

    let luks = unlock::open("outer", Arc::clone(&outer), &[], &()).unwrap();
    let how = Unlock::default();
    let (unlocked, _) = unlock::unlock(&luks, "outer", &Passphrase(&outer_key), &how, &()).unwrap();
    let volume: Arc<dyn Storage> = Arc::new(unlocked.volume(outer).unwrap());
    let end = volume.len().unwrap();
    let partition = Window::new(volume, 1 << 20..end).unwrap();
    let plain = memory(Vec::new());
    decrypt(
        &place("partition", Arc::new(partition)),
        &place("plain", Arc::clone(&plain)),
        &DecryptOptions::default(),
        &Passphrase(&inner_key),
        &(),
    )
    .unwrap();
    assert!(all_of(&*plain) == raw);
}

#[test]
fn what_is_read_is_not_written_and_what_holds_something_is_left() {
    let storage = memory(bytes(1 << 20));
    let same = |name| place(name, Arc::clone(&storage));
    let key = secret("pw");
    let run = |source: &Place, destination: &Place, overwrite| {
        let options = EncryptOptions {
            overwrite,
            ..quick(Version::Luks1)
        };
        encrypt(source, destination, &options, &Passphrase(&key), &())
    };
    let everything = Overwrite {
        files: true,
        devices: true,
    };
    let refused = run(&same("one"), &same("other"), everything);
    assert!(
        matches!(
            refused,
            Err(Error::Destination(DestinationError::Input { .. }))
        ),
        "{refused:?}"
    );

    let mut swap = vec![0; 4 << 20];
    swap[4086..4096].copy_from_slice(b"SWAPSPACE2");
    swap[1024..1032].copy_from_slice(&[1, 0, 0, 0, 255, 3, 0, 0]);
    let held = memory(swap.clone());
    let destination = place("swap", Arc::clone(&held));
    let refused = run(&same("raw"), &destination, Overwrite::default()).unwrap_err();
    assert_eq!(refused.blame(), Blame::Taken, "{refused}");
    assert!(all_of(&*held) == swap);
    run(&same("raw"), &destination, everything).unwrap();
    assert!(all_of(&*held) != swap);

    // One that is not empty is as large as it is.
    let small = place("small", memory(vec![0; 1 << 20]));
    let refused = run(&same("raw"), &small, everything);
    assert!(
        matches!(
            refused,
            Err(Error::Destination(DestinationError::TooSmall { .. }))
        ),
        "{refused:?}"
    );
}
