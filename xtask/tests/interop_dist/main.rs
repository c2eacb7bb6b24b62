//! luksmith as one static file: the same from two folders, and all that a guest needs.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

mod cpio;
mod modules;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use cpio::Archive;

/// What the image holds, in a file of an ext4.
const TEXT: &str = "only who has the key reads this";

/// What the guest does, and what must be said of it.
const STEPS: [(&str, &[&str]); 11] = [
    ("/luksmith inspect /image", &["LUKS2", "= 0"]),
    ("/luksmith open /image secret --key-file /wrong", &["= 2"]),
    ("ls /dev/mapper", &["control\n= 0"]),
    ("/luksmith open /image secret --key-file /key", &["= 0"]),
    ("ls /dev/mapper", &["control secret\n= 0"]),
    ("mount /dev/mapper/secret /mnt ext4", &["= 0"]),
    ("cat /mnt/text", &[TEXT, "= 0"]),
    ("/luksmith close secret", &["mounted at /mnt", "= 5"]),
    ("umount /mnt", &["= 0"]),
    ("/luksmith close secret", &["= 0"]),
    ("ls /dev/mapper", &["control\n= 0"]),
];

/// A release takes minutes to build twice: this is the same with the same flags, built in a hurry. `cargo xtask dist
/// --twice` does it in full.
#[test]
fn two_folders_make_one_file_and_a_guest_needs_nothing_else() {
    let place = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = |name: &str| place.path().join(name);
    let mut dist = Command::new(env!("CARGO_BIN_EXE_xtask"));
    dist.args(["dist", "--twice", "--profile", "sketch", "--out"]);
    let said = succeed(dist.arg(path("dist")));
    assert!(said.contains("the same from two folders"), "{said}");
    check_sums(&path("dist"));
    let licences = fs::read_to_string(path("dist/LICENCES")).unwrap();
    for part in ["GNU LESSER GENERAL PUBLIC LICENSE", "glibc", "zeroize 1."] {
        assert!(licences.contains(part), "{part}");
    }

    let program = path("dist/luksmith");
    fs::create_dir(path("files")).unwrap();
    fs::write(path("files/text"), TEXT).unwrap();
    fs::write(path("key"), "secret").unwrap();
    fs::write(path("wrong"), "another").unwrap();
    let file = fs::File::create(path("raw")).unwrap();
    file.set_len(4 << 20).unwrap();
    let mut mkfs = Command::new("mkfs.ext4");
    mkfs.args(["-q", "-d"]).args([path("files"), path("raw")]);
    succeed(&mut mkfs);
    let mut encrypt = Command::new(&program);
    encrypt.arg("encrypt").args([path("raw"), path("image")]);
    encrypt.args([
        "-q",
        "--pbkdf",
        "pbkdf2",
        "--pbkdf-force-iterations",
        "1000",
    ]);
    succeed(encrypt.arg("--key-file").arg(path("key")));
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let source = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/interop_dist/guest_init.rs"
    );
    rustc.args([
        "--edition=2024",
        "-Ctarget-feature=+crt-static",
        "-Copt-level=1",
    ]);
    succeed(rustc.args([source, "-o"]).arg(path("init")));

    let mut archive = Archive::default();
    archive.folder("modules");
    archive.file("init", 0o755, &fs::read(path("init")).unwrap());
    archive.file("luksmith", 0o755, &fs::read(&program).unwrap());
    for name in ["image", "key", "wrong"] {
        archive.file(name, 0o600, &fs::read(path(name)).unwrap());
    }
    let wanted = ["loop", "cbc", "ecb", "xts", "dm-crypt"];
    for (index, module) in modules::with_what_they_need(&wanted).iter().enumerate() {
        let name = module.file_name().unwrap().to_string_lossy();
        let name = format!("modules/{index:02}-{name}");
        archive.file(&name, 0o644, &fs::read(module).unwrap());
    }
    let steps = STEPS.map(|(step, _)| format!("{step}\n")).concat();
    archive.file("steps", 0o644, steps.as_bytes());
    fs::write(path("initramfs"), archive.end()).unwrap();

    let mut kernel = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/uml-run"));
    kernel.env("UML_TIMEOUT", "600").arg("--initramfs");
    let started = Instant::now();
    let console = succeed(kernel.arg(path("initramfs"))).replace('\r', "");
    println!("{console}{:.1?} from power on to off", started.elapsed());
    let mut rest = console.as_str();
    for (step, expected) in STEPS {
        (_, rest) = rest
            .split_once(&format!("$ {step}\n"))
            .unwrap_or_else(|| panic!("{step} did not begin: {console}"));
        let said = rest.split("\n$ ").next().unwrap_or_default();
        for part in expected {
            assert!(said.contains(part), "{step}: {said}");
        }
    }
}

/// Runs a command to its end; it must succeed.
#[track_caller]
fn succeed(command: &mut Command) -> String {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{said}{error}",
        output.status
    );
    said
}

/// Each line of SHA256SUMS is that of its file.
fn check_sums(folder: &Path) {
    let sums = fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    let mut names = Vec::new();
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        let content = fs::read(folder.join(name)).unwrap();
        assert_eq!(sum, hex::encode(Sha256::digest(content)), "{name}");
        names.push(name);
    }
    assert_eq!(names, ["LICENCES", "luksmith"]);
}
