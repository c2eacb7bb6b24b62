//! The verbs, one file each.

pub mod completions;
pub mod create;
pub mod decrypt;
pub mod encrypt;
pub mod inspect;
pub mod key;
pub mod man;
pub mod measure;

use crate::args::Verb;
use crate::error::Error;

/// Does what was asked for.
pub fn run(verb: Verb) -> Result<(), Error> {
    match verb {
        Verb::Encrypt(args) => encrypt::run(&args),
        Verb::Decrypt(args) => decrypt::run(&args),
        Verb::Create(args) => create::run(&args),
        Verb::Inspect(args) => inspect::run(&args),
        Verb::Measure(args) => measure::run(&args),
        Verb::Key(verb) => key::run(&verb),
        Verb::Completions(args) => completions::run(&args),
        Verb::Man(args) => man::run(&args),
    }
}
