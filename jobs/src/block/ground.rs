//! What a file or device stands on, down to what really holds its bytes.

use std::fs::{self, File, Metadata};
use std::ops::Range;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::kernel::Kernel;

/// The bytes of a file or of a block device, and of all that they lie in: a loop device's in its file, a partition's in
/// its disk, a mapping's and an array's in their devices.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ground {
    /// Itself first.
    layers: Vec<Layer>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Layer {
    identity: Identity,
    /// Where in it the bytes lie, or lie somewhere.
    range: Range<u64>,
    /// Somebody keeps what lies in this range apart: LVM its volumes, another program its partitions.
    is_shared_out: bool,
}

/// Which file or device something is, by whatever name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Identity {
    /// A regular file: device and inode.
    File(u64, u64),
    /// A block device: its number.
    Device(u64),
}

/// Nothing lies deeper than this, unless the kernel's tables lead in a circle.
const MAX_LAYERS: usize = 64;

impl Ground {
    /// The ground of an open file; pipes and character devices have none.
    pub fn of(file: &File) -> Option<Self> {
        Self::of_metadata(&file.metadata().ok()?)
    }

    /// The ground of what has a name.
    pub fn of_path(path: &Path) -> Option<Self> {
        Self::of_metadata(&path.metadata().ok()?)
    }

    /// The ground of what has these metadata.
    pub fn of_metadata(metadata: &Metadata) -> Option<Self> {
        Self::found(&Kernel::running(), metadata)
    }

    fn found(kernel: &Kernel, metadata: &Metadata) -> Option<Self> {
        let kind = metadata.file_type();
        if kind.is_file() {
            let identity = Identity::File(metadata.dev(), metadata.ino());
            let all = Layer {
                identity,
                range: 0..u64::MAX,
                is_shared_out: false,
            };
            return Some(Self { layers: vec![all] });
        }
        kind.is_block_device()
            .then(|| Self::of_device(kernel, metadata.rdev()))
    }

    fn of_device(kernel: &Kernel, device: u64) -> Self {
        let mut ground = Self { layers: Vec::new() };
        ground.add(kernel, device, 0..kernel.bytes(device), false);
        ground
    }

    fn add(&mut self, kernel: &Kernel, device: u64, range: Range<u64>, is_shared_out: bool) {
        if self.layers.len() >= MAX_LAYERS {
            return;
        }
        let shifted = |by: u64| range.start.saturating_add(by)..range.end.saturating_add(by);
        self.layers.push(Layer {
            identity: Identity::Device(device),
            range: range.clone(),
            is_shared_out,
        });
        if let Some(disk) = kernel.disk(device) {
            self.add(kernel, disk, shifted(kernel.start(device)), is_shared_out);
        }
        let backing = kernel.backing_file(device);
        if let Some(file) = backing.and_then(|path| fs::metadata(path).ok()) {
            let range = shifted(kernel.loop_offset(device));
            if file.is_file() {
                self.layers.push(Layer {
                    identity: Identity::File(file.dev(), file.ino()),
                    range,
                    is_shared_out,
                });
            } else if file.file_type().is_block_device() {
                self.add(kernel, file.rdev(), range, is_shared_out);
            }
        }
        let id = kernel.mapping_id(device).unwrap_or_default();
        let is_shared_out = is_shared_out || id.starts_with("LVM-") || id.starts_with("part");
        for below in kernel.slaves(device) {
            self.add(kernel, below, 0..kernel.bytes(below), is_shared_out);
        }
    }

    /// So many bytes of it, from its start.
    #[must_use]
    pub fn part(mut self, start: u64, bytes: u64) -> Self {
        for layer in &mut self.layers {
            let from = layer.range.start.saturating_add(start);
            layer.range = from..from.saturating_add(bytes).min(layer.range.end.max(from));
        }
        self
    }

    /// Whether both are the same file or device.
    pub fn is(&self, other: &Self) -> bool {
        match (self.layers.first(), other.layers.first()) {
            (Some(one), Some(two)) => one.identity == two.identity,
            _ => false,
        }
    }

    /// Whether writing to one may change bytes of the other.
    pub fn meets(&self, other: &Self) -> bool {
        self.layers
            .iter()
            .any(|one| other.layers.iter().any(|two| one.meets(two)))
    }
}

impl Layer {
    fn meets(&self, other: &Self) -> bool {
        self.identity == other.identity
            && self.range.start < other.range.end
            && other.range.start < self.range.end
            && !(self.is_shared_out && other.is_shared_out)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::os::unix::fs::symlink;

    use rustix::fs::makedev;

    use super::*;

    /// A disk of two partitions, of which the second has two volumes; an array of another disk; a loop device and one
    /// that shows the second half of the same file.
    fn machine(root: &Path) -> io::Result<()> {
        let devices = root.join("sys/devices");
        fs::create_dir_all(root.join("sys/dev/block"))?;
        fs::write(root.join("file"), "")?;
        let device = |place: &str, number: &str, sectors: u64, start: Option<u64>| {
            let folder = devices.join(place);
            fs::create_dir_all(folder.join("slaves"))?;
            fs::write(folder.join("dev"), number)?;
            fs::write(folder.join("size"), format!("{sectors}\n"))?;
            if let Some(start) = start {
                fs::write(folder.join("partition"), "1\n")?;
                fs::write(folder.join("start"), format!("{start}\n"))?;
            }
            symlink(&folder, root.join("sys/dev/block").join(number))
        };
        device("sda", "8:0", 1000, None)?;
        device("sda/sda1", "8:1", 100, Some(10))?;
        device("sda/sda2", "8:2", 800, Some(200))?;
        device("sdb", "8:16", 1000, None)?;
        device("md0", "9:0", 900, None)?;
        for (volume, number, id, below) in [
            ("dm-0", "252:0", "LVM-a", "sda/sda2"),
            ("dm-1", "252:1", "LVM-b", "sda/sda2"),
            ("dm-2", "252:2", "CRYPT-LUKS2-x-y", "dm-0"),
            ("dm-3", "252:3", "", "sdb"),
        ] {
            device(volume, number, 100, None)?;
            fs::create_dir_all(devices.join(volume).join("dm"))?;
            fs::write(devices.join(volume).join("dm/uuid"), id)?;
            let name = below.rsplit('/').next().unwrap_or(below);
            symlink(
                devices.join(below),
                devices.join(volume).join("slaves").join(name),
            )?;
        }
        symlink(devices.join("sdb"), devices.join("md0/slaves/sdb"))?;
        for (name, number, offset) in [("loop0", "7:0", "0"), ("loop1", "7:1", "51200")] {
            device(name, number, 100, None)?;
            fs::create_dir_all(devices.join(name).join("loop"))?;
            let file = root.join("file");
            fs::write(
                devices.join(name).join("loop/backing_file"),
                file.display().to_string(),
            )?;
            fs::write(devices.join(name).join("loop/offset"), offset)?;
        }
        Ok(())
    }

    #[test]
    fn what_lies_in_the_same_bytes_meets() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        machine(root.path())?;
        let kernel = Kernel::below(root.path());
        let of = |name: &str| {
            let (major, minor) = match name {
                "sda" => (8, 0),
                "sda1" => (8, 1),
                "sda2" => (8, 2),
                "sdb" => (8, 16),
                "md" => (9, 0),
                "volume" => (252, 0),
                "other volume" => (252, 1),
                "crypt" => (252, 2),
                "linear" => (252, 3),
                "loop" => (7, 0),
                _ => (7, 1),
            };
            Ground::of_device(&kernel, makedev(major, minor))
        };
        let meet = [
            ("sda", "sda1"),
            ("sda", "crypt"),
            ("sda2", "volume"),
            ("volume", "crypt"),
            ("sda2", "crypt"),
            ("md", "sdb"),
            ("md", "linear"),
        ];
        let all = [
            "sda",
            "sda1",
            "sda2",
            "sdb",
            "md",
            "volume",
            "other volume",
            "crypt",
            "linear",
            "loop",
            "loop behind",
        ];
        for one in all {
            for two in all {
                let expected = one == two
                    || meet.contains(&(one, two))
                    || meet.contains(&(two, one))
                    || matches!((one, two), ("sda" | "sda2", "other volume"))
                    || matches!((two, one), ("sda" | "sda2", "other volume"))
                    || matches!((one, two), ("sda", "sda2" | "volume"))
                    || matches!((two, one), ("sda", "sda2" | "volume"))
                    || matches!((one, two), ("linear", "sdb") | ("sdb", "linear"));
                assert_eq!(of(one).meets(&of(two)), expected, "{one}, {two}");
                assert_eq!(of(one).is(&of(two)), one == two, "{one}, {two}");
            }
        }
        let file = fs::metadata(root.path().join("file"))?;
        let file = Ground::found(&kernel, &file).expect("a file has a ground");
        assert!(file.meets(&of("loop")) && file.meets(&of("loop behind")));
        assert!(!file.clone().part(0, 51200).meets(&of("loop behind")));
        // A key between the partition table and the first partition.
        assert!(!of("sda").part(512, 4096).meets(&of("sda1")));
        assert!(of("sda").part(512, 8 << 20).meets(&of("sda1")));
        Ok(())
    }
}
