use std::sync::Arc;

use luks::luks1::Damage;
use luks::repair::repair;
use luks::{Error, OsRandom, Refused, Repair, RepairOptions, Version};
use volume::SimulatedStorage;

use crate::common::memory;
use crate::headers::{container, opens};

const ASKED: RepairOptions = RepairOptions {
    overwrite_foreign: false,
};
const FORCED: RepairOptions = RepairOptions {
    overwrite_foreign: true,
};

#[test]
fn a_wiped_magic_of_luks1_is_put_back() {
    let image = container(Version::Luks1);
    let mut wiped = image.clone();
    wiped[..6].fill(0);
    let disk = memory(wiped.clone());
    let done = repair(&*disk, ASKED, &mut OsRandom).unwrap();
    assert_eq!(done, Repair::Luks1(vec![Damage::Magic]));
    assert!(disk.snapshot() == image);
    // All else must be LUKS1's.
    for at in [6, 8, 40, 72, 108, 168] {
        let mut other = wiped.clone();
        other[at..at + 2].fill(0xff);
        let disk = Arc::new(SimulatedStorage::from_vec(other));
        let error = repair(&*disk, FORCED, &mut OsRandom).unwrap_err();
        assert!(matches!(error, Error::NotLuks), "{at}: {error}");
        assert!(disk.is_untouched());
    }
}

/// A partition table over the fields of keyslots, as partition tools write it.
fn with_table(image: &[u8], partition: &[u8], gpt: bool) -> Vec<u8> {
    let mut image = image.to_vec();
    image[440..446].copy_from_slice(&[0x12, 0x34, 0x56, 0x78, 0, 0]);
    image[446..510].fill(0);
    image[446..446 + partition.len()].copy_from_slice(partition);
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    if gpt {
        image[512..604].fill(0x33);
        image[512..520].copy_from_slice(b"EFI PART");
        image[604..1024].fill(0);
    }
    image
}

const PARTITION: [u8; 16] = [0x80, 1, 1, 0, 7, 254, 255, 255, 0, 8, 0, 0, 0, 0, 16, 0];

#[test]
fn keyslots_under_a_partition_table_are_reset() {
    let image = container(Version::Luks1);
    for (what, damaged, is_foreign) in [
        ("a partition", with_table(&image, &PARTITION, false), true),
        ("an empty table", with_table(&image, &[], false), false),
        (
            "a GPT",
            with_table(
                &image,
                &[
                    0, 0, 2, 0, 0xee, 255, 255, 255, 1, 0, 0, 0, 255, 255, 255, 255,
                ],
                true,
            ),
            true,
        ),
    ] {
        let disk = Arc::new(SimulatedStorage::from_vec(damaged.clone()));
        if is_foreign {
            let error = repair(&*disk, ASKED, &mut OsRandom).unwrap_err();
            assert!(
                matches!(&error, Error::Refused(Refused::Foreign { what }) if what.as_raw().contains("partition table")),
                "{what}: {error}"
            );
            assert!(disk.is_untouched(), "{what}");
        }
        let Repair::Luks1(damages) = repair(&*disk, FORCED, &mut OsRandom).unwrap() else {
            panic!("LUKS1")
        };
        for keyslot in [5, 6] {
            assert!(
                damages.contains(&Damage::PartitionTable { keyslot }),
                "{what}: {damages:?}"
            );
        }
        let after = disk.snapshot();
        assert!(after[..592] == image[..592], "{what}");
        // Of a GPT what no field stands in is left.
        assert!(after[592..] == damaged[592..], "{what}");
        assert!(opens(&disk), "{what}");
    }
    // Without the mark or with entries that are none it is no table, and who knows what was there.
    for (at, byte) in [(511, 0x55), (462, 0x11)] {
        let mut other = with_table(&image, &PARTITION, false);
        other[at] = byte;
        let error = repair(&*memory(other), FORCED, &mut OsRandom).unwrap_err();
        assert!(
            matches!(error, Error::Refused(Refused::Irreparable(_))),
            "{error}"
        );
    }
    // A keyslot in use whose place is lost is not touched.
    let mut used = with_table(&image, &PARTITION, false);
    used.copy_within(208..212, 208 + 4 * 48);
    used[208 + 4 * 48 + 4..208 + 4 * 48 + 8].fill(1);
    let error = repair(&*memory(used), FORCED, &mut OsRandom).unwrap_err();
    assert!(
        matches!(error, Error::Refused(Refused::Irreparable(_))),
        "{error}"
    );
}
