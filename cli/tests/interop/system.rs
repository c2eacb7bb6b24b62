use std::process::Command;

use crate::common::{PROGRAM, Place, check_all};

const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";

/// Everything that draws random bytes.
const LINES: [&str; 8] = [
    "encrypt -q raw new --key-file a $K",
    "encrypt -q raw new --type luks1 --key-file a $K",
    "create -q new --payload-size 64K --key-file a $K",
    "key add -q box --key-file a --new-keyfile b $K",
    "key change -q box --key-file a --new-keyfile b $K",
    "key test -q box --explain --key-file b",
    "inspect box --json",
    "cryptsetup luksFormat -q $K box a",
];

fn place() -> Place {
    let place = Place::new();
    place.write("a", "first");
    place.write("b", "second");
    place.write("raw", vec![7; 4096]);
    place.sh(&format!(
        "luksmith encrypt -q raw box --key-file a {CHEAP} && ls -A >names"
    ));
    place
}

/// Runs a verb whose system calls fail so; its exit code and what it said.
fn strace(place: &Place, inject: &str, line: &str) -> (i32, String) {
    let line = line.replace("$K", CHEAP);
    let command = format!("strace -f -qq -o trace -e inject={inject} '{PROGRAM}' {line}");
    let output = place.run(Command::new("sh").args(["-c", &command]));
    let code = output.status.code().unwrap();
    (code, String::from_utf8(output.stderr).unwrap())
}

/// From the first call on, from the second one on, and so on until it needs no more of them.
#[test]
fn without_random_bytes_nothing_is_made() {
    check_all("verbs without random bytes", &LINES, |line| {
        for first in 1.. {
            let place = place();
            let before = place.read("box");
            let (code, said) = strace(&place, &format!("getrandom:error=EIO:when={first}+"), line);
            assert!(!said.contains("panicked"), "{line}, {first}: {said}");
            let trace = String::from_utf8(place.read("trace")).unwrap();
            if !trace.contains("(INJECTED)") {
                assert!(first > 1, "{line} draws nothing");
                break;
            }
            // The allocator of the C library draws too, and does without.
            if code == 0 || (line.contains("--explain") && code == 2) {
                continue;
            }
            assert_eq!(code, 1, "{line}, {first}: {said}");
            assert!(said.contains("random"), "{line}, {first}: {said}");
            place.sh("rm trace; ls -A | diff names -");
            // A change that has begun writes its areas with random bytes as it goes.
            if !line.contains("key change") && !line.contains("luksFormat") {
                assert!(place.read("box") == before, "{line}, {first}");
            }
            if !line.contains("luksFormat") {
                place.sh("luksmith key test box --key-file a");
            }
        }
    });
}

/// The thread that takes signals cannot be started, or cannot wait for them.
#[test]
fn signals_that_cannot_be_taken() {
    let place = place();
    for call in ["clone3", "socketpair"] {
        let line = "encrypt -q raw new --key-file a $K";
        let (code, said) = strace(&place, &format!("{call}:error=EAGAIN"), line);
        assert_eq!(code, 1, "{call}: {said}");
        assert!(said.contains("cannot handle signals"), "{call}: {said}");
        place.sh("rm trace; ls -A | diff names -");
    }
    let (code, said) = strace(&place, "recvfrom,read:error=EIO:when=30+", "inspect box");
    assert!(!said.contains("panicked"), "{said}");
    assert!(code == 0 || code == 4 || code == 1, "{code}: {said}");
    let (code, said) = strace(&place, "recvfrom:error=EIO", "key test -q box --key-file a");
    assert_eq!((code, said.as_str()), (0, ""));
}
