//! LUKS headers that do not stand at the start.

use std::collections::BTreeSet;
use std::io;

use volume::Storage;

use crate::partitions;
use crate::view::View;

/// The byte offsets of LUKS headers at the places where disks have them: 64 KiB, 1 MiB, and the start of each partition.
/// The start of the storage itself is none of them.
///
/// # Errors
///
/// Those of the storage.
pub fn luks_headers(storage: &dyn Storage) -> io::Result<Vec<u64>> {
    let view = View::new(storage)?;
    let partitions = partitions::of(&view);
    let mut places: BTreeSet<u64> = USUAL.into();
    places.extend(partitions.iter().map(|partition| partition.start));
    let is_header = |at: &u64| {
        *at != 0
            && view.has(*at, b"LUKS\xba\xbe")
            && matches!(view.be16(at.saturating_add(6)), Some(1 | 2))
    };
    let found = places.into_iter().filter(is_header).collect();
    view.finish()?;
    Ok(found)
}

/// Where programs put what they do not want at the start.
const USUAL: [u64; 2] = [64 << 10, 1 << 20];
