//! `cargo xtask campaign NAME`: a test whose short form is part of every run, in full, the tests of the libraries as
//! 32-bit programs, or how well the tests look at the parsers and validators.

mod coverage;
mod cryptsetup_tests;
mod mutants;
mod openstack;
mod parsers;

use crate::{packages, python, workspace};

/// Name, its tests, and the variable that makes them long.
const CAMPAIGNS: &[(&str, &[&str], &str, &str)] = &[
    (
        "locks",
        &["keys::e5_many_processes_change_one_header_at_once"],
        "LUKSMITH_LOCKS",
        "16 200",
    ),
    (
        "faults",
        &[
            "faults::a_write_that_fails_or_ends_the_process_leaves_the_old_or_the_new_header",
            "places::data_and_their_header_are_old_or_new_at_every_cut",
            "in_place_faults::each_write_and_sync_may_fail",
        ],
        "LUKSMITH_FAULTS",
        "all",
    ),
    // Kills at any moment, seed; and at each call of the jobs in place, ours and cryptsetup's.
    (
        "kills",
        &[
            "in_place::kills::a_process_killed_at_any_moment_loses_nothing",
            "in_place::kills::what_a_killed_cryptsetup_leaves_is_finished",
            "in_place::a_killed_process_loses_nothing",
            "in_place::luks1::a_killed_process_loses_nothing_of_luks1",
        ],
        "LUKSMITH_KILLS",
        "1000 1",
    ),
    (
        "races",
        &[
            "races::e4_nobody_wins_a_race_for_the_name_of_a_new_file",
            "races::nobody_wins_a_race_for_what_is_written_over",
        ],
        "LUKSMITH_RACES",
        "10000",
    ),
    (
        "calls",
        &["calls::a_system_call_that_fails_leaves_the_old_or_the_new_or_is_told"],
        "LUKSMITH_CALLS",
        "all",
    ),
    (
        "mappings",
        &["mapping::of_many_at_once_one_wins"],
        "LUKSMITH_MAPPINGS",
        "100",
    ),
    (
        "mapping-times",
        &["mapping::an_opening_and_a_closing_take_their_time"],
        "LUKSMITH_MAPPING_TIMES",
        "20",
    ),
    // Clients, operations, kills of the server, seed.
    (
        "serve",
        &["serve::stamped_blocks_are_where_they_belong"],
        "LUKSMITH_SERVE",
        "32 1000000 200 1",
    ),
    // Operations, kills of the server, seed.
    (
        "mount",
        &["mount::the_file_is_what_a_model_of_it_says"],
        "LUKSMITH_MOUNT",
        "1000000 200 1",
    ),
];

const THIRTY_TWO_BITS: &str = "32-bit";
const CRYPTSETUP_TESTS: &str = "cryptsetup-tests";
const COVERAGE: &str = "coverage";
const MUTANTS: &str = "mutants";
const OPENSTACK: &str = "openstack";
const DIFFERENTIAL: &str = "differential";
const QCOW2: &str = "qcow2";
const PYTHON: &str = "python";

pub fn run(arguments: &[String]) -> Result<(), String> {
    match arguments.split_first() {
        Some((name, files)) if name == MUTANTS => return mutants::run(files),
        Some((name, options)) if name == DIFFERENTIAL => return run_differential(options),
        Some((name, options)) if name == CRYPTSETUP_TESTS => {
            return cryptsetup_tests::run(options);
        }
        _ => {}
    }
    if let Some((name, options)) = arguments.split_first()
        && name == QCOW2
    {
        return run_qcow2(options);
    }
    let [name] = arguments else {
        return Err(format!("campaign takes one name: {}", names()));
    };
    if name == THIRTY_TWO_BITS {
        return run_with_32_bits();
    }
    if name == COVERAGE {
        return coverage::run();
    }
    if name == OPENSTACK {
        return openstack::run();
    }
    if name == PYTHON {
        return python::campaign();
    }
    let (_, tests, variable, value) = CAMPAIGNS
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
        "--nocapture",
    ]);
    test.args(*tests);
    workspace::run(test.env(variable, value))
}

/// Every number of a header is 64 bits wide there too; sizes in memory are not. Nothing has to be installed but Rust's
/// library for the target: it brings a C library and a linker, and a 64-bit kernel runs the programs.
fn run_with_32_bits() -> Result<(), String> {
    const TARGET: &str = "i686-unknown-linux-musl";
    let libraries = ["dmcrypt", "volume", "luks", "dmcrypt-plain"];
    let mut test = workspace::cargo(&["test", "--locked", "--lib", "--tests", "--target", TARGET]);
    test.env("CARGO_TARGET_I686_UNKNOWN_LINUX_MUSL_LINKER", "rust-lld");
    for library in libraries {
        test.args(["-p", &format!("luksmith-{library}")]);
    }
    workspace::run(&mut test)
        .map_err(|error| format!("{error}; if the target is missing: rustup target add {TARGET}"))
}

/// Headers changed at random, by libcryptsetup and by us: so many, from a seed, or one of them alone with all that both
/// say of it.
fn run_differential(options: &[String]) -> Result<(), String> {
    let (mut count, mut seed, mut only) = ("1000000", "1", None);
    for option in options.chunks(2) {
        match option {
            [name, value] if name == "--count" => count = value,
            [name, value] if name == "--seed" => seed = value,
            [name, value] if name == "--only" => only = Some(value.as_str()),
            _ => return Err("differential takes --count N, --seed S and --only N".to_owned()),
        }
    }
    packages::check()?;
    let mut test = workspace::cargo(&[
        "test",
        "--locked",
        "-p",
        "xtask",
        "--test",
        "interop_differential",
        "--",
        "--nocapture",
    ]);
    if only.is_some() {
        test.arg("verdicts_and_fields");
    }
    let value = format!("{count} {seed} {}", only.unwrap_or_default());
    workspace::run(test.env("LUKSMITH_DIFFERENTIAL", value))
}

/// Images that qemu-io makes by chance, read and written here: so many, from a seed.
fn run_qcow2(options: &[String]) -> Result<(), String> {
    let (mut count, mut seed) = ("2000", "1");
    for option in options.chunks(2) {
        match option {
            [name, value] if name == "--count" => count = value,
            [name, value] if name == "--seed" => seed = value,
            _ => return Err("qcow2 takes --count N and --seed S".to_owned()),
        }
    }
    packages::check()?;
    let mut test = workspace::cargo(&[
        "test",
        "--locked",
        "-p",
        "luksmith-qcow2",
        "--test",
        "interop",
        "--",
        "--exact",
        "--nocapture",
        "random::random_images_are_read_and_written_as_qemu_does",
    ]);
    workspace::run(test.env("LUKSMITH_QCOW2", format!("{count} {seed}")))
}

fn names() -> String {
    let names: Vec<_> = CAMPAIGNS
        .iter()
        .map(|(name, ..)| *name)
        .chain([
            THIRTY_TWO_BITS,
            COVERAGE,
            MUTANTS,
            DIFFERENTIAL,
            QCOW2,
            CRYPTSETUP_TESTS,
            OPENSTACK,
            PYTHON,
        ])
        .collect();
    names.join(", ")
}
