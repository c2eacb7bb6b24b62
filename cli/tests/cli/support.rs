//! Running the program, and places to run it in.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;

use tempfile::TempDir;

/// How a run of the program ended.
pub struct Run {
    /// Exit code; 128 and the signal's number where a signal ended it, as a shell reports it.
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Run {
    /// Fails the test, showing what the program said, unless it ended so.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "standard error: {}", self.stderr);
        self
    }

    /// Fails the test unless the first line of the error says this.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        let first = self
            .stderr
            .lines()
            .find(|line| !line.contains("warning:"))
            .unwrap_or_default();
        assert!(first.contains(text), "{text:?} is not in {:?}", self.stderr);
        self
    }

    /// Fails the test unless a later line says what to do.
    #[track_caller]
    pub fn advises(self, text: &str) -> Self {
        assert!(
            self.stderr.lines().skip(1).any(|line| line.contains(text)),
            "{text:?} is not in {:?}",
            self.stderr
        );
        self
    }

    /// The result, as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("results are UTF-8")
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let code = output
            .status
            .code()
            .or_else(|| output.status.signal().map(|signal| 128 + signal));
        Self {
            code: code.expect("a process that ended has a code or a signal"),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// An empty folder that the program runs in.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("a file of the test");
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("a file that the program made")
    }

    /// The names of everything here: nothing else may have been left.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("the folder");
        let mut names: Vec<_> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }

    /// The program with arguments that are separated by blanks. No standard input.
    pub fn command(&self, arguments: &str) -> Command {
        self.shell(
            Path::new(env!("CARGO_BIN_EXE_luksmith")),
            arguments.split_whitespace(),
        )
    }

    fn shell(
        &self,
        program: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env_remove("NO_COLOR")
            .stdin(Stdio::null());
        command
    }

    /// The same, with no signal ignored: the tests may run in the background of a shell, which ignores some.
    pub fn interruptible(&self, arguments: &str) -> Command {
        let program = ["--default-signal", env!("CARGO_BIN_EXE_luksmith")];
        let arguments = program.into_iter().chain(arguments.split_whitespace());
        self.shell(Path::new("env"), arguments)
    }

    /// The same, by a program that cannot make a file longer than so many bytes.
    pub fn with_small_files(&self, arguments: &str, bytes: u64) -> Command {
        let limit = format!("--fsize={bytes}");
        let program = [limit.as_str(), env!("CARGO_BIN_EXE_luksmith")];
        let arguments = program.into_iter().chain(arguments.split_whitespace());
        self.shell(Path::new("prlimit"), arguments)
    }

    /// Runs the program so that it can map nothing, whatever the machine has: root is told that device-mapper is not for
    /// it, as everybody else is.
    pub fn run_unmapped(&self, arguments: &str) -> Run {
        if !rustix::process::geteuid().is_root() {
            return self.run(arguments);
        }
        let program = [
            "--bounding-set=-sys_admin",
            "--inh-caps=-sys_admin",
            env!("CARGO_BIN_EXE_luksmith"),
        ];
        let arguments = program.into_iter().chain(arguments.split_whitespace());
        let mut command = self.shell(Path::new("setpriv"), arguments);
        command.output().expect("setpriv starts").into()
    }

    /// Runs the program without standard input.
    pub fn run(&self, arguments: &str) -> Run {
        self.command(arguments)
            .output()
            .expect("the program starts")
            .into()
    }

    /// Runs it with no signal ignored.
    pub fn run_interruptible(&self, arguments: &str) -> Run {
        let output = self.interruptible(arguments).output();
        output.expect("the program starts").into()
    }

    /// Runs the program with `input` on standard input.
    pub fn run_with(&self, arguments: &str, input: &[u8]) -> Run {
        feed(self.command(arguments), input)
    }

    /// Runs a line of shell in which `$LUKSMITH` is the program.
    pub fn sh(&self, line: &str) -> Run {
        let mut command = self.shell(Path::new("sh"), ["-c", line]);
        command.env("LUKSMITH", env!("CARGO_BIN_EXE_luksmith"));
        command.output().expect("a shell starts").into()
    }
}

/// Verbs that only read the container `box`, which the key file `pw` opens.
pub const READ: [&str; 8] = [
    "inspect box",
    "inspect box --policy-template",
    "key list box",
    "key test box --key-file pw",
    "token list box",
    "verify box --key-file pw",
    "decrypt box back --key-file pw",
    "header backup box --header-backup-file second",
];

/// Every verb, such as `key add`, and its help.
pub fn every_verb() -> Vec<(String, String)> {
    let help = |verb: &str| {
        let run = Place::new().run(&format!("{verb} --help")).expect(0);
        run.text().to_owned()
    };
    let listed = |help: &str| -> Vec<String> {
        let list = help.split("Commands:\n").nth(1).unwrap_or_default();
        list.lines()
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_whitespace().next())
            .map(str::to_owned)
            .collect()
    };
    let mut verbs = Vec::new();
    for verb in listed(&help("")) {
        let text = help(&verb);
        let inner = listed(&text);
        for inner in &inner {
            let verb = format!("{verb} {inner}");
            let text = help(&verb);
            verbs.push((verb, text));
        }
        if inner.is_empty() {
            verbs.push((verb, text));
        }
    }
    verbs
}

/// Runs a command with `input` on standard input.
pub fn feed(mut command: Command, input: &[u8]) -> Run {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    let input = input.to_vec();
    let writer = thread::spawn(move || {
        // A program that ends early does not read all.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("the program ends");
    writer.join().expect("the writer does not panic");
    output.into()
}

/// A golden image, made by another program: a path below test-vectors, unpacked.
pub fn golden(path: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../test-vectors");
    let mut xz = Command::new("xz");
    let output = xz.arg("-dc").arg(Path::new(folder).join(path)).output();
    let output = output.expect("xz is installed");
    assert!(output.status.success(), "{path}");
    output.stdout
}

/// Bytes that repeat nowhere near: each 8 are their own number.
pub fn pattern(bytes: usize) -> Vec<u8> {
    (0_u64..).flat_map(u64::to_le_bytes).take(bytes).collect()
}

/// Options of a plain container that needs no passphrase: the key is the file `key`.
pub const PLAIN: &str = "--type plain --cipher aes-xts-plain64 --key-size 512 --key-file key";

/// A place with a key file and a raw image of `bytes` bytes named `raw`.
pub fn plain_place(bytes: usize) -> Place {
    let place = Place::new();
    place.write("key", pattern(64));
    place.write("raw", pattern(bytes));
    place
}

/// A place with a raw image of `bytes` bytes named `raw` and a passphrase in the file `pw`.
pub fn cheap_luks_place(bytes: usize) -> Place {
    let place = Place::new();
    place.write("raw", pattern(bytes));
    place.write("pw", "pw");
    place
}

/// The least qcow2 image of a disk of 1024 bytes, the first half of it data: one L1 entry, one L2 table, one cluster, and a
/// snapshot, each in a cluster of 512 bytes. It may stand on a raw image, and names a data file where it does.
pub fn qcow2(backing: Option<&str>) -> Vec<u8> {
    let mut bytes = vec![0; 8 * 512];
    let mut put = |at: usize, data: &[u8]| bytes[at..at + data.len()].copy_from_slice(data);
    put(0, b"QFI\xfb\0\0\0\x03");
    put(20, &9_u32.to_be_bytes());
    put(24, &1024_u64.to_be_bytes());
    put(36, &1_u32.to_be_bytes());
    put(40, &512_u64.to_be_bytes());
    put(48, &2048_u64.to_be_bytes());
    put(56, &1_u32.to_be_bytes());
    put(60, &1_u32.to_be_bytes());
    put(64, &2560_u64.to_be_bytes());
    put(96, &4_u32.to_be_bytes());
    put(100, &104_u32.to_be_bytes());
    put(512, &1024_u64.to_be_bytes());
    put(3584, &1024_u64.to_be_bytes());
    put(1024, &1536_u64.to_be_bytes());
    put(1536, &[0xab; 512]);
    // Refcounts: what the snapshot has too is there twice.
    put(2048, &3072_u64.to_be_bytes());
    for (cluster, refcount) in [1_u16, 1, 2, 2, 1, 1, 1, 1].into_iter().enumerate() {
        put(3072 + cluster * 2, &refcount.to_be_bytes());
    }
    put(2560, &3584_u64.to_be_bytes());
    put(2568, &1_u32.to_be_bytes());
    put(2572, &[0, 1, 0, 4]);
    put(2596, &16_u32.to_be_bytes());
    put(2608, &1024_u64.to_be_bytes());
    put(2616, b"1once");
    if let Some(name) = backing {
        put(79, &[4]);
        put(
            104,
            b"\xe2\x79\x2a\xca\0\0\0\x03raw\0\0\0\0\0DATA\0\0\0\x04data\0\0\0\0",
        );
        put(8, &400_u64.to_be_bytes());
        put(
            16,
            &u32::try_from(name.len())
                .expect("a short name")
                .to_be_bytes(),
        );
        put(400, name.as_bytes());
    }
    bytes
}
