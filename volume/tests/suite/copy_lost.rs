#![expect(
    clippy::single_range_in_vec_init,
    reason = "a list of one range is meant"
)]

use std::ops::Range;
use std::sync::{Arc, Mutex};

use dmcrypt::SectorSize;
use volume::{
    CopyError, CopyOptions, Mapping, MemoryStorage, Segment, SegmentKind, SimulatedStorage, Sink,
    Source, Volume, copy,
};

use crate::support::{crypt, encrypted, pattern, simple_volume};

const LEN: usize = 256 << 10;
const OFFSET: usize = 1024;
const EIO: i32 = 5;
const ENODEV: i32 = 19;

type Ranges = Vec<Range<usize>>;

/// Bad places of the payload, and what of a volume with sectors of this size they cost.
fn places(sector: usize) -> [(Ranges, Ranges); 5] {
    let whole =
        |range: Range<usize>| range.start / sector * sector..range.end.next_multiple_of(sector);
    [
        (vec![], vec![]),
        (vec![0..1], vec![0..sector]),
        (vec![LEN - 1..LEN], vec![LEN - sector..LEN]),
        (
            vec![70_000..70_001, 200_000..200_100],
            vec![whole(70_000..70_001), whole(200_000..200_100)],
        ),
        // Over the borders of chunks.
        (
            vec![8000..30_000, 30_000..30_001],
            vec![whole(8000..30_001)],
        ),
    ]
}

fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| range.start);
    let mut all: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        let [start, end] = [range.start, range.end].map(|at| usize::try_from(at).unwrap());
        match all.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => all.push(start..end),
        }
    }
    all
}

/// Copies with losses: what the sink holds, and what was lost.
fn salvage(source: Source<'_>, threads: usize) -> Result<(Vec<u8>, Vec<Range<usize>>), CopyError> {
    let lost = Mutex::new(Vec::new());
    let sink = MemoryStorage::new(0);
    let options = CopyOptions {
        threads,
        chunk_bytes: 16 << 10,
        lost: Some(&|range| lost.lock().unwrap().push(range)),
        ..CopyOptions::default()
    };
    let to = Sink::Storage {
        storage: &sink,
        offset: 0,
        sparse: false,
    };
    let copied = copy(source, to, &options)?;
    assert_eq!(copied.bytes, LEN as u64);
    Ok((sink.snapshot(), joined(lost.into_inner().unwrap())))
}

fn without(mut bytes: Vec<u8>, lost: &[Range<usize>]) -> Vec<u8> {
    for range in lost {
        bytes[range.clone()].fill(0);
    }
    bytes
}

fn break_payload(disk: &SimulatedStorage, bad: &[Range<usize>], os_error: i32) {
    for range in bad {
        let at = |position: usize| (OFFSET + position) as u64;
        disk.break_reads(at(range.start)..at(range.end), os_error);
    }
}

#[test]
fn only_sectors_that_cannot_be_read_are_lost() {
    let plain = pattern(LEN);
    for size in [SectorSize::B512, SectorSize::B4096] {
        for (bad, expected) in places(size.bytes()) {
            for threads in [1, 3] {
                let mut image = vec![0; OFFSET];
                image.extend(encrypted(&plain, size));
                let disk = Arc::new(SimulatedStorage::from_vec(image));
                break_payload(&disk, &bad, EIO);
                let volume = simple_volume(disk.clone(), OFFSET as u64, LEN as u64, size);
                let (found, lost) = salvage(Source::Volume(&volume), threads).unwrap();
                assert_eq!(lost, expected, "{size:?} {bad:?}");
                assert!(
                    found == without(plain.clone(), &expected),
                    "{size:?} {bad:?}"
                );
                assert!(disk.is_untouched());
            }
        }
    }
}

#[test]
fn the_same_of_what_is_not_encrypted() {
    let plain = pattern(LEN);
    for (bad, expected) in places(512) {
        let mut image = vec![0; OFFSET];
        image.extend(&plain);
        let disk = Arc::new(SimulatedStorage::from_vec(image));
        break_payload(&disk, &bad, EIO);
        let whole = Source::Storage {
            storage: &*disk,
            offset: OFFSET as u64,
            len: LEN as u64,
        };
        let linear = Segment {
            length: LEN as u64,
            storage_offset: OFFSET as u64,
            elsewhere: None,
            kind: SegmentKind::Linear,
        };
        let volume = Volume::new(disk.clone(), Mapping::new(vec![linear]).unwrap());
        for source in [whole, Source::Volume(&volume)] {
            let (found, lost) = salvage(source, 2).unwrap();
            assert_eq!(lost, expected, "{bad:?}");
            assert!(found == without(plain.clone(), &expected), "{bad:?}");
        }
    }
}

/// Each segment by its own sectors.
#[test]
fn segments_lose_sectors_of_their_own_size() {
    let disk = Arc::new(SimulatedStorage::from_vec(pattern(LEN)));
    let half = LEN as u64 / 2;
    let segments = vec![
        crypt(512, 0, SectorSize::B512, 0),
        crypt(half, 512, SectorSize::B4096, 0),
        crypt(half - 512, 512 + half, SectorSize::B512, 0),
    ];
    for at in [512, 512 + half, LEN as u64 - 1] {
        disk.break_reads(at..at + 1, EIO);
    }
    let volume = Volume::new(disk, Mapping::new(segments).unwrap());
    let (_, lost) = salvage(Source::Volume(&volume), 1).unwrap();
    let middle = 512 + LEN / 2;
    assert_eq!(
        lost,
        [512..512 + 4096, middle..middle + 512, LEN - 512..LEN]
    );
}

#[test]
fn what_is_no_bad_place_ends_the_copy() {
    let disk = Arc::new(SimulatedStorage::from_vec(pattern(LEN + OFFSET)));
    break_payload(&disk, &[5000..5001], ENODEV);
    let volume = simple_volume(disk.clone(), OFFSET as u64, LEN as u64, SectorSize::B512);
    let error = salvage(Source::Volume(&volume), 1).unwrap_err();
    assert!(
        matches!(&error, CopyError::Read { error, .. } if error.raw_os_error() == Some(ENODEV)),
        "{error}"
    );
    // A source that is too short has lost nothing to a bad place.
    let short = Arc::new(SimulatedStorage::from_vec(pattern(LEN)));
    let volume = simple_volume(short, OFFSET as u64, LEN as u64, SectorSize::B512);
    let error = salvage(Source::Volume(&volume), 1).unwrap_err();
    assert!(matches!(error, CopyError::SourceShrank { .. }), "{error}");
    // And nobody who does not ask for it gets zeros.
    let bad = SimulatedStorage::from_vec(pattern(LEN));
    bad.break_reads(5000..5001, EIO);
    let sink = MemoryStorage::new(0);
    let source = Source::Storage {
        storage: &bad,
        offset: 0,
        len: LEN as u64,
    };
    let to = Sink::Storage {
        storage: &sink,
        offset: 0,
        sparse: false,
    };
    let error = copy(source, to, &CopyOptions::default()).unwrap_err();
    assert!(matches!(error, CopyError::Read { .. }), "{error}");
}
