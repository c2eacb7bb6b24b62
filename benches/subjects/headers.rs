//! What opening a container costs beside the key derivation.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use dmcrypt::{DerivedKey, HashAlgorithm, Passphrase, SectorSize, VolumeKey};
use luks::seal::SealWanted;
use luks::{FormatOptions, KdfParams, Luks, OsRandom, UnlockOptions, Version, af, edit, format};
use volume::{MemoryStorage, Storage};
use zeroize::Zeroizing;

use super::in_place::cipher_by;
use crate::harness::{Chart, Contest, Effort, Work};
use crate::machine::on_one_core;
use crate::peers::tools;

pub fn measure(effort: &Effort, each: &mut dyn FnMut(Chart)) {
    each(on_one_core(|| in_memory(effort)));
    if effort.peers {
        programs(effort, each);
    }
}

fn in_memory(effort: &Effort) -> Chart {
    let mut contest = Contest::new("Parts of opening a container", Work::Whole).without_ratios();
    for (name, version) in [
        (
            "read and check a LUKS2 header of 2 x 16 KiB",
            Version::Luks2,
        ),
        ("read and check a LUKS1 header", Version::Luks1),
    ] {
        let disk = container(version, FEW_ITERATIONS);
        contest.add(name, move || {
            Luks::open(disk.clone()).expect("the container is sound");
        });
    }
    seals(&mut contest);
    let stripes = luks::defaults::STRIPES;
    let slot_key: Vec<u8> = (0..64).collect();
    let cipher = cipher_by(None, luks::defaults::CIPHER, &slot_key, SectorSize::B512);
    let mut material = DerivedKey::zeroed(64 * stripes as usize);
    contest.add(
        "decrypt and merge the key material of a 64-byte key",
        move || {
            cipher.decrypt(0, material.expose_mut());
            af::merge(&material, 64, stripes, HashAlgorithm::Sha256);
        },
    );
    contest.run(effort)
}

/// What it takes to unlock by the volume key alone, and to check a seal beside it.
fn seals(contest: &mut Contest) {
    let disk = container(Version::Luks2, FEW_ITERATIONS);
    let passphrase = Passphrase::from_bytes(Zeroizing::new(PASSPHRASE.to_vec()));
    let unlock = |disk: &Arc<dyn Storage>| {
        let luks = Luks::open(Arc::clone(disk)).expect("the container is sound");
        let unlocked = luks.unlock(&passphrase, &UnlockOptions::default());
        (luks, unlocked.expect("that is its passphrase"))
    };
    let (luks, unlocked) = unlock(&disk);
    edit::seal(&luks, &unlocked, &mut OsRandom).expect("memory does not fail");
    let (luks, unlocked) = unlock(&disk);
    let file = luks.seal_in_file(&unlocked, &mut OsRandom);
    let file = file.expect("memory does not fail");
    assert_eq!(file.bytes(), 16 << 20, "the seal covers what is said");
    let luks = Arc::new(luks);
    let key = Arc::new(unlocked);
    for (name, required, file) in [
        ("unlock LUKS2 by its volume key", false, None),
        ("the same, and check a seal in a token", true, None),
        (
            "the same, and check a seal in a file over 16 MiB",
            false,
            Some(file),
        ),
    ] {
        let (luks, key) = (Arc::clone(&luks), Arc::clone(&key));
        contest.add(name, move || {
            let bytes = key.volume_key().expose().to_vec();
            let key = VolumeKey::from_bytes(Zeroizing::new(bytes));
            let options = UnlockOptions {
                seal: SealWanted {
                    required,
                    file: file.as_ref(),
                    min_epoch: None,
                },
                ..UnlockOptions::default()
            };
            luks.unlock_with_volume_key(key, &options)
                .expect("the seal is right");
        });
    }
}

/// Whole processes: one contest for each thing that they do.
fn programs(effort: &Effort, each: &mut dyn FnMut(Chart)) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("key"), PASSPHRASE).expect("room for a key");
    for (name, version, iterations) in [
        ("LUKS2", Version::Luks2, FEW_ITERATIONS),
        ("LUKS2", Version::Luks2, MANY_ITERATIONS),
        ("LUKS1", Version::Luks1, MANY_ITERATIONS),
    ] {
        store(&*container(version, iterations), folder.path());
        each(contest(
            effort,
            folder.path(),
            format!("Unlocking {name}, {iterations} iterations of PBKDF2-SHA-256, programs"),
            &[
                (
                    "luksmith",
                    "luksmith key test",
                    "key test box --key-file key",
                ),
                ("cryptsetup", "cryptsetup open --test-passphrase", OPEN),
                (
                    "luksmith",
                    "luksmith cryptsetup open --test-passphrase",
                    OPEN,
                ),
            ],
        ));
    }
    store(&*container(Version::Luks2, FEW_ITERATIONS), folder.path());
    let (dump, is_luks) = ("luksDump box", "isLuks box");
    each(contest(
        effort,
        folder.path(),
        "luksDump of a LUKS2 header of 2 x 16 KiB, programs".to_owned(),
        &[
            ("luksmith", "luksmith cryptsetup luksDump", dump),
            ("cryptsetup", "cryptsetup luksDump", dump),
            ("luksmith", "luksmith inspect", "inspect box"),
        ],
    ));
    each(contest(
        effort,
        folder.path(),
        "isLuks of a LUKS2 header of 2 x 16 KiB, programs".to_owned(),
        &[
            ("luksmith", "luksmith cryptsetup isLuks", is_luks),
            ("cryptsetup", "cryptsetup isLuks", is_luks),
        ],
    ));
}

const OPEN: &str = "open --test-passphrase box --key-file key";

/// Contestants: the program, a name that begins as its command line does, and the rest of that line.
fn contest(effort: &Effort, folder: &Path, title: String, list: &[(&str, &str, &str)]) -> Chart {
    let mut contest = Contest::new(title, Work::Whole);
    for &(program, name, rest) in list {
        let (found, start) = match program {
            "luksmith" if name.starts_with("luksmith cryptsetup") => {
                (tools::luksmith().map(drop), "\"$LUKSMITH\" cryptsetup")
            }
            "luksmith" => (tools::luksmith().map(drop), "\"$LUKSMITH\""),
            _ => (tools::find(program, "cryptsetup-bin"), program),
        };
        match found {
            Ok(()) => contest.add(name, move || tools::sh(folder, &format!("{start} {rest}"))),
            Err(why) => contest.miss(name, why),
        }
    }
    contest.run(effort)
}

/// A container becomes a file.
fn store(disk: &dyn Storage, folder: &Path) {
    let mut image = vec![0; 17 << 20];
    disk.read_at(0, &mut image).expect("memory does not fail");
    fs::write(folder.join("box"), image).expect("room for a container");
}

const FEW_ITERATIONS: u32 = 1000;
/// As many as an ordinary container has.
const MANY_ITERATIONS: u32 = 1_000_000;
const PASSPHRASE: &[u8] = b"bench";

/// A container with the default sizes: LUKS2 with two copies of 16 KiB, a 64-byte key.
fn container(version: Version, iterations: u32) -> Arc<dyn Storage> {
    let disk: Arc<dyn Storage> = Arc::new(MemoryStorage::new(17 << 20));
    let options = FormatOptions {
        version,
        kdf: KdfParams::Pbkdf2 {
            hash: HashAlgorithm::Sha256,
            iterations,
        },
        digest_iterations: 1000,
        sector_size: SectorSize::B512,
        ..FormatOptions::default()
    };
    let passphrase = Passphrase::from_bytes(Zeroizing::new(PASSPHRASE.to_vec()));
    let new = format::prepare(&options, &passphrase, None, &mut OsRandom, &|| false)
        .expect("the options are good");
    new.write_areas(&*disk, &mut OsRandom)
        .expect("memory does not fail");
    new.commit(&*disk).expect("memory does not fail");
    disk
}
