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

/// The major number of loop devices.
pub const MAJOR: u32 = 7;

/// Where the fields of `struct loop_config` lie.
mod at {
    pub(super) const FD: usize = 0;
    pub(super) const BLOCK_SIZE: usize = 4;
    /// In the `struct loop_info64` that follows.
    pub(super) const FLAGS: usize = 8 + 52;
    pub(super) const FILE_NAME: usize = 8 + 56;
}

const FILE_NAME_BYTES: usize = 64;
const READ_ONLY: u32 = 1;
/// It ends with whoever has it open last.
const AUTOCLEAR: u32 = 4;
/// Others look for a free one too.
const TRIES: usize = 64;

/// A loop device that shows a file. It is gone when this and everything that is made of it is.
pub struct Loop {
    file: File,
    path: PathBuf,
    device: u64,
}

impl Loop {
    /// Gives a free loop device the open file `image`, which `path` names for people. `block_bytes` is the size of a block,
    /// the usual one where there is none. A device that somebody else takes meanwhile is let go.
    ///
    /// # Errors
    ///
    /// [`Error::Loop`], [`Error::Node`].
    pub fn attach(
        image: &File,
        path: &Path,
        is_read_only: bool,
        block_bytes: Option<u32>,
    ) -> Result<Self, Error> {
        let failed = |what| move |source| Error::Loop { what, source };
        let control = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/loop-control")
            .map_err(failed("open /dev/loop-control"))?;
        let config = config(image, path, is_read_only, block_bytes);
        for _ in 0..TRIES {
            let number =
                low::simple(&control, low::LOOP_CTL_GET_FREE).map_err(failed("find a free one"))?;
            let device = rustix::fs::makedev(MAJOR, number);
            let path = PathBuf::from(format!("/dev/loop{number}"));
            let file = match open(&path, device, is_read_only)? {
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

fn config(
    image: &File,
    path: &Path,
    is_read_only: bool,
    block_bytes: Option<u32>,
) -> [u8; LOOP_CONFIG_BYTES] {
    let mut config = [0; LOOP_CONFIG_BYTES];
    let mut put = |offset: usize, number: u32| {
        config[offset..offset + 4].copy_from_slice(&number.to_ne_bytes());
    };
    put(at::FD, image.as_raw_fd().cast_unsigned());
    put(at::BLOCK_SIZE, block_bytes.unwrap_or(0));
    let read_only = if is_read_only { READ_ONLY } else { 0 };
    put(at::FLAGS, AUTOCLEAR | read_only);
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
    fn fields_lie_where_the_kernel_has_them() {
        let info = offset_of!(loop_config, info);
        assert_eq!(at::FD, offset_of!(loop_config, fd));
        assert_eq!(at::BLOCK_SIZE, offset_of!(loop_config, block_size));
        assert_eq!(at::FLAGS, info + offset_of!(loop_info64, lo_flags));
        assert_eq!(at::FILE_NAME, info + offset_of!(loop_info64, lo_file_name));
    }
}
