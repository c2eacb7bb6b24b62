use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dmcrypt::{SectorCipher, SectorSize};
use volume::{
    CopyError, CopyOptions, Fault, FaultOn, MemoryStorage, SimulatedStorage, Sink, Source, Storage,
    copy,
};

use crate::support::{Kind, Watched, in_time, pattern, simple_volume};

const CHUNK: usize = 8192;
const CHUNKS: usize = 12;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

fn options(threads: usize) -> CopyOptions<'static> {
    CopyOptions {
        threads,
        chunk_bytes: CHUNK,
        ..CopyOptions::default()
    }
}

fn failing(on: FaultOn, after: usize, os_error: i32) -> Arc<SimulatedStorage> {
    let storage = Arc::new(SimulatedStorage::from_vec(pattern(CHUNK * CHUNKS)));
    storage.fail(Fault {
        on,
        after: after as u64,
        forever: false,
        os_error,
    });
    storage
}

fn simulated_source(storage: &SimulatedStorage) -> Source<'_> {
    Source::Storage {
        storage,
        offset: 0,
        len: (CHUNK * CHUNKS) as u64,
    }
}

/// A stream that fails at a byte, or with every further call.
struct FailingStream {
    left: usize,
    error: io::ErrorKind,
}

impl Read for FailingStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.write(buf)
    }
}

impl Write for FailingStream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(self.error.into());
        }
        let len = self.left.min(data.len());
        self.left -= len;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Checks that an error is of the right side, names a chunk's first byte (with one thread the very one), and the cause.
fn check(
    result: &Result<volume::Copied, CopyError>,
    is_read: bool,
    threads: usize,
    nth: usize,
    os_error: i32,
) {
    let (offset, error) = match result {
        Err(CopyError::Read { offset, error }) if is_read => (*offset, error),
        Err(CopyError::Write { offset, error }) if !is_read => (*offset, error),
        other => panic!("{other:?} at operation {nth} with {threads} threads"),
    };
    assert_eq!(error.raw_os_error(), Some(os_error));
    let offset = usize::try_from(offset).unwrap();
    assert!(
        offset.is_multiple_of(CHUNK) && offset < CHUNK * CHUNKS,
        "{offset}"
    );
    if threads == 1 {
        assert_eq!(offset, nth * CHUNK);
    }
}

#[test]
fn a_failure_of_the_nth_operation_surfaces() {
    in_time(|| {
        for threads in [1, 2, 5] {
            for nth in 0..CHUNKS {
                let good = || SimulatedStorage::from_vec(pattern(CHUNK * CHUNKS));
                let volume =
                    |storage| simple_volume(storage, 0, (CHUNK * CHUNKS) as u64, SectorSize::B4096);

                let bad = failing(FaultOn::Read, nth, EIO);
                let to = MemoryStorage::new(0);
                let sink = Sink::Storage {
                    storage: &to,
                    offset: 0,
                    sparse: true,
                };
                check(
                    &copy(simulated_source(&bad), sink, &options(threads)),
                    true,
                    threads,
                    nth,
                    EIO,
                );

                let bad = failing(FaultOn::Read, nth, EIO);
                let to = volume(Arc::new(good()));
                check(
                    &copy(
                        Source::Volume(&volume(bad)),
                        Sink::Volume(&to),
                        &options(threads),
                    ),
                    true,
                    threads,
                    nth,
                    EIO,
                );

                let bad = failing(FaultOn::Read, nth, EIO);
                let sink = Sink::Stream(Box::new(io::sink()));
                check(
                    &copy(simulated_source(&bad), sink, &options(threads)),
                    true,
                    threads,
                    nth,
                    EIO,
                );

                let bad = failing(FaultOn::Write, nth, ENOSPC);
                let from = good();
                let sink = Sink::Storage {
                    storage: bad.as_ref(),
                    offset: 0,
                    sparse: false,
                };
                check(
                    &copy(simulated_source(&from), sink, &options(threads)),
                    false,
                    threads,
                    nth,
                    ENOSPC,
                );

                let bad = volume(failing(FaultOn::Write, nth, ENOSPC));
                let reader = Box::new(io::repeat(1).take((CHUNK * CHUNKS) as u64));
                let result = copy(
                    Source::Stream(reader),
                    Sink::Volume(&bad),
                    &options(threads),
                );
                check(&result, false, threads, nth, ENOSPC);
            }
        }
    });
}

#[test]
fn the_end_of_a_sparse_copy_may_fail_too() {
    let from = MemoryStorage::new(CHUNK as u64);
    let to = SimulatedStorage::new(0);
    to.fail(Fault {
        on: FaultOn::Any,
        after: 0,
        forever: true,
        os_error: ENOSPC,
    });
    let source = Source::Storage {
        storage: &from,
        offset: 0,
        len: CHUNK as u64,
    };
    let error = copy(
        source,
        Sink::Storage {
            storage: &to,
            offset: 0,
            sparse: true,
        },
        &options(2),
    )
    .unwrap_err();
    assert!(
        matches!(&error, CopyError::Write { offset: 8192, error } if error.raw_os_error() == Some(ENOSPC)),
        "{error}"
    );
    assert_eq!(
        error.to_string(),
        "cannot write the destination at byte 8192: No space left on device (os error 28)"
    );
}

#[test]
fn failing_streams_surface() {
    in_time(|| {
        for threads in [1, 5] {
            for left in [0, 100, CHUNK, 3 * CHUNK + 1] {
                let stream = || {
                    Box::new(FailingStream {
                        left,
                        error: io::ErrorKind::ConnectionReset,
                    })
                };
                let to = MemoryStorage::new(0);
                let sink = Sink::Storage {
                    storage: &to,
                    offset: 0,
                    sparse: false,
                };
                let error = copy(Source::Stream(stream()), sink, &options(threads)).unwrap_err();
                let CopyError::Read { offset, error } = error else {
                    panic!("{error}")
                };
                assert_eq!(
                    (offset, error.kind()),
                    (left as u64, io::ErrorKind::ConnectionReset)
                );

                let from = SimulatedStorage::from_vec(pattern(CHUNK * CHUNKS));
                let error = copy(
                    simulated_source(&from),
                    Sink::Stream(stream()),
                    &options(threads),
                )
                .unwrap_err();
                let CopyError::Write { offset, error } = error else {
                    panic!("{error}")
                };
                assert_eq!(
                    (offset, error.kind()),
                    (
                        (left / CHUNK * CHUNK) as u64,
                        io::ErrorKind::ConnectionReset
                    )
                );
            }
        }
    });
}

#[test]
fn a_broken_pipe_is_a_write_error_of_that_kind() {
    in_time(|| {
        let (mut reader, writer) = io::pipe().unwrap();
        let peer = std::thread::spawn(move || reader.read_exact(&mut vec![0; 3 * CHUNK]).unwrap());
        let source = Source::Stream(Box::new(io::repeat(1)));
        let error = copy(source, Sink::Stream(Box::new(writer)), &options(3)).unwrap_err();
        peer.join().unwrap();
        let CopyError::Write { offset, error } = error else {
            panic!("{error}")
        };
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert!(offset >= 2 * CHUNK as u64, "{offset}");
    });
}

#[test]
fn a_source_that_shrinks_is_named() {
    in_time(|| {
        for threads in [1, 4] {
            let reads = AtomicUsize::new(0);
            let from = Watched {
                inner: MemoryStorage::from_vec(pattern(CHUNK * CHUNKS)),
                before: move |storage: &MemoryStorage, kind| {
                    if kind == Kind::Read && reads.fetch_add(1, Ordering::SeqCst) == 4 {
                        storage.set_len(5000).unwrap();
                    }
                },
            };
            let to = MemoryStorage::new(0);
            let source = Source::Storage {
                storage: &from,
                offset: 0,
                len: (CHUNK * CHUNKS) as u64,
            };
            let error = copy(
                source,
                Sink::Storage {
                    storage: &to,
                    offset: 0,
                    sparse: true,
                },
                &options(threads),
            );
            let error = error.unwrap_err();
            assert!(
                matches!(
                    error,
                    CopyError::SourceShrank {
                        expected: 98_304,
                        found: 5000
                    }
                ),
                "{error}"
            );
            assert_eq!(
                error.to_string(),
                "source ends at byte 5000, 98304 bytes are needed: it is truncated, or shrank while it was read"
            );
        }
    });
}

#[test]
fn a_failure_wakes_who_waits_for_its_turn() {
    in_time(|| {
        let reads = AtomicUsize::new(0);
        let from = Watched {
            inner: MemoryStorage::from_vec(pattern(CHUNK * CHUNKS)),
            // The third chunk fails late: by then the other workers hold later ones.
            before: move |storage: &MemoryStorage, _| {
                if reads.fetch_add(1, Ordering::SeqCst) == 2 {
                    std::thread::sleep(Duration::from_millis(200));
                    storage.set_len(0).unwrap();
                }
            },
        };
        let len = (CHUNK * CHUNKS) as u64;
        let source = Source::Storage {
            storage: &from,
            offset: 0,
            len,
        };
        let error = copy(source, Sink::Stream(Box::new(io::sink())), &options(4)).unwrap_err();
        assert!(
            matches!(error, CopyError::SourceShrank { found: 0, .. }),
            "{error}"
        );
    });
}

#[test]
fn a_hole_that_is_cut_off_is_not_taken_for_zeros() {
    let from = Watched {
        inner: MemoryStorage::new((CHUNK * CHUNKS) as u64),
        before: |storage: &MemoryStorage, _| storage.set_len(2 * CHUNK as u64).unwrap(),
    };
    from.inner.write_at(0, &[1]).unwrap();
    let to = MemoryStorage::new(0);
    let source = Source::Storage {
        storage: &from,
        offset: 0,
        len: (CHUNK * CHUNKS) as u64,
    };
    let error = copy(
        source,
        Sink::Storage {
            storage: &to,
            offset: 0,
            sparse: false,
        },
        &options(1),
    )
    .unwrap_err();
    assert!(
        matches!(
            error,
            CopyError::SourceShrank {
                expected: 98_304,
                found: 16_384
            }
        ),
        "{error}"
    );
    assert!(
        to.len().unwrap() <= CHUNK as u64,
        "noticed at the first hole, not at the end"
    );
}

#[test]
fn a_source_that_is_too_short_is_found_before_anything_is_written() {
    let to = SimulatedStorage::new(0);
    let from = MemoryStorage::new(1000);
    let source = Source::Storage {
        storage: &from,
        offset: 500,
        len: 501,
    };
    let error = copy(
        source,
        Sink::Storage {
            storage: &to,
            offset: 0,
            sparse: false,
        },
        &options(1),
    )
    .unwrap_err();
    assert!(
        matches!(
            error,
            CopyError::SourceShrank {
                expected: 1001,
                found: 1000
            }
        ),
        "{error}"
    );
    let volume = simple_volume(
        Arc::new(MemoryStorage::new(9000)),
        4096,
        8192,
        SectorSize::B512,
    );
    let sink = Sink::Storage {
        storage: &to,
        offset: 0,
        sparse: false,
    };
    let error = copy(Source::Volume(&volume), sink, &options(1)).unwrap_err();
    assert!(
        matches!(
            error,
            CopyError::SourceShrank {
                expected: 12_288,
                found: 9000
            }
        ),
        "{error}"
    );
    assert!(to.is_untouched());
}

#[test]
fn cancelling_ends_the_copy_at_any_chunk() {
    in_time(|| {
        for threads in [1, 4] {
            for after in [0, 1, 5] {
                let asked = AtomicUsize::new(0);
                let cancel = || asked.fetch_add(1, Ordering::SeqCst) >= after;
                let how = CopyOptions {
                    cancel: &cancel,
                    ..options(threads)
                };
                let from = SimulatedStorage::from_vec(pattern(CHUNK * CHUNKS));
                let error = copy(
                    simulated_source(&from),
                    Sink::Stream(Box::new(io::sink())),
                    &how,
                )
                .unwrap_err();
                assert!(matches!(error, CopyError::Cancelled), "{error}");
                // A stream without an end, too.
                let error = copy(
                    Source::Stream(Box::new(io::repeat(1))),
                    Sink::Stream(Box::new(io::sink())),
                    &how,
                );
                assert!(matches!(error, Err(CopyError::Cancelled)));
            }
        }
    });
}

/// Fails where no error can: in a cipher.
struct Panicking;

impl SectorCipher for Panicking {
    fn sector_size(&self) -> SectorSize {
        SectorSize::B512
    }

    fn encrypt(&self, first_sector: u64, _data: &mut [u8]) {
        assert!(
            first_sector != 3 * (CHUNK as u64 / 512),
            "the cipher panics"
        );
    }

    fn decrypt(&self, _first_sector: u64, _data: &mut [u8]) {}

    fn kernel(&self) -> &'static str {
        "none"
    }
}

#[test]
fn a_panic_passes_on_and_nobody_waits_for_its_turn() {
    in_time(|| {
        for threads in [1, 4] {
            let from = SimulatedStorage::from_vec(pattern(CHUNK * CHUNKS));
            let copying = AssertUnwindSafe(|| {
                let sink = Sink::CipherStream {
                    writer: Box::new(io::sink()),
                    cipher: Arc::new(Panicking),
                    first_iv_sector: 0,
                };
                let _ = copy(simulated_source(&from), sink, &options(threads));
            });
            assert!(catch_unwind(copying).is_err());
        }
    });
}
