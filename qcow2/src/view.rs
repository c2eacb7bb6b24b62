//! The plaintext of an image.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dmcrypt::{SECTOR_BYTES, SectorCipher};
use volume::{HeaderLock, LockMode, Storage};

use crate::cache::{Cache, OfImage};
use crate::header::Header;
use crate::inflate::inflate;
use crate::live::Changes;
use crate::table::{self, Entry, Place};

/// How many L2 entries are looked at in one search for data.
const EXTENT_ENTRIES: u64 = 1 << 16;
/// As long as an extent is that is told at once.
const EXTENT_BYTES: u64 = 64 << 20;

/// What is known of an image beside its own bytes.
#[derive(Clone, Default)]
pub struct Layer {
    /// The cipher that its LUKS header gave. IVs count sectors of the file that has the clusters.
    pub cipher: Option<Arc<dyn SectorCipher>>,
    /// The data file, where it has one.
    pub data: Option<Arc<dyn Storage>>,
    /// The plaintext of what stands below it, where it refers to that; where it ends, zeros follow.
    pub backing: Option<Arc<dyn Storage>>,
    /// What is kept of its tables. Images that lie on each other are given the same one.
    pub cache: Cache,
}

/// Which L1 table is read.
pub(crate) struct Table {
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

/// The plaintext of a disk, to be read at any byte by many threads at once. It cannot be written;
/// a [`Live`](crate::Live) one can.
pub struct View {
    storage: Arc<dyn Storage>,
    /// It grows where it is written.
    storage_len: AtomicU64,
    data: Arc<dyn Storage>,
    data_len: AtomicU64,
    header: Header,
    table: Table,
    layer: Layer,
    kept: OfImage,
    /// What its tables do not say yet, where it is written.
    changes: Option<Arc<Changes>>,
}

impl View {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        data: Arc<dyn Storage>,
        header: Header,
        table: Table,
        layer: Layer,
        changes: Option<Arc<Changes>>,
    ) -> io::Result<Self> {
        Ok(Self {
            storage_len: storage.len()?.into(),
            data_len: data.len()?.into(),
            storage,
            data,
            header,
            table,
            kept: layer.cache.of_image(),
            layer,
            changes,
        })
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    pub(crate) fn cipher(&self) -> Option<&dyn SectorCipher> {
        self.layer.cipher.as_deref()
    }

    pub(crate) fn has_backing(&self) -> bool {
        self.layer.backing.is_some()
    }

    /// The file has at least so many bytes by now.
    pub(crate) fn grow(&self, len: u64) {
        self.storage_len.fetch_max(len, Ordering::SeqCst);
        self.data_len.fetch_max(len, Ordering::SeqCst);
    }

    /// These bytes of tables were written.
    pub(crate) fn forget(&self, bytes: Range<u64>) {
        self.kept.forget(bytes);
    }

    fn storage_len(&self) -> u64 {
        self.storage_len.load(Ordering::SeqCst)
    }

    /// Bytes that are in one place: a cluster, or its thirty-second part.
    fn unit(&self) -> u64 {
        let parts = if self.header.has_extended_l2 { 32 } else { 1 };
        self.header.cluster_bytes() / parts
    }

    /// Where byte `offset` of the disk is.
    fn place(&self, offset: u64) -> io::Result<Place> {
        let header = &self.header;
        let (at, entry) = self.entry(offset >> header.cluster_bits)?;
        let sub = offset % header.cluster_bytes() / self.unit();
        table::place(header, entry.word, entry.bitmap, sub).map_err(|reason| {
            let word = entry.word;
            bad(format!("L2 entry {word:#x} at byte {at} {reason}"))
        })
    }

    /// What is said of a cluster of the disk, and where.
    pub(crate) fn entry(&self, cluster: u64) -> io::Result<(u64, Entry)> {
        let changes = self.changes.as_ref();
        if let Some(entry) = changes.and_then(|changes| changes.entry(cluster)) {
            return Ok((0, entry));
        }
        let header = &self.header;
        let Some(l2) = self.l2(cluster)? else {
            return Ok((0, Entry::default()));
        };
        let at = l2 + cluster % header.l2_entries() * header.l2_entry_bytes();
        let word = self.word(at)?;
        let bitmap = if header.has_extended_l2 {
            self.word(at + 8)?
        } else {
            0
        };
        Ok((at, Entry { word, bitmap }))
    }

    /// Where the L1 entry of a cluster lies, and what it says.
    pub(crate) fn l1(&self, cluster: u64) -> io::Result<(u64, u64)> {
        let at = self.table.offset + cluster / self.header.l2_entries() * 8;
        Ok((at, self.word(at)?))
    }

    /// Where the L2 table of a cluster lies.
    pub(crate) fn l2(&self, cluster: u64) -> io::Result<Option<u64>> {
        let header = &self.header;
        let (at, entry) = self.l1(cluster)?;
        let Some(l2) = table::l2_offset(entry) else {
            return Ok(None);
        };
        let end = l2 + header.cluster_bytes();
        let len = self.storage_len();
        if !l2.is_multiple_of(header.cluster_bytes()) || end > len {
            let reason = "leads to no L2 table of whole clusters before the end at byte";
            return Err(bad(format!(
                "L1 entry {entry:#x} at byte {at} {reason} {len}"
            )));
        }
        Ok(Some(l2))
    }

    /// Eight bytes of a table.
    fn word(&self, at: u64) -> io::Result<u64> {
        let word = self.kept.word(&*self.storage, self.storage_len(), at)?;
        word.ok_or_else(|| {
            bad(format!(
                "table entry at byte {at} lies past the end of the file"
            ))
        })
    }

    /// Fills `buf` from byte `at` of the file that has the clusters.
    pub(crate) fn read_data(&self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        let Some(cipher) = &self.layer.cipher else {
            return self.read_host(at, buf);
        };
        let sector = cipher.sector_size().bytes() as u64;
        let (start, end) = (
            at - at % sector,
            (at + buf.len() as u64).next_multiple_of(sector),
        );
        if (start, end) == (at, at + buf.len() as u64) {
            self.read_host(at, buf)?;
            cipher.decrypt(at / SECTOR_BYTES, buf);
            return Ok(());
        }
        let mut whole = vec![0; usize::try_from(end - start).unwrap_or(usize::MAX)];
        self.read_host(start, &mut whole)?;
        cipher.decrypt(start / SECTOR_BYTES, &mut whole);
        let skipped = usize::try_from(at - start).unwrap_or(usize::MAX);
        buf.copy_from_slice(&whole[skipped..skipped + buf.len()]);
        Ok(())
    }

    /// The same without decryption. The last cluster of a file may be there in part: zeros follow.
    fn read_host(&self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        let cluster = self.header.cluster_bytes();
        let len = self.data_len.load(Ordering::SeqCst);
        let there = len.saturating_sub(at).min(buf.len() as u64);
        let end = at.saturating_add(buf.len() as u64);
        if end > len.next_multiple_of(cluster) {
            let message = format!(
                "cluster at byte {} lies past the end at byte {len}",
                (end - 1) / cluster * cluster
            );
            return Err(bad(message));
        }
        let (read, rest) = buf.split_at_mut(usize::try_from(there).unwrap_or(usize::MAX));
        self.data.read_at(at, read)?;
        rest.fill(0);
        Ok(())
    }

    fn read_below(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let Some(backing) = &self.layer.backing else {
            buf.fill(0);
            return Ok(());
        };
        let there = backing.len()?.saturating_sub(offset).min(buf.len() as u64);
        let (read, rest) = buf.split_at_mut(usize::try_from(there).unwrap_or(usize::MAX));
        if !read.is_empty() {
            backing.read_at(offset, read)?;
        }
        rest.fill(0);
        Ok(())
    }

    fn inflated(&self, at: u64, bytes: usize) -> io::Result<Arc<[u8]>> {
        if let Some(cluster) = self.kept.inflated(at) {
            return Ok(cluster);
        }
        let len = self.storage_len();
        if at >= len {
            return Err(bad(format!(
                "compressed cluster at byte {at} lies past the end at byte {len}"
            )));
        }
        // Its length is in sectors, of which the file's last need not be whole.
        let there = (bytes as u64).min(len - at);
        let mut data = vec![0; usize::try_from(there).unwrap_or(usize::MAX)];
        self.storage.read_at(at, &mut data)?;
        let mut cluster = vec![0; 1 << self.header.cluster_bits];
        inflate(self.header.compression, &data, &mut cluster)
            .map_err(|reason| bad(format!("compressed cluster at byte {at}: {reason}")))?;
        let cluster: Arc<[u8]> = cluster.into();
        self.kept.keep_inflated(at, &cluster);
        Ok(cluster)
    }

    /// How many bytes from `offset` on are in one place, `most` at most, and where.
    fn run(&self, offset: u64, most: u64) -> io::Result<(Place, u64)> {
        let unit = self.unit();
        let first = self.place(offset)?;
        let mut bytes = unit - offset % unit;
        while bytes < most {
            let next = self.place(offset + bytes)?;
            let goes_on = match (first, next) {
                (Place::At(one), Place::At(other)) => {
                    let cluster = self.header.cluster_bytes();
                    let here = one + offset % cluster + bytes;
                    here == other + (offset + bytes) % cluster
                }
                (Place::Unallocated, Place::Unallocated) | (Place::Zero, Place::Zero) => true,
                _ => false,
            };
            if !goes_on {
                break;
            }
            bytes += unit;
        }
        Ok((first, bytes.min(most)))
    }
}

impl Storage for View {
    fn len(&self) -> io::Result<u64> {
        Ok(self.table.size)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64);
        if end.is_none_or(|end| end > self.table.size) {
            let (wanted, len) = (buf.len(), self.table.size);
            let message = format!(
                "read of {wanted} bytes at offset {offset} goes past the end at byte {len}"
            );
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        let cluster = self.header.cluster_bytes();
        let (mut offset, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let (place, bytes) = self.run(offset, rest.len() as u64)?;
            let (now, later) = rest.split_at_mut(usize::try_from(bytes).unwrap_or(usize::MAX));
            match place {
                Place::Zero => now.fill(0),
                Place::Unallocated => self.read_below(offset, now)?,
                Place::At(at) => self.read_data(at + offset % cluster, now)?,
                Place::Compressed(at, length) => {
                    let whole = self.inflated(at, length)?;
                    let within = usize::try_from(offset % cluster).unwrap_or(usize::MAX);
                    now.copy_from_slice(&whole[within..within + now.len()]);
                }
            }
            offset += bytes;
            rest = later;
        }
        Ok(())
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        let message = "this view of a qcow2 image is for reading";
        Err(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, message))
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn block_size(&self) -> u64 {
        self.header.cluster_bytes()
    }

    /// Zeros that the tables tell of are holes; what stands below may be data. A long hole may be told in parts: what is
    /// behind the part that was looked at may be data too.
    fn data_extent(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        let size = self.table.size;
        let mut at = offset;
        let mut looked = 0;
        while at < size {
            let place = self.place(at)?;
            let is_hole = match place {
                Place::Zero => true,
                Place::Unallocated => self.layer.backing.is_none(),
                Place::At(_) | Place::Compressed(..) => false,
            };
            if !is_hole || looked == EXTENT_ENTRIES {
                let bytes = if is_hole {
                    self.unit() - at % self.unit()
                } else {
                    self.run(at, (size - at).min(EXTENT_BYTES))
                        .map(|(_, bytes)| bytes)?
                };
                return Ok(Some(at..(at + bytes).min(size)));
            }
            // Where there is no table, all of its clusters are holes.
            let cluster = at >> self.header.cluster_bits;
            let entries = self.header.l2_entries();
            let table = cluster - cluster % entries..(cluster - cluster % entries) + entries;
            let changes = self.changes.as_ref();
            let is_changed = changes.is_some_and(|changes| changes.has_any(table));
            let step = if !is_changed && self.l2(cluster)?.is_none() {
                let covered = entries << self.header.cluster_bits;
                covered - at % covered
            } else {
                looked += 1;
                self.unit() - at % self.unit()
            };
            at = at.saturating_add(step);
        }
        Ok(None)
    }

    fn lock(&self, mode: LockMode) -> io::Result<HeaderLock> {
        self.storage.lock(mode)
    }
}

pub(crate) fn bad(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
