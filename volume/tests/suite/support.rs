//! What several topics need.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use dmcrypt::{CipherSpec, SectorCipher, SectorOptions, SectorSize};
use volume::{HeaderLock, LockMode, Mapping, Segment, SegmentKind, Storage, Volume};

/// AES-128-XTS with plain64 IVs.
pub(crate) fn cipher(sector_size: SectorSize) -> Arc<dyn SectorCipher> {
    let spec: CipherSpec = "aes-xts-plain64".parse().unwrap();
    let key: Vec<u8> = (0..32).collect();
    let options = SectorOptions {
        sector_size,
        iv_large_sectors: false,
    };
    Arc::from(spec.sector_cipher(&key, options).unwrap())
}

pub(crate) fn crypt(
    length: u64,
    storage_offset: u64,
    size: SectorSize,
    first_iv_sector: u64,
) -> Segment {
    let kind = SegmentKind::Crypt {
        cipher: cipher(size),
        first_iv_sector,
    };
    Segment {
        length,
        storage_offset,
        elsewhere: None,
        kind,
    }
}

/// A volume of one encrypted segment at `storage_offset`, with IVs from 7 on.
pub(crate) fn simple_volume(
    storage: Arc<dyn Storage>,
    storage_offset: u64,
    len: u64,
    size: SectorSize,
) -> Volume {
    let segment = crypt(len, storage_offset, size, 7);
    Volume::new(storage, Mapping::new(vec![segment]).unwrap())
}

/// What such a volume keeps for `plaintext`, from one call of the cipher.
pub(crate) fn encrypted(plaintext: &[u8], size: SectorSize) -> Vec<u8> {
    let mut bytes = plaintext.to_vec();
    cipher(size).encrypt(7, &mut bytes);
    bytes
}

/// Bytes without zeros or repeats that a shift could hide.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let step = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u8::try_from(state >> 57).unwrap() + 1
    };
    (0..len).map(step).collect()
}

/// Runs `action` on a thread of its own, and fails instead of waiting for ever.
pub(crate) fn in_time<T: Send + 'static>(action: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let runner = std::thread::spawn(move || sender.send(action()));
    match receiver.recv_timeout(Duration::from_secs(60)) {
        Ok(value) => value,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("still running after a minute"),
        Err(mpsc::RecvTimeoutError::Disconnected) => std::panic::resume_unwind(
            runner
                .join()
                .expect_err("the action sends unless it panics"),
        ),
    }
}

/// A storage with a look at every operation before it happens.
pub(crate) struct Watched<S, F> {
    pub(crate) inner: S,
    pub(crate) before: F,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Read,
    Write,
}

impl<S: Storage, F: Fn(&S, Kind) + Send + Sync> Storage for Watched<S, F> {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        (self.before)(&self.inner, Kind::Read);
        self.inner.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        (self.before)(&self.inner, Kind::Write);
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
        self.inner.lock(mode)
    }
}
