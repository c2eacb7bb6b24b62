//! `key VERB IMG`: the keyslots of a container.

pub mod test;

mod explain;

use crate::args::KeyVerb;
use crate::error::Error;

/// Does what was asked for.
pub fn run(verb: &KeyVerb) -> Result<(), Error> {
    match verb {
        KeyVerb::Test(args) => test::run(args),
    }
}
