use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dmcrypt::{HashAlgorithm, SectorSize, VolumeKey};
use luks::reencrypt::{
    NewKey, NewSlot, Outcome, Protection, RunOptions, Running, Shift, StartOptions,
    prepare_encrypt, put_aside, put_header, start_decrypt, start_decrypt_shift, start_reencrypt,
};
use luks::{
    Error, FormatOptions, Header, KdfParams, KeyslotOptions, Luks, OsRandom, UnlockOptions,
    Unlocked, format, reencryption,
};
use volume::{MemoryStorage, Storage};
use zeroize::Zeroizing;

use crate::common::{memory, passphrase, plaintext, sha256, unlock};
use crate::halfway::{disks, images, index, text};

pub const CHEAP: KdfParams = KdfParams::Pbkdf2 {
    hash: HashAlgorithm::Sha256,
    iterations: 1000,
};

/// What opens a container when a reencryption of it is finished: of a decryption, nothing.
pub fn payload(header: &Arc<dyn Storage>, data: &Arc<dyn Storage>, secret: &[u8]) -> Vec<u8> {
    let luks = Luks::open(header.clone()).unwrap();
    let Header::Luks2(luks2) = luks.header() else {
        panic!("LUKS2")
    };
    assert!(luks2.metadata.config.requirements.is_empty());
    assert!(luks2.metadata.tokens.is_empty());
    assert_eq!(
        reencryption::state(&luks2.metadata),
        reencryption::State::None
    );
    if luks2.metadata.digest_of_data().is_none() {
        let mut bytes = vec![0; usize::try_from(data.len().unwrap()).unwrap()];
        data.read_at(0, &mut bytes).unwrap();
        return bytes;
    }
    plaintext(&unlock(&luks, secret).unwrap().volume(data.clone()).unwrap())
}

#[test]
fn every_image_is_finished_or_not_touched() {
    let images = images();
    let mut finished = 0;
    for entry in index() {
        let name = text(&entry, "path").unwrap();
        // Not in reencryption yet.
        if name == "decrypt-shift-before" {
            continue;
        }
        let disks = disks(&images, &entry);
        let (data, header): (Arc<dyn Storage>, Arc<dyn Storage>) =
            (disks.data.clone(), disks.header.clone());
        let opened = disks
            .luks()
            .and_then(|luks| Running::open(&luks, unlock(&luks, b"golden")?, data.clone()));
        let expect = text(&entry, "expect").unwrap();
        let mut running = match (expect, opened) {
            ("refuse", Err(Error::Unfinished(_))) => {
                disks.assert_untouched(name);
                continue;
            }
            (_, opened) => opened.unwrap_or_else(|error| panic!("{name}: {error}")),
        };
        disks.assert_untouched(name);
        let options = RunOptions {
            threads: 2,
            ..RunOptions::default()
        };
        let outcome = running.run(&options, &mut OsRandom);
        assert_eq!(outcome.unwrap(), Outcome::Finished, "{name}");
        if expect == "noise" {
            continue;
        }
        let bytes = payload(&header, &data, b"golden");
        let length = usize::try_from(entry["payload_bytes"].as_integer().unwrap()).unwrap();
        let hash = text(&entry, "payload_sha256").unwrap();
        assert_eq!(sha256(&bytes[..length]), hash, "{name}");
        finished += 1;
    }
    assert!(finished > 30, "{finished}");
    println!("cases: half-way images finished {finished} passed, 0 failed");
}

fn format_options(detached: bool, sector_size: SectorSize) -> FormatOptions {
    FormatOptions {
        kdf: CHEAP,
        digest_iterations: 1000,
        sector_size,
        detached,
        keyslots_bytes: Some(3 * 262_144),
        data_offset: (!detached).then_some(1 << 20),
        ..FormatOptions::default()
    }
}

pub fn numbers(bytes: u32) -> Vec<u8> {
    (0..bytes / 4).flat_map(u32::to_be_bytes).collect()
}

/// A finished container with data of `bytes` bytes.
pub fn container(detached: bool, bytes: u32, sector_size: SectorSize) -> [Arc<dyn Storage>; 2] {
    let header: Arc<dyn Storage> = Arc::new(MemoryStorage::new(0));
    let options = format_options(detached, sector_size);
    let new = format::prepare(&options, &passphrase(b"old"), None, &mut OsRandom, &|| {
        false
    });
    let new = new.unwrap();
    new.write_areas(&*header, &mut OsRandom).unwrap();
    new.commit(&*header).unwrap();
    let data: Arc<dyn Storage> = if detached {
        memory(vec![0; bytes as usize])
    } else {
        header.set_len((1 << 20) + u64::from(bytes)).unwrap();
        header.clone()
    };
    let luks = Luks::open(header.clone()).unwrap();
    let volume = unlock(&luks, b"old").unwrap().volume(data.clone()).unwrap();
    volume.write_at(0, &numbers(bytes)).unwrap();
    [header, data]
}

/// Goes on zone by zone, each time from what is on the disk, and reads all of it in between.
pub fn run_in_steps(
    header: &Arc<dyn Storage>,
    data: &Arc<dyn Storage>,
    unlock: &dyn Fn(&Luks) -> Unlocked,
    hotzone_bytes: u64,
    expected: &[u8],
) -> usize {
    let mut steps = 0;
    loop {
        let luks = Luks::open(header.clone()).unwrap();
        let volume = unlock(&luks).volume(data.clone()).unwrap();
        assert!(plaintext(&volume) == expected, "step {steps}");
        let mut running = Running::open(&luks, unlock(&luks), data.clone()).unwrap();
        let asked = AtomicUsize::new(0);
        let options = RunOptions {
            hotzone_bytes: Some(hotzone_bytes),
            stop: &|| asked.fetch_add(1, Ordering::Relaxed) > 0,
            ..RunOptions::default()
        };
        match running.run(&options, &mut OsRandom).unwrap() {
            Outcome::Finished => return steps,
            Outcome::Stopped { left_bytes } => assert!(left_bytes > 0),
        }
        steps += 1;
    }
}

fn protections() -> [Protection; 3] {
    [
        Protection::Checksum(HashAlgorithm::Sha256),
        Protection::Journal,
        Protection::None,
    ]
}

fn start(protection: Protection) -> StartOptions {
    StartOptions {
        protection,
        cut: true,
        ..StartOptions::default()
    }
}

#[test]
fn a_new_key_is_given_zone_by_zone() {
    for protection in protections() {
        for (detached, sectors) in [
            (false, [SectorSize::B512, SectorSize::B512]),
            (true, [SectorSize::B512, SectorSize::B4096]),
            (true, [SectorSize::B4096, SectorSize::B512]),
        ] {
            let bytes = 5 * 65536 + 4096;
            let [header, data] = container(detached, bytes, sectors[0]);
            let luks = Luks::open(header.clone()).unwrap();
            let slot = NewSlot {
                replaces: 0,
                passphrase: &passphrase(b"new"),
                options: KeyslotOptions {
                    kdf: CHEAP,
                    ..KeyslotOptions::default()
                },
            };
            let new = NewKey {
                sector_size: sectors[1],
                keyslots: vec![slot],
                digest: (HashAlgorithm::Sha256, 1000),
                ..NewKey::default()
            };
            let unlocked = unlock(&luks, b"old").unwrap();
            let old =
                VolumeKey::from_bytes(Zeroizing::new(unlocked.volume_key().expose().to_vec()));
            let options = start(protection);
            start_reencrypt(&luks, unlocked, data.clone(), new, &options, &mut OsRandom).unwrap();
            let both = |luks: &Luks| {
                let other = unlock(luks, b"new").unwrap();
                match unlock(luks, b"old") {
                    Ok(old) => old.with(other, &UnlockOptions::default()).unwrap(),
                    Err(_) => other,
                }
            };
            let steps = run_in_steps(&header, &data, &both, 65536, &numbers(bytes));
            assert_eq!(steps, 5);
            assert!(payload(&header, &data, b"new") == numbers(bytes));
            let luks = Luks::open(header.clone()).unwrap();
            assert!(unlock(&luks, b"old").is_err());
            let unlocked = luks.unlock_with_volume_key(old, &UnlockOptions::default());
            assert!(matches!(unlocked, Err(Error::NoKeyFits { .. })));
        }
    }
}

#[test]
fn plaintext_is_encrypted_beside_a_detached_header_zone_by_zone() {
    for protection in protections() {
        for sector in [SectorSize::B512, SectorSize::B4096] {
            let bytes = 5 * 65536 + 4096;
            let data: Arc<dyn Storage> = memory(numbers(bytes));
            let header: Arc<dyn Storage> = Arc::new(MemoryStorage::new(0));
            let options = format_options(true, sector);
            let secret = passphrase(b"new");
            let mut new =
                format::prepare(&options, &secret, None, &mut OsRandom, &|| false).unwrap();
            prepare_encrypt(
                &mut new,
                bytes.into(),
                Shift::None,
                &start(protection),
                &mut OsRandom,
            )
            .unwrap();
            new.write_areas(&*header, &mut OsRandom).unwrap();
            new.commit(&*header).unwrap();
            let with = |luks: &Luks| unlock(luks, b"new").unwrap();
            let steps = run_in_steps(&header, &data, &with, 65536, &numbers(bytes));
            assert_eq!(steps, 5);
            assert!(payload(&header, &data, b"new") == numbers(bytes));

            // And back.
            let luks = Luks::open(header.clone()).unwrap();
            let unlocked = unlock(&luks, b"new").unwrap();
            start_decrypt(
                &luks,
                unlocked,
                data.clone(),
                &start(protection),
                &mut OsRandom,
            )
            .unwrap();
            let steps = run_in_steps(&header, &data, &with, 65536, &numbers(bytes));
            assert_eq!(steps, 5);
            assert!(payload(&header, &data, b"new") == numbers(bytes));
        }
    }
}

#[test]
fn a_header_goes_into_an_image_and_out_again() {
    // Below the shift, one zone, and three with a rest.
    for bytes in [4096, 1 << 20, (3 << 20) + 8192] {
        for sector in [SectorSize::B512, SectorSize::B4096] {
            let data: Arc<dyn Storage> = memory(numbers(bytes));
            let header: Arc<dyn Storage> = Arc::new(MemoryStorage::new(0));
            let options = format_options(false, sector);
            let secret = passphrase(b"new");
            let mut new =
                format::prepare(&options, &secret, None, &mut OsRandom, &|| false).unwrap();
            let begin = start(Protection::default());
            prepare_encrypt(
                &mut new,
                bytes.into(),
                Shift::PutAside,
                &begin,
                &mut OsRandom,
            )
            .unwrap();
            new.write_areas(&*header, &mut OsRandom).unwrap();
            new.commit(&*header).unwrap();
            data.set_len(u64::from(bytes) + (2 << 20)).unwrap();
            let with = |luks: &Luks| unlock(luks, b"new").unwrap();
            let luks = Luks::open(header.clone()).unwrap();
            let opened = Running::open(&luks, with(&luks), data.clone());
            assert!(opened.is_err(), "nothing was put aside");
            for _ in 0..2 {
                let luks = Luks::open(header.clone()).unwrap();
                put_aside(&luks, &with(&luks), &*data, &mut OsRandom).unwrap();
            }
            let luks = Luks::open(header.clone()).unwrap();
            put_header(&luks, &*data, &mut OsRandom).unwrap();
            let steps = run_in_steps(&data, &data, &with, 65536, &numbers(bytes));
            assert_eq!(steps, (bytes as usize).div_ceil(1 << 20) - 1);
            assert_eq!(data.len().unwrap(), u64::from(bytes) + (1 << 20));
            assert!(payload(&data, &data, b"new") == numbers(bytes));

            for protection in [Protection::default(), Protection::Journal] {
                let all = data.len().unwrap();
                let mut copy = vec![0; usize::try_from(all).unwrap()];
                data.read_at(0, &mut copy).unwrap();
                let image: Arc<dyn Storage> = memory(copy.clone());
                let header: Arc<dyn Storage> = memory(copy[..1 << 20].to_vec());
                let luks = Luks::open(header.clone()).unwrap();
                let options = start(protection);
                let unlocked = with(&luks);
                start_decrypt_shift(&luks, unlocked, image.clone(), &options, &mut OsRandom)
                    .unwrap();
                run_in_steps(&header, &image, &with, 65536, &numbers(bytes));
                assert_eq!(image.len().unwrap(), u64::from(bytes));
                assert!(payload(&header, &image, b"new") == numbers(bytes));
            }
        }
    }
}

/// How the protection is changed on the way, and what cannot be.
#[test]
fn resilience_changes_between_zones() {
    let bytes = 5 * 65536;
    let [header, data] = container(true, bytes, SectorSize::B512);
    let luks = Luks::open(header.clone()).unwrap();
    let unlocked = unlock(&luks, b"old").unwrap();
    let options = start(Protection::Journal);
    start_decrypt(&luks, unlocked, data.clone(), &options, &mut OsRandom).unwrap();
    for protection in [
        Protection::Checksum(HashAlgorithm::Sha512),
        Protection::None,
        Protection::Journal,
    ] {
        let luks = Luks::open(header.clone()).unwrap();
        let mut running =
            Running::open(&luks, unlock(&luks, b"old").unwrap(), data.clone()).unwrap();
        let asked = Cell::new(0);
        let asked = std::sync::Mutex::new(asked);
        let options = RunOptions {
            hotzone_bytes: Some(65536),
            protection: Some(protection),
            stop: &|| {
                let asked = asked.lock().unwrap();
                asked.set(asked.get() + 1);
                asked.get() > 1
            },
            ..RunOptions::default()
        };
        let outcome = running.run(&options, &mut OsRandom).unwrap();
        assert!(matches!(outcome, Outcome::Stopped { .. }));
        let luks = Luks::open(header.clone()).unwrap();
        let unlocked = unlock(&luks, b"old").unwrap();
        unlocked.check_reencryption().unwrap();
        assert!(plaintext(&unlocked.volume(data.clone()).unwrap()) == numbers(bytes));
    }
    let luks = Luks::open(header.clone()).unwrap();
    let running = Running::open(&luks, unlock(&luks, b"old").unwrap(), data.clone()).unwrap();
    for (hotzone_bytes, is_taken) in [(512, true), (65536, true), (1000, false), (1 << 30, false)] {
        let options = RunOptions {
            hotzone_bytes: Some(hotzone_bytes),
            ..RunOptions::default()
        };
        assert_eq!(running.check(&options).is_ok(), is_taken, "{hotzone_bytes}");
    }
}

/// What is wiped and cut off stands in a token that only a holder of the key can have written.
#[test]
fn a_forged_token_wipes_nothing() {
    let [header, data] = container(false, 65536, SectorSize::B512);
    let luks = Luks::open(header.clone()).unwrap();
    let mut edit = luks::Edit::begin(&luks).unwrap();
    let mut draft = edit.draft().unwrap();
    draft.json["tokens"]["0"] = serde_json::json!({
        "type": luks::reencrypt::WIPE,
        "keyslots": [],
        "areas": [],
        "tail": {"offset": "1048576", "size": "65536", "plaintext": true, "cut": true},
        "salt": "AAAA",
        "digest": "AAAA",
    });
    edit.commit_draft(draft, &mut OsRandom).unwrap();
    drop(edit);
    let luks = Luks::open(header).unwrap();
    let opened = Running::open(&luks, unlock(&luks, b"old").unwrap(), data);
    let obstacle = luks::ReencryptionObstacle::Leavings;
    let refused = luks::InvalidOption::Reencryption(obstacle);
    assert!(matches!(opened, Err(Error::InvalidOption(error)) if error == refused));
}
