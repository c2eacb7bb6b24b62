use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{PROGRAM, Place, Seeded, pattern};

const CHEAP: &str = "--key-file pw --pbkdf pbkdf2 --pbkdf-force-iterations 1000";
const SMALL: &str = "--luks2-metadata-size 16K --luks2-keyslots-size 256K --key-size 256";
const PLAIN: &str = "--type plain --cipher aes-xts-plain64 --key-size 512 --key-file key";
/// How many jobs are attacked in each run.
const ROUNDS: u64 = 210;
const SEED: u64 = 0x2545_f491_4f6c_dd1d;
/// What the attacker's links name: a file that is there and one that is not.
const TARGETS: [&str; 2] = ["victim", "nowhere"];
const PRECIOUS: &[u8] = b"precious";

/// Jobs that make the file `box`, and the rights that it has.
fn jobs() -> Vec<(String, u32)> {
    [
        (format!("encrypt raw box {PLAIN}"), 0o600),
        (format!("decrypt raw box {PLAIN}"), 0o600),
        (format!("decrypt raw box {PLAIN} --force"), 0o600),
        (
            format!("create data --header box --payload-size 4K --force {CHEAP} {SMALL}"),
            0o600,
        ),
        ("header backup image --header-backup-file box".into(), 0o400),
        (
            "key export image -q --key-file pw --volume-key-file box".into(),
            0o600,
        ),
        (
            "token export image --token-id 0 --json-file box".into(),
            0o600,
        ),
    ]
    .map(|(line, mode)| (format!("exec '{PROGRAM}' {line}"), mode))
    .to_vec()
}

fn place() -> Place {
    let place = Place::new();
    place.write("key", pattern(64));
    place.write("pw", "pw");
    place.write("raw", pattern(4096));
    place.write("victim", PRECIOUS);
    place.sh(&format!(
        "luksmith encrypt raw image {CHEAP} {SMALL} && luksmith token add image --key-description x --token-id 0"
    ));
    place
}

fn names(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.path("")).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// How a job under attack ended.
struct Round {
    code: i32,
    /// Whether the attacker saw a file of the job.
    saw: bool,
}

/// Runs a job, and plants links under the names of its files from `wait` after its start until its end. As in /tmp, the
/// attacker takes away nothing but what is his.
fn attack(place: &Place, line: &str, wait: Duration, random: &mut Seeded) -> Round {
    let mut job = Command::new("sh")
        .args(["-c", line])
        .current_dir(place.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let temporary = |attempt| format!(".box.luksmith-{}-{attempt}", job.id());
    let mut names = vec![temporary(0), temporary(1)];
    // With a link there a job cannot end well, unless by --force.
    if random.one_of(&[true, false]) {
        names.push("box".into());
    }
    let target = random.one_of(&TARGETS);
    let mut own = vec![false; names.len()];
    let mut saw = false;
    let start = Instant::now();
    let status = loop {
        if let Some(status) = job.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() < wait {
            continue;
        }
        let number = usize::try_from(random.next() >> 32).unwrap() % names.len();
        let name = place.path(&names[number]);
        match symlink(target, &name) {
            Ok(()) => own[number] = true,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                saw |= !own[number];
                if own[number] && number < 2 {
                    // A job that loses has moved it away.
                    let _ = fs::remove_file(&name);
                    own[number] = false;
                }
            }
            Err(error) => panic!("{error}"),
        }
    };
    for (name, _) in names.iter().zip(own).filter(|(_, own)| *own) {
        let metadata = place.path(name).symlink_metadata();
        if metadata.is_ok_and(|metadata| metadata.is_symlink()) && name != "box" {
            fs::remove_file(place.path(name)).unwrap();
        }
    }
    Round {
        code: status.code().unwrap(),
        saw,
    }
}

/// What the attacker has reached, where he has; afterwards everything is as it was before the job.
fn loot(place: &Place, before: &[String], code: i32, mode: u32) -> Option<String> {
    let made = place.path("box").symlink_metadata().ok();
    let found = if place.read("victim") != PRECIOUS {
        Some("the victim was written".into())
    } else if place.path("nowhere").exists() {
        Some("a file was made elsewhere".into())
    } else if let Some(made) = made.filter(|_| code == 0) {
        let is = made.permissions().mode() & 0o777;
        (!made.is_file() || is != mode).then(|| format!("box is {:?}, {is:o}", made.file_type()))
    } else {
        (code == 0).then(|| "there is no box".into())
    };
    place.write("victim", PRECIOUS);
    for name in ["nowhere", "box", "data"] {
        let _ = fs::remove_file(place.path(name));
    }
    let after = names(place);
    found.or_else(|| (after != before).then(|| format!("left: {after:?}")))
}

/// `LUKSMITH_RACES=ROUNDS` for as many of them.
#[test]
fn e4_nobody_wins_a_race_for_the_name_of_a_new_file() {
    let rounds = std::env::var("LUKSMITH_RACES").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let place = place();
    let before = names(&place);
    let mut random = Seeded(SEED);
    let jobs: Vec<_> = jobs()
        .into_iter()
        .map(|(line, mode)| {
            let start = Instant::now();
            place.sh(&format!("umask 0; {line}"));
            let took = start.elapsed();
            assert_eq!(loot(&place, &before, 0, mode), None, "{line}");
            (line, mode, took)
        })
        .collect();
    let (mut done, mut refused, mut saw) = (0, 0, 0);
    let mut wins = Vec::new();
    for round in 0..rounds {
        let (line, mode, took) = &jobs[usize::try_from(round).unwrap() % jobs.len()];
        // At once, or somewhen while it runs.
        let wait = took.mul_f64(f64::from(random.next().to_le_bytes()[0] & 63) / 64.0);
        let wait = random.one_of(&[Duration::ZERO, wait]);
        let outcome = attack(&place, line, wait, &mut random);
        match outcome.code {
            0 => done += 1,
            1 | 5 => refused += 1,
            code => panic!("{line}: {code}"),
        }
        saw += u64::from(outcome.saw);
        if let Some(loot) = loot(&place, &before, outcome.code, *mode) {
            wins.push(format!("round {round}: {line}: {loot}"));
        }
    }
    println!(
        "cases: races for the names of new files {} passed, {} failed ({done} made, {refused} refused, in {saw} the \
         attacker saw a file; seed {SEED:#x})",
        rounds - wins.len() as u64,
        wins.len()
    );
    assert!(wins.is_empty(), "{wins:#?}");
    assert!(done > 0 && refused > 0 && saw > 0);
}

/// The attack is one: a job that opens a file under a name that can be known loses.
#[test]
fn a_shell_that_makes_a_temporary_file_by_name_loses_the_race() {
    let place = place();
    let before = names(&place);
    let mut random = Seeded(SEED);
    let line =
        "sleep 0.01; umask 077; echo secret >.box.luksmith-$$-0 && mv .box.luksmith-$$-0 box";
    let lost = (0..20)
        .filter(|_| {
            let outcome = attack(&place, line, Duration::ZERO, &mut random);
            loot(&place, &before, outcome.code, 0o600).is_some()
        })
        .count();
    assert!(lost > 0);
}

/// What takes turns under the name of a destination, in a folder that takes turns with another one.
fn exchange(place: &Place, random: &mut Seeded) {
    let folder = place.path(random.one_of(&["att", "att2"]));
    let _ = fs::create_dir(&folder);
    let _ = fs::remove_file(folder.join("out"));
    match random.one_of(&[0, 1, 2, 3, 4]) {
        0 => drop(symlink("../victim", folder.join("out"))),
        1 => drop(fs::hard_link(place.path("victim"), folder.join("out"))),
        2 => drop(fs::write(folder.join("out"), "old")),
        3 => {
            let _ = fs::rename(place.path("att"), place.path("att3"));
            let _ = fs::rename(place.path("att2"), place.path("att"));
            let _ = fs::rename(place.path("att3"), place.path("att2"));
        }
        _ => {}
    }
}

/// `LUKSMITH_RACES=ROUNDS` for as many of them.
#[test]
fn nobody_wins_a_race_for_what_is_written_over() {
    let rounds = std::env::var("LUKSMITH_RACES").map_or(60, |rounds| rounds.parse().unwrap());
    let place = place();
    let mut random = Seeded(SEED);
    let lines = [
        format!("encrypt raw att/out --force {PLAIN}"),
        format!("encrypt raw att/out {PLAIN}"),
        "key export image -q --key-file pw --volume-key-file att/out".to_owned(),
        "token export image --token-id 0 --json-file att/out".to_owned(),
        "cryptsetup token export image --token-id 0 --json-file att/out".to_owned(),
    ];
    let (mut done, mut refused) = (0, 0);
    for round in 0..rounds {
        let line = &lines[usize::try_from(round).unwrap() % lines.len()];
        exchange(&place, &mut random);
        let _ = fs::create_dir(place.path("att"));
        let mut job = Command::new(PROGRAM)
            .args(line.split_whitespace())
            .current_dir(place.path(""))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let code = loop {
            match job.try_wait().unwrap() {
                Some(status) => break status.code().unwrap(),
                None => exchange(&place, &mut random),
            }
        };
        match code {
            0 => done += 1,
            1 | 5 => refused += 1,
            code => panic!("{line}: {code}"),
        }
        assert!(place.read("victim") == PRECIOUS, "round {round}: {line}");
        for folder in ["att", "att2"] {
            for entry in fs::read_dir(place.path(folder)).into_iter().flatten() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                assert_eq!(name, "out", "round {round}: {line}");
            }
        }
    }
    println!(
        "cases: races for what is written over {rounds} passed, 0 failed ({done} made, {refused} refused; seed {SEED:#x})"
    );
    assert!(done > 0 && refused > 0);
}
