//! `serve` beside the clients that people attach: libnbd's, QEMU's, fio, and from Python.

use std::fmt::Display;
use std::path::Path;
use std::process::Command;

use crate::common::{PROGRAM, Place, check_all, pattern};

const CHEAP: &str = "--key-file key --pbkdf-force-iterations 1000";
/// The module for it belongs to the system's own Python, not to another one in PATH.
const PYTHON: &str = "/usr/bin/python3";

/// A kind of container: how it is made of `raw` as `box`, and how it is opened.
struct Kind {
    name: &'static str,
    make: String,
    open: &'static str,
}

impl Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

fn kinds() -> Vec<Kind> {
    let luks =
        |options: &str| format!("luksmith encrypt raw box -q --pbkdf pbkdf2 {CHEAP} {options}");
    vec![
        Kind {
            name: "luks1",
            make: format!("luksmith encrypt raw box -q --type luks1 {CHEAP}"),
            open: "--key-file key",
        },
        Kind {
            name: "luks2 in sectors of 512 bytes",
            make: luks("--sector-size 512"),
            open: "--key-file key",
        },
        Kind {
            name: "luks2 in sectors of 4096 bytes",
            make: luks("--sector-size 4096"),
            open: "--key-file key",
        },
        Kind {
            name: "luks2 with its header elsewhere",
            make: luks("--header head"),
            open: "--key-file key --header head",
        },
        Kind {
            name: "plain",
            make: "luksmith encrypt raw box -q --type plain --cipher aes-xts-plain64 --key-size 512 --key-file volume-key"
                .to_owned(),
            open: "--type plain --cipher aes-xts-plain64 --key-size 512 --key-file volume-key",
        },
    ]
}

fn place(bytes: usize) -> Place {
    let place = Place::new();
    place.write("key", "secret");
    place.write("volume-key", pattern(64));
    place.write("raw", pattern(bytes));
    place
}

/// Runs a line of shell, in which `$uri` is the plaintext of `box`.
#[track_caller]
fn served(place: &Place, options: &str, line: &str) -> String {
    let mut serve = Command::new(PROGRAM);
    serve
        .args(["serve", "box"])
        .args(options.split_whitespace())
        .arg("--run")
        .arg(line);
    String::from_utf8(place.succeed(&mut serve)).unwrap()
}

/// The version of QEMU: how it speaks differs.
fn qemu_is_at_least(place: &Place, major: u32, minor: u32) -> bool {
    let said = String::from_utf8(place.sh("qemu-img --version")).unwrap();
    let version = said.split_whitespace().nth(2).unwrap();
    let mut numbers = version
        .split('.')
        .map(|number| number.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap(), numbers.next().unwrap());
    found >= (major, minor)
}

#[test]
fn nbdcopy_reads_and_writes_every_kind() {
    let many = "nbdcopy --connections=4 --requests=64";
    check_all("nbdcopy both ways", &kinds(), |kind| {
        let place = place(3 << 20);
        place.sh(&kind.make);
        served(&place, kind.open, &format!("{many} \"$uri\" out"));
        assert!(place.read("out") == place.read("raw"));
        let other: Vec<u8> = pattern(3 << 20).iter().map(|byte| !byte).collect();
        place.write("other", &other);
        served(&place, kind.open, &format!("{many} --flush other \"$uri\""));
        place.sh(&format!("luksmith decrypt box back -q {}", kind.open));
        assert!(place.read("back") == other);
        let read_only = format!("{} --read-only", kind.open);
        served(
            &place,
            &read_only,
            "! nbdcopy raw \"$uri\" 2>/dev/null && nbdcopy \"$uri\" out2",
        );
        assert!(place.read("out2") == other);
    });
}

#[test]
fn nbdinfo_is_told_what_there_is() {
    let place = place(1 << 20);
    place.sh(&kinds()[2].make);
    let told = served(&place, "--key-file key", "nbdinfo --json \"$uri\"");
    for member in [
        "\"structured\": true",
        "\"is_read_only\": false",
        "\"can_cache\": true",
        "\"can_df\": true",
        "\"can_fast_zero\": true",
        "\"can_flush\": true",
        "\"can_fua\": true",
        "\"can_multi_conn\": true",
        "\"can_trim\": false",
        "\"can_zero\": true",
        "\"block_size_minimum\": 1,",
        "\"block_size_preferred\": 4096",
        "\"block_size_maximum\": 33554432",
        "\"export-size\": 1048576",
        "\"base:allocation\"",
    ] {
        assert!(told.contains(member), "{member}: {told}");
    }
    let told = served(
        &place,
        "--key-file key --read-only",
        "nbdinfo --json \"$uri\"",
    );
    assert!(told.contains("\"is_read_only\": true") && told.contains("\"can_zero\": false"));
    let told = served(
        &place,
        "--key-file key --allow-discards",
        "nbdinfo --can trim \"$uri\" && echo yes",
    );
    assert_eq!(told, "yes\n");
    let map = served(&place, "--key-file key", "nbdinfo --map \"$uri\"");
    assert_eq!(
        map.split_whitespace().collect::<Vec<_>>(),
        ["0", "1048576", "0", "data"]
    );
    // Started by it, with the socket open already.
    let mut nbdinfo = Command::new("nbdinfo");
    nbdinfo.args([
        "--size",
        "--",
        "[",
        PROGRAM,
        "serve",
        "box",
        "--key-file",
        "key",
        "]",
    ]);
    assert_eq!(place.succeed(&mut nbdinfo), b"1048576\n");
    let tcp = "luksmith serve box --key-file key --listen 127.0.0.1:0 --pid-file pid >said && \
               uri=$(sed 's/.* //' said) && nbdinfo --size \"$uri\" && kill $(cat pid)";
    assert_eq!(place.sh(tcp), b"1048576\n");
}

/// The plaintext over NBD as a file by libnbd's FUSE, which may start the server too.
#[test]
fn nbdfuse_shows_it_as_a_file() {
    check_all("nbdfuse both ways", &kinds(), |kind| {
        let place = place(3 << 20);
        place.sh(&kind.make);
        let other: Vec<u8> = pattern(3 << 20).iter().map(|byte| !byte).collect();
        place.write("other", &other);
        place.sh("mkdir n");
        let with = |arguments: &str, line: &str| {
            format!(
                "nbdfuse -P pid n/file {arguments} & F=$!
                 until test -s pid; do kill -0 $F || exit 9; sleep 0.1; done
                 {line}; R=$?; fusermount3 -u n && wait $F && rm pid && exit $R"
            )
        };
        let line = "cmp raw n/file && dd if=other of=n/file bs=64k conv=notrunc,fsync status=none && \
                    dd if=n/file of=direct bs=64k iflag=direct status=none && cmp other direct";
        served(&place, kind.open, &with("\"$uri\"", line));
        let started = format!("[ '{PROGRAM}' serve box {} --read-only ]", kind.open);
        place.sh(&with(
            &started,
            "cmp other n/file && ! dd if=raw of=n/file conv=notrunc 2>/dev/null",
        ));
        place.sh(&format!("luksmith decrypt box back -q {}", kind.open));
        assert!(place.read("back") == other);
    });
}

/// Sockets that systemd has opened, and a port that somebody else has.
#[test]
fn sockets_of_others_are_served_at() {
    const PORT: &str = "import os, socket, sys
s = socket.create_server(('127.0.0.1', 0))
print(s.getsockname()[1], flush=True)
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[1], sys.argv[1:])
";
    let place = place(1 << 20);
    place.sh(&kinds()[2].make);
    // The path of a socket may be short only.
    let sockets = tempfile::tempdir().unwrap();
    let at = sockets.path().display();
    let said = place.sh(&format!(
        "systemd-socket-activate -l {at}/a -l {at}/b '{PROGRAM}' serve box --key-file key 2>log & S=$!
         until test -S {at}/b; do kill -0 $S || exit 9; sleep 0.1; done
         for s in b a b; do nbdinfo --size \"nbd+unix:///?socket={at}/$s\" || exit 8; done
         ! luksmith decrypt box back -q --key-file key 2>used || exit 7
         kill $S && wait $S && luksmith decrypt box back -q --key-file key && cmp raw back"
    ));
    assert_eq!(said, b"1048576\n1048576\n1048576\n");
    assert!(String::from_utf8_lossy(&place.read("used")).contains("in use"));
    place.write("port.py", PORT);
    let said = place.sh(&format!(
        "{PYTHON} port.py '{PROGRAM}' serve box --key-file key >port 2>log & S=$!
         until test -s port; do kill -0 $S || exit 9; sleep 0.1; done
         nbdinfo --size nbd://127.0.0.1:$(cat port) && kill $S && wait $S"
    ));
    assert_eq!(said, b"1048576\n");
}

/// QEMU's lock is held all the while: of a writer nobody else may have the image, beside a reader nobody may write it.
#[test]
fn qemu_is_kept_from_the_image() {
    const READ: &str = "qemu-img convert -f raw -O raw box copy >said 2>&1";
    const WRITE: &str = "qemu-io -f raw -c 'read 0 512' box >said 2>&1";
    const LOCKED: &str = "grep -q 'Failed to get .* lock' said";
    let place = place(1 << 20);
    place.sh(&kinds()[2].make);
    for (options, line) in [
        ("", format!("! {READ} && {LOCKED} && ! {WRITE} && {LOCKED}")),
        ("--read-only", format!("{READ} && ! {WRITE} && {LOCKED}")),
    ] {
        served(&place, &format!("--key-file key {options}"), &line);
    }
    // The other way round.
    let sockets = tempfile::tempdir().unwrap();
    let at = sockets.path().display();
    for (qemu, options, code) in [
        ("", "", 5),
        ("", "--read-only", 5),
        ("-r", "", 5),
        ("-r", "--read-only", 0),
    ] {
        let begun = place.sh_code(&format!(
            "qemu-nbd -f raw {qemu} -k {at}/q -t --fork --pid-file={at}/pid box || exit 99
             luksmith serve box --key-file key {options} --run true 2>said; R=$?
             P=$(cat {at}/pid); kill $P; while kill -0 $P 2>/dev/null; do sleep 0.1; done; exit $R"
        ));
        assert_eq!(begun, code, "{qemu} {options}");
    }
}

/// A hole of the container is noise, and is read as that: whoever copies or compares is told of data.
#[test]
fn holes_of_the_container_are_data() {
    for kind in ["luks1", "luks2 --pbkdf pbkdf2"] {
        let place = place(1 << 20);
        place.sh("truncate -s 4M raw");
        place.sh(&format!(
            "luksmith encrypt raw box -q --type {kind} {CHEAP} --holes keep"
        ));
        place.sh("luksmith decrypt box noise -q --key-file key");
        place.hole("zeros", 4 << 20);
        served(
            &place,
            "--key-file key",
            "qemu-img convert -f raw -O raw \"$uri\" out && nbdcopy \"$uri\" out2 && \
             qemu-img compare -q -f raw -F raw noise \"$uri\" && ! qemu-img compare -q -f raw -F raw zeros \"$uri\"",
        );
        assert!(place.read("out") == place.read("noise"));
        assert!(place.read("out2") == place.read("noise"));
        let map = served(
            &place,
            "--key-file key",
            "qemu-img map -f raw --output=json \"$uri\"",
        );
        assert_eq!(map.matches("start").count(), 1, "{map}");
        assert!(map.contains("\"zero\": false, \"data\": true"), "{map}");
    }
}

/// What a reencryption has not encrypted yet has the extents that it has.
#[test]
fn linear_segments_have_real_extents() {
    let place = place(4);
    place.sh(&format!(
        "truncate -s 4M box; printf data | dd of=box bs=1 seek=1M conv=notrunc status=none; cp --sparse=always box same
         cryptsetup reencrypt --encrypt --init-only --type luks2 --header head -q --pbkdf pbkdf2 {CHEAP} box"
    ));
    let map = served(
        &place,
        "--header head --key-file key --read-only",
        "nbdinfo --map \"$uri\" && qemu-img compare -q -f raw -F raw \"$uri\" same",
    );
    let words: Vec<_> = map.split_whitespace().collect();
    let (first, rest) = words.split_at(4);
    assert_eq!(first, ["0", "1048576", "3", "hole,zero"]);
    assert_eq!(
        (rest[0], &rest[2..4]),
        ("1048576", &["0", "data"][..]),
        "{map}"
    );
    assert_eq!(words[words.len() - 2..], ["3", "hole,zero"], "{map}");
}

#[test]
fn qemu_reads_and_writes_every_kind() {
    let place_of_version = Place::new();
    let is_extended = qemu_is_at_least(&place_of_version, 8, 2);
    check_all("qemu both ways over nbd", &kinds(), |kind| {
        let place = place(3 << 20);
        place.sh(&kind.make);
        let listed = served(&place, kind.open, "qemu-nbd --list -k \"$unixsocket\"");
        for flag in [
            "flush",
            "fua",
            "zeroes",
            "df",
            "multi",
            "cache",
            "fast-zero",
        ] {
            assert!(listed.contains(flag), "{flag}: {listed}");
        }
        assert!(listed.contains("base:allocation"));
        assert_eq!(
            listed.contains("transaction size: 64-bit"),
            is_extended,
            "{listed}"
        );
        served(
            &place,
            kind.open,
            "qemu-img convert -W -m 16 -f raw -O raw \"$uri\" out",
        );
        assert!(place.read("out") == place.read("raw"));
        // A file of which most is zeros.
        let mut other = vec![0; 3 << 20];
        other[1 << 20..][..100_000].copy_from_slice(&pattern(100_000));
        place.write("other", &other);
        served(
            &place,
            kind.open,
            "qemu-img convert -n -W -m 16 -f raw -O raw other \"$uri\" && \
             qemu-img compare -q -f raw -F raw other \"$uri\"",
        );
        place.sh(&format!("luksmith decrypt box back -q {}", kind.open));
        assert!(place.read("back") == other);
        served(
            &place,
            &format!("{} --allow-discards", kind.open),
            "qemu-io -f raw -c 'write -P 17 5120 65536' -c 'write -f -P 18 1000448 3072' -c 'write -z 8192 4096' \
             -c 'write -z -u 65536 512' -c 'flush' -c 'read -P 17 5120 3072' -c 'read -P 0 8192 4096' \
             -c 'read -P 18 1000448 3072' -c 'discard 2M 64k' \"$uri\" >qemu-io",
        );
        let said = String::from_utf8(place.read("qemu-io")).unwrap();
        assert!(!said.contains("fail") && !said.contains("rror"), "{said}");
        place.sh(&format!("luksmith decrypt box back2 -q {}", kind.open));
        let back = place.read("back2");
        assert!(back[5120..8192].iter().all(|byte| *byte == 17));
        assert!(back[8192..12288].iter().all(|byte| *byte == 0));
        // What was given up is a hole now, which reads as noise.
        assert!(back[2 << 20..][..64 << 10].iter().any(|byte| *byte != 0));
    });
}

#[test]
fn every_request_of_libnbd() {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/interop/serve/session.py"
    );
    check_all("libnbd from Python", &kinds(), |kind| {
        let place = place(1 << 20);
        place.sh(&kind.make);
        let open = format!("{} --allow-discards", kind.open);
        let mut serve = Command::new(PROGRAM);
        serve
            .args(["serve", "box"])
            .args(open.split_whitespace())
            .args(["--run", "exec \"$PYTHON\" \"$SCRIPT\" \"$uri\" 1048576 7"])
            .env("PYTHON", PYTHON)
            .env("SCRIPT", script);
        let said = String::from_utf8(place.succeed(&mut serve)).unwrap();
        assert!(said.starts_with("checks "), "{said}");
    });
}

#[test]
fn fio_verifies_what_it_writes() {
    for kind in &kinds()[..3] {
        let place = place(8 << 20);
        place.sh(&kind.make);
        let said = served(
            &place,
            kind.open,
            "fio --name=x --ioengine=nbd --uri=\"$uri\" --rw=randrw --bsrange=512-128k --size=8M --iodepth=32 \
             --verify=crc32c --verify_fatal=1 --fsync=64 --randseed=5",
        );
        assert!(said.contains("err= 0"), "{said}");
    }
}

/// The numbers of `cargo xtask campaign serve`, or a share of them.
fn numbers() -> [String; 4] {
    let asked = std::env::var("LUKSMITH_SERVE").ok();
    let text = asked.unwrap_or_else(|| "8 4000 5 1".to_owned());
    let numbers: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
    numbers
        .try_into()
        .expect("clients, operations, kills, seed")
}

/// Clients that are killed, and a server that is.
#[test]
fn stamped_blocks_are_where_they_belong() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/serve/stress.py");
    let place = place(4 << 20);
    place.sh(&kinds()[2].make);
    // The path of a socket may be short only.
    let sockets = tempfile::tempdir().unwrap();
    let header = place.read_start("box", 16 << 20);
    let mut stress = Command::new(PYTHON);
    stress
        .arg(script)
        .args([
            Path::new(PROGRAM),
            &place.path("box"),
            &place.path("key"),
            sockets.path(),
        ])
        .args(numbers());
    let said = String::from_utf8(place.succeed(&mut stress)).unwrap();
    assert!(said.ends_with("mismatches 0\n"), "{said}");
    print!("{said}");
    assert!(
        place.read_start("box", 16 << 20) == header,
        "the header has changed"
    );
    place.sh("luksmith verify box --key-file key");
}

/// Who is not the owner reaches neither the socket nor the plaintext.
#[test]
fn e6_another_user_is_kept_out() {
    let place = place(1 << 20);
    place.sh(&kinds()[2].make);
    if place.sh("id -u") != b"0\n" {
        println!("not tried: only root can become another user");
        return;
    }
    let other = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    served(
        &place,
        "--key-file key",
        &format!(
            "chmod 711 \"$(dirname \"$unixsocket\")\"; ! {other} nbdinfo --size \"$uri\" 2>denied && nbdinfo --size \"$uri\""
        ),
    );
    let said = String::from_utf8(place.read("denied")).unwrap();
    assert!(said.contains("Permission denied"), "{said}");
    // Root's socket in a folder of another's would be that one's.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    place.sh(&format!(
        "chown 65534 {path} && ! luksmith serve box --key-file key --socket {path}/s 2>folder"
    ));
    let said = String::from_utf8(place.read("folder")).unwrap();
    assert!(said.contains("belongs to user 65534"), "{said}");
    // Another's socket is not taken away, whether he listens there or not.
    let public = tempfile::tempdir().unwrap();
    let at = public.path().display();
    place.sh(&format!(
        "chmod 1777 {at} && {other} {PYTHON} -c \"import socket; socket.socket(socket.AF_UNIX).bind('{at}/s')\" && \
         ! luksmith serve box --key-file key --socket {at}/s 2>socket && test -S {at}/s"
    ));
    let said = String::from_utf8(place.read("socket")).unwrap();
    assert!(said.contains("is a socket of user 65534"), "{said}");
    // He serves his own.
    place.sh(&format!(
        "cp box key {path} && chown -R 65534 {path} && cp '{PROGRAM}' {path}/luksmith && chmod 755 {path}/luksmith && cd {path} && \
         env -u XDG_RUNTIME_DIR TMPDIR={path} {other} ./luksmith serve box --key-file key --run 'nbdinfo --size \"$uri\"'"
    ));
}
