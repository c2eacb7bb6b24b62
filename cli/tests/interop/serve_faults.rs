//! `serve` and `mount` when what lies below them fails, and among clients that nobody wants.

use std::process::Command;

use crate::common::{PROGRAM, Place};

const CHEAP: &str = "--key-file key --pbkdf-force-iterations 1000";
/// The module for NBD belongs to the system's own Python, not to another one in PATH.
const PYTHON: &str = "/usr/bin/python3";
const FAULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/serve/faults.py");

/// A container `box` of 48 MiB of zeros, most of which have no place on the disk yet.
fn place() -> Place {
    let place = Place::new();
    place.write("key", "secret");
    place.hole("raw", 48 << 20);
    place.sh(&format!(
        "mkdir m && luksmith encrypt raw box -q --type luks1 --holes keep {CHEAP}"
    ));
    place
}

/// Runs a line of shell with file systems of its own.
#[track_caller]
fn apart(place: &Place, line: &str) -> String {
    let is_root = place.sh("id -u") == b"0\n";
    let mut apart = Command::new("unshare");
    apart
        .arg(if is_root { "-m" } else { "-rm" })
        .args(["sh", "-c"])
        .arg(format!("set -e; {line}"))
        .env("LUKSMITH", PROGRAM)
        .env("ASK", format!("exec {PYTHON} '{FAULTS}'"));
    String::from_utf8(place.succeed(&mut apart)).unwrap()
}

#[test]
fn a_full_disk_is_told() {
    let place = place();
    let said = apart(
        &place,
        "mkdir t; mount -t tmpfs -o size=12m none t; cp --sparse=always box t
         \"$LUKSMITH\" serve t/box --key-file key --run \"$ASK \\\"\\$uri\\\" full\"
         cp --sparse=always box t
         \"$LUKSMITH\" mount t/box m --key-file key --run \"$ASK \\\"\\$plain\\\" file-full\"
         \"$LUKSMITH\" verify t/box --key-file key >/dev/null",
    );
    assert_eq!(said, "told\ntold\n");
}

/// Calls of the kernel that fail, one kind at a time.
#[test]
fn a_bad_disk_is_told() {
    let place = place();
    place.sh("head -c 3145728 /dev/urandom >some && luksmith encrypt some small -q --type luks1 --key-file key --pbkdf-force-iterations 1000");
    for (verb, what, call, ends) in [
        ("serve small", "\"$uri\" write", "pwrite64:error=EIO", 0),
        (
            "serve small",
            "\"$uri\" sync",
            "fdatasync,fsync:error=EIO:when=1",
            1,
        ),
        (
            "serve small",
            "\"$uri\" fua",
            "fdatasync,fsync:error=EIO:when=1",
            1,
        ),
        (
            "mount small m",
            "\"$plain\" file-write",
            "pwrite64:error=EIO",
            0,
        ),
        (
            "mount small m",
            "\"$plain\" file-sync",
            "fdatasync,fsync:error=EIO:when=1",
            1,
        ),
    ] {
        let calls = call.split_once(':').unwrap().0;
        let mut traced = Command::new("strace");
        traced
            .args(["-f", "-qq", "-o", "/dev/null", "-e"])
            .arg(format!("trace={calls}"))
            .arg("-e")
            .arg(format!("inject={call}"))
            .arg(PROGRAM)
            .args(verb.split(' '))
            .args(["--key-file", "key", "--run"])
            .arg(format!("exec {PYTHON} '{FAULTS}' {what}"));
        let output = place.run(&mut traced);
        let said = String::from_utf8_lossy(&output.stdout);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said, "told\n", "{verb} {what}: {error}");
        assert_eq!(output.status.code(), Some(ends), "{verb} {what}: {error}");
        assert_eq!(
            error.contains("may be lost"),
            ends == 1,
            "{verb} {what}: {error}"
        );
    }
}

/// The image lies in a file system whose server goes, or whose server's server does.
#[test]
fn an_image_that_vanishes_is_told() {
    for which in ["k.pid", "f.pid", "k.pid f.pid"] {
        let place = place();
        let sockets = tempfile::tempdir().unwrap();
        let socket = sockets.path().join("k");
        place.sh("mkdir f");
        let mut script = Command::new("sh");
        script.arg("-c").arg(format!(
            "nbdkit -U \"$SOCKET\" -P k.pid file box || exit 9
             nbdfuse -P f.pid f/box \"nbd+unix:///?socket=$SOCKET\" 2>nbdfuse & F=$!
             until test -s f.pid; do kill -0 $F || exit 8; sleep 0.1; done
             \"$LUKSMITH\" serve f/box --key-file key --run \"exec {PYTHON} '{FAULTS}' \\\"\\$uri\\\" gone $(cat {which} | xargs)\"
             R=$?; umount -l f || fusermount3 -uz f; kill $(cat k.pid) $F 2>/dev/null; wait; exit $R"
        ));
        let output = place.run(script.env("SOCKET", &socket).env("LUKSMITH", PROGRAM));
        let said = String::from_utf8_lossy(&output.stdout);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said, "told\n", "{which}: {error}");
        assert_eq!(output.status.code(), Some(1), "{which}: {error}");
        assert!(error.contains("may be lost"), "{which}: {error}");
    }
}

/// Who speaks otherwise, says nothing, says it slowly, does not read, comes ten thousand times or as the 65th.
#[test]
fn clients_that_nobody_wants_are_let_go_and_others_served_on() {
    const HOSTILE: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/interop/serve/hostile.py"
    );
    let place = place();
    let sockets = tempfile::tempdir().unwrap();
    let mut hostile = Command::new(PYTHON);
    hostile
        .args([HOSTILE, PROGRAM])
        .args([place.path("box"), place.path("key")])
        .arg(sockets.path());
    let said = String::from_utf8(place.succeed(&mut hostile)).unwrap();
    assert!(said.starts_with("turns "), "{said}");
    print!("{said}");
}

/// KiB that a server takes at most for so many connections with so many requests of so many bytes.
fn memory(place: &Place, amounts: [u32; 3], tls: &[&str]) -> u32 {
    const MEMORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/serve/memory.py");
    let sockets = tempfile::tempdir().unwrap();
    let mut memory = Command::new(PYTHON);
    memory
        .args([MEMORY, PROGRAM])
        .args([place.path("box"), place.path("key")])
        .arg(sockets.path())
        .args(amounts.map(|amount| amount.to_string()))
        .args(tls);
    let said = String::from_utf8(place.succeed(&mut memory)).unwrap();
    let kib = said.trim().parse().unwrap();
    println!("memory: {amounts:?} {tls:?} {kib} KiB");
    kib
}

#[test]
fn memory_is_bounded_whatever_is_asked_for_at_once() {
    let place = place();
    place.sh(include_str!("serve/certificates.sh"));
    for tls in [&[][..], &["ours", "nobody"]] {
        for requests in [[1, 64, 256 << 10], [1, 64, 1 << 20]] {
            assert!(memory(&place, requests, tls) < 32 << 10, "{requests:?}");
        }
        assert!(memory(&place, [16, 64, 1 << 20], tls) < 128 << 10);
    }
}
