use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

use crate::common::{PROGRAM, Place, check_all};

const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";

/// A job that writes, and what holds whenever it is cut off.
struct Job {
    line: &'static str,
    /// A line of shell that succeeds on what is there afterwards, old or new.
    whole: &'static str,
    /// A line of shell that succeeds only when the job is done.
    done: &'static str,
}

/// One system call of a job, and what becomes of it.
struct Case<'a> {
    job: &'a Job,
    call: String,
    number: usize,
    fault: &'static str,
}

impl fmt::Display for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            job, call, number, ..
        } = self;
        write!(f, "{}: {} at {call} {number}", job.line, self.fault)
    }
}

/// `raw` is plaintext, `box` a container of it that `a` and `b` open, `saved` a backup of its header.
const JOBS: &[Job] = &[
    Job {
        line: "encrypt raw new --key-file a $K",
        whole: "! test -e new || luksmith compare raw new --key-file a",
        done: "test -e new",
    },
    Job {
        line: "encrypt raw new --header head --key-file a $K",
        // Of two names the header's comes first, and goes again where the data get none.
        whole: "! test -e new || { luksmith decrypt new out --header head --key-file a && cmp raw out; }",
        done: "test -e new && test -e head",
    },
    Job {
        line: "encrypt raw old --force --key-file a $K",
        whole: "luksmith compare raw old --key-file a || luksmith compare raw old --key-file b",
        done: "luksmith compare raw old --key-file a",
    },
    Job {
        line: "clone box new --key-file a --keep-passphrase --recovery-key key",
        whole: "! test -e new || { luksmith compare raw new --key-file a && luksmith key test new --key-file key; }",
        done: "test -e new && test -e key",
    },
    Job {
        line: "clone box . --key-file a --new-keyfile c --count 2 --name-pattern many-{index} --manifest list",
        whole: "for one in 1 2; do ! test -e many-$one || luksmith compare raw many-$one --key-file c || exit 1; done",
        done: "test -e many-1 && test -e many-2 && test $(wc -l <list) = 2",
    },
    Job {
        line: "create new --payload-size 64K --key-file a $K",
        whole: "! test -e new || luksmith key test new --key-file a",
        done: "test -e new",
    },
    Job {
        line: "decrypt box new --key-file a",
        whole: "! test -e new || cmp raw new",
        done: "test -e new",
    },
    Job {
        line: "key add box --key-file a --new-keyfile c $K",
        whole: "luksmith key test box --key-file a && luksmith key test box --key-file b",
        done: "luksmith key test box --key-file c",
    },
    Job {
        line: "key change box --key-file a --new-keyfile c $K",
        whole: "luksmith key test box --key-file b && { luksmith key test box --key-file a || luksmith key test box --key-file c; }",
        done: "luksmith key test box --key-file c",
    },
    Job {
        line: "key remove box --key-file a",
        whole: "luksmith key test box --key-file b",
        done: "! luksmith key test box --key-file a",
    },
    Job {
        line: "key export box -q --key-file a --volume-key-file new",
        whole: "! test -e new || luksmith key test box --volume-key-file new",
        done: "test -e new",
    },
    Job {
        line: "header backup box --header-backup-file new",
        whole: "! test -e new || cmp -n 32768 new box",
        done: "test -e new",
    },
    Job {
        line: "header restore box -q --header-backup-file saved",
        whole: "luksmith key test box --key-file a",
        done: "! luksmith key test box --key-file b",
    },
    Job {
        line: "header config box --label x",
        whole: "luksmith decrypt box out --key-file b && cmp raw out",
        done: "luksmith inspect box | grep -q 'label  *x'",
    },
    Job {
        line: "header convert box -q --type luks1",
        whole: "luksmith decrypt box out --key-file b && cmp raw out",
        done: "luksmith inspect box | grep -q LUKS1",
    },
    Job {
        line: "token import box --json-file token",
        whole: "luksmith decrypt box out --key-file b && cmp raw out",
        done: "luksmith token export box --token-id 0",
    },
    Job {
        line: "header erase box -q",
        whole: "luksmith inspect box",
        done: "! luksmith key test box --key-file a",
    },
];

/// What may fail and leave something behind. Memory that ends is another matter, and so is what the loader does.
const CALLS: &str = "openat,read,pread64,write,pwrite64,fsync,fdatasync,ftruncate,fallocate,linkat,renameat,renameat2,\
                     unlinkat,unlink,fcntl,flock,statx,newfstatat,fstat,lseek,ioctl,getrandom,fchmod";
const FAULTS: [&str; 5] = [
    "error=EIO",
    "error=ENOSPC",
    "error=EMFILE",
    "error=EINTR",
    "signal=KILL",
];

fn place() -> Place {
    let place = Place::new();
    for key in ["a", "b", "c"] {
        place.write(key, format!("passphrase {key}"));
    }
    place.write("token", r#"{"type":"own","keyslots":["0"]}"#);
    place.write("raw", vec![0x5a; 64 << 10]);
    place.sh(&format!(
        "luksmith encrypt -q raw box --key-file a {CHEAP} --key-size 256 --sector-size 512 --offset 4096 --luks2-keyslots-size 1M && \
         luksmith header backup -q box --header-backup-file saved && \
         luksmith key add -q box --key-file a --new-keyfile b {CHEAP} && \
         luksmith encrypt -q raw old --key-file b {CHEAP} --offset 4096 --luks2-keyslots-size 1M"
    ));
    place
}

fn traced(place: &Place, job: &Job, inject: Option<&str>) -> Output {
    let line = job.line.replace("$K", CHEAP);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "trace", "-e", &format!("trace={CALLS}")]);
    if let Some(inject) = inject {
        command.args(["-e", &format!("inject={inject}")]);
    }
    command.arg(PROGRAM).args(line.split_whitespace());
    place.run(&mut command)
}

/// How often each call comes, and how often before the program's own first one: those are the loader's.
fn counts(trace: &str) -> BTreeMap<&str, (usize, usize)> {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut is_loading = true;
    for line in trace.lines() {
        // `PID call(...`, after the PID of each thread.
        let call = line.split_whitespace().nth(1).unwrap_or_default();
        let Some((call, _)) = call.split_once('(') else {
            continue;
        };
        is_loading &= !line.contains("/proc/self/");
        let (all, loading) = counts.entry(call).or_default();
        *all += 1;
        *loading += usize::from(is_loading);
    }
    counts
}

fn cases(job: &Job) -> Vec<Case<'_>> {
    let place = place();
    let output = traced(&place, job, None);
    assert!(output.status.success(), "{}: {output:?}", job.line);
    place.sh(&format!("{{ {}; }} && {{ {}; }}", job.whole, job.done));
    let trace = String::from_utf8_lossy(&place.read("trace")).into_owned();
    let mut cases = Vec::new();
    for (call, (all, loading)) in counts(&trace) {
        for number in loading + 1..=all {
            for fault in FAULTS {
                cases.push(Case {
                    job,
                    call: call.to_owned(),
                    number,
                    fault,
                });
            }
        }
    }
    assert!(cases.len() > 100, "{}: {}", job.line, cases.len());
    cases
}

/// What is left is old, new, or said: never half of either under its name, and success is never said of what is not there.
#[track_caller]
fn check(case: &Case<'_>) {
    let place = place();
    let inject = format!("{}:{}:when={}", case.call, case.fault, case.number);
    let output = traced(&place, case.job, Some(&inject));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked"), "{said}");
    match output.status.code() {
        Some(0) => drop(place.sh(case.job.done)),
        Some(code) => {
            assert!((1..=5).contains(&code), "exit {code}: {said}");
            assert!(!said.is_empty(), "exit {code}, and nothing is said");
        }
        None => assert_eq!(output.status.signal(), Some(9), "{said}"),
    }
    place.sh(case.job.whole);
    let is_left = place.sh_code("ls -A | grep -q '^\\.'") == 0;
    let may_be_left = case.fault.starts_with("signal") || case.call.starts_with("unlink");
    assert!(may_be_left || !is_left, "a temporary file is left: {said}");
}

/// A share of them; all with `LUKSMITH_CALLS=all`.
#[test]
fn a_system_call_that_fails_leaves_the_old_or_the_new_or_is_told() {
    let all = std::env::var("LUKSMITH_CALLS").is_ok_and(|share| share == "all");
    let cases: Vec<Case<'_>> = JOBS.iter().flat_map(cases).collect();
    // A prime, so that every fault and most calls come.
    let step = if all { 1 } else { 61 };
    let cases: Vec<_> = cases.into_iter().step_by(step).collect();
    check_all("system calls that fail", &cases, check);
}

/// A name is durable once its folder is: what comes last is a sync of that, in which the names were made.
#[test]
fn the_folder_of_a_new_name_is_synced_after_it() {
    let place = place();
    for line in [
        "encrypt -q raw new --key-file a $K",
        "encrypt -q raw new --header apart --force --key-file a $K",
        "decrypt -q box plain --key-file a",
        "create -q empty --payload-size 1M --key-file a $K",
        "clone -q box copy --key-file a --new-keyfile b $K",
        "header backup -q box --header-backup-file other",
        "key export -q box --key-file a --volume-key-file key",
    ] {
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "-qq", "-o", "trace"]);
        command.args(["-e", "trace=fsync,linkat,renameat,renameat2"]);
        command.arg(PROGRAM);
        command.args(line.replace("$K", CHEAP).split_whitespace());
        place.succeed(&mut command);
        let trace = String::from_utf8(place.read("trace")).unwrap();
        let folder = fs::canonicalize(place.path("")).unwrap();
        let synced = format!("<{}>) = 0", folder.display());
        let calls: Vec<&str> = trace.lines().filter(|call| !call.contains("+++")).collect();
        let is_name = |call: &&str| call.contains("linkat(") || call.contains("renameat");
        let named = calls.iter().rposition(is_name);
        let named = named.unwrap_or_else(|| panic!("{line}: no name is made: {trace}"));
        let is_synced = |call: &&str| call.contains("fsync(") && call.contains(&synced);
        assert!(calls[named..].iter().any(is_synced), "{line}: {trace}");
    }
}
