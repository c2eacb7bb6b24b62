//! Images that are made here, read by qemu-img.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use qcow2::{Compat, NewImage, Writer};
use volume::{
    Access, CopyOptions, FileStorage, Mapping, Segment, SegmentKind, Sink, Source, Storage,
};
use volume::{MemoryStorage, Volume};

use crate::run;

/// Data between zeros, some of which begin and end within a cluster.
fn disk(bytes: usize) -> Vec<u8> {
    let mut disk = vec![0; bytes];
    let mut seed = 0x2545_f491_u32;
    for (index, sector) in disk.chunks_mut(512).enumerate() {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Runs of 1 to 600 sectors.
        let is_data = (index / 600) % 3 != 1 && !(index % 7919).is_multiple_of(5);
        if is_data || seed >> 28 == 0 {
            for (at, byte) in sector.iter_mut().enumerate() {
                *byte = (index.wrapping_mul(31) + at).to_le_bytes()[at % 3] | 1;
            }
        }
    }
    disk
}

fn new_file(path: &Path) -> FileStorage {
    fs::write(path, "").expect("a new file");
    FileStorage::open(path, Access::ReadWrite).expect("opens")
}

fn make(path: &Path, wanted: &NewImage, disk: &[u8], threads: usize) {
    let file = new_file(path);
    let writer = Arc::new(Writer::begin(Arc::new(file), wanted, None).expect("begins"));
    let segment = Segment {
        length: wanted.size,
        storage_offset: 0,
        elsewhere: None,
        kind: SegmentKind::Linear,
    };
    let mapping = Mapping::new(vec![segment]).expect("a mapping");
    let volume = Volume::new(writer.clone(), mapping);
    let source = MemoryStorage::from_vec(disk.to_vec());
    let source = Source::Storage {
        storage: &source,
        offset: 0,
        len: disk.len() as u64,
    };
    let options = CopyOptions {
        threads,
        keep_holes: true,
        ..CopyOptions::default()
    };
    volume::copy(source, Sink::Volume(&volume), &options).expect("copies");
    writer.finish().expect("finishes");
}

#[test]
fn every_shape_that_is_made_is_whole_and_the_same_to_qemu_img() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut count = 0;
    for cluster_bits in [9, 10, 12, 16, 21] {
        for compat in [Compat::V0_10, Compat::V1_1] {
            for (bytes, threads) in [(0, 1), (512, 1), (5_000_192, 3), (9 << 20, 2)] {
                let disk = disk(bytes);
                let wanted = NewImage {
                    cluster_bytes: 1 << cluster_bits,
                    compat,
                    ..NewImage::new(bytes as u64)
                };
                fs::write(folder.path().join("raw"), &disk).expect("written");
                let made = folder.path().join("made");
                make(&made, &wanted, &disk, threads);
                let image = |arguments: &[&str]| run(folder.path(), "qemu-img", arguments);
                image(&["check", "-q", "-f", "qcow2", "made"]);
                image(&["compare", "-q", "-f", "qcow2", "-F", "raw", "made", "raw"]);
                image(&["convert", "-f", "qcow2", "-O", "raw", "made", "again"]);
                let again = fs::read(folder.path().join("again")).expect("read");
                assert!(again == disk, "{wanted:?}");
                let len = fs::metadata(&made).expect("there").len();
                let sizes = wanted.measure().expect("measured");
                assert!(
                    (sizes.empty..=sizes.full).contains(&len),
                    "{wanted:?} {len}"
                );
                fs::remove_file(&made).expect("removed");
                count += 1;
            }
        }
    }
    println!("cases: qcow2 images for qemu-img {count} passed, 0 failed");
}

#[test]
fn an_image_with_nothing_in_it_and_a_full_one_are_as_large_as_was_measured() {
    let folder = tempfile::tempdir().expect("a folder");
    for (cluster_bytes, bytes) in [(512, 3 << 20), (65536, 40 << 20)] {
        let wanted = NewImage {
            cluster_bytes,
            ..NewImage::new(bytes)
        };
        let sizes = wanted.measure().expect("measured");
        for (fill, expected) in [(0, sizes.empty), (7, sizes.full)] {
            let made = folder.path().join("made");
            let disk = vec![fill; usize::try_from(bytes).expect("small")];
            make(&made, &wanted, &disk, 2);
            assert_eq!(fs::metadata(&made).expect("there").len(), expected);
            run(folder.path(), "qemu-img", &["check", "-q", "made"]);
            fs::remove_file(&made).expect("removed");
        }
    }
}

#[test]
fn tables_that_do_not_stay_in_memory_are_read_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes: u64 = 20 << 30;
    let wanted = NewImage {
        cluster_bytes: 65536,
        ..NewImage::new(bytes)
    };
    let path = folder.path().join("made");
    let file = new_file(&path);
    let writer = Writer::begin(Arc::new(file), &wanted, None).expect("begins");
    // 320 tables of 64 KiB, of which 256 stay; those that went come again, for the other sector of a cluster.
    let tables = bytes / (512 << 20) * 8;
    for round in 0..2_u64 {
        for table in 0..tables {
            let sector = [u8::try_from(table % 250 + 1).expect("small"); 512];
            let at = table * (bytes / tables) + round * 512;
            writer.write_at(at, &sector).expect("writes");
        }
    }
    writer.finish().expect("finishes");
    run(folder.path(), "qemu-img", &["check", "-q", "made"]);
    let file = FileStorage::open(&path, Access::Read).expect("opens");
    let image = qcow2::Image::open(Arc::new(file)).expect("an image");
    let view = image.view(None, qcow2::Layer::default()).expect("a view");
    for table in 0..tables {
        let mut found = [0; 1536];
        view.read_at(table * (bytes / tables), &mut found)
            .expect("reads");
        let byte = u8::try_from(table % 250 + 1).expect("small");
        assert!(found[..1024].iter().all(|found| *found == byte), "{table}");
        assert!(found[1024..].iter().all(|found| *found == 0), "{table}");
    }
}
