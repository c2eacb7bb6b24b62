//! `encrypt --in-place`, `decrypt --in-place`, `reencrypt` and `resume`: what they do, what they refuse and that nothing is
//! written then.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Place, Run, pattern};

const K: &str = "--key-file a";
const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";
/// A header that takes little.
const SMALL: &str = "--luks2-metadata-size 16K --luks2-keyslots-size 768K --offset 2048";
const BYTES: usize = 3 << 20;

/// An image of 3 MiB in `raw` and in `d`, and passphrases in `a` and `b`.
fn place() -> Place {
    let place = Place::new();
    place.write("a", "passphrase a");
    place.write("b", "passphrase b");
    place.write("raw", pattern(BYTES));
    place.write("d", pattern(BYTES));
    place
}

/// The same with `d` encrypted.
fn encrypted() -> Place {
    let place = place();
    place
        .run(&format!("encrypt --in-place d {K} {CHEAP} {SMALL}"))
        .expect(0);
    place
}

/// The image decrypts to what is in `raw`.
#[track_caller]
pub fn assert_holds(place: &Place, image: &str, key: &str) {
    let run = place.run(&format!("decrypt {image} - --key-file {key}"));
    let run = run.expect(0);
    assert!(run.stdout == place.read("raw"), "{image}");
}

#[test]
fn an_image_is_encrypted_given_a_new_key_and_decrypted_again() {
    let place = encrypted();
    assert_eq!(place.read("d").len(), BYTES + (1 << 20));
    assert_eq!(place.names(), ["a", "b", "d", "raw"]);
    assert_holds(&place, "d", "a");
    place
        .run(&format!("key export d {K} --volume-key-file old -q"))
        .expect(0);
    let run = place.run(&format!("reencrypt d {K} {CHEAP}")).expect(0);
    assert!(run.text().starts_with("d: reencrypted, luks2, aes-xts-plain64, key of 512 bits, sectors of 512 bytes, 3 MiB of data; opened by keyslot 1"), "{}", run.text());
    place
        .run(&format!("key export d {K} --volume-key-file new -q"))
        .expect(0);
    assert!(place.read("old") != place.read("new"));
    assert_holds(&place, "d", "a");
    place.run(&format!("decrypt --in-place d {K}")).expect(0);
    assert!(place.read("d") == place.read("raw"));
    assert_eq!(place.names(), ["a", "b", "d", "new", "old", "raw"]);
}

#[test]
fn a_detached_header_stays_apart_and_goes_at_the_end() {
    let place = place();
    place
        .run(&format!(
            "encrypt --in-place d --header h {K} {CHEAP} --resilience journal"
        ))
        .expect(0);
    assert_eq!(place.read("d").len(), BYTES);
    assert!(place.read("d") != place.read("raw"));
    let run = place.run(&format!("decrypt d - --header h {K}")).expect(0);
    assert!(run.stdout == place.read("raw"));
    place
        .run(&format!("reencrypt d --header h {K} {CHEAP} --sector-size 4096 --cipher aes-cbc-essiv:sha256 --key-size 256"))
        .expect(0);
    let run = place.run(&format!("decrypt d - --header h {K}")).expect(0);
    assert!(run.stdout == place.read("raw"));
    place
        .run(&format!("decrypt --in-place d --header h {K}"))
        .expect(0);
    assert!(place.read("d") == place.read("raw"));
    assert_eq!(place.names(), ["a", "b", "d", "raw"]);
}

/// Priorities and tokens move along, and each passphrase opens what it opened.
#[test]
fn every_keyslot_is_kept_or_one() {
    let place = place();
    place
        .run(&format!("encrypt --in-place d {K} {CHEAP} --offset 8192"))
        .expect(0);
    for line in [
        format!("key add d {K} --new-keyfile b {CHEAP}"),
        "header config d -S 1 --priority prefer".to_owned(),
        "token add d --key-description x -S 1".to_owned(),
    ] {
        place.run(&line).expect(0);
    }
    let before = place.read("d");
    place
        .run(&format!("reencrypt d {K} {CHEAP}"))
        .expect(1)
        .says("d has several keyslots in use (0, 1), and one key is given")
        .advises("--key-slot N keeps that one");
    // The second one is another one's.
    place
        .run_with(
            &format!("reencrypt d {CHEAP}"),
            b"passphrase a\npassphrase a\n",
        )
        .expect(2);
    assert!(place.read("d") == before);
    place
        .run_with(
            &format!("reencrypt d {CHEAP}"),
            b"passphrase a\npassphrase b\n",
        )
        .expect(0);
    assert_holds(&place, "d", "a");
    assert_holds(&place, "d", "b");
    let keyslots = place.run("key list d --json").expect(0);
    let keyslots: Value = serde_json::from_str(keyslots.text()).expect("JSON");
    let keyslots = keyslots["keyslots"].as_array().expect("a list").clone();
    let priorities: Vec<_> = keyslots.iter().map(|slot| &slot["priority"]).collect();
    assert_eq!(priorities, ["normal", "prefer"]);
    let token = place.run("token export d --token-id 0").expect(0);
    assert!(token.text().contains("[\"3\"]"), "{}", token.text());

    let before = place.read("d");
    place
        .run(&format!("reencrypt d --key-file b -S 3 {CHEAP}"))
        .expect(1)
        .says("Keyslots of d that go, with their passphrases: 2.");
    assert!(place.read("d") == before);
    let run = place
        .run(&format!("reencrypt d --key-file b -S 3 {CHEAP} -q --json"))
        .expect(0);
    let report: Value = serde_json::from_str(run.text()).expect("JSON");
    assert_eq!(report["dropped"], serde_json::json!([2]));
    assert_holds(&place, "d", "b");
    place.run("decrypt d - --key-file a").expect(2);
}

/// What is refused, with no byte of anything changed.
#[test]
fn what_is_refused_changes_nothing() {
    let place = encrypted();
    place
        .sh("mkdir folder; mkfifo pipe; printf x >odd; : >empty; cp raw r")
        .expect(0);
    for (line, code, says) in [
        ("resume d K", 1, "no reencryption is in progress"),
        ("resume r K", 4, "not a LUKS container"),
        ("resume folder K", 4, "folder is a directory"),
        ("resume pipe K", 1, "pipe is a stream"),
        ("resume d --key-file b", 2, "no key fits"),
        ("reencrypt d --key-file b CHEAP", 2, "no key fits"),
        (
            "reencrypt d K CHEAP --keep-key",
            1,
            "nothing of d would change",
        ),
        (
            "reencrypt d K CHEAP --cipher cipher_null-ecb --allow-weak-cipher",
            1,
            "the null cipher encrypts nothing",
        ),
        (
            "reencrypt d K CHEAP --cipher nonsense-xts-plain64",
            1,
            "nonsense",
        ),
        ("reencrypt d K CHEAP --key-size 136", 1, ""),
        (
            "reencrypt d K CHEAP --sector-size 1000",
            1,
            "sector size 1000 is none of",
        ),
        (
            "reencrypt d K CHEAP --hotzone-size 1000",
            1,
            "a hot zone of 1000 bytes is no multiple of 512",
        ),
        (
            "reencrypt d K CHEAP --hotzone-size 1T",
            1,
            "larger than what can be protected",
        ),
        (
            "reencrypt d K CHEAP --resilience-hash nonsense",
            1,
            "nonsense",
        ),
        (
            "reencrypt d K CHEAP --resilience journal --resilience-hash sha1",
            1,
            "--resilience-hash does not go with",
        ),
        (
            "reencrypt d K CHEAP --resilience none",
            1,
            "Nothing will protect d while it is written",
        ),
        (
            "reencrypt d K CHEAP --device-size 1M",
            1,
            "behind the first 1048576 bytes 2097152 more would become noise",
        ),
        (
            "reencrypt d K CHEAP --device-size 1000 --force",
            1,
            "no whole number of sectors",
        ),
        (
            "reencrypt d K CHEAP --device-size 1G --force",
            1,
            "more than the data",
        ),
        ("reencrypt d K CHEAP -S 5", 1, "keyslot 5 is not in use"),
        ("reencrypt d K CHEAP --dry-run", 0, ""),
        ("reencrypt r K CHEAP", 4, "not a LUKS container"),
        (
            "encrypt --in-place d K CHEAP",
            1,
            "d holds a LUKS header, where a raw image is meant",
        ),
        ("encrypt --in-place d K CHEAP --header d", 5, "d exists"),
        ("encrypt --in-place r K CHEAP --header a", 5, "a exists"),
        (
            "encrypt --in-place r K CHEAP --type plain",
            1,
            "--in-place does not go with a plain container",
        ),
        (
            "encrypt --in-place r K CHEAP --type luks1 --sector-size 4096",
            1,
            "LUKS1 has no way to say sector size 4096",
        ),
        (
            "reencrypt d K CHEAP --keep-key --hash sha1",
            1,
            "--keep-key of a LUKS2 container does not go with --hash",
        ),
        (
            "encrypt --in-place odd K CHEAP",
            1,
            "odd: 1 bytes are no multiple of the sector size 512",
        ),
        (
            "encrypt --in-place r K CHEAP --cipher cipher_null-ecb",
            1,
            "what is encrypted is not given it",
        ),
        ("encrypt --in-place empty K CHEAP", 1, "empty is empty"),
        ("encrypt --in-place pipe K CHEAP", 1, "pipe is a stream"),
        (
            "encrypt --in-place r K CHEAP --reduce-device-size 4M",
            1,
            "all that it has",
        ),
        (
            "encrypt --in-place r K CHEAP --reduce-device-size 32K",
            1,
            "",
        ),
        ("encrypt --in-place r K CHEAP --dry-run", 0, ""),
        (
            "encrypt --in-place r --key-file empty CHEAP",
            1,
            "the key is empty",
        ),
        (
            "encrypt r x --init-only K CHEAP",
            1,
            "--init-only does not go with a new image",
        ),
        ("decrypt --in-place r K", 4, "not a LUKS container"),
        ("decrypt --in-place d K --header a", 5, "a exists"),
        ("decrypt --in-place d --key-file b", 2, "no key fits"),
        ("decrypt --in-place d K --dry-run", 0, ""),
    ] {
        let before = [place.read("d"), place.read("r"), place.read("a")];
        let names = place.names();
        let words = line.split(' ').map(|word| match word {
            "K" => K,
            "CHEAP" => CHEAP,
            word => word,
        });
        let line = words.collect::<Vec<_>>().join(" ");
        let run = place.run(&line);
        let run = run.expect(code);
        if code != 0 {
            let run = run.says(says);
            // What the verb does not take is no advice.
            for option in ["--pad", "--allow-empty ", "--allow-weak-cipher"] {
                assert!(!run.stderr.contains(option), "{line}: {}", run.stderr);
            }
        }
        assert!(
            before == [place.read("d"), place.read("r"), place.read("a")],
            "{line}"
        );
        assert_eq!(place.names(), names, "{line}");
    }
}

/// An image in the middle of a job takes no other one.
#[test]
fn an_image_that_is_under_way_is_only_resumed() {
    let place = encrypted();
    place
        .run(&format!("reencrypt d {K} {CHEAP} --init-only"))
        .expect(0);
    let before = place.read("d");
    for (line, code) in [
        (format!("reencrypt d {K} {CHEAP}"), 1),
        (format!("reencrypt d {K} {CHEAP} --init-only"), 1),
        (format!("encrypt --in-place d {K} {CHEAP}"), 1),
        (format!("decrypt --in-place d {K}"), 1),
    ] {
        place
            .run(&line)
            .expect(code)
            .says("d is in the middle of a reencryption already")
            .advises("luksmith resume d goes on");
        assert!(place.read("d") == before, "{line}");
    }
    place.run(&format!("resume d {K} --dry-run")).expect(0);
    place
        .run(&format!("resume d {K} --hotzone-size 100"))
        .expect(1);
    place.run("resume d --key-file b").expect(2);
    assert!(place.read("d") == before);
    let run = place
        .run(&format!("resume d {K} --resilience journal --json"))
        .expect(0);
    let report: Value = serde_json::from_str(run.text()).expect("JSON");
    assert_eq!(report["state"], "finished");
    assert_holds(&place, "d", "a");
}

/// A file system with smaller blocks is found in the plaintext, offline as it is.
#[test]
fn sectors_are_no_larger_than_the_blocks_of_what_is_in_them() {
    let place = Place::new();
    place.write("a", "passphrase a");
    let mut image = vec![0; BYTES];
    // An ext2 file system with blocks of 1024 bytes.
    image[1024 + 0x38..][..2].copy_from_slice(&[0x53, 0xef]);
    image[1024 + 0x04..][..4].copy_from_slice(&3072_u32.to_le_bytes());
    image[1024 + 0x4c..][..4].copy_from_slice(&1_u32.to_le_bytes());
    image[1024 + 0x58..][..2].copy_from_slice(&128_u16.to_le_bytes());
    place.write("raw", &image);
    place.write("d", &image);
    place
        .run(&format!(
            "encrypt --in-place d {K} {CHEAP} {SMALL} --sector-size 4096"
        ))
        .expect(1)
        .says("blocks of 1024 bytes");
    // Its end must stay.
    let run = place
        .run(&format!(
            "encrypt --in-place d {K} {CHEAP} --reduce-device-size 2M"
        ))
        .expect(4);
    run.says("the last 2097152 bytes of d are to be given up, and an ext2 file system has some of them, up to byte 3145728");
    assert!(place.read("d") == image);
    place
        .run(&format!("encrypt --in-place d {K} {CHEAP} {SMALL}"))
        .expect(0);
    let before = place.read("d");
    place
        .run(&format!("reencrypt d {K} {CHEAP} --sector-size 2048"))
        .expect(1)
        .says("blocks of 1024 bytes");
    assert!(place.read("d") == before);
    place
        .run(&format!("reencrypt d {K} {CHEAP} --sector-size 1024"))
        .expect(0);
    place
        .run(&format!(
            "reencrypt d {K} {CHEAP} --sector-size 2048 --allow-any-sector-size"
        ))
        .expect(0);
    assert_holds(&place, "d", "a");
}

/// The file's end is given up where that is asked for, and the volume ends in what was there.
#[test]
fn the_end_is_given_up_where_that_is_asked_for() {
    let place = place();
    place
        .run(&format!(
            "encrypt --in-place d {K} {CHEAP} --reduce-device-size 2M"
        ))
        .expect(0);
    assert_eq!(place.read("d").len(), BYTES);
    let run = place.run(&format!("decrypt d - {K}")).expect(0);
    assert_eq!(run.stdout.len(), 2 << 20);
    assert!(run.stdout[..1 << 20] == place.read("raw")[..1 << 20]);
}

/// A header file beside an image is found; one of another image is not taken.
#[test]
fn a_header_file_is_found_and_held_against_the_image() {
    let place = encrypted();
    place
        .run(&format!("decrypt --in-place d {K} --init-only"))
        .expect(0);
    let half = place.read("d");
    assert!(place.path("d.luks-header").exists());
    place
        .run(&format!("decrypt --in-place d {K}"))
        .expect(4)
        .says("d is in the middle of a job that d.luks-header tells of")
        .advises("luksmith resume d --header d.luks-header goes on");
    for verb in [
        "inspect d",
        "key test d --key-file a",
        "reencrypt d --key-file a",
    ] {
        place
            .run(verb)
            .expect(4)
            .says("d: not a LUKS container")
            .advises("its header is in d.luks-header: luksmith resume d goes on");
    }
    // Another image's name.
    place.write("other", pattern(BYTES));
    place
        .sh("cp d.luks-header other.luks-header; truncate -s 1M other")
        .expect(0);
    place.run(&format!("resume other {K}")).expect(4);
    assert!(place.read("d") == half);
    place.run(&format!("resume d {K}")).expect(0);
    assert!(place.read("d") == place.read("raw"));
    assert!(!place.path("d.luks-header").exists());
}

/// SIGINT and SIGTERM end it between two commits, with the command that goes on.
#[test]
fn a_signal_ends_it_between_two_commits() {
    let place = Place::new();
    place.write("a", "passphrase a");
    place.sh("truncate -s 64M raw").expect(0);
    place
        .run(&format!("encrypt raw d {K} {CHEAP} --sector-size 512"))
        .expect(0);
    for signal in ["TERM", "INT"] {
        let before = epoch(&place);
        let mut command = place.interruptible(&format!(
            "{} d {K} --hotzone-size 512",
            if signal == "TERM" {
                format!("reencrypt {CHEAP}")
            } else {
                "resume".to_owned()
            }
        ));
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        wait_until("nothing is committed", || epoch(&place) > before + 3);
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{signal} {}", child.id())])
            .status();
        assert!(sent.expect("a shell starts").success());
        let run: Run = child.wait_with_output().expect("it ends").into();
        run.expect(1)
            .says("bytes of d are still to be done")
            .advises("luksmith resume d goes on");
    }
    place.run(&format!("resume d {K}")).expect(0);
    place.run(&format!("compare raw d {K}")).expect(0);
}

/// One that cannot go on to its next commit is ended by a signal that comes a second later; nothing is lost.
#[test]
fn a_second_signal_ends_it_at_once() {
    let place = Place::new();
    place.write("a", "passphrase a");
    place.sh("truncate -s 16M raw").expect(0);
    place.run(&format!("encrypt raw d {K} {CHEAP}")).expect(0);
    for (signal, number) in [("TERM", 15), ("INT", 2)] {
        let before = epoch(&place);
        let verb = if signal == "TERM" {
            format!("reencrypt {CHEAP}")
        } else {
            "resume".to_owned()
        };
        let mut command = place.interruptible(&format!("{verb} d {K} --hotzone-size 4K"));
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        wait_until("nothing is committed", || epoch(&place) > before + 3);
        // It stands still while they come.
        let header = fs::File::open(place.path("d")).expect("the image");
        header.lock().expect("its header's lock");
        wait_until("it does not wait for the lock", || waits(child.id()));
        let start = Instant::now();
        let mut sent = 0;
        let status = loop {
            let line = format!("kill -{signal} {}", child.id());
            let killed = Command::new("sh").args(["-c", &line]).status();
            assert!(killed.expect("a shell starts").success());
            sent += 1;
            std::thread::sleep(Duration::from_millis(1100));
            if let Some(status) = child.try_wait().expect("a process of ours") {
                break status;
            }
            assert!(
                start.elapsed() < Duration::from_secs(120),
                "it does not end"
            );
        };
        drop(header);
        assert_eq!(status.signal(), Some(number));
        assert!(sent >= 2, "the first one ended it");
    }
    place.run(&format!("resume d {K}")).expect(0);
    place.run(&format!("compare raw d {K}")).expect(0);
}

/// Whether a process waits for a lock of a file.
fn waits(process: u32) -> bool {
    let locks = fs::read_to_string("/proc/locks").expect("the kernel tells of locks");
    let process = process.to_string();
    locks.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.any(|word| word == "->") && words.nth(3).is_some_and(|word| word == process)
    })
}

fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < Duration::from_secs(120), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The count of changes of the primary header.
fn epoch(place: &Place) -> u64 {
    let bytes = fs::File::open(place.path("d")).and_then(|file| {
        use std::os::unix::fs::FileExt;
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, 16)?;
        Ok(bytes)
    });
    u64::from_be_bytes(bytes.expect("a header"))
}
