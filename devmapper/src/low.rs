//! System calls that have no safe form elsewhere: ioctl with bytes, and keys of the kernel. The only unsafe code of this
//! crate.
//!
//! Each call is sound because what the kernel reads and writes lies in slices that are borrowed for the length of the
//! call, and because the kernel is told how long they are: device-mapper by a field that is set here, the loop driver by a
//! fixed size that is asserted here, keys by a number beside the pointer. Integers of any value are taken.

#![expect(
    unsafe_code,
    reason = "rustix has ioctls only as an unsafe trait and no keys at all"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

/// Bytes of `struct dm_ioctl`, which every request of device-mapper begins with.
pub(crate) const DM_BYTES: usize = 312;
/// Where in it stands how long the buffer is.
const DM_DATA_SIZE: usize = 12;
/// Bytes of `struct loop_config`.
pub(crate) const LOOP_CONFIG_BYTES: usize = 304;
/// Bytes of `struct loop_info64`.
pub(crate) const LOOP_INFO_BYTES: usize = 232;

/// The request number of command `command` of device-mapper: it reads and writes a `struct dm_ioctl`.
pub(crate) const fn dm_request(command: u32) -> u32 {
    const READ_WRITE: u32 = 3;
    const BYTES: u32 = 312;
    assert!(BYTES as usize == DM_BYTES, "the same number in two types");
    (READ_WRITE << 30) | (BYTES << 16) | (0xfd << 8) | command
}

/// Takes a file for a loop device.
pub(crate) const LOOP_CONFIGURE: u32 = 0x4c0a;
/// Looks at the size of that file again.
pub(crate) const LOOP_SET_CAPACITY: u32 = 0x4c07;
/// Lets a loop device go of its file, when the last one has closed it.
pub(crate) const LOOP_CLR_FD: u32 = 0x4c01;
/// Changes the flags of a loop device that can be changed.
pub(crate) const LOOP_SET_STATUS64: u32 = 0x4c04;
/// Tells of a loop device that has a file.
pub(crate) const LOOP_GET_STATUS64: u32 = 0x4c05;
/// Tells the number of a loop device that nobody uses.
pub(crate) const LOOP_CTL_GET_FREE: u32 = 0x4c82;
/// Tells whether nothing can be written to a block device.
pub(crate) const BLKROGET: u32 = 0x125e;

/// Asks device-mapper: the answer is in the same bytes. How long they are is written into them.
pub(crate) fn device_mapper(file: impl AsFd, command: u32, bytes: &mut [u8]) -> io::Result<()> {
    assert!(bytes.len() >= DM_BYTES, "a request has a head");
    let length = u32::try_from(bytes.len()).expect("requests are small");
    bytes[DM_DATA_SIZE..DM_DATA_SIZE + 4].copy_from_slice(&length.to_ne_bytes());
    // SAFETY: the kernel reads and writes at most as many bytes as the field that was just set says, which is how long the
    // slice is; it is borrowed for the length of the call.
    let result = unsafe {
        libc::ioctl(
            file.as_fd().as_raw_fd(),
            dm_request(command).into(),
            bytes.as_mut_ptr(),
        )
    };
    check(result.into()).map(drop)
}

/// Gives a loop device its file.
pub(crate) fn configure_loop(file: impl AsFd, config: &[u8; LOOP_CONFIG_BYTES]) -> io::Result<()> {
    // SAFETY: the kernel reads a `struct loop_config`, which is as long as the array, and writes nothing.
    let result = unsafe {
        libc::ioctl(
            file.as_fd().as_raw_fd(),
            LOOP_CONFIGURE.into(),
            config.as_ptr(),
        )
    };
    check(result.into()).map(drop)
}

/// What is told of a loop device that has a file.
pub(crate) fn loop_info(file: impl AsFd) -> io::Result<[u8; LOOP_INFO_BYTES]> {
    let mut info = [0; LOOP_INFO_BYTES];
    // SAFETY: the kernel writes a `struct loop_info64`, which is as long as the array.
    let result = unsafe {
        libc::ioctl(
            file.as_fd().as_raw_fd(),
            LOOP_GET_STATUS64.into(),
            info.as_mut_ptr(),
        )
    };
    check(result.into())?;
    Ok(info)
}

/// Gives a loop device that has a file other flags.
pub(crate) fn set_loop_info(file: impl AsFd, info: &[u8; LOOP_INFO_BYTES]) -> io::Result<()> {
    // SAFETY: the kernel reads a `struct loop_info64`, which is as long as the array, and writes nothing.
    let result = unsafe {
        libc::ioctl(
            file.as_fd().as_raw_fd(),
            LOOP_SET_STATUS64.into(),
            info.as_ptr(),
        )
    };
    check(result.into()).map(drop)
}

/// An ioctl that takes no argument.
pub(crate) fn simple(file: impl AsFd, request: u32) -> io::Result<u32> {
    assert!(
        matches!(request, LOOP_SET_CAPACITY | LOOP_CTL_GET_FREE | LOOP_CLR_FD),
        "a request without an argument"
    );
    // SAFETY: none of the requests reads or writes memory of this process.
    let result = unsafe { libc::ioctl(file.as_fd().as_raw_fd(), request.into(), 0) };
    let result = check(result.into())?;
    Ok(u32::try_from(result).unwrap_or_default())
}

/// Whether nothing can be written to a block device.
pub(crate) fn is_read_only(file: impl AsFd) -> io::Result<bool> {
    let mut answer: libc::c_int = 0;
    // SAFETY: the kernel writes one int, which lives for the length of the call.
    let result = unsafe { libc::ioctl(file.as_fd().as_raw_fd(), BLKROGET.into(), &raw mut answer) };
    check(result.into())?;
    Ok(answer != 0)
}

/// Adds a key to a keyring; the number that it has. The texts end with a NUL.
pub(crate) fn add_key(
    kind: &std::ffi::CStr,
    description: &std::ffi::CStr,
    payload: &[u8],
    keyring: i32,
) -> io::Result<i32> {
    // SAFETY: the kernel reads two texts up to their NULs and as many bytes of the payload as are said; it writes nothing.
    let result = unsafe {
        libc::syscall(
            libc::SYS_add_key,
            kind.as_ptr(),
            description.as_ptr(),
            payload.as_ptr(),
            payload.len(),
            keyring,
        )
    };
    check(result).map(serial)
}

/// Looks for a key in the keyrings of this process, and asks nobody to make one; the number that it has.
pub(crate) fn request_key(kind: &std::ffi::CStr, description: &std::ffi::CStr) -> io::Result<i32> {
    // SAFETY: the kernel reads two texts up to their NULs; without a third one it starts no program.
    let result = unsafe {
        libc::syscall(
            libc::SYS_request_key,
            kind.as_ptr(),
            description.as_ptr(),
            ptr::null::<libc::c_char>(),
            0,
        )
    };
    check(result).map(serial)
}

/// Reads a key into `bytes`, as much as there is room for; how long it is.
pub(crate) fn read_key(key: i32, bytes: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the kernel writes at most as many bytes as are said, which is how long the slice is.
    let result = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            libc::KEYCTL_READ,
            key,
            bytes.as_mut_ptr(),
            bytes.len(),
        )
    };
    let length = check(result)?;
    Ok(usize::try_from(length).unwrap_or_default())
}

/// Takes a key out of a keyring.
pub(crate) fn unlink_key(key: i32, keyring: i32) -> io::Result<()> {
    // SAFETY: it takes two numbers and touches no memory of this process.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_UNLINK, key, keyring) };
    check(result).map(drop)
}

/// Makes a key unusable at once, for everybody.
pub(crate) fn invalidate_key(key: i32) -> io::Result<()> {
    // SAFETY: it takes a number and touches no memory of this process.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_INVALIDATE, key) };
    check(result).map(drop)
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn serial(result: libc::c_long) -> i32 {
    i32::try_from(result).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use linux_raw_sys::ioctl;

    use super::*;
    use crate::request::command;

    #[test]
    fn request_numbers_are_the_kernels() {
        for (ours, theirs) in [
            (command::LIST_DEVICES, ioctl::DM_LIST_DEVICES),
            (command::DEV_CREATE, ioctl::DM_DEV_CREATE),
            (command::DEV_REMOVE, ioctl::DM_DEV_REMOVE),
            (command::DEV_SUSPEND, ioctl::DM_DEV_SUSPEND),
            (command::DEV_STATUS, ioctl::DM_DEV_STATUS),
            (command::TABLE_LOAD, ioctl::DM_TABLE_LOAD),
            (command::TABLE_CLEAR, ioctl::DM_TABLE_CLEAR),
            (command::TABLE_DEPS, ioctl::DM_TABLE_DEPS),
            (command::TABLE_STATUS, ioctl::DM_TABLE_STATUS),
            (command::TARGET_MSG, ioctl::DM_TARGET_MSG),
            (command::GET_TARGET_VERSION, ioctl::DM_GET_TARGET_VERSION),
        ] {
            assert_eq!(dm_request(ours), theirs);
        }
        assert_eq!(LOOP_CONFIGURE, linux_raw_sys::loop_device::LOOP_CONFIGURE);
        assert_eq!(
            LOOP_SET_CAPACITY,
            linux_raw_sys::loop_device::LOOP_SET_CAPACITY
        );
        assert_eq!(
            LOOP_CTL_GET_FREE,
            linux_raw_sys::loop_device::LOOP_CTL_GET_FREE
        );
        assert_eq!(LOOP_CLR_FD, linux_raw_sys::loop_device::LOOP_CLR_FD);
        assert_eq!(
            LOOP_SET_STATUS64,
            linux_raw_sys::loop_device::LOOP_SET_STATUS64
        );
        assert_eq!(
            LOOP_GET_STATUS64,
            linux_raw_sys::loop_device::LOOP_GET_STATUS64
        );
        assert_eq!(
            LOOP_INFO_BYTES,
            size_of::<linux_raw_sys::loop_device::loop_info64>()
        );
        assert_eq!(
            LOOP_CONFIG_BYTES,
            size_of::<linux_raw_sys::loop_device::loop_config>()
        );
        assert_eq!(BLKROGET, ioctl::BLKROGET);
    }
}
