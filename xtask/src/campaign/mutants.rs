//! `cargo xtask campaign mutants [FILE...]`: each mutant of the parsers and validators against the tests of its package.
//!
//! Two passes: all mutants against the quick tests, and what is left against the slow ones too. `.cargo/mutants.toml`
//! names the mutants that no test can tell from the original, each with the reason.

use std::fs;

use super::parsers::{PARSERS, Parsers};
use crate::workspace::{cargo, output, root};

pub fn run(files: &[String]) -> Result<(), String> {
    if output(&mut cargo(&["mutants", "--version"])).is_err() {
        return Err(
            "cargo-mutants is missing: cargo install cargo-mutants --locked --version 27.1.0"
                .to_owned(),
        );
    }
    let mut known = Vec::new();
    let mut survivors = Vec::new();
    for parsers in &PARSERS {
        let mut chosen = parsers.files()?;
        known.extend(chosen.clone());
        chosen.retain(|file| files.is_empty() || files.contains(file));
        if !chosen.is_empty() {
            survivors.extend(survivors_of(parsers, &chosen)?);
        }
    }
    if let Some(file) = files.iter().find(|file| !known.contains(file)) {
        return Err(format!(
            "{file} is none of the parsers and validators: {}",
            known.join(", ")
        ));
    }
    if survivors.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{} mutants survive:\n{}",
        survivors.len(),
        survivors.join("\n")
    ))
}

fn survivors_of(parsers: &Parsers, files: &[String]) -> Result<Vec<String>, String> {
    let folder = root().join("target/mutants").join(parsers.package);
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let survivors = || -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        for list in ["missed.txt", "timeout.txt"] {
            let path = folder.join("mutants.out").join(list);
            let text = fs::read_to_string(&path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            lines.extend(text.lines().map(str::to_owned));
        }
        Ok(lines)
    };
    let command = || {
        let mut command = cargo(&["mutants", "--workspace", "--colors", "never", "--output"]);
        command.arg(&folder);
        for file in files {
            command.args(["--file", file]);
        }
        for option in parsers.tests {
            command.arg(format!("--cargo-test-arg={option}"));
        }
        // A folder of its own: the tree is copied to another place each time, the dependencies stay.
        command.env("CARGO_TARGET_DIR", root().join("target/mutants/build"));
        command.env("CARGO_PROFILE_DEV_DEBUG", "0");
        command
    };
    let mut quick = command();
    quick.args(["--", "--"]);
    for module in parsers.slow {
        quick.args(["--skip", module]);
    }
    run_to_the_end(&mut quick)?;
    if !parsers.slow.is_empty() && !survivors()?.is_empty() {
        run_to_the_end(command().arg("--iterate"))?;
    }
    survivors()
}

/// Survivors and timeouts are outcomes, told apart by the lists; the rest are failures.
fn run_to_the_end(command: &mut std::process::Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if matches!(status.code(), Some(0 | 2 | 3)) => Ok(()),
        Ok(status) => Err(format!("cargo mutants: {status}")),
        Err(error) => Err(format!("cargo mutants: {error}")),
    }
}
