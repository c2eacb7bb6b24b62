use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jobs::clone::{CloneOptions, NewKeys, Original, Pattern, Series, clone};
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

/// A disk of which the second half cannot be read any more from some moment on.
struct Dying {
    kept: MemoryStorage,
    /// So often it is read to its end.
    readings: AtomicUsize,
}

impl Storage for Dying {
    fn len(&self) -> io::Result<u64> {
        self.kept.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if offset + buf.len() as u64 == RAW_BYTES as u64 {
            let left = self.readings.load(Ordering::Relaxed);
            if left == 0 {
                return Err(io::Error::from_raw_os_error(5));
            }
            self.readings.store(left - 1, Ordering::Relaxed);
        }
        self.kept.read_at(offset, buf)
    }

    fn write_at(&self, _offset: u64, _data: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, mode: LockMode) -> io::Result<HeaderLock> {
        self.kept.lock(mode)
    }
}

/// What was made stays, and what was not has its line.
#[test]
fn where_the_source_ends_each_clone_that_is_missing_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let Format::Luks(format) = quick(Version::Luks1).format else {
        unreachable!("it has a header");
    };
    let mut made = Vec::new();
    for readings in [0, 10, 30, 60, 1000] {
        let source = place(
            "raw",
            Arc::new(Dying {
                kept: MemoryStorage::from_vec(bytes(RAW_BYTES)),
                readings: readings.into(),
            }),
        );
        let manifest = folder.path().join(format!("list-{readings}"));
        let options = CloneOptions {
            original: Original::Raw,
            version: Some(Version::Luks1),
            format: format.clone(),
            keys: NewKeys {
                passphrase: true,
                ..NewKeys::default()
            },
            series: Some(Series {
                count: 20,
                pattern: Pattern::parse(&format!("{readings}-{{index}}")).unwrap(),
                manifest: Some(manifest.clone()),
            }),
            ..CloneOptions::default()
        };
        let key = secret("pw");
        let target = Place::from(folder.path().to_owned());
        let outcome = clone(&source, &target, &options, &Passphrase(&key), &());
        let outcome = match outcome {
            Ok(outcome) => outcome,
            // Nothing could be begun.
            Err(error) => {
                assert!(matches!(error, Error::Source(_)), "{error}");
                assert!(!manifest.exists());
                made.push(0);
                continue;
            }
        };
        let clones = &outcome.report.clones;
        assert_eq!(clones.len(), 20);
        let list = std::fs::read_to_string(manifest).unwrap();
        let lines: Vec<_> = list.lines().collect();
        assert_eq!(lines.len(), 20);
        for (one, line) in clones.iter().zip(lines) {
            let is_made = folder.path().join(&one.name).exists();
            assert_eq!(one.error.is_none(), is_made, "{one:?}");
            assert_eq!(line.contains("\"error\""), !is_made, "{line}");
            assert!(line.contains(&format!("\"{}\"", one.name)), "{line}");
        }
        let count = clones.iter().filter(|one| one.error.is_none()).count();
        assert_eq!(outcome.failed.is_empty(), count == 20);
        made.push(count);
    }
    assert!(made.is_sorted(), "{made:?}");
    assert_eq!((made[0], made[4]), (0, 20), "{made:?}");
    assert!(made.iter().any(|count| (1..20).contains(count)), "{made:?}");
    let left = std::fs::read_dir(folder.path()).unwrap();
    let hidden = left.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.as_encoded_bytes().starts_with(b".")
    });
    assert_eq!(hidden.count(), 0);
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
