//! Open-file-description locks on single bytes, which rustix does not offer, descriptors that are known by a number, and a look at the descriptors before the
//! runtime has replaced those that are closed: with what holds an abort (`abort`) the only unsafe code of this crate.
//!
//! The locks are sound because each call passes fcntl(2) a descriptor that the borrowed `File` keeps open, and a pointer to a `flock`
//! that lives on this stack for the length of the call. The kernel reads and writes nothing else, and a `flock` of any
//! content is a valid value: it is plain integers.

#![expect(
    unsafe_code,
    reason = "neither fcntl's OFD lock commands nor handlers of signals have a safe form in rustix, and nothing safe runs \
              before `main`"
)]

#[cfg(target_os = "linux")]
pub(crate) mod abort;

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};

/// Those of descriptors 0 to 2 that were closed when the process began, a bit each.
static CLOSED: AtomicU8 = AtomicU8::new(0);

/// The loader calls it before `main`, and so before the runtime opens the null device in place of what is closed.
// SAFETY: the section holds pointers to functions that are called once, on the only thread, with the C library ready:
// such a function is what this is. It makes system calls that take numbers and writes an atomic.
#[cfg(target_os = "linux")]
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

#[cfg(target_os = "linux")]
extern "C" fn look() {
    for descriptor in 0..3 {
        // SAFETY: F_GETFD takes any number and changes nothing.
        if unsafe { libc::fcntl(descriptor, libc::F_GETFD) } == -1 {
            CLOSED.fetch_or(1 << descriptor, Ordering::Relaxed);
        }
    }
}

/// Whether standard input, output and error were closed when the process began.
pub(crate) fn closed_at_start() -> [bool; 3] {
    let closed = CLOSED.load(Ordering::Relaxed);
    [0, 1, 2].map(|descriptor| closed & (1 << descriptor) != 0)
}

/// Has `number` not be open in programs that this process starts from now on.
pub(crate) fn close_on_exec(number: u32) -> io::Result<()> {
    let number: libc::c_int = number
        .try_into()
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: F_SETFD takes any number: it changes nothing but a flag of what is open there.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Another descriptor for what `number` is, above those of the standard streams.
pub(crate) fn duplicate_descriptor(number: u32) -> io::Result<OwnedFd> {
    let number = number
        .try_into()
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: F_DUPFD_CLOEXEC takes any number: it changes nothing but the table of descriptors, where it takes a free place.
    let duplicate = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    if duplicate == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was made just now, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(duplicate) })
}

/// Takes a shared lock on one byte, without waiting (`F_OFD_SETLK`, `F_RDLCK`). The file must be open for reading.
pub(crate) fn lock_byte(file: &File, byte: u64) -> io::Result<()> {
    command(file, libc::F_OFD_SETLK, libc::F_RDLCK, byte).map(drop)
}

/// Releases the lock on one byte; fine where there is none (`F_OFD_SETLK`, `F_UNLCK`).
pub(crate) fn unlock_byte(file: &File, byte: u64) -> io::Result<()> {
    command(file, libc::F_OFD_SETLK, libc::F_UNLCK, byte).map(drop)
}

/// Does another open file hold any lock on this byte (`F_OFD_GETLK` for an exclusive one)?
pub(crate) fn is_locked_by_other(file: &File, byte: u64) -> io::Result<bool> {
    let answer = command(file, libc::F_OFD_GETLK, libc::F_WRLCK, byte)?;
    Ok(i32::from(answer.l_type) != libc::F_UNLCK)
}

fn command(
    file: &File,
    command: libc::c_int,
    kind: libc::c_int,
    byte: u64,
) -> io::Result<libc::flock> {
    let out_of_range = |_| io::Error::from(io::ErrorKind::InvalidInput);
    // SAFETY: `flock` is a struct of integers, for which all zeros is a value. Some platforms have more fields than
    // POSIX names; l_pid must be 0 for OFD locks.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind.try_into().map_err(out_of_range)?;
    lock.l_whence = libc::SEEK_SET.try_into().map_err(out_of_range)?;
    lock.l_start = byte.try_into().map_err(out_of_range)?;
    lock.l_len = 1;
    // SAFETY: the descriptor is open while `file` is borrowed; `lock` is a valid `flock` that outlives the call, which
    // is what both commands take.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut lock) };
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(lock)
    }
}
