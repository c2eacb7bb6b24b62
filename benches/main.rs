//! The program: `cargo bench -p luksmith-benches [--features peers] -- [--quick] [--no-peers] [--json] [SUBJECT...]`.

use std::process::ExitCode;

use luksmith_benches::harness::Effort;
use luksmith_benches::{machine, subjects};

fn main() -> ExitCode {
    let mut effort = Effort::FULL;
    let mut peers = true;
    let mut as_json = false;
    let mut wanted = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            // What cargo adds.
            "--bench" => {}
            "--quick" => effort = Effort::QUICK,
            "--no-peers" => peers = false,
            "--json" => as_json = true,
            name => {
                let Some(subject) = subjects::find(name) else {
                    eprintln!("no subject {name}; there are {}", subjects::names());
                    return ExitCode::from(2);
                };
                wanted.push(subject);
            }
        }
    }
    effort.peers = peers;
    if wanted.is_empty() {
        wanted.extend(subjects::ALL);
    }
    if as_json {
        println!("{}", machine::describe());
    }
    for subject in wanted {
        (subject.measure)(&effort, &mut |chart| {
            if as_json {
                println!("{}", chart.json(subject.name));
            } else {
                println!("{chart}");
            }
        });
    }
    ExitCode::SUCCESS
}
