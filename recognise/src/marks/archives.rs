//! Archives and compressed files: an image may be in one, and no disk is behind one.

use super::{BLANK, Row};
use crate::content::Class;

const ARCHIVE: Row = Row {
    class: Class::Archive,
    ..BLANK
};

pub(super) const ROWS: &[Row] = &[
    // Deflate, and no flag that is reserved.
    Row {
        name: "a gzip file",
        marks: &[b"\x1f\x8b\x08"],
        also: |view, base| view.byte(base + 3).is_some_and(|flags| flags & 0xe0 == 0),
        ..ARCHIVE
    },
    Row {
        name: "an xz file",
        marks: &[b"\xfd7zXZ\0"],
        ..ARCHIVE
    },
    Row {
        name: "a Zstandard file",
        marks: &[b"\x28\xb5\x2f\xfd"],
        ..ARCHIVE
    },
    Row {
        name: "a bzip2 file",
        marks: &[b"BZh"],
        also: |view, base| {
            view.byte(base + 3)
                .is_some_and(|level| (b'1'..=b'9').contains(&level))
                && (view.has(base + 4, b"\x31\x41\x59\x26\x53\x59")
                    || view.has(base + 4, b"\x17\x72\x45\x38\x50\x90"))
        },
        ..ARCHIVE
    },
    Row {
        name: "an LZ4 file",
        marks: &[b"\x04\x22\x4d\x18"],
        ..ARCHIVE
    },
    Row {
        name: "an lzop file",
        marks: &[b"\x89LZO\0\r\n\x1a\n"],
        ..ARCHIVE
    },
    Row {
        name: "a ZIP archive",
        marks: &[b"PK\x03\x04"],
        ..ARCHIVE
    },
    Row {
        name: "a 7z archive",
        marks: &[b"7z\xbc\xaf\x27\x1c"],
        ..ARCHIVE
    },
    Row {
        name: "a RAR archive",
        marks: &[b"Rar!\x1a\x07"],
        ..ARCHIVE
    },
    Row {
        name: "a tar archive",
        mark_at: 257,
        marks: &[b"ustar\0", b"ustar  \0"],
        ..ARCHIVE
    },
];
