//! The jobs as a program without a terminal calls them.

mod changes;
mod clones;
mod keys;
mod places;
mod qcow2_images;
mod unmangle;
mod watching;

use std::sync::Arc;

use dmcrypt::LockedBytes;
use jobs::Place;
use jobs::encrypt::{EncryptOptions, Format};
use jobs::new_luks::{Cost, Kdf, LuksOptions};
use luks::Version;
use volume::{MemoryStorage, Storage};

/// A name for some bytes.
fn place(name: &str, storage: Arc<dyn Storage>) -> Place {
    Place::Storage {
        name: name.to_owned(),
        storage,
    }
}

/// A container that is quick to open.
fn quick(version: Version) -> EncryptOptions {
    EncryptOptions {
        format: Format::Luks(LuksOptions {
            version,
            cost: Cost {
                kdf: Some(Kdf::Pbkdf2),
                iterations: Some(1000),
                ..Cost::default()
            },
            ..LuksOptions::default()
        }),
        ..EncryptOptions::default()
    }
}

fn secret(text: &str) -> LockedBytes {
    LockedBytes::copy_of(text.as_bytes())
}

/// Bytes in which each place is another, so that one that is read from elsewhere shows.
fn bytes(len: usize) -> Vec<u8> {
    (0..len / 8)
        .flat_map(|place| {
            (place as u64)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .to_le_bytes()
        })
        .collect()
}

fn all_of(storage: &dyn Storage) -> Vec<u8> {
    let len = storage.len().expect("memory has a length");
    let mut all = vec![0; usize::try_from(len).expect("it is in memory")];
    storage.read_at(0, &mut all).expect("memory can be read");
    all
}

fn memory(bytes: Vec<u8>) -> Arc<dyn Storage> {
    Arc::new(MemoryStorage::from_vec(bytes))
}
