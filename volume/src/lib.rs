//! The input and output of luksmith: where encrypted bytes are kept, and their plaintext as something to read and write
//! at any offset.
//!
//! A format (LUKS, plain dm-crypt) finds out which bytes of a [`Storage`] are encrypted how, and says so as a
//! [`Mapping`]; both together make a [`Volume`]:
//!
//! ```
//! use std::sync::Arc;
//!
//! use dmcrypt::{CipherSpec, SectorOptions, SectorSize};
//! use volume::{Mapping, MemoryStorage, Segment, SegmentKind, Volume};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let spec: CipherSpec = "aes-xts-plain64".parse()?;
//! let options = SectorOptions { sector_size: SectorSize::B4096, iv_large_sectors: false };
//! let cipher = Arc::from(spec.sector_cipher(&[7; 64], options)?);
//! let payload = Segment {
//!     length: 1 << 20,
//!     storage_offset: 4096,
//!     elsewhere: None,
//!     kind: SegmentKind::Crypt { cipher, first_iv_sector: 0 },
//! };
//!
//! let storage = Arc::new(MemoryStorage::new(4096 + (1 << 20)));
//! let volume = Volume::new(storage, Mapping::new(vec![payload])?);
//! volume.write_at(5000, b"plaintext, at any offset")?;
//! let mut buf = [0; 9];
//! volume.read_at(5000, &mut buf)?;
//! assert_eq!(&buf, b"plaintext");
//! # Ok(())
//! # }
//! ```
//!
//! A volume is a storage again: what lies in it, a partition or another container, is opened as if it lay in a file. For
//! what wants [`Read`](std::io::Read), [`Write`](std::io::Write) and [`Seek`](std::io::Seek) there is a cursor.
//!
//! ```
//! # use std::sync::Arc;
//! # use dmcrypt::{CipherSpec, SectorOptions, SectorSize};
//! # use volume::{Mapping, MemoryStorage, Segment, SegmentKind, Volume};
//! use std::io::{Read, Seek, SeekFrom, Write};
//!
//! use volume::{StorageCursor, Window};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let options = SectorOptions { sector_size: SectorSize::B4096, iv_large_sectors: false };
//! # let cipher = Arc::from("aes-xts-plain64".parse::<CipherSpec>()?.sector_cipher(&[7; 64], options)?);
//! # let kind = SegmentKind::Crypt { cipher, first_iv_sector: 0 };
//! # let segment = Segment { length: 4 << 20, storage_offset: 0, elsewhere: None, kind };
//! # let volume = Volume::new(Arc::new(MemoryStorage::new(4 << 20)), Mapping::new(vec![segment])?);
//! let partition = Window::new(Arc::new(volume), 1 << 20..3 << 20)?;
//! let mut cursor = StorageCursor::new(&partition);
//! cursor.seek(SeekFrom::End(-5))?;
//! cursor.write_all(b"five.")?;
//! assert_eq!(cursor.read(&mut [0; 16])?, 0); // the end of the partition, not of the volume
//! # Ok(())
//! # }
//! ```
//!
//! Whole images are copied by [`copy`], with several threads, and encrypted or decrypted on the way:
//!
//! ```
//! # use std::sync::Arc;
//! # use std::sync::atomic::{AtomicU64, Ordering};
//! # use dmcrypt::{CipherSpec, SectorOptions, SectorSize};
//! # use volume::{Mapping, MemoryStorage, Segment, SegmentKind, Storage, Volume};
//! use volume::{CopyOptions, Sink, Source, copy};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let options = SectorOptions { sector_size: SectorSize::B4096, iv_large_sectors: false };
//! # let cipher = Arc::from("aes-xts-plain64".parse::<CipherSpec>()?.sector_cipher(&[7; 64], options)?);
//! # let kind = SegmentKind::Crypt { cipher, first_iv_sector: 0 };
//! # let segment = Segment { length: 4 << 20, storage_offset: 0, elsewhere: None, kind };
//! # let volume = Volume::new(Arc::new(MemoryStorage::new(4 << 20)), Mapping::new(vec![segment])?);
//! let raw = MemoryStorage::from_vec(vec![7; 4 << 20]);
//! let shown = AtomicU64::new(0);
//! let options = CopyOptions {
//!     threads: 2,
//!     progress: &|bytes| shown.store(bytes, Ordering::Relaxed),
//!     ..CopyOptions::default()
//! };
//! let source = Source::Storage { storage: &raw, offset: 0, len: raw.len()? };
//! let copied = copy(source, Sink::Volume(&volume), &options)?;
//! assert_eq!(copied.bytes, shown.into_inner());
//! volume.sync()?;
//! # Ok(())
//! # }
//! ```
//!
//! | module | what |
//! | --- | --- |
//! | [`storage`] | [`Storage`]: files and block devices, memory, a [`Window`] of another, and a disk that fails on request |
//! | [`mapping`] | [`Mapping`]: segments of a storage, encrypted or not |
//! | [`mod@volume`] | [`Volume`]: the plaintext, which is a storage too |
//! | [`cursor`] | [`StorageCursor`]: `Read`, `Write` and `Seek` for what wants those |
//! | [`pipeline`] | [`copy`]: whole images, with several threads |
//! | [`blocks`] | hashes of blocks, with several threads |
//! | [`region`] | locks over parts of a storage |
//! | [`salvage`] | what can be read of a storage with bad places |
//! | [`lock`] | header locks, and the image locks that QEMU takes |
//! | [`error`] | what can go wrong |

pub mod blocks;
mod buffer;
pub mod cursor;
pub mod error;
pub mod lock;
pub mod mapping;
pub mod pipeline;
pub mod region;
pub mod salvage;
mod span;
pub mod storage;
mod sys;
pub mod volume;

/// Whether standard input, standard output and standard error were closed when the process began. By now they lead to the
/// null device, which takes all that is written and says that it was: the runtime has opened it in their place, lest a
/// file that is opened gets their numbers. All `false` where that cannot be told, which is on systems other than Linux.
pub fn closed_at_start() -> [bool; 3] {
    sys::closed_at_start()
}

/// Has descriptor `number` of this process not be open in the programs that it starts from now on.
///
/// # Errors
///
/// What the system says, such as that there is none.
pub fn close_on_exec(number: u32) -> std::io::Result<()> {
    sys::close_on_exec(number)
}

/// Another descriptor for what descriptor `number` of this process is, which the program that has started it may have
/// opened for it. It is closed where another program is run.
///
/// # Errors
///
/// What the system says, such as that there is none.
pub fn duplicate_descriptor(number: u32) -> std::io::Result<std::os::fd::OwnedFd> {
    sys::duplicate_descriptor(number)
}

/// From now on an abort of the process, with which the runtime answers an allocation that fails, ends it with this code
/// and text; a SIGABRT of others comes to nothing but what other handlers do. The function that says the text may not
/// ask for memory, nor for locks. On systems other than Linux nothing is changed.
///
/// # Errors
///
/// What the system says.
pub fn end_aborts(code: u8, said: fn() -> &'static str) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    return sys::abort::end(code, said);
    #[cfg(not(target_os = "linux"))]
    return Ok(drop((code, said)));
}

/// From now on this thread is the one that undoes what was begun: another that aborts is held for ever after a byte was
/// sent to the socket `wake`, and this one then ends the process, without asking for memory. If it aborts itself, that
/// ends the process by the signal.
pub fn hold_aborts(wake: std::os::fd::OwnedFd) {
    #[cfg(target_os = "linux")]
    sys::abort::hold(wake);
    #[cfg(not(target_os = "linux"))]
    drop(wake);
}

/// Whether a thread has aborted the process and is held.
pub fn has_aborted() -> bool {
    #[cfg(target_os = "linux")]
    return sys::abort::has_aborted();
    #[cfg(not(target_os = "linux"))]
    return false;
}

pub use blocks::BlockHashes;
pub use buffer::AlignedBuffer;
pub use cursor::StorageCursor;
pub use error::{CopyError, Error, is_bad_place};
pub use lock::{HeaderLock, ImageLock, ImageRole, LockMode};
pub use mapping::{Mapping, Segment, SegmentKind};
pub use pipeline::{Branch, Copied, CopyOptions, Sink, Source, copy};
pub use region::RegionLocks;
pub use salvage::{Unread, read_around};
pub use storage::{
    Access, CrashState, CrashStates, CrashedDisks, DisksCrashStates, Fault, FaultOn, FileStorage,
    MemoryStorage, Operation, RehearsedStorage, SimulatedDisks, SimulatedStorage, Storage, Window,
};
pub use volume::Volume;

/// The example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
