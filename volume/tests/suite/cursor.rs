//! A cursor over a storage, beside the standard library's over bytes.

use std::io::{self, Cursor, ErrorKind, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use dmcrypt::SectorSize;
use proptest::prelude::*;
use volume::{MemoryStorage, Storage, StorageCursor, Volume, Window};

use crate::support::{pattern, simple_volume};

const BYTES: u64 = 12 * 1024;

#[derive(Clone, Debug)]
enum Step {
    Read(usize),
    Write(usize),
    Seek(SeekFrom),
}

fn step() -> impl Strategy<Value = Step> {
    let len = || prop_oneof![0..20_usize, 0..9000_usize];
    let by = || prop_oneof![9 => -15_000..15_000_i64, 1 => any::<i64>()];
    prop_oneof![
        3 => len().prop_map(Step::Read),
        3 => len().prop_map(Step::Write),
        1 => prop_oneof![9 => 0..15_000_u64, 1 => any::<u64>()]
            .prop_map(|to| Step::Seek(SeekFrom::Start(to))),
        1 => by().prop_map(|by| Step::Seek(SeekFrom::Current(by))),
        1 => by().prop_map(|by| Step::Seek(SeekFrom::End(by))),
    ]
}

/// Does the same to both. Of a place that cannot grow, what does not fit is not written at all.
fn take<P>(step: &Step, ours: &mut StorageCursor<P>, theirs: &mut Cursor<Vec<u8>>, grows: bool)
where
    P: std::ops::Deref<Target: Storage>,
{
    match *step {
        Step::Read(len) => {
            let (mut a, mut b) = (vec![0; len], vec![0; len]);
            let (read, expected) = (ours.read(&mut a).unwrap(), theirs.read(&mut b).unwrap());
            assert_eq!(read, expected);
            assert!(a[..read] == b[..read], "{step:?}");
        }
        Step::Write(len) => {
            let data = pattern(len);
            let end = theirs.position().checked_add(len as u64);
            let fits = end.is_some_and(|end| end <= theirs.get_ref().len() as u64);
            // Far out the other one asks for memory, and an empty write there is a matter of taste.
            if len == 0 || (grows && end.is_none_or(|end| end > 4 * BYTES)) {
                return;
            }
            if grows || fits {
                assert_eq!(ours.write(&data).unwrap(), len);
                theirs.write_all(&data).unwrap();
            } else {
                assert_eq!(
                    ours.write(&data).unwrap_err().kind(),
                    ErrorKind::StorageFull
                );
            }
            ours.flush().unwrap();
        }
        Step::Seek(to) => match theirs.seek(to) {
            Ok(expected) => assert_eq!(ours.seek(to).unwrap(), expected),
            Err(error) => assert_eq!(ours.seek(to).unwrap_err().kind(), error.kind()),
        },
    }
    assert_eq!(ours.position(), theirs.position(), "{step:?}");
    assert_eq!(ours.stream_position().unwrap(), theirs.position());
}

fn volume() -> Volume {
    let disk = Arc::new(MemoryStorage::new(BYTES + 4096));
    let volume = simple_volume(disk, 4096, BYTES, SectorSize::B4096);
    let bytes = pattern(usize::try_from(BYTES).unwrap());
    volume.write_at(0, &bytes).unwrap();
    volume
}

fn compare<P>(steps: &[Step], storage: P, grows: bool)
where
    P: std::ops::Deref<Target: Storage> + Clone,
{
    let mut before = Vec::new();
    StorageCursor::new(storage.clone())
        .read_to_end(&mut before)
        .unwrap();
    let mut ours = StorageCursor::new(storage.clone());
    let mut theirs = Cursor::new(before);
    for step in steps {
        take(step, &mut ours, &mut theirs, grows);
    }
    let mut after = Vec::new();
    ours.rewind().unwrap();
    ours.read_to_end(&mut after).unwrap();
    assert!(after == theirs.into_inner());
}

proptest! {
    #[test]
    fn moves_as_the_other_does(steps in prop::collection::vec(step(), 1..24)) {
        let volume = Arc::new(volume());
        compare(&steps, &*volume, false);
        let window = Window::new(volume, 700..9000).unwrap();
        compare(&steps, &window as &dyn Storage, false);
        compare(&steps, Arc::new(MemoryStorage::from_vec(pattern(5000))), true);
    }
}

/// What does not fit leaves the place as it was, and says why.
#[test]
fn writes_nothing_past_the_end() {
    let volume = volume();
    let mut cursor = StorageCursor::new(&volume);
    cursor.set_position(BYTES - 3);
    let error = cursor.write_all(b"1234").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(
        error.to_string(),
        "write of 4 bytes at offset 12285 goes past the end at byte 12288"
    );
    assert_eq!(cursor.position(), BYTES - 3);
    cursor.write_all(b"123").unwrap();
    assert_eq!(cursor.read(&mut [0; 9]).unwrap(), 0);
    cursor.set_position(u64::MAX);
    assert_eq!(cursor.read(&mut [0; 9]).unwrap(), 0);
    assert_eq!(
        cursor.write(b"1").unwrap_err().kind(),
        ErrorKind::StorageFull
    );
    let error = cursor.seek(SeekFrom::Current(1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "seek by 1 bytes from byte 18446744073709551615 leaves the 64 bits"
    );
}

/// The standard library's own copy, through its own buffers.
#[test]
fn whole_volumes_stream() {
    let (from, to) = (volume(), MemoryStorage::new(0));
    let mut reader = io::BufReader::with_capacity(100, StorageCursor::new(&from));
    let copied = io::copy(&mut reader, &mut StorageCursor::new(&to)).unwrap();
    assert_eq!(copied, BYTES);
    assert!(to.snapshot() == pattern(usize::try_from(BYTES).unwrap()));
}
