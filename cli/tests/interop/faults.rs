use std::fmt;
use std::process::{Command, Output};

use crate::common::{PROGRAM, Place, check_all};

const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";

/// A change of `box`, which the key files `a` and `b` open, and what cryptsetup finds at every moment of it.
struct Verb {
    version: u32,
    line: &'static str,
    /// Key files that open it, always.
    always: &'static [&'static str],
    /// Key files of which one does.
    either: &'static [&'static str],
    /// Beside its epoch cryptsetup dumps it as before or as after.
    is_whole: bool,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LUKS{}: {}", self.version, self.line)
    }
}

/// One system call of a verb, and what becomes of it.
struct Case<'a> {
    verb: &'a Verb,
    call: &'static str,
    number: usize,
    fault: &'static str,
}

impl fmt::Display for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            verb, call, number, ..
        } = self;
        write!(f, "{verb}: {} at {call} {number}", self.fault)
    }
}

fn verbs() -> Vec<Verb> {
    type Keys = &'static [&'static str];
    let verb = |version, line, always: Keys, either: Keys, is_whole| Verb {
        version,
        line,
        always,
        either,
        is_whole,
    };
    let mut verbs = Vec::new();
    for version in [1, 2] {
        verbs.extend([
            verb(
                version,
                "key add box --key-file a --new-keyfile c $K",
                &["a", "b"],
                &[],
                false,
            ),
            verb(
                version,
                "key change box --key-file a --new-keyfile c $K",
                &["b"],
                &["a", "c"],
                false,
            ),
            verb(version, "key remove box --key-file a", &["b"], &[], false),
            verb(
                version,
                "header restore box -q --header-backup-file saved",
                &["a"],
                &[],
                false,
            ),
            verb(version, "header erase box -q", &[], &[], false),
            verb(
                version,
                "header config box --uuid 01234567-89ab-4def-8123-456789abcdef",
                &["a", "b"],
                &[],
                true,
            ),
        ]);
    }
    verbs.push(verb(
        1,
        "header convert box -q --type luks2",
        &["a", "b"],
        &[],
        false,
    ));
    for line in [
        "header convert box -q --type luks1",
        "header repair box",
        "header config box --label x --flags allow-discards",
        "header config box --key-slot 1 --priority prefer",
        "token import box --json-file token",
        "token remove box --token-id 3",
    ] {
        verbs.push(verb(
            2,
            line,
            &["a", "b"],
            &[],
            !line.contains("convert") && !line.contains("repair"),
        ));
    }
    verbs
}

/// The container of a verb, made by cryptsetup.
fn place(verb: &Verb) -> Place {
    let place = Place::new();
    for key in ["a", "b", "c"] {
        place.write(key, format!("passphrase {key}"));
    }
    place.write("token", r#"{"type":"own","keyslots":["0"]}"#);
    let more = if verb.version == 1 {
        "--type luks1 --key-size 256 --offset 4096"
    } else {
        "--type luks2 --key-size 256 --sector-size 512 --offset 4096 --luks2-keyslots-size 1m"
    };
    place.hole("box", 3 << 20);
    place.sh(&format!(
        "cryptsetup luksFormat -q {more} {CHEAP} box a && \
         cryptsetup luksHeaderBackup box --header-backup-file saved && \
         cryptsetup luksAddKey {CHEAP} --key-file a box b"
    ));
    if verb.line.contains("token remove") {
        place.sh("cryptsetup token add box --key-description x --token-id 3");
    }
    if verb.line.contains("repair") {
        place.sh("printf x | dd of=box bs=1 seek=5000 conv=notrunc status=none");
    }
    place
}

/// Runs the verb under strace, which counts its writes and syncs of the container and does this to them.
fn traced(place: &Place, verb: &Verb, inject: Option<&str>) -> Output {
    let line = verb.line.replace("$K", CHEAP);
    let mut command = Command::new("strace");
    command
        .args([
            "-f",
            "-qq",
            "-o",
            "trace",
            "-e",
            "trace=pwrite64,fdatasync",
            "-P",
        ])
        .arg(place.path("box"));
    if let Some(inject) = inject {
        command.args(["-e", &format!("inject={inject}")]);
    }
    command.arg(PROGRAM).args(line.split_whitespace());
    place.run(&mut command)
}

fn opens(place: &Place, key: &str) -> bool {
    place.sh_code(&format!(
        "cryptsetup open --test-passphrase box --key-file {key} 2>/dev/null"
    )) == 0
}

fn dump(place: &Place) -> Vec<u8> {
    place.sh("cryptsetup luksDump box | grep -v Epoch")
}

/// Every write and sync of the verb, failed and killed.
fn cases(verb: &Verb) -> Vec<Case<'_>> {
    let place = place(verb);
    let output = traced(&place, verb, None);
    assert!(output.status.success(), "{verb}: {output:?}");
    let trace = String::from_utf8(place.read("trace")).unwrap();
    let mut cases = Vec::new();
    for call in ["pwrite64", "fdatasync"] {
        let count = trace
            .lines()
            .filter(|line| line.contains(&format!("{call}(")))
            .count();
        assert!(count > 0, "{verb}: {trace}");
        for number in 1..=count {
            for fault in ["error=EIO", "error=ENOSPC", "signal=KILL"] {
                cases.push(Case {
                    verb,
                    call,
                    number,
                    fault,
                });
            }
        }
    }
    cases
}

#[track_caller]
fn check(case: &Case<'_>) {
    let verb = case.verb;
    let place = place(verb);
    let image = place.read("box");
    // Where it is damaged cryptsetup mends it before it dumps it.
    let before = verb.is_whole.then(|| dump(&place));
    let inject = format!("{}:{}:when={}", case.call, case.fault, case.number);
    let output = traced(&place, verb, Some(&inject));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it says that it was done");
    if case.fault.starts_with("error") {
        assert_eq!(output.status.code(), Some(4), "{said}");
        let reason = if case.fault.ends_with("EIO") {
            "Input/output error"
        } else {
            "No space left on device"
        };
        assert!(
            said.contains(reason) && !said.contains("panicked"),
            "{said}"
        );
    }
    for key in verb.always {
        assert!(opens(&place, key), "{key} opens it no more");
    }
    assert!(
        verb.either.is_empty() || verb.either.iter().any(|key| opens(&place, key)),
        "none of {:?} opens it",
        verb.either
    );
    let now = dump(&place);
    if before.is_some_and(|before| now != before) {
        place.write("box", image);
        assert!(traced(&place, verb, None).status.success());
        assert!(dump(&place) == now, "neither the old nor the new header");
    }
}

/// A share of them; all with `LUKSMITH_FAULTS=all`.
#[test]
fn a_write_that_fails_or_ends_the_process_leaves_the_old_or_the_new_header() {
    let all = std::env::var("LUKSMITH_FAULTS").is_ok_and(|share| share == "all");
    let verbs = verbs();
    let cases: Vec<Case<'_>> = verbs.iter().flat_map(cases).collect();
    // 7 is no divisor of the three faults: all of them come.
    let step = if all { 1 } else { 7 };
    let cases: Vec<_> = cases.into_iter().step_by(step).collect();
    check_all("faults of a real disk", &cases, check);
}

/// A file system that is full: the hole where the third keyslot goes cannot be filled.
#[test]
fn a_full_file_system_leaves_the_old_header() {
    let verb = &verbs()[0];
    for version in [1, 2] {
        let place = place(&Verb { version, ..*verb });
        let line = verb.line.replace("$K", CHEAP);
        let script = format!(
            "cd '{}'\nmkdir -p /run/full && mount -t tmpfs -o size=4m none /run/full && cp a b c /run/full\n\
             cp box /run/full && cd /run/full\n\
             fallocate --punch-hole --offset 294912 --length 131072 box\n\
             dd if=/dev/zero of=fill bs=4096 2>/dev/null\n\
             '{PROGRAM}' {line} 2>&1; echo code $?\n\
             for key in a b c; do cryptsetup open --test-passphrase box --key-file $key; echo opens $?; done\n\
             rm fill && '{PROGRAM}' {line}; echo code $?\n",
            place.path("").display()
        );
        let printed = place.kernel(&script, &[]);
        let codes: Vec<_> = printed
            .lines()
            .filter(|line| line.starts_with("code") || line.starts_with("opens"))
            .collect();
        assert_eq!(
            codes,
            ["code 4", "opens 0", "opens 0", "opens 2", "code 0"],
            "{printed}"
        );
        assert!(printed.contains("No space left on device"), "{printed}");
    }
}
