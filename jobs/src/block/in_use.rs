//! Who uses a device or an image.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::kernel::Kernel;
use crate::text;

/// What a job does to an image, so what must not be open above it meanwhile.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Claim {
    /// All of it may change, or its place: nobody may use it.
    Whole,
    /// Its LUKS header changes and its data stay where they are: its own mapping may be open.
    Header,
    /// Whatever uses it may go on.
    Nothing,
}

/// An image that somebody uses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InUse {
    /// By whom; nobody, where the kernel says no more than that.
    pub users: Vec<User>,
}

/// Somebody who uses a device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum User {
    /// The mapping of the container itself.
    Mapping(String),
    /// Another mapping or an array.
    Holder(String),
    /// Where it is mounted.
    Mount(String),
    /// It is swap space.
    Swap,
    /// A partition of it has a user.
    Partition(String, Box<User>),
    /// The disk that it is a partition of has one.
    Disk(String, Box<User>),
    /// A loop device that shows the file has one, whom the kernel may not name.
    Loop(String, Option<Box<User>>),
}

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for user in &self.users {
            write!(f, ": {user}")?;
        }
        Ok(())
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mapping(name) => write!(f, "mapped as {}", text::escape(name)),
            Self::Holder(name) => write!(f, "part of {}", text::escape(name)),
            Self::Mount(place) => write!(f, "mounted at {}", text::escape(place)),
            Self::Swap => f.write_str("swap space"),
            Self::Partition(name, user) | Self::Disk(name, user) | Self::Loop(name, Some(user)) => {
                write!(f, "{} is {user}", text::escape(name))
            }
            Self::Loop(name, None) => write!(f, "{} is in use", text::escape(name)),
        }
    }
}

/// What to do about it.
pub const RELEASE: &str = "unmount it, close its mapping, or stop what it is part of";

impl InUse {
    /// By the mapping of this name.
    pub fn mapped(name: String) -> Self {
        Self {
            users: vec![User::Mapping(name)],
        }
    }

    /// Whether nothing is used but the disk that it is a partition of.
    pub fn is_of_disk(&self) -> bool {
        let is_disk = |user: &User| matches!(user, User::Disk(..));
        !self.users.is_empty() && self.users.iter().all(is_disk)
    }

    /// Whether nobody but the container's own mapping uses it.
    pub fn is_own_mapping(&self) -> bool {
        let is_mapping = |user: &User| match user {
            User::Mapping(_) => true,
            User::Loop(_, Some(user)) => matches!(**user, User::Mapping(_)),
            _ => false,
        };
        !self.users.is_empty() && self.users.iter().all(is_mapping)
    }
}

/// Asks who uses an open file or device in a way that `claim` forbids.
pub fn check(file: &File, claim: Claim) -> io::Result<Option<InUse>> {
    if claim == Claim::Nothing {
        return Ok(None);
    }
    let found = users(&Kernel::running(), file)?;
    Ok(found.filter(|users| claim == Claim::Whole || !users.is_own_mapping()))
}

/// The mapping of a LUKS container, wherever its header is: device-mapper's names carry the UUID.
pub fn mapping_of_container(version: u8, uuid: &str) -> Option<String> {
    mapping_by_id(&Kernel::running(), version, uuid)
}

fn mapping_by_id(kernel: &Kernel, version: u8, uuid: &str) -> Option<String> {
    let start = format!("CRYPT-LUKS{version}-{}-", uuid.replace('-', ""));
    kernel.all().into_iter().find_map(|device| {
        let is_it = kernel.mapping_id(device)?.starts_with(&start);
        is_it.then(|| kernel.mapping_name(device).unwrap_or_default())
    })
}

/// Who uses a block device, as far as the kernel tells.
pub fn users_of(metadata: &fs::Metadata) -> InUse {
    users_of_device(&Kernel::running(), metadata.rdev())
}

/// Who uses the block device of this number, as far as the kernel tells: file systems that are mounted where this process
/// does not see it too.
pub fn users_of_number(device: u64) -> InUse {
    let kernel = Kernel::running();
    let mut found = users_of_device(&kernel, device);
    if found.users.is_empty()
        && let Some(kind) = kernel.file_system_of(device)
    {
        found
            .users
            .push(User::Mount(format!("another place, as {kind}")));
    }
    found
}

/// Who uses a file or a block device, as far as the kernel's tables tell: nothing is opened for that, which whoever opens it
/// at the same time would notice.
pub fn known_users(file: &File) -> io::Result<InUse> {
    let (kernel, metadata) = (Kernel::running(), file.metadata()?);
    if metadata.file_type().is_block_device() {
        return Ok(users_of_device(&kernel, metadata.rdev()));
    }
    let mut users = Vec::new();
    for device in loops_of(&kernel, &metadata) {
        let found = users_of_device(&kernel, device).users;
        let shown = |user| User::Loop(kernel.name(device), Some(Box::new(user)));
        users.extend(found.into_iter().map(shown));
    }
    Ok(InUse { users })
}

fn users(kernel: &Kernel, file: &File) -> io::Result<Option<InUse>> {
    let metadata = file.metadata()?;
    if metadata.file_type().is_block_device() {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        return Ok(is_claimed(path.as_ref())?.then(|| users_of_device(kernel, metadata.rdev())));
    }
    let mut users = Vec::new();
    for device in loops_of(kernel, &metadata) {
        let name = kernel.name(device);
        let found = users_of_device(kernel, device).users;
        // Who may open it hears of those whom the tables do not show.
        let path = Path::new("/dev").join(&name);
        let is_claimed = !found.is_empty() || is_claimed(&path).unwrap_or(false);
        if found.is_empty() && is_claimed {
            users.push(User::Loop(name, None));
        } else {
            let shown = |user| User::Loop(name.clone(), Some(Box::new(user)));
            users.extend(found.into_iter().map(shown));
        }
    }
    Ok((!users.is_empty()).then_some(InUse { users }))
}

/// Whether somebody holds a block device for himself.
fn is_claimed(path: &Path) -> io::Result<bool> {
    let flags = OFlags::EXCL | OFlags::NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    match opened {
        Ok(_) => Ok(false),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::BUSY) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Who uses a device, its disk or its partitions.
pub(super) fn users_of_device(kernel: &Kernel, device: u64) -> InUse {
    let mut users = direct_users(kernel, device);
    for partition in kernel.partitions(device) {
        let of = |user| User::Partition(kernel.name(partition), Box::new(user));
        users.extend(direct_users(kernel, partition).into_iter().map(of));
    }
    if let Some(disk) = kernel.disk(device) {
        let of = |user| User::Disk(kernel.name(disk), Box::new(user));
        users.extend(direct_users(kernel, disk).into_iter().map(of));
    }
    InUse { users }
}

fn direct_users(kernel: &Kernel, device: u64) -> Vec<User> {
    let holder = |device: u64| {
        let name = kernel.mapping_name(device);
        let name = name.unwrap_or_else(|| kernel.name(device));
        let id = kernel.mapping_id(device).unwrap_or_default();
        // Under an authenticated container lies a mapping of its integrity tags.
        let is_luks = ["CRYPT-LUKS", "CRYPT-SUBDEV", "CRYPT-INTEGRITY"]
            .iter()
            .any(|start| id.starts_with(start));
        if is_luks {
            User::Mapping(name)
        } else {
            User::Holder(name)
        }
    };
    let mut users: Vec<_> = kernel.holders(device).into_iter().map(holder).collect();
    users.extend(kernel.mounted_at(device).map(User::Mount));
    if kernel.is_swap(device) {
        users.push(User::Swap);
    }
    users
}

/// The loop devices that show a file.
fn loops_of(kernel: &Kernel, file: &fs::Metadata) -> Vec<u64> {
    let shows = |backing: &Path| {
        let metadata = fs::metadata(backing);
        metadata.is_ok_and(|it| (it.dev(), it.ino()) == (file.dev(), file.ino()))
    };
    let mut loops = kernel.loops();
    loops.retain(|(_, backing)| shows(backing));
    loops.into_iter().map(|(device, _)| device).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::makedev;

    use super::*;

    /// A disk of two partitions, one of them mapped; a member of an array; a disk that is mounted.
    fn machine(root: &Path) -> io::Result<()> {
        let devices = root.join("sys/devices");
        for folder in ["sys/dev/block", "sys/block", "proc/self"] {
            fs::create_dir_all(root.join(folder))?;
        }
        let device = |place: &str, number: &str, is_partition: bool| -> io::Result<()> {
            let folder = devices.join(place);
            fs::create_dir_all(folder.join("holders"))?;
            fs::write(folder.join("dev"), format!("{number}\n"))?;
            symlink(&folder, root.join("sys/dev/block").join(number))?;
            if is_partition {
                fs::write(folder.join("partition"), "1\n")?;
            } else {
                symlink(&folder, root.join("sys/block").join(place))?;
            }
            Ok(())
        };
        for disk in [
            "sda 8:0",
            "sdb 8:16",
            "sdc 8:32",
            "dm-0 252:0",
            "dm-1 252:1",
            "md0 9:0",
        ] {
            let (name, number) = disk.split_once(' ').unwrap_or_default();
            device(name, number, false)?;
        }
        device("sda/sda1", "8:1", true)?;
        device("sda/sda2", "8:2", true)?;
        let id = "CRYPT-LUKS2-0123456789ab4def8123456789abcdef-c\n";
        for (mapping, name, id) in [("dm-0", "c\n", id), ("dm-1", "lv\n", "LVM-abc\n")] {
            fs::create_dir_all(devices.join(mapping).join("dm"))?;
            fs::write(devices.join(mapping).join("dm/name"), name)?;
            fs::write(devices.join(mapping).join("dm/uuid"), id)?;
        }
        for (device, holder) in [("sda/sda1", "dm-0"), ("sdb", "md0"), ("dm-0", "dm-1")] {
            symlink(
                devices.join(holder),
                devices.join(device).join("holders").join(holder),
            )?;
        }
        fs::write(
            root.join("proc/self/mountinfo"),
            "42 27 8:32 / /mnt/a\\040b rw - ext4 /dev/sdc rw\n",
        )
    }

    #[test]
    fn users_are_found_on_the_device_its_disk_and_its_partitions() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        machine(root.path())?;
        let kernel = Kernel::below(root.path());
        let of = |major, minor| users_of_device(&kernel, makedev(major, minor));
        for (device, text, is_own) in [
            ((8, 0), ": sda1 is mapped as c", false),
            ((8, 1), ": mapped as c", true),
            ((8, 2), "", false),
            ((8, 16), ": part of md0", false),
            ((8, 32), ": mounted at /mnt/a b", false),
            ((252, 0), ": part of lv", false),
            ((252, 1), "", false),
            ((7, 7), "", false),
        ] {
            let users = of(device.0, device.1);
            assert_eq!(users.to_string(), text, "{device:?}");
            assert_eq!(users.is_own_mapping(), is_own, "{device:?}");
        }
        Ok(())
    }

    #[test]
    fn a_container_is_mapped_wherever_its_header_is() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        machine(root.path())?;
        let kernel = Kernel::below(root.path());
        let uuid = "01234567-89ab-4def-8123-456789abcdef";
        assert_eq!(mapping_by_id(&kernel, 2, uuid), Some("c".to_owned()));
        assert_eq!(mapping_by_id(&kernel, 1, uuid), None);
        assert_eq!(mapping_by_id(&kernel, 2, &uuid.replace('0', "1")), None);
        Ok(())
    }
}
