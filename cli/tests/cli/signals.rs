//! An interrupted command ends at once, by that signal, and leaves nothing.

use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::crafted::Crafted;
use crate::support::{PLAIN, Place, Run, golden, plain_place};

/// Waits until something is true, which it becomes soon or never.
fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}");
        sleep(Duration::from_millis(5));
    }
}

/// Sends `signal` and waits for the end: its exit code as a shell reports it, and how long it took.
fn interrupt(child: Child, signal: &str) -> (Run, Duration) {
    let start = Instant::now();
    let sent = Command::new("sh")
        .args(["-c", &format!("kill -{signal} {}", child.id())])
        .status();
    assert!(sent.expect("a shell starts").success());
    let output = child.wait_with_output().expect("the program ends");
    (output.into(), start.elapsed())
}

/// A source of 64 GiB takes longer than any test waits.
fn long_work(place: &Place, arguments: &str) -> Child {
    place.sh("truncate -s 64G sparse").expect(0);
    let mut command = place.interruptible(arguments);
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    wait_until("no temporary file", || {
        place.names().iter().any(|name| name.starts_with(".box."))
    });
    child
}

#[test]
fn a_temporary_file_goes() {
    for (signal, number) in [
        ("HUP", 1),
        ("INT", 2),
        ("QUIT", 3),
        ("TRAP", 5),
        ("ABRT", 6),
        ("USR1", 10),
        ("USR2", 12),
        ("ALRM", 14),
        ("TERM", 15),
        ("16", 16),
        ("XCPU", 24),
        ("VTALRM", 26),
        ("PROF", 27),
        ("IO", 29),
        ("PWR", 30),
        ("SYS", 31),
        ("34", 34),
        ("64", 64),
    ] {
        let place = plain_place(512);
        let child = long_work(&place, &format!("decrypt sparse box {PLAIN}"));
        let (run, took) = interrupt(child, signal);
        assert_eq!(run.code, 128 + number, "{signal}");
        assert!(took < Duration::from_secs(30), "{took:?}");
        assert_eq!(place.names(), ["key", "raw", "sparse"], "{signal}");
    }
}

#[test]
fn memory_that_ends_is_an_error_like_others() {
    let place = plain_place(1 << 20);
    // With a backtrace the runtime asks for memory to say that there is none, and waits for itself for ever.
    let limited = |kib: u32, arguments: &str| {
        place.sh(&format!(
            "unset RUST_BACKTRACE RUST_LIB_BACKTRACE; ulimit -v {kib}; exec \"$LUKSMITH\" {arguments} 2>&1"
        ))
    };
    // Below it not even the loader and the runtime have what they need.
    let start = (1..2000)
        .map(|step| step * 1024)
        .find(|kib| limited(*kib, "--version").code == 0)
        .expect("a limit that is enough");
    let mut codes = Vec::new();
    for kib in (start..start + 12 * 1024).step_by(256) {
        for verb in ["encrypt", "decrypt"] {
            let run = limited(kib, &format!("{verb} raw box {PLAIN}"));
            assert!(
                [0, 1, 3].contains(&run.code),
                "{kib}: {verb}: {}",
                run.text()
            );
            if run.code == 0 {
                fs::remove_file(place.path("box")).expect("what was made");
            }
            assert_eq!(
                place.names(),
                ["key", "raw"],
                "{kib}: {verb}: {}",
                run.text()
            );
            codes.push(run.code);
        }
    }
    assert!(codes.contains(&3), "{codes:?}");
}

#[test]
fn the_old_file_stays() {
    let place = plain_place(512);
    place.write("box", "precious");
    let child = long_work(&place, &format!("decrypt sparse box {PLAIN} --force"));
    interrupt(child, "TERM").0.expect(143);
    assert_eq!(place.names(), ["box", "key", "raw", "sparse"]);
    assert_eq!(place.read("box"), b"precious");
}

#[test]
fn a_source_that_blocks_does_not_hold_it_up() {
    let place = plain_place(512);
    place.sh("mkfifo pipe").expect(0);
    // The shell keeps the pipe open and writes no more than is looked at first.
    let mut command = Command::new("sh");
    let line = format!("exec 9<>pipe; exec \"$LUKSMITH\" encrypt pipe box {PLAIN} 9<&-");
    command
        .args(["-c", &line])
        .current_dir(place.path(""))
        .env("LUKSMITH", env!("CARGO_BIN_EXE_luksmith"));
    let mut keep = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(place.path("pipe"))
        .expect("the pipe");
    let child = command
        .stderr(Stdio::piped())
        .spawn()
        .expect("a shell starts");
    keep.write_all(&vec![0; 200_000])
        .expect("the program reads");
    wait_until("no temporary file", || {
        place.names().iter().any(|name| name.starts_with(".box."))
    });
    let (run, took) = interrupt(child, "TERM");
    drop(keep);
    assert_eq!(run.code, 143);
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(place.names(), ["key", "pipe", "raw"]);
}

/// Of several clones none is there before all that were read at once are proven. What tells of them is, and is empty.
#[test]
fn an_interrupted_clone_is_not_there() {
    for (line, left) in [
        (
            "clone sparse box --source-type raw --recovery-key recovery --pbkdf-force-iterations 1000",
            &["key", "keys", "raw", "sparse"][..],
        ),
        // The second key derivation begins behind the first file.
        (
            "clone raw . --source-type raw --count 16 --name-pattern box.{index} --recovery-key-dir keys --manifest list \
             --pbkdf-force-iterations 5000000",
            &["key", "keys", "list", "raw", "sparse"],
        ),
    ] {
        let place = plain_place(512);
        place.sh("mkdir keys").expect(0);
        let child = long_work(&place, &format!("{line} --pbkdf pbkdf2 --new-keyfile key"));
        interrupt(child, "INT").0.expect(130);
        assert_eq!(place.names(), left, "{line}");
        let keys = fs::read_dir(place.path("keys")).expect("a folder");
        assert_eq!(keys.count(), 0, "{line}");
        if left.contains(&"list") {
            assert_eq!(place.read("list"), b"");
        }
    }
}

#[test]
fn an_ignored_signal_stays_ignored() {
    let place = plain_place(512);
    place.sh("truncate -s 64M sparse").expect(0);
    let line = format!(
        "trap '' HUP; \"$LUKSMITH\" decrypt sparse box {PLAIN} & \
         while [ ! -e .box.* ] && [ ! -e box ]; do sleep 0.01; done 2>/dev/null; kill -HUP $! 2>/dev/null; wait $!"
    );
    place.sh(&line).expect(0);
    assert!(place.path("box").exists());
}

#[test]
fn a_long_key_derivation_ends_at_once() {
    for cost in [
        "--pbkdf pbkdf2 --pbkdf-force-iterations 1100000000",
        "--pbkdf argon2id --pbkdf-force-iterations 4500 --pbkdf-memory 65536 --pbkdf-parallel 2",
    ] {
        let place = plain_place(512);
        let mut command = place.interruptible(&format!("encrypt raw box --key-file key {cost}"));
        let child = command
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        sleep(Duration::from_millis(300));
        let (run, took) = interrupt(child, "TERM");
        assert_eq!(run.code, 143, "{cost}: {}", run.stderr);
        assert!(took < Duration::from_secs(1), "{cost}: {took:?}");
        assert_eq!(place.names(), ["key", "raw"]);
    }
}

/// What a header may ask for takes hours here, because the user allows it; a signal ends it all the same.
#[test]
fn b1_a_long_unlock_that_is_allowed_ends_at_once_and_changes_nothing() {
    let mut luks1 = golden("luks1/xts-256-sha1.img.xz");
    // The iterations of keyslot 0.
    luks1[212..216].copy_from_slice(&u32::MAX.to_be_bytes());
    let mut luks2 = Crafted::argon2id();
    luks2.json["keyslots"]["0"]["kdf"]["time"] = u32::MAX.into();
    let mut longest = Duration::ZERO;
    let mut count = 0;
    for image in [luks1, luks2.bytes()] {
        for verb in [
            "key test box --key-file pw",
            "decrypt box back --key-file pw",
            "key change box --key-file pw --new-keyfile new -q",
        ] {
            for (signal, number) in [("TERM", 15), ("INT", 2)] {
                let place = Place::new();
                place.write("box", &image);
                place.write("pw", "golden");
                place.write("new", "new");
                let names = place.names();
                let mut command =
                    place.interruptible(&format!("{verb} --max-kdf-time 1099511627776"));
                let child = command
                    .stderr(Stdio::piped())
                    .spawn()
                    .expect("the program starts");
                sleep(Duration::from_millis(300));
                let (run, took) = interrupt(child, signal);
                assert_eq!(run.code, 128 + number, "{verb}: {}", run.stderr);
                assert!(took < Duration::from_secs(2), "{verb}: {took:?}");
                assert!(place.read("box") == image, "{verb}");
                assert_eq!(place.names(), names, "{verb}");
                longest = longest.max(took);
                count += 1;
            }
        }
    }
    println!("cases: interrupted unlocks {count} passed, 0 failed (the longest took {longest:?})");
}
