//! Running a program: with pipes, or on a terminal with somebody who types.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use super::row::Row;

/// A program that takes longer waits for something.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a program ended and what it said.
pub struct Outcome {
    pub code: i32,
    /// Of a program on a terminal: all that was to be seen.
    pub stdout: String,
    pub stderr: String,
}

/// Runs a row in `folder`. In what is said the program is `cryptsetup` and the list of options, which grows from
/// version to version, is left out.
pub fn run(program: &Path, row: &Row, folder: &Path) -> Outcome {
    let mut outcome = if row.on_terminal {
        on_terminal(program, row, folder)
    } else {
        let mut command = Command::new(program);
        command.args(&row.words).current_dir(folder);
        on_pipes(&mut command, &row.input[0])
    };
    if row.has("benchmark") {
        outcome.stdout = without_measurements(&outcome.stdout);
    }
    if row.has("reencrypt") {
        outcome.stdout = without_progress(&outcome.stdout);
    }
    for text in [&mut outcome.stdout, &mut outcome.stderr] {
        *text = text.replace(&*program.to_string_lossy(), "cryptsetup");
        *text = text.replace("/usr/sbin/cryptsetup", "cryptsetup");
        let end = "<action-specific>\n";
        if let (Some(start), Some(at)) = (text.find("Usage: cryptsetup"), text.find(end)) {
            text.replace_range(start..at + end.len(), "[usage] ");
        }
    }
    outcome
}

/// What was measured, with the blanks before it that fill its column, becomes one `#`.
fn without_measurements(text: &str) -> String {
    let mut shown = String::new();
    for line in text.split_inclusive('\n') {
        let units = [" iterations", " MiB/s"];
        let mut rest = line;
        while let Some(at) = units.iter().filter_map(|unit| rest.find(unit)).min() {
            let number = |letter: char| letter.is_ascii_digit() || letter == '.';
            let before = rest[..at].trim_end_matches(number).trim_end();
            let _ = write!(shown, "{before} #");
            let unit = units.iter().find(|unit| rest[at..].starts_with(**unit));
            let end = at + unit.map_or(0, |unit| unit.len());
            shown.push_str(&rest[at..end]);
            rest = &rest[end..];
        }
        shown.push_str(rest);
    }
    shown
}

/// Of the last line of progress that it was there; what stands before it depends on how fast the machine is.
fn without_progress(text: &str) -> String {
    let mut shown = String::new();
    for line in text.split_inclusive('\n') {
        let end = if line.ends_with("\r\n") { "\r\n" } else { "\n" };
        let starts = line.find("Finished, time ");
        let json = line
            .starts_with("{\"device\":")
            .then(|| line.find("\"speed\""));
        if let Some(start) = starts {
            let is_over = line.contains("\x1b[2K\r");
            let how = if is_over { "over itself" } else { "" };
            let _ = write!(shown, "Finished, time {how}{}", &line[start..start + 9]);
            shown.push_str(end);
        } else if let Some(speed) = json.flatten() {
            shown.push_str(&line[..speed]);
            shown.push_str(end);
        } else {
            shown.push_str(line);
        }
    }
    shown
}

/// Without what is said of a machine that other tests keep busy.
fn whatever_the_load(text: &str) -> String {
    text.split_inclusive('\n')
        .filter(|line| !line.contains("this machine is busy: the key derivation"))
        .collect()
}

/// What a command writes on standard output where it ends well.
pub fn plaintext(command: &mut Command, input: &[u8]) -> Option<Vec<u8>> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    let output = child.wait_with_output().unwrap();
    output.status.success().then_some(output.stdout)
}

/// Runs a command to its end.
pub fn on_pipes(command: &mut Command, input: &[u8]) -> Outcome {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that reads none of it may have ended before.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    let output = child.wait_with_output().unwrap();
    Outcome {
        code: output.status.code().expect("no signal"),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: whatever_the_load(&String::from_utf8_lossy(&output.stderr)),
    }
}

/// Runs a row on a terminal of its own, typing the next line whenever a prompt stands there.
fn on_terminal(program: &Path, row: &Row, folder: &Path) -> Outcome {
    let (mut screen, keyboard) = terminal();
    let side = || Stdio::from(keyboard.try_clone().unwrap());
    let mut child = Command::new("setsid")
        .args(["--ctty", "--wait"])
        .arg(program)
        .args(&row.words)
        .current_dir(folder)
        .stdin(side())
        .stdout(side())
        .stderr(side())
        .spawn()
        .expect("setsid(1) of util-linux");
    drop(keyboard);
    let mut lines = row.input.iter().filter(|line| !line.is_empty());
    let mut seen = Vec::new();
    let mut typed_at = 0;
    let start = Instant::now();
    loop {
        if !wait_for_text(&screen, start) {
            give_up(&mut child, row, &seen);
        }
        let mut chunk = [0; 4096];
        match screen.read(&mut chunk) {
            // The last one who had the terminal open is gone.
            Ok(0) | Err(_) => break,
            Ok(count) => seen.extend(&chunk[..count]),
        }
        let unanswered = &seen[typed_at..];
        if !unanswered.ends_with(b": ") {
            continue;
        }
        let is_secret = !unanswered.ends_with(b"capital letters): ");
        if let Some(line) = lines.next() {
            // What is typed before the echo is off would be thrown away.
            while is_secret && echoes(&screen) {
                if start.elapsed() > PATIENCE {
                    give_up(&mut child, row, &seen);
                }
                sleep(Duration::from_millis(1));
            }
            typed_at = seen.len();
            screen.write_all(line).unwrap();
        }
    }
    let status = child.wait().unwrap();
    Outcome {
        code: status.code().expect("no signal"),
        stdout: whatever_the_load(&String::from_utf8_lossy(&seen)),
        stderr: String::new(),
    }
}

/// A new pseudo-terminal: our side, then the program's.
fn terminal() -> (File, OwnedFd) {
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&screen).unwrap();
    unlockpt(&screen).unwrap();
    let name = ptsname(&screen, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let keyboard = open(&name, flags, Mode::empty()).unwrap();
    (screen.into(), keyboard)
}

fn echoes(screen: &File) -> bool {
    tcgetattr(screen).is_ok_and(|modes| modes.local_modes.contains(LocalModes::ECHO))
}

/// Whether there is something to read, or nobody left to write it, before patience ends.
fn wait_for_text(screen: &File, start: Instant) -> bool {
    let left = PATIENCE.saturating_sub(start.elapsed());
    let left = Timespec::try_from(left).expect("a minute");
    let mut polled = [PollFd::new(screen, PollFlags::IN)];
    poll(&mut polled, Some(&left)).unwrap() != 0
}

fn give_up(child: &mut Child, row: &Row, seen: &[u8]) -> ! {
    child.kill().unwrap();
    child.wait().unwrap();
    panic!(
        "{row}\n    waits for ever after {:?}",
        String::from_utf8_lossy(seen)
    );
}
