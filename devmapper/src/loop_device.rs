//! Files as block devices.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::Error;
use crate::low::{self, LOOP_CONFIG_BYTES};
use crate::node;
use crate::request::{device_number, u64_at};

/// The major number of loop devices.
pub const MAJOR: u32 = 7;

/// Where the fields of `struct loop_config` lie.
mod at {
    pub(super) const FD: usize = 0;
    pub(super) const BLOCK_SIZE: usize = 4;
    /// In the `struct loop_info64` that follows.
    pub(super) const FLAGS: usize = 8 + 52;
    pub(super) const FILE_NAME: usize = 8 + 56;
    /// Where `struct loop_info64` lies, and what in it is asked for.
    pub(super) const INFO: usize = 8;
    pub(super) const DEVICE: usize = 0;
}

/// How a loop device shows its file.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LoopOptions {
    /// Nothing can be written.
    pub read_only: bool,
    /// The size of a block, the usual one where there is none.
    pub block_bytes: Option<u32>,
    /// What is read and written goes past the cache of the file.
    pub direct_io: bool,
    /// It stays until it is [let go](detach), and does not end with who has it open last.
    pub stays: bool,
}

const FILE_NAME_BYTES: usize = 64;
const READ_ONLY: u32 = 1;
/// It ends with whoever has it open last.
const AUTOCLEAR: u32 = 4;
/// What is read and written goes past the cache of the file.
const DIRECT_IO: u32 = 16;
/// Others look for a free one too.
const TRIES: usize = 64;

/// A loop device that shows a file. It is gone when this and everything that is made of it is, unless it stays.
pub struct Loop {
    file: File,
    path: PathBuf,
    device: u64,
}

impl Loop {
    /// Gives a free loop device the open file `image`, which `path` names for people. A device that somebody else takes
    /// meanwhile is let go.
    ///
    /// # Errors
    ///
    /// [`Error::Loop`], [`Error::Node`].
    pub fn attach(image: &File, path: &Path, options: LoopOptions) -> Result<Self, Error> {
        let failed = |what| move |source| Error::Loop { what, source };
        let control = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/loop-control")
            .map_err(failed("open /dev/loop-control"))?;
        let config = config(image, path, options);
        for _ in 0..TRIES {
            let number =
                low::simple(&control, low::LOOP_CTL_GET_FREE).map_err(failed("find a free one"))?;
            let device = rustix::fs::makedev(MAJOR, number);
            let path = PathBuf::from(format!("/dev/loop{number}"));
            let file = match open(&path, device, options.read_only)? {
                Ok(file) => file,
                Err(error) if is_taken(&error) => continue,
                Err(error) => return Err(failed("open a free one")(error)),
            };
            match low::configure_loop(&file, &config) {
                Ok(()) => return Ok(Self { file, path, device }),
                Err(error) if is_taken(&error) => {}
                Err(error) => return Err(failed("give it the file")(error)),
            }
        }
        Err(failed("get one before others do")(Errno::BUSY.into()))
    }

    /// Its node.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its number.
    pub fn device(&self) -> u64 {
        self.device
    }

    /// The open device.
    pub fn file(&self) -> &File {
        &self.file
    }
}

/// Lets a loop device go of its file, once the last one has closed it; this process too.
///
/// # Errors
///
/// [`Error::Loop`].
pub fn detach(device: &File) -> Result<(), Error> {
    low::simple(device, low::LOOP_CLR_FD)
        .map(drop)
        .map_err(|source| Error::Loop {
            what: "let go of its file",
            source,
        })
}

/// Takes [`detach`] back, where somebody has the device open still.
///
/// # Errors
///
/// [`Error::Loop`], where it has gone meanwhile too.
pub fn keep(device: &File) -> Result<(), Error> {
    let failed = |source| Error::Loop {
        what: "keep its file",
        source,
    };
    let mut info = low::loop_info(device).map_err(failed)?;
    let flags = at::FLAGS - at::INFO;
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&info[flags..flags + 4]);
    let kept = u32::from_ne_bytes(bytes) & !AUTOCLEAR;
    info[flags..flags + 4].copy_from_slice(&kept.to_ne_bytes());
    low::set_loop_info(device, &info).map_err(failed)
}

/// The number of the device on which the file of a loop device lies.
///
/// # Errors
///
/// [`Error::Loop`], where it has no file too.
pub fn device_of_file(device: &File) -> Result<u64, Error> {
    let info = low::loop_info(device).map_err(|source| Error::Loop {
        what: "ask for its file",
        source,
    })?;
    let number = u64_at(&info, at::DEVICE).unwrap_or_default();
    Ok(device_number(number))
}

/// Has a loop device take the size that its file has now. Other devices have their own.
///
/// # Errors
///
/// [`Error::Loop`].
pub fn take_size_of_file(device: &File) -> Result<(), Error> {
    low::simple(device, low::LOOP_SET_CAPACITY)
        .map(drop)
        .map_err(|source| Error::Loop {
            what: "look at the size of its file",
            source,
        })
}

/// Whether nothing can be written to a block device.
///
/// # Errors
///
/// Those of ioctl(2).
pub fn is_read_only(device: &File) -> io::Result<bool> {
    low::is_read_only(device)
}

/// Another process was quicker, or has just made the device anew.
fn is_taken(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::BUSY | Errno::NXIO | Errno::NODEV | Errno::AGAIN)
    )
}

/// Opens the node, which is made where nobody has made it.
fn open(path: &Path, device: u64, is_read_only: bool) -> Result<io::Result<File>, Error> {
    let is_there = path
        .metadata()
        .is_ok_and(|found| found.file_type().is_block_device() && found.rdev() == device);
    if !is_there {
        node::make_block_device(path, device)?;
    }
    Ok(OpenOptions::new()
        .read(true)
        .write(!is_read_only)
        .open(path))
}

fn config(image: &File, path: &Path, options: LoopOptions) -> [u8; LOOP_CONFIG_BYTES] {
    let mut config = [0; LOOP_CONFIG_BYTES];
    let mut put = |offset: usize, number: u32| {
        config[offset..offset + 4].copy_from_slice(&number.to_ne_bytes());
    };
    put(at::FD, image.as_raw_fd().cast_unsigned());
    put(at::BLOCK_SIZE, options.block_bytes.unwrap_or(0));
    let flags = [
        (READ_ONLY, options.read_only),
        (DIRECT_IO, options.direct_io),
        (AUTOCLEAR, !options.stays),
    ];
    let flags = flags.into_iter().filter(|(_, is_set)| *is_set);
    put(at::FLAGS, flags.map(|(flag, _)| flag).sum());
    // For people: the kernel tells the path of the file itself elsewhere.
    let name = path.as_os_str().as_encoded_bytes();
    let name = &name[..name.len().min(FILE_NAME_BYTES - 1)];
    config[at::FILE_NAME..at::FILE_NAME + name.len()].copy_from_slice(name);
    config
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use linux_raw_sys::loop_device::{loop_config, loop_info64};

    use super::*;

    #[test]
    fn flags_are_the_kernels() {
        use linux_raw_sys::loop_device as kernels;

        assert_eq!(READ_ONLY, kernels::LO_FLAGS_READ_ONLY as u32);
        assert_eq!(AUTOCLEAR, kernels::LO_FLAGS_AUTOCLEAR as u32);
        assert_eq!(DIRECT_IO, kernels::LO_FLAGS_DIRECT_IO as u32);
    }

    #[test]
    fn fields_lie_where_the_kernel_has_them() {
        let info = offset_of!(loop_config, info);
        assert_eq!(at::FD, offset_of!(loop_config, fd));
        assert_eq!(at::BLOCK_SIZE, offset_of!(loop_config, block_size));
        assert_eq!(at::FLAGS, info + offset_of!(loop_info64, lo_flags));
        assert_eq!(at::INFO, info);
        assert_eq!(at::DEVICE, offset_of!(loop_info64, lo_device));
        assert_eq!(at::FILE_NAME, info + offset_of!(loop_info64, lo_file_name));
    }
}
