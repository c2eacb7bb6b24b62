use std::{fs, path::Path, sync::Arc};

use dmcrypt::{SectorSize, VolumeKey};
use dmcrypt_plain::{Error, PlainOptions, mapping, open};
use proptest::prelude::*;
use volume::{MemoryStorage, Volume};
use zeroize::Zeroizing;

fn key(bytes: &[u8]) -> VolumeKey {
    VolumeKey::from_bytes(Zeroizing::new(bytes.to_vec()))
}

fn options(sector_bytes: u32) -> PlainOptions {
    PlainOptions {
        cipher: "aes-xts-plain64".parse().expect("a specification"),
        key_bytes: 32,
        offset_sectors: 0,
        skip_sectors: 0,
        size_sectors: None,
        sector_size: SectorSize::new(sector_bytes).expect("a sector size"),
        iv_large_sectors: false,
    }
}

fn open_memory(container_bytes: u64, options: &PlainOptions) -> Result<Volume, Error> {
    open(
        Arc::new(MemoryStorage::new(container_bytes)),
        &key(&[3; 32]),
        options,
    )
}

fn message(result: Result<Volume, Error>) -> String {
    result.err().expect("no volume").to_string()
}

#[test]
fn a_volume_reaches_to_the_end_or_as_far_as_it_is_told() {
    let len = |options: &PlainOptions| open_memory(1 << 20, options).expect("a volume").len();
    assert_eq!(len(&options(512)), 1 << 20);
    assert_eq!(
        len(&PlainOptions {
            offset_sectors: 2047,
            ..options(512)
        }),
        512
    );
    assert_eq!(
        len(&PlainOptions {
            offset_sectors: 8,
            ..options(4096)
        }),
        (1 << 20) - 4096
    );
    assert_eq!(
        len(&PlainOptions {
            size_sectors: Some(8),
            ..options(4096)
        }),
        4096
    );
    assert_eq!(
        len(&PlainOptions {
            size_sectors: Some(0),
            ..options(512)
        }),
        1 << 20
    );
    assert_eq!(
        len(&PlainOptions {
            size_sectors: Some(2048),
            ..options(512)
        }),
        1 << 20
    );
}

#[test]
fn a_tail_that_is_no_sector_is_left_out() {
    let len = |bytes, options: &PlainOptions| open_memory(bytes, options).expect("a volume").len();
    assert_eq!(len(1023, &options(512)), 512);
    assert_eq!(len(3 * 4096 - 1, &options(4096)), 2 * 4096);
    assert_eq!(
        len(
            3 * 4096 + 512,
            &PlainOptions {
                offset_sectors: 8,
                ..options(4096)
            }
        ),
        2 * 4096
    );
}

/// The kernel and cryptsetup refuse each of these.
#[test]
fn what_does_not_fit_is_refused_with_its_values() {
    let refused = |options: PlainOptions| message(open_memory(1 << 20, &options));
    assert_eq!(
        refused(PlainOptions {
            offset_sectors: 2048,
            ..options(512)
        }),
        "offset 2048 (of 512 bytes) leaves no sector of a container of 1048576 bytes"
    );
    assert_eq!(
        refused(PlainOptions {
            offset_sectors: u64::MAX,
            ..options(512)
        }),
        "offset 18446744073709551615 (of 512 bytes) leaves no sector of a container of 1048576 bytes"
    );
    assert_eq!(
        refused(PlainOptions {
            size_sectors: Some(2049),
            ..options(512)
        }),
        "size 2049 at offset 0 (of 512 bytes) is beyond the end of a container of 1048576 bytes"
    );
    assert_eq!(
        refused(PlainOptions {
            offset_sectors: 2040,
            size_sectors: Some(16),
            ..options(512)
        }),
        "size 16 at offset 2040 (of 512 bytes) is beyond the end of a container of 1048576 bytes"
    );
    assert_eq!(
        refused(PlainOptions {
            offset_sectors: 4,
            size_sectors: Some(8),
            ..options(4096)
        }),
        "offset 4 (of 512 bytes) is no multiple of the sector size 4096"
    );
    assert_eq!(
        refused(PlainOptions {
            skip_sectors: 1,
            ..options(1024)
        }),
        "skip 1 (of 512 bytes) is no multiple of the sector size 1024"
    );
    assert_eq!(
        refused(PlainOptions {
            skip_sectors: 4,
            iv_large_sectors: true,
            ..options(4096)
        }),
        "skip 4 (of 512 bytes) is no multiple of the sector size 4096"
    );
    assert_eq!(
        refused(PlainOptions {
            size_sectors: Some(9),
            ..options(4096)
        }),
        "size 9 (of 512 bytes) is no multiple of the sector size 4096"
    );
    assert_eq!(
        refused(PlainOptions {
            key_bytes: 16,
            ..options(512)
        }),
        "aes-xts-plain64 takes a key of 32, 48 or 64 bytes, not of 16"
    );
    assert_eq!(
        refused(PlainOptions {
            cipher: "nonsense-xts-plain64".parse().unwrap(),
            ..options(512)
        }),
        "cipher \"nonsense\" is not supported"
    );
    assert_eq!(
        message(open_memory(511, &options(512))),
        "offset 0 (of 512 bytes) leaves no sector of a container of 511 bytes"
    );
}

#[test]
fn a_mapping_needs_no_container_but_64_bits_of_bytes() {
    let far = PlainOptions {
        offset_sectors: 1 << 54,
        ..options(512)
    };
    let len = mapping(&key(&[3; 32]), &far, 1 << 20)
        .expect("a mapping")
        .len();
    assert_eq!(len, 1 << 29);
    for (offset_sectors, size) in [(1 << 55, 1), (0, 1 << 55), ((1 << 55) - 1, 2)] {
        let error = mapping(
            &key(&[3; 32]),
            &PlainOptions {
                offset_sectors,
                ..options(512)
            },
            size,
        );
        assert!(
            matches!(error.err(), Some(Error::Overflow { .. })),
            "{offset_sectors} {size}"
        );
    }
}

/// What the kernel wrote as the volume of a whole device is read through an offset, with its first IV number as skip.
#[test]
fn skip_is_the_kernels_iv_offset() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../test-vectors/dm-crypt/sectors.toml");
    let table: toml::Table = fs::read_to_string(path)
        .expect("the golden data come with the sources")
        .parse()
        .expect("TOML");
    let plaintext: Vec<u8> = (0..512)
        .flat_map(|at| format!("{at:015}\n").into_bytes())
        .collect();
    let mut passed = 0;
    for case in table["case"].as_array().expect("cases") {
        let text = |name: &str| case[name].as_str().expect("text");
        let key = key(&hex::decode(text("key")).expect("hexadecimal"));
        let sector_bytes = u32::try_from(case["sector_size"].as_integer().expect("a number"));
        let options = PlainOptions {
            cipher: text("spec").parse().expect("the kernel took it"),
            key_bytes: key.len(),
            offset_sectors: 16,
            skip_sectors: text("iv_offset").parse().expect("a number"),
            size_sectors: Some(16),
            sector_size: sector_bytes
                .ok()
                .and_then(SectorSize::new)
                .expect("a sector size"),
            iv_large_sectors: case["iv_large_sectors"].as_bool().expect("yes or no"),
        };
        let container = Arc::new(MemoryStorage::new(20_000));
        let volume = open(container.clone(), &key, &options).expect("a volume");
        volume.write_at(0, &plaintext).expect("memory");
        let bytes = container.snapshot();
        assert!(
            bytes[..8192]
                .iter()
                .chain(&bytes[16_384..])
                .all(|&byte| byte == 0),
            "{case}"
        );
        assert_eq!(hex::encode(&bytes[8192..8208]), text("head"), "{case}");
        assert_eq!(
            hex::encode(&bytes[12_288..12_304]),
            text("at_4096"),
            "{case}"
        );
        let digest = dmcrypt::HashAlgorithm::Sha256.digest(&[&bytes[8192..16_384]]);
        assert_eq!(hex::encode(digest), text("sha256"), "{case}");
        let mut read = vec![0; 8192];
        volume.read_at(0, &mut read).expect("memory");
        assert_eq!(read, plaintext, "{case}");
        passed += 1;
    }
    println!("cases: golden-plain-volumes {passed} passed, 0 failed, 0 outside");
    assert!(passed >= 80, "{passed} cases");
}

proptest! {
    /// A volume with an offset and a skip is the part of a larger one that lies there.
    #[test]
    fn a_part_of_a_volume_is_a_volume(
        sector_bytes in prop::sample::select(vec![512_u32, 1024, 2048, 4096]),
        first in 0..8_u64,
        count in 1..8_u64,
        data in prop::collection::vec(any::<u8>(), 16 * 4096),
    ) {
        let units = u64::from(sector_bytes) / 512;
        let storage = Arc::new(MemoryStorage::new(16 * 4096));
        let whole = open(storage.clone(), &key(&[9; 32]), &options(sector_bytes)).expect("a volume");
        whole.write_at(0, &data).expect("memory");
        let part = PlainOptions {
            offset_sectors: first * units,
            skip_sectors: first * units,
            size_sectors: Some(count * units),
            ..options(sector_bytes)
        };
        let part = open(storage, &key(&[9; 32]), &part).expect("a volume");
        let mut read = vec![0; usize::try_from(part.len()).expect("small")];
        part.read_at(0, &mut read).expect("memory");
        let start = usize::try_from(first * u64::from(sector_bytes)).expect("small");
        prop_assert!(read == data[start..start + read.len()]);
    }
}
