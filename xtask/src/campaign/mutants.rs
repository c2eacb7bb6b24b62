//! `cargo xtask campaign mutants [FILE...]`: each mutant of the parsers and validators against the tests of its package.
//!
//! Two passes: all mutants against the quickest tests, and what is left against all but the longest.
//! `.cargo/mutants.toml` names the mutants that no test can tell from the original, each with the reason.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::parsers::{PARSERS, Parsers, Tests};
use crate::workspace::{cargo, output, root};

pub fn run(files: &[String]) -> Result<(), String> {
    if output(&mut cargo(&["mutants", "--version"])).is_err() {
        return Err(
            "cargo-mutants is missing: cargo install cargo-mutants --locked --version 27.1.0"
                .to_owned(),
        );
    }
    let mut known = Vec::new();
    let mut outcomes = Outcomes::new();
    for parsers in &PARSERS {
        let mut chosen = parsers.files()?;
        known.extend(chosen.clone());
        chosen.retain(|file| files.is_empty() || files.contains(file));
        // To build the library for unit tests takes as long as all else: only for files that have some.
        let (mut unit_tested, mut others) = (Vec::new(), Vec::new());
        for file in chosen {
            let text = fs::read_to_string(root().join(&file))
                .map_err(|error| format!("{file}: {error}"))?;
            let has_tests = parsers.test.is_none() || text.contains("#[cfg(test)]");
            if has_tests {
                unit_tested.push(file);
            } else {
                others.push(file);
            }
        }
        for (files, with_unit_tests) in [(unit_tested, true), (others, false)] {
            if !files.is_empty() {
                outcomes.extend(judge(parsers, &files, with_unit_tests)?);
            }
        }
    }
    if let Some(file) = files.iter().find(|file| !known.contains(file)) {
        return Err(format!(
            "{file} is none of the parsers and validators: {}",
            known.join(", ")
        ));
    }
    report(&outcomes)
}

#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum Outcome {
    Killed,
    Survives,
    Unviable,
    /// Not built, and the compiler did not refuse it: it may be anything.
    Lost,
}

/// By the mutant's name, which begins with its file.
type Outcomes = BTreeMap<String, Outcome>;

fn judge(parsers: &Parsers, files: &[String], with_unit_tests: bool) -> Result<Outcomes, String> {
    let folder = root().join("target/mutants").join(format!(
        "{}{}",
        parsers.package,
        if with_unit_tests { "-unit" } else { "" }
    ));
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let command = || {
        let mut command = cargo(&["mutants", "--workspace", "--colors", "never", "--output"]);
        command.arg(&folder);
        for file in files {
            command.args(["--file", file]);
        }
        // For the build too, which would be of all targets else.
        for option in parsers.tests(with_unit_tests) {
            command.arg(format!("--cargo-arg={option}"));
        }
        // Optimised, nearly all of the package is built anew for each mutant.
        command.arg(format!(
            "--cargo-arg=--config=profile.dev.package.{}.opt-level=0",
            parsers.package
        ));
        // A folder of its own: the tree is copied to another place each time, the dependencies stay.
        command.env("CARGO_TARGET_DIR", root().join("target/mutants/build"));
        command.env("CARGO_PROFILE_DEV_DEBUG", "0");
        command
    };
    let mut quick = command();
    quick
        .args(["--", "--"])
        .args(parsers.skips(Tests::Quickest));
    run_to_the_end(&mut quick)?;
    let mut outcomes = read_outcomes(&folder)?;
    let survives = outcomes
        .values()
        .any(|outcome| *outcome == Outcome::Survives);
    if survives && parsers.has_slower() {
        let mut slow = command();
        slow.args(["--iterate", "--", "--"])
            .args(parsers.skips(Tests::Most));
        run_to_the_end(&mut slow)?;
        outcomes.extend(read_outcomes(&folder)?);
    }
    Ok(outcomes)
}

/// Survivors and timeouts are outcomes, told apart by what was written down; the rest are failures.
fn run_to_the_end(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if matches!(status.code(), Some(0 | 2 | 3)) => Ok(()),
        Ok(status) => Err(format!("cargo mutants: {status}")),
        Err(error) => Err(format!("cargo mutants: {error}")),
    }
}

fn read_outcomes(folder: &Path) -> Result<Outcomes, String> {
    let folder = folder.join("mutants.out");
    let text = read(&folder.join("outcomes.json"))?;
    let json: Value =
        serde_json::from_str(&text).map_err(|error| format!("outcomes.json: {error}"))?;
    let all = json["outcomes"].as_array().into_iter().flatten();
    let mut outcomes = Outcomes::new();
    for one in all {
        // The other scenario is the tree without a mutant.
        let Some(name) = one["scenario"]["Mutant"]["name"].as_str() else {
            continue;
        };
        let outcome = match one["summary"].as_str() {
            Some("CaughtMutant") => Outcome::Killed,
            Some("MissedMutant" | "Timeout") => Outcome::Survives,
            Some("Unviable") => {
                let log = one["log_path"].as_str().unwrap_or_default();
                if is_refused(&read(&folder.join(log))?) {
                    Outcome::Unviable
                } else {
                    Outcome::Lost
                }
            }
            other => return Err(format!("{name}: the outcome {other:?} is not known")),
        };
        outcomes.insert(name.to_owned(), outcome);
    }
    Ok(outcomes)
}

fn read(path: &PathBuf) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Whether the compiler refused a mutant, by the log of its build: a link that fails says nothing about it.
fn is_refused(log: &str) -> bool {
    log.lines().any(|line| {
        line.starts_with("error[E")
            || line.strip_prefix("error: ").is_some_and(|problem| {
                !problem.starts_with("linking with") && !problem.starts_with("could not compile")
            })
    })
}

fn report(outcomes: &Outcomes) -> Result<(), String> {
    let count = |file: &str, outcome: Outcome| {
        let of_file = outcomes
            .iter()
            .filter(|(name, _)| name.split(':').next() == Some(file));
        of_file.filter(|(_, other)| **other == outcome).count()
    };
    let mut files: Vec<&str> = outcomes
        .keys()
        .filter_map(|name| name.split(':').next())
        .collect();
    files.dedup();
    for file in files {
        println!(
            "{file}: {} killed, {} survive, {} do not compile, {} not built",
            count(file, Outcome::Killed),
            count(file, Outcome::Survives),
            count(file, Outcome::Unviable),
            count(file, Outcome::Lost),
        );
    }
    let names = |wanted: Outcome| -> Vec<&str> {
        let these = outcomes.iter().filter(|(_, outcome)| **outcome == wanted);
        these.map(|(name, _)| name.as_str()).collect()
    };
    let (survive, lost) = (names(Outcome::Survives), names(Outcome::Lost));
    if survive.is_empty() && lost.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{} mutants survive:\n{}\n{} were not built although the compiler did not refuse them:\n{}",
        survive.len(),
        survive.join("\n"),
        lost.len(),
        lost.join("\n")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_fails_is_no_word_of_the_compiler() {
        let end = "error: could not compile `luks` (test \"luks\") due to 1 previous error";
        assert!(!is_refused(&format!(
            "error: linking with `cc` failed: exit status: 1\n  = note: cannot find file\n{end}"
        )));
        assert!(!is_refused(end));
        assert!(is_refused(&format!(
            "error[E0277]: `Header` is no `Default`\n{end}"
        )));
        assert!(is_refused(&format!("error: this is always 0\n{end}")));
    }
}
