use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use dmcrypt::SectorSize;
use volume::{
    CopyError, CopyOptions, MemoryStorage, Operation, SimulatedStorage, Sink, Source, Storage,
    Volume, copy,
};

use crate::support::{cipher, encrypted, pattern, simple_volume};

const CHUNK: usize = 16 * 1024;

fn options(threads: usize) -> CopyOptions<'static> {
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
struct Collected(Arc<Mutex<Vec<u8>>>);

impl Collected {
    fn take(&self) -> Vec<u8> {
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
fn with_each_source(plain: &[u8], mut action: impl FnMut(&str, Source<'_>)) {
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

/// A source of 64 chunks: data at the start, a little in the middle, and at the end, holes between.
fn holey() -> (SimulatedStorage, Vec<u8>, Vec<Range<usize>>) {
    let data = vec![
        0..4096,
        20 * CHUNK + 8192..20 * CHUNK + 3 * 4096,
        40 * CHUNK..42 * CHUNK,
        63 * CHUNK..63 * CHUNK + 4096,
    ];
    let mut plain = vec![0; 64 * CHUNK];
    let storage = SimulatedStorage::new(plain.len() as u64);
    for range in &data {
        let bytes = pattern(range.len());
        plain[range.clone()].copy_from_slice(&bytes);
        storage.write_at(range.start as u64, &bytes).unwrap();
    }
    storage.restart();
    (storage, plain, data)
}

fn bytes_read(storage: &SimulatedStorage) -> HashSet<Range<u64>> {
    let read = |operation| {
        if let Operation::Read(range) = operation {
            Some(range)
        } else {
            None
        }
    };
    storage.operations().into_iter().filter_map(read).collect()
}

/// The data of [`holey`], in the pieces in which chunks read it.
fn expected_reads(data: &[Range<usize>]) -> HashSet<Range<u64>> {
    let pieces = data.iter().flat_map(|range| {
        range
            .clone()
            .step_by(CHUNK)
            .map(|start| start..range.end.min(start + CHUNK))
    });
    pieces
        .map(|range| range.start as u64..range.end as u64)
        .collect()
}

#[test]
fn holes_of_the_source_are_not_read() {
    let (storage, plain, data) = holey();
    let len = plain.len() as u64;
    let source = || Source::Storage {
        storage: &storage,
        offset: 0,
        len,
    };
    let check = |what: &str| {
        assert_eq!(bytes_read(&storage), expected_reads(&data), "{what}");
        storage.restart();
    };
    let written = MemoryStorage::new(0);
    copy(
        source(),
        Sink::Storage {
            storage: &written,
            offset: 0,
            sparse: false,
        },
        &options(3),
    )
    .unwrap();
    check("storage");
    assert!(written.snapshot() == plain);
    assert_eq!(
        written.data_extent(0).unwrap(),
        Some(0..len),
        "holes are written"
    );

    let target = Arc::new(MemoryStorage::new(0));
    let volume = simple_volume(Arc::clone(&target) as _, 0, len, SectorSize::B4096);
    copy(source(), Sink::Volume(&volume), &options(3)).unwrap();
    check("volume");
    assert!(target.snapshot() == encrypted(&plain, SectorSize::B4096));

    let collected = Collected::default();
    copy(
        source(),
        Sink::Stream(Box::new(collected.clone())),
        &options(3),
    )
    .unwrap();
    check("stream");
    assert!(collected.take() == plain);
}

#[test]
fn holes_may_be_kept() {
    let (source_storage, plain, data) = holey();
    let len = plain.len() as u64;
    let keep = CopyOptions {
        keep_holes: true,
        ..options(3)
    };
    let target = Arc::new(SimulatedStorage::from_vec(vec![0xee; 8 * CHUNK]));
    let volume = simple_volume(Arc::clone(&target) as _, 4096, len, SectorSize::B4096);
    let source = Source::Storage {
        storage: &source_storage,
        offset: 0,
        len,
    };
    let copied = copy(source, Sink::Volume(&volume), &keep).unwrap();
    assert_eq!(copied.bytes, len);
    // Only data is written, the rest is as before, and a hole at the end has its place.
    let mut expected = vec![0; 4096 + plain.len()];
    expected[..8 * CHUNK].fill(0xee);
    for range in &data {
        expected[4096 + range.start..4096 + range.end]
            .copy_from_slice(&encrypted(&plain, SectorSize::B4096)[range.clone()]);
    }
    assert!(target.snapshot() == expected);
    assert_eq!(bytes_read(&source_storage), expected_reads(&data));
    let written = |operation| {
        if let Operation::Write(range) = operation {
            Some(range)
        } else {
            None
        }
    };
    let written: HashSet<_> = target
        .operations()
        .into_iter()
        .filter_map(written)
        .collect();
    let shifted = expected_reads(&data)
        .into_iter()
        .map(|range| range.start + 4096..range.end + 4096);
    assert_eq!(written, shifted.collect());
}

#[test]
fn a_kept_hole_never_leaves_half_a_sector() {
    // The source is a storage with an odd offset, so that holes start within sectors of the sink.
    let storage = MemoryStorage::new(30 * 4096);
    storage.write_at(10 * 4096, &pattern(4096)).unwrap();
    let mut plain = storage.snapshot().split_off(300);
    plain.truncate(28 * 4096 - 100);
    let target = Arc::new(MemoryStorage::from_vec(vec![0; 28 * 4096]));
    let volume = simple_volume(Arc::clone(&target) as _, 0, 28 * 4096, SectorSize::B4096);
    let keep = CopyOptions {
        keep_holes: true,
        pad_to: Some(4096),
        ..options(1)
    };
    let source = Source::Storage {
        storage: &storage,
        offset: 300,
        len: plain.len() as u64,
    };
    let copied = copy(source, Sink::Volume(&volume), &keep).unwrap();
    assert_eq!((copied.bytes, copied.padding_bytes), (28 * 4096 - 100, 100));
    let mut found = vec![0; 2 * 4096];
    volume.read_at(9 * 4096, &mut found).unwrap();
    assert!(found == plain[9 * 4096..11 * 4096]);
    assert_eq!(target.snapshot()[..9 * 4096], [0; 9 * 4096]);
    assert_eq!(target.snapshot()[11 * 4096..], [0; 17 * 4096]);
}

#[test]
fn runs_of_zeros_become_holes() {
    let mut plain = pattern(8 * CHUNK);
    plain[4096..3 * CHUNK].fill(0);
    plain[3 * CHUNK + 100..3 * CHUNK + 5000].fill(0);
    plain[7 * CHUNK..].fill(0);
    for threads in [1, 4] {
        with_each_source(&plain, |name, source| {
            let storage = MemoryStorage::new(0);
            copy(
                source,
                Sink::Storage {
                    storage: &storage,
                    offset: 0,
                    sparse: true,
                },
                &options(threads),
            )
            .unwrap();
            assert!(storage.snapshot() == plain, "{name}");
            let extents = [(0, 0..4096), (4096, 3 * CHUNK..7 * CHUNK)];
            for (from, expected) in extents {
                let expected = expected.start as u64..expected.end as u64;
                assert_eq!(storage.data_extent(from).unwrap(), Some(expected), "{name}");
            }
            assert_eq!(
                storage.data_extent(7 * CHUNK as u64).unwrap(),
                None,
                "{name}"
            );
        });
    }
}

#[test]
fn huge_holes_take_no_time() {
    let len = 1 << 46;
    let storage = MemoryStorage::new(len);
    storage.write_at(1 << 45, &pattern(4096)).unwrap();
    for (sparse, keep_holes) in [(true, false), (false, true)] {
        let target = MemoryStorage::new(0);
        let how = CopyOptions {
            keep_holes,
            ..options(2)
        };
        let source = Source::Storage {
            storage: &storage,
            offset: 0,
            len,
        };
        copy(
            source,
            Sink::Storage {
                storage: &target,
                offset: 0,
                sparse,
            },
            &how,
        )
        .unwrap();
        assert_eq!(target.len().unwrap(), len);
        assert_eq!(
            target.data_extent(0).unwrap(),
            Some(1 << 45..(1 << 45) + 4096)
        );
    }
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
