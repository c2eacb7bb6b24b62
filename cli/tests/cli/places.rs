//! Where a job writes: what was looked at, and nothing that it reads, that somebody else uses, or that took its place.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use volume::{Access, FileStorage, ImageRole};

use crate::support::{Place, Run};

const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";

fn place() -> Place {
    let place = Place::new();
    place.write("pw", "passphrase");
    place.write("other", "other passphrase");
    place.write("raw", vec![0x5a; 1 << 20]);
    let small = "--luks2-metadata-size 16K --luks2-keyslots-size 1M";
    place
        .run(&format!("encrypt raw box --key-file pw {small} {CHEAP}"))
        .expect(0);
    place
}

/// A job that waits for its key, after it has looked at everything else.
struct Waiting {
    job: Child,
    key: File,
}

impl Waiting {
    fn start(place: &Place, line: &str) -> Self {
        let fifo = place.path("fifo");
        if !fifo.exists() {
            place.sh("mkfifo -m 600 fifo").expect(0);
        }
        let job = place
            .command(line)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        // Opened for writing as soon as the job has opened it for reading.
        let key = File::options().write(true).open(fifo).expect("a pipe");
        Self { job, key }
    }

    fn end(mut self) -> Run {
        self.key.write_all(b"passphrase").expect("a reader");
        drop(self.key);
        self.job.wait_with_output().expect("the job ends").into()
    }
}

fn inode(path: &Path) -> u64 {
    path.symlink_metadata().expect("a file").ino()
}

#[test]
fn a_descriptor_that_nobody_opened_gives_no_key() {
    let place = place();
    let closed = "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; \"$LUKSMITH\"";
    for number in 3..=9 {
        for line in [
            format!("encrypt raw made {CHEAP} --key-fd {number}"),
            format!("encrypt raw made {CHEAP} --key-fd={number} --keyfile-size 32"),
            format!("encrypt raw made {CHEAP} --key-file /dev/fd/{number}"),
            format!("key add box --key-file pw --new-key-fd {number} {CHEAP}"),
            format!("key add box --key-file pw --new-keyfile /proc/self/fd/{number} {CHEAP}"),
            format!("decrypt box back --key-fd {number}"),
            format!("key test /dev/fd/{number} --key-file pw"),
        ] {
            let says = format!("descriptor {number} is not open");
            place.sh(&format!("{closed} {line}")).expect(1).says(&says);
        }
        let line = format!("cryptsetup luksAddKey box {CHEAP} --key-file /dev/fd/{number} other");
        let says = format!("Descriptor {number} is not open.");
        place.sh(&format!("{closed} {line}")).expect(1).says(&says);
    }
    assert!(!place.path("made").exists() && !place.path("back").exists());
    place
        .sh("\"$LUKSMITH\" decrypt box back --key-fd 5 5<pw")
        .expect(0);
    assert!(place.read("back") == place.read("raw"));
}

#[test]
fn nothing_that_is_read_is_written() {
    let place = place();
    place.write("vk", [7; 64]);
    let create = format!("create --force --payload-size 1M {CHEAP}");
    let names = ["box", "pw", "raw", "vk", "other"];
    let before: Vec<_> = names.iter().map(|name| place.read(name)).collect();
    fs::hard_link(place.path("pw"), place.path("link")).expect("a link");
    for (line, says) in [
        (
            format!("{create} pw --key-file pw"),
            "is the key file itself",
        ),
        (
            format!("{create} link --key-file pw"),
            "is the key file itself",
        ),
        (
            format!("{create} made --header pw --key-file pw"),
            "is the key file itself",
        ),
        (format!("{create} pw <pw"), "is the key file itself"),
        (
            format!("{create} pw --key-fd 5 5<pw"),
            "is the key file itself",
        ),
        (
            format!("{create} vk --key-file pw --volume-key-file vk"),
            "is the volume key file itself",
        ),
        (
            format!("encrypt raw raw --force --key-file pw {CHEAP}"),
            "is the source itself",
        ),
        (
            format!("encrypt raw raw2 --force --header raw --key-file pw {CHEAP}"),
            "is the source itself",
        ),
        (
            "decrypt box box --force --key-file pw".to_owned(),
            "is the source itself",
        ),
        (
            "decrypt box pw --force --key-file pw".to_owned(),
            "is the key file itself",
        ),
        (
            "decrypt box raw --force --key-file pw --policy raw".to_owned(),
            "is the policy itself",
        ),
        (
            format!("key add box --key-file pw --new-keyfile box {CHEAP}"),
            "is the new key file itself",
        ),
        (
            format!("key change box --key-file pw --new-keyfile box {CHEAP}"),
            "is the new key file itself",
        ),
        (
            "key remove box --key-file box".to_owned(),
            "is the key file itself",
        ),
        (
            "token import box --json-file box".to_owned(),
            "is the token file itself",
        ),
        (
            "header restore box -q --header-backup-file box".to_owned(),
            "is the backup itself",
        ),
        (
            format!("cryptsetup luksAddKey box box --key-file pw {CHEAP}"),
            "is the key file itself",
        ),
        (
            format!("cryptsetup luksFormat -q raw --key-file raw {CHEAP}"),
            "is the key file itself",
        ),
        (
            "cryptsetup luksHeaderRestore -q box --header-backup-file box".to_owned(),
            "is the backup itself",
        ),
        (
            "cryptsetup token export --token-id 0 --json-file box box".to_owned(),
            "Failed to get token 0",
        ),
    ] {
        place
            .sh(&format!("\"$LUKSMITH\" {line}"))
            .expect(1)
            .says(says);
    }
    for (name, before) in names.iter().zip(before) {
        assert!(place.read(name) == before, "{name}");
    }
    assert!(!place.path("made").exists() && !place.path("raw2").exists());
}

#[test]
fn a_file_that_somebody_writes_is_not_replaced() {
    let place = place();
    place.write("busy", vec![1; 1 << 20]);
    let before = inode(&place.path("busy"));
    let open = FileStorage::open(&place.path("busy"), Access::ReadWrite).expect("a file");
    let lock = open.lock_image(ImageRole::Writer).expect("a lock");
    let lines = [
        format!("encrypt raw busy --force --key-file pw {CHEAP}"),
        format!("encrypt raw data --header busy --force --key-file pw {CHEAP}"),
        format!("create busy --payload-size 1M --force --key-file pw {CHEAP}"),
        "decrypt box busy --force --key-file pw".to_owned(),
    ];
    for line in &lines {
        place.run(line).expect(5).says("busy is in use");
    }
    assert_eq!(inode(&place.path("busy")), before);
    assert!(!place.path("data").exists());
    drop(lock);
    place.run(&lines[0]).expect(0);
    assert_ne!(inode(&place.path("busy")), before);
}

#[test]
fn what_takes_the_place_of_a_destination_is_left_alone() {
    let place = place();
    let encrypt = format!("encrypt raw out --key-file fifo {CHEAP}");
    let exchanged = |line: &str, make: &str, exchange: &str| {
        place
            .sh(&format!("rm -rf out other-file victim; {make}"))
            .expect(0);
        place.write("victim", "precious");
        let waiting = Waiting::start(&place, line);
        place.sh(exchange).expect(0);
        let run = waiting.end();
        assert_eq!(place.read("victim"), b"precious", "{make}; {exchange}");
        run
    };
    let force = format!("{encrypt} --force");
    for (line, make, exchange) in [
        (&encrypt, "mkfifo out", "rm out; ln -s victim out"),
        (&encrypt, "mkfifo out", "rm out; ln victim out"),
        (&encrypt, "mkfifo out", "rm out; mkfifo out"),
        (&encrypt, "mkfifo out", "rm out"),
        (&encrypt, "ln -s /dev/null out", "rm out; ln -s victim out"),
        (&force, "echo old >out", "rm out; ln victim out"),
        (&force, "echo old >out", "rm out; ln -s victim out"),
    ] {
        exchanged(line, make, exchange)
            .expect(5)
            .says("out was exchanged meanwhile");
    }
    exchanged(&encrypt, "true", "ln -s victim out")
        .expect(5)
        .says("out exists");

    // The folder that was looked at is the one that is written to, wherever its name leads.
    place.sh("rm -f out; mkdir folder").expect(0);
    let line = format!("encrypt raw folder/out --key-file fifo {CHEAP}");
    let waiting = Waiting::start(&place, &line);
    place
        .sh("mv folder moved; mkdir folder; echo theirs >folder/out")
        .expect(0);
    waiting.end().expect(0);
    assert_eq!(place.read("folder/out"), b"theirs\n");
    place.run("key test moved/out --key-file pw").expect(0);
}

#[test]
fn data_and_their_header_appear_together_or_not_at_all() {
    let place = place();
    let line = |key: &str, force: &str| {
        format!("encrypt raw data --header head --key-file {key} {CHEAP} {force}")
    };
    // Somebody takes one of the names while the job runs.
    for (taken, free) in [("data", "head"), ("head", "data")] {
        let waiting = Waiting::start(&place, &line("fifo", ""));
        place.write(taken, "theirs");
        waiting.end().expect(5).says(&format!("{taken} exists"));
        assert!(!place.path(free).exists());
        assert_eq!(place.read(taken), b"theirs");
        fs::remove_file(place.path(taken)).expect("it goes");
    }
    // One that is there is replaced, and is as before where the other fails.
    place.write("head", "old");
    let waiting = Waiting::start(&place, &line("fifo", "--force"));
    place.write("data", "theirs");
    waiting.end().expect(5).says("data exists");
    assert_eq!(place.read("head"), b"old");
    fs::remove_file(place.path("data")).expect("it goes");
    place.run(&line("pw", "--force")).expect(0);
    place
        .run("decrypt data back --header head --key-file pw")
        .expect(0);
    // Two are not.
    let before = (place.read("data"), place.read("head"));
    place
        .run(&line("other", "--force"))
        .expect(5)
        .says("data and head exist: two files cannot be replaced in one step");
    assert!((place.read("data"), place.read("head")) == before);
    fs::remove_file(place.path("head")).expect("it goes");
    place.run(&line("other", "--force")).expect(0);
    place
        .run("decrypt data again --header head --key-file other")
        .expect(0);
    assert!(place.read("again") == place.read("raw"));
    let names = place.names();
    assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
}

/// Waits until somebody waits for a lock on a file.
fn until_waited_for(path: &Path) {
    let number = format!(":{} ", inode(path));
    let start = Instant::now();
    loop {
        let locks = fs::read_to_string("/proc/locks").expect("the kernel's table");
        let is_it = |line: &str| line.contains("-> FLOCK") && line.contains(&number);
        if locks.lines().any(is_it) {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(120), "{locks}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_edit_is_one_of_the_file_that_has_the_name() {
    let place = place();
    let add = |key: &str| format!("key add box --key-file {key} --new-keyfile other {CHEAP}");
    // What whoever holds its header lock does to the name meanwhile.
    let add_while = |exchange: &str| -> Run {
        let held = File::open(place.path("box")).expect("the image");
        held.lock().expect("a lock");
        let job = place
            .command(&add("pw"))
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        until_waited_for(&place.path("box"));
        place.sh(exchange).expect(0);
        drop(held);
        job.wait_with_output().expect("the job ends").into()
    };
    // Replaced: the edit is one of the new file.
    add_while("cp box next && mv next box").expect(0);
    place.run("key test box --key-file other").expect(0);
    // Removed.
    add_while("mv box gone").expect(4).says("cannot open box");
    place.sh("mv gone box").expect(0);

    // Replaced once the job has read its header: neither file is changed.
    for line in [
        add("fifo"),
        format!("key change box --key-file fifo --new-keyfile other {CHEAP}"),
        "key remove box --key-file fifo -q".to_owned(),
        format!("cryptsetup luksAddKey box other --key-file fifo {CHEAP}"),
    ] {
        place
            .sh("cp box old && cp box next && cp box same")
            .expect(0);
        let waiting = Waiting::start(&place, &line);
        place.sh("mv box old && mv next box").expect(0);
        waiting.end().expect(5);
        assert!(place.read("old") == place.read("same"), "{line}");
        assert!(place.read("box") == place.read("same"), "{line}");
    }
}

#[test]
fn files_that_verbs_make_are_new_ones() {
    let place = place();
    place
        .run("token add box --key-description x --token-id 0")
        .expect(0);
    place.write("victim", "precious");
    let is_victim_there = || assert_eq!(place.read("victim"), b"precious");

    // Pages that are there are replaced, links are not followed.
    fs::create_dir(place.path("pages")).expect("a folder");
    symlink("../victim", place.path("pages/luksmith.1")).expect("a link");
    for _ in 0..2 {
        place.run("man pages").expect(0);
        is_victim_there();
        let page = place
            .path("pages/luksmith.1")
            .symlink_metadata()
            .expect("a page");
        assert!(page.is_file() && page.len() > 100);
    }
    let left = fs::read_dir(place.path("pages")).expect("a folder");
    for entry in left {
        let name = entry.expect("an entry").file_name();
        assert!(!name.to_string_lossy().starts_with('.'), "{name:?}");
    }

    // cryptsetup writes over a file that is there.
    let export = "cryptsetup token export --token-id 0 --json-file out box";
    symlink("victim", place.path("out")).expect("a link");
    place
        .run(export)
        .expect(1)
        .says("Failed to open file out in write mode.");
    is_victim_there();
    fs::remove_file(place.path("out")).expect("it goes");
    place.write("out", "old");
    place.run(export).expect(0);
    assert!(place.read("out").starts_with(b"{"));
    let rights = place.path("out").metadata().expect("a file").permissions();
    assert_eq!(rights.mode() & 0o777, 0o600);
    place
        .run("cryptsetup token export --token-id 0 --json-file box box")
        .expect(1);
    place.run("key test box --key-file pw").expect(0);
}
