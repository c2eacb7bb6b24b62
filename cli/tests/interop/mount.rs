//! `mount` beside the programs that use its file: file systems, loop devices with direct I/O, QEMU, fio, and other users.

use std::path::Path;
use std::process::Command;

use crate::common::{PROGRAM, Place, pattern};

const CHEAP: &str = "--key-file key --pbkdf-force-iterations 1000";
/// How each kind of container is made of `raw` as `box`, and how it is opened.
const KINDS: [(&str, &str); 5] = [
    ("--type luks1 KEY", "--key-file key"),
    ("--pbkdf pbkdf2 --sector-size 512 KEY", "--key-file key"),
    ("--pbkdf pbkdf2 --sector-size 4096 KEY", "--key-file key"),
    (
        "--pbkdf pbkdf2 --header head KEY",
        "--key-file key --header head",
    ),
    (
        "--type plain --cipher aes-xts-plain64 --key-size 512 --key-file volume-key",
        "--type plain --cipher aes-xts-plain64 --key-size 512 --key-file volume-key",
    ),
];

fn place(bytes: usize, kind: (&str, &str)) -> Place {
    let place = Place::new();
    place.write("key", "secret");
    place.write("volume-key", pattern(64));
    place.write("raw", pattern(bytes));
    place.sh(&format!(
        "mkdir m && luksmith encrypt raw box -q {}",
        kind.0.replace("KEY", CHEAP)
    ));
    place
}

/// Runs a line of shell while the plaintext of `box` is at `$plain`; what is said of an error is said.
#[track_caller]
fn mounted(place: &Place, options: &str, line: &str) -> String {
    let mut mount = Command::new(PROGRAM);
    mount
        .args(["mount", "box", "m"])
        .args(options.split_whitespace())
        .arg("--run")
        .arg(format!("set -e; PATH=\"$PATH:/usr/sbin:/sbin\"; {line}"));
    String::from_utf8(place.succeed(&mut mount)).unwrap()
}

fn is_root(place: &Place) -> bool {
    place.sh("id -u") == b"0\n"
}

/// Through the cache, past it, and by memory that is mapped.
#[test]
fn every_kind_is_read_and_written_in_every_way() {
    const SCRIPT: &str = "\
import mmap, os, sys
f = os.open(sys.argv[1], os.O_RDWR)
m = mmap.mmap(f, 0)
assert m[:] == open('other', 'rb').read()
m[5000:9000] = b'm' * 4000
m.flush()
assert os.pread(f, 4000, 5000) == b'm' * 4000
m.close()
os.close(f)
";
    for kind in KINDS {
        let place = place(3 << 20, kind);
        place.write("script", SCRIPT);
        let mut other: Vec<u8> = pattern(3 << 20).iter().map(|byte| !byte).collect();
        place.write("other", &other);
        mounted(
            &place,
            kind.1,
            "cmp raw \"$plain\"
             dd if=\"$plain\" of=direct bs=1M iflag=direct status=none; cmp raw direct
             qemu-img compare -q -f raw -F raw raw \"$plain\"
             dd if=other of=\"$plain\" bs=256k oflag=direct conv=notrunc,fsync status=none
             cmp other \"$plain\"
             /usr/bin/python3 script \"$plain\"",
        );
        other[5000..9000].fill(b'm');
        place.sh(&format!("luksmith decrypt box back -q {}", kind.1));
        assert!(place.read("back") == other, "{}", kind.0);
    }
}

#[test]
fn qemu_img_sees_what_decrypt_gives() {
    let place = Place::new();
    place.write("key", "secret");
    place.hole("raw", 4 << 20);
    place.sh(&format!(
        "mkdir m; luksmith encrypt raw box -q --pbkdf pbkdf2 --holes keep {CHEAP} && luksmith decrypt box noise -q --key-file key"
    ));
    mounted(
        &place,
        "--key-file key",
        "qemu-img compare -q -f raw -F raw noise \"$plain\"
         qemu-img convert -f raw -O raw \"$plain\" out; cmp out noise
         qemu-io -f raw -t none -c 'write -P 17 4096 65536' -c 'write -z 8192 4096' -c flush -c 'read -P 17 4096 4096' \
         -c 'read -P 0 8192 4096' \"$plain\" >said; ! grep -i -e fail -e error said || exit 1",
    );
}

#[test]
fn file_systems_are_made_and_checked_in_the_file() {
    let place = Place::new();
    place.write("key", "secret");
    place.write("file", pattern(2 << 20));
    place.sh("mkdir m d");
    let is_root = is_root(&place);
    for (size, options) in [("64M", "--sector-size 512"), ("320M", "--sector-size 4096")] {
        place.sh(&format!(
            "truncate -s {size} raw; luksmith encrypt raw box -q --force --pbkdf pbkdf2 {options} {CHEAP}; rm raw"
        ));
        mounted(
            &place,
            "--key-file key",
            "mkfs.ext4 -q \"$plain\"; e2fsck -fn \"$plain\" >/dev/null 2>&1
             fuse2fs -o fakeroot \"$plain\" d; cp file d/file; fusermount3 -u d
             while pgrep -f \"fuse2fs -o fakeroot $plain\" >/dev/null; do sleep 0.1; done
             e2fsck -fn \"$plain\" >/dev/null 2>&1
             debugfs -R 'dump /file out' \"$plain\" 2>/dev/null; cmp file out",
        );
        if is_root {
            // The file system is the kernel's, on a loop device that goes past the cache.
            mounted(
                &place,
                "--key-file key",
                "L=$(losetup --direct-io=on -f --show \"$plain\"); trap 'umount d 2>/dev/null || :; losetup -d $L' EXIT
                 test $(losetup -nO DIO $L) = 1
                 mount $L d; cmp file d/file; cp file d/more; umount d; e2fsck -fn $L >/dev/null 2>&1
                 mkfs.ext4 -q -F $L; mount $L d; cp -r /usr/share/doc/bash d/; sync; umount d
                 e2fsck -fn $L >/dev/null 2>&1",
            );
        }
        if size == "320M" {
            mounted(
                &place,
                "--key-file key",
                "mkfs.xfs -q -f \"$plain\"; xfs_repair -n -f \"$plain\" >/dev/null 2>&1",
            );
        }
        place.sh("luksmith verify box --key-file key");
    }
}

#[test]
fn fio_verifies_what_it_writes_to_the_file() {
    for (kind, options) in KINDS.into_iter().zip([
        "",
        "--direct=1",
        "--direct=1 --ioengine=libaio --iodepth=16",
    ]) {
        let place = place(8 << 20, kind);
        let said = mounted(
            &place,
            kind.1,
            &format!(
                "fio --name=x --filename=\"$plain\" --rw=randrw --bsrange=4k-128k --size=8M {options} --verify=crc32c \
                 --verify_fatal=1 --fsync=64 --randseed=5"
            ),
        );
        assert!(said.contains("err= 0"), "{said}");
    }
}

/// The numbers of `cargo xtask campaign mount`, or a share of them: operations, kills of the server, seed.
fn numbers() -> Vec<String> {
    let asked = std::env::var("LUKSMITH_MOUNT").ok();
    let text = asked.unwrap_or_else(|| "4000 4 1".to_owned());
    text.split_whitespace().map(str::to_owned).collect()
}

/// Operations of every kind on the file and on a model of it, with a server that is killed: what fsync has promised is there.
#[test]
fn the_file_is_what_a_model_of_it_says() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/mount/model.py");
    let place = place(1 << 20, KINDS[2]);
    let header = place.read_start("box", 16 << 20);
    let mut model = Command::new("/usr/bin/python3");
    model
        .arg(script)
        .args([
            Path::new(PROGRAM),
            &place.path("box"),
            &place.path("key"),
            &place.path("m"),
        ])
        .args(numbers());
    let said = String::from_utf8(place.succeed(&mut model)).unwrap();
    assert!(said.ends_with("mismatches 0\n"), "{said}");
    print!("{said}");
    assert!(place.read_start("box", 16 << 20) == header);
    place.sh("luksmith verify box --key-file key");
}

/// Who is not the owner does not reach the plaintext, and has his own.
#[test]
fn e6_another_user_is_kept_out_of_the_mount() {
    let place = place(1 << 20, KINDS[2]);
    if !is_root(&place) {
        println!("not tried: only root can become another user");
        return;
    }
    let other = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    place.sh(&format!(
        "chmod 755 {path}; mkdir {path}/m {path}/own {path}/place; touch {path}/file"
    ));
    for (target, seen) in [("m", "m/plain"), ("file", "file")] {
        place.sh(&format!(
            "set -e; luksmith mount box {path}/{target} --key-file key -q
             ! {other} cat {path}/{seen} 2>denied || exit 1
             ! {other} stat {path}/{target}/. 2>>denied || exit 1
             cmp raw {path}/{seen}; luksmith umount {path}/{target}"
        ));
        let said = String::from_utf8(place.read("denied")).unwrap();
        assert!(said.contains("Permission denied"), "{said}");
    }
    // Unless it is for all.
    place.sh(&format!(
        "set -e; luksmith mount box {path}/m --key-file key -q --allow-other
         {other} cat {path}/m/plain >seen; cmp raw seen
         {other} dd if=/dev/zero of={path}/m/plain bs=512 count=1 conv=notrunc status=none
         luksmith umount {path}/m
         cp raw work; dd if=/dev/zero of=work bs=512 count=1 conv=notrunc status=none"
    ));
    // He mounts his own through fusermount3, from which root is kept out; not over what is another's.
    place.sh(&format!(
        "set -e; cp box key {path}/place; cp '{PROGRAM}' {path}/place/luksmith; chmod 755 {path}/place/luksmith
         cp work {path}/place/raw; chown -R 65534 {path}/place {path}/own; cd {path}/place
         luksmith() {{ {other} ./luksmith \"$@\"; }}
         luksmith mount box ../own --key-file key -q; {other} cmp raw ../own/plain
         grep -q ' {path}/own fuse.luksmith .*user_id=65534' /proc/mounts
         ! cat ../own/plain 2>denied || exit 1
         grep -q 'Permission denied' denied
         {other} mkfs.ext4 -q -F ../own/plain; {other} e2fsck -fn ../own/plain >/dev/null 2>&1
         ! {other} sh -c 'exec 3<../own/plain; ./luksmith umount ../own' 2>busy || exit 1
         grep -q '../own is in use' busy
         luksmith umount ../own; ! grep -q ' {path}/own ' /proc/mounts || exit 1
         luksmith decrypt box back -q --key-file key; e2fsck -fn back >/dev/null 2>&1
         ! luksmith mount box ../m --key-file key 2>said || exit 1
         grep -q '../m belongs to user 0' said"
    ));
}

/// Without FUSE and without its helper it is said what is missing.
#[test]
fn what_is_missing_is_named() {
    let place = place(1 << 20, KINDS[2]);
    if !is_root(&place) {
        println!("not tried: only root can take it away");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let other = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    place.sh(&format!(
        "set -e; chmod 755 {path}; cp box key '{PROGRAM}' {path}; mkdir {path}/bin {path}/dev {path}/m
         cp -a /dev/null /dev/zero /dev/random /dev/urandom {path}/dev
         cp \"$(command -v setpriv)\" {path}/bin
         chown -R 65534 {path}/m {path}/box {path}/key; D=$PWD; cd {path}
         unshare -m sh -c 'mount --bind {path}/dev /dev; ./luksmith mount box m --key-file key' 2>\"$D/said\" || code=$?
         test $code = 1; code=
         unshare -m sh -c 'mount -t tmpfs none /usr/bin; PATH={path}/bin; {other} ./luksmith mount box m --key-file key' \
         2>>\"$D/said\" || code=$?
         test $code = 1"
    ));
    let said = String::from_utf8(place.read("said")).unwrap();
    for part in [
        "/dev/fuse cannot be opened: No such file",
        "no program fusermount3",
        "the package fuse3",
    ] {
        assert!(said.contains(part), "{said}");
    }
}
