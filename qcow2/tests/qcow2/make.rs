//! What is left of an image whose making ends at any moment.

use std::sync::{Arc, Mutex};

use dmcrypt::{CipherSpec, SectorCipher, SectorOptions};
use qcow2::{Compat, Error, Image, Layer, NewImage, Writer};
use volume::{Fault, FaultOn, MemoryStorage, SimulatedStorage, Storage};

const SIZE: usize = 9 * 512;

fn disk() -> Vec<u8> {
    let mut disk = vec![0; SIZE];
    for (index, byte) in disk.iter_mut().enumerate() {
        // Two clusters in the middle are zeros.
        if !(1024..2048).contains(&index) {
            *byte = u8::try_from(index % 251).expect("small") | 1;
        }
    }
    disk
}

fn cipher() -> Arc<dyn SectorCipher> {
    let spec: CipherSpec = "aes-xts-plain64".parse().expect("a cipher");
    let key: Vec<u8> = (0..64).collect();
    spec.sector_cipher(&key, SectorOptions::default())
        .expect("a key")
        .into()
}

fn wanted(is_encrypted: bool, compat: Compat) -> NewImage {
    NewImage {
        cluster_bytes: 512,
        luks_bytes: is_encrypted.then_some(700),
        compat,
        ..NewImage::new(SIZE as u64)
    }
}

/// Makes an image, its LUKS header too, which is not looked at here.
fn make(storage: Arc<dyn Storage>, wanted: &NewImage) -> Result<(), Error> {
    let cipher = wanted.luks_bytes.map(|_| cipher());
    let writer = Writer::begin(storage, wanted, cipher)?;
    if let Some(window) = writer.luks_header()? {
        window.write_at(0, &[0x4c; 700])?;
    }
    for (index, chunk) in disk().chunks(1024).enumerate() {
        writer.write_at(index as u64 * 1024, chunk)?;
    }
    Ok(writer.finish()?)
}

/// `None` where there is no image, and else what it holds.
fn read(storage: Arc<dyn Storage>, is_encrypted: bool) -> Option<Vec<u8>> {
    let image = match Image::open(storage) {
        Err(Error::Magic) => return None,
        image => image.expect("an image, or none"),
    };
    let layer = Layer {
        cipher: is_encrypted.then(cipher),
        ..Layer::default()
    };
    let view = image.view(None, layer).expect("a view");
    let mut bytes = vec![0; SIZE];
    view.read_at(0, &mut bytes).expect("reads");
    if let Some(window) = image.luks_header().expect("a window") {
        let mut luks = [0; 700];
        window.read_at(0, &mut luks).expect("reads");
        assert_eq!(luks, [0x4c; 700]);
    }
    Some(bytes)
}

#[test]
fn what_is_written_in_any_order_is_read_through_the_writer_and_afterwards() {
    for is_encrypted in [false, true] {
        let file = Arc::new(MemoryStorage::new(0));
        let wanted = NewImage {
            cluster_bytes: 2048,
            ..wanted(is_encrypted, Compat::V1_1)
        };
        let writer = Writer::begin(file.clone(), &wanted, is_encrypted.then(cipher));
        let writer = writer.expect("begins");
        let disk = disk();
        for index in [8, 0, 3, 7, 1, 5, 2, 6, 4] {
            let sector = &disk[index * 512..][..512];
            writer.write_at(index as u64 * 512, sector).expect("writes");
            let mut found = [0; 512];
            writer
                .read_at(index as u64 * 512, &mut found)
                .expect("reads");
            assert_eq!(found, sector);
        }
        let mut odd = vec![0; 1000];
        writer.read_at(333, &mut odd).expect("reads");
        assert_eq!(odd, disk[333..1333]);
        // Zeros over data are data.
        writer.write_at(0, &[0; 2048]).expect("writes");
        writer.write_at(0, &disk[..2048]).expect("writes");
        for (at, len) in [
            (1, 512),
            (0, 511),
            (SIZE as u64, 512),
            (u64::MAX - 511, 512),
        ] {
            assert!(writer.write_at(at, &vec![1; len]).is_err(), "{at} {len}");
        }
        if let Some(window) = writer.luks_header().expect("a window") {
            window.write_at(0, &[0x4c; 700]).expect("writes");
        }
        writer.finish().expect("finishes");
        writer.finish().expect("is finished");
        assert!(writer.write_at(0, &[1; 512]).is_err());
        assert_eq!(read(file.clone(), is_encrypted), Some(disk.clone()));
        if is_encrypted {
            // Nothing of the plaintext is in the file.
            let bytes = file.snapshot();
            assert!(!bytes.windows(16).any(|found| found == &disk[2064..2080]));
        }
    }
}

#[test]
fn a_loss_of_power_leaves_no_image_or_a_whole_one() {
    let mut states = 0;
    for is_encrypted in [false, true] {
        for compat in [Compat::V0_10, Compat::V1_1] {
            for old in [0, 4096] {
                // A device holds an image already.
                let mut before = Vec::new();
                if old != 0 {
                    let file = Arc::new(MemoryStorage::new(0));
                    make(file.clone(), &wanted(false, compat)).expect("made");
                    before = file.snapshot();
                }
                let disk_of = SimulatedStorage::from_vec(before.clone());
                let storage = Arc::new(disk_of);
                make(storage.clone(), &wanted(is_encrypted, compat)).expect("made");
                // What is made is there to stay.
                for state in storage.crash_states_now(7) {
                    let found = read(Arc::new(state.storage), is_encrypted);
                    assert_eq!(found.as_ref(), Some(&disk()));
                }
                for state in storage.crash_states(7) {
                    let now = state.storage.snapshot();
                    if !before.is_empty() && now.get(..512) == before.get(..512) {
                        // Not begun: the old one.
                        continue;
                    }
                    let found = read(Arc::new(MemoryStorage::from_vec(now)), is_encrypted);
                    assert!(found.is_none_or(|found| found == disk()), "{state}");
                    states += 1;
                }
            }
        }
    }
    println!("cases: crashes while a qcow2 image is made {states} passed, 0 failed");
}

/// A disk that forgets one of its syncs.
struct Forgetful {
    disk: SimulatedStorage,
    left: Mutex<u32>,
}

impl Storage for Forgetful {
    fn len(&self) -> std::io::Result<u64> {
        self.disk.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
        self.disk.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.disk.write_at(offset, data)
    }

    fn sync(&self) -> std::io::Result<()> {
        let mut left = self.left.lock().expect("nobody panics");
        *left = left.wrapping_sub(1);
        if *left == u32::MAX {
            Ok(())
        } else {
            self.disk.sync()
        }
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.disk.set_len(len)
    }

    fn lock(&self, mode: volume::LockMode) -> std::io::Result<volume::HeaderLock> {
        self.disk.lock(mode)
    }
}

#[test]
fn the_sync_before_the_header_is_needed() {
    let storage = Arc::new(Forgetful {
        disk: SimulatedStorage::new(0),
        left: Mutex::new(0),
    });
    make(storage.clone(), &wanted(true, Compat::V1_1)).expect("made");
    let is_bad = |bytes: Vec<u8>| {
        let read = || read(Arc::new(MemoryStorage::from_vec(bytes.clone())), true);
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(read));
        found.map_or(true, |found| found.is_some_and(|found| found != disk()))
    };
    let mut states = storage.disk.crash_states(7);
    assert!(states.any(|state| is_bad(state.storage.snapshot())));
}

#[test]
fn an_error_of_the_disk_at_any_moment_leaves_no_image() {
    let mut count = 0;
    for after in 0.. {
        let storage = Arc::new(SimulatedStorage::new(0));
        storage.fail(Fault {
            on: FaultOn::Any,
            after,
            forever: false,
            os_error: 28,
        });
        let wanted = wanted(true, Compat::V1_1);
        if make(storage.clone(), &wanted).is_ok() {
            break;
        }
        let bytes = storage.snapshot();
        let is_whole = read(Arc::new(MemoryStorage::from_vec(bytes)), true);
        // The last sync fails once the header is written.
        assert!(is_whole.is_none_or(|found| found == disk()), "{after}");
        count += 1;
    }
    assert!(count > 10);
}
