//! File systems that Linux mounts, and their journals.

use super::{BLANK, Places, Row, Sector};
use crate::view::View;

const EXT: Row = Row {
    places: Places::Start(&[0x400]),
    mark_at: 0x38,
    marks: &[b"\x53\xef"],
    sector: Sector::Field("blocks", |view, base| shifted(view, base + 24, 1024)),
    ..BLANK
};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "an external journal of ext4",
        blkid: "jbd",
        also: |view, base| is_ext(view, base) && incompatible(view, base) & JOURNAL_DEVICE != 0,
        ..EXT
    },
    Row {
        name: "an ext4 file system",
        blkid: "ext4",
        also: |view, base| {
            is_ext(view, base)
                && is_ext4(view, base)
                && incompatible(view, base) & JOURNAL_DEVICE == 0
        },
        ..EXT
    },
    Row {
        name: "an ext3 file system",
        blkid: "ext3",
        also: |view, base| is_ext(view, base) && !is_ext4(view, base) && has_journal(view, base),
        ..EXT
    },
    Row {
        name: "an ext2 file system",
        blkid: "ext2",
        also: |view, base| is_ext(view, base) && !is_ext4(view, base) && !has_journal(view, base),
        ..EXT
    },
    Row {
        name: "an XFS file system",
        blkid: "xfs",
        marks: &[b"XFSB"],
        sector: Sector::Field("sectors", |view, base| view.be16(base + 102).map(u32::from)),
        ..BLANK
    },
    // A log starts with a record; version and size of its header are fixed.
    Row {
        name: "an external log of XFS",
        blkid: "xfs_external_log",
        marks: &[b"\xfe\xed\xba\xbe"],
        also: |view, base| matches!(view.be32(base + 8), Some(1 | 2)),
        sector: Sector::Bytes("sectors", 512),
        ..BLANK
    },
    Row {
        name: "a Btrfs file system",
        blkid: "btrfs",
        places: Places::Start(&[0x10000]),
        mark_at: 0x40,
        marks: &[b"_BHRfS_M"],
        sector: Sector::Field("sectors", |view, base| view.le32(base + 0x90)),
        ..BLANK
    },
    Row {
        name: "a bcachefs file system",
        blkid: "bcachefs",
        places: Places::Start(&[0x1000]),
        mark_at: 0x18,
        marks: &[
            b"\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef",
            b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81",
        ],
        // Before it had a mark of its own it took that of bcache, whose versions end at 6.
        also: |view, base| view.le16(base + 16).is_some_and(|version| version > 6),
        sector: Sector::Field("blocks", |view, base| {
            view.le16(base + 0x78)
                .map(|sectors| u32::from(sectors) * 512)
        }),
        ..BLANK
    },
    Row {
        name: "an F2FS file system",
        blkid: "f2fs",
        places: Places::Start(&[0x400]),
        marks: &[b"\x10\x20\xf5\xf2"],
        sector: Sector::Field("blocks", |view, base| {
            view.le32(base + 16).and_then(|log| 1u32.checked_shl(log))
        }),
        ..BLANK
    },
    Row {
        name: "a JFS file system",
        blkid: "jfs",
        places: Places::Start(&[0x8000]),
        marks: &[b"JFS1"],
        sector: Sector::Field("blocks", |view, base| view.le32(base + 16)),
        ..BLANK
    },
    Row {
        name: "a ReiserFS file system",
        blkid: "reiserfs",
        places: Places::Start(&[0x10000, 0x2000]),
        mark_at: 0x34,
        marks: &[b"ReIsErFs", b"ReIsEr2Fs", b"ReIsEr3Fs"],
        sector: Sector::Field("blocks", |view, base| view.le16(base + 0x2c).map(u32::from)),
        ..BLANK
    },
    Row {
        name: "a Reiser4 file system",
        blkid: "reiser4",
        places: Places::Start(&[0x10000]),
        marks: &[b"ReIsEr4\0"],
        sector: Sector::Bytes("blocks", 4096),
        ..BLANK
    },
    // Both copies say their revision; the second stands in the last whole block of 4096 bytes.
    Row {
        name: "a NILFS2 file system",
        blkid: "nilfs2",
        places: Places::Start(&[0x400]),
        mark_at: 6,
        marks: &[b"\x34\x34"],
        also: is_nilfs2,
        sector: Sector::Field("blocks", |view, base| shifted(view, base + 20, 1024)),
        ..BLANK
    },
    Row {
        name: "the second superblock of a NILFS2 file system",
        blkid: "nilfs2",
        places: Places::AlignedEnd(4096, &[4096]),
        mark_at: 6,
        marks: &[b"\x34\x34"],
        also: is_nilfs2,
        sector: Sector::Field("blocks", |view, base| shifted(view, base + 20, 1024)),
        ..BLANK
    },
    // Its superblock is the third block, whatever their size.
    Row {
        name: "an OCFS2 file system",
        blkid: "ocfs2",
        places: Places::Start(&[0x400, 0x800, 0x1000, 0x2000]),
        marks: &[b"OCFSV2"],
        sector: Sector::Field("blocks", |_, base| u32::try_from(base / 2).ok()),
        ..BLANK
    },
    Row {
        name: "an OCFS file system",
        blkid: "ocfs",
        mark_at: 8,
        marks: &[b"OracleCFS"],
        sector: Sector::Bytes("sectors", 512),
        ..BLANK
    },
    Row {
        name: "a GFS2 file system",
        blkid: "gfs2",
        places: Places::Start(&[0x10000]),
        marks: &[b"\x01\x16\x19\x70\0\0\0\x01"],
        also: |view, base| {
            view.be32(base + 24)
                .is_some_and(|format| (1800..2000).contains(&format))
        },
        sector: Sector::Field("blocks", |view, base| view.be32(base + 36)),
        ..BLANK
    },
    Row {
        name: "a GFS file system",
        blkid: "gfs",
        places: Places::Start(&[0x10000]),
        marks: &[b"\x01\x16\x19\x70\0\0\0\x01"],
        also: |view, base| view.be32(base + 24) == Some(1309),
        sector: Sector::Bytes("sectors", 512),
        ..BLANK
    },
    Row {
        name: "an EROFS file system",
        blkid: "erofs",
        places: Places::Start(&[0x400]),
        marks: &[b"\xe2\xe1\xf5\xe0"],
        sector: Sector::Field("blocks", |view, base| {
            view.byte(base + 12)
                .and_then(|log| 1u32.checked_shl(log.into()))
        }),
        ..BLANK
    },
    // It reads in whatever blocks the device has. The letters stand in both orders for both byte orders, and others
    // for what was made with LZMA before the kernel had it.
    Row {
        name: "a SquashFS file system",
        blkid: "squashfs",
        marks: &[b"hsqs", b"sqsh"],
        also: |view, base| squashfs_version(view, base) == Some(4),
        sector: Sector::Bytes("blocks", 4096),
        ..BLANK
    },
    Row {
        name: "an old SquashFS file system",
        blkid: "squashfs3",
        marks: &[b"hsqs", b"sqsh", b"shsq", b"qshs"],
        also: |view, base| {
            squashfs_version(view, base).is_some_and(|version| (1..4).contains(&version))
        },
        sector: Sector::Bytes("blocks", 1024),
        ..BLANK
    },
    // Behind a boot sector where there is one.
    Row {
        name: "a cramfs file system",
        blkid: "cramfs",
        places: Places::Start(&[0, 0x200]),
        marks: &[b"\x45\x3d\xcd\x28", b"\x28\xcd\x3d\x45"],
        sector: Sector::Bytes("blocks", 4096),
        ..BLANK
    },
    Row {
        name: "a romfs file system",
        blkid: "romfs",
        marks: &[b"-rom1fs-"],
        sector: Sector::Bytes("blocks", 1024),
        ..BLANK
    },
    Row {
        name: "a zonefs file system",
        blkid: "zonefs",
        marks: &[b"SFOZ"],
        sector: Sector::Bytes("blocks", 4096),
        ..BLANK
    },
    Row {
        name: "a UBI volume",
        blkid: "ubi",
        marks: &[b"UBI#\x01"],
        ..BLANK
    },
    Row {
        name: "a UBIFS file system",
        blkid: "ubifs",
        marks: &[b"\x31\x18\x10\x06"],
        ..BLANK
    },
    // Four types of a node, in both byte orders.
    Row {
        name: "a JFFS2 file system",
        marks: &[
            b"\x85\x19\x01\xe0",
            b"\x85\x19\x02\xe0",
            b"\x85\x19\x03\x20",
            b"\x85\x19\x06\x20",
            b"\x19\x85\xe0\x01",
            b"\x19\x85\xe0\x02",
            b"\x19\x85\x20\x03",
            b"\x19\x85\x20\x06",
        ],
        ..BLANK
    },
];

const JOURNAL_DEVICE: u32 = 0x8;

/// Two bytes are a mark that chance writes; the numbers beside them it does not: blocks of 1 to 64 KiB, and one of two
/// revisions.
fn is_ext(view: &View<'_>, base: u64) -> bool {
    view.le32(base + 24).is_some_and(|log| log <= 6)
        && view.le32(base + 76).is_some_and(|revision| revision <= 1)
}

/// Features without which nobody may mount it, in its second revision.
fn incompatible(view: &View<'_>, base: u64) -> u32 {
    view.le32(base + 0x60).unwrap_or(0)
}

fn has_journal(view: &View<'_>, base: u64) -> bool {
    view.le32(base + 0x5c)
        .is_some_and(|features| features & 0x4 != 0)
}

/// Features that ext3 has not: it knows file types, recovery and meta block groups; sparse superblocks, large files
/// and directories that are trees.
fn is_ext4(view: &View<'_>, base: u64) -> bool {
    let read_only = view.le32(base + 0x64).unwrap_or(0);
    incompatible(view, base) & !0x16 != 0 || read_only & !0x7 != 0
}

fn is_nilfs2(view: &View<'_>, base: u64) -> bool {
    view.le32(base) == Some(2)
        && view
            .le16(base + 8)
            .is_some_and(|bytes| (64..=1024).contains(&bytes))
        && view.le32(base + 20).is_some_and(|log| log <= 6)
}

/// Its byte order is that of the mark.
fn squashfs_version(view: &View<'_>, base: u64) -> Option<u16> {
    if view.has(base, b"hsqs") || view.has(base, b"shsq") {
        view.le16(base + 28)
    } else {
        view.be16(base + 28)
    }
}

/// `unit` shifted left by the number at `at`.
fn shifted(view: &View<'_>, at: u64, unit: u32) -> Option<u32> {
    view.le32(at)
        .filter(|log| *log <= 6)
        .and_then(|log| unit.checked_shl(log))
}
