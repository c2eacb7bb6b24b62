//! Names of mappings: whether one is active, and what is said where it is not.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::action::Action;
use super::failure::Failure;
use crate::exit::Exit;
use crate::output;

/// What stands behind the name that an action works on.
#[derive(Debug, Eq, PartialEq)]
enum Named {
    /// A mapping of the kernel.
    Active,
    /// Nothing.
    Inactive,
    /// A file or device that is no mapping.
    Other,
}

/// Refuses a name of which there is no mapping, as cryptsetup does.
pub(super) fn check_active(action: Action, name: &Path) -> Result<(), Failure> {
    let named = look_up(name, Path::new("/sys"));
    // Whoever closes, resizes or asks first, to be sure, goes on where nothing is there; whoever wants to change
    // something that is there does not.
    let missing = match action {
        Action::Open | Action::Reencrypt => Exit::Wrong,
        _ => Exit::BadImage,
    };
    let shown = output::path(name);
    match named {
        Named::Active => Ok(()),
        Named::Other => {
            let exit = if action == Action::Status {
                Exit::Wrong
            } else {
                missing
            };
            let last = name.file_name().map_or(name, Path::new);
            Err(Failure::new(
                exit,
                format!("Device {} not found", output::path(last)),
            ))
        }
        Named::Inactive => Err(Failure::new(
            missing,
            format!("Device {shown} is not active."),
        )),
    }
}

/// Whether there is a mapping of that name.
pub(super) fn is_active(name: &Path) -> bool {
    look_up(name, Path::new("/sys")) == Named::Active
}

/// How `status` names the mapping of a name.
pub(super) fn shown_by_status(name: &Path) -> String {
    let text = output::path(name);
    if text.contains('/') {
        text
    } else {
        format!("/dev/mapper/{text}")
    }
}

/// A name without a slash is a mapping's own; another one is the path of its node.
fn look_up(name: &Path, sys: &Path) -> Named {
    if !name.as_os_str().as_encoded_bytes().contains(&b'/') {
        return if mappings(sys).any(|mapping| mapping == name.as_os_str().as_encoded_bytes()) {
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
        for (device, name) in [("dm-0", "one\n"), ("dm-7", "a name with blanks\n")] {
            let folder = sys.path().join("block").join(device).join("dm");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("name"), name).unwrap();
        }
        fs::create_dir_all(sys.path().join("block/sda")).unwrap();
        let is = |name: &str| look_up(Path::new(name), sys.path());
        assert_eq!(is("one"), Named::Active);
        assert_eq!(is("a name with blanks"), Named::Active);
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
