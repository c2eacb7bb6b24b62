//! The sectors that what is on a disk can live with: Linux mounts no file system whose blocks are smaller than the
//! sectors of its device, and reads partition tables in the device's own sectors.

use std::io;

use volume::Storage;

use crate::content::Class;
use crate::marks::{self, Sector};
use crate::view::View;

/// A limit to the sector size of a device, and what sets it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SectorLimit {
    /// The largest sector: 512, 1024, 2048 or 4096 bytes.
    pub bytes: u32,
    /// What wants it: `an ext4 file system with blocks of 1024 bytes`.
    pub found: String,
}

/// The largest sector size of a block device on which Linux can still use all that was recognised; `None` where nothing
/// was that counts in sectors.
///
/// # Errors
///
/// Those of the storage.
pub fn largest_sector(storage: &dyn Storage) -> io::Result<Option<SectorLimit>> {
    let view = View::new(storage)?;
    let mut limits = Vec::new();
    for row in marks::all() {
        let Some((base, found)) = row.find_base(&view) else {
            continue;
        };
        let (unit, bytes) = match row.sector {
            Sector::Any => continue,
            Sector::Bytes(unit, bytes) => (unit, bytes),
            Sector::Field(unit, field) => match field(&view, base) {
                Some(bytes) if bytes.is_power_of_two() && bytes >= SMALLEST => (unit, bytes),
                _ => continue,
            },
        };
        let limit = SectorLimit {
            bytes: bytes.min(LARGEST),
            found: format!("{} with {unit} of {bytes} bytes", row.name),
        };
        // Such a table is not found in other sectors, so that nothing else on the disk would be either.
        if found.content.class() == Class::PartitionTable && limit.bytes == LARGEST {
            limits.retain(|limit: &(Class, SectorLimit)| limit.0 == Class::PartitionTable);
            limits.push((Class::PartitionTable, limit));
            break;
        }
        limits.push((found.content.class(), limit));
    }
    view.finish()?;
    // The first of equals, which tells most.
    Ok(limits
        .into_iter()
        .map(|(_, limit)| limit)
        .min_by_key(|limit| limit.bytes))
}

const SMALLEST: u32 = 512;
const LARGEST: u32 = 4096;
