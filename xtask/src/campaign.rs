//! `cargo xtask campaign NAME`: a test whose short form is part of every run, in full.

use crate::{packages, workspace};

/// Name, test, and the variable that makes it long.
const CAMPAIGNS: &[(&str, &str, &str, &str)] = &[
    (
        "locks",
        "keys::e5_many_processes_change_one_header_at_once",
        "LUKSMITH_LOCKS",
        "16 200",
    ),
    (
        "faults",
        "faults::a_write_that_fails_or_ends_the_process_leaves_the_old_or_the_new_header",
        "LUKSMITH_FAULTS",
        "all",
    ),
    (
        "races",
        "races::e4_nobody_wins_a_race_for_the_name_of_a_new_file",
        "LUKSMITH_RACES",
        "10000",
    ),
];

pub fn run(arguments: &[String]) -> Result<(), String> {
    let [name] = arguments else {
        return Err(format!("campaign takes one name: {}", names()));
    };
    let (_, test, variable, value) = CAMPAIGNS
        .iter()
        .find(|(known, ..)| known == name)
        .ok_or_else(|| format!("no campaign {name}: {}", names()))?;
    packages::check()?;
    let mut test = workspace::cargo(&[
        "test",
        "--locked",
        "-p",
        "luksmith",
        "--test",
        "interop",
        "--",
        "--exact",
        test,
        "--nocapture",
    ]);
    workspace::run(test.env(variable, value))
}

fn names() -> String {
    let names: Vec<_> = CAMPAIGNS.iter().map(|(name, ..)| *name).collect();
    names.join(", ")
}
