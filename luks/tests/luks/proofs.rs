use std::sync::Arc;

use luks::config::{ConfigChanges, configure};
use luks::luks2::Which;
use luks::repair::{Join, Proof, repair};
use luks::{
    Corrupt, Error, Fault, Header, Luks, OsRandom, Random, Refused, Repair, RepairOptions, Version,
};
use proptest::prelude::*;
use volume::{SimulatedStorage, Storage};

use crate::common::memory;
use crate::headers::{COPY, Cut, container, open, opens, require};

const ASKED: RepairOptions = RepairOptions {
    overwrite_foreign: false,
};
const FORCED: RepairOptions = RepairOptions {
    overwrite_foreign: true,
};

fn noise(bytes: &mut [u8]) {
    OsRandom.fill(bytes).unwrap();
}

fn joined(binary: (Which, u64), binary_mended: bool, json: &[u64]) -> Repair {
    Repair::Joined(Join {
        binary: Some(binary),
        binary_mended,
        json: json.to_vec(),
        proof: Proof::Checksum,
    })
}

/// Damages an image.
type Patch = fn(&mut [u8]);

/// Losses of which a checksum proves what was there: the name, the loss, whether somebody else's bytes are in the way,
/// what is done, and which copies are byte for byte what they were.
fn losses() -> Vec<(&'static str, Patch, bool, Repair, [bool; 2])> {
    let both = [true, true];
    let copy = |which| Repair::Copy {
        which,
        fault: Fault::Corrupt(Corrupt::Checksum),
    };
    let wiped = |which| Repair::Copy {
        which,
        fault: Fault::Corrupt(Corrupt::Magic),
    };
    let (first, second) = ((Which::Primary, 0), (Which::Secondary, 0x4000));
    vec![
        (
            "wipefs",
            |b| {
                b[..6].fill(0);
                b[COPY..COPY + 6].fill(0);
            },
            false,
            joined(first, true, &[0x1000]),
            both,
        ),
        (
            "wipefs of the primary",
            |b| b[..6].fill(0),
            false,
            wiped(Which::Primary),
            both,
        ),
        (
            "wipefs of the secondary",
            |b| b[COPY..COPY + 6].fill(0),
            false,
            wiped(Which::Secondary),
            both,
        ),
        (
            "sectors 1 to 32 random",
            |b| noise(&mut b[512..33 * 512]),
            true,
            joined(first, true, &[0x5000]),
            [true, false],
        ),
        (
            "sectors 1 to 32 zeros",
            |b| b[512..33 * 512].fill(0),
            false,
            joined(first, false, &[0x5000]),
            [true, false],
        ),
        (
            "the primary's start and the secondary's metadata",
            |b| {
                b[..4096].fill(0);
                b[0x5000..0x8000].fill(0);
            },
            false,
            joined(second, false, &[0x1000]),
            [false, true],
        ),
        (
            "the primary's metadata and the secondary's magic",
            |b| {
                noise(&mut b[0x1000..0x4000]);
                b[COPY..COPY + 6].fill(0);
            },
            true,
            joined(first, false, &[0x5000]),
            both,
        ),
        (
            "one sector of each copy's metadata",
            |b| {
                b[0x1000..0x1200].fill(0);
                b[0x5200..0x5400].fill(0);
            },
            false,
            joined(first, false, &[0x1000, 0x5000]),
            both,
        ),
        (
            "the same the other way",
            |b| {
                b[0x1200..0x1400].fill(0);
                b[0x5000..0x5200].fill(0);
            },
            false,
            joined(first, false, &[0x1000, 0x5000]),
            both,
        ),
        (
            "texts of the primary and metadata of the secondary",
            |b| {
                b[24..72].fill(0x11);
                b[168..256].fill(0);
                b[0x5000..0x8000].fill(0);
            },
            false,
            joined(first, true, &[0x1000]),
            both,
        ),
        (
            "constants of both",
            |b| {
                for at in [0, COPY] {
                    b[at + 6..at + 16].fill(0x22);
                    b[at + 72..at + 104].fill(0x22);
                    b[at + 256..at + 264].fill(0x22);
                }
            },
            false,
            joined(first, true, &[0x1000]),
            both,
        ),
        (
            "8 KiB over the end of the primary",
            |b| b[0x3000..0x5000].fill(0),
            false,
            wiped(Which::Secondary),
            [true, false],
        ),
        (
            "8 KiB of noise over the end of the primary",
            |b| noise(&mut b[0x3000..0x5000]),
            true,
            joined(first, false, &[0x1000]),
            [true, false],
        ),
        (
            "a superblock in the metadata of one",
            |b| {
                b[0x1000..0x1004].copy_from_slice(b"\xfc\x4e\x2b\xa9");
                noise(&mut b[0x1010..0x1100]);
            },
            true,
            copy(Which::Primary),
            both,
        ),
        (
            "a superblock behind the text of both",
            |b| {
                for at in [0x2000, 0x6000] {
                    b[at..at + 4].copy_from_slice(b"\xfc\x4e\x2b\xa9");
                    noise(&mut b[at + 16..at + 256]);
                }
            },
            true,
            joined(first, false, &[0x1000]),
            both,
        ),
        (
            "a bit",
            |b| b[0x1010] ^= 1,
            false,
            copy(Which::Primary),
            both,
        ),
    ]
}

/// The header is what it was, and a copy whose checksum is left is so in every byte.
fn check_former(what: &str, image: &[u8], after: &[u8], exact: [bool; 2]) {
    assert!(after[2 * COPY..] == image[2 * COPY..], "{what}: outside");
    for (exact, at) in exact.into_iter().zip([0, COPY]) {
        let copies = (&after[at..at + COPY], &image[at..at + COPY]);
        for (index, (new, old)) in copies.0.iter().zip(copies.1).enumerate() {
            // A fresh salt, and with it another checksum.
            let may_differ = (104..168).contains(&index) || (448..480).contains(&index);
            assert!(
                new == old || !exact && may_differ,
                "{what}: byte {:#x}",
                at + index
            );
        }
    }
    let luks = open(&memory(after.to_vec()));
    assert!(luks.warnings().is_empty(), "{what}");
}

#[test]
fn what_a_checksum_proves_is_put_back() {
    let image = container(Version::Luks2);
    let mut count = 0;
    for (what, patch, is_foreign, expected, exact) in losses() {
        let mut damaged = image.clone();
        patch(&mut damaged);
        let disk = Arc::new(SimulatedStorage::from_vec(damaged));
        if is_foreign {
            let error = repair(&*disk, ASKED, &mut OsRandom).unwrap_err();
            assert!(
                matches!(error, Error::Refused(Refused::Foreign { .. })),
                "{what}: {error}"
            );
            assert!(disk.is_untouched(), "{what}");
        }
        let options = if is_foreign { FORCED } else { ASKED };
        let done = repair(&*disk, options, &mut OsRandom);
        assert_eq!(
            done.unwrap_or_else(|error| panic!("{what}: {error}")),
            expected,
            "{what}"
        );
        check_former(what, &image, &disk.snapshot(), exact);
        let again = repair(&*disk, ASKED, &mut OsRandom).unwrap();
        assert_eq!(again, Repair::Nothing, "{what}");
        count += 1;
    }
    println!("cases: proven repairs {count} passed, 0 failed");
}

/// Whatever a cut leaves, it is proven yet.
#[test]
fn a_crash_of_a_joint_leaves_the_proof() {
    let image = container(Version::Luks2);
    for name in [
        "wipefs",
        "sectors 1 to 32 zeros",
        "one sector of each copy's metadata",
    ] {
        let loss = losses().into_iter().find(|loss| loss.0 == name);
        let (what, patch, ..) = loss.unwrap();
        let mut damaged = image.clone();
        patch(&mut damaged);
        let change = |disk: &Arc<dyn Storage>| {
            repair(&**disk, FORCED, &mut OsRandom).unwrap();
        };
        let name = format!("join {}", what.replace('\'', ""));
        Cut {
            what: &name,
            image: &damaged,
            fixed: 2 * COPY,
            // What proves the header is one sector and metadata that stay where they are, all of it to the end.
            spare: &[0],
        }
        .everywhere(change, |disk, done| {
            let is_whole = || opens(&disk) && open(&disk).warnings().is_empty();
            require(!done || is_whole(), "done is not durable")?;
            repair(&*disk, FORCED, &mut OsRandom).map_err(|error| error.to_string())?;
            require(opens(&disk), "a second repair fails")?;
            require(open(&disk).warnings().is_empty(), "a copy is damaged yet")
        });
    }
}

/// The copy that counts is proven, and the other one, which is sound, is of before the last change.
#[test]
fn a_newer_header_that_is_proven_counts() {
    let old = container(Version::Luks2);
    let disk = memory(old.clone());
    let changes = ConfigChanges {
        label: Some("new".into()),
        ..ConfigChanges::default()
    };
    configure(&open(&disk), &changes, &mut OsRandom).unwrap();
    let new = disk.snapshot();
    for at in [0, COPY] {
        let mut image = new.clone();
        let other = COPY - at;
        image[other..other + COPY].copy_from_slice(&old[other..other + COPY]);
        image[at..at + 6].fill(0);
        let disk = memory(image);
        assert!(opens(&disk), "the older one");
        let done = repair(&*disk, ASKED, &mut OsRandom).unwrap();
        let which = if at == 0 {
            Which::Primary
        } else {
            Which::Secondary
        };
        let json = u64::try_from(at + 4096).unwrap();
        assert_eq!(done, joined((which, json - 4096), true, &[json]));
        let mut exact = [false; 2];
        exact[usize::from(at != 0)] = true;
        check_former("newer", &new, &disk.snapshot(), exact);
    }
}

/// Both checksums are gone, as after a partition table; the metadata in their second place are whole.
#[test]
fn whole_metadata_without_a_checksum_are_told_and_taken_when_asked() {
    let image = container(Version::Luks2);
    for (at, has_uuid) in [(0x1000, true), (0x5000, true), (0x5000, false)] {
        let mut damaged = image.clone();
        for copy in [0, COPY] {
            damaged[copy + 440..copy + 4096].fill(0x77);
        }
        damaged[510..512].copy_from_slice(&[0x55, 0xaa]);
        noise(&mut damaged[(0x6000 - at)..(0x9000 - at)]);
        if !has_uuid {
            damaged[..440].fill(0);
            damaged[COPY..COPY + 440].fill(0);
        }
        let disk = Arc::new(SimulatedStorage::from_vec(damaged));
        let error = repair(&*disk, ASKED, &mut OsRandom).unwrap_err();
        assert!(
            matches!(&error, Error::Refused(Refused::Unproven { what, is_whole: true })
                if what.as_raw().contains(&format!("(JSON) at byte {at} ")) && what.as_raw().contains("keyslots 0 at byte 32768")),
            "{error}"
        );
        assert!(disk.is_untouched());
        let done = repair(&*disk, FORCED, &mut OsRandom).unwrap();
        let Repair::Joined(Join {
            binary,
            json,
            proof,
            ..
        }) = done
        else {
            panic!("{done:?}");
        };
        assert_eq!((json, proof), (vec![at as u64], Proof::Rules));
        assert_eq!(binary.is_some(), has_uuid);
        assert!(opens(&disk));
        assert!(open(&disk).warnings().is_empty());
        let uuid_of = |bytes: &[u8]| open(&memory(bytes.to_vec())).header().uuid().to_owned();
        assert_eq!(uuid_of(&disk.snapshot()) == uuid_of(&image), has_uuid);
        assert!(disk.snapshot()[2 * COPY..] == image[2 * COPY..]);
    }
}

/// A checksum that is there and does not fit says that the metadata are not what they were.
#[test]
fn metadata_that_a_checksum_denies_are_never_taken() {
    let mut image = container(Version::Luks2);
    let digit = |at: usize, image: &[u8]| {
        let text = &image[at..at + 0x1000];
        let found = text
            .windows(13)
            .position(|window| window == b"\"iterations\":");
        at + found.unwrap() + 13
    };
    for at in [0x1000, 0x5000] {
        let place = digit(at, &image);
        image[place] = b'9';
    }
    let disk = Arc::new(SimulatedStorage::from_vec(image));
    for options in [ASKED, FORCED] {
        let error = repair(&*disk, options, &mut OsRandom).unwrap_err();
        assert!(
            matches!(&error, Error::Refused(Refused::Unproven { what, is_whole: false }) if what.as_raw().contains("(JSON) at byte 4096")),
            "{error}"
        );
        assert!(disk.is_untouched());
    }
}

/// Bytes are missing between the copies, or too many: the keyslots lie where the header would be written.
/// A container that begins where a secondary header of one at byte 0 would lie, as one in a partition may.
#[test]
fn a_container_further_in_is_nothing_of_a_lost_header() {
    for at in [COPY, 0x1_0000] {
        let mut image = vec![0; at];
        image.extend(container(Version::Luks2));
        for options in [ASKED, FORCED] {
            let disk = Arc::new(SimulatedStorage::from_vec(image.clone()));
            let refused = repair(&*disk, options, &mut OsRandom);
            assert!(matches!(refused, Err(Error::NotLuks)), "{at}: {refused:?}");
            assert!(disk.is_untouched());
        }
    }
}

#[test]
fn a_container_that_has_moved_is_told_and_left() {
    let image = container(Version::Luks2);
    for cut in [0x1000_usize, 0x2000, 0x3000, 0x4000] {
        for bytes in [0x1000, 0x2000, 0x3000_usize] {
            let shorter = [&image[..cut], &image[(cut + bytes).min(COPY)..]].concat();
            let longer = [&image[..cut], &vec![0; bytes], &image[cut..]].concat();
            for moved in [shorter, longer] {
                if moved.len() == image.len()
                    || moved[..COPY] == image[..COPY]
                        && moved[COPY..2 * COPY] == image[COPY..2 * COPY]
                {
                    continue;
                }
                let disk = Arc::new(SimulatedStorage::from_vec(moved));
                let error = repair(&*disk, FORCED, &mut OsRandom).unwrap_err();
                assert!(
                    matches!(
                        error,
                        Error::Refused(Refused::Shifted { place: 0x4000, .. })
                    ),
                    "{cut:#x} {bytes:#x}: {error}"
                );
                assert!(disk.is_untouched());
            }
        }
    }
}

/// A loss: where it begins, how long it is, and what is there now.
#[derive(Clone, Debug)]
enum Loss {
    Zeros(usize, usize),
    Byte(usize, usize, u8),
    Noise(usize, usize, u64),
    Text(usize, usize),
    /// Bytes of the other copy, or of anywhere else.
    Moved(usize, usize, usize),
}

impl Loss {
    fn apply(&self, image: &mut [u8]) {
        let range = |at: usize, len: usize| at..(at + len).min(2 * COPY);
        match *self {
            Self::Zeros(at, len) => image[range(at, len)].fill(0),
            Self::Byte(at, len, byte) => image[range(at, len)].fill(byte),
            Self::Noise(at, len, mut seed) => {
                for byte in &mut image[range(at, len)] {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    *byte = seed.to_be_bytes()[0];
                }
            }
            Self::Text(at, len) => {
                let range = range(at, len);
                for (byte, text) in image[range]
                    .iter_mut()
                    .zip(b"{\"keyslots\":{}} ".iter().cycle())
                {
                    *byte = *text;
                }
            }
            Self::Moved(at, len, from) => {
                let range = range(at, len);
                let len = range.len();
                let from = from.min(2 * COPY - len);
                image.copy_within(from..from + len, range.start);
            }
        }
    }
}

fn loss() -> impl Strategy<Value = Loss> {
    // Most of what there is stands in the first 6 KiB of a copy.
    let at = prop_oneof![0..0x1800_usize, COPY..COPY + 0x1800, 0..2 * COPY];
    let len = prop_oneof![1..32_usize, 1..1024_usize, 1..0x5000_usize];
    (at, len, any::<u64>(), 0..5_u8).prop_map(|(at, len, seed, kind)| match kind {
        0 => Loss::Zeros(at, len),
        1 => Loss::Byte(at, len, seed.to_be_bytes()[7]),
        2 => Loss::Noise(at, len, seed),
        3 => Loss::Text(at, len),
        _ => Loss::Moved(at, len, usize::try_from(seed % 0x8000).unwrap()),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// A repair gives the header that was there, or it refuses and writes nothing; outside of the header nothing changes.
    #[test]
    fn a_repair_gives_the_former_header_or_refuses(losses in proptest::collection::vec(loss(), 1..5)) {
        static IMAGE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let image = IMAGE.get_or_init(|| container(Version::Luks2));
        let mut damaged = image.clone();
        for loss in &losses {
            loss.apply(&mut damaged);
        }
        let luks2 = |luks: &Luks| match luks.header() {
            Header::Luks2(header) => header.clone(),
            Header::Luks1(_) => panic!("LUKS2"),
        };
        let former = luks2(&open(&memory(image.clone())));
        for options in [ASKED, FORCED] {
            let disk = Arc::new(SimulatedStorage::from_vec(damaged.clone()));
            match repair(&*disk, options, &mut OsRandom) {
                Err(_) => prop_assert!(disk.is_untouched()),
                Ok(done) => {
                    let after = disk.snapshot();
                    prop_assert!(after[2 * COPY..] == image[2 * COPY..]);
                    let luks = open(&disk);
                    prop_assert!(luks.warnings().is_empty());
                    let is_proven = !matches!(&done, Repair::Joined(join) if join.proof == Proof::Rules);
                    prop_assert!(is_proven || options.overwrite_foreign);
                    if is_proven {
                        prop_assert!(luks2(&luks).says_the_same_as(&former), "{:?}", done);
                    }
                }
            }
        }
    }
}
