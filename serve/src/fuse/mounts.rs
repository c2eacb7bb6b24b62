//! What is mounted where, as the kernel tells.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The type of our mounts.
pub(super) const KIND: &str = "fuse.luksmith";

/// A mount.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Mount {
    /// The number of its file system, as `major:minor`.
    pub device: String,
    /// Its type.
    pub kind: String,
    /// What is mounted.
    pub source: OsString,
}

/// What is mounted at a path, which is absolute and without links; the uppermost, where there are several.
pub(super) fn mount_at(path: &Path) -> io::Result<Option<Mount>> {
    Ok(last_at(&fs::read("/proc/self/mountinfo")?, path))
}

/// A path as the kernel has it, also where what is mounted there does not answer.
pub(super) fn resolve(path: &Path) -> io::Result<PathBuf> {
    match path.canonicalize() {
        Err(error) if is_dead(&error) => {
            let absolute = std::path::absolute(path)?;
            let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
                return Err(error);
            };
            Ok(parent.canonicalize()?.join(name))
        }
        resolved => resolved,
    }
}

/// Whether an error says that a server has gone.
pub(super) fn is_dead(error: &io::Error) -> bool {
    let errno = rustix::io::Errno::from_io_error(error);
    matches!(
        errno,
        Some(rustix::io::Errno::NOTCONN | rustix::io::Errno::CONNABORTED)
    )
}

fn last_at(text: &[u8], path: &Path) -> Option<Mount> {
    let lines = text.split(|&byte| byte == b'\n').rev();
    lines
        .filter_map(parse)
        .find_map(|(point, mount)| (point == path).then_some(mount))
}

/// A line of proc(5)'s mountinfo: number, parent, device, root, mount point, options, optional fields, a hyphen, type, source.
fn parse(line: &[u8]) -> Option<(PathBuf, Mount)> {
    let mut fields = line.split(|&byte| byte == b' ');
    let device = fields.nth(2)?;
    let point = fields.nth(1)?;
    let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
    let (kind, source) = (rest.next()?, rest.next()?);
    let text = |field: &[u8]| String::from_utf8_lossy(&unescape(field)).into_owned();
    let mount = Mount {
        device: text(device),
        kind: text(kind),
        source: OsString::from_vec(unescape(source)),
    };
    Some((OsString::from_vec(unescape(point)).into(), mount))
}

/// Blanks and the like are three octal digits behind a backslash.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, behind)) = rest.split_first() {
        let octal = behind
            .get(..3)
            .filter(|_| first == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(octal.unwrap_or(first));
        rest = &behind[if octal.is_some() { 3 } else { 0 }..];
    }
    bytes
}

/// A name in a list of options, where commas part them.
pub(super) fn escape_option(name: &std::ffi::OsStr) -> OsString {
    let mut escaped = Vec::new();
    for &byte in name.as_bytes() {
        if matches!(byte, b',' | b'\\') {
            escaped.push(b'\\');
        }
        escaped.push(byte);
    }
    OsString::from_vec(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"24 1 8:1 / / rw - ext4 /dev/root rw\n\
        36 24 0:50 / /mnt/a\\040b rw,nosuid shared:1 master:2 - tmpfs tmpfs rw\n\
        37 36 0:51 / /mnt/a\\040b rw,nosuid,nodev - fuse.luksmith /tmp/x\\054\\134\\011 rw,user_id=0\n\
        garbage\n";

    #[test]
    fn the_uppermost_mount_is_found() {
        let found = last_at(TABLE, Path::new("/mnt/a b")).expect("it is there");
        assert_eq!(found.kind, KIND);
        assert_eq!(found.device, "0:51");
        assert_eq!(found.source, "/tmp/x,\\\t");
        let root = last_at(TABLE, Path::new("/")).expect("it is there");
        assert_eq!(root.kind, "ext4");
        assert_eq!(last_at(TABLE, Path::new("/mnt")), None);
    }

    #[test]
    fn names_are_escaped_in_options() {
        let name = std::ffi::OsStr::new("a,b\\c d");
        assert_eq!(escape_option(name), "a\\,b\\\\c d");
    }
}
