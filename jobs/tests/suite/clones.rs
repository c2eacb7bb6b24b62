use std::io;
use std::ops::Range;
use std::sync::Arc;

use jobs::clone::{CloneOptions, NewKeys, Original, clone};
use jobs::encrypt::Format;
use jobs::error::CloneError;
use jobs::secret::Passphrase;
use jobs::{Error, Place};
use luks::Version;
use volume::{HeaderLock, LockMode, MemoryStorage, Storage};

use crate::{bytes, memory, place, quick, secret};

const RAW_BYTES: usize = 1 << 20;

/// A disk that keeps one byte otherwise than it was written, and says nothing.
struct Lying {
    kept: MemoryStorage,
    at: u64,
}

impl Storage for Lying {
    fn len(&self) -> io::Result<u64> {
        self.kept.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.kept.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut data = data.to_vec();
        let within = self.at.checked_sub(offset);
        let byte = within.and_then(|within| data.get_mut(usize::try_from(within).ok()?));
        if let Some(byte) = byte {
            *byte ^= 1;
        }
        self.kept.write_at(offset, &data)
    }

    fn sync(&self) -> io::Result<()> {
        self.kept.sync()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.kept.set_len(len)
    }

    fn data_extent(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        self.kept.data_extent(offset)
    }

    fn lock(&self, mode: LockMode) -> io::Result<HeaderLock> {
        self.kept.lock(mode)
    }
}

fn clone_onto(at: u64) -> Result<u64, Error> {
    let source = place("raw", memory(bytes(RAW_BYTES)));
    let disk = Arc::new(Lying {
        kept: MemoryStorage::new(0),
        at,
    });
    let Format::Luks(format) = quick(Version::Luks1).format else {
        unreachable!("it has a header");
    };
    let options = CloneOptions {
        original: Original::Raw,
        version: Some(Version::Luks1),
        format,
        keys: NewKeys {
            passphrase: true,
            ..NewKeys::default()
        },
        ..CloneOptions::default()
    };
    let key = secret("pw");
    let target: Place = place("disk", disk);
    let outcome = clone(&source, &target, &options, &Passphrase(&key), &())?;
    Ok(outcome.report.report.payload_offset)
}

/// What the disk keeps is read back before anybody is told that there is a clone.
#[test]
fn what_a_disk_has_not_kept_is_no_clone() {
    let data = clone_onto(u64::MAX).unwrap();
    for at in [data, data + RAW_BYTES as u64 - 1] {
        let refused = clone_onto(at);
        assert!(
            matches!(refused, Err(Error::Clone(CloneError::NotProven { .. }))),
            "{at}: {refused:?}"
        );
    }
    // Of the header a byte of the digest, and of the key material one.
    for at in [112, 4096 + 100] {
        assert!(clone_onto(at).is_err(), "{at}");
    }
}
