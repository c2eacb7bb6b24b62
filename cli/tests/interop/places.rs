use std::fmt::{self, Write as _};
use std::fs;
use std::process::{Command, Output};

use crate::common::{PROGRAM, Place, check_all};

const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000 --luks2-metadata-size 16K \
                     --luks2-keyslots-size 256K --key-size 256";
const CALLS: &str = "renameat,renameat2,fsync,fdatasync,unlinkat";

/// What is there before data and their detached header are made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Before {
    Nothing,
    /// A header under the name, whose data are elsewhere.
    Header,
    /// Data under the name, whose header is elsewhere.
    Data,
}

struct Case {
    before: Before,
    call: String,
    number: usize,
    fault: &'static str,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            before,
            call,
            number,
            fault,
        } = self;
        write!(f, "{before:?} before, {fault} at {call} {number}")
    }
}

fn place(before: Before) -> Place {
    let place = Place::new();
    place.write("a", "passphrase a");
    place.write("b", "passphrase b");
    place.write("old", vec![1; 4096]);
    place.write("new", vec![2; 4096]);
    let names = match before {
        Before::Nothing => return place,
        Before::Header => "olddata --header head",
        Before::Data => "data --header oldhead",
    };
    place.sh(&format!(
        "luksmith encrypt old {names} --key-file a {CHEAP}"
    ));
    place
}

fn traced(place: &Place, line: &str, inject: Option<&str>) -> Output {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "trace", "-e", &format!("trace={CALLS}")]);
    if let Some(inject) = inject {
        command.args(["-e", &format!("inject={inject}")]);
    }
    let words = line.split_whitespace();
    place.run(command.arg(PROGRAM).args(words))
}

fn encrypt() -> String {
    format!("encrypt new data --header head --force --key-file b {CHEAP}")
}

/// How often each call is made.
fn calls(place: &Place) -> Vec<(String, usize)> {
    let trace = String::from_utf8(place.read("trace")).unwrap();
    CALLS
        .split(',')
        .map(|call| {
            let called = trace
                .lines()
                .filter(|line| line.contains(&format!(" {call}(")));
            (call.to_owned(), called.count())
        })
        .collect()
}

fn decrypts(place: &Place, data: &str, head: &str, key: &str, raw: &str) -> bool {
    let _ = fs::remove_file(place.path("back"));
    let line = format!("luksmith decrypt {data} back --header {head} --key-file {key} 2>/dev/null");
    place.sh_code(&line) == 0 && place.read("back") == place.read(raw)
}

/// The header that was there, wherever it is now: where the process is killed it may have the temporary name.
fn old_header(place: &Place) -> Option<String> {
    let entries = fs::read_dir(place.path("")).unwrap();
    let mut names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.find(|name| {
        (name == "head" || name.starts_with(".head."))
            && decrypts(place, "olddata", name, "a", "old")
    })
}

#[track_caller]
fn check(case: &Case) {
    let place = place(case.before);
    let inject = format!("{}:{}:when={}", case.call, case.fault, case.number);
    let output = traced(&place, &encrypt(), Some(&inject));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let is_killed = case.fault.contains("KILL");
    let is_new = decrypts(&place, "data", "head", "b", "new");
    if is_new {
        // The old header or data that could not be removed is nobody's business.
        let is_certain = output.status.success() || is_killed;
        assert!(is_certain || said.contains("is there and whole"), "{said}");
        return;
    }
    assert!(!output.status.success(), "it says that it was done");
    let is_there = |name: &str| place.path(name).exists();
    match case.before {
        Before::Nothing => {
            assert!(!is_there("data"), "data that no header opens: {said}");
            assert!(is_killed || !is_there("head"), "a header alone: {said}");
        }
        Before::Header => {
            assert!(!is_there("data"), "data that no header opens: {said}");
            let old = old_header(&place);
            let is_named = old.as_deref() == Some("head");
            assert!(is_named || is_killed && old.is_some(), "{old:?}: {said}");
        }
        Before::Data => {
            assert!(decrypts(&place, "data", "oldhead", "a", "old"), "{said}");
            assert!(is_killed || !is_there("head"), "a header alone: {said}");
        }
    }
}

/// A share of them; all with `LUKSMITH_FAULTS=all`.
#[test]
fn data_and_their_header_are_old_or_new_at_every_cut() {
    let all = std::env::var("LUKSMITH_FAULTS").is_ok_and(|share| share == "all");
    let mut cases = Vec::new();
    for before in [Before::Nothing, Before::Header, Before::Data] {
        let place = place(before);
        let output = traced(&place, &encrypt(), None);
        assert!(output.status.success(), "{output:?}");
        let calls = calls(&place);
        let renames: usize = calls.iter().take(2).map(|(_, count)| count).sum();
        assert!(renames >= 2, "{calls:?}");
        for (call, count) in calls {
            for number in 1..=count {
                for fault in ["error=EIO", "signal=KILL"] {
                    // The names are what it is about.
                    if all || call.starts_with("rename") || number == count {
                        cases.push(Case {
                            before,
                            call: call.clone(),
                            number,
                            fault,
                        });
                    }
                }
            }
        }
    }
    check_all("cuts between data and header", &cases, check);
}

#[test]
fn a_name_that_may_not_last_is_told() {
    let place = place(Before::Nothing);
    let line = format!("encrypt new data --key-file b {CHEAP}");
    assert!(traced(&place, &line, None).status.success());
    let syncs = calls(&place).into_iter().find(|(call, _)| call == "fsync");
    let (_, syncs) = syncs.unwrap();
    fs::remove_file(place.path("data")).unwrap();
    let output = traced(
        &place,
        &line,
        Some(&format!("fsync:error=EIO:when={syncs}")),
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(
            "data is there and whole, but whether its name outlasts a power failure is not certain"
        ),
        "{said}"
    );
    place.sh("luksmith decrypt data back --key-file b && cmp back new");
}

/// A loop device over the source, or over what is to be replaced, is the same place.
#[test]
fn a_device_on_the_source_is_the_source() {
    let place = Place::new();
    place.write("a", "passphrase a");
    place.write("key", [7; 64]);
    place.write("raw", vec![0x5a; 4 << 20]);
    place.sh(&format!("luksmith encrypt raw box --key-file a {CHEAP}"));
    let plain = "--type plain -c aes-xts-plain64 -s 512 --key-file key";
    let cases = [
        (
            format!("encrypt raw LOOP --size 65536 --key-file a {CHEAP}"),
            "raw",
            "",
            1,
        ),
        (format!("encrypt raw LOOP {plain}"), "raw", "", 1),
        (
            format!("encrypt raw LOOP --header head --key-file a {CHEAP}"),
            "raw",
            "",
            1,
        ),
        (
            format!("encrypt raw LOOP --size 16384 --key-file a {CHEAP}"),
            "raw",
            "-o 1M",
            1,
        ),
        (format!("encrypt LOOP raw --force {plain}"), "raw", "", 1),
        (
            "decrypt box LOOP --overwrite-device --key-file a".to_owned(),
            "box",
            "",
            1,
        ),
        (
            "decrypt LOOP box --force --key-file a".to_owned(),
            "box",
            "",
            1,
        ),
        (
            format!("create LOOP --overwrite-device --key-file LOOP2 --keyfile-size 64 {CHEAP}"),
            "raw",
            "",
            1,
        ),
        (
            "key add LOOP --key-file a --new-keyfile box --new-keyfile-size 512 --pbkdf pbkdf2 --pbkdf-force-iterations 1000".to_owned(),
            "box",
            "",
            1,
        ),
        // Behind each other in one file.
        (
            format!("encrypt LOOP LOOP2 --size 1024 --overwrite-device {plain}"),
            "raw",
            "-o 1M --sizelimit 1M",
            0,
        ),
    ];
    let mut script = format!(
        "cd '{}'\nluksmith() {{ '{PROGRAM}' \"$@\"; }}\n",
        place.path("").display()
    );
    for (number, (line, file, options, _)) in cases.iter().enumerate() {
        let line = line.replace("LOOP2", "$M").replace("LOOP", "$L");
        let _ = write!(
            script,
            "cp {file} was; L=$(losetup -f --show {options} {file}); M=$(losetup -f --show -o 2M {file})\n\
             luksmith {line} -q >/dev/null 2>said; code=$?; sync; losetup -d $L $M\n\
             cmp -s was {file} && how=same || how=changed; cp was {file}; rm -f head\n\
             echo \"{number} $code $how $(head -n 1 said)\"\n"
        );
    }
    let printed = place.kernel(&script, &[]);
    assert_eq!(printed.lines().count(), cases.len(), "{printed}");
    for (line, (what, _, _, code)) in printed.lines().zip(&cases) {
        let mut words = line.splitn(4, ' ').skip(1);
        assert_eq!(words.next(), Some(&*code.to_string()), "{what}: {line}");
        let how = if *code == 0 { "changed" } else { "same" };
        assert_eq!(words.next(), Some(how), "{what}: {line}");
        let said = words.next().unwrap_or_default();
        let is_told = said.contains(" itself") || said.contains("lies in the same bytes as");
        assert_eq!(is_told, *code != 0, "{what}: {line}");
    }
}
