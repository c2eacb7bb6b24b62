//! `key VERB IMG`: the keyslots of a container.

pub mod add;
pub mod change;
pub mod export;
pub mod list;
pub mod remove;
pub mod test;
pub mod unmangle;

pub(crate) mod new;

use crate::args::KeyVerb;
use crate::error::Error;

/// Does what was asked for.
pub fn run(verb: &KeyVerb) -> Result<(), Error> {
    match verb {
        KeyVerb::Add(args) => add::run(args),
        KeyVerb::Change(args) => change::run(args),
        KeyVerb::Remove(args) => remove::run(args),
        KeyVerb::Unmangle(args) => unmangle::run(args),
        KeyVerb::Test(args) => test::run(args),
        KeyVerb::List(args) => list::run(args),
        KeyVerb::Export(args) => export::run(args),
    }
}
