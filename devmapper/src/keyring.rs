//! Keys of the kernel: those that it takes from nobody but a table's line, and those that users keep there.

use std::ffi::{CStr, CString};
use std::io;

use dmcrypt::LockedBytes;
use rustix::io::Errno;

use crate::low;

/// The keyring of this thread, which ends with it.
const THREAD_KEYRING: i32 = -1;
/// The longest key that the kernel takes.
const MAX_BYTES: usize = 32 << 10;

/// A key in the keyring of this thread, of a type that nobody can read back. It is made unusable when this is dropped: a
/// table that was loaded meanwhile has a copy of its own.
///
/// A loop device keeps the credentials of whoever made it, and those keep this keyring: it is to be there before the key.
#[must_use = "the key is unusable once this is dropped"]
pub struct LogonKey(i32);

impl LogonKey {
    /// Adds it. The table that names it is to be loaded by the same thread.
    ///
    /// # Errors
    ///
    /// The kernel's: `ENOSYS` where it has no keys, `EPERM` where a filter refuses the call, `EDQUOT` where the user has too
    /// many.
    pub fn add(description: &str, key: &[u8]) -> io::Result<Self> {
        let description = text(description)?;
        low::add_key(c"logon", &description, key, THREAD_KEYRING).map(Self)
    }
}

impl Drop for LogonKey {
    fn drop(&mut self) {
        // It may be gone already; and with the thread it goes anyway.
        let _ = low::invalidate_key(self.0);
    }
}

/// The key of type `user` that has this description, out of the keyrings of this process; `None` where there is none.
///
/// # Errors
///
/// The kernel's, such as `EACCES` for a key that may not be read.
pub fn read_user_key(description: &str) -> io::Result<Option<LockedBytes>> {
    let description = text(description)?;
    let key = match low::request_key(c"user", &description) {
        Err(error) if is_none(&error) => return Ok(None),
        found => found?,
    };
    let mut room = LockedBytes::zeroed(MAX_BYTES);
    let length = low::read_key(key, &mut room)?;
    let bytes = room.get(..length).ok_or(Errno::MSGSIZE)?;
    Ok(Some(LockedBytes::copy_of(bytes)))
}

fn is_none(error: &io::Error) -> bool {
    let gone = [
        Errno::NOKEY,
        Errno::KEYEXPIRED,
        Errno::KEYREVOKED,
        Errno::NOENT,
    ];
    Errno::from_io_error(error).is_some_and(|errno| gone.contains(&errno))
}

fn text(text: &str) -> io::Result<CString> {
    CString::new(text).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// Whether this kernel keeps keys that tables can name.
pub fn has_logon_keys() -> bool {
    const NOBODYS: &CStr = c"luksmith:nothing";
    match low::request_key(c"logon", NOBODYS) {
        Ok(_) => true,
        Err(error) => is_none(&error),
    }
}
