use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use luks::{Edit, Error, Luks, UnlockOptions};
use serde_json::json;
use volume::{HeaderLock, LockMode, MemoryStorage, Storage};

use crate::common::{memory, open, passphrase, plaintext, test_vectors, unxz};
use crate::copies::good;
use crate::tampering::{COPY, HEADER, exact, json_of, with_json};

/// Gives one header when a byte is read for the first time and another one ever after.
struct Fickle {
    first: MemoryStorage,
    later: MemoryStorage,
    /// Where the header ends.
    header_bytes: u64,
    /// Header bytes that were read, in the order of reading.
    reads: Mutex<Vec<Range<u64>>>,
}

impl Fickle {
    fn new(first: Vec<u8>, later: Vec<u8>, header_bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            first: MemoryStorage::from_vec(first),
            later: MemoryStorage::from_vec(later),
            header_bytes,
            reads: Mutex::default(),
        })
    }

    /// Each byte of the header was read once, and no other twice.
    fn assert_read_once(&self) {
        let mut reads = self.reads.lock().unwrap().clone();
        reads.sort_by_key(|read| read.start);
        let mut end = 0;
        for read in &reads {
            assert_eq!(read.start, end, "{reads:?}");
            end = read.end;
        }
        assert_eq!(end, self.header_bytes, "{reads:?}");
    }
}

impl Storage for Fickle {
    fn len(&self) -> io::Result<u64> {
        self.first.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if offset >= self.header_bytes {
            return self.first.read_at(offset, buf);
        }
        let range = offset..offset + buf.len() as u64;
        let mut reads = self.reads.lock().unwrap();
        let seen = reads
            .iter()
            .any(|before| before.start < range.end && range.start < before.end);
        reads.push(range);
        let storage = if seen { &self.later } else { &self.first };
        storage.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        panic!("{} bytes are written at {offset}", data.len())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        panic!("cut to {len}")
    }

    fn punch_hole(&self, offset: u64, len: u64) -> io::Result<()> {
        panic!("{len} bytes punched at {offset}")
    }

    fn data_extent(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        self.first.data_extent(offset)
    }

    fn lock(&self, mode: LockMode) -> io::Result<HeaderLock> {
        self.first.lock(mode)
    }
}

/// CVE-2025-59054's swap of the data cipher, made after the header was checked.
#[test]
fn a5_the_header_is_read_once_and_what_was_checked_is_what_is_used() {
    let luks2 = good();
    let mut json = json_of(&luks2, 0);
    json["segments"]["0"]["encryption"] = json!("cipher_null-ecb");
    let luks2_swapped = with_json(&luks2, &[0, COPY], &json).unwrap();

    let luks1 = unxz(&test_vectors().join("luks1/xts-256-sha1.img.xz"));
    let mut luks1_swapped = luks1.clone();
    luks1_swapped[8..72].fill(0);
    luks1_swapped[8..19].copy_from_slice(b"cipher_null");
    luks1_swapped[40..43].copy_from_slice(b"ecb");

    let cases = [
        (luks2, luks2_swapped, HEADER as u64),
        (luks1, luks1_swapped, 4096),
    ];
    let count = cases.len();
    for (image, swapped, header_bytes) in cases {
        // Even who would read a null cipher gets the header that was checked.
        let options = UnlockOptions {
            null_cipher: true,
            ..UnlockOptions::default()
        };
        let (_, honest) = open(image.clone()).unwrap();
        let unlocked = honest.unlock(&passphrase(b"golden"), &options).unwrap();
        let expected = plaintext(&unlocked.volume(memory(image.clone())).unwrap());

        let policy = exact(image.clone());
        let (_, other) = open(swapped.clone()).unwrap();
        assert!(matches!(policy.check(&other), Err(Error::PolicyRefuses(_))));

        let storage = Fickle::new(image, swapped, header_bytes);
        let luks = Luks::open(storage.clone()).unwrap();
        policy.check(&luks).unwrap();
        let unlocked = luks.unlock(&passphrase(b"golden"), &options).unwrap();
        let volume = unlocked.volume(storage.clone()).unwrap();
        assert!(plaintext(&volume) == expected);
        storage.assert_read_once();

        // A change reads again, under its lock, and refuses what it did not see before.
        assert!(matches!(Edit::begin(&luks), Err(Error::Changed)));
    }
    println!("cases: header read once {count} passed, 0 failed");
}
