//! `cargo xtask campaign coverage`: which lines of the parsers and validators neither the quick tests nor the inputs of
//! the fuzz targets reach.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::parsers::{PARSERS, Tests};
use crate::workspace::{cargo, has_program, output, root, run as run_command};

pub fn run() -> Result<(), String> {
    let llvm = llvm_version()?;
    let [profdata, cov] = ["llvm-profdata", "llvm-cov"].map(|tool| format!("{tool}-{llvm}"));
    if !has_program(&profdata) || !has_program(&cov) {
        return Err(format!(
            "{profdata} or {cov} is missing (they must be of Rust's own LLVM): apt-get install -y llvm-{llvm}"
        ));
    }
    let folder = root().join("target/coverage");
    let profiles = folder.join("profiles");
    // Profiles of an older build are of no use.
    let _ = fs::remove_dir_all(&profiles);
    fs::create_dir_all(&profiles).map_err(|error| format!("{}: {error}", profiles.display()))?;

    let mut programs = Vec::new();
    let replay = ("xtask", vec!["--test", "fuzz_replay"], Vec::new());
    let suites = PARSERS.iter().map(|parsers| {
        // Instrumented, all of them take ten times as long.
        let skips = parsers.skips(Tests::Quick);
        (parsers.package, parsers.tests(true), skips)
    });
    for (package, tests, skips) in suites.chain([replay]) {
        let test = || {
            let mut test = cargo(&["test", "--locked", "-p", package]);
            test.args(&tests)
                .env("RUSTFLAGS", "-Cinstrument-coverage")
                .env("CARGO_TARGET_DIR", &folder)
                .env("CARGO_PROFILE_DEV_DEBUG", "0")
                // A file for each program and process: they would write over one another's.
                .env("LLVM_PROFILE_FILE", profiles.join("%p-%m.profraw"));
            test
        };
        programs.extend(executables(&output(
            test().args(["--no-run", "--message-format=json"]),
        )?)?);
        run_command(test().arg("--").args(skips))?;
    }

    let merged = folder.join("merged.profdata");
    run_command(
        Command::new(profdata)
            .args(["merge", "--sparse", "--output"])
            .args([&merged, &profiles]),
    )?;
    let mut export = Command::new(cov);
    export
        .args(["export", "--format=lcov", "--instr-profile"])
        .arg(&merged);
    for program in programs {
        export.args(["--object", &program]);
    }
    report(&lines(&output(&mut export)?))
}

/// The major version of LLVM that `rustc` was built with: profiles are of its format.
fn llvm_version() -> Result<String, String> {
    let text = output(Command::new("rustc").arg("-vV"))?;
    text.lines()
        .find_map(|line| line.strip_prefix("LLVM version: "))
        .and_then(|version| version.split('.').next())
        .map(str::to_owned)
        .ok_or_else(|| format!("rustc -vV names no LLVM version: {text}"))
}

fn executables(messages: &str) -> Result<Vec<String>, String> {
    let mut executables = Vec::new();
    for line in messages.lines() {
        let message: serde_json::Value =
            serde_json::from_str(line).map_err(|error| format!("cargo test: {error}"))?;
        // The command line itself is built for the tests that start it, and is none of them.
        if message["profile"]["test"] == true {
            executables.extend(message["executable"].as_str().map(str::to_owned));
        }
    }
    Ok(executables)
}

/// How often each line of each file ran, over all programs.
type Lines = BTreeMap<String, BTreeMap<u32, u64>>;

fn lines(lcov: &str) -> Lines {
    let mut files = Lines::new();
    let mut file = String::new();
    for line in lcov.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            let path = Path::new(path);
            file = path
                .strip_prefix(root())
                .unwrap_or(path)
                .to_string_lossy()
                .into_owned();
        } else if let Some((number, count)) = line
            .strip_prefix("DA:")
            .and_then(|data| data.split_once(','))
            && let (Ok(number), Ok(count)) = (number.parse(), count.parse::<u64>())
        {
            let sum = files
                .entry(file.clone())
                .or_default()
                .entry(number)
                .or_default();
            *sum = sum.saturating_add(count);
        }
    }
    files
}

fn report(lines: &Lines) -> Result<(), String> {
    let (mut all, mut missing) = (0, 0);
    for parsers in &PARSERS {
        for file in parsers.files()? {
            let counts = lines
                .get(&file)
                .ok_or_else(|| format!("{file}: in none of the programs"))?;
            let missed: Vec<String> = counts
                .iter()
                .filter(|(_, count)| **count == 0)
                .map(|(number, _)| number.to_string())
                .collect();
            all += counts.len();
            missing += missed.len();
            println!(
                "{file}: {} of {} lines{}{}",
                counts.len() - missed.len(),
                counts.len(),
                if missed.is_empty() {
                    ""
                } else {
                    ", not reached: "
                },
                missed.join(" ")
            );
        }
    }
    println!("parsers and validators: {} of {all} lines", all - missing);
    Ok(())
}
