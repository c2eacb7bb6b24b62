//! `token VERB IMG`: LUKS2 tokens.

pub mod add;
pub mod edit;
pub mod show;

use crate::args::TokenVerb;
use crate::error::Error;

/// Does what was asked for.
pub fn run(verb: &TokenVerb) -> Result<(), Error> {
    match verb {
        TokenVerb::List(args) => show::list(args),
        TokenVerb::Export(args) => show::export(args),
        TokenVerb::Add(args) => add::add(args),
        TokenVerb::Import(args) => add::import(args),
        TokenVerb::Remove(args) => edit::remove(args),
        TokenVerb::Assign(args) => edit::assign(args),
        TokenVerb::Unassign(args) => edit::unassign(args),
    }
}
