//! Swap space, and systems that sleep in it.

use super::{BLANK, Places, Row, Sector};
use crate::content::Class;

/// The mark ends the first page, whose size is the machine's.
const PAGES: Places = Places::Start(&[
    0x1000 - 10,
    0x2000 - 10,
    0x4000 - 10,
    0x8000 - 10,
    0x10000 - 10,
]);

const SWAP: Row = Row {
    class: Class::Swap,
    places: PAGES,
    // The kernel reads whole pages, and none has fewer than 4096 bytes.
    sector: Sector::Bytes("pages", 4096),
    ..BLANK
};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "a suspended system in swap space",
        blkid: "swsuspend",
        marks: &[b"S1SUSPEND", b"S2SUSPEND", b"ULSUSPEND", b"LINHIB0001"],
        ..SWAP
    },
    Row {
        name: "a suspended system (TuxOnIce)",
        blkid: "swsuspend",
        places: Places::Start(&[0]),
        marks: &[b"\xed\xc3\x02\xe9\x98\x56\xe5\x0c"],
        ..SWAP
    },
    Row {
        name: "swap space",
        blkid: "swap",
        marks: &[b"SWAPSPACE2", b"SWAP-SPACE"],
        ..SWAP
    },
];
