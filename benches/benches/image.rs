//! Whole images: encrypting and decrypting 1 GiB in the page cache with two threads, beside what reading and writing
//! alone takes with the same buffers and threads.
//!
//! `cargo bench -p luksmith-benches --bench image`

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dmcrypt::{CipherSpec, SectorOptions, SectorSize};
use volume::{
    CopyOptions, FileStorage, Mapping, Segment, SegmentKind, Sink, Source, Storage, Volume, copy,
};

const IMAGE_BYTES: u64 = 1 << 30;
const CHUNK_BYTES: usize = 512 * 1024;
const THREADS: usize = 2;

fn image(criterion: &mut Criterion) {
    // Files in memory: the page cache without a disk behind it.
    let shared_memory = Path::new("/dev/shm");
    let folder = if shared_memory.is_dir() {
        tempfile::tempdir_in(shared_memory)
    } else {
        tempfile::tempdir()
    };
    let folder = folder.expect("a folder for three images");
    let raw = open(&folder.path().join("raw"));
    let mut chunk = vec![0; CHUNK_BYTES];
    for position in (0..IMAGE_BYTES).step_by(CHUNK_BYTES) {
        chunk
            .iter_mut()
            .zip(position..)
            .for_each(|(byte, at)| *byte = at.wrapping_mul(31).to_le_bytes()[1]);
        raw.write_all_at(&chunk, position)
            .expect("room for the image");
    }
    let raw = Arc::new(FileStorage::from_file(raw).expect("a regular file"));
    let out =
        Arc::new(FileStorage::from_file(open(&folder.path().join("out"))).expect("a regular file"));
    let options = CopyOptions {
        threads: THREADS,
        chunk_bytes: CHUNK_BYTES,
        ..CopyOptions::default()
    };

    let mut group = criterion.benchmark_group("image");
    group
        .throughput(Throughput::Bytes(IMAGE_BYTES))
        .sample_size(10)
        .measurement_time(Duration::from_secs(10));
    group.bench_function("read and write", |bencher| {
        bencher
            .iter_custom(|rounds| timed(rounds, &out, || read_and_write(raw.file(), out.file())));
    });
    group.bench_function("copy", |bencher| {
        bencher.iter_custom(|rounds| {
            timed(rounds, &out, || {
                let source = Source::Storage {
                    storage: raw.as_ref(),
                    offset: 0,
                    len: IMAGE_BYTES,
                };
                let sink = Sink::Storage {
                    storage: out.as_ref(),
                    offset: 0,
                    sparse: false,
                };
                copy(source, sink, &options).expect("a copy");
            })
        });
    });
    for size in [SectorSize::B512, SectorSize::B4096] {
        let encrypted = volume_in(&out, size);
        group.bench_function(
            format!("encrypt aes-xts 256, sector {}", size.bytes()),
            |bencher| {
                bencher.iter_custom(|rounds| {
                    timed(rounds, &out, || {
                        let source = Source::Storage {
                            storage: raw.as_ref(),
                            offset: 0,
                            len: IMAGE_BYTES,
                        };
                        copy(source, Sink::Volume(&encrypted), &options).expect("a copy");
                    })
                });
            },
        );
        let source = volume_in(&raw, size);
        for sparse in [false, true] {
            let how = if sparse { ", sparse" } else { "" };
            group.bench_function(
                format!("decrypt aes-xts 256, sector {}{how}", size.bytes()),
                |bencher| {
                    bencher.iter_custom(|rounds| {
                        timed(rounds, &out, || {
                            let sink = Sink::Storage {
                                storage: out.as_ref(),
                                offset: 0,
                                sparse,
                            };
                            copy(Source::Volume(&source), sink, &options).expect("a copy");
                        })
                    });
                },
            );
        }
    }
    group.finish();
}

/// Runs `action` on an empty output each time, and adds up how long only that takes.
fn timed(rounds: u64, out: &FileStorage, mut action: impl FnMut()) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..rounds {
        out.set_len(0).expect("a file that can be emptied");
        let start = Instant::now();
        action();
        total += start.elapsed();
    }
    total
}

/// The mark to measure against: what the pipeline does, without the pipeline.
fn read_and_write(from: &File, to: &File) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut chunk = vec![0; CHUNK_BYTES];
                loop {
                    let position = next.fetch_add(CHUNK_BYTES as u64, Ordering::Relaxed);
                    if position >= IMAGE_BYTES {
                        break;
                    }
                    from.read_exact_at(&mut chunk, position).expect("the image");
                    to.write_all_at(black_box(&chunk), position)
                        .expect("room for a copy");
                }
            });
        }
    });
}

/// A plain volume that fills the file, with a key of 512 bits.
fn volume_in(storage: &Arc<FileStorage>, sector_size: SectorSize) -> Volume {
    let spec: CipherSpec = "aes-xts-plain64".parse().expect("a specification");
    let options = SectorOptions {
        sector_size,
        iv_large_sectors: false,
    };
    let key: Vec<u8> = (0..64).collect();
    let cipher = Arc::from(
        spec.sector_cipher(&key, options)
            .expect("a cipher that is built"),
    );
    let kind = SegmentKind::Crypt {
        cipher,
        first_iv_sector: 0,
    };
    let segment = Segment {
        length: IMAGE_BYTES,
        storage_offset: 0,
        kind,
    };
    let mapping = Mapping::new(vec![segment]).expect("a valid mapping");
    Volume::new(Arc::clone(storage) as Arc<dyn Storage>, mapping)
}

fn open(path: &Path) -> File {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
        .expect("a new file")
}

criterion_group!(benches, image);
criterion_main!(benches);
