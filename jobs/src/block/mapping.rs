//! Mappings of the kernel, by their names.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use devmapper::Name;

use super::kernel::Kernel;

/// What stands behind the name of a mapping.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Named {
    /// A mapping of the kernel.
    Active,
    /// Nothing.
    Inactive,
    /// A file or device that is no mapping.
    Other,
}

/// Looks it up: the name of a mapping itself, or the path of its node.
pub fn named(name: &Path) -> Named {
    look_up(name, Path::new("/sys"))
}

/// A name without a slash is a mapping's own, and so is what stands under /dev/mapper; another one is the path of a node.
fn look_up(name: &Path, sys: &Path) -> Named {
    let own = name.strip_prefix("/dev/mapper").unwrap_or(name);
    let own = own.as_os_str().as_encoded_bytes();
    if !own.contains(&b'/') {
        let spelled = Name::new(own);
        let spelled = spelled.as_ref().map_or(own, Name::as_bytes);
        return if mappings(sys).any(|mapping| mapping == spelled) {
            Named::Active
        } else {
            Named::Inactive
        };
    }
    match fs::metadata(name) {
        Ok(metadata) if metadata.is_dir() => Named::Inactive,
        Ok(metadata) if metadata.file_type().is_block_device() => {
            let (major, minor) = (
                rustix::fs::major(metadata.rdev()),
                rustix::fs::minor(metadata.rdev()),
            );
            if sys.join(format!("dev/block/{major}:{minor}/dm")).exists() {
                Named::Active
            } else {
                Named::Other
            }
        }
        Ok(_) => Named::Other,
        Err(_) => Named::Inactive,
    }
}

/// The path of a block device: a mapping's under its own name, as the kernel calls others.
pub fn path_of(device: u64) -> PathBuf {
    let kernel = Kernel::running();
    match kernel.mapping_name(device) {
        Some(name) => Path::new("/dev/mapper").join(name),
        None => Path::new("/dev").join(kernel.name(device)),
    }
}

/// The file that a loop device shows.
pub fn file_of_loop(device: u64) -> Option<PathBuf> {
    Kernel::running().backing_file(device)
}

/// The loop devices that show the file of this path, as the kernel names it.
pub fn loops_of(file: &Path) -> Vec<u64> {
    let loops = Kernel::running().loops().into_iter();
    let of_it = loops.filter(|(_, shown)| shown == file);
    of_it.map(|(device, _)| device).collect()
}

/// The names of all mappings, as the kernel tells them to everybody.
fn mappings(sys: &Path) -> impl Iterator<Item = Vec<u8>> {
    let devices = fs::read_dir(sys.join("block")).into_iter().flatten();
    devices.flatten().filter_map(|device| {
        let mut name = fs::read(device.path().join("dm/name")).ok()?;
        if name.last() == Some(&b'\n') {
            name.pop();
        }
        Some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_found_by_name_alone() {
        let sys = tempfile::tempdir().unwrap();
        for (device, name) in [("dm-0", "one\n"), ("dm-7", "a\\x20name\n")] {
            let folder = sys.path().join("block").join(device).join("dm");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("name"), name).unwrap();
        }
        fs::create_dir_all(sys.path().join("block/sda")).unwrap();
        let is = |name: &str| look_up(Path::new(name), sys.path());
        assert_eq!(is("one"), Named::Active);
        for name in [
            "a name",
            "a\\x20name",
            "/dev/mapper/a name",
            "/dev/mapper/one",
        ] {
            assert_eq!(is(name), Named::Active, "{name:?}");
        }
        for name in [
            "two",
            "",
            "on",
            "dm-0",
            "sda",
            "/no/such/file",
            "no/such",
            "/",
        ] {
            assert_eq!(is(name), Named::Inactive, "{name:?}");
        }
        assert_eq!(is("/dev/null"), Named::Other);
        assert_eq!(
            is(&sys.path().join("block").to_string_lossy()),
            Named::Inactive
        );
        let missing = sys.path().join("nothing");
        assert_eq!(look_up(Path::new("one"), &missing), Named::Inactive);
    }
}
