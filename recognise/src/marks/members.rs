//! Parts of what volume managers, clusters and caches join. What they hold shows only where they are joined, so that
//! it may count in sectors of 512 bytes.

use super::{BLANK, Places, Row, Sector};
use crate::content::Class;
use crate::view::View;

const MEMBER: Row = Row {
    class: Class::Member,
    sector: Sector::Bytes("sectors", 512),
    ..BLANK
};

pub(super) const ROWS: &[Row] = &[
    // A label that says in which of the first four sectors it stands.
    Row {
        name: "an LVM physical volume",
        blkid: "LVM2_member",
        places: Places::Start(&[0x200, 0, 0x400, 0x600]),
        marks: &[b"LABELONE"],
        also: |view, base| {
            view.le64(base + 8) == Some(base / 512) && view.has(base + 24, b"LVM2 001")
        },
        ..MEMBER
    },
    Row {
        name: "an LVM1 physical volume",
        blkid: "LVM1_member",
        marks: &[b"HM\x01\0", b"HM\x02\0"],
        also: |view, base| view.le32(base + 4).is_some_and(|offset| offset < 1 << 20),
        ..MEMBER
    },
    // Four labels of 256 KiB, each with a ring of uberblocks in its second half.
    Row {
        name: "a ZFS pool member",
        blkid: "zfs_member",
        places: Places::By(zfs_uberblocks),
        marks: &[b"\x0c\xb1\xba\0\0\0\0\0", b"\0\0\0\0\0\xba\xb1\x0c"],
        ..MEMBER
    },
    Row {
        name: "a bcache device",
        blkid: "bcache",
        places: Places::Start(&[0x1000]),
        mark_at: 0x18,
        marks: &[b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"],
        also: |view, base| view.le64(base + 16).is_some_and(|version| version <= 6),
        ..MEMBER
    },
    Row {
        name: "a Ceph BlueStore device",
        blkid: "ceph_bluestore",
        marks: &[b"bluestore block device"],
        ..MEMBER
    },
    Row {
        name: "a Stratis device",
        blkid: "stratis",
        places: Places::Start(&[0x200, 0x1200]),
        mark_at: 4,
        marks: &[b"!Stra0tis\x86\xff\x02^\x41rh"],
        ..MEMBER
    },
    Row {
        name: "a VDO device",
        blkid: "vdo",
        marks: &[b"dmvdo001"],
        sector: Sector::Bytes("blocks", 4096),
        ..MEMBER
    },
    // Its metadata end with what they describe; the mark changes with the version and while it is used.
    Row {
        name: "a DRBD device",
        blkid: "drbd",
        places: Places::AlignedEnd(4096, &[4096]),
        mark_at: 60,
        marks: &[
            b"\x83\x74\x02\x6b",
            b"\x83\x74\x02\x6c",
            b"\x83\x74\x02\x6d",
            b"\x83\x74\x02\x6e",
            b"\x83\x74\x02\x6f",
            b"\x83\x74\x02\x70",
        ],
        ..MEMBER
    },
    Row {
        name: "a DRBDmanage control volume",
        blkid: "drbdmanage_control_volume",
        marks: &[b"$DRBDmgr=q"],
        ..MEMBER
    },
    Row {
        name: "a snapshot of device-mapper's",
        blkid: "DM_snapshot_cow",
        marks: &[b"SnAp\x01\0\0\0", b"SnAp\0\0\0\0"],
        ..MEMBER
    },
    Row {
        name: "a dm-verity hash device",
        blkid: "DM_verity_hash",
        marks: &[b"verity\0\0"],
        ..MEMBER
    },
    Row {
        name: "a dm-integrity device",
        blkid: "DM_integrity",
        marks: &[b"integrt\0"],
        ..MEMBER
    },
    Row {
        name: "a VMFS volume member",
        blkid: "VMFS_volume_member",
        places: Places::Start(&[0x10_0000]),
        marks: &[b"\x0d\xd0\x01\xc0"],
        ..MEMBER
    },
    Row {
        name: "an Oracle ASM disk",
        blkid: "oracleasm",
        mark_at: 32,
        marks: &[b"ORCLDISK"],
        ..MEMBER
    },
    Row {
        name: "a media pool (mpool) device",
        blkid: "mpool",
        marks: &[b"mpoolDev"],
        ..MEMBER
    },
    Row {
        name: "a FreeBSD GEOM member",
        places: Places::End(&[512, 4096]),
        marks: &[
            b"GEOM::MIRROR\0",
            b"GEOM::RAID3\0",
            b"GEOM::STRIPE\0",
            b"GEOM::CONCAT\0",
            b"GEOM::JOURNAL\0",
            b"GEOM::VIRSTOR\0",
            b"GEOM::MULTIPATH\0",
            b"GEOM::LABEL\0",
        ],
        ..MEMBER
    },
];

/// Where uberblocks of all labels may stand: two labels at the start, two at the end, 128 slots of 1 KiB in each.
fn zfs_uberblocks(view: &View<'_>) -> Vec<u64> {
    const LABEL: u64 = 256 << 10;
    let end = view.len() - view.len() % LABEL;
    [
        Some(0),
        Some(LABEL),
        end.checked_sub(2 * LABEL),
        end.checked_sub(LABEL),
    ]
    .into_iter()
    .flatten()
    // A label starts with room for others, and has its list of names before its ring.
    .filter(|label| view.bytes(label + LABEL / 2, 1).is_some())
    .flat_map(|label| (0..128).map(move |slot| label + LABEL / 2 + slot * 1024))
    .collect()
}
