//! A new image that is being written.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use dmcrypt::{SECTOR_BYTES, SectorCipher};
use volume::{HeaderLock, LockMode, Storage, Window};

use super::clusters::Clusters;
use super::{Layout, NewImage, REFCOUNT_BYTES, Tail, bytes};
use crate::error::Error;
use crate::lock;

/// The plaintext of a disk whose image is being made, to be written at any sector by many threads at once. Clusters lie in
/// the file in the order in which they are written; zeros that nothing was written over take no room.
///
/// Until [`Writer::finish`] its file does not begin with the magic of an image.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::sync::Arc;
/// # use qcow2::{Image, Layer, NewImage, Writer};
/// # use volume::{MemoryStorage, Storage};
/// let file = Arc::new(MemoryStorage::new(0));
/// let writer = Writer::begin(file.clone(), &NewImage::new(1 << 30), None)?;
/// writer.write_at(1 << 20, &[7; 512])?;
/// writer.finish()?;
/// let view = Image::open(file)?.view(None, Layer::default())?;
/// let mut found = [0; 512];
/// view.read_at(1 << 20, &mut found)?;
/// assert_eq!((view.len()?, found), (1 << 30, [7; 512]));
/// # Ok(())
/// # }
/// ```
pub struct Writer {
    storage: Arc<dyn Storage>,
    layout: Layout,
    cipher: Option<Arc<dyn SectorCipher>>,
    clusters: Mutex<Option<Clusters>>,
    /// Held while a part of a cluster is written, so that its rest is there before anybody writes another part.
    parts: Mutex<()>,
}

impl Writer {
    /// Begins an image in `storage`, which is empty or is written over. `cipher` is that of its LUKS header.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] for numbers that QEMU would not take; what the storage says.
    ///
    /// # Panics
    ///
    /// When there is a LUKS header and no cipher, or the other way round, or one of other sectors than 512 bytes.
    pub fn begin(
        storage: Arc<dyn Storage>,
        wanted: &NewImage,
        cipher: Option<Arc<dyn SectorCipher>>,
    ) -> Result<Self, Error> {
        assert_eq!(wanted.luks_bytes.is_some(), cipher.is_some());
        let is_narrow =
            |cipher: &Arc<dyn SectorCipher>| cipher.sector_size().bytes() as u64 == SECTOR_BYTES;
        assert!(cipher.as_ref().is_none_or(is_narrow));
        let layout = Layout::new(wanted)?;
        let len = storage.len()?;
        if len != 0 {
            let start = vec![0; bytes_of(layout.cluster_bytes().min(len))];
            storage.write_at(0, &start)?;
            storage.sync()?;
        }
        let reserved = layout.first_free << layout.cluster_bits;
        if len < reserved {
            storage.set_len(reserved)?;
        }
        Ok(Self {
            clusters: Mutex::new(Some(Clusters::new(layout.clone()))),
            storage,
            layout,
            cipher,
            parts: Mutex::new(()),
        })
    }

    /// What it is written to.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// The place of its LUKS header, to be written before [`Self::finish`].
    ///
    /// # Errors
    ///
    /// What the storage says.
    pub fn luks_header(&self) -> io::Result<Option<Window>> {
        let range = self.layout.luks.clone();
        let window = range.map(|range| Window::new(Arc::clone(&self.storage), range));
        window.transpose()
    }

    /// Writes the tables through to the disk, and then the header. Nothing can be written any more; a second call does
    /// nothing.
    ///
    /// # Errors
    ///
    /// What the storage says. There is no image then.
    pub fn finish(&self) -> io::Result<()> {
        let Some(mut clusters) = lock(&self.clusters).take() else {
            return Ok(());
        };
        let storage = &*self.storage;
        let mut l1 = clusters.flush(storage)?;
        let tail = self.layout.whole(clusters.next());
        let at = |cluster: u64| cluster << self.layout.cluster_bits;
        l1.resize(bytes_of(at(tail.blocks) - at(tail.l1)), 0);
        storage.write_at(at(tail.l1), &l1)?;
        self.write_refcounts(&tail)?;
        if storage.len()? < at(tail.end) {
            storage.set_len(at(tail.end))?;
        }
        storage.sync()?;
        storage.write_at(0, &bytes::header(&self.layout, &tail))?;
        storage.sync()
    }

    /// Every cluster up to the end is used once.
    fn write_refcounts(&self, tail: &Tail) -> io::Result<()> {
        let at = |cluster: u64| cluster << self.layout.cluster_bits;
        let (start, end) = (at(tail.blocks), at(tail.table));
        let counted = start + tail.end * REFCOUNT_BYTES;
        write_pieces(&*self.storage, start..end, REFCOUNT_BYTES, |at, entry| {
            entry.copy_from_slice(&u16::from(at < counted).to_be_bytes());
        })?;
        write_pieces(&*self.storage, end..at(tail.end), 8, |place, entry| {
            let block = tail.blocks + (place - end) / 8;
            let offset = if block < tail.table { at(block) } else { 0 };
            entry.copy_from_slice(&offset.to_be_bytes());
        })
    }

    /// Writes whole clusters of the disk, from `guest` on.
    fn put_whole(&self, guest: u64, data: &mut [u8]) -> io::Result<()> {
        let cluster = bytes_of(self.layout.cluster_bytes());
        let zeros: Vec<bool> = data.chunks(cluster).map(is_zero).collect();
        let mut runs: Vec<(u64, Range<usize>)> = Vec::new();
        {
            let mut clusters = lock(&self.clusters);
            let clusters = clusters.as_mut().ok_or_else(finished)?;
            for (index, is_zero) in zeros.into_iter().enumerate() {
                let guest = guest + index as u64;
                let start = index * cluster;
                let host = match clusters.find(&*self.storage, guest)? {
                    Some(host) => host,
                    None if is_zero => continue,
                    None => clusters.take(&*self.storage, guest)?,
                };
                match runs.last_mut() {
                    Some((first, range))
                        if range.end == start && *first + range.len() as u64 == host =>
                    {
                        range.end += cluster;
                    }
                    _ => runs.push((host, start..start + cluster)),
                }
            }
        }
        for (host, range) in runs {
            self.put_out(host, &mut data[range])?;
        }
        Ok(())
    }

    /// Writes a part of cluster `guest` of the disk.
    fn put_part(&self, guest: u64, within: Range<usize>, data: &mut [u8]) -> io::Result<()> {
        let _alone = lock(&self.parts);
        let (host, is_new) = {
            let mut clusters = lock(&self.clusters);
            let clusters = clusters.as_mut().ok_or_else(finished)?;
            match clusters.find(&*self.storage, guest)? {
                Some(host) => (host, false),
                None if is_zero(data) => return Ok(()),
                None => (clusters.take(&*self.storage, guest)?, true),
            }
        };
        if !is_new {
            return self.put_out(host + within.start as u64, data);
        }
        // What is not written is zeros, which are encrypted too.
        let mut whole = vec![0; bytes_of(self.layout.cluster_bytes())];
        whole[within].copy_from_slice(data);
        let written = self.put_out(host, &mut whole);
        data.fill(0);
        written
    }

    /// Encrypts sectors, and writes them where they lie in the file.
    fn put_out(&self, host: u64, data: &mut [u8]) -> io::Result<()> {
        if let Some(cipher) = &self.cipher {
            cipher.encrypt(host / SECTOR_BYTES, data);
        }
        self.storage.write_at(host, data)
    }

    fn check(&self, offset: u64, len: usize) -> io::Result<()> {
        let size = self.layout.size;
        let end = offset.checked_add(len as u64);
        let (kind, message) = if end.is_none_or(|end| end > size) {
            let message = format!("{len} bytes at offset {offset} go past the end at byte {size}");
            (io::ErrorKind::StorageFull, message)
        } else if !(offset | len as u64).is_multiple_of(SECTOR_BYTES) {
            let message = format!("{len} bytes at offset {offset} are no whole sectors");
            (io::ErrorKind::InvalidInput, message)
        } else {
            return Ok(());
        };
        Err(io::Error::new(kind, message))
    }

    /// The parts of `len` bytes from `offset` on that lie in one cluster, or are whole ones: the first cluster, where in it
    /// they begin, how many bytes they are, and whether they are whole.
    fn split(&self, offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize, bool)> {
        let (bits, cluster) = (self.layout.cluster_bits, self.layout.cluster_bytes());
        let end = offset + len as u64;
        let mut at = offset;
        std::iter::from_fn(move || {
            if at == end {
                return None;
            }
            let start = at;
            let within = start % cluster;
            let is_whole = within == 0 && end - start >= cluster;
            at = if is_whole {
                end - end % cluster
            } else {
                end.min(start - within + cluster)
            };
            let bytes = bytes_of(at - start);
            Some((start >> bits, bytes_of(within), bytes, is_whole))
        })
    }
}

impl Storage for Writer {
    fn len(&self) -> io::Result<u64> {
        Ok(self.layout.size)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let (len, size) = (buf.len(), self.layout.size);
        if offset.checked_add(len as u64).is_none_or(|end| end > size) {
            let message =
                format!("read of {len} bytes at offset {offset} goes past the end at byte {size}");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        if !(offset | len as u64).is_multiple_of(SECTOR_BYTES) {
            let start = offset - offset % SECTOR_BYTES;
            let end = (offset + len as u64).next_multiple_of(SECTOR_BYTES);
            let mut sectors = vec![0; bytes_of(end - start)];
            self.read_at(start, &mut sectors)?;
            let first = bytes_of(offset - start);
            buf.copy_from_slice(&sectors[first..first + len]);
            return Ok(());
        }
        let cluster = bytes_of(self.layout.cluster_bytes());
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let within = bytes_of(at % cluster as u64);
            let (now, later) = rest.split_at_mut(rest.len().min(cluster - within));
            let found = {
                let mut clusters = lock(&self.clusters);
                let clusters = clusters.as_mut().ok_or_else(finished)?;
                clusters.find(&*self.storage, at >> self.layout.cluster_bits)?
            };
            match found {
                None => now.fill(0),
                Some(host) => {
                    let host = host + within as u64;
                    self.storage.read_at(host, now)?;
                    if let Some(cipher) = &self.cipher {
                        cipher.decrypt(host / SECTOR_BYTES, now);
                    }
                }
            }
            at += now.len() as u64;
            rest = later;
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.write_in_place(offset, &mut data.to_vec())
    }

    fn write_in_place(&self, offset: u64, data: &mut [u8]) -> io::Result<()> {
        self.check(offset, data.len())?;
        let mut rest = data;
        for (guest, within, bytes, is_whole) in self.split(offset, rest.len()) {
            let (now, later) = rest.split_at_mut(bytes);
            if is_whole {
                self.put_whole(guest, now)?;
            } else {
                self.put_part(guest, within..within + bytes, now)?;
            }
            rest = later;
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.storage.sync()
    }

    fn block_size(&self) -> u64 {
        self.layout.cluster_bytes()
    }

    fn lock(&self, mode: LockMode) -> io::Result<HeaderLock> {
        self.storage.lock(mode)
    }
}

/// Writes entries of so many bytes over `range`, some at a time; `fill` is told where one lies.
fn write_pieces(
    storage: &dyn Storage,
    range: Range<u64>,
    entry_bytes: u64,
    fill: impl Fn(u64, &mut [u8]),
) -> io::Result<()> {
    let mut piece = vec![0; bytes_of((range.end - range.start).min(PIECE_BYTES))];
    let mut start = range.start;
    while start < range.end {
        let bytes = bytes_of((range.end - start).min(PIECE_BYTES));
        let entries = piece[..bytes].chunks_mut(bytes_of(entry_bytes));
        for (index, entry) in (0..).zip(entries) {
            fill(start + index * entry_bytes, entry);
        }
        storage.write_at(start, &piece[..bytes])?;
        start += bytes as u64;
    }
    Ok(())
}

/// In blocks, so that the compiler uses vectors, and data is told from zeros at its first block.
fn is_zero(bytes: &[u8]) -> bool {
    let mut blocks = bytes.chunks(64);
    blocks.all(|block| block.iter().fold(0, |all, byte| all | byte) == 0)
}

fn finished() -> io::Error {
    io::Error::other("the image is finished: nothing can be written any more")
}

fn bytes_of(bytes: u64) -> usize {
    usize::try_from(bytes).expect("it is the length of something in memory")
}

/// How much of a table is written at a time.
const PIECE_BYTES: u64 = 1 << 20;
