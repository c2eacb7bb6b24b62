//! What opening a container costs beside the key derivation: reading and checking the header, and turning a keyslot's
//! area back into the volume key.

use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use dmcrypt::{DerivedKey, HashAlgorithm, Passphrase, SectorOptions, SectorSize};
use luks::{FormatOptions, KdfParams, Luks, OsRandom, af, format};
use volume::{MemoryStorage, Storage};
use zeroize::Zeroizing;

/// A container with the default sizes: two copies of 16 KiB, a 64-byte key.
fn container() -> Arc<dyn Storage> {
    let disk: Arc<dyn Storage> = Arc::new(MemoryStorage::new(17 << 20));
    let options = FormatOptions {
        kdf: KdfParams::Pbkdf2 {
            hash: HashAlgorithm::Sha256,
            iterations: 1000,
        },
        digest_iterations: 1000,
        ..FormatOptions::default()
    };
    let passphrase = Passphrase::from_bytes(Zeroizing::new(b"bench".to_vec()));
    let new = format::prepare(&options, &passphrase, None, &mut OsRandom, &|| false)
        .expect("the options are good");
    new.write_areas(&*disk, &mut OsRandom)
        .expect("memory does not fail");
    new.commit(&*disk).expect("memory does not fail");
    disk
}

fn open_header(c: &mut Criterion) {
    let disk = container();
    c.bench_function("open a LUKS2 header of 2 x 16 KiB", |b| {
        b.iter(|| Luks::open(disk.clone()).expect("the container is sound"));
    });
}

fn key_material(c: &mut Criterion) {
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
    c.bench_function("decrypt and merge the key material of a 64-byte key", |b| {
        b.iter(|| {
            cipher.decrypt(0, material.expose_mut());
            af::merge(&material, 64, stripes, HashAlgorithm::Sha256)
        });
    });
}

criterion_group!(benches, open_header, key_material);
criterion_main!(benches);
