//! What is mounted over, looked at before anybody is asked for a key.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use super::error::MountError;
use super::mount::is_alive;
use super::mounts::{mount_at, resolve};

/// The name of the file over a folder.
pub const PLAIN: &str = "plain";

/// A folder that is empty, or a file; nothing is mounted there.
#[derive(Clone, Debug)]
pub struct Target {
    path: PathBuf,
    is_folder: bool,
    /// Its device and number: another one may have come in its place.
    identity: (u64, u64),
}

impl Target {
    /// Looks at it.
    ///
    /// # Errors
    ///
    /// What keeps it from being mounted over.
    pub fn of(path: &Path) -> Result<Self, MountError> {
        let target = || path.to_owned();
        let failed = |source| MountError::Target {
            target: path.to_owned(),
            source,
        };
        let resolved = resolve(path).map_err(failed)?;
        let mount = mount_at(&resolved).map_err(failed)?;
        if let Some(mount) = mount {
            return Err(if is_alive(&resolved) {
                MountError::Mounted {
                    target: target(),
                    kind: mount.kind,
                }
            } else {
                MountError::Dead { target: target() }
            });
        }
        let metadata = fs::metadata(&resolved).map_err(failed)?;
        if !metadata.is_dir() && !metadata.is_file() {
            return Err(MountError::Kind { target: target() });
        }
        // Root may mount for others.
        let (us, owner) = (geteuid(), metadata.uid());
        if !us.is_root() && owner != us.as_raw() {
            return Err(MountError::OfAnother {
                target: target(),
                owner,
            });
        }
        let is_folder = metadata.is_dir();
        if is_folder && fs::read_dir(&resolved).map_err(failed)?.next().is_some() {
            return Err(MountError::NotEmpty { target: target() });
        }
        Ok(Self {
            path: resolved,
            is_folder,
            identity: (metadata.dev(), metadata.ino()),
        })
    }

    /// Where it is: absolute, and without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the plaintext will be.
    pub fn plaintext(&self) -> PathBuf {
        if self.is_folder {
            self.path.join(PLAIN)
        } else {
            self.path.clone()
        }
    }

    /// The device and the number of what is mounted over.
    pub fn identity(&self) -> (u64, u64) {
        self.identity
    }

    pub(super) fn is_folder(&self) -> bool {
        self.is_folder
    }
}
