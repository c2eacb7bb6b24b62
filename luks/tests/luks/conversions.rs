use std::sync::Arc;

use luks::config::{ConfigChanges, configure};
use luks::convert::convert;
use luks::repair::repair;
use luks::{
    ConversionObstacle, Error, FormatOptions, Header, KdfParams, Luks, OsRandom, Refused, Repair,
    RepairOptions, Version, format, tokens,
};
use volume::{MemoryStorage, Storage};

use crate::common::{memory, passphrase};
use crate::crash::small;
use crate::headers::{Cut, container, open, open_any, opens, require};
use crate::tampering::{COPY, json_of, with_json};

const ENABLED: [u8; 8] = [0x00, 0xac, 0x71, 0xf3, 0, 0, 0x03, 0xe8];

fn slot(keyslot: usize) -> usize {
    208 + 48 * keyslot
}

/// The small LUKS1 container, its data at this offset, with these keyslots in use besides 0; what is in them opens
/// with no passphrase.
fn luks1(data_offset: u64, used: &[usize]) -> Vec<u8> {
    let mut image = container(Version::Luks1);
    let sectors = u32::try_from(data_offset / 512).unwrap();
    image[104..108].copy_from_slice(&sectors.to_be_bytes());
    for keyslot in used {
        image[slot(*keyslot)..slot(*keyslot) + 8].copy_from_slice(&ENABLED);
    }
    image
}

fn is_luks2(luks: &Luks) -> bool {
    matches!(luks.header(), Header::Luks2(_))
}

/// Converts with a crash at every write: the passphrase opens every state, which is one format or the other.
fn converted(what: &str, image: &[u8], to: Version, fixed: usize) -> Vec<u8> {
    let change = |disk: &Arc<dyn Storage>| {
        convert(&open_any(disk), to, &mut OsRandom).unwrap();
    };
    Cut {
        what,
        image,
        fixed,
        spare: &[],
    }
    .everywhere(change, |disk, done| {
        if Luks::open(disk.clone()).is_err() {
            // Two keyslots change places in one sector; torn, an unused one is where one in use is.
            let damages = repair(&*disk, RepairOptions::default(), &mut OsRandom);
            let one = matches!(damages, Ok(Repair::Luks1(damages)) if damages.len() == 1);
            require(one && to == Version::Luks2 && !done, "damaged")?;
        }
        require(opens(&disk), "the passphrase does not open it")?;
        let luks = open(&disk);
        let is_new = is_luks2(&luks) == (to == Version::Luks2);
        require(is_new || !done, "done is not durable")?;
        require(!done || luks.warnings().is_empty(), "a copy is damaged")?;
        let secondary = &disk.snapshot()[0x4000..0x4006];
        require(
            !done || to == Version::Luks2 || secondary != b"SKUL\xba\xbe",
            "the secondary header is still there",
        )
    })
}

#[test]
fn a_crash_of_a_conversion_leaves_either_format_with_every_passphrase() {
    for (what, data_offset, used) in [
        ("keyslot 0", 0x9_0000, &[][..]),
        ("keyslots 0 to 4", 0x9_0000, &[1, 2, 3, 4]),
        ("a gap behind all", 0xa_0000, &[1, 2, 3, 4, 5, 6, 7]),
    ] {
        let image = luks1(data_offset, used);
        let fixed = usize::try_from(data_offset).unwrap();
        let there = converted(
            &format!("convert {what} to LUKS2"),
            &image,
            Version::Luks2,
            fixed,
        );
        let luks = open(&memory(there.clone()));
        let Header::Luks2(header) = luks.header() else {
            panic!("LUKS2")
        };
        assert_eq!(header.metadata.keyslots.len(), used.len() + 1);
        assert_eq!(header.metadata.data_offset(), Some(data_offset));
        assert_eq!(
            header.binary.uuid,
            std::str::from_utf8(&image[168..204]).unwrap()
        );
        let back = converted(
            &format!("convert {what} back"),
            &there,
            Version::Luks1,
            0x8000,
        );
        let (Header::Luks1(before), Header::Luks1(after)) = (
            open(&memory(image)).header().clone(),
            open(&memory(back)).header().clone(),
        ) else {
            panic!("LUKS1")
        };
        assert_eq!(after.mk_digest, before.mk_digest);
        assert_eq!(after.cipher_mode, before.cipher_mode);
        let salts = |header: &luks::luks1::Header| {
            header.keyslots.clone().map(|slot| (slot.active, slot.salt))
        };
        assert_eq!(salts(&after), salts(&before));
    }
}

#[track_caller]
fn refuses(disk: &Arc<MemoryStorage>, to: Version) -> ConversionObstacle {
    let before = disk.snapshot();
    let error = convert(&open(disk), to, &mut OsRandom).unwrap_err();
    assert!(disk.snapshot() == before, "{error}");
    match error {
        Error::Refused(Refused::Conversion { obstacle, .. }) => obstacle,
        other => panic!("{other}"),
    }
}

#[test]
fn a_keyslot_that_cannot_be_moved_first_is_not_moved() {
    for used in [&[1, 2, 3, 4, 5][..], &[1, 2, 3, 4, 5, 6, 7]] {
        let disk = memory(luks1(0x9_0000, used));
        assert_eq!(
            refuses(&disk, Version::Luks2),
            ConversionObstacle::NoRoomToMove { keyslot: 0 }
        );
    }
}

#[test]
fn a8_a_name_that_luks1_has_no_field_for_is_refused() {
    for name in [
        "x".repeat(32) + "-xts-plain64",
        format!("aes-{}-plain64", "x".repeat(24)),
    ] {
        let disk = memory(luks1(0x9_0000, &[]));
        convert(&open(&disk), Version::Luks2, &mut OsRandom).unwrap();
        let image = disk.snapshot();
        let mut json = json_of(&image, 0);
        json["segments"]["0"]["encryption"] = name.clone().into();
        json["keyslots"]["0"]["area"]["encryption"] = name.clone().into();
        let disk = memory(with_json(&image, &[0, COPY], &json).unwrap());
        assert_eq!(
            refuses(&disk, Version::Luks1),
            ConversionObstacle::Cipher(name.into())
        );
    }
}

#[test]
fn what_luks1_cannot_say_is_refused() {
    let luks2 = || memory(container(Version::Luks2));
    let obstacle = |disk: &Arc<MemoryStorage>| refuses(disk, Version::Luks1);
    let set = |changes: ConfigChanges| {
        let disk = luks2();
        configure(&open(&disk), &changes, &mut OsRandom).unwrap();
        obstacle(&disk)
    };
    let label = ConfigChanges {
        label: Some("x".into()),
        ..ConfigChanges::default()
    };
    assert_eq!(set(label), ConversionObstacle::Label("label"));
    let flags = ConfigChanges {
        flags: Some(vec!["allow-discards".into()]),
        ..ConfigChanges::default()
    };
    assert_eq!(
        set(flags),
        ConversionObstacle::Flags(vec!["allow-discards".into()])
    );
    let disk = luks2();
    tokens::add(
        &open(&disk),
        tokens::keyring("x", &[0]),
        Some(5),
        false,
        &mut OsRandom,
    )
    .unwrap();
    assert_eq!(obstacle(&disk), ConversionObstacle::Tokens(vec![5]));
    let disk = luks2();
    luks::erase::erase(&open(&disk), &mut OsRandom).unwrap();
    assert_eq!(obstacle(&disk), ConversionObstacle::NoKeyslot);
    // Only room for one keyslot before the data.
    assert_eq!(
        obstacle(&luks2()),
        ConversionObstacle::NoRoom("eight keyslots")
    );

    let formatted = |options: FormatOptions| {
        let disk = memory(vec![0; 0xa_0000]);
        let new =
            format::prepare(&options, &passphrase(b"pw"), None, &mut OsRandom, &|| false).unwrap();
        new.write_areas(&*disk, &mut OsRandom).unwrap();
        new.commit(&*disk).unwrap();
        disk
    };
    let options = || small(Version::Luks2);
    let sectors = FormatOptions {
        sector_size: dmcrypt::SectorSize::B4096,
        ..options()
    };
    assert_eq!(
        obstacle(&formatted(sectors)),
        ConversionObstacle::SectorSize(4096)
    );
    let number = FormatOptions {
        keyslot: 8,
        ..options()
    };
    assert_eq!(
        obstacle(&formatted(number)),
        ConversionObstacle::KeyslotNumber(8)
    );
    let argon2 = FormatOptions {
        kdf: KdfParams::Argon2 {
            variant: luks::kdf::Argon2Variant::Id,
            time: 4,
            memory_kib: 32,
            lanes: 1,
        },
        ..options()
    };
    assert!(matches!(
        obstacle(&formatted(argon2)),
        ConversionObstacle::Keyslot { keyslot: 0, .. }
    ));
    let mut damaged = container(Version::Luks2);
    damaged[5000] ^= 1;
    assert_eq!(
        obstacle(&memory(damaged)),
        ConversionObstacle::DamagedCopy("other")
    );

    for version in [Version::Luks1, Version::Luks2] {
        let disk = memory(container(version));
        let error = convert(&open(&disk), version, &mut OsRandom).unwrap_err();
        assert!(
            matches!(error, Error::Refused(Refused::AlreadyConverted(_))),
            "{error}"
        );
    }
}

#[test]
fn data_of_luksmeta_stay_where_they_are() {
    let image = luks1(0x9_0000, &[]);
    let disk = memory(image.clone());
    let Header::Luks1(header) = open(&disk).header().clone() else {
        panic!("no LUKS1")
    };
    let ends = header
        .keyslots
        .iter()
        .map(|slot| slot.area_offset() + header.area_length());
    let behind = ends.max().unwrap().next_multiple_of(4096);
    disk.write_at(behind, b"LUKSMETA").unwrap();
    assert_eq!(refuses(&disk, Version::Luks2), ConversionObstacle::LuksMeta);
    // Anywhere else the word means nothing.
    disk.write_at(behind, b"LUKSmeta").unwrap();
    convert(&open(&disk), Version::Luks2, &mut OsRandom).unwrap();
}
