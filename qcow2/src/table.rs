//! Entries of L1 and L2 tables: what the bits say.

use crate::header::Header;

/// Bits 9 to 55.
pub(crate) const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
pub(crate) const COPIED: u64 = 1 << 63;
const COMPRESSED: u64 = 1 << 62;
pub(crate) const ZERO: u64 = 1;

/// What an L2 table says of a cluster; without subclusters their bitmap is 0.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Entry {
    pub(crate) word: u64,
    pub(crate) bitmap: u64,
}

/// Where a cluster, or a subcluster of it, is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// Below, if there is something below; else zeros.
    Unallocated,
    /// Zeros.
    Zero,
    /// The cluster begins at this byte of the file that has the data.
    At(u64),
    /// Compressed: so many bytes from this one on.
    Compressed(u64, usize),
}

/// The offset of an L2 table; `None` where there is none.
pub(crate) fn l2_offset(entry: u64) -> Option<u64> {
    let offset = entry & OFFSET;
    (offset != 0).then_some(offset)
}

/// The cluster of the file that an L2 entry has, even where it reads as zeros; one that is compressed has none of its own.
pub(crate) fn host(header: &Header, entry: u64) -> Option<u64> {
    let offset = entry & OFFSET;
    let is_there = offset != 0 || (header.data_file.is_some() && entry & COPIED != 0);
    (entry & COMPRESSED == 0 && is_there).then_some(offset)
}

/// What an L2 entry says of the `sub`th thirty-second part of its cluster.
pub(crate) fn place(
    header: &Header,
    entry: u64,
    bitmap: u64,
    sub: u64,
) -> Result<Place, &'static str> {
    if entry & COMPRESSED != 0 {
        let shift = 62 - (header.cluster_bits - 8);
        let offset = entry & ((1 << shift) - 1);
        let sectors = (entry & (COMPRESSED - 1)) >> shift;
        let bytes = (sectors + 1) * 512 - offset % 512;
        return match usize::try_from(bytes) {
            _ if header.data_file.is_some() => Err("is compressed, and the image has a data file"),
            _ if header.crypt != crate::Crypt::None => {
                Err("is compressed, and the image is encrypted")
            }
            Ok(bytes) if bitmap == 0 => Ok(Place::Compressed(offset, bytes)),
            _ => Err("is compressed and has subclusters"),
        };
    }
    let offset = entry & OFFSET;
    if !offset.is_multiple_of(header.cluster_bytes()) {
        return Err("does not begin where a cluster begins");
    }
    // Byte 0 is the header, but for a data file, where the mark of a cluster with one owner tells.
    let is_allocated = offset != 0 || (header.data_file.is_some() && entry & COPIED != 0);
    if header.has_extended_l2 {
        let (is_data, is_zero) = (bitmap >> sub & 1 != 0, bitmap >> (32 + sub) & 1 != 0);
        return match (is_data, is_zero) {
            (true, true) => Err("has a subcluster that is data and zeros"),
            (true, false) if !is_allocated => Err("has a subcluster with data and no place"),
            (true, false) => Ok(Place::At(offset)),
            (false, true) => Ok(Place::Zero),
            (false, false) => Ok(Place::Unallocated),
        };
    }
    if entry & ZERO != 0 {
        if header.version < 3 {
            return Err("reads as zeros, which version 2 does not have");
        }
        return Ok(Place::Zero);
    }
    Ok(if is_allocated {
        Place::At(offset)
    } else {
        Place::Unallocated
    })
}
