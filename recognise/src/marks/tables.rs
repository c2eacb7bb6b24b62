//! Partition tables.

use super::{BLANK, Places, Row, Sector};
use crate::content::Class;
use crate::partitions::mbr;
use crate::view::View;

const TABLE: Row = Row {
    class: Class::PartitionTable,
    sector: Sector::Bytes("sectors", 512),
    ..BLANK
};

const GPT: Row = Row {
    blkid: "gpt",
    marks: &[b"EFI PART"],
    ..TABLE
};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "a GPT partition table",
        places: Places::Start(&[512]),
        ..GPT
    },
    Row {
        name: "a GPT partition table",
        places: Places::Start(&[4096]),
        also: |view, base| view.le64(base + 24) == Some(1),
        sector: Sector::Bytes("sectors", 4096),
        ..GPT
    },
    Row {
        name: "the second copy of a GPT partition table",
        places: Places::End(&[512]),
        ..GPT
    },
    Row {
        name: "the second copy of a GPT partition table",
        places: Places::End(&[4096]),
        also: |view, base| view.le64(base + 24) == Some(base / 4096),
        sector: Sector::Bytes("sectors", 4096),
        ..GPT
    },
    Row {
        name: "an MBR partition table",
        blkid: "dos",
        mark_at: 510,
        marks: &[b"\x55\xaa"],
        also: |view, _| mbr::is_there(view) && !mbr::stands_before_gpt(view),
        // What stands before a GPT to protect it counts as that does.
        sector: Sector::Field("sectors", |view, _| {
            (!mbr::is_protective(view)).then_some(512)
        }),
        ..TABLE
    },
    Row {
        name: "a PC-98 partition table",
        mark_at: 4,
        marks: &[b"IPL1"],
        also: |view, base| view.has(base + 510, b"\x55\xaa"),
        ..TABLE
    },
    Row {
        name: "an Apple partition map",
        blkid: "mac",
        places: Places::Start(&[512, 2048]),
        marks: &[b"PM\0\0"],
        also: |view, _| view.has(0, b"ER"),
        ..TABLE
    },
    Row {
        name: "a BSD disklabel",
        blkid: "bsd",
        places: Places::Start(&[512, 64, 128, 0]),
        marks: &[b"\x57\x45\x56\x82"],
        also: |view, base| view.le32(base + 132) == Some(0x8256_4557),
        ..TABLE
    },
    // Its words, exclusive-or, are 0.
    Row {
        name: "a Sun disklabel",
        blkid: "sun",
        mark_at: 508,
        marks: &[b"\xda\xbe"],
        also: |view, base| folded(view, base, 512, |sum, word| sum ^ word) == Some(0),
        ..TABLE
    },
    Row {
        name: "an SGI disklabel",
        blkid: "sgi",
        marks: &[b"\x0b\xe5\xa9\x41"],
        ..TABLE
    },
    Row {
        name: "an Amiga rigid disk block",
        places: Places::By(|_| (0..16).map(|block| block * 512).collect()),
        marks: &[b"RDSK\0\0"],
        ..TABLE
    },
    Row {
        name: "an AIX disk record",
        blkid: "aix",
        marks: &[b"\xc9\xc2\xd4\xc1"],
        ..TABLE
    },
    Row {
        name: "a Windows dynamic disk (LDM)",
        places: Places::Start(&[6 * 512]),
        marks: &[b"PRIVHEAD"],
        ..TABLE
    },
];

fn folded(view: &View<'_>, base: u64, len: usize, fold: fn(u16, u16) -> u16) -> Option<u16> {
    let bytes = view.bytes(base, len)?;
    Some(
        bytes
            .chunks_exact(2)
            .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
            .fold(0, fold),
    )
}
