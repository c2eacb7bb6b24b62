//! `cargo xtask bench`: measures everything beside others, prints tables of ratios, and writes a page of charts.

mod page;
mod report;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::workspace;
use report::Report;

pub fn run(arguments: &[String]) -> Result<(), String> {
    let options = Options::parse(arguments)?;
    // Our program takes part beside others.
    workspace::run(&mut workspace::cargo(&[
        "build",
        "--release",
        "--locked",
        "--package=luksmith",
    ]))?;
    let mut bench = workspace::cargo(&[
        "bench",
        "--locked",
        "--package=luksmith-benches",
        "--bench=bench",
    ]);
    if options.peers {
        bench.arg("--features=peers");
    }
    bench.args(["--", "--json"]).args(&options.passed_on);
    let report = Report::new(&date()?, measured(&mut bench)?)?;
    print!("{}", report.markdown());
    let page = workspace::target()?.join("bench.html");
    fs::write(&page, page::html(&report))
        .map_err(|error| format!("{}: {error}", page.display()))?;
    println!("charts: {}", page.display());
    Ok(())
}

/// The lines that the program prints, each told on standard error by its title.
fn measured(bench: &mut Command) -> Result<Vec<serde_json::Value>, String> {
    let mut child = bench
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cargo bench: {error}"))?;
    let output = child.stdout.take().expect("it is piped");
    let mut lines = Vec::new();
    for line in BufReader::new(output).lines() {
        let line = line.map_err(|error| format!("output of cargo bench: {error}"))?;
        let value: serde_json::Value =
            serde_json::from_str(&line).map_err(|error| format!("{line}: {error}"))?;
        if let Some(title) = value["title"].as_str() {
            eprintln!("measured: {title}");
        }
        lines.push(value);
    }
    match child.wait() {
        Ok(status) if status.success() => Ok(lines),
        Ok(status) => Err(format!("cargo bench: {status}")),
        Err(error) => Err(format!("cargo bench: {error}")),
    }
}

fn date() -> Result<String, String> {
    let date = workspace::output(Command::new("date").arg("+%Y-%m-%d"))?;
    Ok(date.trim().to_owned())
}

#[derive(Debug, PartialEq)]
struct Options {
    peers: bool,
    /// What the program takes too: `--quick`, `--no-peers` and the names of subjects.
    passed_on: Vec<String>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            peers: true,
            passed_on: Vec::new(),
        };
        for argument in arguments {
            match argument.as_str() {
                "--no-peers" => {
                    options.peers = false;
                    options.passed_on.push(argument.clone());
                }
                option if option.starts_with('-') && option != "--quick" => {
                    return Err(format!("bench has no option {option}"));
                }
                _ => options.passed_on.push(argument.clone()),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let parse = |arguments: &[&str]| {
            let arguments: Vec<String> = arguments.iter().map(|&a| a.to_owned()).collect();
            Options::parse(&arguments)
        };
        let options = parse(&["--quick", "ivs", "--no-peers"]).unwrap();
        assert_eq!(
            (options.peers, options.passed_on.join(" ")),
            (false, "--quick ivs --no-peers".to_owned())
        );
        assert!(parse(&[]).unwrap().peers);
        assert!(parse(&["--fast"]).is_err());
    }
}
