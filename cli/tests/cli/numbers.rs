//! Every option that takes a number, in every verb and in the face, with numbers that are too small or too large: each
//! ends, and says what is wrong where something is.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Place, every_verb, pattern};

const NUMBERS: [&str; 5] = [
    "0",
    "2147483648",
    "4294967296",
    "9223372036854775808",
    "18446744073709551615",
];

/// How the help calls values that are numbers.
const UNITS: [&str; 8] = [
    "<SECTORS>",
    "<BYTES>",
    "<BITS>",
    "<N>",
    "<MS>",
    "<KIB>",
    "<SIZE>",
    "<SECONDS>",
];

/// What each verb that has such options can do in the place below; `work` is a copy of the container `box`.
const LINES: &[(&str, &str)] = &[
    ("encrypt", "raw new -q --key-file pw KDF"),
    ("encrypt", "raw new -q PLAIN"),
    ("decrypt", "box new -q --key-file pw"),
    ("decrypt", "raw new -q PLAIN"),
    ("create", "new -q --payload-size 4096 --key-file pw KDF"),
    ("clone", "box new -q --key-file pw --new-keyfile pw2"),
    (
        "clone",
        "raw new -q --source-type raw --new-keyfile pw2 KDF",
    ),
    (
        "clone",
        "raw new -q --source-type plain --source-cipher aes-xts-plain64 --source-key-size 512 --key-file key --new-keyfile pw2 KDF",
    ),
    (
        "clone",
        ". -q --key-file pw --new-keyfile pw2 --name-pattern new-{index}",
    ),
    ("measure", "--payload-size 4096"),
    ("measure", "--payload-size 4096 --type plain"),
    ("probe", "raw --key-file key"),
    (
        "measure",
        "--payload-size 4096 --cinder-type aes-xts-plain64,256 --backend qemu",
    ),
    ("verify", "box --key-file pw"),
    ("compare", "box raw --key-file pw"),
    ("serve", "work -q --key-file pw --run true"),
    ("serve", "raw -q --run true PLAIN"),
    ("mount", "work new -q --key-file pw --run true"),
    ("benchmark", "-c aes-xts-plain64"),
    ("key add", "work -q --key-file pw --new-keyfile pw2 KDF"),
    ("key change", "work -q --key-file pw --new-keyfile pw2 KDF"),
    ("key remove", "work -q --key-file pw"),
    ("key unmangle", "work -q --key-file pw KDF"),
    ("key test", "box --key-file pw"),
    ("key export", "box -q --key-file pw --volume-key-file new"),
    (
        "header config",
        "work --priority prefer --key-slot 0 --key-file pw",
    ),
    ("header seal", "work --key-file pw"),
    (
        "encrypt",
        "--in-place raw -q --header new --dry-run --key-file pw KDF",
    ),
    ("decrypt", "--in-place work -q --dry-run --key-file pw"),
    ("reencrypt", "work -q --dry-run --key-file pw KDF"),
    ("resume", "work -q --key-file pw"),
    // No mapping can be called so: nothing is left on a machine that has device-mapper.
    ("open", "box . -q --key-file pw"),
    ("open", "raw . -q PLAIN"),
    ("close", "."),
    ("mapping resize", ". --key-file pw"),
    ("mapping resume", ". --key-file pw"),
    ("mapping refresh", ". --key-file pw"),
    ("token add", "work --key-description text --key-file pw"),
    ("token remove", "work --token-id 0 --key-file pw"),
    ("token import", "work --json-file token --key-file pw"),
    ("token export", "box --token-id 0"),
    (
        "token assign",
        "work --token-id 0 --key-slot 0 --key-file pw",
    ),
    (
        "token unassign",
        "work --token-id 0 --key-slot 0 --key-file pw",
    ),
];

/// The same of the face, whose options are checked against its actions: all of them with each.
const FACE: &[&str] = &[
    "luksFormat work -q --key-file pw KDF",
    "luksFormat work -q --type luks1 --key-file pw KDF",
    "open box --test-passphrase --key-file pw",
    "luksAddKey work pw2 -q --key-file pw KDF",
    "luksChangeKey work pw2 -q --key-file pw KDF",
    "luksConvertKey work -q --key-file pw KDF",
    "luksRemoveKey work pw -q",
    "luksDump box",
    "token add work --key-description text",
    "benchmark -c aes-xts-plain64",
    "benchmark --hash sha256 -s 256",
    "benchmark --pbkdf argon2id --iter-time 10 --pbkdf-memory 64",
];

/// Options that another one takes the place of, or does not go with.
const RIVALS: &[(&str, &str)] = &[
    ("--container-size", "--payload-size"),
    ("--iter-time", "--pbkdf-force-iterations"),
    ("--key-fd", "--key-file"),
    ("--new-key-fd", "--new-keyfile"),
    ("--pbkdf-force-iterations", "--pbkdf"),
    ("--pbkdf-memory", "--pbkdf"),
    ("--pbkdf-parallel", "--pbkdf"),
];

/// Long enough for any machine; what has no end takes longer.
const DEADLINE: Duration = Duration::from_secs(240);

/// How long a file may become: a payload of 4 GiB is one of the numbers, and nobody wants to wait for it.
const MOST_BYTES: u64 = 256 << 20;

#[test]
fn every_number_of_every_verb_comes_to_an_end() {
    let mut lines = Vec::new();
    for (verb, help) in every_verb() {
        let options = numeric(&help);
        let of_verb: Vec<_> = LINES.iter().filter(|(of, _)| *of == verb).collect();
        assert!(
            options.is_empty() || !of_verb.is_empty(),
            "{verb} has {options:?}, and no line here"
        );
        for option in &options {
            for (_, line) in &of_verb {
                lines.extend(
                    NUMBERS.map(|number| changed(&format!("{verb} {line}"), option, number)),
                );
            }
        }
    }
    assert!(lines.len() > 900, "{} lines", lines.len());
    run_all("numbers of the verbs", &lines);
}

#[test]
fn every_number_of_the_face_comes_to_an_end() {
    let help = Place::new().run("cryptsetup --help").expect(0);
    let options: BTreeSet<String> = help
        .text()
        .split_whitespace()
        .filter_map(|word| word.split_once('='))
        .filter(|(_, value)| {
            [
                "SECTORS",
                "bytes",
                "INT",
                "LONG",
                "BITS",
                "msecs",
                "secs",
                "kilobytes",
                "threads",
                "MiB",
            ]
            .contains(value)
        })
        .map(|(name, _)| name.to_owned())
        .collect();
    assert!(options.len() > 30, "{options:?}");
    let mut lines = Vec::new();
    for option in &options {
        for line in FACE {
            let line = format!("cryptsetup {line}");
            lines.extend(NUMBERS.map(|number| changed(&line, option, number)));
        }
    }
    run_all("numbers of the face", &lines);
}

/// The options of a help text whose values are numbers.
fn numeric(help: &str) -> BTreeSet<String> {
    help.lines()
        .filter_map(|line| {
            let (before, after) = line.trim_start().split_once("--")?;
            let is_option = before.is_empty() || before.starts_with('-');
            let (name, unit) = after.split_once(' ')?;
            let is_number = UNITS.iter().any(|number| unit.starts_with(number));
            (is_option && is_number).then(|| format!("--{name}"))
        })
        .collect()
}

/// The line with this option, in place of itself and its rivals.
fn changed(line: &str, option: &str, number: &str) -> String {
    let line = line
        .replace("KDF", "--pbkdf pbkdf2 --pbkdf-force-iterations 1000")
        .replace(
            "PLAIN",
            "--type plain --cipher aes-xts-plain64 --key-size 512 --key-file key",
        );
    let is_rival = |word: &str| {
        let of_key = option == "--key-size" && line.starts_with("key add") && word == "--key-file";
        word == option || of_key || RIVALS.contains(&(option, word))
    };
    let mut words = Vec::new();
    let mut rest = line.split_whitespace();
    while let Some(word) = rest.next() {
        if is_rival(word) {
            rest.next();
        } else {
            words.push(word);
        }
    }
    words.extend([option, number]);
    match option {
        "--keyslot-key-size" => words.extend(["--keyslot-cipher", "aes-xts-plain64"]),
        "--key-size" if line.starts_with("key add") => words.push("--unbound"),
        _ => {}
    }
    words.join(" ")
}

/// Runs them, several at a time, each in a place of its own.
fn run_all(table: &str, lines: &[String]) {
    let made = Place::new();
    made.write("pw", "pw");
    made.write("raw", pattern(4096));
    let small = "--offset 1024 --luks2-keyslots-size 256K --key-file pw --pbkdf pbkdf2 --pbkdf-force-iterations 1000";
    made.run(&format!("encrypt raw box {small}")).expect(0);
    made.run("token add box --key-description text").expect(0);
    let container = made.read("box");

    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let place = Place::new();
                place.write("pw", "pw");
                place.write("pw2", "another");
                place.write("key", pattern(64));
                place.write("raw", pattern(4096));
                place.write("token", r#"{"type":"x","keyslots":[]}"#);
                place.write("box", &container);
                while let Some(line) = lines.get(next.fetch_add(1, Ordering::Relaxed)) {
                    place.write("work", &container);
                    let _ = std::fs::remove_file(place.path("new"));
                    let command = place.with_small_files(line, MOST_BYTES);
                    if let Err(what) = ends(command, line.starts_with("cryptsetup")) {
                        wrong
                            .lock()
                            .expect("no panic with it")
                            .push(format!("{line}: {what}"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no panic with it");
    println!(
        "cases: {table} {} passed, {} failed",
        lines.len() - wrong.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Ends with a result, or with an error that is said.
fn ends(mut command: Command, is_face: bool) -> Result<(), String> {
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let output = within(child, DEADLINE).ok_or("does not end")?;
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => Ok(()),
        // An action of the face may fail without a word, as cryptsetup's does.
        Some(1..=5 | 64) if !said.is_empty() || is_face => Ok(()),
        code => Err(format!("{code:?}: {said}")),
    }
}

/// What a process gave, if it ends in time.
fn within(mut child: Child, deadline: Duration) -> Option<std::process::Output> {
    let start = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        if start.elapsed() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().ok()
}
