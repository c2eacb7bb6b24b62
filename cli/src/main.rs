//! The `luksmith` program: parse, run, exit code.

use std::process::ExitCode;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

fn main() -> ExitCode {
    // Secrets are for this process: no core dump, no debugger of the same user. No kernel refuses this.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    luksmith::run(std::env::args_os()).into()
}
