//! The `luksmith` program: parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    luksmith::run(std::env::args_os()).into()
}
