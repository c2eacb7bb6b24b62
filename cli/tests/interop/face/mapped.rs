//! Mappings, where the kernel has a device-mapper: what is opened, changed and closed by both programs and by each in
//! turn, in user-mode-linux.
//!
//! A row of `mapping.rows` is a scene: command lines with ` ; ` between them, each with ` <<< ` and its standard input
//! behind it as in the other tables. What starts with `!` is shell, and must succeed. A scene runs four times, each
//! time over fresh copies of the files that it names: all of it by cryptsetup, all by us, and twice with the first step
//! by one of them and the rest by the other. A step must end there as when its program is alone, and ours as
//! cryptsetup's: with the same exit code, standard output and first line of standard error, and after it the same
//! tables with their keys, names, UUIDs, attributes and nodes.
//!
//! Below a row where a step is meant to differ stands which, in what, what each says first, and why.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use super::Bench;
use super::row::{unescaped, words};
use crate::common::check_all;

const ROWS: &str = include_str!("mapping.rows");

/// The heading of what happens while udev runs.
const WITH_UDEV: &str = "udev";

/// Who does the first step, and who the rest.
const MODES: [(&str, Who, Who); 4] = [
    ("theirs", Who::Theirs, Who::Theirs),
    ("ours", Who::Ours, Who::Ours),
    ("begun by them", Who::Theirs, Who::Ours),
    ("begun by us", Who::Ours, Who::Theirs),
];

/// A boot takes seconds, and a guest has one processor.
const GUESTS: usize = 3;
/// Which guest plays a scene: udev is slow, and the last one has it.
const TURNS: [usize; 5] = [0, 1, 0, 1, 2];
/// A busy machine is slow.
const SECONDS_OF_A_GUEST: u32 = 3600;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Who {
    Theirs,
    Ours,
}

struct Scene {
    heading: String,
    place: String,
    text: String,
    steps: Vec<Step>,
    wanted: Vec<Wanted>,
}

enum Step {
    Shell(String),
    Program { words: Vec<String>, input: Vec<u8> },
}

/// A difference that is meant.
#[derive(Default)]
struct Wanted {
    step: usize,
    aspects: Vec<String>,
    ours: String,
    theirs: String,
    because: String,
}

/// How a step ended; each aspect by its name.
type Ending = BTreeMap<&'static str, String>;

const FILES: [&str; 4] = ["code", "stdout", "stderr", "mappings"];

/// Why each step that is meant to differ does.
pub fn differences() -> impl Iterator<Item = String> {
    let wanted = scenes().into_iter().flat_map(|scene| scene.wanted);
    wanted.map(|wanted| wanted.because)
}

fn scenes() -> Vec<Scene> {
    let mut scenes: Vec<Scene> = Vec::new();
    let mut heading = "";
    for (number, line) in (1..).zip(ROWS.lines()) {
        if let Some(title) = line.strip_prefix("## ") {
            heading = title;
            continue;
        }
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let place = format!("mapping.rows:{number}");
        let Some(member) = line.strip_prefix("    ") else {
            scenes.push(Scene {
                heading: heading.to_owned(),
                place,
                text: line.to_owned(),
                steps: line.split(" ; ").map(step).collect(),
                wanted: Vec::new(),
            });
            continue;
        };
        let scene = scenes.last_mut().expect("a row stands above it");
        let (name, value) = member.split_once(' ').unwrap_or((member, ""));
        if name == "differs:" {
            let mut aspects = value.split(' ').map(str::to_owned);
            let step = aspects.next().and_then(|number| number.parse().ok());
            scene.wanted.push(Wanted {
                step: step.unwrap_or_else(|| panic!("{place}: which step?")),
                aspects: aspects.collect(),
                ..Wanted::default()
            });
            continue;
        }
        let wanted = scene.wanted.last_mut().expect("differs: stands first");
        let field = match name {
            "ours" => &mut wanted.ours,
            "theirs" => &mut wanted.theirs,
            "because:" => &mut wanted.because,
            _ => panic!("{place}: {line}"),
        };
        value.clone_into(field);
    }
    for scene in &scenes {
        for wanted in &scene.wanted {
            assert!(!wanted.because.is_empty(), "{scene}: why?");
        }
    }
    scenes
}

fn step(text: &str) -> Step {
    if let Some(shell) = text.strip_prefix('!') {
        return Step::Shell(shell.to_owned());
    }
    let (line, input) = text.split_once(" <<< ").unwrap_or((text, ""));
    Step::Program {
        words: words(line),
        input: unescaped(input),
    }
}

impl std::fmt::Display for Scene {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

impl Scene {
    /// Which templates it names.
    fn files(&self, bench: &Bench) -> Vec<PathBuf> {
        let is_of_a_name = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        let names = self.text.split(|letter| !is_of_a_name(letter));
        let names = names.filter(|name| !matches!(*name, "" | "." | ".."));
        let mut files: Vec<_> = names
            .map(|name| bench.template(name))
            .filter(|path| path.exists())
            .collect();
        files.sort();
        files.dedup();
        files
    }

    /// What a guest does for one run in `folder`.
    fn script(&self, folder: &Path, ours: &Path, first: Who, rest: Who) -> String {
        let mut script = format!("cd {}\n", quoted(&folder.to_string_lossy()));
        for (index, step) in self.steps.iter().enumerate() {
            let who = if index == self.first() { first } else { rest };
            let program = match who {
                Who::Theirs => Path::new("/usr/sbin/cryptsetup"),
                Who::Ours => ours,
            };
            match step {
                Step::Shell(line) => {
                    let _ = writeln!(script, "{{ {line}\n}} >.{index}.stdout 2>.{index}.stderr");
                }
                Step::Program { words, .. } => {
                    let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
                    let program = quoted(&program.to_string_lossy());
                    let words = words.join(" ");
                    let _ = writeln!(
                        script,
                        "{program} {words} <.{index}.stdin >.{index}.stdout 2>.{index}.stderr"
                    );
                }
            }
            let _ = writeln!(
                script,
                "echo $? >.{index}.code; mappings >.{index}.mappings 2>&1"
            );
        }
        script.push_str("clean\n");
        script
    }

    /// The first step that is not shell.
    fn first(&self) -> usize {
        let is_program = |step: &Step| matches!(step, Step::Program { .. });
        self.steps.iter().position(is_program).expect("a program")
    }
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// What every guest does between the steps, and between the scenes.
const FUNCTIONS: &str = r"
settle() { :; }
mappings() {
    local nodes
    settle
    dmsetup info -c --noheadings -o name,uuid,attr
    dmsetup table --showkeys
    for node in /dev/mapper/*; do
        [ $node = /dev/mapper/control ] || nodes+=($node)
    done
    [ ${#nodes} = 0 ] || stat -c '%n %F %a %U %G %t:%T' ${nodes[@]}
}
clean() {
    cd /
    while read -r _ where _; do
        [ $where != /mnt ] || umount /mnt
    done </proc/mounts
    for mapping in /sys/block/dm-*; do
        [ ! -e $mapping ] || {
            dmsetup remove_all --force
            settle
            break
        }
    done
    for node in /dev/mapper/*; do
        [ $node = /dev/mapper/control ] || rm -f $node
    done
    for device in /sys/block/loop*/loop; do
        [ ! -e $device ] || { losetup -D; break; }
    done
}
";

/// Where udev runs nobody makes nodes but it, and in its own time.
const UDEV: &str = r"
/lib/systemd/systemd-udevd --daemon >/dev/null 2>&1
udevadm trigger --action=add --subsystem-match=block
settle() { udevadm settle -t 120; }
";

/// The folder of a run of a scene.
fn folder(bench: &Bench, scene: usize, mode: usize) -> PathBuf {
    bench.place.path(format!("scenes/{scene}-{mode}"))
}

/// Puts the files there that the scene names, and what its steps read.
fn prepare(bench: &Bench, number: usize, scene: &Scene) {
    let files = scene.files(bench);
    for mode in 0..MODES.len() {
        let folder = folder(bench, number, mode);
        fs::create_dir_all(&folder).unwrap();
        if !files.is_empty() {
            let mut copy = std::process::Command::new("cp");
            copy.args(["-r", "--sparse=always"]).args(&files);
            bench.place.succeed(copy.arg(&folder));
        }
        for (index, step) in scene.steps.iter().enumerate() {
            if let Step::Program { input, .. } = step {
                fs::write(folder.join(format!(".{index}.stdin")), input).unwrap();
            }
        }
    }
}

/// What one guest does: its share of the scenes, and the last one those that want udev.
fn script_of_guest(bench: &Bench, guest: usize, scenes: &[Numbered<'_>]) -> String {
    let ours = bench.place.path("bin/cryptsetup");
    let (with_udev, without): (Vec<_>, Vec<_>) = scenes
        .iter()
        .copied()
        .partition(|Numbered(_, scene)| scene.heading == WITH_UDEV);
    let mut script = FUNCTIONS.to_owned();
    let play = |script: &mut String, Numbered(number, scene): &Numbered<'_>| {
        for (mode, (_, first, rest)) in MODES.into_iter().enumerate() {
            script.push_str(&scene.script(&folder(bench, *number, mode), &ours, first, rest));
        }
    };
    let shared = without.iter().zip(TURNS.into_iter().cycle());
    for (scene, _) in shared.filter(|(_, turn)| *turn == guest) {
        play(&mut script, scene);
    }
    if guest + 1 == GUESTS {
        script.push_str(UDEV);
        for scene in with_udev {
            play(&mut script, &scene);
        }
    }
    script
}

#[derive(Clone, Copy)]
struct Numbered<'a>(usize, &'a Scene);

impl std::fmt::Display for Numbered<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.1.fmt(f)
    }
}

#[test]
fn each_scene_ends_as_with_cryptsetup_and_crosswise() {
    let bench = Bench::new();
    let scenes = scenes();
    assert!(scenes.len() >= 200, "{} scenes", scenes.len());
    let scenes: Vec<_> = scenes
        .iter()
        .enumerate()
        .map(|(number, scene)| Numbered(number, scene))
        .collect();
    for Numbered(number, scene) in &scenes {
        prepare(&bench, *number, scene);
    }
    thread::scope(|scope| {
        for guest in 0..GUESTS {
            let (bench, scenes) = (&bench, &scenes);
            scope.spawn(move || {
                let script = script_of_guest(bench, guest, scenes);
                let name = format!("script{guest}");
                bench
                    .place
                    .kernel_of(&name, &script, &[], SECONDS_OF_A_GUEST);
            });
        }
    });
    check_all("mappings", &scenes, |Numbered(number, scene)| {
        let runs: Vec<Vec<Ending>> = (0..MODES.len())
            .map(|mode| endings(scene, &folder(&bench, *number, mode), MODES[mode]))
            .collect();
        judge(scene, &runs);
    });
}

/// How each step of a run ended.
fn endings(scene: &Scene, folder: &Path, (_, first, rest): (&str, Who, Who)) -> Vec<Ending> {
    let read = |index: usize, name: &str| {
        let path = folder.join(format!(".{index}.{name}"));
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let folder = folder.to_string_lossy();
        let text = text.replace(&*folder, "FOLDER");
        if name == "stderr" {
            // The programs call themselves by the path that they were started by.
            return text.lines().next().unwrap_or_default().to_owned();
        }
        let who = if index == scene.first() { first } else { rest };
        match who {
            Who::Theirs if name == "stdout" => in_units(&text),
            _ => text,
        }
    };
    let of_step = |index| FILES.map(|name| (name, read(index, name))).into();
    (0..scene.steps.len()).map(of_step).collect()
}

/// What `status` of version 2.6 says, as it is said since version 2.8: every number with its unit.
fn in_units(text: &str) -> String {
    let line = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let (number, unit) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
        let number: u64 = number.parse().ok()?;
        let said = match (name, unit) {
            ("  keysize", "bits") => format!("{number} [bits]"),
            ("  sector size", "") => format!("{number} [bytes]"),
            ("  offset" | "  size", "sectors") => {
                format!("{number} [512-byte units] ({} [bytes])", number * 512)
            }
            ("  skipped", "sectors") => format!("{number} [512-byte units]"),
            _ => return None,
        };
        let blanks = value.len() - value.trim_start().len();
        Some(format!("{name}:{:blanks$}{said}", ""))
    };
    let lines = text.split_inclusive('\n').map(|whole| {
        let bare = whole.strip_suffix('\n').unwrap_or(whole);
        line(bare).map_or_else(|| whole.to_owned(), |said| format!("{said}\n"))
    });
    lines.collect()
}

fn judge(scene: &Scene, runs: &[Vec<Ending>]) {
    let mut report = String::new();
    for (index, step) in scene.steps.iter().enumerate() {
        if matches!(step, Step::Shell(_)) {
            for (run, (mode, ..)) in runs.iter().zip(MODES) {
                if run[index]["code"].trim() != "0" {
                    let said = &run[index]["stderr"];
                    let _ = writeln!(report, "step {index} {mode}: {said}");
                }
            }
            continue;
        }
        let (theirs, ours) = (&runs[0][index], &runs[1][index]);
        let differing: Vec<_> = FILES
            .into_iter()
            .filter(|aspect| theirs[aspect] != ours[aspect])
            .collect();
        let wanted = scene.wanted.iter().find(|wanted| wanted.step == index);
        let is_as_wanted = match wanted {
            None => differing.is_empty(),
            Some(wanted) => {
                wanted.aspects == differing
                    && wanted.ours == first_line(ours)
                    && wanted.theirs == first_line(theirs)
            }
        };
        if !is_as_wanted {
            let _ = writeln!(
                report,
                "    differs: {index} {}\n    ours {}\n    theirs {}\n{}{}",
                differing.join(" "),
                first_line(ours),
                first_line(theirs),
                shown("theirs", theirs),
                shown("ours", ours),
            );
        }
        for (mode, (name, first, rest)) in MODES.into_iter().enumerate().skip(2) {
            let who = if index == scene.first() { first } else { rest };
            let (alone, mixed) = match who {
                Who::Theirs => (theirs, &runs[mode][index]),
                Who::Ours => (ours, &runs[mode][index]),
            };
            if alone != mixed {
                let _ = writeln!(
                    report,
                    "step {index}, {name}, is another than alone:\n{}{}",
                    shown("alone", alone),
                    shown("mixed", mixed),
                );
            }
        }
    }
    assert!(report.is_empty(), "{scene}\n{report}");
}

/// `CODE: LINE`, of standard error if there is one.
fn first_line(ending: &Ending) -> String {
    let line = [&ending["stderr"], &ending["stdout"]]
        .into_iter()
        .find_map(|text| text.lines().find(|line| !line.trim().is_empty()));
    let code = ending["code"].trim();
    let line = line.map(without_uuid);
    line.map_or(code.to_owned(), |line| format!("{code}: {}", line.trim()))
}

/// The identifier of a container is another one in each run.
fn without_uuid(line: &str) -> String {
    let is_digit = |letter: char| letter.is_ascii_hexdigit();
    let parts = line.split_inclusive('-').map(|part| {
        let word = part.trim_end_matches('-');
        if word.len() == 32 && word.chars().all(is_digit) {
            part.replace(word, "UUID")
        } else {
            part.to_owned()
        }
    });
    parts.collect()
}

fn shown(who: &str, ending: &Ending) -> String {
    let mut shown = String::new();
    for name in FILES {
        for line in ending[name].lines() {
            let _ = writeln!(shown, "        {who} {name}: {line}");
        }
    }
    shown
}
