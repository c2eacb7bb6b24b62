use std::fmt::Display;
use std::fs::{self, File};
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tempfile::TempDir;

/// Our program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_luksmith");

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
        let mut command = Command::new(PROGRAM);
        self.succeed(command.args(arguments.split_whitespace()))
    }

    /// The first bytes of a file, or all where there are fewer.
    pub fn read_start(&self, name: &str, bytes: u64) -> Vec<u8> {
        let mut start = Vec::new();
        let file = File::open(self.path(name)).unwrap();
        file.take(bytes).read_to_end(&mut start).unwrap();
        start
    }

    /// The size of a file, in bytes.
    pub fn len(&self, name: &str) -> u64 {
        self.path(name).metadata().unwrap().len()
    }

    /// A file of so many bytes, all of them a hole.
    pub fn hole(&self, name: &str, bytes: u64) {
        File::create(self.path(name))
            .unwrap()
            .set_len(bytes)
            .unwrap();
    }

    /// Runs a line of shell, in which `luksmith` is our program; it must succeed.
    #[track_caller]
    pub fn sh(&self, line: &str) -> Vec<u8> {
        self.succeed(&mut Self::shell(line))
    }

    /// Runs a line of shell, in which `luksmith` is our program; its exit code.
    pub fn sh_code(&self, line: &str) -> i32 {
        self.run(&mut Self::shell(line)).status.code().unwrap()
    }

    fn shell(line: &str) -> Command {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            &format!("luksmith() {{ '{PROGRAM}' \"$@\"; }}; {line}"),
        ]);
        command
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
        self.kernel_of("script", script, disks, 600)
    }

    /// The same for a script that is called `name` and may take so many seconds.
    #[track_caller]
    pub fn kernel_of(&self, name: &str, script: &str, disks: &[&str], seconds: u32) -> String {
        self.write(name, script);
        let runner = concat!(env!("CARGO_MANIFEST_DIR"), "/../xtask/uml-run");
        let mut command = Command::new(runner);
        command
            .arg(self.path(name))
            .args(disks.iter().map(|disk| self.path(disk)));
        let output = self.run(command.env("UML_TIMEOUT", seconds.to_string()));
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

/// Checks every case of a table, two at a time, and prints how many passed. Names those that did not, at the end.
pub fn check_all<C: Display + Sync>(table: &str, cases: &[C], check: impl Fn(&C) + Sync) {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if catch_unwind(AssertUnwindSafe(|| check(case))).is_err() {
                        failures.lock().unwrap().push(case.to_string());
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    println!(
        "cases: {table} {} passed, {} failed",
        cases.len() - failures.len(),
        failures.len()
    );
    assert!(failures.is_empty(), "{failures:#?}");
}

/// Bytes that repeat nowhere near: each 8 are their own number.
pub fn pattern(bytes: usize) -> Vec<u8> {
    (0_u64..).flat_map(u64::to_le_bytes).take(bytes).collect()
}

/// Numbers that look random and are the same in each run (xorshift64, Marsaglia 2003).
pub struct Seeded(pub u64);

impl Seeded {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.next() >> 32).unwrap() % choices.len()]
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}
