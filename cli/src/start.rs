//! What must be there before anything is begun.

use std::collections::hash_map::RandomState;
use std::panic;

use crate::error::Error;

/// Checks it. Who `reads_nothing` may have standard input closed, and then it is empty.
pub fn check(reads_nothing: bool) -> Result<(), Error> {
    standard_streams(reads_nothing)?;
    random_bytes()
}

/// A stream that is closed would take what is written without a word.
fn standard_streams(reads_nothing: bool) -> Result<(), Error> {
    let names = ["standard input", "standard output", "standard error"];
    let mut closed = names.into_iter().zip(volume::closed_at_start());
    let is_missed = |name: &str| !(reads_nothing && name == names[0]);
    match closed.find(|(name, is_closed)| *is_closed && is_missed(name)) {
        Some((name, _)) => Err(Error::ClosedStream { name }),
        None => Ok(()),
    }
}

/// Libraries that we stand on have hash maps with a random seed, which they draw once for each thread and panic where
/// there is none. It is drawn here, where that can be said.
fn random_bytes() -> Result<(), Error> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let drawn = panic::catch_unwind(RandomState::new);
    panic::set_hook(hook);
    match drawn {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::NoRandomBytes),
    }
}
