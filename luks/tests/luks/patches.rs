use luks::{Corrupt, Error, Header, MemberProblem, Unsupported};

use crate::common::{open, test_vectors, unxz};
use crate::copies::{fix_checksum, good};

fn luks1() -> Vec<u8> {
    unxz(&test_vectors().join("luks1/xts-256-sha1.img.xz"))
}

fn luks1_patched(at: usize, bytes: &[u8]) -> Option<Error> {
    let mut image = luks1();
    image[at..at + bytes.len()].copy_from_slice(bytes);
    open(image).err()
}

macro_rules! corrupt {
    ($error:expr, $pattern:pat) => {
        match $error {
            Some(Error::Corrupt($pattern)) => {}
            Some(other) => panic!("{}: {other:?}", stringify!($pattern)),
            None => panic!("{}: accepted", stringify!($pattern)),
        }
    };
}

/// The second keyslot's area ends where the first one's begins.
#[test]
fn luks1_areas_that_touch_do_not_overlap() {
    // 4000 stripes of 32 bytes.
    const AREA_SECTORS: u32 = 250;
    let placed = |places: [u32; 8]| {
        let mut image = luks1();
        for (slot, place) in places.into_iter().enumerate() {
            let at = 208 + 48 * slot + 40;
            let sector = 8 + AREA_SECTORS * place;
            image[at..at + 4].copy_from_slice(&sector.to_be_bytes());
        }
        open(image).err()
    };
    assert!(placed([1, 0, 2, 3, 4, 5, 6, 7]).is_none());
    corrupt!(
        placed([1, 0, 0, 3, 4, 5, 6, 7]),
        Corrupt::AreaOverlap {
            keyslot: 2,
            other: 1,
            ..
        }
    );
}

/// Offsets from the LUKS1 specification, figures 1 and 2.
#[test]
fn a8_luks1_fields() {
    let max = &u32::MAX.to_be_bytes();
    corrupt!(
        luks1_patched(8, &[b'x'; 32]),
        Corrupt::StringNotTerminated {
            field: "cipher-name"
        }
    );
    corrupt!(
        luks1_patched(40, &[b'x'; 32]),
        Corrupt::StringNotTerminated {
            field: "cipher-mode"
        }
    );
    corrupt!(
        luks1_patched(72, &[b'x'; 32]),
        Corrupt::StringNotTerminated { field: "hash-spec" }
    );
    corrupt!(
        luks1_patched(168, &[b'x'; 40]),
        Corrupt::StringNotTerminated { field: "uuid" }
    );
    corrupt!(
        luks1_patched(168, &[0xff]),
        Corrupt::StringNotText { field: "uuid" }
    );
    corrupt!(luks1_patched(8, &[0; 32]), Corrupt::Spec { .. });
    corrupt!(luks1_patched(40, &[0; 32]), Corrupt::Spec { .. });
    corrupt!(luks1_patched(72, &[0; 32]), Corrupt::Spec { .. });
    corrupt!(
        luks1_patched(104, &8u32.to_be_bytes()),
        Corrupt::AreaInData { keyslot: 0, .. }
    );
    corrupt!(luks1_patched(108, &[0; 4]), Corrupt::KeyBytes(0));
    corrupt!(luks1_patched(108, max), Corrupt::KeyBytes(u32::MAX));
    corrupt!(luks1_patched(164, &[0; 4]), Corrupt::DigestIterations);
    corrupt!(
        luks1_patched(208, &[0; 4]),
        Corrupt::KeyslotState {
            keyslot: 0,
            state: 0
        }
    );
    corrupt!(
        luks1_patched(212, &[0; 4]),
        Corrupt::KeyslotIterations { keyslot: 0 }
    );
    corrupt!(
        luks1_patched(208 + 48 + 40, &[0; 4]),
        Corrupt::AreaInHeader { keyslot: 1, .. }
    );
    corrupt!(
        luks1_patched(208 + 48 + 40, max),
        Corrupt::AreaInData { keyslot: 1, .. }
    );
    corrupt!(
        luks1_patched(208 + 48 + 40, &9u32.to_be_bytes()),
        Corrupt::AreaOverlap {
            keyslot: 1,
            other: 0,
            ..
        }
    );
    corrupt!(
        luks1_patched(208 + 44, &3999u32.to_be_bytes()),
        Corrupt::Stripes {
            keyslot: 0,
            stripes: 3999
        }
    );
    assert!(matches!(
        luks1_patched(6, &[0, 9]),
        Some(Error::Unsupported(Unsupported::Version(9)))
    ));
    assert!(matches!(luks1_patched(0, b"M"), Some(Error::NotLuks)));
}

#[test]
fn luks1_names_that_are_not_known_load_and_do_not_open() {
    let mut image = luks1();
    image[72..76].copy_from_slice(b"md5\0");
    let (_, luks) = open(image).unwrap();
    let error = crate::common::unlock(&luks, b"golden").err().unwrap();
    assert!(
        matches!(error, Error::Unsupported(Unsupported::Cipher { .. })),
        "{error}"
    );

    let mut image = luks1();
    image[72..76].copy_from_slice(b"SHA1");
    let (_, luks) = open(image).unwrap();
    assert!(
        crate::common::unlock(&luks, b"golden").is_ok(),
        "old headers write the hash in upper case"
    );
}

/// Header fields of both copies, checksums right.
fn luks2_patched(at: usize, bytes: &[u8]) -> Option<Error> {
    let mut image = good();
    for copy in [0, 0x4000] {
        image[copy + at..copy + at + bytes.len()].copy_from_slice(bytes);
        fix_checksum(&mut image, copy, 0x4000);
    }
    open(image).err()
}

/// Offsets from the LUKS2 specification, figure 2.
#[test]
fn luks2_binary_fields() {
    corrupt!(
        luks2_patched(8, &0u64.to_be_bytes()),
        Corrupt::HeaderSize(0)
    );
    corrupt!(
        luks2_patched(8, &u64::MAX.to_be_bytes()),
        Corrupt::HeaderSize(u64::MAX)
    );
    corrupt!(
        luks2_patched(8, &0x8000u64.to_be_bytes()),
        Corrupt::BothCopies { .. }
    );
    corrupt!(
        luks2_patched(24, &[b'x'; 48]),
        Corrupt::StringNotTerminated { field: "label" }
    );
    corrupt!(
        luks2_patched(168, &[b'x'; 40]),
        Corrupt::StringNotTerminated { field: "uuid" }
    );
    corrupt!(
        luks2_patched(208, &[b'x'; 48]),
        Corrupt::StringNotTerminated { field: "subsystem" }
    );
    corrupt!(
        luks2_patched(256, &1u64.to_be_bytes()),
        Corrupt::BothCopies { .. }
    );
    assert!(matches!(
        luks2_patched(72, b"md5\0"),
        Some(Error::Unsupported(Unsupported::ChecksumAlgorithm(_)))
    ));
}

/// The JSON text with `from` replaced by `to` in both copies, checksums right.
pub fn json_patched(from: &str, to: &str) -> Result<luks::Luks, Error> {
    let mut image = good();
    for copy in [0, 0x4000] {
        let area = &mut image[copy + 4096..copy + 0x4000];
        let end = area.iter().position(|byte| *byte == 0).unwrap();
        let text = String::from_utf8(area[..end].to_vec()).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        let text = text.replacen(from, to, 1);
        area.fill(0);
        area[..text.len()].copy_from_slice(text.as_bytes());
        fix_checksum(&mut image, copy, 0x4000);
    }
    open(image).map(|(_, luks)| luks)
}

pub fn json_error(from: &str, to: &str) -> Option<Error> {
    json_patched(from, to).err()
}

fn member(from: &str, to: &str) -> (String, MemberProblem) {
    match json_error(from, to) {
        Some(Error::Corrupt(Corrupt::Member { path, problem })) => {
            (path.as_raw().to_owned(), problem)
        }
        Some(other) => panic!("{from} -> {to}: {other:?}"),
        None => panic!("{from} -> {to}: accepted"),
    }
}

#[test]
fn b5_luks2_members() {
    let not_u64 = |path: &str| (path.to_owned(), MemberProblem::NotU64String);
    let missing = |path: &str| (path.to_owned(), MemberProblem::Missing);
    for value in [
        "\"-1\"",
        "\"+1\"",
        "\" 1\"",
        "\"01\"",
        "\"0x10\"",
        "\"1e3\"",
        "\"18446744073709551616\"",
        "\"\"",
    ] {
        assert_eq!(
            member("\"offset\":\"98304\"", &format!("\"offset\":{value}")),
            not_u64("segments.0.offset")
        );
        assert_eq!(
            member("\"iv_tweak\":\"0\"", &format!("\"iv_tweak\":{value}")),
            not_u64("segments.0.iv_tweak")
        );
    }
    let number = member("\"offset\":\"98304\"", "\"offset\":98304");
    assert_eq!(
        number,
        ("segments.0.offset".into(), MemberProblem::NotA("a string"))
    );
    assert_eq!(
        member("\"offset\":\"98304\",", ""),
        missing("segments.0.offset")
    );
    for value in ["-1", "4294967296", "1.5", "\"1000\"", "null"] {
        let changed = format!("\"iterations\":{value}");
        assert_eq!(
            member("\"iterations\":1000", &changed),
            ("keyslots.0.kdf.iterations".into(), MemberProblem::NotU32)
        );
    }
    assert_eq!(
        member("\"iterations\":1000", "\"iterations\":0").0,
        "keyslots.0.kdf.iterations"
    );
    assert_eq!(
        member("\"key_size\":16,\"af\"", "\"key_size\":0,\"af\"").0,
        "keyslots.0.key_size"
    );
    assert_eq!(
        member("\"key_size\":16,\"af\"", "\"key_size\":4097,\"af\"").0,
        "keyslots.0.key_size"
    );
    assert_eq!(
        member("\"type\":\"raw\"", "\"type\":\"none\"").0,
        "keyslots.0.area.type"
    );
    assert_eq!(
        member("\"type\":\"luks1\"", "\"type\":\"luks3\"").0,
        "keyslots.0.af.type"
    );
    assert_eq!(
        member("\"salt\":\"", "\"salt\":\"*"),
        ("keyslots.0.kdf.salt".into(), MemberProblem::NotBase64)
    );
    assert_eq!(
        member("\"tokens\":{}", "\"tokens\":[]"),
        ("tokens".into(), MemberProblem::NotA("an object"))
    );
    assert_eq!(member("\"tokens\":{},", ""), missing("tokens"));
    assert_eq!(
        member("\"segments\":{\"0\"", "\"segments\":{\"00\"").1,
        MemberProblem::NotANumberedName
    );
    assert_eq!(
        member(
            "\"encryption\":\"aes-cbc-essiv:sha256\",\"sector",
            "\"encryption\":\"\",\"sector"
        )
        .1,
        MemberProblem::Empty
    );
}

#[test]
fn c1_luks2_rules_between_objects() {
    corrupt!(
        json_error("\"stripes\":4000", "\"stripes\":4001"),
        Corrupt::Stripes {
            keyslot: 0,
            stripes: 4001
        }
    );
    corrupt!(
        json_error("\"offset\":\"32768\"", "\"offset\":\"32767\""),
        Corrupt::AreaInHeader { keyslot: 0, .. }
    );
    corrupt!(
        json_error("\"offset\":\"32768\"", "\"offset\":\"36864\""),
        Corrupt::AreaOutside { keyslot: 0, .. }
    );
    let wraps = json_error(
        "\"offset\":\"32768\"",
        "\"offset\":\"18446744073709551615\"",
    );
    corrupt!(wraps, Corrupt::AreaOverflow { keyslot: 0, .. });
    corrupt!(
        json_error("\"size\":\"65536\"", "\"size\":\"63999\""),
        Corrupt::AreaTooSmall { keyslot: 0, .. }
    );
    corrupt!(
        json_error("\"keyslots\":[\"0\"]", "\"keyslots\":[\"1\"]"),
        Corrupt::DanglingReference { .. }
    );
    corrupt!(
        json_error("\"keyslots\":[\"0\"]", "\"keyslots\":[]"),
        Corrupt::KeyslotWithoutDigest { keyslot: 0 }
    );
    corrupt!(
        json_error("\"segments\":[\"0\"]", "\"segments\":[\"7\"]"),
        Corrupt::DanglingReference { .. }
    );
    corrupt!(
        json_error("\"segments\":{\"0\"", "\"segments\":{\"1\""),
        Corrupt::DanglingReference { .. }
    );
    corrupt!(
        json_error("\"sector_size\":4096", "\"sector_size\":4095"),
        Corrupt::SegmentSectorSize { .. }
    );
    corrupt!(
        json_error("\"json_size\":\"12288\"", "\"json_size\":\"12287\""),
        Corrupt::JsonSize { .. }
    );
    corrupt!(
        json_error("\"keyslots_size\":\"65536\"", "\"keyslots_size\":\"65537\""),
        Corrupt::KeyslotsSizeAlignment(_)
    );
    corrupt!(
        json_error(
            "\"keyslots_size\":\"65536\"",
            "\"keyslots_size\":\"134221824\""
        ),
        Corrupt::KeyslotsSizeTooLarge(_)
    );
    corrupt!(
        json_error("\"keyslots_size\":\"65536\"", "\"keyslots_size\":\"69632\""),
        Corrupt::KeyslotsInData { .. }
    );
    let size = "\"size\":\"dynamic\"";
    corrupt!(
        json_error(size, "\"size\":\"18446744073709547520\""),
        Corrupt::SegmentOverflow { .. }
    );
    corrupt!(
        json_error(size, "\"size\":\"4608\""),
        Corrupt::SegmentAlignment {
            segment: 0,
            size: 4608,
            ..
        }
    );
    corrupt!(
        json_error("\"offset\":\"98304\"", "\"offset\":\"98305\""),
        Corrupt::SegmentAlignment {
            segment: 0,
            offset: 98305,
            ..
        }
    );
    corrupt!(
        json_error("\"segments\":[\"0\"]", "\"segments\":[]"),
        Corrupt::SegmentWithoutDigest(0)
    );
    let second = |offset: u64| {
        format!(
            "\"size\":\"8192\",\"iv_tweak\":\"0\",\"encryption\":\"aes-cbc-essiv:sha256\",\"sector_size\":4096}},\"1\":{{\"type\":\"linear\",\"offset\":\"{offset}\",\"size\":\"dynamic\""
        )
    };
    let first = "\"size\":\"dynamic\",\"iv_tweak\":\"0\",\"encryption\":\"aes-cbc-essiv:sha256\",\"sector_size\":4096";
    corrupt!(
        json_error(first, &second(98304 + 4096)),
        Corrupt::SegmentOverlap {
            segment: 1,
            other: 0
        }
    );
    assert!(json_patched(first, &second(98304 + 8192)).is_ok());
    corrupt!(
        json_error(first, &second(98304 + 8192 + 8)),
        Corrupt::SegmentAlignment {
            segment: 1,
            sector: 512,
            ..
        }
    );
    // Whatever its type is.
    corrupt!(
        json_error(
            "\"crypt\",\"offset\":\"98304\"",
            "\"later\",\"offset\":\"98305\""
        ),
        Corrupt::SegmentAlignment {
            segment: 0,
            offset: 98305,
            ..
        }
    );
    let integrity = json_error(
        "\"sector_size\":4096",
        "\"sector_size\":4096,\"integrity\":{\"type\":\"aead\",\"journal_integrity\":\"none\"}",
    );
    corrupt!(
        integrity,
        Corrupt::Member {
            problem: MemberProblem::Missing,
            ..
        }
    );
}

#[test]
fn luks2_text_around_the_json() {
    corrupt!(
        json_error("{\"keyslots\"", " {\"keyslots\""),
        Corrupt::JsonStart
    );
    corrupt!(
        json_error("\"65536\"}}", "\"65536\"}} "),
        Corrupt::JsonTail(_)
    );
    corrupt!(
        json_error("\"65536\"}}", "\"65536\"}}}"),
        Corrupt::JsonSyntax(_)
    );
    corrupt!(
        json_error("\"tokens\":{}", "\"tokens\":{},\"tokens\":{}"),
        Corrupt::JsonSyntax(_)
    );
    let deep = format!("\"tokens\":{{}},\"x\":{}{}", "[".repeat(32), "]".repeat(32));
    corrupt!(json_error("\"tokens\":{}", &deep), Corrupt::JsonSyntax(_));
    assert!(
        json_patched("\"tokens\":{}", "\"tokens\":{},\"x\":[[1.5]]").is_ok(),
        "unknown members are kept"
    );
    let mut image = good();
    for copy in [0, 0x4000] {
        image[copy + 0x3fff] = b'x';
        fix_checksum(&mut image, copy, 0x4000);
    }
    corrupt!(open(image.clone()).err(), Corrupt::JsonTail(_));
    for copy in [0, 0x4000] {
        for byte in &mut image[copy + 4096..copy + 0x4000] {
            if *byte == 0 {
                *byte = b' ';
            }
        }
        fix_checksum(&mut image, copy, 0x4000);
    }
    corrupt!(open(image).err(), Corrupt::JsonNotTerminated);
}

#[test]
fn what_is_not_known_loads_and_does_not_open() {
    let refused = |from: &str, to: &str| {
        let luks = json_patched(from, to).unwrap_or_else(|error| panic!("{to}: {error}"));
        let unlocked = crate::common::unlock(&luks, b"golden");
        let storage = luks.storage().clone();
        match unlocked.and_then(|unlocked| unlocked.volume(storage)) {
            Err(Error::Unsupported(unsupported)) => unsupported,
            Err(other) => panic!("{to}: {other}"),
            Ok(_) => panic!("{to}: opened"),
        }
    };
    assert!(matches!(
        refused("\"type\":\"crypt\"", "\"type\":\"hw-opal\""),
        Unsupported::SegmentType { .. }
    ));
    assert!(matches!(
        refused("\"sector_size\":4096", "\"sector_size\":8192"),
        Unsupported::SectorSize { bytes: 8192, .. }
    ));
    assert!(matches!(
        refused(
            "\"sector_size\":4096",
            "\"sector_size\":4096,\"integrity\":{\"type\":\"hmac(sha256)\",\"journal_encryption\":\"none\",\"journal_integrity\":\"none\"}"
        ),
        Unsupported::Integrity { segment: 0 }
    ));
    assert!(matches!(
        refused("\"json_size\"", "\"requirements\":[\"new\"],\"json_size\""),
        Unsupported::Requirements(names) if names == ["new"]
    ));
    assert!(matches!(
        refused(
            "\"type\":\"pbkdf2\",\"hash\"",
            "\"type\":\"scrypt\",\"hash\""
        ),
        Unsupported::Type { .. }
    ));
    let Header::Luks2(header) = json_patched("\"type\":\"luks2\"", "\"type\":\"luks9\"")
        .unwrap()
        .header()
        .clone()
    else {
        panic!("a LUKS2 image")
    };
    assert!(
        matches!(&header.metadata.keyslots[0].kind, luks::luks2::KeyslotKind::Other { kind } if kind == "luks9")
    );
}
