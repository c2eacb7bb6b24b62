//! What opening a container costs beside the key derivation.

use std::fs;
use std::sync::Arc;

use dmcrypt::{DerivedKey, HashAlgorithm, Passphrase, SectorOptions, SectorSize};
use luks::{FormatOptions, KdfParams, Luks, OsRandom, Version, af, format};
use volume::{MemoryStorage, Storage};
use zeroize::Zeroizing;

use crate::harness::{Chart, Contest, Effort, Work};
use crate::machine::on_one_core;
use crate::peers::tools;

pub fn measure(effort: &Effort, each: &mut dyn FnMut(Chart)) {
    each(on_one_core(|| in_memory(effort)));
    if effort.peers {
        each(programs(effort));
    }
}

fn in_memory(effort: &Effort) -> Chart {
    let mut contest = Contest::new("Parts of opening a container", Work::Whole);
    for (name, version) in [
        (
            "read and check a LUKS2 header of 2 x 16 KiB",
            Version::Luks2,
        ),
        ("read and check a LUKS1 header", Version::Luks1),
    ] {
        let disk = container(version);
        contest.add(name, move || {
            Luks::open(disk.clone()).expect("the container is sound");
        });
    }
    let stripes = luks::defaults::STRIPES;
    let spec: dmcrypt::CipherSpec = luks::defaults::CIPHER
        .parse()
        .expect("the default is a specification");
    let options = SectorOptions {
        sector_size: SectorSize::B512,
        iv_large_sectors: false,
    };
    let slot_key: Vec<u8> = (0..64).collect();
    let cipher = spec
        .sector_cipher(&slot_key, options)
        .expect("64 bytes are a key for AES-256-XTS");
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

/// Whole processes, with a key derivation of 1000 iterations.
fn programs(effort: &Effort) -> Chart {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = container(Version::Luks2);
    let mut image = vec![0; 17 << 20];
    disk.read_at(0, &mut image).expect("memory does not fail");
    fs::write(folder.path().join("box"), image).expect("room for a container");
    fs::write(folder.path().join("key"), PASSPHRASE).expect("room for a key");
    let place = folder.path();
    let mut contest = Contest::new("Programs on a LUKS2 container", Work::Whole);
    let mut add = |name: &str, found: Result<(), String>, line: &'static str| match found {
        Ok(()) => contest.add(name, || tools::sh(place, line)),
        Err(why) => contest.miss(name, why),
    };
    let ours = || tools::luksmith().map(drop);
    let cryptsetup = || tools::find("cryptsetup", "cryptsetup-bin");
    add(
        "luksmith key test",
        ours(),
        "\"$LUKSMITH\" key test box --key-file key",
    );
    add(
        "cryptsetup open --test-passphrase",
        cryptsetup(),
        "cryptsetup open --test-passphrase box --key-file key",
    );
    add("luksmith inspect", ours(), "\"$LUKSMITH\" inspect box");
    add(
        "cryptsetup luksDump",
        cryptsetup(),
        "cryptsetup luksDump box",
    );
    contest.run(effort)
}

const PASSPHRASE: &[u8] = b"bench";

/// A container with the default sizes: LUKS2 with two copies of 16 KiB, a 64-byte key.
fn container(version: Version) -> Arc<dyn Storage> {
    let disk: Arc<dyn Storage> = Arc::new(MemoryStorage::new(17 << 20));
    let options = FormatOptions {
        version,
        kdf: KdfParams::Pbkdf2 {
            hash: HashAlgorithm::Sha256,
            iterations: 1000,
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
