//! Image locks beside a real QEMU. Needs `qemu-io` and `qemu-img` (Debian: qemu-utils), and fails without them.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Output, Stdio};

use volume::{Access, FileStorage, ImageLock, ImageRole};

/// A `qemu-io` that has an image open until it is dropped.
struct Holder {
    child: Child,
    /// It ends when this does.
    stdin: Option<ChildStdin>,
}

impl Holder {
    /// Opens `image` as `node` says, and returns once QEMU holds its locks.
    fn open(image: &Path, node: &str, flags: &[&str]) -> Self {
        let mut command = Command::new("qemu-io");
        command
            .args(["--object", "secret,id=key,data=secret", "--image-opts"])
            .args(flags);
        command.arg(node.replace("IMAGE", image.to_str().expect("a path of text")));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| absent("qemu-io", &error));
        let mut stdin = child.stdin.take().expect("it is piped");
        writeln!(stdin, "length").expect("qemu-io takes a command");
        stdin.flush().expect("qemu-io takes a command");
        let mut answers = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        // It answers only with the image open; without, it has ended by now and said why on standard error.
        while !line.trim_end().ends_with("iB") && !line.trim_end().ends_with("bytes") {
            line.clear();
            assert!(
                answers.read_line(&mut line).expect("text") > 0,
                "qemu-io did not open {node}"
            );
        }
        Self {
            child,
            stdin: Some(stdin),
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

fn absent(program: &str, error: &io::Error) -> ! {
    panic!("cannot start {program}: {error}; install Debian's qemu-utils")
}

fn qemu_img(arguments: &[&str], image: &Path) -> Output {
    let image = image.to_str().expect("a path of text");
    let arguments = arguments
        .iter()
        .map(|argument| argument.replace("IMAGE", image));
    Command::new("qemu-img")
        .args(arguments)
        .output()
        .unwrap_or_else(|error| absent("qemu-img", &error))
}

const WRITER: (&str, &[&str]) = ("driver=raw,file.filename=IMAGE", &[]);
const LUKS_WRITER: (&str, &[&str]) = ("driver=luks,key-secret=key,file.filename=IMAGE", &[]);
const READER: (&str, &[&str]) = ("driver=raw,file.filename=IMAGE", &["-r"]);
const LUKS_READER: (&str, &[&str]) = ("driver=luks,key-secret=key,file.filename=IMAGE", &["-r"]);

/// A folder with a LUKS image, which QEMU also opens as raw.
fn image() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let image = folder.path().join("image");
    let created = qemu_img(
        &[
            "create",
            "-q",
            "-f",
            "luks",
            "--object",
            "secret,id=key,data=secret",
            "-o",
            "key-secret=key,iter-time=10",
            "IMAGE",
            "1M",
        ],
        &image,
    );
    assert!(created.status.success(), "{created:?}");
    (folder, image)
}

fn lock(image: &Path, role: ImageRole) -> io::Result<(FileStorage, ImageLock)> {
    let access = if role == ImageRole::Writer {
        Access::ReadWrite
    } else {
        Access::Read
    };
    let storage = FileStorage::open(image, access)?;
    let lock = storage.lock_image(role)?;
    Ok((storage, lock))
}

fn is_refused(image: &Path, role: ImageRole) -> bool {
    match lock(image, role) {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
            true
        }
    }
}

#[test]
fn a_qemu_that_writes_keeps_us_out() {
    let (_folder, image) = image();
    for (node, flags) in [WRITER, LUKS_WRITER] {
        let holder = Holder::open(&image, node, flags);
        assert!(is_refused(&image, ImageRole::Writer), "{node}");
        assert!(is_refused(&image, ImageRole::Reader), "{node}");
        drop(holder);
        assert!(
            !is_refused(&image, ImageRole::Writer),
            "{node}: QEMU is gone"
        );
    }
}

#[test]
fn a_qemu_that_only_reads_lets_us_read() {
    let (_folder, image) = image();
    for (node, flags) in [READER, LUKS_READER] {
        let _holder = Holder::open(&image, node, flags);
        assert!(!is_refused(&image, ImageRole::Reader), "{node}");
    }
}

/// How QEMU takes it that we hold the image.
fn outcome(output: &Output) -> &'static str {
    let text = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => "opened",
        false if text.contains("Failed to get") && text.contains("lock") => "refused",
        false => panic!("qemu-img failed for another reason: {text}"),
    }
}

#[test]
fn our_locks_keep_qemu_out_as_its_own_would() {
    const SECRET: [&str; 2] = ["--object", "secret,id=key,data=secret"];
    let luks = "driver=luks,key-secret=key,file.filename=IMAGE";
    let luks_source = [
        &["convert", "-O", "raw"],
        &SECRET[..],
        &["--image-opts", luks, "IMAGE.out"],
    ]
    .concat();
    let raw_source = ["convert", "-f", "raw", "-O", "raw", "IMAGE", "IMAGE.out"];
    let raw_target = [
        "convert",
        "-n",
        "-f",
        "raw",
        "-O",
        "raw",
        "IMAGE.source",
        "IMAGE",
    ];
    let resize = ["resize", "-f", "raw", "IMAGE", "+0"];
    let rebuild = ["create", "-f", "raw", "IMAGE", "2M"];
    // This one does not mind a writer: QEMU's own readers of raw images do not either.
    let comparison = ["compare", "-f", "raw", "-F", "raw", "IMAGE", "IMAGE"];

    let (mut passed, mut failures) = (0, Vec::new());
    let (_folder, image) = image();
    std::fs::copy(&image, image.with_extension("source")).expect("a copy");
    for (arguments, while_we_read, while_we_write) in [
        (&luks_source[..], "opened", "refused"),
        (&raw_source[..], "opened", "refused"),
        (&comparison[..], "opened", "opened"),
        (&raw_target[..], "refused", "refused"),
        (&rebuild[..], "refused", "refused"),
        (&resize[..], "refused", "refused"),
    ] {
        for (role, expected) in [
            (ImageRole::Reader, while_we_read),
            (ImageRole::Writer, while_we_write),
        ] {
            let (storage, lock) = lock(&image, role).expect("nobody else has it");
            let output = qemu_img(arguments, &image);
            drop(lock);
            // The lock is gone though the file is open.
            let after = qemu_img(arguments, &image);
            let found = (outcome(&output), outcome(&after));
            if found == (expected, "opened") {
                passed += 1;
            } else {
                failures.push(format!(
                    "{arguments:?} while we hold it as {role:?}, and after: {found:?}"
                ));
            }
            drop(storage);
        }
    }
    println!(
        "cases: qemu-image-locks {passed} passed, {} failed",
        failures.len()
    );
    assert!(failures.is_empty(), "{failures:#?}");
}
