use std::sync::Arc;

use dmcrypt::{HashAlgorithm, SectorSize};
use luks::reencrypt::{
    NewKey, NewSlot, Protection, Running, StartOptions, make_digest, start_decrypt, start_reencrypt,
};
use luks::{
    Error, KeyslotOptions, Luks, OsRandom, ReencryptionObstacle, Unfinished, UnlockOptions,
};
use volume::{SimulatedStorage, Storage};

use crate::common::{memory, passphrase, plaintext, unlock};
use crate::reencrypt::{CHEAP, container, numbers, payload, run_in_steps};
use crate::tampering::{json_of, with_json};

fn new_key(secret: &dmcrypt::Passphrase, sector_size: SectorSize) -> NewKey<'_> {
    NewKey {
        sector_size,
        keyslots: vec![NewSlot {
            replaces: 0,
            passphrase: secret,
            options: KeyslotOptions {
                kdf: CHEAP,
                ..KeyslotOptions::default()
            },
        }],
        digest: (HashAlgorithm::Sha256, 1000),
        ..NewKey::default()
    }
}

fn both(luks: &Luks) -> luks::Unlocked {
    let other = unlock(luks, b"new").unwrap();
    match unlock(luks, b"old") {
        Ok(old) => old.with(other, &UnlockOptions::default()).unwrap(),
        Err(_) => other,
    }
}

#[test]
fn data_that_moves_gets_a_new_key_zone_by_zone() {
    let secret = passphrase(b"new");
    let bytes = 5 * 65536 + 4096;
    for sectors in [
        [SectorSize::B512, SectorSize::B512],
        [SectorSize::B512, SectorSize::B4096],
        [SectorSize::B4096, SectorSize::B512],
    ] {
        for detached in [false, true] {
            // Data that begin within the length of the header would be taken for a part of it.
            let (shift, zones) = if detached { (1 << 20, 0) } else { (65536, 5) };
            let [header, data] = container(detached, bytes + shift, sectors[0]);
            let luks = Luks::open(header.clone()).unwrap();
            let options = StartOptions {
                shift_bytes: Some(shift.into()),
                ..StartOptions::default()
            };
            let unlocked = unlock(&luks, b"old").unwrap();
            let new = new_key(&secret, sectors[1]);
            start_reencrypt(&luks, unlocked, data.clone(), new, &options, &mut OsRandom).unwrap();
            let steps = run_in_steps(&header, &data, &both, 4096, &numbers(bytes));
            // As the shift is, whatever is asked for.
            assert_eq!(steps, zones);
            assert!(payload(&header, &data, b"new") == numbers(bytes));
            let luks = Luks::open(header.clone()).unwrap();
            let first = if detached { 0 } else { 1 << 20 };
            let offset = Some(first + u64::from(shift));
            assert_eq!(luks.header().data_offset(), offset);
        }
    }
}

#[test]
fn what_cannot_move_is_refused_before_a_write() {
    let secret = passphrase(b"new");
    for (detached, shift) in [
        (false, 0),
        (false, 512),
        (false, 3 * 65536),
        (false, 1 << 60),
        (true, 65536),
    ] {
        let [header, data] = container(detached, 3 * 65536, SectorSize::B4096);
        let luks = Luks::open(header.clone()).unwrap();
        let unlocked = unlock(&luks, b"old").unwrap();
        let options = StartOptions {
            shift_bytes: Some(shift),
            ..StartOptions::default()
        };
        let new = new_key(&secret, SectorSize::B512);
        let begun = start_reencrypt(&luks, unlocked, data.clone(), new, &options, &mut OsRandom);
        let error = begun.map(|_| ()).unwrap_err();
        assert!(
            matches!(
                &error,
                Error::InvalidOption(luks::InvalidOption::Reencryption(
                    ReencryptionObstacle::ShiftBytes { bytes, alignment: 4096, .. }
                )) if *bytes == shift
            ),
            "{error}"
        );
        assert_eq!(payload(&header, &data, b"old"), numbers(3 * 65536));
    }
}

/// What lies before the data of a detached header is none of it, and stays.
#[test]
fn data_that_begins_elsewhere_is_decrypted_where_it_lies() {
    let bytes = 3 * 65536 + 4096;
    for protection in [
        Protection::Checksum(HashAlgorithm::Sha256),
        Protection::Journal,
    ] {
        let [image, _] = container(false, bytes, SectorSize::B512);
        let mut copy = vec![0; usize::try_from(image.len().unwrap()).unwrap()];
        image.read_at(0, &mut copy).unwrap();
        let header: Arc<dyn Storage> = memory(copy[..1 << 20].to_vec());
        copy[..1 << 20].fill(7);
        let data: Arc<dyn Storage> = memory(copy);
        let luks = Luks::open(header.clone()).unwrap();
        let options = StartOptions {
            protection,
            ..StartOptions::default()
        };
        let unlocked = unlock(&luks, b"old").unwrap();
        start_decrypt(&luks, unlocked, data.clone(), &options, &mut OsRandom).unwrap();
        let with = |luks: &Luks| unlock(luks, b"old").unwrap();
        assert_eq!(
            run_in_steps(&header, &data, &with, 65536, &numbers(bytes)),
            3
        );
        let all = payload(&header, &data, b"old");
        assert!(all[..1 << 20].iter().all(|byte| *byte == 7));
        assert!(all[1 << 20..] == numbers(bytes));
    }
}

/// Without a shift the data stays where it is: a digest that says so proves it, but nothing would protect what moves.
#[test]
fn data_that_moves_without_a_shift_is_refused_unwritten() {
    let secret = passphrase(b"new");
    let bytes = 4 * 65536_u32;
    let [header, data] = container(true, bytes, SectorSize::B512);
    let luks = Luks::open(header.clone()).unwrap();
    let unlocked = unlock(&luks, b"old").unwrap();
    let new = new_key(&secret, SectorSize::B512);
    let options = StartOptions::default();
    start_reencrypt(&luks, unlocked, data.clone(), new, &options, &mut OsRandom).unwrap();

    let mut image = vec![0; usize::try_from(header.len().unwrap()).unwrap()];
    header.read_at(0, &mut image).unwrap();
    let mut json = json_of(&image, 0);
    for segment in json["segments"].as_object_mut().unwrap().values_mut() {
        let is_final = segment["flags"] == serde_json::json!(["backup-final"]);
        if is_final {
            segment["offset"] = "65536".into();
        } else {
            segment["size"] = "65536".into();
        }
    }
    let state = json["keyslots"].as_object().unwrap().iter();
    let mut state = state.filter(|(_, slot)| slot["type"] == "reencrypt");
    let keyslot = serde_json::json!([state.next().unwrap().0]);
    json["digests"]
        .as_object_mut()
        .unwrap()
        .retain(|_, digest| digest["keyslots"] != keyslot);
    let image = with_json(&image, &[0, 16384], &json).unwrap();
    let header: Arc<dyn Storage> = memory(image);
    let luks = Luks::open(header.clone()).unwrap();
    let digest = (HashAlgorithm::Sha256, 1000);
    make_digest(&luks, &both(&luks), digest, &mut OsRandom).unwrap();

    let mut before = vec![0; bytes as usize];
    data.read_at(0, &mut before).unwrap();
    let disk = Arc::new(SimulatedStorage::from_vec(before));
    let luks = Luks::open(header).unwrap();
    let unlocked = both(&luks);
    unlocked.check_reencryption().unwrap();
    assert!(plaintext(&unlocked.volume(disk.clone()).unwrap()) == numbers(65536));
    let opened = Running::open(&luks, unlocked, disk.clone());
    assert!(
        matches!(
            opened.as_ref().err(),
            Some(Error::Unfinished(Unfinished::Unprotected {
                start: 65536,
                end: 131_072
            }))
        ),
        "{:?}",
        opened.err()
    );
    assert!(disk.is_untouched());
}
