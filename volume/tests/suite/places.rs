//! Windows and volumes one in another, each beside a plain slice of bytes.

use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use dmcrypt::SectorSize;
use proptest::prelude::*;
use volume::{
    FileStorage, LockMode, Mapping, MemoryStorage, Operation, Segment, SegmentKind,
    SimulatedStorage, Storage, Volume, Window,
};

use crate::support::{crypt, pattern, simple_volume};

/// What lies below all of them.
const DISK_BYTES: u64 = 48 * 1024 + 77;

/// A place, and what the bytes around it are a part of.
struct Place {
    it: Arc<dyn Storage>,
    /// Where its bytes lie in this one as they are; of a volume that is the volume itself.
    below: Arc<dyn Storage>,
    range: Range<u64>,
}

fn window(below: Arc<dyn Storage>, range: Range<u64>) -> Arc<dyn Storage> {
    Arc::new(Window::new(below, range).unwrap())
}

fn volume(below: Arc<dyn Storage>, offset: u64, len: u64, size: SectorSize) -> Arc<dyn Storage> {
    Arc::new(simple_volume(below, offset, len, size))
}

/// One in another, over a disk. `start` and `end` cut off what is not a multiple of anything.
fn places(disk: &Arc<dyn Storage>, start: u64, end: u64) -> Vec<(&'static str, Place)> {
    let all = |it: Arc<dyn Storage>| Place {
        range: 0..it.len().unwrap(),
        below: Arc::clone(&it),
        it,
    };
    let within = |below: Arc<dyn Storage>| {
        let range = start..below.len().unwrap() - end;
        Place {
            it: window(Arc::clone(&below), range.clone()),
            below,
            range,
        }
    };
    let container = volume(Arc::clone(disk), 4096, 40 * 1024, SectorSize::B4096);
    let partition = within(Arc::clone(&container)).it;
    let inner = volume(Arc::clone(&partition), 512, 20 * 1024, SectorSize::B512);
    let linear = |length, storage_offset| Segment {
        length,
        storage_offset,
        elsewhere: None,
        kind: SegmentKind::Linear,
    };
    let mixed = vec![
        linear(9 * 512, 1024),
        crypt(3 * 4096, 16_384, SectorSize::B4096, 9),
        linear(11 * 512, 32_768),
    ];
    vec![
        ("window", within(Arc::clone(disk))),
        ("window of a window", within(within(Arc::clone(disk)).it)),
        ("window of a volume", within(Arc::clone(&container))),
        ("volume in a window of a volume", all(Arc::clone(&inner))),
        ("window of that", within(inner)),
        (
            "volume of which parts are not encrypted",
            all(Arc::new(Volume::new(
                Arc::clone(disk),
                Mapping::new(mixed).unwrap(),
            ))),
        ),
    ]
}

fn all_of(storage: &dyn Storage) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(storage.len().unwrap()).unwrap()];
    storage.read_at(0, &mut bytes).unwrap();
    bytes
}

#[derive(Clone, Debug)]
enum Step {
    Read(u64, usize),
    Write(u64, usize),
    WriteInPlace(u64, usize),
    Punch(u64, u64),
    Zero(u64, u64),
    SetLen(u64),
}

/// Positions and lengths within, at and past the end, and past 64 bits.
fn step() -> impl Strategy<Value = Step> {
    let position = || prop_oneof![9 => 0..60_000_u64, 1 => u64::MAX - 9000..=u64::MAX];
    let len = || prop_oneof![0..20_usize, 0..9000_usize, 0..60_000_usize];
    prop_oneof![
        (position(), len()).prop_map(|(at, len)| Step::Read(at, len)),
        (position(), len()).prop_map(|(at, len)| Step::Write(at, len)),
        (position(), len()).prop_map(|(at, len)| Step::WriteInPlace(at, len)),
        (position(), position()).prop_map(|(at, len)| Step::Punch(at, len)),
        (position(), position()).prop_map(|(at, len)| Step::Zero(at, len)),
        position().prop_map(Step::SetLen),
    ]
}

/// Does the same to a place and to a slice.
fn take(step: &Step, place: &dyn Storage, model: &mut [u8]) {
    let len = model.len() as u64;
    let index = |at: u64| usize::try_from(at.min(len)).unwrap();
    match *step {
        Step::Read(at, wanted) => {
            let mut buf = vec![0; wanted];
            let read = place.read_at(at, &mut buf);
            if at.checked_add(wanted as u64).is_some_and(|end| end <= len) {
                read.unwrap();
                assert!(buf == model[index(at)..][..wanted], "{step:?}");
            } else {
                assert_eq!(read.unwrap_err().kind(), ErrorKind::UnexpectedEof);
            }
        }
        Step::Write(at, wanted) | Step::WriteInPlace(at, wanted) => {
            let data = pattern(wanted);
            let written = match step {
                Step::Write(..) => place.write_at(at, &data),
                _ => place.write_in_place(at, &mut data.clone()),
            };
            if at.checked_add(wanted as u64).is_some_and(|end| end <= len) {
                written.unwrap();
                model[index(at)..][..wanted].copy_from_slice(&data);
            } else {
                assert_eq!(written.unwrap_err().kind(), ErrorKind::StorageFull);
            }
        }
        Step::Punch(at, wanted) | Step::Zero(at, wanted) => {
            match step {
                Step::Punch(..) => place.punch_hole(at, wanted).unwrap(),
                _ => place.write_zeroes(at, wanted).unwrap(),
            }
            model[index(at)..index(at.saturating_add(wanted))].fill(0);
        }
        Step::SetLen(wanted) => {
            place.set_len(len).unwrap();
            if wanted != len {
                let error = place.set_len(wanted).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
            }
        }
    }
}

/// Its extents go up, and what lies between them is zeros.
fn check_extents(place: &dyn Storage, model: &[u8]) {
    let len = model.len() as u64;
    let mut position = 0;
    loop {
        let found = place.data_extent(position).unwrap();
        let start = found.as_ref().map_or(len, |data| data.start);
        assert!(position <= start && start <= len, "{found:?} of {len}");
        let hole = usize::try_from(position).unwrap()..usize::try_from(start).unwrap();
        assert!(model[hole].iter().all(|byte| *byte == 0), "{found:?}");
        let Some(data) = found else { break };
        assert!(
            data.start < data.end && data.end <= len,
            "{data:?} of {len}"
        );
        position = data.end;
    }
    for beyond in [len, len + 1, u64::MAX] {
        assert_eq!(place.data_extent(beyond).unwrap(), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_place_is_a_slice(
        steps in prop::collection::vec(step(), 1..8),
        start in 0..3000_u64,
        end in 0..3000_u64,
        is_sparse: bool,
    ) {
        let count = places(&(Arc::new(MemoryStorage::new(DISK_BYTES)) as _), start, end).len();
        for number in 0..count {
            let disk: Arc<dyn Storage> = Arc::new(MemoryStorage::new(DISK_BYTES));
            if !is_sparse {
                disk.write_at(0, &pattern(usize::try_from(DISK_BYTES).unwrap())).unwrap();
            }
            let (name, Place { it, below, range }) =
                places(&disk, start, end).swap_remove(number);
            let before = all_of(&*below);
            let (first, last) = (usize::try_from(range.start).unwrap(), usize::try_from(range.end).unwrap());
            let mut model = before[first..last].to_vec();
            prop_assert_eq!(it.len().unwrap(), model.len() as u64, "{}", name);
            for step in &steps {
                take(step, &*it, &mut model);
                prop_assert!(all_of(&*it) == model, "{name}: {step:?}");
                check_extents(&*it, &model);
            }
            let after = all_of(&*below);
            prop_assert!(after[first..last] == model, "{}", name);
            prop_assert!(after[..first] == before[..first] && after[last..] == before[last..], "{}", name);
        }
    }
}

/// To the last byte, and not to the next.
#[test]
fn ends_are_met_and_not_passed() {
    let disk: Arc<dyn Storage> = Arc::new(MemoryStorage::new(DISK_BYTES));
    for (name, place) in places(&disk, 1, 1) {
        let len = place.it.len().unwrap();
        for (at, bytes) in [(len, 0), (len - 1, 1), (len - 600, 600)] {
            place.it.write_at(at, &pattern(bytes)).unwrap();
            place.it.read_at(at, &mut vec![0; bytes]).unwrap();
        }
        let before = all_of(&*disk);
        for (at, bytes) in [(len + 1, 0), (len, 1), (len - 1, 2), (len - 600, 601)] {
            for step in [Step::Read(at, bytes), Step::Write(at, bytes)] {
                take(&step, &*place.it, &mut all_of(&*place.it));
            }
        }
        assert!(all_of(&*disk) == before, "{name}");
    }
}

#[test]
fn a_window_has_to_lie_within() {
    let disk: Arc<dyn Storage> = Arc::new(MemoryStorage::new(1000));
    for range in [0..0, 0..1000, 1000..1000, 999..1000] {
        let window = Window::new(Arc::clone(&disk), range.clone()).unwrap();
        assert_eq!(window.range(), range);
    }
    for (range, kind, message) in [
        (
            0..1001,
            ErrorKind::UnexpectedEof,
            "a window of bytes 0 to 1001 goes past the end at byte 1000",
        ),
        (
            u64::MAX..u64::MAX,
            ErrorKind::UnexpectedEof,
            "a window of bytes 18446744073709551615 to 18446744073709551615 goes past the end at byte 1000",
        ),
        (
            Range { start: 9, end: 8 },
            ErrorKind::InvalidInput,
            "a window cannot start at byte 9 and end at byte 8",
        ),
    ] {
        let error = Window::new(Arc::clone(&disk), range).err().unwrap();
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, message));
    }
}

#[test]
fn a_window_of_a_storage_that_was_cut_says_so() {
    let disk = Arc::new(MemoryStorage::new(1000));
    let window = Window::new(disk.clone(), 100..900).unwrap();
    disk.set_len(500).unwrap();
    window.read_at(300, &mut [0; 100]).unwrap();
    let error = window.read_at(300, &mut [0; 101]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert_eq!(window.data_extent(500).unwrap(), None);
}

/// In a volume and in a window of it a header is kept by the lock of the image, and what was written is made durable there.
#[test]
fn locks_and_syncs_reach_the_disk() {
    let disk = Arc::new(SimulatedStorage::new(64 * 1024));
    let container = volume(disk.clone(), 4096, 32 * 1024, SectorSize::B512);
    let partition = window(container, 100..20_000);
    let lock = partition.lock(LockMode::Exclusive).unwrap();
    partition.sync().unwrap();
    drop(lock);
    assert_eq!(
        disk.operations(),
        [
            Operation::Lock(LockMode::Exclusive),
            Operation::Sync,
            Operation::Unlock(LockMode::Exclusive)
        ]
    );
}

/// The space of what is not encrypted goes back to the disk; what is encrypted stays, as encrypted zeros.
#[test]
fn holes_are_where_nothing_is_encrypted() {
    let named = tempfile::NamedTempFile::new().unwrap();
    let disk = Arc::new(FileStorage::from_file(named.reopen().unwrap()).unwrap());
    disk.write_at(0, &pattern(256 * 1024)).unwrap();
    let linear = Segment {
        length: 64 * 1024,
        storage_offset: 0,
        elsewhere: None,
        kind: SegmentKind::Linear,
    };
    let crypt = crypt(64 * 1024, 128 * 1024, SectorSize::B4096, 0);
    let volume = Volume::new(disk.clone(), Mapping::new(vec![linear, crypt]).unwrap());
    volume.punch_hole(0, u64::MAX).unwrap();
    assert!(all_of(&volume).iter().all(|byte| *byte == 0));
    assert_eq!(
        volume.data_extent(0).unwrap(),
        Some(64 * 1024..128 * 1024),
        "on a file system without holes this cannot be seen"
    );
    let mut ciphertext = vec![0; 64 * 1024];
    disk.read_at(128 * 1024, &mut ciphertext).unwrap();
    assert!(ciphertext.chunks(512).all(|sector| sector != [0; 512]));
}

/// Zeros that are written keep their room, on the disk and in a volume of which parts are not encrypted.
#[test]
fn zeros_that_are_written_take_their_room() {
    let named = tempfile::NamedTempFile::new().unwrap();
    let disk = Arc::new(FileStorage::from_file(named.reopen().unwrap()).unwrap());
    disk.set_len(256 * 1024).unwrap();
    let blocks = || named.as_file().metadata().unwrap().blocks();
    assert_eq!(blocks(), 0);
    let linear = Segment {
        length: 64 * 1024,
        storage_offset: 0,
        elsewhere: None,
        kind: SegmentKind::Linear,
    };
    let crypt = crypt(64 * 1024, 128 * 1024, SectorSize::B4096, 0);
    let volume = Volume::new(disk.clone(), Mapping::new(vec![linear, crypt]).unwrap());
    Storage::write_zeroes(&volume, 0, 64 * 1024).unwrap();
    assert_eq!(blocks() * 512, 64 * 1024);
    Storage::write_zeroes(&volume, 64 * 1024, u64::MAX).unwrap();
    assert_eq!(blocks() * 512, 128 * 1024);
    assert!(all_of(&volume).iter().all(|byte| *byte == 0));
    let mut ciphertext = vec![0; 64 * 1024];
    disk.read_at(128 * 1024, &mut ciphertext).unwrap();
    assert!(ciphertext.chunks(512).all(|sector| sector != [0; 512]));
    assert_eq!(disk.len().unwrap(), 256 * 1024);
}

/// What is discarded goes from the disk by whole sectors; what lies beside it stays.
#[test]
fn what_is_discarded_goes_by_whole_sectors() {
    let disk = Arc::new(MemoryStorage::from_vec(pattern(64 * 1024)));
    let container = volume(disk.clone(), 4096, 32 * 1024, SectorSize::B4096);
    let partition = window(container, 512..32 * 1024);
    let (before, seen) = (disk.snapshot(), all_of(&*partition));
    // Of the volume bytes 4608 to 20992, in which three sectors are whole.
    partition.discard(4096, 16 * 1024).unwrap();
    let mut expected = before;
    expected[4096 + 8192..4096 + 20480].fill(0);
    assert!(disk.snapshot() == expected);
    let now = all_of(&*partition);
    assert!(now[..7680] == seen[..7680] && now[19968..] == seen[19968..]);
    assert!(now[7680..19968] != seen[7680..19968]);
    for (at, len) in [(1, 4094), (40_000, 9), (u64::MAX, u64::MAX), (9, 0)] {
        partition.discard(at, len).unwrap();
    }
    assert!(disk.snapshot() == expected);
}

/// A window has the blocks of what it is a part of, where it starts at one of them.
#[test]
fn blocks_are_those_of_the_storage_below() {
    let disk: Arc<dyn Storage> = Arc::new(MemoryStorage::new(64 * 1024));
    assert_eq!(disk.block_size(), 1);
    let container = volume(disk, 4096, 32 * 1024, SectorSize::B4096);
    assert_eq!(container.block_size(), 4096);
    for (start, block) in [(0, 4096), (8192, 4096), (512, 512), (7, 1), (6, 2)] {
        let part = window(Arc::clone(&container), start..20_000);
        assert_eq!(part.block_size(), block, "{start}");
    }
}
