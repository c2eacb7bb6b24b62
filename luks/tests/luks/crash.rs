use std::sync::Arc;

use dmcrypt::HashAlgorithm;
use luks::format::{self, Version};
use luks::{Error, FormatOptions, KdfParams, Luks, NewContainer, OsRandom};
use volume::{MemoryStorage, SimulatedStorage, Storage, Volume};

use crate::common::{passphrase, unlock};

const SIZE: u64 = 1 << 20;
const PAYLOAD: usize = 8192;

/// As cheap and as small as the formats allow.
pub fn small(version: Version) -> FormatOptions {
    let luks2 = version == Version::Luks2;
    FormatOptions {
        version,
        cipher: "aes-cbc-essiv:sha256".parse().unwrap(),
        key_bytes: 16,
        kdf: KdfParams::Pbkdf2 {
            hash: HashAlgorithm::Sha256,
            iterations: 1000,
        },
        digest_iterations: 1000,
        data_offset: Some(if luks2 { 0x1_8000 } else { 0x9_0000 }),
        ..FormatOptions::default()
    }
}

fn prepare(options: &FormatOptions, secret: &[u8]) -> NewContainer {
    format::prepare(options, &passphrase(secret), None, &mut OsRandom, &|| false).unwrap()
}

/// Header, payload of `fill`, commit: in the order that the command line keeps.
fn make(
    disk: &Arc<SimulatedStorage>,
    options: &FormatOptions,
    secret: &[u8],
    fill: u8,
) -> Result<(), Error> {
    let new = prepare(options, secret);
    new.write_areas(&**disk, &mut OsRandom)?;
    let volume = Volume::new(disk.clone(), new.mapping(PAYLOAD as u64)?);
    volume
        .write_at(0, &[fill; PAYLOAD])
        .map_err(|source| Error::Io {
            action: "write the payload".into(),
            source,
        })?;
    new.commit(&**disk)
}

/// The passphrase that opens the container and the payload under it, or `None` where there is no header.
fn what_is_there(storage: MemoryStorage) -> Result<Option<&'static str>, String> {
    let storage: Arc<dyn Storage> = Arc::new(storage);
    let luks = match Luks::open(storage.clone()) {
        Ok(luks) => luks,
        Err(Error::NotLuks) => return Ok(None),
        Err(error) => return Err(format!("damaged: {error}")),
    };
    for (secret, fill) in [("new", 2), ("old", 1)] {
        if let Ok(unlocked) = unlock(&luks, secret.as_bytes()) {
            let volume = unlocked
                .volume(storage)
                .map_err(|error| error.to_string())?;
            let mut payload = vec![0; PAYLOAD];
            volume
                .read_at(0, &mut payload)
                .map_err(|error| error.to_string())?;
            // The old payload lies where the new one is being written.
            return if secret == "old" || payload.iter().all(|byte| *byte == fill) {
                Ok(Some(secret))
            } else {
                Err("the header is there and the payload is not".into())
            };
        }
    }
    Err("no passphrase opens the header".into())
}

fn crash_everywhere(disk: &Arc<SimulatedStorage>, options: &FormatOptions, had_header: bool) {
    disk.restart();
    make(disk, options, b"new", 2).unwrap();
    let mut seen = [0_usize; 3];
    for state in disk.crash_states(1) {
        let what = state.to_string();
        match what_is_there(state.storage).unwrap_or_else(|problem| panic!("{what}: {problem}")) {
            None => seen[0] += 1,
            Some("new") => seen[1] += 1,
            Some(_) => seen[2] += 1,
        }
    }
    for state in disk.crash_states_now(1) {
        let what = state.to_string();
        assert_eq!(
            what_is_there(state.storage),
            Ok(Some("new")),
            "done is durable: {what}"
        );
    }
    println!(
        "cases: crash states of {:?} over {} {} passed, 0 failed",
        options.version,
        if had_header {
            "an old header"
        } else {
            "an empty disk"
        },
        seen.iter().sum::<usize>()
    );
    assert!(seen[0] > 50 && seen[1] > 0, "{seen:?}");
    assert_eq!(seen[2] > 0, had_header, "{seen:?}");
}

#[test]
fn a_crash_at_each_write_leaves_no_header_or_a_whole_one() {
    for version in [Version::Luks1, Version::Luks2] {
        crash_everywhere(
            &Arc::new(SimulatedStorage::new(SIZE)),
            &small(version),
            false,
        );
    }
}

#[test]
fn over_an_old_container_it_leaves_the_old_header_none_or_the_new_one() {
    for old in [Version::Luks1, Version::Luks2] {
        for new in [Version::Luks1, Version::Luks2] {
            // The old secondary lies elsewhere than either new copy.
            let metadata_bytes = 0x8000;
            let data_offset = Some(0x9_0000);
            let before = FormatOptions {
                metadata_bytes,
                data_offset,
                ..small(old)
            };
            let disk = Arc::new(SimulatedStorage::new(SIZE));
            make(&disk, &before, b"old", 1).unwrap();
            crash_everywhere(&disk, &small(new), true);
        }
    }
}

/// Each operation of the whole job fails once: an error comes back, and no header or a whole one is there.
#[test]
fn a_failing_disk_is_an_error_and_leaves_no_half_header() {
    use volume::{Fault, FaultOn};
    for version in [Version::Luks1, Version::Luks2] {
        let options = small(version);
        let counted = Arc::new(SimulatedStorage::new(SIZE));
        make(&counted, &options, b"new", 2).unwrap();
        let operations = counted.operations().len() as u64;
        let mut failed = 0;
        for after in 0..operations {
            let disk = Arc::new(SimulatedStorage::new(SIZE));
            disk.fail(Fault {
                on: FaultOn::Any,
                after,
                forever: true,
                os_error: 5,
            });
            if let Err(error) = make(&disk, &options, b"new", 2) {
                assert!(matches!(error, Error::Io { .. }), "{error}");
                failed += 1;
            }
            let left = MemoryStorage::from_vec(disk.snapshot());
            what_is_there(left)
                .unwrap_or_else(|problem| panic!("{version:?}, failure {after}: {problem}"));
        }
        assert!(failed > 5, "{failed} of {operations}");
    }
}
