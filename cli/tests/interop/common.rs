use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A folder that a kernel can see too: not below /run, /proc, /sys or /dev.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        Self(TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    pub fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        let path = self.path(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Runs our program, with arguments separated by blanks; it must succeed.
    #[track_caller]
    pub fn luksmith(&self, arguments: &str) -> Vec<u8> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_luksmith"));
        self.succeed(command.args(arguments.split_whitespace()))
    }

    /// Runs a command here; it must succeed.
    #[track_caller]
    pub fn succeed(&self, command: &mut Command) -> Vec<u8> {
        let output = self.run(command);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{command:?}: {}, {error}",
            output.status
        );
        output.stdout
    }

    /// Runs a command here.
    pub fn run(&self, command: &mut Command) -> Output {
        let program = command.get_program().to_owned();
        let output = command
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .output();
        output.unwrap_or_else(|error| {
            panic!(
                "{}: {error}; install what `cargo xtask test --install` does",
                program.display()
            )
        })
    }

    /// Runs a script under a Linux kernel that has `disks` as /dev/ubda, /dev/ubdb, ...; what it prints.
    #[track_caller]
    pub fn kernel(&self, script: &str, disks: &[&str]) -> String {
        self.write("script", script);
        let runner = concat!(env!("CARGO_MANIFEST_DIR"), "/../xtask/uml-run");
        let mut command = Command::new(runner);
        command
            .arg(self.path("script"))
            .args(disks.iter().map(|disk| self.path(disk)));
        let output = self.run(command.env("UML_TIMEOUT", "600"));
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{}: {printed}{error}",
            output.status
        );
        printed
    }
}

/// Bytes that repeat nowhere near: each 8 are their own number.
pub fn pattern(bytes: usize) -> Vec<u8> {
    (0_u64..).flat_map(u64::to_le_bytes).take(bytes).collect()
}
