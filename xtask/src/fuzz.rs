//! `cargo xtask fuzz`: a campaign over the targets of fuzz/.
//!
//! The stable toolchain serves: coverage comes from stable code generation options. The address sanitizer needs nightly, and is
//! used where one is installed.

use std::fs;
use std::process::Command;

use crate::workspace::{cargo, output, root, run as run_command};

/// Targets whose input is a format itself: what its bytes are compared with is worth knowing. The others make choices by
/// theirs, and spend the time of a campaign on what they then compute.
const COMPARED: &[&str] = &["cipher_spec", "luks1_header", "luks2_header", "luks2_json"];

pub fn run(arguments: &[String]) -> Result<(), String> {
    let Campaign {
        limits,
        sanitizer,
        mut targets,
    } = Campaign::parse(arguments)?;
    if output(&mut cargo(&["fuzz", "--version"])).is_err() {
        return Err(
            "cargo-fuzz is missing: apt-get install -y g++ && cargo install cargo-fuzz --locked"
                .to_owned(),
        );
    }
    let has_nightly = has_nightly();
    let sanitizer = sanitizer.unwrap_or_else(|| {
        let name = if has_nightly { "address" } else { "none" };
        name.to_owned()
    });
    if sanitizer != "none" && !has_nightly {
        return Err(format!(
            "--sanitizer {sanitizer} needs nightly: rustup toolchain install nightly"
        ));
    }
    if targets.is_empty() {
        let list = output(&mut cargo(&["fuzz", "list"]))?;
        targets = list.lines().map(str::to_owned).collect();
    }
    // Those that are built alike come one after another.
    targets.sort_by_key(|target| COMPARED.contains(&&**target));
    for target in targets {
        let [corpus, seeds] =
            ["corpus", "seeds"].map(|folder| root().join("fuzz").join(folder).join(&target));
        fs::create_dir_all(&corpus).map_err(|error| format!("{}: {error}", corpus.display()))?;
        let mut campaign = if sanitizer == "none" {
            cargo(&[])
        } else {
            nightly("cargo")
        };
        campaign.args(["fuzz", "run", "--sanitizer", &sanitizer]);
        if !COMPARED.contains(&&*target) {
            campaign.arg("--no-trace-compares");
        }
        campaign.arg(&target);
        // What is found goes to the first folder; the second is only read.
        campaign.args([corpus, seeds]);
        // Time of the processor and memory are bounded by the targets themselves; this one is for what never ends.
        campaign.args(["--", "-timeout=120", "-max_len=8192"]);
        run_command(campaign.args(&limits))?;
    }
    Ok(())
}

/// What was typed.
struct Campaign {
    /// libFuzzer's options: when each target ends, and where its choices start.
    limits: Vec<String>,
    sanitizer: Option<String>,
    targets: Vec<String>,
}

impl Campaign {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut campaign = Self {
            limits: Vec::new(),
            sanitizer: None,
            targets: Vec::new(),
        };
        let mut has_end = false;
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().ok_or(format!("{argument} needs a value"));
            let limit = match &**argument {
                "--seconds" => "max_total_time",
                "--runs" => "runs",
                "--seed" => "seed",
                "--sanitizer" => {
                    campaign.sanitizer = Some(value()?.clone());
                    continue;
                }
                _ if argument.starts_with('-') => return Err(format!("no option {argument}")),
                _ => {
                    campaign.targets.push(argument.clone());
                    continue;
                }
            };
            has_end |= limit != "seed";
            let value = value()?;
            let number: u32 = value
                .parse()
                .map_err(|error| format!("{argument} {value}: {error}"))?;
            campaign.limits.push(format!("-{limit}={number}"));
        }
        if !has_end {
            campaign.limits.push("-max_total_time=60".to_owned());
        }
        Ok(campaign)
    }
}

fn has_nightly() -> bool {
    // Where there is no rustup, there is no nightly that it could start.
    nightly("rustc")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}

/// A program of the nightly toolchain.
fn nightly(program: &str) -> Command {
    let mut command = Command::new("rustup");
    command
        .args(["run", "nightly", program])
        .current_dir(root());
    command
}
