use std::collections::HashSet;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

use dmcrypt::SectorSize;
use volume::{
    Access, CopyOptions, FileStorage, MemoryStorage, Operation, SimulatedStorage, Sink, Source,
    Storage, copy,
};

use crate::copy::{CHUNK, Collected, options, with_each_source};
use crate::support::{encrypted, pattern, simple_volume};

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
    assert!(target.snapshot()[..9 * 4096].iter().all(|&byte| byte == 0));
    assert!(target.snapshot()[11 * 4096..].iter().all(|&byte| byte == 0));
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
fn files_with_holes_come_back_with_their_holes() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let len = 200 << 20;
    let raw = File::create(path("raw")).unwrap();
    raw.set_len(len).unwrap();
    for at in [0, 77 << 20, len - 5000] {
        raw.write_all_at(&pattern(5000), at).unwrap();
    }
    for name in ["container", "back"] {
        File::create(path(name)).unwrap();
    }
    let open = |name: &str| Arc::new(FileStorage::open(&path(name), Access::ReadWrite).unwrap());
    let (raw, container, back) = (open("raw"), open("container"), open("back"));
    let source = || Source::Storage {
        storage: raw.as_ref(),
        offset: 0,
        len,
    };
    let sink = || Sink::Storage {
        storage: back.as_ref(),
        offset: 0,
        sparse: true,
    };
    let blocks = |name: &str| std::fs::metadata(path(name)).unwrap().blocks() * 512;
    let is_same = || {
        let (mut one, mut other) = (vec![0; 1 << 20], vec![0; 1 << 20]);
        (0..200).all(|part| {
            raw.read_at(part << 20, &mut one).unwrap();
            back.read_at(part << 20, &mut other).unwrap();
            one == other
        })
    };
    let volume = simple_volume(Arc::clone(&container) as _, 4096, len, SectorSize::B4096);
    let fast = CopyOptions {
        threads: 2,
        ..CopyOptions::default()
    };

    // Encrypted zeros take room; decrypted, they are holes again.
    copy(source(), Sink::Volume(&volume), &fast).unwrap();
    assert_eq!(container.len().unwrap(), 4096 + len);
    assert!(blocks("container") >= len);
    copy(Source::Volume(&volume), sink(), &fast).unwrap();
    assert!(is_same());
    assert!(blocks("back") <= 1 << 20, "{} bytes in use", blocks("back"));

    // Straight from one file to the other.
    back.set_len(0).unwrap();
    copy(source(), sink(), &fast).unwrap();
    assert!(is_same());
    assert!(blocks("back") <= 1 << 20, "{} bytes in use", blocks("back"));

    // Holes that are kept stay holes in the container.
    container.set_len(0).unwrap();
    let keep = CopyOptions {
        keep_holes: true,
        ..fast
    };
    copy(source(), Sink::Volume(&volume), &keep).unwrap();
    assert_eq!(container.len().unwrap(), 4096 + len);
    assert!(
        blocks("container") <= 1 << 20,
        "{} bytes in use",
        blocks("container")
    );
    let (mut plain, mut found) = (vec![0; 4096], vec![0; 4096]);
    raw.read_at(77 << 20, &mut plain).unwrap();
    volume.read_at(77 << 20, &mut found).unwrap();
    assert!(found == plain);
}
