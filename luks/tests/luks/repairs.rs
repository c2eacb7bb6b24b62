use std::sync::Arc;

use luks::config::{ConfigChanges, configure};
use luks::luks1::Damage;
use luks::luks2::Which;
use luks::repair::repair;
use luks::{Corrupt, Error, Fault, Header, OsRandom, Refused, Repair, RepairOptions, Version};
use volume::{SimulatedStorage, Storage};

use crate::common::memory;
use crate::headers::{COPY, Cut, container, open, opens, require};

/// Damages an image, or one copy.
type Patch = dyn Fn(&mut [u8]);

const MEND: RepairOptions = RepairOptions {
    overwrite_foreign: false,
};

#[test]
fn a_damaged_copy_becomes_what_its_checksum_proves() {
    let image = container(Version::Luks2);
    for (which, at) in [(Which::Primary, 0), (Which::Secondary, COPY)] {
        let mut damaged = image.clone();
        for place in [4200, 5000, 6000, 7000] {
            damaged[at + place] ^= 1;
        }
        let fault = Fault::Corrupt(Corrupt::Checksum);
        let expected = Repair::Copy { which, fault };
        let change = |disk: &Arc<dyn Storage>| {
            assert_eq!(repair(&**disk, MEND, &mut OsRandom).unwrap(), expected);
        };
        let what = format!("repair {which:?}");
        let after = Cut {
            what: &what,
            image: &damaged,
            fixed: 2 * COPY,
            spare: &[],
        }
        .everywhere(change, |disk, done| {
            require(opens(&disk), "the passphrase does not open it")?;
            require(!done || open(&disk).warnings().is_empty(), "not durable")?;
            repair(&*disk, MEND, &mut OsRandom).map_err(|error| error.to_string())?;
            require(open(&disk).warnings().is_empty(), "a second repair fails")
        });
        assert!(after == image, "{which:?}");
        assert_eq!(
            repair(&*memory(after), MEND, &mut OsRandom).unwrap(),
            Repair::Nothing
        );
    }
}

#[test]
fn an_older_copy_is_brought_up_to_date() {
    let image = container(Version::Luks2);
    let disk = memory(image.clone());
    let changes = ConfigChanges {
        label: Some("new".into()),
        ..ConfigChanges::default()
    };
    configure(&open(&disk), &changes, &mut OsRandom).unwrap();
    disk.write_at(0, &image[..COPY]).unwrap();
    let repaired = repair(&*disk, MEND, &mut OsRandom).unwrap();
    let fault = Fault::Older { epoch: 1, newer: 2 };
    let which = Which::Primary;
    assert_eq!(repaired, Repair::Copy { which, fault });
    let luks = open(&disk);
    let Header::Luks2(header) = luks.header() else {
        panic!("LUKS2")
    };
    assert_eq!(header.binary.label, "new");
    assert!(luks.warnings().is_empty());
}

#[test]
fn what_something_else_wrote_is_overwritten_only_when_asked() {
    let image = container(Version::Luks2);
    let cases: [(&str, &Patch, bool); 5] = [
        ("zeros", &|copy| copy[..4096].fill(0), false),
        ("a file system", &|copy| copy[..8192].fill(0x11), true),
        ("its superblock", &|copy| copy[1080..1082].fill(0x53), true),
        ("a boot sector", &|copy| copy[510..512].fill(0x55), true),
        ("one bit", &|copy| copy[6000] ^= 1, false),
    ];
    for (what, patch, is_foreign) in cases {
        for at in [0, COPY] {
            let mut damaged = image.clone();
            patch(&mut damaged[at..at + COPY]);
            let disk = Arc::new(SimulatedStorage::from_vec(damaged));
            let outcome = repair(&*disk, MEND, &mut OsRandom);
            if is_foreign {
                let error = outcome.unwrap_err();
                assert!(
                    matches!(error, Error::Refused(Refused::Foreign { .. })),
                    "{what}: {error}"
                );
                assert!(disk.is_untouched(), "{what}");
                let force = RepairOptions {
                    overwrite_foreign: true,
                };
                repair(&*disk, force, &mut OsRandom).unwrap();
            } else {
                outcome.unwrap_or_else(|error| panic!("{what}: {error}"));
            }
            assert!(open(&disk).warnings().is_empty(), "{what}");
            assert!(opens(&disk), "{what}");
        }
    }
}

#[test]
fn what_cannot_be_mended_is_refused() {
    let mut both = container(Version::Luks2);
    both[4200] ^= 1;
    both[COPY + 4200] ^= 1;
    let refuse = |image: Vec<u8>| repair(&*memory(image), MEND, &mut OsRandom).unwrap_err();
    let error = refuse(both);
    assert!(
        matches!(
            &error,
            Error::Refused(Refused::Unproven {
                is_whole: false,
                ..
            })
        ),
        "{error}"
    );
    assert!(matches!(refuse(vec![0; 0x1_0000]), Error::NotLuks));
    assert!(matches!(refuse(vec![]), Error::NotLuks));
    let luks1 = container(Version::Luks1);
    let slot = |keyslot: usize| 208 + 48 * keyslot;
    for (at, bytes, says) in [
        // A keyslot in use is not touched.
        (
            slot(0) + 44,
            &[0, 0, 0, 1][..],
            "keyslot 0: 1 stripes, not 4000",
        ),
        (slot(0) + 40, &[0, 0, 0, 0], "keyslot 0: area 0x0"),
        // Neither in use nor not.
        (slot(3), &[1, 2, 3, 4], "keyslot 3: state 0x01020304"),
        (108, &[0, 0, 0, 0], "key-bytes is 0"),
        (160, &[0; 8], "mk-digest-iter is 0"),
    ] {
        let mut image = luks1.clone();
        image[at..at + bytes.len()].copy_from_slice(bytes);
        let error = refuse(image);
        assert!(
            matches!(error, Error::Refused(Refused::Irreparable(_))),
            "{error}"
        );
        assert!(error.to_string().contains(says), "{error}");
    }
}

/// 64,000 bytes of key material each, and 65,536 from one to the next.
#[test]
fn b4_areas_of_unused_keyslots_may_touch_and_those_at_home_stay() {
    let image = container(Version::Luks1);
    let at = |keyslot: usize| 208 + 48 * keyslot + 40;
    let home = |keyslot| {
        let field = image[at(keyslot)..at(keyslot) + 4].try_into();
        u32::from_be_bytes(field.unwrap())
    };
    let with = |keyslot: usize, sector: u32| {
        let mut image = image.clone();
        image[at(keyslot)..at(keyslot) + 4].copy_from_slice(&sector.to_be_bytes());
        repair(&*memory(image), MEND, &mut OsRandom).unwrap()
    };
    let moved = |keyslot: u32, have: u32| {
        let now = home(usize::try_from(keyslot).unwrap());
        Repair::Luks1(vec![Damage::Place { keyslot, have, now }])
    };
    assert_eq!(with(7, home(6) + 125), Repair::Nothing);
    assert_eq!(with(7, home(6) + 124), moved(7, home(6) + 124));
    assert_eq!(with(6, home(7) - 125), Repair::Nothing);
    assert_eq!(with(6, home(7) - 124), moved(6, home(7) - 124));
    // The data begins at sector 1152.
    assert_eq!(with(7, 1152 - 125), Repair::Nothing);
    assert_eq!(with(7, 1152 - 124), moved(7, 1152 - 124));
    // Whoever lies where another one is at home has to go, whatever its number.
    assert_eq!(with(2, home(5)), moved(2, home(5)));
    assert_eq!(with(5, home(2)), moved(5, home(2)));
}

#[test]
fn a_keyslot_of_luks1_for_which_there_is_no_room_is_not_mended() {
    let mut image = container(Version::Luks1);
    // The data begins where keyslot 7 is at home, and the others leave no gap.
    image[104..108].copy_from_slice(&(8 + 7 * 128_u32).to_be_bytes());
    let error = repair(&*memory(image), MEND, &mut OsRandom).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Refused(Refused::Irreparable(Corrupt::AreaInData { keyslot: 7, .. }))
        ),
        "{error}"
    );
}

#[test]
fn b4_the_largest_key_of_luks1_is_mended_and_a_larger_one_refused() {
    let with = |key_bytes: u32| {
        let mut image = container(Version::Luks1);
        // The data lies elsewhere.
        image[104..108].fill(0);
        image[108..112].copy_from_slice(&key_bytes.to_be_bytes());
        for keyslot in 0..8 {
            let place = 208 + 48 * keyslot + 40;
            let sector = u32::try_from(8 + 16256 * keyslot).unwrap();
            image[place..place + 4].copy_from_slice(&sector.to_be_bytes());
        }
        image[208 + 48 * 5 + 44] = 1;
        repair(&*memory(image), MEND, &mut OsRandom)
    };
    let damage = Damage::Stripes {
        keyslot: 5,
        stripes: 0x0100_0fa0,
    };
    assert_eq!(with(2080).unwrap(), Repair::Luks1(vec![damage]));
    for bytes in [2081, u32::MAX] {
        let error = with(bytes).unwrap_err();
        assert!(
            matches!(error, Error::Refused(Refused::Irreparable(Corrupt::KeyBytes(have))) if have == bytes),
            "{error}"
        );
    }
}

#[test]
fn each_known_damage_of_luks1_is_mended() {
    let image = container(Version::Luks1);
    let slot = |keyslot: usize| 208 + 48 * keyslot;
    let place = |bytes: &[u8], keyslot: usize| {
        let at = slot(keyslot) + 40;
        u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
    };
    let cases: Vec<(&str, Box<Patch>, Vec<Damage>)> = vec![
        (
            "hash",
            Box::new(|b| b[72..79].copy_from_slice(b"SHA256\0")),
            vec![Damage::HashCase("SHA256".into())],
        ),
        (
            "stripes",
            Box::new(move |b| b[slot(5) + 44] = 1),
            vec![Damage::Stripes {
                keyslot: 5,
                stripes: 0x0100_0fa0,
            }],
        ),
        (
            "mark in the salt",
            Box::new(|b| b[510..512].copy_from_slice(&[0x55, 0xaa])),
            vec![Damage::PartitionMark],
        ),
        (
            "place in use",
            Box::new(move |b| b.copy_within(slot(0) + 40..slot(0) + 44, slot(3) + 40)),
            vec![Damage::Place {
                keyslot: 3,
                have: place(&image, 0),
                now: place(&image, 3),
            }],
        ),
        (
            "places of two, beyond the data and in the header",
            Box::new(move |b| {
                b[slot(2) + 40] = 0x55;
                b[slot(7) + 40..slot(7) + 44].fill(0);
            }),
            vec![
                Damage::Place {
                    keyslot: 2,
                    have: place(&image, 2) | 0x5500_0000,
                    now: place(&image, 2),
                },
                Damage::Place {
                    keyslot: 7,
                    have: 0,
                    now: place(&image, 7),
                },
            ],
        ),
    ];
    for (what, patch, expected) in cases {
        let mut damaged = image.clone();
        patch(&mut damaged);
        let change = |disk: &Arc<dyn Storage>| {
            let repaired = repair(&**disk, MEND, &mut OsRandom).unwrap();
            assert_eq!(repaired, Repair::Luks1(expected.clone()), "{what}");
        };
        let name = format!("repair LUKS1 {}", what.replace(',', ""));
        let after = Cut {
            what: &name,
            image: &damaged,
            fixed: 1024,
            spare: &[],
        }
        .everywhere(change, |disk, done| {
            require(!done || disk.snapshot() == image, "done is not durable")?;
            repair(&*disk, MEND, &mut OsRandom).map_err(|error| error.to_string())?;
            require(opens(&disk), "a second repair fails")
        });
        assert!(after == image, "{what}: it is as it was");
    }
    let mut ecb = image.clone();
    ecb[40..52].copy_from_slice(b"ecb-plain64\0");
    let disk = memory(ecb);
    let repaired = repair(&*disk, MEND, &mut OsRandom).unwrap();
    assert_eq!(
        repaired,
        Repair::Luks1(vec![Damage::EcbMode("ecb-plain64".into())])
    );
    assert_eq!(
        disk.snapshot()[40..60],
        *b"ecb\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    );
    assert_eq!(
        repair(&*disk, MEND, &mut OsRandom).unwrap(),
        Repair::Nothing
    );
}
