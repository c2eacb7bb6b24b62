//! `serve`: sockets, the background, signals and what is refused. What clients see is in the interop tests.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::halfway;
use crate::support::{PLAIN, Place, cheap_luks_place, plain_place};

const CHEAP: &str = "--key-file pw --pbkdf pbkdf2 --pbkdf-force-iterations 1000";

/// A container `box` of 64 KiB with the key file `pw`.
fn with_a_box() -> Place {
    let place = cheap_luks_place(65_536);
    place.run(&format!("encrypt raw box -q {CHEAP}")).expect(0);
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

/// What a server says first.
fn greeting(place: &Place, socket: &str) -> Vec<u8> {
    let mut client = UnixStream::connect(place.path(socket)).expect("a server");
    let mut said = [0; 18];
    client.read_exact(&mut said).expect("a greeting");
    said.to_vec()
}

fn number_in(place: &Place, file: &str) -> u32 {
    let text = String::from_utf8(place.read(file)).expect("a number");
    text.trim().parse().expect("a number")
}

fn status_of(number: u32) -> String {
    fs::read_to_string(format!("/proc/{number}/status")).unwrap_or_default()
}

fn signal(number: u32, name: &str) {
    let mut kill = Command::new("kill");
    let status = kill.args(["-s", name, &number.to_string()]).status();
    assert!(status.expect("kill is there").success());
}

/// In the foreground, with its standard error in a pipe, once somebody can connect.
fn foreground(place: &Place, arguments: &str) -> Child {
    let mut command = place.interruptible(&format!("serve box --key-file pw {arguments}"));
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    until(|| UnixStream::connect(place.path("s")).is_ok());
    child
}

#[test]
fn it_goes_to_the_background_and_ends_by_a_signal() {
    for signal_name in ["TERM", "INT", "HUP"] {
        let place = with_a_box();
        let before = place.read("box");
        let run = place
            .run_interruptible("serve box --key-file pw --socket s --pid-file pid")
            .expect(0);
        let socket = place.path("s");
        assert!(
            run.text()
                .starts_with("box: luks2, 64 KiB, served at nbd+unix:///?socket=")
        );
        let kind = fs::symlink_metadata(&socket).expect("a socket");
        assert!(kind.file_type().is_socket());
        assert_eq!(kind.mode() & 0o777, 0o600);
        assert_eq!(&greeting(&place, "s")[..8], b"NBDMAGIC");
        let number = number_in(&place, "pid");
        // Whoever writes is kept away, whoever reads too.
        for verb in [
            "serve box --key-file pw --socket s2",
            "decrypt box back --key-file pw",
            "key add box --key-file pw --new-keyfile pw -q",
        ] {
            place.run(verb).expect(5).says("in use");
        }
        signal(number, signal_name);
        until(|| status_of(number).is_empty());
        assert_eq!(place.names(), ["box", "pw", "raw"]);
        assert!(place.read("box") == before);
        place.run("decrypt box back --key-file pw").expect(0);
        assert!(place.read("back") == place.read("raw"));
    }
}

/// Its key is in locked memory, and nobody sees it among arguments, variables or open streams.
#[test]
fn e6_e7_the_background_keeps_its_key_to_itself() {
    let place = with_a_box();
    place.write("secret", "correct horse battery");
    place
        .run("key add box --key-file pw --new-keyfile secret -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000")
        .expect(0);
    place
        .run("key export box -q --key-file pw --volume-key-file vk")
        .expect(0);
    place
        .run_with(
            "serve box --socket s --pid-file pid",
            b"correct horse battery\n",
        )
        .expect(0);
    let number = number_in(&place, "pid");
    let volume_key = place.read("vk");
    for file in ["cmdline", "environ"] {
        let text = fs::read(format!("/proc/{number}/{file}")).expect("our own process");
        assert!(!text.is_empty());
        for secret in [&b"correct horse"[..], &volume_key[..8]] {
            let has = text.windows(secret.len()).any(|part| part == secret);
            assert!(!has, "{file}");
        }
    }
    let status = status_of(number);
    let locked = status.lines().find(|line| line.starts_with("VmLck:"));
    let kib = locked.and_then(|line| line.split_whitespace().nth(1));
    assert!(kib.is_some_and(|kib| kib != "0"), "{locked:?}");
    for stream in 0..3 {
        let leads_to = fs::read_link(format!("/proc/{number}/fd/{stream}"));
        assert_eq!(
            leads_to.expect("it is open"),
            std::path::Path::new("/dev/null")
        );
    }
    signal(number, "TERM");
    until(|| status_of(number).is_empty());
}

#[test]
fn in_the_foreground_it_logs_connections_and_nothing_else() {
    let place = with_a_box();
    let child = foreground(&place, "--socket s --foreground");
    greeting(&place, "s");
    signal(child.id(), "TERM");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(said.lines().count() >= 2, "{said}");
    let is_known = |line: &str| line.starts_with("connection ");
    assert!(said.lines().all(is_known), "{said}");

    let child = foreground(&place, "--socket s --foreground --json");
    signal(child.id(), "TERM");
    let output = child.wait_with_output().expect("it ends");
    for line in String::from_utf8(output.stderr).expect("text").lines() {
        assert!(
            line.starts_with(r#"{"schema":"luksmith.log/1","message":"connection "#),
            "{line}"
        );
    }
    let said = String::from_utf8(output.stdout).expect("text");
    assert!(said.starts_with(r#"{"schema":"luksmith.serve/1","image":"box","type":"luks2""#));
}

#[test]
fn what_is_in_the_way_of_a_socket_is_named() {
    let place = with_a_box();
    let serve = |socket: &str| place.run(&format!("serve box --key-file pw --socket {socket}"));
    place.write("file", "x");
    serve("file")
        .expect(5)
        .says("file exists, and is no socket");
    fs::create_dir(place.path("folder")).expect("a folder");
    serve("folder").expect(5).says("folder exists");
    symlink("nowhere", place.path("link")).expect("a link");
    serve("link").expect(5).says("link exists");
    let listener = UnixListener::bind(place.path("live")).expect("a socket");
    serve("live")
        .expect(5)
        .says("another process listens there");
    serve("missing/s").expect(1).says("cannot listen at");
    for mode in [0o770, 0o707, 0o777] {
        let folder = place.path("folder");
        fs::set_permissions(&folder, Permissions::from_mode(mode)).expect("our own");
        serve("folder/s")
            .expect(1)
            .says("others may write to it")
            .advises("mode 0700");
    }
    let folder = place.path("folder");
    fs::set_permissions(&folder, Permissions::from_mode(0o1777)).expect("our own");
    let long = format!("{}/s", "x".repeat(120));
    fs::create_dir(place.path("x".repeat(120))).expect("a folder");
    serve(&long).expect(1).says("cannot listen at");
    assert_eq!(place.read("file"), b"x");
    drop(listener);
    // What a crash has left is no obstacle.
    let run = place
        .run("serve box --key-file pw --socket live --pid-file pid")
        .expect(0);
    assert!(run.text().contains("live"));
    signal(number_in(&place, "pid"), "TERM");
    until(|| !place.path("pid").exists());
    assert!(!place.path("live").exists());
}

#[test]
fn what_cannot_be_served_is_refused_before_anybody_is_asked() {
    let place = with_a_box();
    place.write("wrong", "nonsense");
    place.write("key", [7; 64]);
    for (line, code, says) in [
        ("serve box", 1, "it is not said where to serve"),
        ("serve - --socket s", 1, "standard input is a stream"),
        ("serve missing --key-file pw --socket s", 4, "missing"),
        ("serve . --key-file pw --socket s", 4, "is a directory"),
        ("serve box --key-file wrong --socket s", 2, "no key fits"),
        (
            "serve raw --key-file pw --socket s",
            4,
            "not a LUKS container",
        ),
        (
            "serve box --key-file pw --socket s --size 9999999",
            4,
            "box",
        ),
        (
            "serve box --type luks1 --key-file pw --socket s",
            4,
            "luks2",
        ),
        (
            "serve box --cipher aes-xts-plain64 --key-file pw --socket s",
            1,
            "--cipher",
        ),
        ("serve box --skip 5 --key-file pw --socket s", 1, "--skip"),
        (
            "serve box --key-file pw --listen 0.0.0.0:0",
            1,
            "no loopback address",
        ),
        (
            "serve box --key-file pw --listen nonsense",
            1,
            "cannot listen at nonsense",
        ),
        (
            "serve box --key-file pw --socket s --insecure",
            1,
            "--listen",
        ),
        (
            "serve box --key-file pw --socket s --listen 127.0.0.1:0",
            1,
            "--socket",
        ),
        (
            "serve box --key-file pw --socket s --read-in-use",
            1,
            "--read-in-use",
        ),
        (
            "serve box --key-file pw --socket s --read-only --allow-discards",
            1,
            "--allow-discards does not go with --read-only",
        ),
        (
            "serve box --type plain --key-file key --socket s",
            1,
            "cipher",
        ),
        (
            "serve box --key-file pw --socket s --pid-file .",
            1,
            "cannot write .",
        ),
        (
            "serve box --key-file pw --socket s --pid-file raw",
            5,
            "cannot write raw",
        ),
    ] {
        let run = place.run(line).expect(code);
        assert!(run.stderr.contains(says), "{line}: {}", run.stderr);
        assert_eq!(
            place.names(),
            ["box", "key", "pw", "raw", "wrong"],
            "{line}"
        );
    }
    let plain = format!("serve box {PLAIN} --socket s");
    place.run(&plain).expect(1).says("holds a LUKS header");
    let run = place.sh("LISTEN_FDS=1 LISTEN_PID=$$ exec \"$LUKSMITH\" serve box --key-file pw");
    run.expect(1).says("$LISTEN_FDS");
    let run = place
        .sh("LISTEN_FDS=x LISTEN_PID=$$ exec \"$LUKSMITH\" serve box --key-file pw --socket s");
    run.expect(1).says("LISTEN_FDS");
}

/// The command's status is the program's, and its socket goes with it.
#[test]
fn a_command_is_served_to_its_end() {
    let place = with_a_box();
    let folder = place.path("run");
    fs::create_dir(&folder).expect("a folder");
    let run = |command: &str| {
        let mut serve = place.command("serve box --key-file pw --run");
        serve.arg(command).env("XDG_RUNTIME_DIR", &folder);
        crate::support::Run::from(serve.output().expect("the program starts"))
    };
    for (command, code) in [
        ("exit 0", 0),
        ("exit 7", 7),
        ("exit 255", 255),
        ("kill -9 $$", 137),
        (
            "test -S \"$unixsocket\" && test \"$uri\" = \"nbd+unix:///?socket=$unixsocket\"",
            0,
        ),
        ("test $(stat -c %a \"$unixsocket\") = 600", 0),
        ("test $(stat -c %a \"$(dirname \"$unixsocket\")\") = 700", 0),
        ("nonsense-that-is-no-program", 127),
    ] {
        run(command).expect(code);
        let left = fs::read_dir(&folder).expect("the folder").count();
        assert_eq!(left, 0, "{command}");
    }
    let said = run("echo out; echo err >&2").expect(0);
    assert_eq!((said.text(), said.stderr.as_str()), ("out\n", "err\n"));
    // With --socket the command gets that one.
    let mut serve = place.command("serve box --key-file pw --socket s --run");
    let served = serve
        .arg("test \"$unixsocket\" -ef s")
        .output()
        .expect("it starts");
    assert!(served.status.success());
    assert!(!place.path("s").exists());
    // A signal ends both.
    let mut serve = place.interruptible("serve box --key-file pw --socket s --run");
    let mut child = serve
        .arg("touch begun; exec sleep 1000")
        .spawn()
        .expect("the program starts");
    until(|| place.path("begun").exists());
    signal(child.id(), "TERM");
    assert_eq!(child.wait().expect("it ends").code(), Some(143));
}

#[test]
fn it_ends_with_its_parent_where_that_is_asked_for() {
    let place = with_a_box();
    let line = "\"$LUKSMITH\" serve box --key-file pw --socket s --pid-file pid --exit-with-parent -q & \
                until test -s pid; do sleep 0.1; done";
    place.sh(line).expect(0);
    until(|| !place.path("pid").exists() && !place.path("s").exists());
    place.run("decrypt box back --key-file pw").expect(0);
}

/// Other kinds of containers, and what is half way.
#[test]
fn every_kind_is_opened_in_the_background() {
    let place = plain_place(65_536);
    place.write("pw", "pw");
    place.run(&format!("encrypt raw p {PLAIN}")).expect(0);
    place
        .run(&format!("encrypt raw old -q --type luks1 {CHEAP}"))
        .expect(0);
    place
        .run(&format!("encrypt raw data -q --header head {CHEAP}"))
        .expect(0);
    place.write("passphrase", "words\n");
    let hashed = "--type plain --cipher aes-cbc-essiv:sha256 --key-size 256 --hash sha256";
    place
        .sh(&format!(
            "\"$LUKSMITH\" encrypt raw p2 {hashed} <passphrase"
        ))
        .expect(0);
    for line in [
        format!("serve p {PLAIN}"),
        format!("serve p2 {hashed}"),
        "serve old --key-file pw".to_owned(),
        "serve data --header head --key-file pw".to_owned(),
        "serve data --header head --key-file pw --read-only --size 64".to_owned(),
    ] {
        let words = format!("{line} --socket s --pid-file pid");
        let run = place.run_with(&words, b"words\n").expect(0);
        let size = if line.contains("--size") {
            "32 KiB, read-only"
        } else {
            "64 KiB"
        };
        assert!(
            run.text().contains(&format!(", {size}, served at")),
            "{}",
            run.text()
        );
        assert_eq!(greeting(&place, "s").len(), 18);
        signal(number_in(&place, "pid"), "TERM");
        until(|| !place.path("pid").exists());
    }
    let place = halfway::unpacked();
    let run = place
        .run("serve reencrypt-checksum-hot-torn --key-file pw --socket s --pid-file pid")
        .expect(0)
        .says("");
    assert!(
        run.stderr.contains("served for reading only"),
        "{}",
        run.stderr
    );
    assert!(run.text().contains("read-only"));
    signal(number_in(&place, "pid"), "TERM");
    until(|| !place.path("pid").exists());
}
