//! A regular file or a block device.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt as _, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustix::fs::{FallocateFlags, OFlags, SeekFrom, fallocate, fcntl_getfl, seek};
use rustix::io::Errno;

use super::{Storage, end_of, past_end, write_zeros};
use crate::buffer::AlignedBuffer;
use crate::error::is_bad_place;
use crate::lock::{HeaderLock, ImageLock, ImageRole, LockMode, SharedLock};

/// What a file is opened for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Access {
    /// Reading; every write fails.
    Read,
    /// Reading and writing. The file must exist.
    ReadWrite,
}

/// A regular file or a block device.
///
/// Reads and writes are positional; the file's own position is not used, but moves.
pub struct FileStorage {
    file: Arc<File>,
    /// A second way to the same bytes, past the page cache, for reads and writes that are aligned for it.
    direct: OnceLock<File>,
    /// The same for single sectors beside bad ones, where the system has it.
    sectors: OnceLock<Option<File>>,
    is_block_device: bool,
    header_lock: Arc<SharedLock>,
}

impl FileStorage {
    /// Opens an existing file or block device.
    ///
    /// # Errors
    ///
    /// Those of open(2), and those of [`FileStorage::from_file`].
    pub fn open(path: &Path, access: Access) -> io::Result<Self> {
        // Without NONBLOCK a FIFO would wait here for its other end before it can be refused.
        Self::from_file(open_with(path, access, OFlags::NONBLOCK)?)
    }

    /// From now on data moves past the page cache (`O_DIRECT`) where offset, length and buffer are multiples of 4096
    /// bytes; the pipeline's are, up to the last chunk and where the payload lies so.
    ///
    /// # Errors
    ///
    /// That of a file system that has no direct access, usually [`io::ErrorKind::InvalidInput`], and that of a system
    /// without `/proc`, through which the same file is opened a second time.
    pub fn bypass_page_cache(&self) -> io::Result<()> {
        let _ = self.direct.set(self.open_direct()?);
        Ok(())
    }

    /// Takes a file that is open already.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] when it is neither a regular file nor a block device.
    pub fn from_file(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let file_type = metadata.file_type();
        if !file_type.is_file() && !file_type.is_block_device() {
            let message = "neither a regular file nor a block device";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let file = Arc::new(file);
        Ok(Self {
            is_block_device: file_type.is_block_device(),
            header_lock: if file_type.is_block_device() {
                SharedLock::of_device(Arc::clone(&file), metadata.rdev())
            } else {
                SharedLock::new(Some(Arc::clone(&file)))
            },
            direct: OnceLock::new(),
            sectors: OnceLock::new(),
            file,
        })
    }

    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Is it a block device, whose length is fixed?
    pub fn is_block_device(&self) -> bool {
        self.is_block_device
    }

    /// Takes QEMU's image locks, without waiting, for as long as the result lives.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] when another process, QEMU or one of ours, holds locks that conflict.
    pub fn lock_image(&self, role: ImageRole) -> io::Result<ImageLock> {
        ImageLock::take(&self.file, role)
    }

    /// The file that moves data past the page cache, where it can take this offset and buffer.
    fn direct_for(&self, offset: u64, buf: &[u8]) -> Option<&File> {
        let is_aligned = offset.is_multiple_of(DIRECT_ALIGNMENT as u64)
            && buf.len().is_multiple_of(DIRECT_ALIGNMENT)
            && buf.as_ptr().addr().is_multiple_of(DIRECT_ALIGNMENT);
        self.direct.get().filter(|_| is_aligned)
    }

    /// Reads a page or less past the page cache. The cache has whole pages: a bad sector costs its neighbours there.
    fn read_sectors(&self, offset: u64, buf: &mut [u8]) -> bool {
        const SECTOR: usize = 512;
        if buf.len() > DIRECT_ALIGNMENT
            || !buf.len().is_multiple_of(SECTOR)
            || !offset.is_multiple_of(SECTOR as u64)
        {
            return false;
        }
        let direct = self.sectors.get_or_init(|| self.open_direct().ok());
        let mut page = AlignedBuffer::new(DIRECT_ALIGNMENT);
        let page = &mut page.bytes()[..buf.len()];
        let is_read = direct
            .as_ref()
            .is_some_and(|direct| direct.read_exact_at(page, offset).is_ok());
        if is_read {
            buf.copy_from_slice(page);
        }
        is_read
    }

    fn open_direct(&self) -> io::Result<File> {
        let is_writable = fcntl_getfl(&self.file)?.contains(OFlags::RDWR);
        let access = if is_writable {
            Access::ReadWrite
        } else {
            Access::Read
        };
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        open_with(Path::new(&path), access, OFlags::NONBLOCK | OFlags::DIRECT)
    }

    /// Up to where all has its room, so that the file system need not look through it again. What it does not know of
    /// holes it shows by the number of blocks.
    fn first_hole(&self) -> io::Result<u64> {
        let end = match self.data_extent(0)? {
            Some(data) if data.start == 0 => data.end,
            _ => 0,
        };
        let taken = self.file.metadata()?.blocks().saturating_mul(BLOCK_BYTES);
        Ok(if taken >= end { end } else { 0 })
    }
}

impl Storage for FileStorage {
    fn len(&self) -> io::Result<u64> {
        if self.is_block_device {
            // fstat(2) says 0 for a device; its end is where seeking to the end leads.
            return Ok(seek(&self.file, SeekFrom::End(0))?);
        }
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        end_of(offset, buf.len())?;
        if let Some(direct) = self.direct_for(offset, buf) {
            match direct.read_exact_at(buf, offset) {
                // A file ends where it likes: what follows may be its end, to be read the other way.
                Err(error) if is_refusal(&error) => (),
                result => return result,
            }
        }
        match self.file.read_exact_at(buf, offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(past_end(offset, buf.len(), self.len()?))
            }
            Err(error) if is_bad_place(&error) && self.read_sectors(offset, buf) => Ok(()),
            result => result,
        }
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        end_of(offset, data.len())?;
        if let Some(direct) = self.direct_for(offset, data) {
            match direct.write_all_at(data, offset) {
                Err(error) if is_refusal(&error) => (),
                result => return result,
            }
        }
        self.file.write_all_at(data, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if !self.is_block_device {
            return self.file.set_len(len);
        }
        let size = self.len()?;
        if len == size {
            return Ok(());
        }
        let message = format!("a block device of {size} bytes cannot be made {len} bytes long");
        Err(io::Error::new(io::ErrorKind::InvalidInput, message))
    }

    fn punch_hole(&self, offset: u64, len: u64) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        match fallocate(
            &self.file,
            FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
            offset,
            len,
        ) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                write_zeros(self, offset..offset.saturating_add(len))
            }
            result => Ok(result?),
        }
    }

    fn write_zeroes(&self, offset: u64, len: u64) -> io::Result<()> {
        let end = offset.saturating_add(len).min(self.len()?);
        if end <= offset {
            return Ok(());
        }
        let flags = FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE;
        match fallocate(&self.file, flags, offset, end - offset) {
            // A device takes whole sectors only.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => write_zeros(self, offset..end),
            result => Ok(result?),
        }
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        let end = offset.saturating_add(len).min(self.len()?);
        if end <= offset {
            return Ok(());
        }
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fallocate(&self.file, flags, offset, end - offset) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
            result => Ok(result?),
        }
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        if self.is_block_device {
            return self.set_len(len.max(self.len()?));
        }
        let first = self.first_hole()?;
        if first >= len {
            return Ok(());
        }
        match fallocate(&self.file, FallocateFlags::empty(), first, len - first) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                if self.len()? < len {
                    self.set_len(len)?;
                }
                fill_holes(self, len)
            }
            result => Ok(result?),
        }
    }

    fn data_extent(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        let start = match seek(&self.file, SeekFrom::Data(offset)) {
            Ok(start) => start,
            Err(Errno::NXIO) => return Ok(None),
            // Block devices and some file systems know of no holes.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => {
                let len = self.len()?;
                return Ok((offset < len).then_some(offset..len));
            }
            Err(error) => return Err(error.into()),
        };
        let end = match seek(&self.file, SeekFrom::Hole(start)) {
            Ok(end) => end,
            // The file was cut between the two calls: its reader will find out.
            Err(Errno::NXIO) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(start..end))
    }

    fn lock(&self, mode: LockMode) -> io::Result<HeaderLock> {
        Ok(HeaderLock::new(self.header_lock.acquire(mode)?))
    }
}

/// What a block is where a file's are counted.
const BLOCK_BYTES: u64 = 512;

/// Writes zeros into the holes below `end`.
fn fill_holes(storage: &FileStorage, end: u64) -> io::Result<()> {
    let mut at = 0;
    while at < end {
        let data = storage.data_extent(at)?.unwrap_or(end..end);
        write_zeros(storage, at..data.start.min(end))?;
        at = data.end;
    }
    Ok(())
}

fn open_with(path: &Path, access: Access, flags: OFlags) -> io::Result<File> {
    let flags = flags
        .bits()
        .try_into()
        .map_err(|_| io::ErrorKind::InvalidInput)?;
    OpenOptions::new()
        .read(true)
        .write(access == Access::ReadWrite)
        .custom_flags(flags)
        .open(path)
}

/// Did a direct transfer fail only because it is direct?
fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof
    )
}

/// What `O_DIRECT` asks of offset, length and address: at most a page, on every file system and disk.
const DIRECT_ALIGNMENT: usize = 4096;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;

    fn file_of(content: &[u8]) -> (tempfile::NamedTempFile, FileStorage) {
        let named = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(named.path(), content).unwrap();
        let storage = FileStorage::open(named.path(), Access::ReadWrite).unwrap();
        (named, storage)
    }

    #[test]
    fn reads_exactly_or_names_what_is_missing() {
        let (_named, storage) = file_of(b"0123456789");
        let mut buf = [0; 4];
        storage.read_at(6, &mut buf).unwrap();
        assert_eq!(&buf, b"6789");
        let error = storage.read_at(7, &mut buf).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(
            error.to_string(),
            "read of 4 bytes at offset 7 goes past the end at byte 10"
        );
        assert_eq!(
            storage.read_at(u64::MAX, &mut buf).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }

    #[test]
    fn a_read_only_file_takes_no_write() {
        let (named, _storage) = file_of(b"0123456789");
        let storage = FileStorage::open(named.path(), Access::Read).unwrap();
        assert!(storage.write_at(0, b"x").is_err());
        assert_eq!(std::fs::read(named.path()).unwrap(), b"0123456789");
    }

    #[test]
    fn a_directory_and_a_pipe_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let Err(error) = FileStorage::open(folder.path(), Access::Read) else {
            panic!("a folder was opened")
        };
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let fifo = folder.path().join("fifo");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let Err(error) = FileStorage::open(&fifo, Access::Read) else {
            panic!("a pipe was opened")
        };
        assert_eq!(
            error.to_string(),
            "neither a regular file nor a block device"
        );
    }

    #[test]
    fn holes_are_punched_and_found() {
        let (named, storage) = file_of(&vec![7; 3 << 20]);
        let blocks = named.as_file().metadata().unwrap().blocks();
        storage.punch_hole(1 << 20, 1 << 20).unwrap();
        // Beyond the end nothing happens, and the length stays.
        storage.punch_hole(8 << 20, 4096).unwrap();
        storage.punch_hole(0, 0).unwrap();
        assert_eq!(storage.len().unwrap(), 3 << 20);
        assert!(named.as_file().metadata().unwrap().blocks() < blocks);
        assert_eq!(storage.data_extent(0).unwrap(), Some(0..1 << 20));
        assert_eq!(
            storage.data_extent((1 << 20) + 5).unwrap(),
            Some(2 << 20..3 << 20)
        );
        assert_eq!(
            storage.data_extent((2 << 20) + 5).unwrap(),
            Some((2 << 20) + 5..3 << 20)
        );
        assert_eq!(storage.data_extent(3 << 20).unwrap(), None);
        storage.punch_hole(2 << 20, 1 << 20).unwrap();
        assert_eq!(storage.data_extent(1 << 20).unwrap(), None);
        let mut expected = vec![0; 3 << 20];
        expected[..1 << 20].fill(7);
        assert!(std::fs::read(named.path()).unwrap() == expected);
    }

    #[test]
    fn holes_get_their_room_and_what_is_there_stays() {
        use std::os::unix::fs::MetadataExt;

        type Give = fn(&FileStorage) -> io::Result<()>;
        let by_system: Give = |storage| storage.allocate(4 << 20);
        let by_zeros: Give = |storage| {
            storage.set_len(4 << 20)?;
            fill_holes(storage, 4 << 20)
        };
        for give in [by_system, by_zeros] {
            let (named, storage) = file_of(b"");
            storage.write_at(1 << 20, &[7; 5000]).unwrap();
            storage.write_at(3 << 20, &[8; 4096]).unwrap();
            let mut expected = std::fs::read(named.path()).unwrap();
            expected.resize(4 << 20, 0);
            give(&storage).unwrap();
            assert!(std::fs::read(named.path()).unwrap() == expected);
            let blocks = named.path().metadata().unwrap().blocks();
            assert!(blocks >= (4 << 20) / 512, "{blocks} blocks");
            // Nothing becomes shorter.
            storage.allocate(1).unwrap();
            assert_eq!(storage.len().unwrap(), 4 << 20);
        }
    }

    #[test]
    fn zeros_are_written_where_no_hole_can_be_punched() {
        let (named, storage) = file_of(&vec![7; 200_000]);
        write_zeros(&storage, 1000..150_000).unwrap();
        write_zeros(&storage, 199_999..300_000).unwrap();
        let mut expected = vec![7; 200_000];
        expected[1000..150_000].fill(0);
        expected[199_999] = 0;
        assert!(std::fs::read(named.path()).unwrap() == expected);
    }

    #[test]
    fn direct_access_falls_back_for_what_is_not_aligned() {
        let (_named, storage) = file_of(&[7; 10_000]);
        match storage.bypass_page_cache() {
            // tmpfs had no O_DIRECT before Linux 6.6.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                println!("not tried: the temporary folder has no O_DIRECT");
                return;
            }
            outcome => outcome.unwrap(),
        }
        let page = vec![9; 4096 * 2];
        let start = page.as_ptr().align_offset(4096);
        storage.write_at(4096, &page[start..start + 4096]).unwrap();
        storage.write_at(5000, b"abc").unwrap();
        let mut all = vec![0; 10_000];
        storage.read_at(0, &mut all).unwrap();
        let mut expected = vec![7; 10_000];
        expected[4096..8192].fill(9);
        expected[5000..5003].copy_from_slice(b"abc");
        assert!(all == expected);
        let mut page = vec![0; 4096 * 3];
        let start = page.as_ptr().align_offset(4096);
        let error = storage
            .read_at(4096, &mut page[start..start + 8192])
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "read of 8192 bytes at offset 4096 goes past the end at byte 10000"
        );
    }

    #[test]
    fn header_locks_exclude_other_processes_and_other_threads() {
        let (named, storage) = file_of(b"x");
        let other = FileStorage::open(named.path(), Access::ReadWrite).unwrap();
        let try_exclusive = || flock(&other.file, FlockOperation::NonBlockingLockExclusive);
        let try_shared = || flock(&other.file, FlockOperation::NonBlockingLockShared);

        let first = storage.lock(LockMode::Shared).unwrap();
        let second = storage.lock(LockMode::Shared).unwrap();
        drop(first);
        assert_eq!(
            try_exclusive(),
            Err(Errno::WOULDBLOCK),
            "one reader is left"
        );
        assert_eq!(try_shared(), Ok(()));
        flock(&other.file, FlockOperation::Unlock).unwrap();
        drop(second);
        assert_eq!(try_exclusive(), Ok(()));
        flock(&other.file, FlockOperation::Unlock).unwrap();

        let writer = storage.lock(LockMode::Exclusive).unwrap();
        assert_eq!(try_shared(), Err(Errno::WOULDBLOCK));
        let is_released = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _reader = storage.lock(LockMode::Shared).unwrap();
                assert!(
                    is_released.load(Ordering::SeqCst),
                    "a thread shared a lock that is held alone"
                );
            });
            std::thread::sleep(Duration::from_millis(50));
            is_released.store(true, Ordering::SeqCst);
            drop(writer);
        });
    }

    #[test]
    fn image_locks_conflict_as_reader_and_writer_do() {
        let (named, one) = file_of(b"x");
        let two = FileStorage::open(named.path(), Access::ReadWrite).unwrap();
        let is_busy = |role| match two.lock_image(role) {
            Ok(_) => false,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
                true
            }
        };
        let reader = one.lock_image(ImageRole::Reader).unwrap();
        assert!(!is_busy(ImageRole::Reader));
        assert!(is_busy(ImageRole::Writer));
        drop(reader);
        let writer = one.lock_image(ImageRole::Writer).unwrap();
        assert!(is_busy(ImageRole::Reader));
        assert!(is_busy(ImageRole::Writer));
        drop(writer);
        // A refused lock leaves nothing held.
        assert!(!is_busy(ImageRole::Writer));
        assert!(one.lock_image(ImageRole::Writer).is_ok());
    }

    use rustix::fs::{FlockOperation, flock};
}
