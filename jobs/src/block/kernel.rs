//! What the kernel says of its block devices, in `/sys` and `/proc`.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{major, makedev, minor};

/// Where the kernel's answers are found. A device is named by its number.
pub struct Kernel {
    root: PathBuf,
}

impl Kernel {
    /// The kernel that runs this process.
    pub fn running() -> Self {
        Self { root: "/".into() }
    }

    #[cfg(test)]
    pub fn below(root: &Path) -> Self {
        Self { root: root.into() }
    }

    /// What leads to the folder of a device.
    fn link(&self, device: u64) -> PathBuf {
        let number = format!("sys/dev/block/{}:{}", major(device), minor(device));
        self.root.join(number)
    }

    /// The folder of a device, by its real name; a partition's lies in that of its disk.
    fn folder(&self, device: u64) -> Option<PathBuf> {
        self.link(device).canonicalize().ok()
    }

    /// What it is called, without `/dev/`.
    pub fn name(&self, device: u64) -> String {
        let name = self.folder(device).and_then(|folder| {
            let name = folder.file_name()?.to_string_lossy().into_owned();
            Some(name)
        });
        name.unwrap_or_else(|| format!("device {}:{}", major(device), minor(device)))
    }

    /// A line that a file in the folder of a device has.
    fn line(&self, device: u64, file: &str) -> Option<String> {
        line_in(&self.link(device).join(file))
    }

    /// The name of a mapping of device-mapper.
    pub fn mapping_name(&self, device: u64) -> Option<String> {
        self.line(device, "dm/name")
    }

    /// The identifier of a mapping of device-mapper: who made it, and for what.
    pub fn mapping_id(&self, device: u64) -> Option<String> {
        self.line(device, "dm/uuid")
    }

    /// The mappings and arrays that are made of it.
    pub fn holders(&self, device: u64) -> Vec<u64> {
        self.devices_in(device, "holders")
    }

    /// What a mapping or an array is made of.
    pub fn slaves(&self, device: u64) -> Vec<u64> {
        self.devices_in(device, "slaves")
    }

    /// How large it is.
    pub fn bytes(&self, device: u64) -> u64 {
        self.sectors(device, "size").unwrap_or(u64::MAX)
    }

    /// Where in its disk a partition starts, in bytes.
    pub fn start(&self, device: u64) -> u64 {
        self.sectors(device, "start").unwrap_or(0)
    }

    /// Where in its file a loop device starts, in bytes.
    pub fn loop_offset(&self, device: u64) -> u64 {
        let offset = self.line(device, "loop/offset");
        offset.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// A number of sectors that a file says, in bytes.
    fn sectors(&self, device: u64, file: &str) -> Option<u64> {
        let sectors: u64 = self.line(device, file)?.parse().ok()?;
        sectors.checked_mul(512)
    }

    fn devices_in(&self, device: u64, folder: &str) -> Vec<u64> {
        numbers_below(&self.link(device).join(folder))
    }

    /// The partitions of a disk.
    pub fn partitions(&self, device: u64) -> Vec<u64> {
        let entries = fs::read_dir(self.link(device))
            .into_iter()
            .flatten()
            .flatten();
        let partitions = entries.filter(|entry| entry.path().join("partition").exists());
        partitions
            .filter_map(|entry| number_in(&entry.path()))
            .collect()
    }

    /// The disk of a partition.
    pub fn disk(&self, device: u64) -> Option<u64> {
        let folder = self.folder(device)?;
        if folder.join("partition").exists() {
            number_in(folder.parent()?)
        } else {
            None
        }
    }

    /// The file that a loop device shows, as the kernel names it.
    pub fn backing_file(&self, device: u64) -> Option<PathBuf> {
        self.line(device, "loop/backing_file").map(PathBuf::from)
    }

    /// The loop devices in use, and their files. Machines have dozens of block devices that are none: those are asked for
    /// one file and no number.
    pub fn loops(&self) -> Vec<(u64, PathBuf)> {
        let folders = fs::read_dir(self.root.join("sys/block"));
        let folders = folders.into_iter().flatten().flatten();
        let mut found: Vec<_> = folders
            .filter(|folder| folder.file_name().as_bytes().starts_with(b"loop"))
            .filter_map(|folder| {
                let file = line_in(&folder.path().join("loop/backing_file"))?;
                Some((number_in(&folder.path())?, PathBuf::from(file)))
            })
            .collect();
        found.sort_unstable();
        found
    }

    /// Every block device that is no partition.
    pub fn all(&self) -> Vec<u64> {
        numbers_below(&self.root.join("sys/block"))
    }

    /// Where it is mounted, as this process sees it.
    pub fn mounted_at(&self, device: u64) -> Option<String> {
        let number = format!("{}:{}", major(device), minor(device));
        let table = fs::read_to_string(self.root.join("proc/self/mountinfo")).ok()?;
        table.lines().find_map(|line| {
            let mut words = line.split(' ').skip(2);
            let is_it = words.next() == Some(&number);
            // What several devices are under has a number of its own, and names one of them.
            let source = || {
                let (_, behind) = line.split_once(" - ")?;
                self.number_of(Path::new(&plain(behind.split(' ').nth(1)?)))
            };
            let place = words.nth(1)?;
            (is_it || source() == Some(device)).then(|| plain(place))
        })
    }

    /// The kind of the file system that is mounted from it, wherever that is: those that have a folder for each.
    pub fn file_system_of(&self, device: u64) -> Option<String> {
        let name = self.name(device);
        let kinds = fs::read_dir(self.root.join("sys/fs")).into_iter().flatten();
        kinds.flatten().find_map(|kind| {
            let is_it = kind.path().join(&name).is_dir();
            is_it.then(|| kind.file_name().to_string_lossy().into_owned())
        })
    }

    /// Whether it is used as swap space.
    pub fn is_swap(&self, device: u64) -> bool {
        let table = fs::read_to_string(self.root.join("proc/swaps")).unwrap_or_default();
        table.lines().skip(1).any(|line| {
            let name = line.split_whitespace().next().unwrap_or_default();
            self.number_of(Path::new(&plain(name))) == Some(device)
        })
    }

    fn number_of(&self, path: &Path) -> Option<u64> {
        let path = self.root.join(path.strip_prefix("/").ok()?);
        let metadata = fs::metadata(path).ok()?;
        let kind = metadata.file_type();
        kind.is_block_device().then(|| metadata.rdev())
    }
}

/// The numbers of the devices whose folders, or links to them, are in a folder.
fn numbers_below(folder: &Path) -> Vec<u64> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut numbers: Vec<_> = entries
        .filter_map(|entry| number_in(&entry.path()))
        .collect();
    numbers.sort_unstable();
    numbers
}

/// The one line that a file has.
fn line_in(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    Some(text.trim_end_matches('\n').to_owned())
}

/// The number of the device whose folder it is.
fn number_in(folder: &Path) -> Option<u64> {
    let text = fs::read_to_string(folder.join("dev")).ok()?;
    let (major, minor) = text.trim().split_once(':')?;
    Some(makedev(major.parse().ok()?, minor.parse().ok()?))
}

/// A name in a table of the kernel, where blanks and backslashes are three octal digits.
fn plain(name: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let digits = behind.get(..3).and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        if let Some(byte) = digits.filter(|_| first == b'\\') {
            bytes.push(byte);
            rest = &behind[3..];
        } else {
            bytes.push(first);
            rest = behind;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_tables_are_spelled() {
        assert_eq!(plain(r"/mnt/a\040b\134\011"), "/mnt/a b\\\t");
        assert_eq!(plain(r"\04"), r"\04");
        assert_eq!(plain(r"\999x"), r"\999x");
    }
}
