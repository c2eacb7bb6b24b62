//! Images with one defect each.

mod make;

use std::sync::Arc;

use qcow2::{Image, Layer};
use volume::{MemoryStorage, Storage};

const CLUSTER: usize = 512;

/// The least image: one L1 entry, one L2 table, one cluster with data. Each part has a cluster of 512 bytes.
fn image() -> Vec<u8> {
    let mut bytes = vec![0; 5 * CLUSTER];
    let mut put = |at: usize, data: &[u8]| bytes[at..at + data.len()].copy_from_slice(data);
    put(0, b"QFI\xfb");
    put(4, &3_u32.to_be_bytes());
    put(20, &9_u32.to_be_bytes());
    put(24, &1024_u64.to_be_bytes());
    put(36, &1_u32.to_be_bytes());
    put(40, &512_u64.to_be_bytes());
    put(48, &2048_u64.to_be_bytes());
    put(56, &1_u32.to_be_bytes());
    put(96, &4_u32.to_be_bytes());
    put(100, &104_u32.to_be_bytes());
    put(512, &(1 << 63 | 0x400_u64).to_be_bytes());
    put(1024, &(1 << 63 | 0x600_u64).to_be_bytes());
    put(1536, &[0xab; CLUSTER]);
    bytes
}

fn read(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    let image = Image::open(Arc::new(MemoryStorage::from_vec(bytes)));
    let image = image.map_err(|error| error.to_string())?;
    let view = image
        .view(None, Layer::default())
        .map_err(|error| error.to_string())?;
    let len = view.len().map_err(|error| error.to_string())?;
    let mut read = vec![0; usize::try_from(len).map_err(|error| error.to_string())?];
    view.read_at(0, &mut read)
        .map_err(|error| error.to_string())?;
    Ok(read)
}

#[test]
fn the_least_image_is_read_and_not_written() {
    let mut wanted = vec![0xab; CLUSTER];
    wanted.resize(1024, 0);
    assert_eq!(read(image()), Ok(wanted));
    let image = Image::open(Arc::new(MemoryStorage::from_vec(image()))).expect("opens");
    let view = image.view(None, Layer::default()).expect("a view");
    assert_eq!(view.data_extent(0).expect("extents"), Some(0..512));
    assert_eq!(view.data_extent(512).expect("extents"), None);
    assert!(view.write_at(0, &[1]).is_err());
}

#[test]
fn one_defect_is_refused_by_its_field() {
    let extension = |kind: u32, length: u32| [kind.to_be_bytes(), length.to_be_bytes()].concat();
    let luks = [extension(0x0537_be77, 16), vec![0; 16]].concat();
    let cases: &[(usize, &[u8], &str)] = &[
        (4, &4_u32.to_be_bytes(), "version 4 "),
        (20, &8_u32.to_be_bytes(), "cluster bits 8"),
        (20, &22_u32.to_be_bytes(), "cluster bits 22"),
        (24, &(1_u64 << 63).to_be_bytes(), "size 9223372036854775808"),
        (24, &u64::MAX.to_be_bytes(), "size 18446744073709551615"),
        (
            24,
            &(1_u64 << 20).to_be_bytes(),
            "L1 size 1: the size 1048576 needs 32",
        ),
        (32, &1_u32.to_be_bytes(), "the old AES method"),
        (32, &2_u32.to_be_bytes(), "no LUKS header is named"),
        (32, &3_u32.to_be_bytes(), "encryption method 3"),
        (36, &u32::MAX.to_be_bytes(), "L1 size 4294967295"),
        (
            36,
            &1000_u32.to_be_bytes(),
            "L1 table 512: its 8000 bytes go past the end",
        ),
        (40, &513_u64.to_be_bytes(), "L1 offset 513"),
        (40, &0_u64.to_be_bytes(), "L1 offset 0"),
        (
            40,
            &(1_u64 << 62).to_be_bytes(),
            "L1 table 4611686018427387904",
        ),
        (
            48,
            &512_u64.to_be_bytes(),
            "refcount table at byte 512 lies over L1 table",
        ),
        (
            56,
            &u32::MAX.to_be_bytes(),
            "refcount table clusters 4294967295",
        ),
        (60, &65537_u32.to_be_bytes(), "snapshots 65537"),
        (60, &1_u32.to_be_bytes(), "snapshots offset 0"),
        (
            72,
            &(1_u64 << 63).to_be_bytes(),
            "incompatible bit 63 is unknown",
        ),
        (
            72,
            &8_u64.to_be_bytes(),
            "its bit for the compression type does not fit",
        ),
        (
            72,
            &16_u64.to_be_bytes(),
            "extended L2 entries need clusters of 16 KiB",
        ),
        (72, &4_u64.to_be_bytes(), "it refers to the data file \"\""),
        (96, &7_u32.to_be_bytes(), "refcount order 7"),
        (100, &103_u32.to_be_bytes(), "header length 103"),
        (100, &1024_u32.to_be_bytes(), "header length 1024"),
        (104, &extension(1, 404), "header extension length 404"),
        (
            104,
            &luks,
            "LUKS header offset 0: the image is not encrypted",
        ),
        (
            104,
            &[luks.clone(), luks.clone()].concat(),
            "header extension 87539319: it is there twice",
        ),
        (
            8,
            &[0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 4],
            "backing file offset 512",
        ),
        (
            8,
            &[0, 0, 0, 0, 0, 0, 0, 120, 0, 0, 4, 0],
            "backing file name length 1024",
        ),
        (
            8,
            &[0, 0, 0, 0, 0, 0, 0, 120, 0, 0, 0, 4],
            "it refers to the backing file",
        ),
        (512, &(1_u64 << 40).to_be_bytes(), "leads to no L2 table"),
        (
            1024,
            &(1_u64 << 40).to_be_bytes(),
            "cluster at byte 1099511627776 lies past the end",
        ),
        (
            1024,
            &(1_u64 << 62 | 0x600).to_be_bytes(),
            "compressed cluster at byte 1536: deflate",
        ),
        (
            1024,
            &(1_u64 << 62 | 1 << 40).to_be_bytes(),
            "compressed cluster at byte 1099511627776 lies past",
        ),
    ];
    for (at, patch, wanted) in cases {
        let mut bytes = image();
        bytes[*at..*at + patch.len()].copy_from_slice(patch);
        let refused = read(bytes).err().unwrap_or_default();
        assert!(refused.contains(wanted), "{refused:?}, wanted {wanted:?}");
    }
    println!(
        "cases: qcow2 images with one defect {} passed, 0 failed",
        cases.len()
    );
}

#[test]
fn a_file_cut_off_anywhere_is_refused_or_read() {
    for len in 0..image().len() {
        let mut bytes = image();
        bytes.truncate(len);
        // The refcount table is the last.
        assert!(read(bytes).is_err(), "{len}");
    }
}

#[test]
fn names_lead_nowhere_else() {
    let check = |name| qcow2::image::check_name("the backing file", name);
    for name in [
        "",
        "/etc/shadow",
        "json:{}",
        "nbd://host/x",
        "nbd:unix:s",
        "file:x",
        "a\0b",
    ] {
        assert!(check(name).is_err(), "{name:?}");
    }
    for name in ["base.qcow2", "../base/a b.raw", "./with:colon"] {
        assert!(check(name).is_ok(), "{name:?}");
    }
}
