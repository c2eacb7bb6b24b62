use std::sync::{Arc, OnceLock};

use dmcrypt::HashAlgorithm;
use luks::{Corrupt, Error, Fault, Header, Luks, Unsupported, Warning};
use volume::SimulatedStorage;

use crate::common::{open, test_vectors, unxz};

/// A container that cryptsetup made: two copies of 16 KiB.
pub fn good() -> Vec<u8> {
    static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
    let read = || unxz(&test_vectors().join("luks2/pbkdf2-cbc-essiv-128-sector-4096.img.xz"));
    IMAGE.get_or_init(read).clone()
}

const COPY: usize = 0x4000;

/// Makes the checksum of the copy at `at` right again.
pub fn fix_checksum(image: &mut [u8], at: usize, size: usize) {
    let copy = &mut image[at..at + size];
    copy[448..512].fill(0);
    let checksum = HashAlgorithm::Sha256.digest(&[copy]);
    copy[448..480].copy_from_slice(&checksum);
}

fn set_epoch(image: &mut [u8], at: usize, epoch: u64) {
    image[at + 16..at + 24].copy_from_slice(&epoch.to_be_bytes());
    fix_checksum(image, at, COPY);
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    New,
    Old,
    Damaged,
}

/// All nine combinations of new, old and damaged: which copy counts, and what is said about the other.
#[test]
fn c2_the_newer_sound_copy_counts_in_all_nine_combinations() {
    use State::{Damaged, New, Old};
    for primary in [New, Old, Damaged] {
        for secondary in [New, Old, Damaged] {
            let mut image = good();
            for (at, state) in [(0, primary), (COPY, secondary)] {
                match state {
                    New => set_epoch(&mut image, at, 9),
                    Old => set_epoch(&mut image, at, 8),
                    Damaged => image[at + 5000] ^= 1,
                }
            }
            let what = format!("{primary:?} {secondary:?}");
            let result = open(image);
            let luks = match (primary, secondary) {
                (Damaged, Damaged) => {
                    assert!(
                        matches!(result.err(), Some(Error::Corrupt(Corrupt::Checksum))),
                        "{what}"
                    );
                    continue;
                }
                _ => result.unwrap_or_else(|error| panic!("{what}: {error}")).1,
            };
            let Header::Luks2(header) = luks.header() else {
                panic!("a LUKS2 image")
            };
            let newest = if [primary, secondary].contains(&New) {
                9
            } else {
                8
            };
            assert_eq!(header.binary.epoch, newest, "{what}");
            let older = Fault::Older { epoch: 8, newer: 9 };
            let damaged = Fault::Corrupt(Corrupt::Checksum);
            let expected = match (primary, secondary) {
                (New, New) | (Old, Old) => vec![],
                (New, Old) => vec![Warning::Secondary(older)],
                (Old, New) => vec![Warning::Primary(older)],
                (_, Damaged) => vec![Warning::Secondary(damaged)],
                (Damaged, _) => vec![Warning::Primary(damaged)],
            };
            assert_eq!(luks.warnings(), expected, "{what}");
        }
    }
}

#[test]
fn equal_epochs_that_differ_are_refused() {
    let mut image = good();
    image[24] = b'x';
    fix_checksum(&mut image, 0, COPY);
    assert!(matches!(
        open(image).err(),
        Some(Error::Corrupt(Corrupt::CopiesDiffer { .. }))
    ));
}

#[test]
fn a_version_or_checksum_algorithm_that_is_not_known_is_the_copys_own_matter() {
    for (at, value) in [(7, 3), (72, b'x')] {
        let mut image = good();
        image[at] = value;
        fix_checksum(&mut image, 0, COPY);
        let (_, luks) = open(image.clone()).unwrap();
        assert!(
            matches!(luks.warnings(), [Warning::Primary(Fault::Unsupported(_))]),
            "{:?}",
            luks.warnings()
        );

        image[COPY + at] = value;
        fix_checksum(&mut image, COPY, COPY);
        let error = open(image).err().unwrap();
        assert!(
            matches!(
                error,
                Error::Unsupported(Unsupported::Version(3) | Unsupported::ChecksumAlgorithm(_))
            ),
            "{error}"
        );
    }
}

/// Torn at each 512 bytes of either copy: the other one serves.
#[test]
fn c2_a_copy_torn_anywhere_is_replaced_by_the_other() {
    for at in [0, COPY] {
        for sector in 0..COPY / 512 {
            let mut image = good();
            let start = at + sector * 512;
            // Zeros where zeros were are no damage.
            if image[start..start + 512].iter().all(|byte| *byte == 0) {
                continue;
            }
            image[start..start + 512].fill(0);
            let (_, luks) = open(image).unwrap_or_else(|error| panic!("{start:#x}: {error}"));
            assert_eq!(luks.warnings().len(), 1, "{start:#x}");
        }
    }
}

/// What was checked is what is used: no byte of the header is read twice, and nothing is written.
#[test]
fn the_header_is_read_once_and_nothing_is_written() {
    let disk = Arc::new(SimulatedStorage::from_vec(good()));
    let luks = Luks::open(disk.clone()).unwrap();
    crate::common::unlock(&luks, b"golden")
        .unwrap()
        .volume(disk.clone())
        .unwrap();
    for at in [0, 512, 4096, COPY as u64, COPY as u64 + 4096] {
        assert_eq!(disk.reads_of(at..at + 1), 1, "byte {at}");
    }
    assert!(disk.is_untouched());
}
