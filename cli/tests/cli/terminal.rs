//! A person at a terminal.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use crate::support::{PLAIN, Place, plain_place};

const HASHED: &str = "--type plain --cipher aes-xts-plain64 --key-size 512 --hash sha256";

/// Runs the program on a terminal of its own, typing a line each time a prompt has appeared; the exit code, and all
/// that was to be seen.
fn type_at(place: &Place, arguments: &str, lines: &[(&str, &str)]) -> (i32, String) {
    type_after(place, "", arguments, lines)
}

/// The same, after a command of the shell.
fn type_after(
    place: &Place,
    before: &str,
    arguments: &str,
    lines: &[(&str, &str)],
) -> (i32, String) {
    // A prompt that nobody expects would be waited at for ever.
    let program = format!(
        "{before} timeout --foreground 60 '{}' {arguments}",
        env!("CARGO_BIN_EXE_luksmith")
    );
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--command", &program, "/dev/null"])
        .current_dir(place.path(""))
        .env("SHELL", "/bin/sh")
        // Whatever the tests run in: a terminal that has colours.
        .env("TERM", "xterm-256color")
        .env_remove("NO_COLOR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script(1) of util-linux");
    let mut keyboard = child.stdin.take().expect("a pipe");
    let mut screen = child.stdout.take().expect("a pipe");
    let mut seen = Vec::new();
    let mut lines = lines.iter();
    let mut next = lines.next();
    let mut from = 0;
    let mut chunk = [0; 1024];
    loop {
        if let Some((prompt, line)) = next
            && String::from_utf8_lossy(&seen[from..]).contains(prompt)
        {
            from = seen.len();
            keyboard
                .write_all(line.as_bytes())
                .expect("the terminal takes the line");
            next = lines.next();
        }
        match screen.read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(count) => seen.extend(&chunk[..count]),
        }
    }
    let status = child.wait().expect("it ends");
    (
        status.code().expect("a code"),
        String::from_utf8_lossy(&seen).into_owned(),
    )
}

#[test]
fn a_new_passphrase_is_asked_for_twice_and_not_seen() {
    let place = plain_place(512);
    let asked = [
        ("Passphrase for box: ", "s3cret\n"),
        ("The same again: ", "s3cret\n"),
    ];
    let (code, seen) = type_at(&place, &format!("encrypt raw box {HASHED}"), &asked);
    assert_eq!(code, 0, "{seen}");
    assert!(!seen.contains("s3cret"), "{seen}");
    place
        .run_with(&format!("decrypt box back {HASHED}"), b"s3cret\n")
        .expect(0);
    assert_eq!(place.read("back"), place.read("raw"));
}

#[test]
fn two_that_differ_make_nothing() {
    let place = plain_place(512);
    let asked = [
        ("Passphrase for box: ", "one\n"),
        ("The same again: ", "two\n"),
    ];
    let (code, seen) = type_at(&place, &format!("encrypt raw box {HASHED}"), &asked);
    assert_eq!(code, 1);
    assert!(
        seen.contains("the two passphrases are not the same"),
        "{seen}"
    );
    assert_eq!(place.names(), ["key", "raw"]);
}

#[test]
fn a_known_passphrase_is_asked_for_once() {
    let place = plain_place(512);
    let (code, seen) = type_at(
        &place,
        &format!("encrypt raw box -q {HASHED}"),
        &[("Passphrase for box: ", "pw\n")],
    );
    assert_eq!(code, 0, "{seen}");
    let (code, seen) = type_at(
        &place,
        &format!("decrypt box back {HASHED}"),
        &[("Passphrase for box: ", "pw\n")],
    );
    assert_eq!(code, 0, "{seen}");
    assert_eq!(place.read("back"), place.read("raw"));
}

#[test]
fn an_image_on_standard_input_leaves_the_terminal_for_the_passphrase() {
    let place = plain_place(512);
    let arguments = format!("encrypt - box -q {HASHED} <raw");
    let (code, seen) = type_at(&place, &arguments, &[("Passphrase for box: ", "pw\n")]);
    assert_eq!(code, 0, "{seen}");
    place
        .run_with(&format!("decrypt box back {HASHED}"), b"pw\n")
        .expect(0);
    assert_eq!(place.read("back"), place.read("raw"));
}

/// The changes of a header ask for the key there is, the new one twice, and whether that is meant.
#[test]
fn changes_of_a_header_ask() {
    let place = plain_place(512);
    let cheap = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";
    place
        .run_with(
            &format!("create box --payload-size 4K --sector-size 512 -q {cheap}"),
            b"first",
        )
        .expect(0);
    let new = [
        ("Passphrase for box: ", "first\n"),
        ("Passphrase for the new keyslot of box: ", "second\n"),
        ("The same again: ", "second\n"),
    ];
    let key = [("Passphrase for box: ", "second\n")];
    let meant = |answer| [("Type yes to go on: ", answer)];
    for (line, asked, code) in [
        (format!("key add box {cheap}"), &new[..], 0),
        ("key test box".to_owned(), &key, 0),
        ("key remove box --key-slot 0".to_owned(), &key, 0),
        ("key test box --tries 1".to_owned(), &new[..1], 2),
        ("header erase box".to_owned(), &meant("no\n"), 1),
        ("key test box".to_owned(), &key, 0),
        (
            "header convert box --type luks1".to_owned(),
            &meant("yes\n"),
            0,
        ),
        ("key remove box --key-slot 1".to_owned(), &meant("\n"), 1),
        ("key test box".to_owned(), &key, 0),
        ("header erase box".to_owned(), &meant("YES\n"), 0),
        ("key test box".to_owned(), &key, 1),
    ] {
        let (got, seen) = type_at(&place, &line, asked);
        assert_eq!(got, code, "{line}: {seen}");
        for (prompt, _) in asked {
            assert!(seen.contains(prompt), "{line}: {seen}");
        }
        assert!(
            !seen.contains("second") && !seen.contains("first"),
            "{line}: {seen}"
        );
    }
}

/// A container with the passphrase "first".
fn with_a_box() -> Place {
    let place = plain_place(512);
    let line = "create box --payload-size 4K --sector-size 512 -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000";
    place.run_with(line, b"first").expect(0);
    place
}

#[test]
fn every_verb_asks_three_times() {
    let prompt = "Passphrase for box: ";
    let says = |words: &[&'static str]| -> Vec<(&'static str, String)> {
        words
            .iter()
            .map(|word| (prompt, format!("{word}\n")))
            .collect()
    };
    let cheap = "-q --pbkdf pbkdf2 --pbkdf-force-iterations 1000";
    for verb in [
        "key test box".to_owned(),
        "decrypt box back".to_owned(),
        "verify box --key-slot 0".to_owned(),
        "compare box raw".to_owned(),
        "key export box -q --volume-key-file vk".to_owned(),
        format!("key add box {cheap} --new-keyfile key"),
        format!("key change box {cheap} --new-keyfile key"),
        "key remove box -q".to_owned(),
    ] {
        let place = with_a_box();
        let at = |options: &str, words: &[&'static str]| {
            let lines = says(words);
            let lines: Vec<_> = lines
                .iter()
                .map(|(prompt, line)| (*prompt, &**line))
                .collect();
            type_at(&place, &format!("{verb}{options}"), &lines)
        };
        for (options, words) in [
            ("", &["1st", "2nd", "3rd"][..]),
            (" --tries 1", &["1st"]),
            (" -T 5", &["1st", "2nd", "3rd", "4th", "5th"]),
        ] {
            let (code, seen) = at(options, words);
            assert_eq!(code, 2, "{verb}{options}: {seen}");
            assert_eq!(
                seen.matches(prompt).count(),
                words.len(),
                "{verb}{options}: {seen}"
            );
            assert_eq!(
                seen.matches("no key fits").count(),
                words.len(),
                "{verb}{options}: {seen}"
            );
        }
        let (code, seen) = at("", &["1st", "2nd", "first"]);
        // What is compared differs.
        let wanted = i32::from(verb.starts_with("compare"));
        assert_eq!(code, wanted, "{verb}: {seen}");
        assert_eq!(seen.matches("no key fits").count(), 2, "{verb}: {seen}");
    }
    let place = with_a_box();
    place.run("key test box --tries 0").expect(1);
    // What is no terminal has one try.
    let run = place
        .run_with("key test box --tries 3", b"1st\n2nd\nfirst\n")
        .expect(2);
    assert_eq!(
        run.stderr.matches("no key fits").count(),
        1,
        "{}",
        run.stderr
    );
}

/// Whoever expects to be asked again types on, and the shell must not get that.
#[test]
fn what_is_typed_after_the_last_try_reaches_nobody() {
    for line in [
        "key test box --tries 1",
        "cryptsetup open --test-passphrase --tries 1 box",
        "cryptsetup luksDump --dump-volume-key -q box",
    ] {
        let place = with_a_box();
        let asked = [(": ", "wrong\nanother\n"), ("ended with", "last\n")];
        let arguments = format!("{line}; echo ended with $?; head -n 1");
        let (code, seen) = type_at(&place, &arguments, &asked);
        assert_eq!(code, 0, "{line}: {seen}");
        assert!(seen.contains("ended with 2"), "{line}: {seen}");
        assert!(!seen.contains("another"), "{line}: {seen}");
    }
}

#[test]
fn image_data_is_not_written_to_a_terminal() {
    let place = plain_place(512);
    for destination in ["-", "/dev/tty"] {
        let arguments = format!(
            "encrypt raw {destination} --key-file key --type plain --cipher aes-xts-plain64 --key-size 512"
        );
        let (code, seen) = type_at(&place, &arguments, &[]);
        assert_eq!(code, 1, "{seen}");
        assert!(seen.contains("is a terminal"), "{seen}");
    }
}

#[test]
fn errors_have_colours_unless_nobody_wants_them() {
    let place = plain_place(512);
    let (_, seen) = type_at(&place, "decrypt missing box", &[]);
    assert!(seen.contains("\u{1b}["), "{seen:?}");
    let program = format!(
        "TERM=xterm-256color NO_COLOR=1 '{}' decrypt missing box",
        env!("CARGO_BIN_EXE_luksmith")
    );
    let run = place.sh(&format!(
        "script --quiet --return --command \"{program}\" /dev/null </dev/null"
    ));
    assert!(
        run.code == 4 && !run.text().contains("\u{1b}[3"),
        "{:?}",
        run.text()
    );
}

/// Something before the work, a bar that stays on its line, and at the end what there is.
#[test]
fn a_job_on_a_narrow_terminal() {
    let place = plain_place(512);
    place.sh("truncate -s 256M sparse").expect(0);
    for columns in [44, 120] {
        let before = format!("stty cols {columns} rows 24;");
        let line = format!("encrypt sparse box-{columns} {PLAIN}");
        let (code, seen) = type_after(&place, &before, &line, &[]);
        assert_eq!(code, 0, "{seen}");
        let (first, rest) = seen.split_once('\n').expect("lines");
        assert_eq!(
            first.trim_end(),
            format!(
                "encrypting sparse (256 MiB) into box-{columns}: plain, aes-xts-plain64, key of 512 bits, sectors of 512 bytes"
            )
        );
        let mut drawn = without_escapes(rest)
            .split(['\r', '\n'])
            .map(str::to_owned)
            .filter(|line| !line.trim().is_empty())
            .collect::<Vec<_>>();
        let last = drawn.pop().expect("a last line");
        assert!(
            last.starts_with(&format!("box-{columns}: plain, "))
                && last.contains("268435456 bytes (256 MiB) with 256 MiB of data"),
            "{last}"
        );
        assert!(!drawn.is_empty(), "a bar was drawn: {seen:?}");
        for line in &drawn {
            assert!(line.chars().count() <= columns, "{columns}: {line:?}");
            assert!(line.contains("% ["), "{line:?}");
        }
        // Who wants to hear nothing hears nothing.
        let line = format!("encrypt sparse quiet-{columns} -q {PLAIN}");
        let (code, seen) = type_after(&place, &before, &line, &[]);
        assert_eq!((code, seen.as_str()), (0, ""));
    }
}

fn without_escapes(text: &str) -> String {
    let mut shown = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\u{1b}' {
            shown.push(character);
        } else if characters.next() == Some('[') {
            // A control sequence ends with a letter.
            characters.by_ref().find(char::is_ascii_alphabetic);
        }
    }
    shown
}

#[test]
fn the_other_key_of_a_reencryption_is_asked_for() {
    let place = crate::halfway::unpacked();
    let image = "reencrypt-two-passphrases";
    let first = format!("Passphrase for {image}: ");
    let other = format!("Passphrase for the other key of {image}: ");
    let (code, seen) = type_at(
        &place,
        &format!("decrypt {image} back"),
        &[
            (&first, "second\n"),
            (&other, "wrong\n"),
            (&other, "golden\n"),
        ],
    );
    assert_eq!(code, 0, "{seen}");
    assert!(seen.contains("no key fits: keyslot 0"), "{seen}");
    let back = place.read("back");
    assert!(back == crate::halfway::pattern(65_536));
    let (code, seen) = type_at(
        &place,
        &format!("decrypt {image} again -T 1"),
        &[(&first, "golden\n"), (&other, "wrong\n")],
    );
    assert_eq!(code, 2, "{seen}");
    assert!(!place.path("again").exists());
}
