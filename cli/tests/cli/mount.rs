//! `mount` and `umount`: the file, the background, signals and what is refused. What programs of others make of the file is in
//! the interop tests.

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use crate::halfway;
use crate::support::{PLAIN, Place, cheap_luks_place, plain_place};

const CHEAP: &str = "--key-file pw --pbkdf pbkdf2 --pbkdf-force-iterations 1000";
const BYTES: u64 = 65_536;

/// A container `box` of 64 KiB with the key file `pw`, and a folder `m`.
fn with_a_box() -> Place {
    let place = cheap_luks_place(65_536);
    place.run(&format!("encrypt raw box -q {CHEAP}")).expect(0);
    fs::create_dir(place.path("m")).expect("a folder");
    place
}

/// Waits until it is so; no machine takes as long.
#[track_caller]
fn until(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(120), "never");
        thread::sleep(Duration::from_millis(20));
    }
}

fn number_in(place: &Place, file: &str) -> u32 {
    let text = String::from_utf8(place.read(file)).expect("a number");
    text.trim().parse().expect("a number")
}

fn has_ended(number: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{number}/status")).unwrap_or_default();
    status.is_empty() || status.contains("State:\tZ")
}

fn signal(number: u32, name: &str) {
    let mut kill = Command::new("kill");
    let status = kill.args(["-s", name, &number.to_string()]).status();
    assert!(status.expect("kill is there").success());
}

/// The line of the table of mounts for a path.
fn mounted(place: &Place, name: &str) -> Option<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("a table");
    let path = place.path(name).display().to_string();
    let path = path.replace(' ', "\\040");
    let is_it = |line: &&str| line.split(' ').nth(4) == Some(&path);
    table.lines().find(is_it).map(str::to_owned)
}

fn opened(place: &Place, name: &str) -> File {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(place.path(name));
    file.expect("the plaintext")
}

#[test]
fn it_goes_to_the_background_and_ends_by_umount_or_a_signal() {
    for end in ["umount", "TERM", "INT", "HUP"] {
        for target in ["m", "file"] {
            let place = with_a_box();
            place.write("file", "something else");
            let run = place
                .run_interruptible(&format!("mount box {target} --key-file pw --pid-file pid"))
                .expect(0);
            let plain = if target == "m" { "m/plain" } else { "file" };
            assert!(
                run.text().starts_with("box: luks2, 64 KiB, mounted at /"),
                "{}",
                run.text()
            );
            assert!(
                run.text().ends_with(&format!("/{plain}\n")),
                "{}",
                run.text()
            );
            let metadata = fs::metadata(place.path(plain)).expect("the plaintext");
            assert_eq!((metadata.len(), metadata.mode()), (BYTES, 0o100_600));
            assert_eq!(metadata.blocks(), BYTES / 512);
            let line = mounted(&place, target).expect("it is mounted");
            for part in ["- fuse.luksmith ", "/box ", ",nosuid,nodev,noexec"] {
                assert!(line.contains(part), "{line}");
            }
            assert!(!line.contains("allow_other"), "{line}");
            assert!(place.read(plain) == place.read("raw"));
            let stat = rustix::fs::statvfs(place.path(plain)).expect("sizes");
            assert_eq!((stat.f_blocks * stat.f_frsize, stat.f_bfree), (BYTES, 0));
            // Whoever writes is kept away, whoever reads too.
            for verb in [
                "mount box m2 --key-file pw",
                "decrypt box back --key-file pw",
            ] {
                let _ = fs::create_dir(place.path("m2"));
                place.run(verb).expect(5).says("in use");
            }
            opened(&place, plain)
                .write_all_at(b"written", 1000)
                .expect("it is written");
            let number = number_in(&place, "pid");
            if end == "umount" {
                let run = place.run(&format!("umount {target}")).expect(0);
                assert_eq!((run.text(), run.stderr.as_str()), ("", ""));
                // It has waited for it.
                assert!(has_ended(number));
                assert!(!place.path("pid").exists());
            } else {
                signal(number, end);
                until(|| has_ended(number));
            }
            assert_eq!(mounted(&place, target), None);
            assert_eq!(place.read("file"), b"something else");
            assert_eq!(fs::read_dir(place.path("m")).expect("a folder").count(), 0);
            place.run("decrypt box back --key-file pw").expect(0);
            let mut wanted = place.read("raw");
            wanted[1000..1007].copy_from_slice(b"written");
            assert!(place.read("back") == wanted);
        }
    }
}

/// The file is what a file of that length is to its reader and writer.
#[test]
fn its_length_is_fixed_and_its_zeros_are_written() {
    let place = with_a_box();
    place.run("mount box m --key-file pw").expect(0);
    let file = opened(&place, "m/plain");
    let mut buffer = [1; 4096];
    assert_eq!(
        file.read_at(&mut buffer, BYTES - 100)
            .expect("a short read"),
        100
    );
    assert_eq!(file.read_at(&mut buffer, BYTES).expect("the end"), 0);
    assert_eq!(
        file.read_at(&mut buffer, BYTES + (1 << 40))
            .expect("the end"),
        0
    );
    assert_eq!(
        file.write_at(&[7; 300], BYTES - 100)
            .expect("a short write"),
        100
    );
    let errno =
        |done: std::io::Result<()>| done.err().and_then(|error| Errno::from_io_error(&error));
    assert_eq!(
        errno(file.write_at(&[7], BYTES).map(drop)),
        Some(Errno::NOSPC)
    );
    assert_eq!(errno(file.set_len(BYTES)), None);
    for len in [0, BYTES - 1, BYTES + 1] {
        assert_eq!(errno(file.set_len(len)), Some(Errno::PERM), "{len}");
    }
    let truncated = OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(place.path("m/plain"));
    assert_eq!(errno(truncated.map(drop)), Some(Errno::PERM));
    let mode = Permissions::from_mode(0o644);
    assert_eq!(
        errno(fs::set_permissions(place.path("m/plain"), mode)),
        Some(Errno::PERM)
    );
    for made in [
        File::create(place.path("m/other")).map(drop),
        fs::create_dir(place.path("m/folder")),
        fs::remove_file(place.path("m/plain")),
        fs::rename(place.path("m/plain"), place.path("m/other")),
        symlink("x", place.path("m/link")),
        fs::hard_link(place.path("m/plain"), place.path("m/link")),
    ] {
        assert_eq!(errno(made), Some(Errno::PERM));
    }
    assert_eq!(
        errno(fs::metadata(place.path("m/other")).map(drop)),
        Some(Errno::NOENT)
    );

    let (keep, zero, punch) = (
        FallocateFlags::KEEP_SIZE,
        FallocateFlags::ZERO_RANGE,
        FallocateFlags::PUNCH_HOLE,
    );
    let allocate = |flags, at, len| rustix::fs::fallocate(&file, flags, at, len).err();
    assert_eq!(allocate(FallocateFlags::empty(), 0, BYTES), None);
    assert_eq!(
        allocate(FallocateFlags::empty(), 1, BYTES),
        Some(Errno::PERM)
    );
    assert_eq!(allocate(zero, 1, BYTES), Some(Errno::PERM));
    assert_eq!(allocate(punch | keep, 4096, 4096), Some(Errno::OPNOTSUPP));
    assert_eq!(allocate(zero, 513, 5000), None);
    assert_eq!(allocate(zero | keep, BYTES - 10, 1 << 40), None);
    file.sync_all().expect("it is durable");
    let seen = place.read("m/plain");
    drop(file);
    place.run("umount m").expect(0);
    let mut wanted = place.read("raw");
    wanted[65_436..].fill(7);
    wanted[65_526..].fill(0);
    wanted[513..5513].fill(0);
    assert!(seen == wanted);
    place.run("decrypt box back --key-file pw").expect(0);
    assert!(place.read("back") == wanted);

    // Where holes are allowed, what was punched reads as zeros: a hole of the container would be noise.
    let before = fs::metadata(place.path("box"))
        .expect("it is there")
        .blocks();
    place
        .run("mount box m --key-file pw --allow-discards")
        .expect(0);
    let file = opened(&place, "m/plain");
    rustix::fs::fallocate(&file, punch | keep, 8192, 16_384).expect("a hole");
    wanted[8192..24_576].fill(0);
    drop(file);
    assert!(place.read("m/plain") == wanted);
    place.run("umount m").expect(0);
    place.run("decrypt box back2 --key-file pw").expect(0);
    assert!(place.read("back2") == wanted);
    let after = fs::metadata(place.path("box"))
        .expect("it is there")
        .blocks();
    assert_eq!(before, after);
}

#[test]
fn what_is_only_read_is_not_written() {
    let place = with_a_box();
    let before = place.read("box");
    place.run("mount box m --key-file pw --read-only").expect(0);
    let mode = fs::metadata(place.path("m/plain"))
        .expect("the plaintext")
        .mode();
    assert_eq!(mode, 0o100_400);
    let written = OpenOptions::new().write(true).open(place.path("m/plain"));
    let errno = written.err().and_then(|error| Errno::from_io_error(&error));
    assert_eq!(errno, Some(Errno::ROFS));
    assert!(place.read("m/plain") == place.read("raw"));
    place.run("umount m").expect(0);
    assert!(place.read("box") == before);
}

#[test]
fn what_is_in_the_way_of_a_mount_is_named() {
    let place = with_a_box();
    place.write("wrong", "nonsense");
    fs::create_dir(place.path("full")).expect("a folder");
    place.write("full/file", "x");
    place.sh("mkfifo pipe; ln -s nowhere link").expect(0);
    for (line, code, says) in [
        ("mount box full --key-file pw", 5, "full is not empty"),
        (
            "mount box missing --key-file pw",
            1,
            "missing: No such file",
        ),
        ("mount box link --key-file pw", 1, "link: No such file"),
        (
            "mount box pipe --key-file pw",
            1,
            "pipe is neither a folder nor a file",
        ),
        ("mount box box --key-file pw", 1, "which is the same file"),
        (
            "mount box /proc --key-file pw",
            5,
            "/proc is a mount already, of proc",
        ),
        ("mount - m --key-file pw", 1, "standard input is a stream"),
        ("mount missing m --key-file pw", 4, "missing"),
        ("mount box m --key-file wrong", 2, "no key fits"),
        ("mount raw m --key-file pw", 4, "not a LUKS container"),
        ("mount box m --key-file pw --size 9999999", 4, "box"),
        (
            "mount box m --key-file pw --read-in-use",
            1,
            "--read-in-use",
        ),
        (
            "mount box m --key-file pw --read-only --allow-discards",
            1,
            "--allow-discards",
        ),
        (
            "mount box m --key-file pw --pid-file raw",
            5,
            "cannot write raw",
        ),
        ("umount m", 4, "m is no mount"),
        ("umount missing", 1, "missing: No such file"),
        (
            "umount /proc",
            1,
            "/proc is a mount of proc, and not one of luksmith",
        ),
    ] {
        let run = place.run(line).expect(code);
        assert!(run.stderr.contains(says), "{line}: {}", run.stderr);
        assert_eq!(mounted(&place, "m"), None, "{line}");
    }
    place
        .run("mount box m --key-file pw --pid-file pid")
        .expect(0);
    for again in ["m", "m/plain"] {
        place
            .run(&format!("mount raw {again} {PLAIN}"))
            .expect(if again == "m" { 5 } else { 1 });
    }
    place
        .run(&format!("mount raw m {PLAIN}"))
        .expect(5)
        .says("m is a mount already, of fuse.luksmith");
    // What is in use stays, and goes on.
    let file = opened(&place, "m/plain");
    place.run("umount m").expect(5).says("m is in use");
    file.write_all_at(b"more", 0).expect("it goes on");
    drop(file);
    // A server that has gone without a word.
    let number = number_in(&place, "pid");
    signal(number, "KILL");
    until(|| has_ended(number));
    place
        .run("mount box m --key-file pw")
        .expect(5)
        .says("m is a mount whose server has gone")
        .advises("luksmith umount");
    place.run("umount m").expect(0);
    assert_eq!(mounted(&place, "m"), None);
    place.run("mount box m --key-file pw").expect(0);
    assert_eq!(place.read("m/plain")[..4], *b"more");
    // By others it ends too.
    place.sh("umount m").expect(0);
    until(|| place.run("decrypt box back --key-file pw").code == 0);
}

/// What was written before is on the disk, and whoever has the file open is told.
#[test]
fn a_signal_ends_what_is_in_use() {
    let place = with_a_box();
    place
        .run("mount box m --key-file pw --pid-file pid")
        .expect(0);
    let file = opened(&place, "m/plain");
    file.write_all_at(&[9; 5000], 3000).expect("it is written");
    let number = number_in(&place, "pid");
    signal(number, "TERM");
    until(|| has_ended(number));
    assert_eq!(mounted(&place, "m"), None);
    assert!(file.write_at(b"x", 0).is_err());
    place.run("decrypt box back --key-file pw").expect(0);
    let mut wanted = place.read("raw");
    wanted[3000..8000].fill(9);
    assert!(place.read("back") == wanted);
}

/// An error of the disk is the writer's own, and no later one's.
#[test]
fn what_cannot_be_written_is_told_at_once() {
    let place = with_a_box();
    let offset = 16 << 20;
    // A file that may not grow beyond half of the payload, which is a hole that was cut off.
    let half = offset + BYTES / 2;
    let image = OpenOptions::new().write(true).open(place.path("box"));
    image
        .expect("our own")
        .set_len(offset + BYTES)
        .expect("room");
    let blocks = half / 512;
    let line = format!(
        "bash -c 'ulimit -f {} && exec \"$LUKSMITH\" mount box m --key-file pw'",
        blocks / 2
    );
    place.sh(&line).expect(0);
    let file = opened(&place, "m/plain");
    file.write_all_at(&[5; 4096], 0).expect("there is room");
    let refused = file
        .write_all_at(&[5; 4096], BYTES - 4096)
        .expect_err("there is none");
    assert_eq!(Errno::from_io_error(&refused), Some(Errno::IO));
    file.write_all_at(&[6; 4096], 4096).expect("there is room");
    file.sync_all().expect("what was written is there");
    drop(file);
    // An image that is gone is told to readers.
    let image = OpenOptions::new().write(true).open(place.path("box"));
    image.expect("our own").set_len(offset).expect("it shrinks");
    let file = opened(&place, "m/plain");
    let mut direct = Command::new("dd");
    direct.arg(format!("if={}", place.path("m/plain").display()));
    let read = direct
        .args(["of=/dev/null", "iflag=direct", "bs=4096"])
        .output()
        .expect("dd");
    assert!(String::from_utf8_lossy(&read.stderr).contains("Input/output error"));
    drop(file);
    place.run("umount m").expect(0);
}

/// The command's status is the program's, and the mount goes with it.
#[test]
fn a_command_has_the_plaintext_to_its_end() {
    let place = with_a_box();
    for (command, code) in [
        ("exit 0", 0),
        ("exit 7", 7),
        ("kill -9 $$", 137),
        (
            "test \"$plain\" = \"$(pwd)/m/plain\" && cmp raw \"$plain\"",
            0,
        ),
    ] {
        let mut mount = place.command("mount box m --key-file pw --run");
        let run = mount.arg(command).output().expect("the program starts");
        assert_eq!(run.status.code(), Some(code), "{command}");
        assert_eq!(
            (&run.stdout[..], &run.stderr[..]),
            (&b""[..], &b""[..]),
            "{command}"
        );
        assert_eq!(mounted(&place, "m"), None, "{command}");
    }
    let line = "\"$LUKSMITH\" mount box m --key-file pw --pid-file pid --exit-with-parent -q & \
                until test -s pid; do sleep 0.1; done";
    place.sh(line).expect(0);
    until(|| mounted(&place, "m").is_none() && !place.path("pid").exists());
}

/// Other kinds of containers, and what is half way.
#[test]
fn every_kind_is_mounted() {
    let place = plain_place(65_536);
    place.write("pw", "pw");
    fs::create_dir(place.path("m")).expect("a folder");
    place.run(&format!("encrypt raw p {PLAIN}")).expect(0);
    place
        .run(&format!("encrypt raw old -q --type luks1 {CHEAP}"))
        .expect(0);
    place
        .run(&format!("encrypt raw data -q --header head {CHEAP}"))
        .expect(0);
    let raw = place.read("raw");
    for (line, bytes) in [
        (format!("mount p m {PLAIN}"), 65_536),
        ("mount old m --key-file pw".to_owned(), 65_536),
        (
            "mount data m --header head --key-file pw".to_owned(),
            65_536,
        ),
        (
            "mount data m --header head --key-file pw --read-only --size 64".to_owned(),
            32_768,
        ),
    ] {
        place.run(&line).expect(0);
        assert!(place.read("m/plain") == raw[..bytes], "{line}");
        place.run("umount m").expect(0);
    }
    let place = halfway::unpacked();
    fs::create_dir(place.path("m")).expect("a folder");
    let run = place
        .run("mount reencrypt-checksum-hot-torn m --key-file pw")
        .expect(0);
    assert!(run.stderr.contains("for reading only"), "{}", run.stderr);
    assert!(run.text().contains("read-only"));
    place.run("umount m").expect(0);
}

/// A name may have whatever a name may have.
#[test]
fn odd_names_are_mounted_and_unmounted() {
    let place = with_a_box();
    for name in [
        "a b",
        "komma, back\\slash",
        "tab\tline\nfeed",
        "-q",
        "größe",
    ] {
        fs::create_dir(place.path(name)).expect("a folder");
        fs::rename(place.path("box"), place.path(format!("{name}/box"))).expect("our own");
        let target = place.path(format!("{name}/m"));
        fs::create_dir(&target).expect("a folder");
        let image = place.path(format!("{name}/box"));
        let mut mount = place.command("mount --key-file pw -q");
        assert!(
            mount
                .arg(&image)
                .arg(&target)
                .status()
                .expect("it starts")
                .success()
        );
        assert!(fs::read(target.join("plain")).expect("the plaintext") == place.read("raw"));
        let mut umount = place.command("umount --json");
        let output = umount.arg(&target).output().expect("it starts");
        assert!(output.status.success());
        assert_eq!(
            fs::read_dir(&target).expect("a folder").count(),
            0,
            "{name}"
        );
        fs::rename(&image, place.path("box")).expect("our own");
    }
}
