use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dmcrypt::SectorSize;
use volume::{
    Branch, CopyError, CopyOptions, Fault, FaultOn, MemoryStorage, SimulatedStorage, Sink, Source,
    Storage, copy,
};

use crate::support::{encrypted, pattern, simple_volume};

const BYTES: usize = 100 << 10;
const SIZES: [SectorSize; 3] = [SectorSize::B512, SectorSize::B4096, SectorSize::B1024];

fn options(threads: usize) -> CopyOptions<'static> {
    CopyOptions {
        threads,
        chunk_bytes: 8192,
        ..CopyOptions::default()
    }
}

fn branch(storage: Arc<dyn Storage>, size: SectorSize) -> Branch {
    Branch::new(simple_volume(storage, 512, BYTES as u64, size))
}

fn source(raw: &MemoryStorage) -> Source<'_> {
    Source::Storage {
        storage: raw,
        offset: 0,
        len: BYTES as u64,
    }
}

#[test]
fn each_gets_the_same_by_its_own_cipher() {
    let raw = MemoryStorage::from_vec(pattern(BYTES));
    for threads in [1, 3] {
        for count in 1..=SIZES.len() {
            let disks: Vec<_> = SIZES[..count]
                .iter()
                .map(|_| Arc::new(MemoryStorage::new(512 + BYTES as u64)))
                .collect();
            let branches: Vec<_> = disks
                .iter()
                .zip(SIZES)
                .map(|(disk, size)| branch(disk.clone(), size))
                .collect();
            let copied = copy(source(&raw), Sink::Branches(&branches), &options(threads)).unwrap();
            assert_eq!(copied.bytes, BYTES as u64);
            for (disk, size) in disks.iter().zip(SIZES) {
                let mut found = vec![0; BYTES];
                disk.read_at(512, &mut found).unwrap();
                assert!(found == encrypted(&pattern(BYTES), size));
            }
            assert!(
                branches
                    .into_iter()
                    .all(|branch| branch.into_parts().1.is_none())
            );
        }
    }
}

#[test]
fn one_that_fails_gets_no_more_and_the_others_get_all() {
    const CHUNKS: usize = BYTES.div_ceil(8192);
    let raw = MemoryStorage::from_vec(pattern(BYTES));
    for failing in 0..3 {
        for after in [0, 3, CHUNKS - 1] {
            let bad = Arc::new(SimulatedStorage::new(512 + BYTES as u64));
            bad.fail(Fault {
                on: FaultOn::Write,
                after: after as u64,
                forever: false,
                os_error: 28,
            });
            let good = Arc::new(MemoryStorage::new(512 + BYTES as u64));
            let branches: Vec<_> = (0..3)
                .map(|index| {
                    let storage: Arc<dyn Storage> = if index == failing {
                        bad.clone()
                    } else {
                        good.clone()
                    };
                    branch(storage, SectorSize::B512)
                })
                .collect();
            let copied = copy(source(&raw), Sink::Branches(&branches), &options(1)).unwrap();
            assert_eq!(copied.bytes, BYTES as u64);
            for (index, branch) in branches.into_iter().enumerate() {
                let (volume, error) = branch.into_parts();
                if index == failing {
                    let at = (after * 8192) as u64;
                    assert!(
                        matches!(error, Some(CopyError::Write { offset, .. }) if offset == at),
                        "{error:?}"
                    );
                } else {
                    assert!(error.is_none());
                    let mut found = vec![0; BYTES];
                    volume.read_at(0, &mut found).unwrap();
                    assert!(found == pattern(BYTES));
                }
            }
        }
    }
}

#[test]
fn where_none_is_left_the_copy_ends() {
    let raw = MemoryStorage::from_vec(pattern(BYTES));
    let done = AtomicUsize::new(0);
    let branches: Vec<_> = (0..2)
        .map(|_| {
            let bad = SimulatedStorage::new(512 + BYTES as u64);
            bad.fail(Fault {
                on: FaultOn::Write,
                after: 2,
                forever: true,
                os_error: 5,
            });
            branch(Arc::new(bad), SectorSize::B512)
        })
        .collect();
    let options = CopyOptions {
        progress: &|_| {
            done.fetch_add(1, Ordering::Relaxed);
        },
        ..options(1)
    };
    let copied = copy(source(&raw), Sink::Branches(&branches), &options);
    assert!(matches!(copied, Err(CopyError::NoBranchLeft)), "{copied:?}");
    assert!(done.into_inner() <= 4);
}

#[test]
fn holes_are_left_out_of_each_and_belong_to_it() {
    let raw = MemoryStorage::new(BYTES as u64);
    raw.write_at(40_960, &pattern(512)).unwrap();
    let disks = [(); 2].map(|()| Arc::new(MemoryStorage::new(0)));
    let branches = disks.clone().map(|disk| branch(disk, SectorSize::B512));
    let options = CopyOptions {
        keep_holes: true,
        ..options(2)
    };
    copy(source(&raw), Sink::Branches(&branches), &options).unwrap();
    for disk in disks {
        assert_eq!(disk.len().unwrap(), 512 + BYTES as u64);
        let extent = disk.data_extent(0).unwrap();
        assert!(extent.is_some_and(|extent| extent.start > 0));
    }
}
