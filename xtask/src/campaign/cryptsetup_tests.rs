//! `cargo xtask campaign cryptsetup-tests`: cryptsetup's own scripts in a guest kernel, with the real tool and with ours.
//!
//! The scripts are under the GPL and stay where they are; a copy of their folder in the guest is changed so that each
//! step is written down and a step that fails does not end the script. Both tools pass the same steps, or the table has
//! the difference and the first call before it that ended otherwise.

mod log;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use self::log::{Difference, Log};
use crate::workspace::{cargo, has_program, root, run as run_command};
use crate::{packages, uml};

/// What happens in the guest.
const GUEST: &str = include_str!("cryptsetup_tests/guest.sh");

/// Those that need no hardware, no other format and no program that is built with libcryptsetup.
const SCRIPTS: [&str; 12] = [
    "mode-test",
    "luks1-compat-test",
    "password-hash-test",
    "discards-test",
    "align-test",
    "align-test2",
    "device-test",
    "keyring-compat-test",
    "compat-test",
    "compat-test2",
    "compat-args-test",
    "luks2-reencryption-mangle-test",
];

/// Those of which a part needs no device-mapper, and is done by whoever is not root.
const HERE: [&str; 3] = [
    "compat-args-test",
    "compat-test",
    "luks2-reencryption-mangle-test",
];

/// What the scripts start, beside what the tests need.
const PROGRAMS: [(&str, &str); 5] = [
    ("expect", "expect"),
    ("jq", "jq"),
    ("bc", "bc"),
    ("xxd", "xxd"),
    ("uuencode", "sharutils"),
];

const USAGE: &str = "cryptsetup-tests takes --scripts DIR (cryptsetup's folder `tests`), --real PROGRAM (cryptsetup of the \
    same version, unless the one in PATH is), --ours PROGRAM (instead of a build), --logs DIR, --here (no guest: as nobody, only \
    what needs no device-mapper; as root) and names of scripts";

struct Options<'a> {
    scripts: PathBuf,
    real: PathBuf,
    ours: Option<PathBuf>,
    /// No guest kernel.
    here: bool,
    /// Logs that are there already are not made again.
    logs: PathBuf,
    names: Vec<&'a str>,
}

pub fn run(arguments: &[String]) -> Result<(), String> {
    let options = options(arguments)?;
    let missing: Vec<_> = PROGRAMS
        .iter()
        .filter(|(program, _)| !has_program(program))
        .map(|(_, package)| *package)
        .collect();
    if !missing.is_empty() {
        return Err(format!(
            "programs that the scripts start are missing: apt-get install -y {}",
            missing.join(" ")
        ));
    }
    packages::check()?;

    fs::create_dir_all(&options.logs).map_err(|error| named(&options.logs, &error))?;
    let built = options.logs.join("built");
    fs::create_dir_all(&built).map_err(|error| named(&built, &error))?;
    let differ = options.scripts.join("differ.c");
    run_command(
        Command::new("cc")
            .arg("-o")
            .args([&built.join("differ"), &differ]),
    )?;
    let ours = ours(&options)?;

    println!("| script | steps | the real one passes | luksmith passes |");
    println!("| --- | --- | --- | --- |");
    let mut differences = Vec::new();
    for name in &options.names {
        let real = log_of(&options, &built, name, "real", &options.real)?;
        let ours = log_of(&options, &built, name, "ours", &ours)?;
        let steps = real.steps().max(ours.steps());
        println!(
            "| {name} | {steps} | {} | {} |",
            real.passed_shown(),
            ours.passed_shown()
        );
        differences.push((name, log::differences(&real, &ours)));
    }
    for (name, found) in differences {
        if !found.is_empty() {
            println!(
                "\n{name}:\n\n| line | steps | first call that differs | real | luksmith | says |"
            );
            println!("| --- | --- | --- | --- | --- | --- |");
        }
        for difference in found {
            println!("{}", row(&difference));
        }
    }
    Ok(())
}

fn row(difference: &Difference) -> String {
    let Difference { line, steps, .. } = difference;
    let cell = |text: &str| text.replace('|', "\\|");
    match &difference.cause {
        Some(cause) => format!(
            "| {line} | {steps} | `{}` | {} | {} | {} |",
            cell(&cause.words),
            cause.real.map_or("-".to_owned(), |code| code.to_string()),
            cause.ours,
            cell(&cause.says),
        ),
        None => format!("| {line} | {steps} | none: what was said or made | | | |"),
    }
}

fn options(arguments: &[String]) -> Result<Options<'_>, String> {
    let mut words = arguments.iter();
    let mut scripts = None;
    let mut options = Options {
        scripts: PathBuf::new(),
        real: "/usr/sbin/cryptsetup".into(),
        ours: None,
        here: false,
        logs: root().join("target/cryptsetup-tests"),
        names: Vec::new(),
    };
    while let Some(word) = words.next() {
        let mut value = || {
            let path = words.next().ok_or(USAGE)?;
            std::path::absolute(path).map_err(|error| named(Path::new(path), &error))
        };
        match word.as_str() {
            "--scripts" => scripts = Some(value()?),
            "--real" => options.real = value()?,
            "--ours" => options.ours = Some(value()?),
            "--here" => options.here = true,
            "--logs" => options.logs = value()?,
            name if SCRIPTS.contains(&name) => options.names.push(name),
            other => return Err(format!("no option and no script {other}: {USAGE}")),
        }
    }
    options.scripts = scripts.ok_or(USAGE)?;
    if options.names.is_empty() {
        let all: &[_] = if options.here { &HERE } else { &SCRIPTS };
        options.names = all.to_vec();
    }
    Ok(options)
}

/// luksmith under the name whose command line it then has.
fn ours(options: &Options) -> Result<PathBuf, String> {
    let program = if let Some(program) = &options.ours {
        program.clone()
    } else {
        run_command(&mut cargo(&[
            "build",
            "--release",
            "--locked",
            "-p",
            "luksmith",
        ]))?;
        root().join("target/release/luksmith")
    };
    let link = options.logs.join("built/cryptsetup");
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink(program, &link).map_err(|error| named(&link, &error))?;
    Ok(link)
}

/// What is written of a script with a tool: as it was, or as the guest writes it now.
fn log_of(
    options: &Options,
    built: &Path,
    name: &str,
    who: &str,
    tool: &Path,
) -> Result<Log, String> {
    let here = if options.here { ".here" } else { "" };
    let path = options.logs.join(format!("{name}.{who}{here}.log"));
    if !path.exists() {
        let part = path.with_extension("part");
        fs::write(&part, "").map_err(|error| named(&part, &error))?;
        let mut script = String::from("exec 2>&1\n");
        let tests = options.scripts.as_path();
        let here = Path::new(if options.here { "1" } else { "" });
        for (variable, value) in [
            ("HERE", here),
            ("TESTS", tests),
            ("BUILT", built),
            ("SCRIPT", Path::new(name)),
            ("TOOL", tool),
            ("LOG", &part),
        ] {
            let value = value.display().to_string().replace('\'', r"'\''");
            let _ = writeln!(script, "export {variable}='{value}'");
        }
        script.push_str(GUEST);
        let file = path.with_extension("sh");
        fs::write(&file, script).map_err(|error| named(&file, &error))?;
        eprintln!("{name} with {}", tool.display());
        // What it says on the way is of no use here: the log has the verdicts.
        let mut runner = if options.here {
            let mut unshare = Command::new("unshare");
            unshare.args(["--mount", "--propagation", "private", "bash"]);
            unshare
        } else {
            Command::new(uml::runner())
        };
        let output = runner
            .arg(&file)
            .env("UML_MEM", "1G")
            .env("UML_TIMEOUT", "14400")
            .output()
            .map_err(|error| format!("{}: {error}", runner.get_program().display()))?;
        let said = path.with_extension("out");
        fs::write(&said, [output.stdout, output.stderr].concat())
            .map_err(|error| named(&said, &error))?;
        if !output.status.success() {
            return Err(format!(
                "{name}: the guest did not come to its end: {}",
                said.display()
            ));
        }
        fs::rename(&part, &path).map_err(|error| named(&path, &error))?;
    }
    let text = fs::read(&path).map_err(|error| named(&path, &error))?;
    Ok(Log::read(&String::from_utf8_lossy(&text)))
}

fn named(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
