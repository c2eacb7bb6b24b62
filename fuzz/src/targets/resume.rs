//! Reencryptions that are under way, their headers and areas damaged.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use arbitrary::Unstructured;
use dmcrypt::HashAlgorithm;
use luks::luks2::{self, Metadata, Which};
use luks::reencrypt::{
    NewKey, NewSlot, Outcome, Protection, RunOptions, Running, Shift, StartOptions,
    mark_decrypt_in_place, prepare_encrypt, put_aside, start_decrypt, start_decrypt_shift,
    start_reencrypt,
};
use luks::{Error, FormatOptions, Header, KeyslotOptions, Luks, UnlockOptions, Unlocked, format};
use serde_json::{Map, Value};
use volume::{Fault, FaultOn, Operation, SimulatedStorage, Storage};

use super::headers::change;
use super::support::{CHEAP, PASSPHRASE, Repeated, damage, options, passphrase};

/// What is done to the data.
#[derive(Clone, Copy, PartialEq)]
enum Job {
    Reencrypt,
    Encrypt,
    EncryptWithShift,
    Decrypt,
    DecryptWithShift,
}

const JOBS: [Job; 5] = [
    Job::Reencrypt,
    Job::Encrypt,
    Job::EncryptWithShift,
    Job::Decrypt,
    Job::DecryptWithShift,
];

/// Where the data lies behind a header in its own place: one keyslot and what protects a zone.
const SHIFT: u64 = 102_400;
const PAYLOAD: u32 = 225_280;
const KEY_BYTES: usize = 16;

/// A job between two zones, or while a zone is written.
struct HalfWay {
    header: Vec<u8>,
    data: Vec<u8>,
}

/// A damaged reencryption is refused before anything is written, or its digest fits; then recovering writes the zone that was
/// being written, the header and nothing else, and going on stays where the data lies. A whole one is finished, and gives
/// its data.
///
/// # Panics
/// When one of these does not hold.
pub fn reencrypt_resume(data: &[u8]) -> bool {
    let mut input = Unstructured::new(data);
    let Ok(which) = input.choose_index(2 * 2 * JOBS.len()) else {
        return false;
    };
    let job = JOBS[which % JOBS.len()];
    let base = half_way(which);
    let header = Arc::new(SimulatedStorage::from_vec(base.header.clone()));
    let data = Arc::new(SimulatedStorage::from_vec(base.data.clone()));
    let mut is_damaged = input.arbitrary().unwrap_or(false) && damage_json(&mut input, &header);
    if input.arbitrary().unwrap_or(false) {
        // What protects a zone, and the zone: in no digest.
        let area = 0x8000 + (1 << 16)..0x8000 + (1 << 16) + 4096;
        let Ok(is_hit) = damage(&mut input, &*header, &[area], 4, 32) else {
            return false;
        };
        is_damaged |= is_hit;
    }
    header.restart();
    let Ok(luks) = Luks::open(header.clone()) else {
        assert!(is_damaged, "whole, and yet refused");
        return false;
    };
    let opened = unlock(&luks).and_then(|unlocked| {
        let is_proven = unlocked.check_reencryption().is_ok();
        Ok((is_proven, Running::open(&luks, unlocked, data.clone())?))
    });
    let running = match opened {
        Ok((is_proven, running)) => {
            assert!(is_proven, "taken without a digest");
            running
        }
        Err(error) => {
            assert!(is_damaged, "whole, and yet refused: {error}");
            assert!(header.is_untouched() && data.is_untouched());
            return false;
        }
    };
    go_on(running, job, &header, &data, is_damaged)
}

fn go_on(
    mut running: Running,
    job: Job,
    header: &Arc<SimulatedStorage>,
    data: &Arc<SimulatedStorage>,
    is_damaged: bool,
) -> bool {
    let hot = running.hot();
    let random = &mut Repeated(3);
    if running.check(&RunOptions::default()).is_err() {
        assert!(is_damaged, "whole, and yet refused");
        assert!(header.is_untouched() && data.is_untouched());
        return false;
    }
    let is_last = hot
        .as_ref()
        .is_some_and(|hot| running.left_bytes() == hot.end - hot.start);
    let recovered = running.recover(&RunOptions::default(), random);
    assert_eq!(recovered.expect("memory can be written"), hot.is_some());
    let mut allowed = hot.unwrap_or(0..0);
    if is_last {
        // What was put aside is wiped with the last zone, at the end of the storage.
        allowed.end = u64::MAX;
        if job == Job::EncryptWithShift || job == Job::DecryptWithShift {
            allowed.start = 0;
        }
    }
    let outside = |allowed: &Range<u64>| {
        let mut writes = data.operations().into_iter();
        writes.any(|operation| match operation {
            Operation::Write(range) => range.start < allowed.start || allowed.end < range.end,
            _ => false,
        })
    };
    assert!(!outside(&allowed), "recovery wrote elsewhere");
    let finished = running.run(&RunOptions::default(), random);
    assert_eq!(finished.expect("memory can be written"), Outcome::Finished);
    let bytes = data.len().expect("memory has a length");
    assert!(bytes <= data_bytes(job));
    if !is_damaged {
        let luks = Luks::open(header.clone()).expect("it was just written");
        let mut plaintext = vec![0; numbers().len()];
        let is_read = match job {
            Job::Decrypt | Job::DecryptWithShift => data.read_at(0, &mut plaintext),
            _ => {
                let unlocked = luks.unlock(&passphrase(PASSPHRASE), &options());
                let volume = unlocked
                    .expect("its passphrase opens it")
                    .volume(data.clone());
                volume.expect("it is whole").read_at(0, &mut plaintext)
            }
        };
        is_read.expect("it is all there");
        assert!(plaintext == numbers(), "other data");
    }
    true
}

/// Changes up to three values of the JSON, in both copies; whether one is another than before.
fn damage_json(input: &mut Unstructured<'_>, storage: &Arc<SimulatedStorage>) -> bool {
    let luks = Luks::open(storage.clone()).expect("it is whole");
    let Header::Luks2(header) = luks.header() else {
        unreachable!("it is LUKS2");
    };
    let before = Value::Object(header.metadata.raw().clone());
    let mut json = before.clone();
    for _ in 0..input.int_in_range(1..=3).unwrap_or(1) {
        let depth = input.int_in_range(2..=5).unwrap_or(3);
        if change(&mut json, depth, input).is_err() {
            break;
        }
    }
    let raw: Map<String, Value> = json.as_object().cloned().unwrap_or_default();
    let Ok(metadata) = Metadata::from_raw(raw, 0x4000) else {
        return false;
    };
    let changed = luks2::Header {
        metadata,
        ..header.clone()
    };
    for (which, at) in [(Which::Primary, 0), (Which::Secondary, 0x4000)] {
        let Ok(bytes) = changed.to_bytes(which, [7; 64]) else {
            return false;
        };
        storage.write_at(at, &bytes).expect("memory can be written");
    }
    json != before
}

fn half_way(which: usize) -> &'static HalfWay {
    static MADE: [OnceLock<HalfWay>; 20] = [const { OnceLock::new() }; 20];
    MADE[which].get_or_init(|| {
        let job = JOBS[which % JOBS.len()];
        let is_hot = which / JOBS.len() % 2 == 1;
        let protection = if which / JOBS.len() / 2 == 1 {
            Protection::Journal
        } else {
            Protection::Checksum(HashAlgorithm::Sha256)
        };
        make(job, is_hot, protection)
    })
}

fn data_bytes(job: Job) -> u64 {
    let extra = match job {
        Job::Reencrypt | Job::Encrypt | Job::Decrypt => 0,
        Job::EncryptWithShift => 2 * SHIFT,
        Job::DecryptWithShift => SHIFT,
    };
    u64::from(PAYLOAD) + extra
}

/// Stopped after its first zone, and where it is to be hot the disk fails while the second is written.
fn make(job: Job, is_hot: bool, protection: Protection) -> HalfWay {
    let header = Arc::new(SimulatedStorage::new(0));
    let data = Arc::new(SimulatedStorage::new(data_bytes(job)));
    let mut running = begin(job, protection, &header, &data);
    let hotzone_bytes = Some(4096);
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let once = || asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0;
    let one = RunOptions {
        hotzone_bytes,
        stop: &once,
        ..RunOptions::default()
    };
    running.run(&one, &mut Repeated(9)).expect("it is begun");
    if is_hot {
        data.fail(Fault {
            on: FaultOn::Write,
            after: 0,
            forever: true,
            os_error: 5,
        });
        let more = RunOptions {
            hotzone_bytes,
            ..RunOptions::default()
        };
        let failed = running.run(&more, &mut Repeated(9));
        assert!(failed.is_err(), "the disk fails");
    }
    HalfWay {
        header: header.snapshot(),
        data: data.snapshot(),
    }
}

fn begin(
    job: Job,
    protection: Protection,
    header: &Arc<SimulatedStorage>,
    data: &Arc<SimulatedStorage>,
) -> Running {
    let random = &mut Repeated(7);
    let (header, data): (Arc<dyn Storage>, Arc<dyn Storage>) = (header.clone(), data.clone());
    let is_shifted = matches!(job, Job::EncryptWithShift | Job::DecryptWithShift);
    let secret = passphrase(PASSPHRASE);
    let format_options = FormatOptions {
        cipher: "aes-cbc-essiv:sha256".parse().expect("a specification"),
        key_bytes: KEY_BYTES,
        kdf: CHEAP,
        digest_iterations: 1000,
        keyslots_bytes: Some(if is_shifted {
            (1 << 16) + 4096
        } else {
            (2 << 16) + 8192
        }),
        detached: !is_shifted,
        data_offset: is_shifted.then_some(SHIFT),
        ..FormatOptions::default()
    };
    let start = StartOptions {
        protection,
        cut: true,
        ..StartOptions::default()
    };
    let new = format::prepare(&format_options, &secret, None, random, &|| false);
    let mut new = new.expect("the options are fine");
    let is_encryption = matches!(job, Job::Encrypt | Job::EncryptWithShift);
    if is_encryption {
        data.write_at(0, &numbers()).expect("memory can be written");
        let shift = if is_shifted {
            Shift::PutAside
        } else {
            Shift::None
        };
        prepare_encrypt(&mut new, PAYLOAD.into(), shift, &start, random).expect("it has room");
    }
    new.write_areas(&*header, random)
        .expect("memory can be written");
    new.commit(&*header).expect("memory can be written");
    let luks = Luks::open(header.clone()).expect("it was just made");
    let open = |luks: &Luks| unlock(luks).expect("its passphrase opens it");
    if is_encryption {
        if is_shifted {
            put_aside(&luks, &open(&luks), &*data, random).expect("there is room");
        }
        let luks = Luks::open(header).expect("it was just made");
        return Running::open(&luks, open(&luks), data).expect("it is begun");
    }
    let volume = open(&luks).volume(data.clone()).expect("it is whole");
    volume
        .write_at(0, &numbers())
        .expect("memory can be written");
    let begun = match job {
        Job::Decrypt => start_decrypt(&luks, open(&luks), data, &start, random),
        Job::DecryptWithShift => {
            mark_decrypt_in_place(&luks, true, random).expect("memory can be written");
            let luks = Luks::open(header).expect("it was just made");
            start_decrypt_shift(&luks, open(&luks), data, &start, random)
        }
        _ => {
            let slot = NewSlot {
                replaces: 0,
                passphrase: &secret,
                options: KeyslotOptions {
                    kdf: CHEAP,
                    ..KeyslotOptions::default()
                },
            };
            let new = NewKey {
                cipher: format_options.cipher.clone(),
                key_bytes: KEY_BYTES,
                keyslots: vec![slot],
                digest: (HashAlgorithm::Sha256, 1000),
                ..NewKey::default()
            };
            start_reencrypt(&luks, open(&luks), data, new, &start, random)
        }
    };
    begun.expect("it has room")
}

fn unlock(luks: &Luks) -> Result<Unlocked, Error> {
    let options = UnlockOptions {
        unencrypted_data: true,
        ..options()
    };
    luks.unlock(&passphrase(PASSPHRASE), &options)
}

fn numbers() -> Vec<u8> {
    (0..PAYLOAD / 4).flat_map(u32::to_be_bytes).collect()
}
