//! `cargo xtask fuzz`: a campaign over the targets of fuzz/.
//!
//! The stable toolchain serves: coverage comes from stable code generation options, only the sanitizers would need nightly.

use std::process::Command;

use crate::workspace;

pub fn run(arguments: &[String]) -> Result<(), String> {
    let mut seconds = 60_u64;
    let mut targets = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--seconds" {
            let value = rest.next().ok_or("--seconds needs a number")?;
            seconds = value
                .parse()
                .map_err(|error| format!("--seconds {value}: {error}"))?;
        } else {
            targets.push(argument.clone());
        }
    }
    if !workspace::has_program("cargo-fuzz")
        && workspace::output(&mut workspace::cargo(&["fuzz", "--version"])).is_err()
    {
        return Err(
            "cargo-fuzz is missing: apt-get install -y g++ && cargo install cargo-fuzz --locked"
                .to_owned(),
        );
    }
    if targets.is_empty() {
        let list = workspace::output(&mut workspace::cargo(&["fuzz", "list"]))?;
        targets = list.lines().map(str::to_owned).collect();
    }
    for target in targets {
        let mut campaign: Command =
            workspace::cargo(&["fuzz", "run", "--sanitizer", "none", &target, "--"]);
        workspace::run(campaign.arg(format!("-max_total_time={seconds}")))?;
    }
    Ok(())
}
