//! Image formats: their bytes are not those of the disk in them.

use super::{BLANK, Places, Row};
use crate::content::Class;

const IMAGE: Row = Row {
    class: Class::Image,
    ..BLANK
};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "a qcow2 image",
        marks: &[b"QFI\xfb"],
        also: |view, base| view.be32(base + 4) != Some(1),
        ..IMAGE
    },
    Row {
        name: "a qcow image",
        marks: &[b"QFI\xfb\0\0\0\x01"],
        ..IMAGE
    },
    Row {
        name: "a QED image",
        marks: &[b"QED\0"],
        ..IMAGE
    },
    Row {
        name: "a VMDK image",
        marks: &[b"KDMV", b"COWD", b"\xbe\xba\xfe\xca\0\0\0\0"],
        ..IMAGE
    },
    Row {
        name: "the descriptor of a VMDK image",
        marks: &[b"# Disk DescriptorFile"],
        ..IMAGE
    },
    Row {
        name: "a VHDX image",
        marks: &[b"vhdxfile"],
        ..IMAGE
    },
    // One that grows has a copy of its footer at its start; of one of fixed size it stands at the end alone, of 511
    // bytes where Virtual PC before 2004 made it.
    Row {
        name: "a VHD image",
        marks: &[b"conectix"],
        ..IMAGE
    },
    Row {
        name: "a VHD image of fixed size",
        places: Places::End(&[512, 511]),
        marks: &[b"conectix"],
        // Its type.
        also: |view, base| view.be32(base + 60) == Some(2),
        ..IMAGE
    },
    Row {
        name: "a VDI image",
        mark_at: 0x40,
        marks: &[b"\x7f\x10\xda\xbe"],
        ..IMAGE
    },
    Row {
        name: "a Parallels image",
        marks: &[b"WithoutFreeSpace", b"WithouFreSpacExt"],
        ..IMAGE
    },
    Row {
        name: "a Bochs image",
        marks: &[b"Bochs Virtual HD Image"],
        ..IMAGE
    },
    Row {
        name: "a cloop image",
        marks: &[b"#!/bin/sh\n#V2.0 Format\n", b"#!/bin/sh\n#V1.0 Format\n"],
        ..IMAGE
    },
    Row {
        name: "an Apple disk image (DMG)",
        places: Places::End(&[512]),
        marks: &[b"koly\0\0\0\x04"],
        ..IMAGE
    },
    Row {
        name: "an EnCase image (EWF)",
        marks: &[b"EVF\x09\x0d\x0a\xff\x00", b"EVF2\x0d\x0a\x81\x00"],
        ..IMAGE
    },
    Row {
        name: "an AFF image",
        marks: &[b"AFF10\r\n\0"],
        ..IMAGE
    },
    Row {
        name: "an export of a Ceph RBD image",
        marks: &[b"rbd image v2\n", b"rbd diff v1\n", b"rbd diff v2\n"],
        ..IMAGE
    },
    Row {
        name: "the header object of a Ceph RBD image",
        marks: &[b"<<< Rados Block Device Image >>>"],
        ..IMAGE
    },
    Row {
        name: "an Android sparse image",
        marks: &[b"\x3a\xff\x26\xed\x01\0"],
        ..IMAGE
    },
    Row {
        name: "a Windows imaging file (WIM)",
        marks: &[b"MSWIM\0\0\0"],
        ..IMAGE
    },
];
