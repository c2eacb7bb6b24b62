//! Encrypted by something else than LUKS.

use super::{BLANK, Row, Sector};
use crate::content::Class;

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "the LUKS header of a cloned Ceph image (RBDL)",
        class: Class::Encrypted,
        marks: &[b"RBDL\xba\xbe"],
        sector: Sector::Bytes("sectors", 512),
        ..BLANK
    },
    // What cryptsetup makes of the magic of LUKS1 while it reencrypts: nothing opens it by mistake.
    Row {
        name: "a LUKS1 container that cryptsetup has begun to reencrypt",
        class: Class::Unfinished,
        marks: &[b"LUKS\xde\xad"],
        also: |view, base| view.be16(base + 6) == Some(1),
        sector: Sector::Bytes("sectors", 512),
        ..BLANK
    },
    Row {
        name: "a BitLocker volume",
        blkid: "BitLocker",
        class: Class::Encrypted,
        mark_at: 3,
        marks: &[b"-FVE-FS-"],
        sector: Sector::Bytes("sectors", 512),
        ..BLANK
    },
    // A FAT file system to look at, by which other systems find the program that opens it.
    Row {
        name: "a BitLocker To Go volume",
        blkid: "BitLocker",
        class: Class::Encrypted,
        mark_at: 3,
        marks: &[b"MSWIN4.1"],
        also: |view, base| {
            // 4967D63B-2E29-4AD8-8399-F6A339E3D001
            view.has(
                base + 424,
                b"\x3b\xd6\x67\x49\x29\x2e\xd8\x4a\x83\x99\xf6\xa3\x39\xe3\xd0\x01",
            )
        },
        sector: Sector::Bytes("sectors", 512),
        ..BLANK
    },
    // A block of type 16 in version 1: the header of a physical volume.
    Row {
        name: "a FileVault (Core Storage) volume",
        class: Class::Encrypted,
        mark_at: 88,
        marks: &[b"CS"],
        also: |view, base| view.le16(base + 8) == Some(1) && view.le16(base + 10) == Some(0x10),
        sector: Sector::Bytes("sectors", 512),
        ..BLANK
    },
    Row {
        name: "a FreeBSD GELI provider",
        class: Class::Encrypted,
        places: super::Places::End(&[512, 4096]),
        marks: &[b"GEOM::ELI\0"],
        sector: Sector::Bytes("sectors", 512),
        ..BLANK
    },
];
