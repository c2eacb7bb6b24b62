//! The plaintext of a disk, written in its place.
//!
//! Clusters that the image owns alone are written where they are. All others get a new place as a whole, behind the last
//! cluster that is used: what a snapshot has, what is compressed, what lies below, what is not there yet. In an encrypted
//! image that is more than a copy, since IVs count sectors of the file: what the cluster held is decrypted, and encrypted
//! anew for its new place.
//!
//! Until [`Storage::sync`] nothing on the disk leads there. That writes refcounts and new L2 tables and waits for them and
//! for the data, then the tables that lead there and waits for those, and only then gives up what was there before. So
//! whatever a loss of power leaves, no table leads to what is not there yet, and no cluster in use is free: what is left
//! over are clusters that nobody has, which `qemu-img check -r leaks` gives back. A sector of 512 bytes is taken to be
//! written as a whole or not at all.

mod changes;
mod commit;
mod refcounts;

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use dmcrypt::{SECTOR_BYTES, SectorSize};
use volume::{HeaderLock, LockMode, RegionLocks, Storage};

pub(crate) use self::changes::Changes;
use self::commit::Committer;
use crate::header::Header;
use crate::table::{self, COPIED, Entry, Place, ZERO};
use crate::view::View;

/// So much is taken a new place for at a time, if a cluster is not larger.
const ANEW_BYTES: u64 = 1 << 20;
/// What is copied of data that must not be used up, at a time.
const SCRATCH_BYTES: u64 = 1 << 20;
/// So many clusters may wait to be told of.
const MOST_WAITING: usize = 8192;
/// Locks are over this much, if a cluster is not larger.
const REGION_BYTES: u64 = 256 << 10;

/// The plaintext of a disk, to be read and written at any byte by many threads at once, by [`Image::live`](crate::Image::live).
///
/// What was not [synced](Storage::sync) may be gone when this is.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::sync::Arc;
/// # use qcow2::{Image, Layer, NewImage, Writer};
/// # use volume::{MemoryStorage, Storage};
/// let file = Arc::new(MemoryStorage::new(0));
/// Writer::begin(file.clone(), &NewImage::new(1 << 30), None)?.finish()?;
/// let live = Image::open(file.clone())?.live(Layer::default())?;
/// live.write_at(12345, b"in its place")?;
/// live.sync()?;
///
/// let view = Image::open(file)?.view(None, Layer::default())?;
/// let mut found = [0; 12];
/// view.read_at(12345, &mut found)?;
/// assert_eq!(&found, b"in its place");
/// # Ok(())
/// # }
/// ```
pub struct Live {
    view: View,
    storage: Arc<dyn Storage>,
    changes: Arc<Changes>,
    /// Over bytes of the disk.
    regions: RegionLocks,
    committer: Mutex<Committer>,
}

impl Live {
    pub(crate) fn new(
        view: View,
        storage: Arc<dyn Storage>,
        changes: Arc<Changes>,
    ) -> io::Result<Self> {
        let cluster = view.header().cluster_bytes();
        let committer = Committer::new(view.header(), &*storage)?;
        changes.begin_at(committer.counted());
        Ok(Self {
            view,
            storage,
            changes,
            regions: RegionLocks::new(REGION_BYTES.max(cluster)),
            committer: Mutex::new(committer),
        })
    }

    fn header(&self) -> &Header {
        self.view.header()
    }

    /// The bytes of the clusters that `range` touches.
    fn whole(&self, range: &Range<u64>) -> Range<u64> {
        let cluster = self.header().cluster_bytes();
        let start = range.start - range.start % cluster;
        start..range.end.next_multiple_of(cluster)
    }

    fn check(&self, offset: u64, len: usize) -> io::Result<Range<u64>> {
        let size = self.view.len()?;
        let end = offset.checked_add(len as u64);
        end.filter(|&end| end <= size)
            .map(|end| offset..end)
            .ok_or_else(|| {
                let message = format!(
                    "write of {len} bytes at offset {offset} goes past the end at byte {size}"
                );
                io::Error::new(io::ErrorKind::StorageFull, message)
            })
    }

    /// How many bytes from `at` on are alike, `most` at most: those that are written where they are, and where that is,
    /// or those that get a new place.
    fn run(&self, at: u64, most: u64) -> io::Result<(Option<u64>, u64)> {
        let header = self.header();
        let cluster = header.cluster_bytes();
        let own = |at: u64| {
            let (_, entry) = self.view.entry(at >> header.cluster_bits)?;
            Ok::<_, io::Error>(own_place(header, entry))
        };
        let within = at % cluster;
        let first = own(at)?;
        let mut bytes = cluster - within;
        while bytes < most {
            let goes_on = match (first, own(at + bytes)?) {
                (Some(first), Some(next)) => next == first + within + bytes,
                (None, None) => within + bytes < ANEW_BYTES,
                _ => false,
            };
            if !goes_on {
                break;
            }
            bytes += cluster;
        }
        Ok((first.map(|first| first + within), bytes.min(most)))
    }

    /// Writes bytes where they are, from byte `host` of the file on.
    fn put(&self, host: u64, data: &mut [u8]) -> io::Result<()> {
        let Some(cipher) = self.view.cipher() else {
            return self.storage.write_at(host, data);
        };
        let end = host + data.len() as u64;
        let (mut at, mut rest) = (host, data);
        while at < end {
            let sector = at - at % SECTOR_BYTES;
            let is_whole = at == sector && end - at >= SECTOR_BYTES;
            let stop = if is_whole {
                end - end % SECTOR_BYTES
            } else {
                end.min(sector + SECTOR_BYTES)
            };
            let (now, later) = rest.split_at_mut(bytes_of(stop - at));
            if is_whole {
                cipher.encrypt(at / SECTOR_BYTES, now);
                self.storage.write_at(at, now)?;
            } else {
                let mut whole = [0; SectorSize::B512.bytes()];
                self.view.read_data(sector, &mut whole)?;
                whole[bytes_of(at - sector)..][..now.len()].copy_from_slice(now);
                cipher.encrypt(sector / SECTOR_BYTES, &mut whole);
                self.storage.write_at(sector, &whole)?;
            }
            at = stop;
            rest = later;
        }
        Ok(())
    }

    /// Writes the clusters that these bytes touch to a new place, the rest of them as it reads now.
    fn put_anew(&self, at: u64, data: &[u8]) -> io::Result<()> {
        let header = self.header();
        let bits = header.cluster_bits;
        let end = at + data.len() as u64;
        let clusters = self.whole(&(at..end));
        let mut whole = vec![0; bytes_of(clusters.end - clusters.start)];
        let head = bytes_of(at - clusters.start);
        if head != 0 {
            self.view.read_at(clusters.start, &mut whole[..head])?;
        }
        // Behind the end of the disk are zeros.
        let there = clusters.end.min(self.view.len()?);
        if end < there {
            let tail = bytes_of(end - clusters.start)..bytes_of(there - clusters.start);
            self.view.read_at(end, &mut whole[tail])?;
        }
        whole[head..head + data.len()].copy_from_slice(data);
        let (first, count) = (
            clusters.start >> bits,
            (clusters.end - clusters.start) >> bits,
        );
        let mut left = Vec::new();
        for cluster in first..first + count {
            left.extend(places(header, self.view.entry(cluster)?.1));
        }
        let taken = self.changes.take(count);
        let host = taken << bits;
        if let Some(cipher) = self.view.cipher() {
            cipher.encrypt(host / SECTOR_BYTES, &mut whole);
        }
        self.storage
            .write_at(host, &whole)
            .inspect_err(|_| self.changes.give_up(taken..taken + count))?;
        self.view.grow(host + whole.len() as u64);
        let entries = (taken..taken + count).map(|cluster| self.entry(cluster << bits));
        self.changes.say(first, entries, &left);
        self.commit_if_much()
    }

    /// That a cluster is there, all of it, and the image's alone.
    fn entry(&self, host: u64) -> Entry {
        Entry {
            word: host | COPIED,
            bitmap: if self.header().has_extended_l2 {
                u32::MAX.into()
            } else {
                0
            },
        }
    }

    /// Has whole clusters read as zeros, which then have no place.
    fn drop_clusters(&self, clusters: Range<u64>) -> io::Result<()> {
        let header = self.header();
        let _guards = self
            .regions
            .write(clusters.start << header.cluster_bits..clusters.end << header.cluster_bits);
        for cluster in clusters {
            let (_, entry) = self.view.entry(cluster)?;
            let left = places(header, entry);
            if left.is_empty() && self.reads_as_zeros(entry) {
                continue;
            }
            let zeros = if header.version < 3 {
                Entry::default()
            } else if header.has_extended_l2 {
                let bitmap = u64::from(u32::MAX) << 32;
                Entry { word: 0, bitmap }
            } else {
                let bitmap = 0;
                Entry { word: ZERO, bitmap }
            };
            self.changes.say(cluster, [zeros].into_iter(), &left);
        }
        self.commit_if_much()
    }

    fn reads_as_zeros(&self, entry: Entry) -> bool {
        let header = self.header();
        let parts = if header.has_extended_l2 { 32 } else { 1 };
        (0..parts).all(
            |part| match table::place(header, entry.word, entry.bitmap, part) {
                Ok(Place::Zero) => true,
                Ok(Place::Unallocated) => !self.view.has_backing(),
                _ => false,
            },
        )
    }

    /// Zeros over a part of a cluster, unless it reads as such.
    fn clear(&self, range: Range<u64>) -> io::Result<()> {
        let data = self.view.data_extent(range.start)?;
        if range.is_empty() || data.is_none_or(|data| data.start >= range.end) {
            return Ok(());
        }
        self.write_zeroes(range.start, range.end - range.start)
    }
}

impl Storage for Live {
    fn len(&self) -> io::Result<u64> {
        self.view.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset.saturating_add(buf.len() as u64);
        let _guards = self.regions.read(offset..end);
        self.view.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let range = self.check(offset, data.len())?;
        let mut scratch = Vec::new();
        let (mut at, mut rest) = (range.start, data);
        while !rest.is_empty() {
            // Ends at a multiple of the scratch size, and so at one of the cluster size if it can.
            let step = bytes_of(SCRATCH_BYTES - at % SCRATCH_BYTES).min(rest.len());
            let (now, later) = rest.split_at(step);
            scratch.clear();
            scratch.extend_from_slice(now);
            self.write_in_place(at, &mut scratch)?;
            at += step as u64;
            rest = later;
        }
        Ok(())
    }

    fn write_in_place(&self, offset: u64, data: &mut [u8]) -> io::Result<()> {
        let range = self.check(offset, data.len())?;
        let _guards = self.regions.write(self.whole(&range));
        let (mut at, mut rest) = (range.start, data);
        while !rest.is_empty() {
            let (place, bytes) = self.run(at, rest.len() as u64)?;
            let (now, later) = rest.split_at_mut(bytes_of(bytes));
            match place {
                Some(host) => self.put(host, now)?,
                None => self.put_anew(at, now)?,
            }
            at += bytes;
            rest = later;
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.commit()
    }

    fn block_size(&self) -> u64 {
        self.view.block_size()
    }

    /// Whole clusters lose their place.
    fn punch_hole(&self, offset: u64, len: u64) -> io::Result<()> {
        let end = offset.saturating_add(len).min(self.view.len()?);
        let Some(clusters) = self.droppable(offset, end) else {
            return self.clear(offset.min(end)..end);
        };
        let bits = self.header().cluster_bits;
        self.clear(offset..clusters.start << bits)?;
        self.drop_clusters(clusters.clone())?;
        self.clear((clusters.end << bits).min(end)..end)
    }

    /// The same, of whole clusters alone.
    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        let end = offset.saturating_add(len).min(self.view.len()?);
        let clusters = self.droppable(offset, end);
        clusters.map_or(Ok(()), |clusters| self.drop_clusters(clusters))
    }

    fn data_extent(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        self.view.data_extent(offset)
    }

    fn lock(&self, mode: LockMode) -> io::Result<HeaderLock> {
        self.storage.lock(mode)
    }
}

impl Live {
    /// The clusters that are all within these bytes of the disk, and can be made to read as zeros without a place.
    fn droppable(&self, offset: u64, end: u64) -> Option<Range<u64>> {
        let header = self.header();
        if header.version < 3 && self.view.has_backing() {
            return None;
        }
        let first = offset.div_ceil(header.cluster_bytes());
        let last = if end == header.size {
            end.div_ceil(header.cluster_bytes())
        } else {
            end >> header.cluster_bits
        };
        (first < last && offset < end).then_some(first..last)
    }
}

/// Where a cluster is written in its place: all of it is there, and nobody else has it.
fn own_place(header: &Header, entry: Entry) -> Option<u64> {
    let is_data = if header.has_extended_l2 {
        entry.bitmap == u32::MAX.into()
    } else {
        entry.word & ZERO == 0
    };
    if !is_data || entry.word & COPIED == 0 {
        return None;
    }
    table::host(header, entry.word)
}

/// The clusters of the file that one of the disk has a share in.
fn places(header: &Header, entry: Entry) -> Vec<u64> {
    if let Some(host) = table::host(header, entry.word) {
        return vec![host >> header.cluster_bits];
    }
    match table::place(header, entry.word, entry.bitmap, 0) {
        Ok(Place::Compressed(at, bytes)) => {
            let last = (at + bytes as u64 - 1) >> header.cluster_bits;
            (at >> header.cluster_bits..=last).collect()
        }
        _ => Vec::new(),
    }
}

fn bytes_of(bytes: u64) -> usize {
    usize::try_from(bytes).expect("it is the length of something in memory")
}
