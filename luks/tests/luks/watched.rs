//! What a header is read and repaired with that nothing else shows: locks, salts, and a refusal of what everybody opens.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use luks::repair::repair;
use luks::{Error, Luks, OsRandom, RepairOptions, Version};
use serde_json::json;
use volume::{HeaderLock, LockMode, MemoryStorage, Storage};

use crate::common::{memory, open, unlock};
use crate::headers::container;
use crate::tampering::{COPY, HEADER, json_of, with_json};

/// A container that counts how often its keyslot areas are read under a lock and without one.
struct Watched {
    inner: MemoryStorage,
    areas: Range<u64>,
    locks: Arc<AtomicUsize>,
    locked: AtomicUsize,
    unlocked: AtomicUsize,
}

/// Counts itself out.
struct Held(Arc<AtomicUsize>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Storage for Watched {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if self.areas.contains(&offset) {
            let is_held = self.locks.load(Ordering::SeqCst) > 0;
            let counter = if is_held {
                &self.locked
            } else {
                &self.unlocked
            };
            counter.fetch_add(1, Ordering::SeqCst);
        }
        self.inner.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write_at(offset, data)
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn punch_hole(&self, offset: u64, len: u64) -> io::Result<()> {
        self.inner.punch_hole(offset, len)
    }

    fn data_extent(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        self.inner.data_extent(offset)
    }

    fn lock(&self, mode: LockMode) -> io::Result<HeaderLock> {
        let inner = self.inner.lock(mode)?;
        self.locks.fetch_add(1, Ordering::SeqCst);
        Ok(HeaderLock::new((inner, Held(self.locks.clone()))))
    }
}

/// A change that is under way elsewhere would hand out half of an area.
#[test]
fn key_areas_are_read_under_the_lock_of_the_header() {
    for (version, areas) in [
        (Version::Luks1, 4096..0x8_0000),
        (Version::Luks2, HEADER as u64..0x8_0000),
    ] {
        let storage = Arc::new(Watched {
            inner: MemoryStorage::from_vec(container(version)),
            areas,
            locks: Arc::default(),
            locked: AtomicUsize::default(),
            unlocked: AtomicUsize::default(),
        });
        let luks = Luks::open(storage.clone()).unwrap();
        unlock(&luks, b"pw").unwrap();
        assert_eq!(storage.unlocked.load(Ordering::SeqCst), 0, "{version:?}");
        assert!(storage.locked.load(Ordering::SeqCst) > 0, "{version:?}");
        assert_eq!(storage.locks.load(Ordering::SeqCst), 0, "{version:?}");
    }
}

/// Everybody would open a keyslot whose own area is under the null cipher, whatever the data are under.
#[test]
fn a_keyslot_whose_area_is_in_the_clear_is_refused() {
    let image = container(Version::Luks2);
    let mut json = json_of(&image, 0);
    json["keyslots"]["0"]["area"]["encryption"] = json!("cipher_null-ecb");
    let image = with_json(&image, &[0, COPY], &json).unwrap();
    let (_, luks) = open(image).unwrap();
    for secret in [&b"pw"[..], b""] {
        let error = unlock(&luks, secret).err().expect("it is not opened");
        assert!(
            matches!(&error, Error::NullCipher { object, .. } if object == "keyslot 0"),
            "{error}"
        );
    }
}

/// Salts of the two headers differ, so that their checksums do where all else is equal.
#[test]
fn a_copy_that_is_made_anew_has_a_salt_of_its_own() {
    const SALT: Range<usize> = 104..168;
    const MEND: RepairOptions = RepairOptions {
        overwrite_foreign: false,
    };
    let image = container(Version::Luks2);
    let mut lost = image.clone();
    lost[COPY..2 * COPY].fill(0);
    let mended = |lost: &[u8]| {
        let disk = memory(lost.to_vec());
        repair(&*disk, MEND, &mut OsRandom).unwrap();
        let mut salt = [0; SALT.end - SALT.start];
        disk.read_at((COPY + SALT.start) as u64, &mut salt).unwrap();
        salt
    };
    let (one, other) = (mended(&lost), mended(&lost));
    assert_ne!(one[..], image[SALT]);
    assert_ne!(one, [0; 64]);
    assert_ne!(one, other);
}
