//! `cargo xtask test`: every check and every test, and one last line that counts them.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::{layers, packages, published, python, testkit, vectors, workspace};

const CONFORMANCE: &str = "LUKSMITH_CONFORMANCE";

pub fn run(arguments: &[String]) -> Result<(), String> {
    let options = Options::parse(arguments)?;
    if options.install {
        packages::install()?;
    }
    packages::check()?;
    let conformance = options
        .conformance
        .or_else(|| std::env::var(CONFORMANCE).ok());
    let conformance = conformance.map(|folder| {
        std::path::absolute(&folder)
            .ok()
            .filter(|path| path.is_dir())
            .ok_or(format!("conformance folder {folder}: no such folder"))
    });
    let conformance = conformance.transpose()?;

    let mut counts = Counts::default();
    check(&mut counts, "formatting", || {
        workspace::run(&mut workspace::cargo(&["fmt", "--all", "--check"]))?;
        workspace::run(&mut python::cargo(&["fmt", "--all", "--check"])?)
    });
    check(&mut counts, "clippy", || {
        workspace::run(&mut workspace::cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-Dwarnings",
        ]))
    });
    check(
        &mut counts,
        "clippy of the program without its features",
        || {
            workspace::run(&mut workspace::cargo(&[
                "clippy",
                "--package",
                "luksmith",
                "--no-default-features",
                "--locked",
                "--",
                "-Dwarnings",
            ]))
        },
    );
    check(&mut counts, "clippy of the Python package", || {
        let arguments = ["clippy", "--all-targets", "--locked", "--", "-Dwarnings"];
        workspace::run(&mut python::cargo(&arguments)?)
    });
    check(&mut counts, "lockfile of the fuzz targets", || {
        let folder = workspace::root().join("fuzz");
        let mut metadata =
            workspace::cargo(&["metadata", "--locked", "--quiet", "--format-version", "1"]);
        workspace::output(metadata.current_dir(folder)).map(drop)
    });
    check(&mut counts, "layers", layers::check);
    check(&mut counts, "libraries as packages", published::check);
    check(&mut counts, "golden data and its index", || {
        vectors::check(&workspace::root().join("test-vectors")).map(|_| ())
    });
    check(&mut counts, "testkit and its generator", || {
        testkit::check(&workspace::root().join("test-vectors/testkit")).map(|_| ())
    });
    check(&mut counts, "licences", || {
        workspace::run(&mut workspace::cargo(&[
            "deny", "check", "licenses", "bans", "sources",
        ]))?;
        let config = workspace::root().join("deny.toml");
        let mut deny = python::cargo(&["deny", "--config"])?;
        let what = ["check", "licenses", "bans", "sources"];
        // It has fewer licences than are allowed.
        let quiet = ["--allow", "license-not-encountered"];
        workspace::run(deny.arg(config).args(what).args(quiet))
    });
    check(&mut counts, "docs", || {
        let mut doc = workspace::cargo(&[
            "doc",
            "--workspace",
            "--no-deps",
            "--locked",
            "--document-private-items",
        ]);
        workspace::run(doc.env("RUSTDOCFLAGS", "-Dwarnings"))
    });

    counts.conformance = conformance.map(|path| path.to_string_lossy().into_owned());
    let mut summary = vec![format!("checks: {counts}")];
    let kinds = [Kind::Unit, Kind::Golden, Kind::Interop, Kind::Python];
    for kind in kinds.into_iter().filter(|_| !options.checks) {
        let mut of_kind = Counts {
            conformance: counts.conformance.clone(),
            ..Counts::default()
        };
        if let Err(message) = kind.run(&mut of_kind) {
            println!("FAILED {kind}: {message}");
            of_kind.failed += 1;
        }
        summary.push(format!("{kind}: {of_kind}"));
        counts.add(of_kind);
    }

    println!();
    for line in &counts.cases {
        println!("{line}");
    }
    match &counts.conformance {
        Some(folder) => println!("conformance: ran over {folder}"),
        None => println!(
            "conformance: {CONFORMANCE} is not set, so images and vectors of others were not run over"
        ),
    }
    for line in &summary {
        println!("{line}");
    }
    for line in &counts.messages {
        println!("{line}");
    }
    for name in &counts.failures {
        println!("FAILED {name}");
    }
    println!("{counts}");
    if counts.failed > 0 {
        std::process::exit(1);
    }
    Ok(())
}

/// What ran, and how it ended.
#[derive(Debug, Default)]
pub struct Counts {
    pub passed: usize,
    pub failed: usize,
    failures: Vec<String>,
    /// What they printed, the start of it.
    messages: Vec<String>,
    /// How many more lines of the test that failed last belong there.
    lines_left: usize,
    /// Lines in which a table of cases says how many of them ran.
    cases: Vec<String>,
    /// What the tests find in the environment.
    conformance: Option<String>,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.failures.extend(other.failures);
        self.messages.extend(other.messages);
        self.cases.extend(other.cases);
    }

    /// One line of a test program's output.
    pub fn read_line(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            let number = |what: &str| {
                result
                    .split([';', '.'])
                    .filter_map(|part| part.trim().strip_suffix(what))
                    .find_map(|number| number.trim().parse::<usize>().ok())
                    .unwrap_or(0)
            };
            self.passed += number("passed");
            // A test that did not run has shown nothing.
            self.failed += number("failed") + number("ignored");
        } else if line.starts_with("cases: ") {
            self.cases.push(line.to_owned());
        } else if let Some(name) = line.strip_prefix("test ").and_then(|rest| {
            rest.split_once(" ... ")
                .filter(|(_, end)| end.starts_with("FAILED") || end.starts_with("ignored"))
        }) {
            self.failures.push(name.0.to_owned());
        }
        self.read_message(line);
    }

    /// Keeps what tests that failed have printed: the end of a long log is where somebody looks first.
    fn read_message(&mut self, line: &str) {
        const LINES_OF_A_TEST: usize = 40;
        let title = line.strip_prefix("---- ");
        if let Some(name) = title.and_then(|title| title.strip_suffix(" stdout ----")) {
            let has_failed = self.failures.iter().any(|failed| failed == name);
            self.lines_left = if has_failed { LINES_OF_A_TEST } else { 0 };
        } else if line == "failures:" || line == "successes:" {
            self.lines_left = 0;
        }
        let is_said = !line.is_empty() && !line.starts_with("cases: ");
        if self.lines_left > 0 && is_said {
            self.lines_left -= 1;
            self.messages.push(line.to_owned());
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Beside the code, in its docs, and in the binaries.
    Unit,
    /// Integration tests: golden data and the command line.
    Golden,
    /// Integration tests against other tools.
    Interop,
    /// Those of the Python package.
    Python,
}

impl Kind {
    /// Runs all tests of this kind. An error is something that no count shows: nothing built, or nothing there.
    pub fn run(self, counts: &mut Counts) -> Result<(), String> {
        println!("--- {self}");
        let commands = match self {
            Self::Unit => vec![
                vec!["--lib".to_owned(), "--bins".to_owned()],
                vec!["--doc".to_owned()],
            ],
            Self::Golden | Self::Interop => {
                let names = self.test_programs(&workspace::metadata()?);
                if names.is_empty() {
                    return Err("no test program of this kind".to_owned());
                }
                vec![
                    names
                        .into_iter()
                        .flat_map(|name| ["--test".to_owned(), name])
                        .collect(),
                ]
            }
            Self::Python => {
                python::test(counts, None)?;
                Vec::new()
            }
        };
        for command in commands {
            run_tests(&command, counts)?;
        }
        if counts.passed + counts.failed == 0 {
            return Err("no test ran".to_owned());
        }
        Ok(())
    }

    /// Names of the integration test programs of this kind: `interop*` or all others.
    fn test_programs(self, metadata: &serde_json::Value) -> BTreeSet<String> {
        let targets = metadata["packages"]
            .as_array()
            .into_iter()
            .flatten()
            // Packages of the workspace have no source.
            .filter(|package| package["source"].is_null())
            .flat_map(|package| package["targets"].as_array().into_iter().flatten());
        targets
            .filter(|target| target["kind"] == serde_json::json!(["test"]))
            .filter_map(|target| target["name"].as_str())
            .filter(|name| name.starts_with("interop") == (self == Self::Interop))
            .map(str::to_owned)
            .collect()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unit => "unit and property tests",
            Self::Golden => "golden tests",
            Self::Interop => "interop tests",
            Self::Python => "tests of the Python package",
        })
    }
}

#[derive(Debug, Default, Eq, PartialEq)]
struct Options {
    install: bool,
    /// The checks alone: minutes, before each landing.
    checks: bool,
    conformance: Option<String>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--install" => options.install = true,
                "--checks" => options.checks = true,
                "--conformance" => {
                    options.conformance =
                        Some(rest.next().ok_or("--conformance needs a folder")?.clone());
                }
                other => return Err(format!("test has no option {other}")),
            }
        }
        Ok(options)
    }
}

fn check(counts: &mut Counts, name: &str, run: impl FnOnce() -> Result<(), String>) {
    println!("--- {name}");
    let start = Instant::now();
    match run() {
        Ok(()) => {
            counts.passed += 1;
            println!("ok {name} ({} s)", start.elapsed().as_secs());
        }
        Err(message) => {
            counts.failed += 1;
            counts.failures.push(name.to_owned());
            println!("FAILED {name}: {message}");
        }
    }
}

/// One `cargo test`: its output passes through and is counted.
fn run_tests(selection: &[String], counts: &mut Counts) -> Result<(), String> {
    let mut command = workspace::cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
    command.args(selection).args(["--", "--show-output"]);
    match &counts.conformance {
        Some(folder) => command.env(CONFORMANCE, Path::new(folder)),
        None => command.env_remove(CONFORMANCE),
    };
    let failed_before = counts.failed;
    let status = stream(&mut command, |line| {
        println!("{line}");
        counts.read_line(line);
    })?;
    // A program that did not build, or that died, has printed no result.
    if !status.success() && counts.failed == failed_before {
        return Err(format!("cargo test {}: {status}", selection.join(" ")));
    }
    Ok(())
}

/// Runs a command, and has each line that it prints.
pub fn stream(
    command: &mut Command,
    mut each: impl FnMut(&str),
) -> Result<std::process::ExitStatus, String> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    let output = child.stdout.take().expect("it is piped");
    for line in BufReader::new(output).split(b'\n') {
        let line = line.map_err(|error| format!("output of cargo: {error}"))?;
        each(&String::from_utf8_lossy(&line));
    }
    child.wait().map_err(|error| format!("cargo: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn results_are_counted_and_ignored_tests_fail() {
        let mut counts = Counts::default();
        for line in [
            "running 5 tests",
            "test a::b ... ok",
            "test a::c ... FAILED",
            "test a::d ... ignored, slow",
            "cases: nist-xts 2400 passed, 0 failed, 1200 outside (not whole bytes)",
            "---- a::b stdout ----",
            "fine",
            "---- a::c stdout ----",
            "",
            "left 1, right 2",
            "failures:",
            "    a::c",
            "test result: FAILED. 3 passed; 1 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.03s",
            "test result: ok. 40 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
        ] {
            counts.read_line(line);
        }
        assert_eq!(counts.to_string(), "43 passed, 2 failed");
        assert_eq!(counts.failures, ["a::c", "a::d"]);
        assert_eq!(
            counts.messages,
            ["---- a::c stdout ----", "left 1, right 2"]
        );
        assert_eq!(counts.cases.len(), 1);
    }

    #[test]
    fn a_failed_check_counts() {
        let mut counts = Counts::default();
        check(&mut counts, "good", || Ok(()));
        check(&mut counts, "bad", || Err("reason".to_owned()));
        assert_eq!(counts.to_string(), "1 passed, 1 failed");
    }

    #[test]
    fn a_program_that_does_not_build_is_an_error() {
        let mut counts = Counts::default();
        let selection = ["--test".to_owned(), "no-such-test-program".to_owned()];
        assert!(run_tests(&selection, &mut counts).is_err());
    }

    #[test]
    fn interop_programs_are_told_by_their_name() {
        let metadata = json!({ "packages": [
            { "source": null, "targets": [
                { "name": "interop", "kind": ["test"] },
                { "name": "cmd", "kind": ["test"] },
                { "name": "luksmith", "kind": ["bin"] },
            ]},
            { "source": null, "targets": [{ "name": "interop_qemu_locks", "kind": ["test"] }] },
            { "source": "registry", "targets": [{ "name": "foreign", "kind": ["test"] }] },
        ]});
        let names = |kind: Kind| {
            kind.test_programs(&metadata)
                .into_iter()
                .collect::<Vec<_>>()
        };
        assert_eq!(names(Kind::Interop), ["interop", "interop_qemu_locks"]);
        assert_eq!(names(Kind::Golden), ["cmd"]);
    }

    #[test]
    fn options() {
        let parse = |arguments: &[&str]| {
            Options::parse(
                &arguments
                    .iter()
                    .map(|a| (*a).to_owned())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(parse(&[]), Ok(Options::default()));
        let both = parse(&["--install", "--conformance", "x"]).unwrap();
        assert_eq!(
            both,
            Options {
                install: true,
                checks: false,
                conformance: Some("x".to_owned())
            }
        );
        assert!(parse(&["--conformance"]).is_err());
        assert!(parse(&["--skip"]).is_err());
    }
}
