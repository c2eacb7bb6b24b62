//! The process killed at any moment, on an image of many zones: whoever goes on has all data.

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{CHEAP, JOBS, Job, K, OFFLINE, SMALL, ended_by_cryptsetup, luks1, place_of, resumed};
use crate::common::{PROGRAM, Place, Seeded};

const BYTES: usize = 64 << 20;

/// `LUKSMITH_KILLS`: so many kills at moments that a seed chooses, and at each single call in the tests beside this one.
pub fn campaign() -> Option<(usize, u64)> {
    let asked = std::env::var("LUKSMITH_KILLS").ok()?;
    let (kills, seed) = asked.split_once(' ').expect("kills and a seed");
    let kills = kills.parse().expect("a number of kills");
    Some((kills, seed.parse().expect("a seed")))
}

/// At one of so many calls a process is killed, in a campaign at each.
pub fn step(usual: usize) -> usize {
    campaign().map_or(usual, |_| 1)
}

/// A job, how it is gone on with, and how long it takes.
struct Killed {
    job: Job,
    resumed: fn(&Place, &Job),
    whole: Duration,
}

#[test]
fn a_process_killed_at_any_moment_loses_nothing() {
    let (kills, seed) = campaign().unwrap_or((100, 1));
    let place = place_of(BYTES);
    place.sh(&format!(
        "cp raw box; luksmith encrypt --in-place box {K} {CHEAP} {SMALL} -q
         cp raw longer; truncate -s +2M longer
         luksmith encrypt raw box1 --type luks1 {K} {CHEAP} -q"
    ));
    let of_luks1 = luks1::JOBS.iter().map(|job| Job {
        from: if job.from == "box" { "box1" } else { job.from },
        ..*job
    });
    let mut jobs: Vec<_> = JOBS
        .iter()
        .map(|job| (*job, resumed as fn(&Place, &Job)))
        .chain(of_luks1.map(|job| (job, luks1::resumed as fn(&Place, &Job))))
        .map(|(job, resumed)| Killed {
            whole: run(&place, &job, None).expect("nothing kills it"),
            job,
            resumed,
        })
        .collect();
    let mut random = Seeded(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let (mut passed, mut both) = (0, 0);
    while passed < kills {
        let count = jobs.len();
        let killed = &mut jobs[passed % count];
        let moment = killed.whole * u32::try_from(random.next() % 1000).unwrap() / 1000;
        if let Some(whole) = run(&place, &killed.job, Some(moment)) {
            // It was too fast: other processes have come to their end meanwhile.
            killed.whole = whole;
            continue;
        }
        // By cryptsetup every other one, where it can: the rest is ours.
        let is_theirs = passed / count % 2 == 1 && ended_by_cryptsetup(&place, &killed.job);
        if is_theirs {
            both += 1;
        } else {
            (killed.resumed)(&place, &killed.job);
        }
        passed += 1;
        if passed % 100 == 0 {
            println!("{passed} killed, {both} of them ended by cryptsetup");
        }
    }
    println!("cases: kills at any moment {passed} passed, 0 failed");
    assert!(both * 10 > passed, "{both} of {passed}");
}

/// Runs a job, and kills it after a while; how long it took, where that was less.
fn run(place: &Place, job: &Job, after: Option<Duration>) -> Option<Duration> {
    place.sh(&format!("rm -f d d.luks-header h; cp {} d", job.from));
    let verb = job.typed();
    let started = Instant::now();
    let mut child = Command::new(PROGRAM)
        .args(verb.split_whitespace())
        .args(K.split_whitespace())
        .arg("-q")
        .current_dir(place.path(""))
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    if let Some(after) = after {
        sleep(after);
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    if !status.success() {
        assert_eq!(status.code(), None, "{}: it failed by itself", job.name);
        assert!(after.is_some(), "{}: killed by somebody else", job.name);
        return None;
    }
    Some(started.elapsed())
}

/// cryptsetup killed at its syncs and writes: we finish, and every byte is there. It would itself lose what it leaves at
/// the end.
#[test]
fn what_a_killed_cryptsetup_leaves_is_finished() {
    let place = place_of(SMALL_BYTES);
    place.sh(&format!(
        "cp raw box; luksmith encrypt --in-place box {K} {CHEAP} {SMALL} -q
         cp raw apart; luksmith encrypt --in-place apart --header head {K} {CHEAP} -q
         cp raw longer; truncate -s +4M longer"
    ));
    let mut passed = 0;
    for (number, (from, header, command)) in CRYPTSETUPS.iter().enumerate() {
        for (calls, usual) in [("fsync,fdatasync", 9), ("write,pwrite64", 23)] {
            let step = step(usual);
            let first = if step == 1 { 1 } else { 6 + number % 3 };
            for when in (first..).step_by(step) {
                if !is_finished(&place, from, header, command, calls, when) {
                    break;
                }
                passed += 1;
            }
        }
    }
    println!("cases: kills of cryptsetup {passed} passed, 0 failed");
    assert!(passed >= 25, "{passed}");
}

const SMALL_BYTES: usize = 3 << 20;

/// What cryptsetup begins with, where its header goes, and its command.
const CRYPTSETUPS: &[(&str, &str, &str)] = &[
    ("box", "", "reencrypt CHEAP --hotzone-size 1M"),
    (
        "box",
        "",
        "reencrypt CHEAP --hotzone-size 1M --resilience journal",
    ),
    (
        "longer",
        "",
        "reencrypt --encrypt --reduce-device-size 4M CHEAP",
    ),
    (
        "raw",
        "--header h",
        "reencrypt --encrypt CHEAP --hotzone-size 1M",
    ),
    (
        "raw",
        "--header h",
        "reencrypt --encrypt CHEAP --hotzone-size 1M --resilience journal",
    ),
    (
        "apart",
        "--header h",
        "reencrypt --decrypt --hotzone-size 1M",
    ),
    (
        "apart",
        "--header h",
        "reencrypt --decrypt --hotzone-size 1M --resilience journal",
    ),
    ("box", "--header h", "reencrypt --decrypt"),
    (
        "box",
        "--header h",
        "reencrypt --decrypt --hotzone-size 256K",
    ),
    (
        "box",
        "--header h",
        "reencrypt --decrypt --hotzone-size 256K --resilience journal",
    ),
];

/// Whether cryptsetup was killed at all; then what it left is finished, and whole.
fn is_finished(
    place: &Place,
    from: &str,
    header: &str,
    command: &str,
    calls: &str,
    when: usize,
) -> bool {
    let of_case = || format!("{command}: {calls} {when}");
    let command = command.replace("CHEAP", CHEAP);
    let code = place.sh_code(&format!(
        "rm -f d h LUKS2-temp*; cp {from} d; [ {from} != apart ] || cp head h
         strace -f -o /dev/null -e trace={calls} -e inject={calls}:signal=KILL:when={when} \
         cryptsetup {command} {OFFLINE} d {header} {K} 2>said"
    ));
    if code != 137 {
        assert_eq!(code, 0, "{}", of_case());
        return false;
    }
    // Begun or ended, it may have nothing to go on with; and as long as the copy of a header is no header the image has its
    // own.
    let has_header = place.sh_code("cryptsetup isLuks h 2>said") == 0;
    let header = if has_header { header } else { "" };
    place.sh_code(&format!("luksmith resume d {header} {K} -q 2>said"));
    let raw = place.read("raw");
    if place.read_start("d", raw.len() as u64) != raw {
        let code = place.sh_code(&format!(
            "rm -f out; luksmith decrypt d out {header} {K} -q 2>said"
        ));
        let said = String::from_utf8_lossy(&place.read("said")).into_owned();
        assert_eq!(code, 0, "{}: {said}", of_case());
        let data = place.read("out");
        assert!(data[..raw.len()] == raw, "{}", of_case());
    }
    if !command.contains("--decrypt") {
        let is_left = format!("luksmith inspect d {header} 2>said | grep -q ^reencrypts");
        assert_ne!(place.sh_code(&is_left), 0, "{}", of_case());
    }
    true
}
