//! What stands under `/dev/mapper`: links that udev makes, or nodes of our own where it does not run.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Uid, chmodat, chownat, mknodat};

use crate::Error;
use crate::name::Name;

/// The group of disks where no file says its number.
const DISK_GROUP: u32 = 6;
/// How often it is looked whether udev has done its part.
const STEP: Duration = Duration::from_millis(10);

/// How long, and whether, something is waited for.
pub struct Wait<'a> {
    /// So long at most.
    pub limit: Duration,
    /// Whether it is not wanted any more.
    pub is_cancelled: &'a dyn Fn() -> bool,
}

impl Wait<'_> {
    /// Looks again and again whether `is_done`, and whether it ever was. The steps are counted: no clock is read.
    pub fn until(&self, step: Duration, mut is_done: impl FnMut() -> bool) -> bool {
        let mut left = self.limit;
        loop {
            if is_done() {
                return true;
            }
            if left.is_zero() || (self.is_cancelled)() {
                return false;
            }
            let nap = step.min(left);
            thread::sleep(nap);
            left -= nap;
        }
    }
}

/// How a name came to stand under `/dev/mapper`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Appeared {
    /// As udev has it.
    ByUdev,
    /// As a node, since no udev runs that could see the device.
    Made,
    /// As a node, since udev did not do it in time.
    MadeAfterWaiting,
}

/// Where the devices are.
pub struct Nodes {
    dev: PathBuf,
    run: PathBuf,
}

impl Default for Nodes {
    fn default() -> Self {
        Self {
            dev: "/dev".into(),
            run: "/run".into(),
        }
    }
}

impl Nodes {
    /// The path of a mapping.
    pub fn path(&self, name: &Name) -> PathBuf {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt as _;

        let name = OsStr::from_bytes(name.as_bytes());
        self.dev.join("mapper").join(name)
    }

    /// Whether udev runs and sees this device: a container may have another `/dev`.
    fn has_udev(&self, device: u64) -> bool {
        let control = self.run.join("udev/control");
        let node = self.dev.join(format!("dm-{}", rustix::fs::minor(device)));
        control.exists() && is_node_of(&node, device)
    }

    /// Waits for udev to give `device` its name, and does it where udev does not.
    ///
    /// # Errors
    ///
    /// [`Error::Node`] where no node can be made, or something else stands there.
    pub fn appear(&self, name: &Name, device: u64, wait: &Wait<'_>) -> Result<Appeared, Error> {
        let path = self.path(name);
        let has_udev = self.has_udev(device);
        if has_udev && wait.until(STEP, || is_node_of(&path, device)) {
            return Ok(Appeared::ByUdev);
        }
        if !is_node_of(&path, device) {
            make_block_device(&path, device)?;
        }
        Ok(if has_udev {
            Appeared::MadeAfterWaiting
        } else {
            Appeared::Made
        })
    }

    /// Waits for udev to take the name of what was `device` away, and does it where udev does not. A link that is left over
    /// would be taken for the next mapping of this name.
    ///
    /// # Errors
    ///
    /// Those of unlink(2).
    pub fn vanish(&self, name: &Name, has_udev: bool, wait: &Wait<'_>) -> io::Result<()> {
        let path = self.path(name);
        let is_gone = || path.symlink_metadata().is_err();
        if has_udev && wait.until(STEP, is_gone) {
            return Ok(());
        }
        self.sweep(name)
    }

    /// Whether udev takes care of a mapping, asked while it is there.
    pub fn is_udevs(&self, device: u64) -> bool {
        self.has_udev(device)
    }

    /// Removes what is left of a mapping that is gone: a node or a link, nothing else.
    ///
    /// # Errors
    ///
    /// Those of unlink(2).
    pub fn sweep(&self, name: &Name) -> io::Result<()> {
        let path = self.path(name);
        match path.symlink_metadata() {
            Ok(found) if found.is_symlink() || found.file_type().is_block_device() => {
                fs::remove_file(path)
            }
            _ => Ok(()),
        }
    }
}

fn is_node_of(path: &Path, device: u64) -> bool {
    path.metadata()
        .is_ok_and(|found| found.file_type().is_block_device() && found.rdev() == device)
}

/// Makes the node of a block device for root and the group of disks. One of another device that stands there goes.
pub(crate) fn make_block_device(path: &Path, device: u64) -> Result<(), Error> {
    let failed = |source: io::Error| Error::Node {
        path: path.display().to_string(),
        source,
    };
    if let Ok(found) = path.symlink_metadata() {
        if !found.is_symlink() && !found.file_type().is_block_device() {
            let other = "something that is no block device stands there";
            let other = io::Error::new(io::ErrorKind::AlreadyExists, other);
            return Err(failed(other));
        }
        fs::remove_file(path).map_err(failed)?;
    }
    make(path, FileType::BlockDevice, device).map_err(failed)
}

/// Makes a node for root and the group of disks.
pub(crate) fn make(path: &Path, kind: FileType, device: u64) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // Nobody else has it before it has its group.
    mknodat(CWD, path, kind, Mode::RUSR | Mode::WUSR, device)?;
    chownat(
        CWD,
        path,
        Some(Uid::ROOT),
        Some(disk_group()),
        AtFlags::SYMLINK_NOFOLLOW,
    )?;
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP;
    Ok(chmodat(CWD, path, mode, AtFlags::empty())?)
}

fn disk_group() -> Gid {
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    Gid::from_raw(group_in(&groups, "disk").unwrap_or(DISK_GROUP))
}

/// The number of a group: `disk:x:6:`.
fn group_in(groups: &str, name: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_it = fields.next() == Some(name);
        fields.nth(1).filter(|_| is_it)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn never() -> bool {
        false
    }

    #[test]
    fn waiting_ends() {
        let wait = |limit, is_cancelled| Wait {
            limit: Duration::from_millis(limit),
            is_cancelled,
        };
        let (mut looks, step) = (0, Duration::from_millis(1));
        let count = |looks: &mut u32| {
            *looks += 1;
            false
        };
        assert!(!wait(3, &never).until(step, || count(&mut looks)));
        assert_eq!(looks, 4);
        looks = 0;
        assert!(!wait(60_000, &|| true).until(step, || count(&mut looks)));
        assert_eq!(looks, 1);
        assert!(wait(0, &never).until(step, || true));
    }

    #[test]
    fn groups_are_found() {
        let groups = "root:x:0:\ndiskless:x:7:\ndisk:x:12:a,b\n";
        assert_eq!(group_in(groups, "disk"), Some(12));
        assert_eq!(group_in("", "disk"), None);
        assert_eq!(group_in("disk:x:many:", "disk"), None);
    }

    #[test]
    fn nothing_but_nodes_and_links_is_swept() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        let nodes = Nodes {
            dev: root.path().join("dev"),
            run: root.path().join("run"),
        };
        let name = Name::new(b"some name").expect("a name");
        let path = nodes.path(&name);
        assert!(path.ends_with("dev/mapper/some\\x20name"));
        fs::create_dir_all(path.parent().expect("a folder"))?;
        fs::write(&path, "kept")?;
        nodes.sweep(&name)?;
        assert_eq!(fs::read(&path)?, b"kept");
        let device = rustix::fs::makedev(254, 0);
        let wait = Wait {
            limit: Duration::ZERO,
            is_cancelled: &never,
        };
        assert!(nodes.appear(&name, device, &wait).is_err());
        assert_eq!(fs::read(&path)?, b"kept");
        fs::remove_file(&path)?;
        std::os::unix::fs::symlink("../dm-0", &path)?;
        nodes.vanish(&name, true, &wait)?;
        assert!(path.symlink_metadata().is_err());
        Ok(())
    }
}
