//! `header VERB IMG`: the header as a thing.

pub mod backup;
pub mod config;
pub mod convert;
pub mod erase;
pub mod repair;
pub mod restore;
pub mod seal;

use crate::args::HeaderVerb;
use crate::error::Error;

/// Does what was asked for.
pub fn run(verb: &HeaderVerb) -> Result<(), Error> {
    match verb {
        HeaderVerb::Backup(args) => backup::run(args),
        HeaderVerb::Restore(args) => restore::run(args),
        HeaderVerb::Repair(args) => repair::run(args),
        HeaderVerb::Erase(args) => erase::run(args),
        HeaderVerb::Convert(args) => convert::run(args),
        HeaderVerb::Config(args) => config::run(args),
        HeaderVerb::Seal(args) => seal::seal(args),
        HeaderVerb::Unseal(args) => seal::unseal(args),
    }
}
