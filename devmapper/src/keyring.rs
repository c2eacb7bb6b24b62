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

/// A keyring in which others look for keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Keyring(i32);

/// What may be done with a key that is put there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyKind {
    /// Whoever may read it does.
    User,
    /// Only the kernel uses it.
    Logon,
}

impl Keyring {
    /// The keyring of this name, as keyctl(1) has them: `@t`, `@p`, `@s`, `@u`, `@us`, `@g`, a number, or `%:NAME` and
    /// `%keyring:NAME`. `None` where there is none that is called so.
    pub fn named(name: &str) -> Option<Self> {
        let special = [
            ("@t", THREAD_KEYRING),
            ("@p", -2),
            ("@s", -3),
            ("@u", -4),
            ("@us", -5),
            ("@g", -6),
        ];
        if let Some((_, number)) = special.iter().find(|(special, _)| *special == name) {
            return Some(Self(*number));
        }
        let described = name.strip_prefix("%keyring:").or(name.strip_prefix("%:"));
        let Some(described) = described else {
            return name.parse().ok().filter(|number| *number > 0).map(Self);
        };
        let keys = std::fs::read_to_string("/proc/keys").ok()?;
        keys.lines()
            .find_map(|line| keyring_of(line, described))
            .map(Self)
    }

    /// Adds a key; one of the same kind and description that is there already gets these bytes. It goes again when what
    /// this returns is dropped.
    ///
    /// # Errors
    ///
    /// The kernel's: `EACCES` where nothing may be added, `EINVAL` for a description that the kind does not take.
    pub fn add(self, kind: KeyKind, description: &str, key: &[u8]) -> io::Result<AddedKey> {
        let description = text(description)?;
        let kind = match kind {
            KeyKind::User => c"user",
            KeyKind::Logon => c"logon",
        };
        let key = low::add_key(kind, &description, key, self.0)?;
        Ok(AddedKey {
            key,
            keyring: self.0,
        })
    }
}

/// A key that goes again, unless it is kept.
#[must_use = "the key is taken out again once this is dropped"]
pub struct AddedKey {
    key: i32,
    keyring: i32,
}

impl AddedKey {
    /// It stays there.
    pub fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for AddedKey {
    fn drop(&mut self) {
        // Somebody may have taken it away.
        let _ = low::unlink_key(self.key, self.keyring);
    }
}

/// The number of a keyring out of its line of /proc/keys: number, flags, uses, time, rights, user, group, type, and the
/// description up to a colon.
fn keyring_of(line: &str, described: &str) -> Option<i32> {
    let mut words = line.split_ascii_whitespace();
    let number = words.next()?;
    let kind = words.nth(6)?;
    let rest = line.split_once(kind).map(|(_, rest)| rest.trim_start())?;
    let (name, _) = rest.rsplit_once(": ")?;
    let is_it = kind == "keyring" && name == described;
    is_it.then(|| i32::from_str_radix(number, 16).ok())?
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyring_is_found_by_its_line() {
        let line = "18b2a9a2 I--Q---     9 perm 1f3f0000     0 65534 keyring   _uid.0: 6";
        assert_eq!(keyring_of(line, "_uid.0"), Some(0x18b2_a9a2));
        assert_eq!(keyring_of(line, "_uid"), None);
        let user = "25426b95 I--Q---     1 perm 3f010000     0     0 user      _uid.0: 5";
        assert_eq!(keyring_of(user, "_uid.0"), None);
        assert_eq!(Keyring::named("@u"), Some(Keyring(-4)));
        assert_eq!(Keyring::named("@x"), None);
        assert_eq!(Keyring::named(""), None);
        assert_eq!(Keyring::named("-4"), None);
        assert_eq!(Keyring::named("17"), Some(Keyring(17)));
    }
}
