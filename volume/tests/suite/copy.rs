use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use dmcrypt::SectorSize;
use volume::{
    CopyError, CopyOptions, MemoryStorage, SimulatedStorage, Sink, Source, Storage, Volume, copy,
};

use crate::support::{cipher, encrypted, pattern, simple_volume};

pub(crate) const CHUNK: usize = 16 * 1024;

pub(crate) fn options(threads: usize) -> CopyOptions<'static> {
    CopyOptions {
        threads,
        chunk_bytes: CHUNK,
        ..CopyOptions::default()
    }
}

/// A stream that yields its bytes in pieces of changing size, with an interruption now and then.
struct Short<'a> {
    bytes: &'a [u8],
    calls: usize,
}

impl Read for Short<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.calls += 1;
        if self.calls.is_multiple_of(5) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let len = buf
            .len()
            .min(self.calls * 7919 % 5000 + 1)
            .min(self.bytes.len());
        let (now, later) = self.bytes.split_at(len);
        buf[..len].copy_from_slice(now);
        self.bytes = later;
        Ok(len)
    }
}

/// A stream to write to, that takes a few bytes at a time.
#[derive(Clone, Default)]
pub(crate) struct Collected(Arc<Mutex<Vec<u8>>>);

impl Collected {
    pub(crate) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Write for Collected {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let len = data.len().min(3000);
        self.0.lock().unwrap().extend_from_slice(&data[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs `action` with the same plaintext as each kind of source.
pub(crate) fn with_each_source(plain: &[u8], mut action: impl FnMut(&str, Source<'_>)) {
    let at_end = [vec![9; 1000], plain.to_vec(), vec![9; 1000]].concat();
    let storage = MemoryStorage::from_vec(at_end);
    let len = plain.len() as u64;
    action(
        "storage",
        Source::Storage {
            storage: &storage,
            offset: 1000,
            len,
        },
    );
    action(
        "stream",
        Source::Stream(Box::new(Short {
            bytes: plain,
            calls: 0,
        })),
    );
    for size in [SectorSize::B512, SectorSize::B4096] {
        if !plain.len().is_multiple_of(size.bytes()) {
            continue;
        }
        let ciphertext = encrypted(plain, size);
        let storage = Arc::new(MemoryStorage::new(8192));
        storage.write_at(4096, &ciphertext).unwrap();
        action(
            "volume",
            Source::Volume(&simple_volume(storage, 4096, len, size)),
        );
        // A stream may end within a sector.
        let longer = [ciphertext, vec![5; 300]].concat();
        let reader = Box::new(Short {
            bytes: &longer,
            calls: 0,
        });
        action(
            "cipher stream",
            Source::CipherStream {
                reader,
                cipher: cipher(size),
                first_iv_sector: 7,
            },
        );
    }
}

#[test]
fn every_source_reaches_every_sink() {
    let mut plain = pattern(20 * CHUNK + 4096);
    plain[3 * CHUNK..4 * CHUNK + 100].fill(0);
    for len in [plain.len(), 8192, 4096, 0] {
        let plain = &plain[..len];
        for threads in [1, 4] {
            let run = |source: Source<'_>, sink: Sink<'_>, name: &str| {
                let tail = if matches!(source, Source::CipherStream { .. }) {
                    300
                } else {
                    0
                };
                let copied = copy(source, sink, &options(threads)).unwrap();
                let found = (copied.bytes, copied.padding_bytes, copied.tail_bytes);
                assert_eq!(found, (len as u64, 0, tail), "{name}");
            };
            for sparse in [false, true] {
                with_each_source(plain, |name, source| {
                    let storage = MemoryStorage::new(0);
                    run(
                        source,
                        Sink::Storage {
                            storage: &storage,
                            offset: 500,
                            sparse,
                        },
                        name,
                    );
                    let expected = if len == 0 && !sparse {
                        Vec::new()
                    } else {
                        [&[0; 500], plain].concat()
                    };
                    assert!(storage.snapshot() == expected, "{name} to storage");
                });
            }
            with_each_source(plain, |name, source| {
                let collected = Collected::default();
                run(source, Sink::Stream(Box::new(collected.clone())), name);
                assert!(collected.take() == plain, "{name} to stream");
            });
            for size in [SectorSize::B512, SectorSize::B4096] {
                with_each_source(plain, |name, source| {
                    let storage = Arc::new(MemoryStorage::new(0));
                    let volume =
                        simple_volume(Arc::clone(&storage) as _, 512, len as u64 + 8192, size);
                    run(source, Sink::Volume(&volume), name);
                    let ciphertext = encrypted(plain, size);
                    assert!(
                        storage.snapshot().get(512..).unwrap_or_default() == ciphertext,
                        "{name} to volume"
                    );
                });
                with_each_source(plain, |name, source| {
                    let collected = Collected::default();
                    let writer = Box::new(collected.clone());
                    run(
                        source,
                        Sink::CipherStream {
                            writer,
                            cipher: cipher(size),
                            first_iv_sector: 7,
                        },
                        name,
                    );
                    assert!(
                        collected.take() == encrypted(plain, size),
                        "{name} to cipher stream"
                    );
                });
            }
        }
    }
}

#[test]
fn odd_lengths_pass_between_what_has_no_sectors() {
    let plain = pattern(5 * CHUNK + 77);
    with_each_source(&plain, |name, source| {
        let storage = MemoryStorage::new(0);
        copy(
            source,
            Sink::Storage {
                storage: &storage,
                offset: 0,
                sparse: false,
            },
            &options(3),
        )
        .unwrap();
        assert!(storage.snapshot() == plain, "{name}");
    });
}

#[test]
fn a_partial_sector_is_refused_or_padded() {
    let plain = pattern(2 * CHUNK + 700);
    let target = || Arc::new(SimulatedStorage::new(0));
    let volume = |storage: &Arc<SimulatedStorage>| {
        simple_volume(
            Arc::clone(storage) as _,
            0,
            4 * CHUNK as u64,
            SectorSize::B4096,
        )
    };
    with_each_source(&plain, |name, source| {
        let storage = target();
        let error = copy(source, Sink::Volume(&volume(&storage)), &options(2)).unwrap_err();
        assert!(
            matches!(
                error,
                CopyError::PartialSector {
                    bytes: 33_468,
                    sector_bytes: 4096
                }
            ),
            "{name}: {error}"
        );
        assert!(storage.is_untouched() || name == "stream");
    });
    for pad_to in [512, 4096, 8192] {
        let padded = plain.len().next_multiple_of(pad_to);
        with_each_source(&plain, |name, source| {
            let storage = target();
            let pad = CopyOptions {
                pad_to: Some(pad_to),
                ..options(2)
            };
            let result = copy(source, Sink::Volume(&volume(&storage)), &pad);
            if pad_to == 512 {
                assert!(
                    matches!(result, Err(CopyError::PartialSector { .. })),
                    "{name}"
                );
                return;
            }
            let copied = result.unwrap();
            assert_eq!(
                (copied.bytes, copied.padding_bytes),
                (33_468, (padded - plain.len()) as u64),
                "{name}"
            );
            let mut expected = plain.clone();
            expected.resize(padded, 0);
            assert!(
                storage.snapshot() == encrypted(&expected, SectorSize::B4096),
                "{name}"
            );
        });
    }
    // A stream of sectors too, and a sparse end.
    let collected = Collected::default();
    let pad = CopyOptions {
        pad_to: Some(512),
        ..options(2)
    };
    let reader = Box::new(Short {
        bytes: &plain,
        calls: 0,
    });
    let sink = Sink::CipherStream {
        writer: Box::new(collected.clone()),
        cipher: cipher(SectorSize::B512),
        first_iv_sector: 7,
    };
    copy(Source::Stream(reader), sink, &pad).unwrap();
    let mut expected = plain.clone();
    expected.resize(66 * 512, 0);
    assert!(collected.take() == encrypted(&expected, SectorSize::B512));
    let storage = MemoryStorage::new(0);
    let source = MemoryStorage::new(700);
    let source = Source::Storage {
        storage: &source,
        offset: 0,
        len: 700,
    };
    let copied = copy(
        source,
        Sink::Storage {
            storage: &storage,
            offset: 0,
            sparse: true,
        },
        &pad,
    )
    .unwrap();
    assert_eq!(
        (copied.bytes, copied.padding_bytes, storage.len().unwrap()),
        (700, 324, 1024)
    );
}

#[test]
fn what_is_too_long_does_not_fit() {
    let plain = pattern(4 * CHUNK);
    with_each_source(&plain, |name, source| {
        let storage = Arc::new(SimulatedStorage::new(0));
        let volume = simple_volume(
            Arc::clone(&storage) as _,
            0,
            3 * CHUNK as u64 + 4096,
            SectorSize::B4096,
        );
        let error = copy(source, Sink::Volume(&volume), &options(2)).unwrap_err();
        assert!(
            matches!(
                error,
                CopyError::DoesNotFit {
                    capacity: 53_248,
                    ..
                }
            ),
            "{name}: {error}"
        );
        assert!(storage.is_untouched() || name.contains("stream"), "{name}");
    });
}

#[test]
fn volumes_with_mixed_segments_are_sources_and_sinks() {
    let segments = |from: u64| {
        let linear = volume::Segment {
            length: 512,
            storage_offset: from,
            elsewhere: None,
            kind: volume::SegmentKind::Linear,
        };
        let crypt = crate::support::crypt(10 * CHUNK as u64, from + 4096, SectorSize::B4096, 3);
        let last =
            crate::support::crypt(3584, from + 4096 + 10 * CHUNK as u64, SectorSize::B512, 3);
        volume::Mapping::new(vec![linear, crypt, last]).unwrap()
    };
    // Big sectors that no chunk starts or ends with; the sink reads them first, so that it must have them.
    let plain = pattern(10 * CHUNK + 4096);
    let one = Volume::new(Arc::new(MemoryStorage::new(12 * CHUNK as u64)), segments(0));
    let two = Volume::new(
        Arc::new(MemoryStorage::new(12 * CHUNK as u64)),
        segments(8192),
    );
    one.write_at(0, &plain).unwrap();
    copy(Source::Volume(&one), Sink::Volume(&two), &options(4)).unwrap();
    let mut found = vec![0; plain.len()];
    two.read_at(0, &mut found).unwrap();
    assert!(found == plain);
}

#[test]
fn progress_only_grows_and_ends_at_the_end() {
    let plain = pattern(30 * CHUNK + 5);
    with_each_source(&plain, |name, source| {
        let seen = Mutex::new(Vec::new());
        let progress = |bytes| seen.lock().unwrap().push(bytes);
        let watched = CopyOptions {
            progress: &progress,
            ..options(4)
        };
        copy(source, Sink::Stream(Box::new(io::sink())), &watched).unwrap();
        let seen = seen.into_inner().unwrap();
        assert_eq!(seen.len(), 31, "{name}");
        assert!(seen.is_sorted(), "{name}");
        assert_eq!(seen.last(), Some(&(plain.len() as u64)), "{name}");
    });
}

#[test]
fn chunk_sizes_are_rounded_up() {
    for (chunk_bytes, steps) in [(0, 16), (1, 16), (4097, 8), (CHUNK * 9, 1)] {
        let plain = pattern(16 * 4096);
        let count = AtomicUsize::new(0);
        let progress = |_| {
            count.fetch_add(1, Ordering::Relaxed);
        };
        let how = CopyOptions {
            chunk_bytes,
            threads: 0,
            progress: &progress,
            ..CopyOptions::default()
        };
        let storage = MemoryStorage::from_vec(plain.clone());
        let source = Source::Storage {
            storage: &storage,
            offset: 0,
            len: plain.len() as u64,
        };
        copy(source, Sink::Stream(Box::new(io::sink())), &how).unwrap();
        assert_eq!(count.into_inner(), steps);
    }
}

/// Counts what was read and is not written yet.
#[derive(Clone, Default)]
struct InFlight(Arc<[AtomicU64; 2]>);

impl Read for InFlight {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let [read, _] = &*self.0;
        let left = 2000 * CHUNK as u64 - read.load(Ordering::SeqCst);
        let len = usize::try_from(left).unwrap().min(buf.len());
        buf[..len].fill(1);
        read.fetch_add(len as u64, Ordering::SeqCst);
        Ok(len)
    }
}

impl Write for InFlight {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let [read, written] = &*self.0;
        let written = written.fetch_add(data.len() as u64, Ordering::SeqCst);
        let in_flight = read.load(Ordering::SeqCst) - written;
        if in_flight > 4 * CHUNK as u64 {
            return Err(io::Error::other(format!("{in_flight} bytes in flight")));
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stream_never_gets_further_ahead_than_one_buffer_for_each_thread() {
    let both = InFlight::default();
    let copied = copy(
        Source::Stream(Box::new(both.clone())),
        Sink::Stream(Box::new(both)),
        &options(4),
    )
    .unwrap();
    assert_eq!(copied.bytes, 2000 * CHUNK as u64);
}

/// Says what it would best be given, and remembers what it is.
struct Blocks(SimulatedStorage);

impl Storage for Blocks {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, data)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn block_size(&self) -> u64 {
        65536
    }

    fn lock(&self, mode: volume::LockMode) -> io::Result<volume::HeaderLock> {
        self.0.lock(mode)
    }
}

#[test]
fn a_chunk_has_whole_blocks_of_what_is_written() {
    let bytes = pattern(3 * 65536);
    let source = MemoryStorage::from_vec(bytes.clone());
    let sink = Blocks(SimulatedStorage::new(0));
    let from = Source::Storage {
        storage: &source,
        offset: 0,
        len: bytes.len() as u64,
    };
    let to = Sink::Storage {
        storage: &sink,
        offset: 0,
        sparse: false,
    };
    copy(from, to, &options(2)).unwrap();
    assert!(sink.0.snapshot() == bytes);
    let writes = sink.0.operations();
    assert_eq!(writes.len(), 3, "{writes:?}");
}
