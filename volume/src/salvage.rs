//! Reading what can be read of a storage that has bad places.

use std::io;
use std::ops::Range;

use dmcrypt::SECTOR_BYTES;

use crate::error::is_bad_place;
use crate::span::bytes_of;
use crate::storage::Storage;

/// A run of bytes that cannot be read, and the storage's reason for its first sector.
#[derive(Debug)]
pub struct Unread {
    /// The bytes.
    pub range: Range<u64>,
    /// Why.
    pub error: io::Error,
}

/// Fills `buf` from `offset` on, and what cannot be read, by sectors of 512 bytes, with zeros: those runs, in their
/// order.
///
/// # Errors
///
/// Those of [`Storage::read_at`] that are not of one place (see [`is_bad_place`]).
pub fn read_around(storage: &dyn Storage, offset: u64, buf: &mut [u8]) -> io::Result<Vec<Unread>> {
    Salvage {
        read: &|position, buf: &mut [u8]| storage.read_at(position, buf),
        unit: &sector_of,
    }
    .all(offset, buf)
}

/// The sector of 512 bytes that a byte lies in.
pub(crate) fn sector_of(position: u64) -> Range<u64> {
    let start = position - position % SECTOR_BYTES;
    start..start.saturating_add(SECTOR_BYTES)
}

fn join(unread: &mut Vec<Unread>, range: Range<u64>, error: io::Error) {
    match unread.last_mut() {
        Some(last) if last.range.end == range.start => last.range.end = range.end,
        _ => unread.push(Unread { range, error }),
    }
}

/// A read that is tried again in smaller and smaller pieces, so that only the bad ones are lost.
pub(crate) struct Salvage<'a> {
    /// Reads at a position.
    pub(crate) read: &'a dyn Fn(u64, &mut [u8]) -> io::Result<()>,
    /// What around a position is read all or not at all.
    pub(crate) unit: &'a dyn Fn(u64) -> Range<u64>,
}

impl Salvage<'_> {
    /// Fills `buf`: what of it is lost.
    pub(crate) fn all(&self, position: u64, buf: &mut [u8]) -> io::Result<Vec<Unread>> {
        let mut unread = Vec::new();
        self.read(position, buf, &mut |range, error| {
            join(&mut unread, range, error);
        })?;
        Ok(unread)
    }

    /// Fills `buf`. `lost` is told of each unit that cannot be read, in their order; it is zeros then.
    fn read(
        &self,
        position: u64,
        buf: &mut [u8],
        lost: &mut dyn FnMut(Range<u64>, io::Error),
    ) -> io::Result<()> {
        let error = match (self.read)(position, buf) {
            Ok(()) => return Ok(()),
            Err(error) if !is_bad_place(&error) => return Err(error),
            Err(error) => error,
        };
        let end = position + buf.len() as u64;
        let first_end = (self.unit)(position).end;
        if first_end >= end {
            buf.fill(0);
            lost(position..end, error);
            return Ok(());
        }
        let middle = (self.unit)(position + (end - position) / 2).start;
        let middle = if middle > position { middle } else { first_end };
        let (front, back) = buf.split_at_mut(bytes_of(middle - position));
        self.read(position, front, lost)?;
        self.read(middle, back, lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::SimulatedStorage;

    const EIO: i32 = 5;

    #[test]
    #[expect(
        clippy::single_range_in_vec_init,
        reason = "a list of one range is meant"
    )]
    fn only_bad_sectors_are_lost() {
        let image: Vec<u8> = (1..=64).flat_map(|sector| [sector; 512]).collect();
        for (bad, lost) in [
            (vec![], vec![]),
            (vec![5000..5001], vec![4608..5120]),
            (vec![0..1], vec![0..512]),
            (vec![32_767..32_768], vec![32_256..32_768]),
            (vec![511..513], vec![0..1024]),
            (vec![1024..2048, 4096..4097], vec![1024..2048, 4096..4608]),
            (vec![0..32_768], vec![0..32_768]),
        ] {
            let disk = SimulatedStorage::from_vec(image.clone());
            for range in &bad {
                disk.break_reads(range.clone(), EIO);
            }
            let mut buf = vec![0xee; image.len()];
            let unread = read_around(&disk, 0, &mut buf).unwrap();
            let found: Vec<_> = unread.iter().map(|unread| unread.range.clone()).collect();
            assert_eq!(found, lost, "{bad:?}");
            for (at, (got, was)) in (0..).zip(buf.iter().zip(&image)) {
                let is_lost = lost.iter().any(|range| range.contains(&at));
                assert_eq!(*got, if is_lost { 0 } else { *was }, "{bad:?} at {at}");
            }
        }
    }

    #[test]
    fn a_part_of_a_sector_is_lost_alone() {
        let disk = SimulatedStorage::from_vec(vec![7; 4096]);
        disk.break_reads(1000..1001, EIO);
        let mut buf = [0xee; 700];
        let unread = read_around(&disk, 600, &mut buf).unwrap();
        assert_eq!(unread.len(), 1);
        assert_eq!(unread[0].range, 600..1024);
        assert_eq!(buf[..424], [0; 424]);
        assert_eq!(buf[424..], [7; 276]);
    }

    #[test]
    fn other_errors_are_of_no_place() {
        let disk = SimulatedStorage::from_vec(vec![7; 4096]);
        disk.break_reads(1000..1001, 19); // ENODEV
        let mut buf = [0; 4096];
        let error = read_around(&disk, 0, &mut buf).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(19));
        let error = read_around(&disk, 2048, &mut buf).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
