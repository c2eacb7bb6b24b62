use std::sync::Arc;

use dmcrypt::HashAlgorithm;
use luks::backup::restore;
use luks::config::{ConfigChanges, configure};
use luks::convert::convert;
use luks::erase::erase;
use luks::luks2::{BinaryHeader, Priority};
use luks::repair::repair;
use luks::{
    Backup, Corrupt, Error, Header, KdfParams, KeyslotOptions, Luks, OsRandom, Repair,
    RepairOptions, Version, Warning, keyslots, tokens,
};
use volume::{SimulatedStorage, Storage};

use crate::common::{memory, passphrase, unlock};
use crate::copies::fix_checksum;
use crate::headers::{COPY, Cut, container, open, open_any, opens, require};

/// A container whose copies have this epoch, checksums right.
fn with_epoch(image: &[u8], epoch: u64) -> Vec<u8> {
    let mut image = image.to_vec();
    for at in [0, COPY] {
        image[at + 16..at + 24].copy_from_slice(&epoch.to_be_bytes());
        fix_checksum(&mut image, at, COPY);
    }
    image
}

fn epoch_of(luks: &Luks) -> u64 {
    match luks.header() {
        Header::Luks2(header) => header.binary.epoch,
        Header::Luks1(_) => panic!("LUKS2"),
    }
}

fn options() -> KeyslotOptions<'static> {
    KeyslotOptions {
        kdf: KdfParams::Pbkdf2 {
            hash: HashAlgorithm::Sha256,
            iterations: 1000,
        },
        ..KeyslotOptions::default()
    }
}

/// One change of a header, by its name.
type Change = (&'static str, fn(&Luks) -> Result<(), Error>);

const CHANGES: [Change; 9] = [
    ("add", |luks| {
        let unlocked = unlock(luks, b"pw")?;
        keyslots::add(
            luks,
            &unlocked,
            &passphrase(b"new"),
            &options(),
            &mut OsRandom,
        )
        .map(drop)
    }),
    ("add unbound", |luks| {
        let unbound = keyslots::UnboundKey {
            key: &crate::common::volume_key(&"5a".repeat(32)),
            digest_iterations: 1000,
        };
        keyslots::add_unbound(
            luks,
            &unbound,
            &passphrase(b"new"),
            &options(),
            &mut OsRandom,
        )
        .map(drop)
    }),
    ("change", |luks| {
        let unlocked = unlock(luks, b"pw")?;
        keyslots::change(
            luks,
            &unlocked,
            0,
            &passphrase(b"new"),
            &options(),
            &mut OsRandom,
        )
        .map(drop)
    }),
    ("remove", |luks| {
        keyslots::remove(luks, 0, true, &mut OsRandom)
    }),
    ("priority", |luks| {
        keyslots::set_priority(luks, 0, Priority::Prefer, &mut OsRandom)
    }),
    ("erase", |luks| erase(luks, &mut OsRandom).map(drop)),
    ("config", |luks| {
        let changes = ConfigChanges {
            label: Some("x".into()),
            ..ConfigChanges::default()
        };
        configure(luks, &changes, &mut OsRandom)
    }),
    ("token", |luks| {
        tokens::add(luks, tokens::keyring("x", &[0]), None, false, &mut OsRandom).map(drop)
    }),
    ("convert", |luks| {
        convert(luks, Version::Luks1, &mut OsRandom)
    }),
];

/// Key areas are written and wiped before the header is: what cannot end is not begun.
#[test]
fn no_change_begins_where_the_epoch_leaves_no_room() {
    let image = container(Version::Luks2);
    for epoch in [BinaryHeader::EPOCH_END, u64::MAX - 1, u64::MAX] {
        for (name, change) in CHANGES {
            let disk = Arc::new(SimulatedStorage::from_vec(with_epoch(&image, epoch)));
            let luks = open(&disk);
            assert_eq!(
                luks.warnings(),
                [Warning::Epoch(Corrupt::EpochEnd { epoch })]
            );
            let error = change(&luks).unwrap_err();
            assert!(
                matches!(error, Error::Corrupt(Corrupt::EpochEnd { epoch: have }) if have == epoch),
                "{name}: {error}"
            );
            assert!(disk.is_untouched(), "{name}");
        }
    }
    // The last epoch from which a change goes.
    let last = BinaryHeader::EPOCH_END - 1;
    for (name, change) in CHANGES {
        let disk = memory(with_epoch(&image, last));
        assert!(open(&disk).warnings().is_empty(), "{name}");
        match (name, change(&open(&disk))) {
            // The areas of these small containers leave LUKS1 no room.
            ("convert" | "add", Err(Error::Corrupt(Corrupt::EpochEnd { .. }))) => panic!("{name}"),
            ("convert" | "add" | "add unbound" | "change", Err(_)) => {}
            (_, outcome) => outcome.unwrap_or_else(|error| panic!("{name}: {error}")),
        }
    }
}

#[test]
fn a_repair_begins_to_count_anew_and_keys_can_be_revoked() {
    let image = container(Version::Luks2);
    for epoch in [BinaryHeader::EPOCH_END, u64::MAX] {
        let damaged = with_epoch(&image, epoch);
        let change = |disk: &Arc<dyn Storage>| {
            let done = repair(&**disk, RepairOptions::default(), &mut OsRandom).unwrap();
            assert_eq!(done, Repair::Epoch(Corrupt::EpochEnd { epoch }));
        };
        let what = format!("repair epoch {epoch:#x}");
        let after = Cut {
            what: &what,
            image: &damaged,
            fixed: 2 * COPY,
            // Only one sector of a copy changes: no state has both torn.
            spare: &[0],
        }
        .everywhere(change, |disk, done| {
            require(opens(&disk), "the passphrase does not open it")?;
            let now = epoch_of(&open(&disk));
            require(now == 1 || now == epoch, "another epoch")?;
            require(!done || now == 1, "done is not durable")?;
            repair(&*disk, RepairOptions::default(), &mut OsRandom)
                .map_err(|error| error.to_string())?;
            let luks = open(&disk);
            require(luks.warnings().is_empty(), "a second repair fails")?;
            erase(&luks, &mut OsRandom).map_err(|error| error.to_string())?;
            require(!opens(&disk), "it opens after it was erased")
        });
        assert!(after == with_epoch(&image, 1));
    }
}

/// A restore of a container's own backup ends, whichever of the two has the highest epoch.
#[test]
fn a_restore_at_the_end_of_the_epochs_is_whole_at_every_cut() {
    let image = container(Version::Luks2);
    let erased = memory(image.clone());
    erase(&open(&erased), &mut OsRandom).unwrap();
    let erased = erased.snapshot();
    for (standing, of_backup) in [
        (u64::MAX, 1),
        (u64::MAX, u64::MAX),
        (u64::MAX - 1, u64::MAX),
        (0, u64::MAX),
        (1, u64::MAX),
        (BinaryHeader::EPOCH_END, 3),
    ] {
        let backup = Backup::read(&open(&memory(with_epoch(&image, of_backup)))).unwrap();
        let disk = Arc::new(SimulatedStorage::from_vec(with_epoch(&erased, standing)));
        disk.restart();
        restore(&*disk, Some(&open(&disk)), &backup).unwrap();
        let what = format!("{standing:#x} {of_backup:#x}");
        assert!(opens(&disk), "{what}");
        assert_eq!(epoch_of(&open(&disk)), of_backup, "{what}");
        let mut count = 0;
        for state in disk.crash_states(1) {
            let name = state.to_string();
            let storage: Arc<dyn Storage> = Arc::new(state.storage);
            let luks = open_any(&storage);
            restore(&*storage, Some(&luks), &backup).unwrap();
            let done = Luks::open(storage).is_ok_and(|luks| unlock(&luks, b"pw").is_ok());
            assert!(done, "{what}: {name}");
            count += 1;
        }
        assert!(count > 10, "{what}: {count}");
    }
}
