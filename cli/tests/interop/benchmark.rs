use std::fmt::Write as _;

use crate::common::Place;

/// cryptsetup measures ciphers through the kernel only. All of it takes a minute there; its table of ciphers is with
/// the unit tests.
const SCRIPT: &str = "
cryptsetup benchmark --cipher aes
cryptsetup benchmark --cipher aes-xts-plain64 --key-size 512
cryptsetup benchmark --cipher aes-ecb --key-size 128
cryptsetup benchmark --cipher xchacha12,aes-adiantum-plain64
cryptsetup benchmark --hash sha512 --key-size 512
cryptsetup benchmark --pbkdf argon2i --key-size 512 --iter-time 10 --pbkdf-memory 64 --pbkdf-parallel 1
";

#[test]
fn text_is_cryptsetups() {
    let place = Place::new();
    let theirs = place.kernel(SCRIPT, &[]);
    let mut ours = String::new();
    for line in SCRIPT.lines() {
        if let Some(arguments) = line.strip_prefix("cryptsetup ") {
            ours.push_str(&String::from_utf8(place.luksmith(arguments)).unwrap());
        }
    }
    let ours: Vec<String> = ours
        .lines()
        .filter(|line| !line.contains("AES kernels here"))
        .map(measured)
        .collect();
    let theirs: Vec<String> = theirs.lines().map(measured).collect();
    assert_eq!(theirs.len(), 4 * 3 + 2 * 2);
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
    println!(
        "cases: cryptsetup-benchmark {} passed, 0 failed",
        ours.len()
    );
    assert_eq!(ours.len(), theirs.len());
}

/// A line without what differs from run to run: its measured number, and the blanks before it, as many characters
/// as both have together.
fn measured(line: &str) -> String {
    let is_number = |word: &str| word.parse::<f64>().is_ok();
    let mut shown = String::new();
    let mut blanks = 0;
    for word in line.split(' ') {
        if word.is_empty() {
            blanks += 1;
        } else if is_number(word) {
            let _ = write!(shown, "<{}>", blanks + word.len());
            blanks = 1;
        } else {
            shown.push_str(&" ".repeat(blanks));
            shown.push_str(word);
            blanks = 1;
        }
    }
    shown
}
