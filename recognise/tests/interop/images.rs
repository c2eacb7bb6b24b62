//! The images of `test-vectors/recognise`, unpacked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use volume::{Access, FileStorage};

/// A folder with all of them; holes stay holes.
pub struct Images(TempDir);

impl Images {
    pub fn unpack() -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let archive =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../test-vectors/recognise/images.tar.xz");
        let mut unpacker = Command::new("xz")
            .arg("-dc")
            .arg(archive)
            .stdout(Stdio::piped())
            .spawn()
            .expect("xz runs (apt-get install xz-utils)");
        let bytes = unpacker.stdout.take().expect("it is piped");
        let status = Command::new("tar")
            .args(["-x", "-C"])
            .arg(folder.path())
            .stdin(bytes)
            .status()
            .expect("tar runs");
        assert!(status.success());
        assert!(unpacker.wait().expect("xz ends").success());
        Self(folder)
    }

    /// Names and storages, which outlive the folder.
    pub fn all_opened(&self) -> Vec<(String, FileStorage)> {
        let open = |(name, path): (String, PathBuf)| {
            let storage = FileStorage::open(&path, Access::Read).expect("it was unpacked");
            (name, storage)
        };
        self.all().into_iter().map(open).collect()
    }

    /// Names, without the end, and paths, in order.
    pub fn all(&self) -> Vec<(String, PathBuf)> {
        let mut all: Vec<_> = fs::read_dir(self.0.path())
            .expect("the folder is there")
            .map(|item| {
                let path = item.expect("the folder can be read").path();
                let name = path.file_stem().expect("a file has a name");
                (name.to_string_lossy().into_owned(), path)
            })
            .collect();
        all.sort();
        all
    }
}
