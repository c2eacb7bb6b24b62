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

    /// Makes the name a link to a device that is no mapping of the kernel's.
    ///
    /// # Errors
    ///
    /// Those of symlink(2): above all that something stands there.
    pub fn link(&self, name: &Name, device: &Path) -> io::Result<()> {
        let path = self.path(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        std::os::unix::fs::symlink(self.way_to(device), path)
    }

    /// Takes such a link away, where it leads to this device.
    ///
    /// # Errors
    ///
    /// Those of unlink(2).
    pub fn unlink(&self, name: &Name, device: &Path) -> io::Result<()> {
        if self.is_link_to(name, device) {
            return fs::remove_file(self.path(name));
        }
        Ok(())
    }

    /// Whether the name is such a link to this device.
    pub fn is_link_to(&self, name: &Name, device: &Path) -> bool {
        let way = self.path(name).read_link();
        way.is_ok_and(|way| way == self.way_to(device))
    }

    /// The way from a name to a device.
    fn way_to(&self, device: &Path) -> PathBuf {
        match device.strip_prefix(&self.dev) {
            Ok(below) => Path::new("..").join(below),
            Err(_) => device.to_owned(),
        }
    }

    /// Removes what is left of a mapping that is gone: a node, or a link to one of device-mapper's, nothing else.
    ///
    /// # Errors
    ///
    /// Those of unlink(2).
    pub fn sweep(&self, name: &Name) -> io::Result<()> {
        let path = self.path(name);
        match path.symlink_metadata() {
            Ok(found) if found.file_type().is_block_device() => fs::remove_file(path),
            Ok(found) if found.is_symlink() && is_way_to_mapping(&path) => fs::remove_file(path),
            _ => Ok(()),
        }
    }
}

/// Whether a link leads where udev's links of mappings lead.
fn is_way_to_mapping(link: &Path) -> bool {
    link.read_link().is_ok_and(|way| {
        let last = way.file_name().unwrap_or_default();
        last.as_encoded_bytes().starts_with(b"dm-")
    })
}

fn is_node_of(path: &Path, device: u64) -> bool {
    path.metadata()
        .is_ok_and(|found| found.file_type().is_block_device() && found.rdev() == device)
}

/// Makes the node of a block device for root and the group of disks. One of another device that stands there goes, and so
/// does a link to a mapping.
pub(crate) fn make_block_device(path: &Path, device: u64) -> Result<(), Error> {
    let failed = |source: io::Error| Error::Node {
        path: path.display().to_string(),
        source,
    };
    if let Ok(found) = path.symlink_metadata() {
        let is_mappings = found.is_symlink() && is_way_to_mapping(path);
        if !is_mappings && !found.file_type().is_block_device() {
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
        let other = nodes.dev.join("loop0");
        nodes.link(&name, &other)?;
        assert_eq!(path.read_link()?, Path::new("../loop0"));
        assert!(nodes.link(&name, &other).is_err());
        nodes.sweep(&name)?;
        nodes.unlink(&name, &nodes.dev.join("loop1"))?;
        assert!(path.is_symlink());
        nodes.unlink(&name, &other)?;
        std::os::unix::fs::symlink("../dm-0", &path)?;
        nodes.vanish(&name, true, &wait)?;
        assert!(path.symlink_metadata().is_err());
        Ok(())
    }
}
