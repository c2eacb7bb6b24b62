//! FAT by its boot sector, which a master boot record looks like.

use crate::view::View;

/// Where FAT32 says what it is.
pub(crate) const NAME_32_AT: u64 = 82;
pub(crate) const NAMES_32: &[&[u8]] = &[b"FAT32   "];
/// Where the older ones do.
pub(crate) const NAME_AT: u64 = 54;
pub(crate) const NAMES: &[&[u8]] = &[b"FAT12   ", b"FAT16   ", b"FAT     "];
/// What a boot sector starts with.
pub(crate) const JUMPS: &[&[u8]] = &[b"\xeb", b"\xe9"];

/// Whether the storage starts with a FAT file system.
pub(crate) fn is_there(view: &View<'_>) -> bool {
    let any = |at, names: &[&[u8]]| names.iter().any(|name| view.has(at, name));
    let is_named = any(NAME_32_AT, NAMES_32) || any(NAME_AT, NAMES);
    is_named && numbers_fit(view, 0) || any(0, JUMPS) && is_unnamed(view, 0)
}

/// Before DOS 4 it did not say what it is: a jump, and numbers that fit together.
pub(crate) fn is_unnamed(view: &View<'_>, base: u64) -> bool {
    let jumps = view.byte(base) == Some(0xe9) || view.byte(base + 2) == Some(0x90);
    let entries = view.le16(base + 17).is_some_and(|entries| entries != 0);
    let per_fat = view.le16(base + 22).is_some_and(|sectors| sectors != 0);
    let says_so = view.has(base + NAME_AT, b"FAT") || view.has(base + NAME_32_AT, NAMES_32[0]);
    let is_boot_sector = view.has(base + 510, b"\x55\xaa");
    jumps && entries && per_fat && is_boot_sector && !says_so && numbers_fit(view, base)
}

/// A boot sector of FAT: numbers that every reader divides by.
pub(crate) fn numbers_fit(view: &View<'_>, base: u64) -> bool {
    let power = |number: u32| number.is_power_of_two();
    view.le16(base + 11)
        .is_some_and(|bytes| power(bytes.into()) && (512..=4096).contains(&bytes))
        && view
            .byte(base + 13)
            .is_some_and(|sectors| power(sectors.into()))
        && view.le16(base + 14).is_some_and(|reserved| reserved != 0)
        && view
            .byte(base + 16)
            .is_some_and(|fats| (1..=4).contains(&fats))
        && view
            .byte(base + 21)
            .is_some_and(|media| media == 0xf0 || media >= 0xf8)
}
