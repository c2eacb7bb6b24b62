//! File systems of other systems, and of exchange between them.

use super::{BLANK, Places, Row, Sector};
use crate::fat;
use crate::view::View;

/// Boot sectors of DOS and Windows have the size of their sectors at one place.
const BOOT_SECTOR: Row = Row {
    sector: Sector::Field("sectors", |view, base| view.le16(base + 11).map(u32::from)),
    ..BLANK
};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "an NTFS file system",
        blkid: "ntfs",
        mark_at: 3,
        marks: &[b"NTFS    "],
        ..BOOT_SECTOR
    },
    Row {
        name: "an exFAT file system",
        blkid: "exfat",
        mark_at: 3,
        marks: &[b"EXFAT   "],
        sector: Sector::Field("sectors", |view, base| {
            view.byte(base + 108)
                .and_then(|log| 1u32.checked_shl(log.into()))
        }),
        ..BLANK
    },
    Row {
        name: "a ReFS file system",
        blkid: "ReFS",
        mark_at: 3,
        marks: &[b"ReFS\0\0\0\0"],
        sector: Sector::Bytes("sectors", 512),
        ..BLANK
    },
    Row {
        name: "a FAT file system",
        blkid: "vfat",
        mark_at: fat::NAME_32_AT,
        marks: fat::NAMES_32,
        also: fat::numbers_fit,
        ..BOOT_SECTOR
    },
    Row {
        name: "a FAT file system",
        blkid: "vfat",
        mark_at: fat::NAME_AT,
        marks: fat::NAMES,
        also: fat::numbers_fit,
        ..BOOT_SECTOR
    },
    // Before DOS 4 it did not say what it is: a jump, and numbers that fit together.
    Row {
        name: "a FAT file system",
        blkid: "vfat",
        marks: fat::JUMPS,
        also: fat::is_unnamed,
        ..BOOT_SECTOR
    },
    Row {
        name: "an HPFS file system",
        blkid: "hpfs",
        places: Places::Start(&[0x2000]),
        marks: &[b"\x49\xe8\x95\xf9"],
        sector: Sector::Bytes("sectors", 512),
        ..BLANK
    },
    Row {
        name: "a UDF file system",
        blkid: "udf",
        // Descriptors of 2048 bytes from byte 32768 on, further apart where sectors are larger.
        places: Places::By(|_| (0..64).map(|index| 0x8000 + index * 0x800).collect()),
        mark_at: 1,
        marks: &[b"NSR02\x01", b"NSR03\x01"],
        sector: Sector::Field("blocks", udf_block),
        ..BLANK
    },
    Row {
        name: "an ISO 9660 file system",
        blkid: "iso9660",
        places: Places::Start(&[0x8000]),
        mark_at: 1,
        marks: &[b"CD001"],
        sector: Sector::Bytes("sectors", 2048),
        ..BLANK
    },
    Row {
        name: "a High Sierra file system",
        blkid: "iso9660",
        places: Places::Start(&[0x8000]),
        mark_at: 9,
        marks: &[b"CDROM"],
        sector: Sector::Bytes("sectors", 2048),
        ..BLANK
    },
    Row {
        name: "an HFS Plus file system",
        blkid: "hfsplus",
        places: Places::Start(&[0x400]),
        marks: &[b"H+\0\x04", b"HX\0\x05"],
        sector: Sector::Bytes("sectors", 512),
        ..BLANK
    },
    // One within HFS, for systems that know that alone.
    Row {
        name: "an HFS Plus file system",
        blkid: "hfsplus",
        places: Places::Start(&[0x400]),
        marks: &[b"BD"],
        also: |view, base| {
            is_hfs(view, base) && (view.has(base + 0x7c, b"H+") || view.has(base + 0x7c, b"HX"))
        },
        sector: Sector::Bytes("sectors", 512),
        ..BLANK
    },
    Row {
        name: "an HFS file system",
        blkid: "hfs",
        places: Places::Start(&[0x400]),
        marks: &[b"BD"],
        also: is_hfs,
        sector: Sector::Bytes("sectors", 512),
        ..BLANK
    },
    Row {
        name: "an APFS container",
        blkid: "apfs",
        mark_at: 32,
        marks: &[b"NXSB"],
        sector: Sector::Field("blocks", |view, base| view.le32(base + 36)),
        ..BLANK
    },
    Row {
        name: "a UFS file system",
        blkid: "ufs",
        places: Places::Start(&[0x2000, 0x10000, 0, 0x40000]),
        mark_at: 0x55c,
        marks: &[
            b"\x54\x19\x01\0",
            b"\0\x01\x19\x54",
            b"\x19\x01\x54\x19",
            b"\x19\x54\x01\x19",
        ],
        sector: Sector::Bytes("sectors", 512),
        ..BLANK
    },
    Row {
        name: "a Minix file system",
        blkid: "minix",
        places: Places::Start(&[0x400]),
        mark_at: 16,
        marks: &[
            b"\x7f\x13",
            b"\x8f\x13",
            b"\x68\x24",
            b"\x78\x24",
            b"\x13\x7f",
            b"\x13\x8f",
            b"\x24\x68",
            b"\x24\x78",
        ],
        also: is_minix,
        sector: Sector::Bytes("blocks", 1024),
        ..BLANK
    },
    Row {
        name: "a Minix file system",
        blkid: "minix",
        places: Places::Start(&[0x400]),
        mark_at: 24,
        marks: &[b"\x5a\x4d", b"\x4d\x5a"],
        also: is_minix3,
        sector: Sector::Bytes("blocks", 1024),
        ..BLANK
    },
    Row {
        name: "a VxFS file system",
        blkid: "vxfs",
        places: Places::Start(&[0x400]),
        marks: &[b"\xf5\xfc\x01\xa5"],
        sector: Sector::Bytes("sectors", 512),
        ..BLANK
    },
    Row {
        name: "a VxFS file system",
        blkid: "vxfs",
        places: Places::Start(&[0x2000]),
        marks: &[b"\xa5\x01\xfc\xf5"],
        sector: Sector::Bytes("sectors", 512),
        ..BLANK
    },
    Row {
        name: "a BFS file system of SCO",
        blkid: "bfs",
        marks: &[b"\xce\xfa\xad\x1b"],
        sector: Sector::Bytes("blocks", 512),
        ..BLANK
    },
    Row {
        name: "a Be file system",
        blkid: "befs",
        places: Places::Start(&[0, 0x200]),
        mark_at: 32,
        marks: &[b"1SFB", b"BFS1"],
        also: |view, base| view.has(base + 36, b"EGIB") || view.has(base + 36, b"BIGE"),
        sector: Sector::Bytes("sectors", 512),
        ..BLANK
    },
    // Both byte orders, in a superblock that ends in its mark: at 512 or, for Xenix, of 1024 bytes at 1024.
    Row {
        name: "a System V file system",
        blkid: "sysv",
        places: Places::Start(&[0x200, 0x400, 0x600, 0x800, 0x1e00, 0x2400]),
        mark_at: 504,
        marks: &[b"\x20\x7e\x18\xfd", b"\xfd\x18\x7e\x20"],
        sector: Sector::Bytes("sectors", 512),
        ..BLANK
    },
    Row {
        name: "a Xenix file system",
        blkid: "xenix",
        places: Places::Start(&[0x400]),
        mark_at: 1016,
        marks: &[b"\x44\x55\x2b\0", b"\0\x2b\x55\x44"],
        sector: Sector::Bytes("sectors", 512),
        ..BLANK
    },
    Row {
        name: "a NetWare (NSS) volume",
        blkid: "nss",
        places: Places::Start(&[0x1000]),
        marks: &[b"SPB5"],
        sector: Sector::Bytes("sectors", 512),
        ..BLANK
    },
    Row {
        name: "a VMFS file system",
        blkid: "VMFS",
        places: Places::Start(&[0x20_0000]),
        marks: &[b"\x5e\xf1\xab\x2f"],
        sector: Sector::Bytes("sectors", 512),
        ..BLANK
    },
];

/// Allocation blocks of whole sectors, of which there are some, behind a bitmap that starts at the third sector or later.
fn is_hfs(view: &View<'_>, base: u64) -> bool {
    view.be32(base + 0x14)
        .is_some_and(|bytes| bytes != 0 && bytes.is_multiple_of(512))
        && view.be16(base + 0x12).is_some_and(|blocks| blocks != 0)
        && view
            .be16(base + 0x0e)
            .is_some_and(|sector| (3..64).contains(&sector))
}

/// Maps that are large enough for what they map. The marks of both byte orders differ, so that one of them is right.
fn is_minix(view: &View<'_>, base: u64) -> bool {
    let little = view
        .byte(base + 17)
        .is_some_and(|high| matches!(high, 0x13 | 0x24));
    let number = |at: u64| {
        let number = if little {
            view.le16(base + at)
        } else {
            view.be16(base + at)
        };
        number.map_or(0, u64::from)
    };
    let is_second = view
        .bytes(base + 16, 2)
        .is_some_and(|mark| mark.contains(&0x24));
    let zones = if is_second {
        let zones = if little {
            view.le32(base + 20)
        } else {
            view.be32(base + 20)
        };
        zones.map_or(0, u64::from)
    } else {
        number(2)
    };
    maps_fit(number(0), zones, number(4), number(6), number(8), 1024) && number(10) <= 8
}

fn is_minix3(view: &View<'_>, base: u64) -> bool {
    let little = view.byte(base + 24) == Some(0x5a);
    let short = |at: u64| {
        let number = if little {
            view.le16(base + at)
        } else {
            view.be16(base + at)
        };
        number.map_or(0, u64::from)
    };
    let long = |at: u64| {
        let number = if little {
            view.le32(base + at)
        } else {
            view.be32(base + at)
        };
        number.map_or(0, u64::from)
    };
    let block = short(28);
    block.is_power_of_two()
        && block >= 1024
        && maps_fit(long(0), long(20), short(6), short(8), short(10), block)
}

fn maps_fit(
    inodes: u64,
    zones: u64,
    inode_map: u64,
    zone_map: u64,
    first: u64,
    block: u64,
) -> bool {
    inodes != 0
        && zones > first
        && inode_map * block * 8 > inodes
        && zone_map * block * 8 >= zones - first
        && first >= 2 + inode_map + zone_map
}

/// An anchor stands in block 256, tells its own number, and is a descriptor of type 2.
fn udf_block(view: &View<'_>, _: u64) -> Option<u32> {
    [512, 1024, 2048, 4096].into_iter().find(|bytes| {
        let at = u64::from(*bytes) * 256;
        view.le16(at) == Some(2) && view.le32(at + 12) == Some(256)
    })
}
