//! Containers in partitions in containers: what one holds is a place like any other.

use std::sync::Arc;

use dmcrypt::{CipherSpec, HashAlgorithm, SectorOptions, SectorSize};
use luks::{FormatOptions, KdfParams, KeyslotOptions, Luks, OsRandom, Version, format, keyslots};
use volume::{
    LockMode, Mapping, Operation, Segment, SegmentKind, SimulatedStorage, Storage, Volume, Window,
};

use crate::common::{passphrase, unlock};

const DISK_BYTES: u64 = 24 << 20;

/// What is put into what.
#[derive(Clone, Copy)]
enum Layer {
    Luks(Version, SectorSize),
    /// Without a header, as cryptsetup's plain mode.
    Plain,
    /// All but the first bytes, so many, which are no multiple of any sector.
    Partition(u64),
}

use Layer::{Luks as Container, Partition, Plain};
use Version::{Luks1, Luks2};

const STACKS: &[&[Layer]] = &[
    &[
        Container(Luks2, SectorSize::B4096),
        Container(Luks1, SectorSize::B512),
    ],
    &[
        Container(Luks1, SectorSize::B512),
        Container(Luks2, SectorSize::B512),
    ],
    &[Plain, Container(Luks2, SectorSize::B4096)],
    &[
        Partition(1_000_001),
        Container(Luks1, SectorSize::B512),
        Partition(77),
        Plain,
        Container(Luks2, SectorSize::B4096),
        Container(Luks2, SectorSize::B512),
    ],
];

fn kdf() -> KdfParams {
    KdfParams::Pbkdf2 {
        hash: HashAlgorithm::Sha256,
        iterations: 1000,
    }
}

fn make(place: &dyn Storage, version: Version, sector_size: SectorSize) {
    let options = FormatOptions {
        version,
        sector_size,
        kdf: kdf(),
        digest_iterations: 1000,
        data_offset: Some(2 << 20),
        keyslots_bytes: (version == Luks2).then_some(1 << 20),
        ..FormatOptions::default()
    };
    let new = format::prepare(&options, &passphrase(b"old"), None, &mut OsRandom, &|| {
        false
    })
    .unwrap();
    new.write_areas(place, &mut OsRandom).unwrap();
    new.commit(place).unwrap();
}

/// What a layer holds.
fn open(place: Arc<dyn Storage>, layer: Layer) -> Arc<dyn Storage> {
    match layer {
        Container(version, _) => {
            let luks = Luks::open(Arc::clone(&place)).unwrap();
            assert_eq!(
                matches!(luks.header(), luks::Header::Luks1(_)),
                version == Luks1
            );
            Arc::new(unlock(&luks, b"old").unwrap().volume(place).unwrap())
        }
        Plain => {
            let spec: CipherSpec = "aes-cbc-essiv:sha256".parse().unwrap();
            let options = SectorOptions {
                sector_size: SectorSize::B512,
                iv_large_sectors: false,
            };
            let length = place.len().unwrap() / 512 * 512;
            let kind = SegmentKind::Crypt {
                cipher: Arc::from(spec.sector_cipher(&[5; 32], options).unwrap()),
                first_iv_sector: 0,
            };
            let segment = Segment {
                length,
                storage_offset: 0,
                elsewhere: None,
                kind,
            };
            Arc::new(Volume::new(place, Mapping::new(vec![segment]).unwrap()))
        }
        Partition(start) => {
            let end = place.len().unwrap();
            Arc::new(Window::new(place, start..end).unwrap())
        }
    }
}

/// Made from outside to inside, written, and opened again from the disk's bytes alone.
#[test]
fn whatever_a_container_lies_in() {
    for stack in STACKS {
        let disk = Arc::new(SimulatedStorage::new(DISK_BYTES));
        let mut place: Arc<dyn Storage> = Arc::clone(&disk) as _;
        for &layer in *stack {
            if let Container(version, sector_size) = layer {
                make(&*place, version, sector_size);
            }
            place = open(place, layer);
        }
        let text = b"a text within, which nothing outside shows";
        place.write_at(1234, text).unwrap();
        place.sync().unwrap();
        assert_eq!(disk.operations().last(), Some(&Operation::Sync));

        let bytes = disk.snapshot();
        assert!(
            !bytes.windows(8).any(|window| window == &text[..8]),
            "in the clear"
        );
        let disk: Arc<dyn Storage> = Arc::new(SimulatedStorage::from_vec(bytes));
        let inside = stack.iter().fold(disk, |place, &layer| open(place, layer));
        let mut read = vec![0; text.len()];
        inside.read_at(1234, &mut read).unwrap();
        assert_eq!(read, text);
        assert_eq!(inside.len().unwrap(), place.len().unwrap());
    }
}

/// A header that lies in a volume is changed as any is, under the lock of the image that the volume lies in.
#[test]
fn a_header_inside_is_changed_under_the_lock_outside() {
    let disk = Arc::new(SimulatedStorage::new(DISK_BYTES));
    make(&*disk, Luks2, SectorSize::B4096);
    let outside = open(Arc::clone(&disk) as _, Container(Luks2, SectorSize::B4096));
    make(&*outside, Luks2, SectorSize::B512);

    disk.restart();
    let luks = Luks::open(Arc::clone(&outside)).unwrap();
    let unlocked = unlock(&luks, b"old").unwrap();
    let options = KeyslotOptions {
        kdf: kdf(),
        ..KeyslotOptions::default()
    };
    keyslots::add(
        &luks,
        &unlocked,
        &passphrase(b"new"),
        &options,
        &mut OsRandom,
    )
    .unwrap();

    let mut is_locked = false;
    for operation in disk.operations() {
        match operation {
            Operation::Lock(LockMode::Exclusive) => is_locked = true,
            Operation::Unlock(LockMode::Exclusive) => is_locked = false,
            Operation::Write(range) => assert!(is_locked, "bytes {range:?}"),
            _ => (),
        }
    }
    assert!(!is_locked);

    let image: Arc<dyn Storage> = Arc::new(SimulatedStorage::from_vec(disk.snapshot()));
    let outside = open(image, Container(Luks2, SectorSize::B4096));
    let luks = Luks::open(outside).unwrap();
    for (secret, opens) in [(&b"old"[..], Some(0)), (b"new", Some(1)), (b"none", None)] {
        let keyslot = unlock(&luks, secret).ok().and_then(|it| it.keyslot());
        assert_eq!(keyslot, opens);
    }
}
