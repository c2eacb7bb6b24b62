//! LUKS itself.

use super::{BLANK, Places, Row, Sector};
use crate::content::Class;

pub(super) const PRIMARY: &[Row] = &[Row {
    name: "a LUKS header",
    blkid: "crypto_LUKS",
    class: Class::Luks,
    marks: &[b"LUKS\xba\xbe"],
    // What is in it may count in anything.
    sector: Sector::Bytes("sectors", 512),
    ..BLANK
}];

/// The second copy of a LUKS2 header stands behind the first, which has one of nine sizes, and says where it stands:
/// elsewhere it belongs to an image that is stored on this disk.
pub(super) const SECONDARY: &[Row] = &[Row {
    name: "the second copy of a LUKS2 header",
    blkid: "crypto_LUKS",
    class: Class::Luks,
    places: Places::Start(&SECONDARY_PLACES),
    marks: &[b"SKUL\xba\xbe"],
    also: |view, base| view.be64(base + HEADER_OFFSET_AT) == Some(base),
    sector: Sector::Bytes("sectors", 512),
    ..BLANK
}];

/// LUKS2 specification 2.1: the sizes that a copy can have.
pub(super) const SECONDARY_PLACES: [u64; 9] = [
    16 << 10,
    32 << 10,
    64 << 10,
    128 << 10,
    256 << 10,
    512 << 10,
    1 << 20,
    2 << 20,
    4 << 20,
];
const HEADER_OFFSET_AT: u64 = 256;
