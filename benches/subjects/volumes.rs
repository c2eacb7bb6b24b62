//! A volume in pieces: reads and writes at random places of a file in the page cache, beside the file's own.

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use dmcrypt::SectorSize;
use volume::{FileStorage, Storage, Volume};

use super::images::{aes_xts_volume, new_file};
use super::in_place::model_aes_xts;
use crate::harness::{Chart, Contest, Effort, Work, timed};
use crate::machine::on_one_core;
use crate::random::Xorshift;
use crate::test_bytes;

/// Operations in a turn.
const OPERATIONS: u32 = 256;

pub fn measure(effort: &Effort, each: &mut dyn FnMut(Chart)) {
    for (what, bytes, step) in [
        ("4096 bytes, aligned", 4096, 4096),
        ("512 bytes, aligned", 512, 512),
        // Both ends lie within a sector: a write reads them first.
        ("4096 bytes, nowhere aligned", 4096, 1000),
        ("64 KiB, aligned", 64 * 1024, 4096),
    ] {
        for writes in [false, true] {
            each(on_one_core(|| chart(effort, what, bytes, step, writes)));
        }
    }
}

fn chart(effort: &Effort, what: &str, bytes: usize, step: u64, writes: bool) -> Chart {
    let image_bytes = effort.image_bytes.min(64 << 20);
    let folder = super::images::folder();
    let file = |name: &str| filled(&folder.path().join(name), image_bytes);
    let places = Places {
        end: image_bytes - bytes as u64,
        step,
    };
    let direction = if writes { "write" } else { "read" };
    let mut contest = Contest::new(
        format!("Random access: {direction} {what}"),
        Work::Operations(OPERATIONS),
    );
    for size in [SectorSize::B4096, SectorSize::B512] {
        let name = format!("box{}", size.bytes());
        let file = Arc::new(FileStorage::from_file(file(&name)).expect("a regular file"));
        let storage: Arc<dyn Storage> = file.clone();
        let volume = aes_xts_volume(&storage, size, image_bytes);
        let buffer = Rc::new(RefCell::new(test_bytes(bytes)));
        let checked = Rc::clone(&buffer);
        contest.add_checked(
            format!("luksmith, sectors of {} bytes", size.bytes()),
            move || timed(|| access(&volume, &mut buffer.borrow_mut(), places, writes)),
            move || {
                let place = places.last();
                let plain = plaintext(file.file(), size, place, bytes);
                assert!(
                    *checked.borrow() == plain,
                    "{direction} {what}: other bytes"
                );
            },
        );
    }
    let plain = file("raw");
    let mut buffer = test_bytes(bytes);
    contest.add("the file itself", move || {
        for place in places.iter() {
            if writes {
                plain.write_all_at(&buffer, place).expect("room");
            } else {
                plain.read_exact_at(&mut buffer, place).expect("data");
            }
        }
    });
    contest.run(effort)
}

fn access(volume: &Volume, buffer: &mut [u8], places: Places, writes: bool) {
    for place in places.iter() {
        if writes {
            volume.write_at(place, buffer).expect("room");
        } else {
            volume.read_at(place, buffer).expect("data");
        }
    }
}

/// The same places for all: multiples of `step` up to `end`.
#[derive(Clone, Copy)]
struct Places {
    end: u64,
    step: u64,
}

impl Places {
    fn iter(self) -> impl Iterator<Item = u64> {
        let mut random = Xorshift::new(0x2545_f491_4f6c_dd1d);
        (0..OPERATIONS).map(move |_| random.draw() % self.end / self.step * self.step)
    }

    fn last(self) -> u64 {
        self.iter().last().expect("there are some")
    }
}

/// What a file says at a place, by the portable kernel and with no volume.
fn plaintext(file: &File, size: SectorSize, place: u64, bytes: usize) -> Vec<u8> {
    let sector_bytes = size.bytes() as u64;
    let start = place / sector_bytes * sector_bytes;
    let end = (place + bytes as u64).next_multiple_of(sector_bytes);
    let mut sectors = vec![0; usize::try_from(end - start).expect("a few sectors")];
    file.read_exact_at(&mut sectors, start).expect("data");
    model_aes_xts(size).decrypt(start / 512, &mut sectors);
    let skipped = usize::try_from(place - start).expect("less than a sector");
    sectors[skipped..][..bytes].to_vec()
}

fn filled(path: &Path, bytes: u64) -> File {
    let file = new_file(path);
    let chunk = test_bytes(1 << 16);
    for at in (0..bytes).step_by(chunk.len()) {
        file.write_all_at(&chunk, at).expect("room for an image");
    }
    file
}
