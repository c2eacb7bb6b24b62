//! What must be there before anything is begun.

use std::collections::hash_map::RandomState;
use std::panic;

use crate::error::Error;

/// Checks it.
pub fn check() -> Result<(), Error> {
    standard_streams()?;
    random_bytes()
}

/// A stream that is closed would take what is written without a word.
fn standard_streams() -> Result<(), Error> {
    let names = ["standard input", "standard output", "standard error"];
    let closed = names.into_iter().zip(volume::closed_at_start());
    match closed.into_iter().find(|(_, is_closed)| *is_closed) {
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
