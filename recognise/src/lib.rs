//! What is on a disk or in an image: enough to keep somebody from overwriting it by mistake, from taking a container for
//! a raw image, and from giving a disk sectors that what it holds cannot live with.
//!
//! ```
//! use recognise::{Class, recognise};
//! use volume::{MemoryStorage, Storage};
//!
//! # fn main() -> std::io::Result<()> {
//! let disk = MemoryStorage::new(1 << 20);
//! assert_eq!(recognise(&disk)?, None);
//!
//! disk.write_at(0x10040, b"_BHRfS_M")?;
//! let found = recognise(&disk)?.expect("a mark is there");
//! assert_eq!(found.content.name(), "a Btrfs file system");
//! assert_eq!(found.content.class(), Class::FileSystem);
//! assert_eq!(found.offset, 0x10040);
//! # Ok(())
//! # }
//! ```
//!
//! A mark is a few bytes at a place that a format gives it, and where they are too few to mean anything, the numbers
//! beside them. Everything is read from the storage alone, at any length: a mark whose place lies beyond the end is not
//! there.
//!
//! | module | what |
//! | --- | --- |
//! | [`content`] | [`Found`], [`Content`] and its [`Class`] |
//! | [`sector`] | [`largest_sector`]: what the contents allow |
//! | [`extent`] | [`file_system_bytes`]: how far a file system reaches |
//! | [`partitions`](mod@partitions) | [`partitions()`]: GPT, MBR |
//! | [`headers`] | [`luks_headers`]: containers that do not start where the disk does |
//! | `fat` | what a FAT file system and a partition table have in common |
//! | `marks` | the table: a row each |
//! | `view` | the bytes of a storage, each block read once |

pub mod content;
pub mod extent;
mod fat;
pub mod headers;
mod marks;
pub mod partitions;
pub mod sector;
mod view;

use std::io;
use std::ops::Range;

use volume::Storage;

pub use content::{Class, Content, Found};
pub use extent::file_system_bytes;
pub use headers::luks_headers;
pub use partitions::{Partition, Table, partitions};
pub use sector::{SectorLimit, largest_sector};

use view::View;

/// Everything that is marked on a storage, the most telling first.
///
/// # Errors
///
/// Those of the storage, at a place where a mark could be.
pub fn look(storage: &dyn Storage) -> io::Result<Vec<Found>> {
    let view = View::new(storage)?;
    let found = marks::all().filter_map(|row| row.find(&view)).collect();
    view.finish()?;
    Ok(found)
}

/// The most telling of what is marked on a storage.
///
/// # Errors
///
/// As [`look`].
pub fn recognise(storage: &dyn Storage) -> io::Result<Option<Found>> {
    Ok(look(storage)?.into_iter().next())
}

/// What is marked on a storage by bytes of which at least one lies in `range`.
///
/// # Errors
///
/// As [`look`].
pub fn within(storage: &dyn Storage, range: Range<u64>) -> io::Result<Vec<Found>> {
    let mut found = look(storage)?;
    found.retain(|found| {
        let mark = found.bytes();
        mark.start < range.end && range.start < mark.end
    });
    Ok(found)
}

/// The example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use volume::MemoryStorage;

    use super::*;

    #[test]
    fn nothing_is_nothing() {
        for len in [0, 1, 511, 512, 4096, 1 << 20, (1 << 40) + 7] {
            let storage = MemoryStorage::new(len);
            assert_eq!(look(&storage).unwrap(), []);
            assert_eq!(largest_sector(&storage).unwrap(), None);
            assert_eq!(partitions(&storage).unwrap(), []);
            assert_eq!(luks_headers(&storage).unwrap(), []);
        }
    }

    proptest! {
        /// What is read may be anything, and anything may be cut off.
        #[test]
        fn no_storage_panics(
            len in 0u64..1 << 22,
            pieces in proptest::collection::vec((any::<u32>(), proptest::collection::vec(any::<u8>(), 1..600)), 0..8),
            marks in proptest::collection::vec(any::<(u8, u8)>(), 0..6),
        ) {
            let storage = MemoryStorage::new(len);
            for (at, bytes) in &pieces {
                let at = u64::from(*at) % (len + 1);
                let fits = usize::try_from(len - at).unwrap().min(bytes.len());
                storage.write_at(at, &bytes[..fits]).unwrap();
            }
            for (row, place) in marks {
                marks::plant(&storage, row.into(), place.into());
            }
            let found = look(&storage).unwrap();
            prop_assert!(found.iter().all(|found| found.bytes().end <= len));
            prop_assert_eq!(recognise(&storage).unwrap(), found.first().copied());
            prop_assert_eq!(within(&storage, 0..len).unwrap(), found);
            if let Some(limit) = largest_sector(&storage).unwrap() {
                prop_assert!([512, 1024, 2048, 4096].contains(&limit.bytes));
            }
            let headers = luks_headers(&storage).unwrap();
            prop_assert!(headers.iter().all(|at| *at < len));
            let _ = partitions(&storage).unwrap();
        }
    }
}
