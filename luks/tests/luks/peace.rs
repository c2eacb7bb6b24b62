use std::sync::Arc;

use dmcrypt::HashAlgorithm;
use luks::reencrypt::{
    NewKey, NewSlot, RunOptions, Running, Shift, StartOptions, prepare_encrypt, put_aside,
    start_reencrypt,
};
use luks::{FormatOptions, Header, KdfParams, KeyslotOptions, Luks, OsRandom, format};
use serde_json::{Value, json};
use volume::{Fault, FaultOn, SimulatedStorage, Storage};

use crate::common::{passphrase, unlock};
use crate::halfway::{Disks, disks, images, index, text};

/// What a header says of a step, without what differs by chance (salts, digests, numbers of digests, iterations) or because
/// it is meant to (blocks of sectors, where cryptsetup has blocks of the file system; our tokens).
fn step(luks: &Luks) -> Value {
    let Header::Luks2(header) = luks.header() else {
        panic!("LUKS2")
    };
    let mut json = Value::Object(header.metadata.raw().clone());
    let mut digests: Vec<Value> = Vec::new();
    for digest in json["digests"].as_object().unwrap().values() {
        let sorted = |member: &str| {
            let mut names: Vec<_> = digest[member].as_array().unwrap().clone();
            names.sort_by_key(ToString::to_string);
            names
        };
        digests.push(json!([sorted("keyslots"), sorted("segments")]));
    }
    digests.sort_by_key(ToString::to_string);
    for keyslot in json["keyslots"].as_object_mut().unwrap().values_mut() {
        if let Some(kdf) = keyslot.get_mut("kdf") {
            kdf["salt"] = Value::Null;
        }
        if keyslot["area"].get("sector_size").is_some() {
            keyslot["area"]["sector_size"] = Value::Null;
        }
    }
    json["digests"] = Value::Array(digests);
    json["tokens"] = Value::Null;
    json
}

fn image(name: &str) -> Disks {
    let images = images();
    let index = index();
    let entry = index.iter().find(|entry| text(entry, "path") == Some(name));
    disks(&images, entry.unwrap())
}

fn assert_same_step(ours: &Arc<SimulatedStorage>, name: &str) {
    let ours = step(&Luks::open(ours.clone()).unwrap());
    let theirs = step(&image(name).luks().unwrap());
    // By text: the order of members is cryptsetup's, too.
    assert_eq!(
        serde_json::to_string_pretty(&ours).unwrap(),
        serde_json::to_string_pretty(&theirs).unwrap(),
        "{name}"
    );
}

const CHEAP: KdfParams = KdfParams::Pbkdf2 {
    hash: HashAlgorithm::Sha256,
    iterations: 1000,
};

fn options(keyslots_bytes: u64, detached: bool, data_offset: u64) -> FormatOptions {
    FormatOptions {
        cipher: "aes-cbc-essiv:sha256".parse().unwrap(),
        key_bytes: 16,
        kdf: CHEAP,
        digest_iterations: 1000,
        keyslots_bytes: Some(keyslots_bytes),
        detached,
        data_offset: Some(data_offset),
        ..FormatOptions::default()
    }
}

/// How far it goes.
#[derive(Clone, Copy, PartialEq)]
enum Until {
    /// A zone that it cannot write.
    Hot,
    /// That zone is recovered.
    Recovered,
    /// One more zone is done.
    Done,
}

fn go_on(header: &Arc<SimulatedStorage>, data: &Arc<SimulatedStorage>, until: Until) {
    let luks = Luks::open(header.clone()).unwrap();
    let unlocked = unlock(&luks, b"golden").unwrap();
    let mut running = Running::open(&luks, unlocked, data.clone()).unwrap();
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let once = || asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0;
    let whole = running.left_bytes();
    let options = RunOptions {
        hotzone_bytes: Some(16384),
        stop: &once,
        ..RunOptions::default()
    };
    if until == Until::Recovered {
        assert!(running.recover(&options, &mut OsRandom).unwrap());
    } else if until == Until::Hot {
        data.fail(Fault {
            on: FaultOn::Write,
            after: 0,
            forever: false,
            os_error: 5,
        });
        running.run(&options, &mut OsRandom).unwrap_err();
    } else {
        running.run(&options, &mut OsRandom).unwrap();
        assert!(running.left_bytes() < whole);
    }
}

#[test]
fn steps_of_an_encryption_with_shift_are_cryptsetups() {
    let header = Arc::new(SimulatedStorage::new(0));
    let data = Arc::new(SimulatedStorage::new(225_280 + 2 * 102_400));
    let secret = passphrase(b"golden");
    let options = options(69_632, false, 102_400);
    let new = format::prepare(&options, &secret, None, &mut OsRandom, &|| false);
    let mut new = new.unwrap();
    let start = StartOptions::default();
    prepare_encrypt(&mut new, 225_280, Shift::PutAside, &start, &mut OsRandom).unwrap();
    new.write_areas(&*header, &mut OsRandom).unwrap();
    new.commit(&*header).unwrap();
    let luks = Luks::open(header.clone()).unwrap();
    put_aside(
        &luks,
        &unlock(&luks, b"golden").unwrap(),
        &*data,
        &mut OsRandom,
    )
    .unwrap();
    assert_same_step(&header, "encrypt-shift-init");
    go_on(&header, &data, Until::Hot);
    assert_same_step(&header, "encrypt-shift-hot-primary");
    go_on(&header, &data, Until::Recovered);
    assert_same_step(&header, "encrypt-shift-clean");
    go_on(&header, &data, Until::Done);
    go_on(&header, &data, Until::Hot);
    assert_same_step(&header, "encrypt-shift-hot-moved");
}

#[test]
fn steps_of_an_encryption_beside_its_header_are_cryptsetups() {
    let header = Arc::new(SimulatedStorage::new(0));
    let data = Arc::new(SimulatedStorage::new(65536));
    let secret = passphrase(b"golden");
    let options = FormatOptions {
        cipher: "aes-xts-plain64".parse().unwrap(),
        key_bytes: 32,
        ..options(196_608, true, 0)
    };
    let new = format::prepare(&options, &secret, None, &mut OsRandom, &|| false);
    let mut new = new.unwrap();
    let start = StartOptions::default();
    prepare_encrypt(&mut new, 65536, Shift::None, &start, &mut OsRandom).unwrap();
    new.write_areas(&*header, &mut OsRandom).unwrap();
    new.commit(&*header).unwrap();
    go_on(&header, &data, Until::Done);
    go_on(&header, &data, Until::Hot);
    assert_same_step(&header, "encrypt-detached-checksum-torn");
}

#[test]
fn steps_to_a_new_key_are_cryptsetups() {
    let header = Arc::new(SimulatedStorage::new(0));
    let data = Arc::new(SimulatedStorage::new(360_448 + 65536));
    let secret = passphrase(b"golden");
    let options = options(327_680, true, 360_448);
    let new = format::prepare(&options, &secret, None, &mut OsRandom, &|| false);
    let new = new.unwrap();
    new.write_areas(&*header, &mut OsRandom).unwrap();
    new.commit(&*header).unwrap();
    let luks = Luks::open(header.clone()).unwrap();
    let slot = NewSlot {
        replaces: 0,
        passphrase: &secret,
        options: KeyslotOptions {
            kdf: CHEAP,
            ..KeyslotOptions::default()
        },
    };
    let new = NewKey {
        cipher: options.cipher.clone(),
        key_bytes: 16,
        keyslots: vec![slot],
        digest: (HashAlgorithm::Sha256, 1000),
        ..NewKey::default()
    };
    let (unlocked, start) = (unlock(&luks, b"golden").unwrap(), StartOptions::default());
    let data_storage: Arc<dyn Storage> = data.clone();
    start_reencrypt(&luks, unlocked, data_storage, new, &start, &mut OsRandom).unwrap();
    assert_same_step(&header, "reencrypt-init");
    go_on(&header, &data, Until::Done);
    go_on(&header, &data, Until::Hot);
    assert_same_step(&header, "reencrypt-checksum-hot-torn");
    go_on(&header, &data, Until::Recovered);
    assert_same_step(&header, "reencrypt-checksum-clean");
    go_on(&header, &data, Until::Done);
    go_on(&header, &data, Until::Hot);
    assert_same_step(&header, "reencrypt-checksum-last-hot");
}
