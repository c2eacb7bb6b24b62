//! Members of arrays: Linux md, and the formats of controllers that leave the work to a driver.

use super::{BLANK, Places, Row, Sector};
use crate::content::Class;
use crate::view::View;

const RAID: Row = Row {
    class: Class::Member,
    sector: Sector::Bytes("sectors", 512),
    ..BLANK
};

/// Version 1 says in which sector it stands, which depends on its minor version.
const MD1: Row = Row {
    blkid: "linux_raid_member",
    marks: &[b"\xfc\x4e\x2b\xa9\x01\0\0\0"],
    also: |view, base| view.le64(base + 144) == Some(base / 512),
    ..RAID
};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "a RAID member (md 1.1)",
        ..MD1
    },
    Row {
        name: "a RAID member (md 1.2)",
        places: Places::Start(&[0x1000]),
        ..MD1
    },
    // 8 KiB before the end or up to 4 KiB more.
    Row {
        name: "a RAID member (md 1.0)",
        places: Places::By(|view| {
            let sectors = (view.len() / 512).checked_sub(16);
            sectors
                .map(|sectors| sectors / 8 * 4096)
                .into_iter()
                .collect()
        }),
        ..MD1
    },
    // In the byte order of the machine.
    Row {
        name: "a RAID member (md 0.90)",
        blkid: "linux_raid_member",
        places: Places::AlignedEnd(64 << 10, &[64 << 10]),
        marks: &[b"\xfc\x4e\x2b\xa9\0\0\0\0", b"\xa9\x2b\x4e\xfc\0\0\0\0"],
        ..RAID
    },
    Row {
        name: "a RAID member (DDF)",
        blkid: "ddf_raid_member",
        places: Places::End(&[512, 257 * 512]),
        marks: &[b"\xde\x11\xde\x11"],
        ..RAID
    },
    Row {
        name: "a RAID member (Intel Matrix)",
        blkid: "isw_raid_member",
        places: Places::End(&[1024, 8192]),
        marks: &[b"Intel Raid ISM Cfg Sig. "],
        ..RAID
    },
    Row {
        name: "a RAID member (LSI MegaRAID)",
        blkid: "lsi_mega_raid_member",
        places: Places::End(&[512]),
        marks: &[b"$XIDE$"],
        ..RAID
    },
    Row {
        name: "a RAID member (NVIDIA)",
        blkid: "nvidia_raid_member",
        places: Places::End(&[1024]),
        marks: &[b"NVIDIA  "],
        ..RAID
    },
    Row {
        name: "a RAID member (Promise FastTrak)",
        blkid: "promise_fasttrack_raid_member",
        places: Places::End(&[
            63 * 512,
            255 * 512,
            256 * 512,
            16 * 512,
            399 * 512,
            591 * 512,
            675 * 512,
            735 * 512,
            911 * 512,
            974 * 512,
            991 * 512,
            951 * 512,
            3087 * 512,
        ]),
        marks: &[b"Promise Technology, Inc."],
        ..RAID
    },
    Row {
        name: "a RAID member (HighPoint 37x)",
        blkid: "hpt37x_raid_member",
        places: Places::Start(&[9 * 512]),
        mark_at: 0x20,
        marks: &[b"\xf0\x16\x78\x5a", b"\xfd\x16\x78\x5a"],
        ..RAID
    },
    Row {
        name: "a RAID member (HighPoint 45x)",
        blkid: "hpt45x_raid_member",
        places: Places::End(&[11 * 512]),
        marks: &[b"\xf3\x16\x78\x5a", b"\xfd\x16\x78\x5a"],
        ..RAID
    },
    Row {
        name: "a RAID member (Adaptec)",
        blkid: "adaptec_raid_member",
        places: Places::End(&[512]),
        marks: &[b"DPTM"],
        ..RAID
    },
    // The rest have marks that chance writes, and sums that it does not.
    Row {
        name: "a RAID member (JMicron)",
        blkid: "jmicron_raid_member",
        places: Places::End(&[512]),
        marks: &[b"JM"],
        also: |view, base| {
            let sum = view.bytes(base, 128).map_or(2, |bytes| {
                bytes.chunks_exact(2).fold(0u16, |sum, pair| {
                    sum.wrapping_add(u16::from_le_bytes([pair[0], pair[1]]))
                })
            });
            matches!(sum, 0 | 1) && view.byte(base + 32).is_some_and(|mode| mode <= 5)
        },
        ..RAID
    },
    Row {
        name: "a RAID member (VIA)",
        blkid: "via_raid_member",
        places: Places::End(&[512]),
        marks: &[b"\x55\xaa"],
        also: |view, base| {
            let sum = view
                .bytes(base, 50)
                .map(|bytes| bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)));
            view.byte(base + 2).is_some_and(|version| version <= 2)
                && sum.is_some()
                && sum == view.byte(base + 50)
        },
        ..RAID
    },
    Row {
        name: "a RAID member (Silicon Image Medley)",
        blkid: "silicon_medley_raid_member",
        places: Places::End(&[512]),
        mark_at: 0x60,
        marks: &[b"\0\0\0\x2f"],
        also: is_medley,
        ..RAID
    },
];

/// The sum of its first 159 words and of the word behind them is 0.
fn is_medley(view: &View<'_>, base: u64) -> bool {
    view.bytes(base, 320).is_some_and(|bytes| {
        bytes.chunks_exact(2).fold(0u16, |sum, pair| {
            sum.wrapping_add(u16::from_le_bytes([pair[0], pair[1]]))
        }) == 0
    })
}
