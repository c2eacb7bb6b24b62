//! What keeps something from being mounted or unmounted: how the program ends then, and what can be done.

use serve::fuse::MountError;

use crate::exit::Exit;

/// How the program ends.
pub(super) fn exit(error: &MountError) -> Exit {
    match error {
        MountError::NotEmpty { .. }
        | MountError::Mounted { .. }
        | MountError::Dead { .. }
        | MountError::Busy { .. } => Exit::ExistsOrBusy,
        MountError::NotMounted { .. } => Exit::BadImage,
        _ => Exit::Wrong,
    }
}

/// What can be done about it.
pub fn advice(error: &MountError) -> Option<String> {
    let advice = match error {
        MountError::NoDevice(_) => {
            "`modprobe fuse` loads FUSE where it is a module; a container has to be given /dev/fuse"
        }
        MountError::NoHelper => "the package fuse3 brings it",
        MountError::Helper { said } if said.contains("user_allow_other") => {
            "root allows it by the line user_allow_other in /etc/fuse.conf"
        }
        MountError::NotEmpty { .. } => "an empty folder will do, or a file",
        MountError::Dead { .. } => "`luksmith umount` takes it away",
        MountError::Busy { .. } => "`fuser -m` shows who uses it",
        _ => return None,
    };
    Some(advice.to_owned())
}
