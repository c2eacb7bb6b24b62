//! What `sha256sum` says of a clone.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::thread;

use sha2::{Digest as _, Sha256};
use volume::Storage;

use super::Proven;
use crate::error::{DestinationError, Error};
use crate::watch::Watch;

const CHUNK_BYTES: usize = 1 << 20;

/// Adds it to each, several at once. One that cannot be read is not made.
pub(super) fn add(
    made: &mut [Result<Proven, Error>],
    threads: usize,
    watch: &dyn Watch,
) -> Result<(), Error> {
    let left = Mutex::new(made.iter_mut());
    let work = || -> Result<(), Error> {
        loop {
            let next = left.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(one) = next else {
                return Ok(());
            };
            let Ok(proven) = one else { continue };
            let Some(storage) = proven.sealed.data() else {
                continue;
            };
            match of(&proven.name, &*storage, watch) {
                Ok(sum) => proven.cloned.sha256 = Some(sum),
                Err(Error::Cancelled) => return Err(Error::Cancelled),
                Err(error) => *one = Err(error),
            }
        }
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads.max(1)).map(|_| scope.spawn(work)).collect();
        let outcomes = others.into_iter().map(|other| {
            let done = other.join();
            done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        let own = work();
        outcomes.chain([own]).collect()
    })
}

fn of(name: &str, storage: &dyn Storage, watch: &dyn Watch) -> Result<String, Error> {
    let failed = |source| DestinationError::Open {
        name: name.to_owned(),
        source,
    };
    let len = storage.len().map_err(failed)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut at = 0;
    while at < len {
        if watch.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let bytes = (len - at).min(CHUNK_BYTES as u64);
        let piece = &mut buffer[..usize::try_from(bytes).unwrap_or(CHUNK_BYTES)];
        storage.read_at(at, piece).map_err(failed)?;
        hash.update(&*piece);
        at += bytes;
    }
    let mut text = String::new();
    for byte in hash.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}
