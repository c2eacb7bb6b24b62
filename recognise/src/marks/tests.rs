//! Each row alone, and what no row may take for its own.

use volume::{MemoryStorage, Storage};

use super::*;
use crate::{largest_sector, look, partitions, recognise};

/// Large enough for every place, and no round number of anything but sectors.
const BYTES: u64 = (64 << 20) + 3 * 512;

#[test]
fn each_mark_is_found_alone_at_each_of_its_places() {
    let mut count = 0;
    for row in all() {
        for base in places(row) {
            for mark in row.marks {
                let storage = MemoryStorage::new(BYTES);
                write(&storage, base + row.mark_at, mark);
                for (at, bytes) in numbers(row, base, mark) {
                    write(&storage, base.wrapping_add(at), &bytes);
                }
                let what = format!("{} at {base:#x}, {mark:?}", row.name);
                let view = View::new(&storage).unwrap();
                let (found_base, found) = row.find_base(&view).expect(&what);
                assert_eq!(
                    (found_base, found.offset),
                    (base, base + row.mark_at),
                    "{what}"
                );
                assert_eq!(
                    found.bytes().end,
                    found.offset + mark.len() as u64,
                    "{what}"
                );
                assert!(look(&storage).unwrap().contains(&found), "{what}");
                count += 1;
            }
        }
    }
    assert!(count > 700, "{count}");
}

/// Marks of a few bytes mean nothing alone.
#[test]
fn short_marks_need_their_numbers() {
    let mut needed = 0;
    for row in all() {
        for mark in row.marks {
            let base = places(row)[0];
            if numbers(row, base, mark).is_empty() {
                // With zeros beside them they may stand alone: what is there was never wiped.
                let may = mark.len() >= 3 || row.blkid == "ext2";
                assert!(may, "{} is marked by {mark:?} alone", row.name);
                continue;
            }
            let storage = MemoryStorage::new(BYTES);
            write(&storage, base + row.mark_at, mark);
            let found = row.find(&View::new(&storage).unwrap());
            assert_eq!(found, None, "{} by {mark:?}", row.name);
            needed += 1;
        }
    }
    assert!(needed > 40, "{needed}");
}

#[test]
fn names_have_articles_and_types_are_words() {
    for row in all() {
        let article = row.name.split(' ').next().unwrap();
        let has_one = ["a", "an", "the"].contains(&article) || row.name == "swap space";
        assert!(has_one, "{}", row.name);
        assert!(!row.blkid.contains(' '), "{}", row.blkid);
        assert!(!row.marks.is_empty());
    }
    assert!(all().count() >= 110);
    let mut types: Vec<_> = all()
        .map(|row| row.blkid)
        .filter(|word| !word.is_empty())
        .collect();
    types.sort_unstable();
    types.dedup();
    assert!(types.len() >= 80, "{}", types.len());
}

#[test]
fn noise_zeros_and_text_hold_nothing() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..64 {
        let noise: Vec<u8> = (0..(1 << 17))
            .flat_map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()
            })
            .collect();
        assert_eq!(look(&MemoryStorage::from_vec(noise)).unwrap(), []);
    }
    for text in [
        "the quick brown fox jumps over the lazy dog\n",
        "JM",
        "0",
        "PART",
        "\u{ff}",
    ] {
        let text = text.repeat((1 << 20) / text.len());
        assert_eq!(look(&MemoryStorage::from_vec(text.into())).unwrap(), []);
    }
}

/// Code that starts a machine is no table and no file system.
#[test]
fn a_bare_boot_sector_is_nothing() {
    let storage = MemoryStorage::new(1 << 20);
    for (start, entry) in [
        (&b""[..], &[][..]),
        (b"\xeb\x3c\x90", &[]),
        (b"\xfa\x31\xc0", &[0x7f, 1, 2, 3, 4, 5, 6, 7, 8]),
        (
            b"\xeb\x63\x90",
            &[0x80, 0, 0, 0, 0x83, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ),
    ] {
        write(&storage, 0, start);
        write(&storage, 446, entry);
        write(&storage, 510, b"\x55\xaa");
        assert_eq!(recognise(&storage).unwrap(), None);
        assert_eq!(partitions(&storage).unwrap(), []);
    }
}

/// A LUKS image stored in a file system has its second copy anywhere: one that names another place is none.
#[test]
fn a_stray_second_copy_is_no_header() {
    for place in luks::SECONDARY_PLACES {
        for said in luks::SECONDARY_PLACES {
            let storage = MemoryStorage::new(8 << 20);
            write(&storage, place, b"SKUL\xba\xbe\0\x02");
            write(&storage, place + 256, &said.to_be_bytes());
            let found = recognise(&storage).unwrap();
            let is_found = found.is_some_and(|found| found.content.class() == Class::Luks);
            assert_eq!(is_found, place == said, "at {place}, says {said}");
        }
    }
}

/// What stands on top decides what it is called, and all that stands there what it can live with.
#[test]
fn the_smallest_sector_of_all_counts_unless_a_table_needs_the_large_ones() {
    let storage = MemoryStorage::new(1 << 20);
    write(&storage, 0x10040, b"_BHRfS_M");
    write(&storage, 0x10090, &4096_u32.to_le_bytes());
    let limit = || largest_sector(&storage).unwrap().unwrap();
    assert_eq!(limit().bytes, 4096);
    write(&storage, 0, b"XFSB");
    write(&storage, 102, &512_u16.to_be_bytes());
    assert_eq!(
        limit().found,
        "an XFS file system with sectors of 512 bytes"
    );
    write(&storage, 4096, b"EFI PART");
    write(&storage, 4096 + 24, &1_u64.to_le_bytes());
    assert_eq!(
        (limit().bytes, limit().found.as_str()),
        (4096, "a GPT partition table with sectors of 4096 bytes")
    );
    // Numbers that are none are passed over.
    write(&storage, 4096, &[0; 8]);
    write(&storage, 102, &777_u16.to_be_bytes());
    assert_eq!(limit().bytes, 4096);
}

fn places(row: &Row) -> Vec<u64> {
    row.places
        .of(&View::new(&MemoryStorage::new(BYTES)).unwrap())
}

fn write(storage: &MemoryStorage, at: u64, bytes: &[u8]) {
    storage.write_at(at, bytes).unwrap();
}

/// What a row wants beside its mark, counted from the structure's start.
fn numbers(row: &Row, base: u64, mark: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let le32 = |at: u64, number: u32| (at, number.to_le_bytes().to_vec());
    let be32 = |at: u64, number: u32| (at, number.to_be_bytes().to_vec());
    let text = |at: u64, bytes: &[u8]| (at, bytes.to_vec());
    let ext = |more: &[(u64, u32)]| {
        let mut all = vec![le32(76, 1)];
        all.extend(more.iter().map(|(at, number)| le32(*at, *number)));
        all
    };
    let ordered = |little: bool, at: u64, bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        if !little {
            bytes.reverse();
        }
        (at, bytes)
    };
    match row.name {
        "the second copy of a LUKS2 header" => vec![text(256, &base.to_be_bytes())],
        "a LUKS1 container that cryptsetup has begun to reencrypt" => vec![text(6, b"\0\x01")],
        "a BitLocker To Go volume" => vec![text(
            424,
            b"\x3b\xd6\x67\x49\x29\x2e\xd8\x4a\x83\x99\xf6\xa3\x39\xe3\xd0\x01",
        )],
        "a FileVault (Core Storage) volume" => vec![text(8, b"\x01\0\x10\0")],
        "a VHD image of fixed size" => vec![be32(60, 2)],
        "a bzip2 file" => vec![text(3, b"91AY&SY")],
        "an external journal of ext4" => ext(&[(0x60, 8)]),
        "an ext4 file system" => ext(&[(0x60, 0x40)]),
        "an ext3 file system" => ext(&[(0x5c, 4)]),
        "an external log of XFS" => vec![be32(8, 2)],
        "a bcachefs file system" => vec![text(16, b"\x0a\0")],
        "a NILFS2 file system" | "the second superblock of a NILFS2 file system" => {
            vec![le32(0, 2), text(8, b"\x18\x01")]
        }
        "a GFS2 file system" => vec![be32(24, 1801)],
        "a GFS file system" => vec![be32(24, 1309)],
        "a SquashFS file system" => vec![ordered(mark == b"hsqs", 28, b"\x04\0")],
        "an old SquashFS file system" => {
            vec![ordered(mark == b"hsqs" || mark == b"shsq", 28, b"\x03\0")]
        }
        "a FAT file system" => {
            let mut all = vec![text(11, b"\0\x02\x04\x01\0\x02\0\x02\0\0\xf8\x10\0")];
            if mark.len() == 1 {
                all.push(text(510, b"\x55\xaa"));
                all.push(text(2, b"\x90"));
            }
            all
        }
        "an HFS Plus file system" if mark == b"BD" => {
            vec![text(0x0e, b"\0\x03\0\0\0\x10\0\0\x10\0"), text(0x7c, b"H+")]
        }
        "an HFS file system" => vec![text(0x0e, b"\0\x03\0\0\0\x10\0\0\x10\0")],
        "a Minix file system" if row.mark_at == 16 => {
            let little = matches!(mark[1], 0x13 | 0x24);
            let is_second = mark.contains(&0x24);
            let mut all: Vec<_> = [(0, 64), (4, 1), (6, 1), (8, 8)]
                .into_iter()
                .map(|(at, low)| ordered(little, at, &[low, 0]))
                .collect();
            all.push(if is_second {
                ordered(little, 20, &[0, 2, 0, 0])
            } else {
                ordered(little, 2, &[0, 2])
            });
            all
        }
        "a Minix file system" => {
            let little = mark == b"\x5a\x4d";
            vec![
                ordered(little, 0, &[64, 0, 0, 0]),
                ordered(little, 6, &[1, 0]),
                ordered(little, 8, &[1, 0]),
                ordered(little, 10, &[8, 0]),
                ordered(little, 20, &[0, 2, 0, 0]),
                ordered(little, 28, &[0, 4]),
            ]
        }
        "a Be file system" => vec![text(36, b"EGIB")],
        "an LVM physical volume" => {
            vec![text(8, &(base / 512).to_le_bytes()), text(24, b"LVM2 001")]
        }
        "a RAID member (md 1.0)" | "a RAID member (md 1.2)" => {
            vec![text(144, &(base / 512).to_le_bytes())]
        }
        "a RAID member (JMicron)" => vec![text(2, &(!0x4d4a_u16 + 1).to_le_bytes())],
        "a RAID member (VIA)" => vec![text(50, b"\xff")],
        "a RAID member (Silicon Image Medley)" => vec![text(0, b"\0\xd1")],
        "a GPT partition table" if base == 4096 => vec![text(24, &1_u64.to_le_bytes())],
        "the second copy of a GPT partition table" if base % 4096 != BYTES % 4096 - 512 => {
            vec![text(24, &(base / 4096).to_le_bytes())]
        }
        "an MBR partition table" => {
            vec![text(446, b"\x80\0\0\0\x83\0\0\0\0\x08\0\0\0\x08\0\0")]
        }
        "a PC-98 partition table" => vec![text(510, b"\x55\xaa")],
        // At the disk's start, before the structure.
        "an Apple partition map" => vec![text(0u64.wrapping_sub(base), b"ER")],
        "a BSD disklabel" => vec![le32(132, 0x8256_4557)],
        "a Sun disklabel" => vec![text(0, b"\xda\xbe")],
        _ => Vec::new(),
    }
}
