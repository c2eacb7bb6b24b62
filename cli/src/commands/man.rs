//! `man DIR`.

use clap::CommandFactory;

use crate::args::{Cli, ManArgs};
use crate::error::Error;
use crate::output;

/// Writes `luksmith.1`, and one page for each verb.
pub fn run(args: &ManArgs) -> Result<(), Error> {
    clap_mangen::generate_to(Cli::command(), &args.directory).map_err(|source| Error::Generate {
        name: output::path(&args.directory),
        source,
    })
}
