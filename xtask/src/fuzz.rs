//! `cargo xtask fuzz`: a campaign over the targets of fuzz/.
//!
//! The stable toolchain serves: coverage comes from stable code generation options, only the sanitizers would need nightly.

use std::fs;

use crate::workspace::{cargo, output, root, run as run_command};

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
    if output(&mut cargo(&["fuzz", "--version"])).is_err() {
        return Err(
            "cargo-fuzz is missing: apt-get install -y g++ && cargo install cargo-fuzz --locked"
                .to_owned(),
        );
    }
    if targets.is_empty() {
        let list = output(&mut cargo(&["fuzz", "list"]))?;
        targets = list.lines().map(str::to_owned).collect();
    }
    for target in targets {
        let [corpus, seeds] =
            ["corpus", "seeds"].map(|folder| root().join("fuzz").join(folder).join(&target));
        fs::create_dir_all(&corpus).map_err(|error| format!("{}: {error}", corpus.display()))?;
        let mut campaign = cargo(&["fuzz", "run", "--sanitizer", "none", &target]);
        // What is found goes to the first folder; the second is only read.
        campaign.args([corpus, seeds]);
        // What takes longer than two seconds is a failure; the targets bound the memory themselves.
        campaign.args(["--", "-timeout=2", "-max_len=8192"]);
        campaign.arg(format!("-max_total_time={seconds}"));
        run_command(&mut campaign)?;
    }
    Ok(())
}
