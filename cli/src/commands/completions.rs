//! `completions SHELL`.

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs};
use crate::error::Error;
use crate::output;

/// Prints the script.
pub fn run(args: &CompletionsArgs) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "luksmith", &mut script);
    Ok(output::text(&String::from_utf8_lossy(&script))?)
}
