use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use dmcrypt::SectorSize;
use proptest::prelude::*;
use volume::{
    Error, Mapping, MemoryStorage, Segment, SegmentKind, SimulatedStorage, Storage, Volume,
};

use crate::support::{Watched, crypt, encrypted, pattern, simple_volume};

/// Segments in another order than in the storage, with gaps, sector sizes mixed, none of the later ones on a border of
/// the sectors of another; a length, a storage offset, a kind each.
fn mixed_segments() -> Vec<Segment> {
    let linear = |length, storage_offset| Segment {
        length,
        storage_offset,
        elsewhere: None,
        kind: SegmentKind::Linear,
    };
    vec![
        crypt(5 * 512, 40_960, SectorSize::B512, 3),
        linear(3 * 512, 1024),
        crypt(3 * 4096, 8192 + 512, SectorSize::B4096, u64::MAX - 8),
        linear(0, 0),
        crypt(2 * 2048, 65_536, SectorSize::B2048, 1 << 33),
        linear(512, 32_768),
    ]
}

const STORAGE_BYTES: usize = 80_000;

/// What the storage holds when the volume's plaintext is `plaintext`: each segment encrypted by one call of its cipher.
fn expected_storage(before: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let mut expected = before.to_vec();
    let mut position = 0;
    for segment in mixed_segments() {
        let len = usize::try_from(segment.length).unwrap();
        let mut bytes = plaintext[position..position + len].to_vec();
        if let SegmentKind::Crypt {
            cipher,
            first_iv_sector,
        } = segment.kind
        {
            cipher.encrypt(first_iv_sector, &mut bytes);
        }
        let at = usize::try_from(segment.storage_offset).unwrap();
        expected[at..at + len].copy_from_slice(&bytes);
        position += len;
    }
    expected
}

#[derive(Clone, Debug)]
enum Step {
    Read(usize, usize),
    Write(usize, usize),
    WriteInPlace(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let position = 0..21_000_usize;
    let len = prop_oneof![0..20_usize, 0..1500_usize, 0..21_000_usize];
    (0..3, position, len).prop_map(|(kind, position, len)| match kind {
        0 => Step::Read(position, len),
        1 => Step::Write(position, len),
        _ => Step::WriteInPlace(position, len),
    })
}

proptest! {
    #[test]
    fn behaves_as_its_plaintext_does(steps in prop::collection::vec(step(), 1..12)) {
        let before = pattern(STORAGE_BYTES);
        let storage = Arc::new(MemoryStorage::from_vec(before.clone()));
        let volume = Volume::new(Arc::clone(&storage) as Arc<dyn Storage>, Mapping::new(mixed_segments()).unwrap());
        let len = usize::try_from(volume.len()).unwrap();
        let mut model = vec![0; len];
        volume.read_at(0, &mut model).unwrap();
        prop_assert!(storage.snapshot() == expected_storage(&before, &model));

        for (number, step) in steps.into_iter().enumerate() {
            let (Step::Read(at, wanted) | Step::Write(at, wanted) | Step::WriteInPlace(at, wanted)) = step;
            let at = at.min(len);
            let range = at..(at + wanted).min(len);
            match step {
                Step::Read(..) => {
                    let mut buf = vec![0; range.len()];
                    volume.read_at(at as u64, &mut buf).unwrap();
                    prop_assert!(buf == model[range]);
                }
                Step::Write(..) | Step::WriteInPlace(..) => {
                    let mut data: Vec<u8> = pattern(range.len() + number).split_off(number);
                    model[range].copy_from_slice(&data);
                    match step {
                        Step::Write(..) => volume.write_at(at as u64, &data).unwrap(),
                        _ => volume.write_in_place(at as u64, &mut data).unwrap(),
                    }
                    prop_assert!(storage.snapshot() == expected_storage(&before, &model));
                }
            }
        }
    }
}

#[test]
fn long_writes_cross_the_scratch_buffer() {
    let len = 3 << 20;
    let storage = Arc::new(MemoryStorage::new(len as u64));
    let volume = simple_volume(Arc::clone(&storage) as _, 0, len as u64, SectorSize::B4096);
    let mut model = vec![0; len];
    volume.read_at(0, &mut model).unwrap();
    let data = pattern((2 << 20) + 12_345);
    volume.write_at(4321, &data).unwrap();
    model[4321..4321 + data.len()].copy_from_slice(&data);
    assert!(storage.snapshot() == encrypted(&model, SectorSize::B4096));
}

#[test]
fn whole_sectors_are_written_without_reading() {
    let storage = Arc::new(SimulatedStorage::new(1 << 20));
    let volume = simple_volume(Arc::clone(&storage) as _, 4096, 1 << 19, SectorSize::B4096);
    volume.write_at(8192, &vec![1; 16 * 4096]).unwrap();
    volume
        .write_in_place(8192, &mut vec![1; 16 * 4096])
        .unwrap();
    assert_eq!(storage.reads_of(0..u64::MAX), 0);
    volume.write_at(8191, &[1; 2]).unwrap();
    assert_eq!(storage.reads_of(0..u64::MAX), 2);
}

#[test]
fn nothing_reaches_past_the_end() {
    let storage = Arc::new(SimulatedStorage::new(1 << 20));
    let volume = simple_volume(Arc::clone(&storage) as _, 0, 8192, SectorSize::B512);
    assert_eq!(volume.len(), 8192);
    for (offset, len) in [(8192, 1), (8000, 193), (0, 8193), (u64::MAX, 2)] {
        let mut buf = vec![0; len];
        let read = volume.read_at(offset, &mut buf).unwrap_err();
        assert_eq!(read.kind(), ErrorKind::UnexpectedEof);
        let written = volume.write_at(offset, &buf).unwrap_err();
        assert_eq!(written.kind(), ErrorKind::StorageFull);
        let in_place = volume.write_in_place(offset, &mut buf).unwrap_err();
        assert_eq!(in_place.kind(), ErrorKind::StorageFull);
        for error in [read, written, in_place] {
            let message = error.to_string();
            assert!(
                message.ends_with("goes past the end at byte 8192"),
                "{message}"
            );
        }
    }
    assert!(storage.is_untouched());
    volume.read_at(8192, &mut []).unwrap();
    volume.write_at(8192, &[]).unwrap();
}

#[test]
fn a_storage_that_is_too_short_shows_when_it_is_used() {
    let volume = simple_volume(
        Arc::new(MemoryStorage::new(6000)),
        4096,
        8192,
        SectorSize::B512,
    );
    volume.read_at(0, &mut [0; 1500]).unwrap();
    let error = volume.read_at(1500, &mut [0; 1000]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn mappings_are_checked() {
    let error = |segment: Segment| {
        Mapping::new(vec![crypt(512, 0, SectorSize::B512, 0), segment])
            .err()
            .unwrap()
    };
    let linear = |length, storage_offset| Segment {
        length,
        storage_offset,
        elsewhere: None,
        kind: SegmentKind::Linear,
    };
    assert!(matches!(
        error(crypt(6144, 0, SectorSize::B4096, 0)),
        Error::SegmentLength {
            segment: 1,
            length: 6144,
            sector_bytes: 4096
        }
    ));
    assert!(matches!(
        error(linear(700, 0)),
        Error::SegmentLength {
            segment: 1,
            length: 700,
            sector_bytes: 512
        }
    ));
    assert!(matches!(
        error(linear(512, 700)),
        Error::SegmentOffset {
            segment: 1,
            storage_offset: 700
        }
    ));
    let top = u64::MAX - 511;
    assert!(matches!(
        error(linear(top, 0)),
        Error::SegmentOverflow {
            segment: 1,
            offset: 512,
            ..
        }
    ));
    assert!(matches!(
        error(linear(512, top)),
        Error::SegmentOverflow { segment: 1, .. }
    ));
    assert_eq!(
        error(linear(512, top)).to_string(),
        format!(
            "segment 1: 512 bytes at storage offset {top} and volume offset 512 exceed 64 bits"
        )
    );

    let mapping = Mapping::new(mixed_segments()).unwrap();
    assert_eq!(
        (
            mapping.len(),
            mapping.sector_size(),
            mapping.segments().count()
        ),
        (20_992, 4096, 5)
    );
    assert_eq!(mapping.storage_end(0), 0);
    assert_eq!(mapping.storage_end(100), 40_960 + 100);
    assert_eq!(mapping.storage_end(20_992), 65_536 + 4096);
    let empty = Mapping::new(Vec::new()).unwrap();
    assert!(empty.is_empty());
    assert_eq!((empty.sector_size(), empty.storage_end(0)), (512, 0));
}

/// A volume over a storage that lets other threads run before each operation, so that they get between the read and the
/// write of a sector.
fn contended_volume(len: u64, size: SectorSize) -> Arc<Volume> {
    let storage = Watched {
        inner: MemoryStorage::new(1 << 20),
        before: |_: &MemoryStorage, _| thread::yield_now(),
    };
    Arc::new(simple_volume(Arc::new(storage), 0, len, size))
}

#[test]
fn neighbours_in_one_sector_do_not_undo_each_other() {
    const THREADS: usize = 8;
    let volume = contended_volume(3 * 4096, SectorSize::B4096);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let volume = &volume;
            scope.spawn(move || {
                // Each owns its own bytes of every 64, and no sector alone.
                for round in 1..=40_u8 {
                    for at in (thread * 8..3 * 4096).step_by(THREADS * 8 * 13) {
                        volume.write_at(at as u64, &[round; 8]).unwrap();
                        let mut buf = [0; 8];
                        volume.read_at(at as u64, &mut buf).unwrap();
                        assert_eq!(buf, [round; 8], "byte {at} lost a write");
                    }
                }
            });
        }
    });
}

#[test]
fn readers_see_a_write_whole_or_not_at_all() {
    // Starts and ends within sectors, and spans several regions: at least three writes of the storage.
    let (offset, len) = (1000, 600_000);
    let volume = contended_volume(1 << 20, SectorSize::B512);
    volume.write_at(offset, &vec![1; len]).unwrap();
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (1..=2_u8)
            .map(|value| {
                let volume = &volume;
                scope.spawn(move || {
                    for _ in 0..20 {
                        volume.write_at(offset, &vec![value; len]).unwrap();
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(|| {
                let mut buf = vec![0; len];
                while !is_done.load(Ordering::Acquire) {
                    volume.read_at(offset, &mut buf).unwrap();
                    assert!(
                        buf.iter().all(|&byte| byte == buf[0]),
                        "a write was seen half done"
                    );
                }
            });
        }
        let results: Vec<_> = writers
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect();
        is_done.store(true, Ordering::Release);
        for result in results {
            result.unwrap();
        }
    });
}

#[test]
fn a_sector_between_two_regions_is_guarded_by_both() {
    // The linear segment shifts the big sectors, so that one lies across the border of two lock regions.
    let shift = Segment {
        length: 512,
        storage_offset: 0,
        elsewhere: None,
        kind: SegmentKind::Linear,
    };
    let mapping = Mapping::new(vec![shift, crypt(1 << 19, 4096, SectorSize::B4096, 0)]).unwrap();
    let storage = Watched {
        inner: MemoryStorage::new(1 << 20),
        before: |_: &MemoryStorage, _| thread::yield_now(),
    };
    let volume = Volume::new(Arc::new(storage), mapping);
    let border = 256 * 1024;
    thread::scope(|scope| {
        for at in [border - 8, border] {
            let volume = &volume;
            scope.spawn(move || {
                for round in 0..500_u16 {
                    let value = [u8::try_from(round % 256).unwrap(); 8];
                    volume.write_at(at, &value).unwrap();
                    let mut buf = [0; 8];
                    volume.read_at(at, &mut buf).unwrap();
                    assert_eq!(buf, value, "byte {at} lost a write");
                }
            });
        }
    });
}

#[test]
fn a_segment_may_lie_elsewhere() {
    let own: Arc<dyn Storage> = Arc::new(MemoryStorage::from_vec(vec![1; 1024]));
    let other = Arc::new(MemoryStorage::from_vec(vec![2; 8192]));
    let segment = |length, elsewhere: Option<Arc<dyn Storage>>| Segment {
        length,
        storage_offset: 512,
        elsewhere,
        kind: SegmentKind::Linear,
    };
    let mapping =
        Mapping::new(vec![segment(512, None), segment(4096, Some(other.clone()))]).unwrap();
    // What lies elsewhere says nothing of how long the volume's own storage is.
    assert_eq!((mapping.len(), mapping.storage_end(4608)), (4608, 1024));
    let volume = Volume::new(own.clone(), mapping.clone());
    let mut buf = [0; 4608];
    volume.read_at(0, &mut buf).unwrap();
    assert!(buf[..512] == [1; 512] && buf[512..] == [2; 4096]);
    volume.write_at(510, &[3; 4]).unwrap();
    assert_eq!(other.snapshot()[510..516], [2, 2, 3, 3, 2, 2]);

    let before = other.snapshot();
    let volume = Volume::new(own, mapping.read_only());
    let kind = |result: std::io::Result<()>| result.unwrap_err().kind();
    let refused = ErrorKind::ReadOnlyFilesystem;
    assert_eq!(kind(volume.write_at(0, &[4])), refused);
    assert_eq!(kind(volume.write_in_place(600, &mut [4])), refused);
    assert_eq!(kind(Storage::punch_hole(&volume, 0, 512)), refused);
    assert!(other.snapshot() == before);
    let beginning = volume.mapping().beginning(1024).unwrap();
    assert_eq!((beginning.len(), beginning.is_read_only()), (1024, true));
    assert!(volume.mapping().beginning(700).is_err());
}
