//! How much memory the data of requests take, all connections together.
//!
//! What is there is shared. A connection that gets nothing of it, because others hold it and do not move, has a small
//! piece of its own, so that it goes on whatever they do. Whoever gets neither waits, and its requests wait unread.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What is shared.
const SHARED_BYTES: usize = 48 << 20;
/// What one connection may have of it.
const SHARE_BYTES: usize = 16 << 20;
/// The largest piece of it.
const PIECE_BYTES: usize = 4 << 20;
/// The piece of a connection's own.
const OWN_BYTES: usize = 1 << 20;
/// The smallest.
const LEAST_BYTES: usize = 4096;
/// What is kept for the next request.
const KEPT_BYTES: usize = 8 << 20;

/// The memory of all connections.
#[derive(Default)]
pub(crate) struct Pool {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    shared_bytes: usize,
    kept: Vec<Vec<u8>>,
    kept_bytes: usize,
}

/// What one connection has of it. Both are changed under the pool's lock alone.
#[derive(Default)]
pub(crate) struct Share {
    shared_bytes: AtomicUsize,
    is_own_taken: AtomicBool,
}

/// Memory for the data of one request, or for a part of them. It goes back when it is dropped.
pub(crate) struct Piece<'a> {
    pool: &'a Pool,
    share: &'a Share,
    is_own: bool,
    memory: Vec<u8>,
    len: usize,
}

impl Pool {
    /// Memory for so many bytes, or for fewer; waits until there is some.
    pub(crate) fn take<'a>(&'a self, share: &'a Share, wanted: u64) -> Piece<'a> {
        let size_for = |most: usize| {
            let wanted = usize::try_from(wanted).unwrap_or(most).min(most);
            wanted.next_power_of_two().max(LEAST_BYTES)
        };
        let mut state = self.state();
        loop {
            let size = size_for(PIECE_BYTES);
            let used = share.shared_bytes.load(Ordering::Relaxed);
            let (size, is_own) =
                if state.shared_bytes + size <= SHARED_BYTES && used + size <= SHARE_BYTES {
                    state.shared_bytes += size;
                    share.shared_bytes.store(used + size, Ordering::Relaxed);
                    (size, false)
                } else if !share.is_own_taken.swap(true, Ordering::Relaxed) {
                    (size_for(OWN_BYTES), true)
                } else {
                    state = self
                        .freed
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                    continue;
                };
            let kept = state.kept.iter().rposition(|kept| kept.len() == size);
            let kept = kept.map(|index| state.kept.swap_remove(index));
            if kept.is_some() {
                state.kept_bytes -= size;
            }
            drop(state);
            let memory = kept.unwrap_or_else(|| vec![0; size]);
            let len = usize::try_from(wanted).unwrap_or(size).min(size);
            return Piece {
                pool: self,
                share,
                is_own,
                memory,
                len,
            };
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Piece<'_> {
    /// Its bytes: as many as were wanted, or fewer.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[..self.len]
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Piece<'_> {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        let size = memory.len();
        let mut state = self.pool.state();
        if self.is_own {
            self.share.is_own_taken.store(false, Ordering::Relaxed);
        } else {
            state.shared_bytes -= size;
            self.share.shared_bytes.fetch_sub(size, Ordering::Relaxed);
        }
        if state.kept_bytes + size <= KEPT_BYTES {
            state.kept_bytes += size;
            state.kept.push(memory);
        }
        drop(state);
        self.pool.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_all_of_it_keeps_nobody_waiting() {
        let pool = Pool::default();
        let shares: Vec<Share> = (0..20).map(|_| Share::default()).collect();
        let mut held = Vec::new();
        for share in &shares {
            // One connection cannot have all of it.
            for _ in 0..4 {
                let shared = pool.state().shared_bytes;
                if shared + PIECE_BYTES <= SHARED_BYTES {
                    held.push(pool.take(share, PIECE_BYTES as u64));
                }
            }
        }
        assert_eq!(pool.state().shared_bytes, SHARED_BYTES);
        for share in &shares[15..] {
            let mut own = pool.take(share, 32 << 20);
            assert_eq!((own.len(), own.bytes().len()), (OWN_BYTES, OWN_BYTES));
            held.push(own);
        }
        let waited = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| pool.take(&shares[19], 100).len());
            held.clear();
            waiting.join().unwrap()
        });
        assert_eq!(waited, 100);
        let state = pool.state();
        assert_eq!(state.shared_bytes, 0);
        assert!(state.kept_bytes <= KEPT_BYTES);
        let kept: usize = state.kept.iter().map(Vec::len).sum();
        assert_eq!(kept, state.kept_bytes);
    }
}
