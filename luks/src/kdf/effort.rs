//! What a derivation may use, and who may end it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{iter, thread};

use dmcrypt::wipe_stack;

use super::KdfError;

/// How a key derivation goes about its work.
#[derive(Clone, Copy)]
pub struct Effort<'a> {
    /// Threads that may compute, the caller's among them; 0 is taken for 1. Where no more can be started, the caller's
    /// does their work.
    pub threads: usize,
    /// Asked every few milliseconds, by any of the threads; `true` ends the work.
    pub cancel: &'a (dyn Fn() -> bool + Sync),
}

impl Default for Effort<'_> {
    fn default() -> Self {
        Self {
            threads: 1,
            cancel: &|| false,
        }
    }
}

impl Effort<'_> {
    /// Hands each of `shares` to `work`, on as many threads as it may use. `work` asks its second argument every few
    /// milliseconds and returns when that is `true`.
    pub(crate) fn share_out<T: Send>(
        &self,
        shares: impl Iterator<Item = T> + Send,
        work: impl Fn(T, &(dyn Fn() -> bool + Sync)) + Sync,
    ) -> Result<(), KdfError> {
        let cancelled = AtomicBool::new(false);
        let is_over = || {
            if !cancelled.load(Ordering::Relaxed) && (self.cancel)() {
                cancelled.store(true, Ordering::Relaxed);
            }
            cancelled.load(Ordering::Relaxed)
        };
        let shares = Mutex::new(shares);
        let next = || shares.lock().expect("no thread panics with it").next();
        let run = || {
            for share in iter::from_fn(next) {
                if is_over() {
                    break;
                }
                work(share, &is_over);
            }
        };
        thread::scope(|scope| {
            for _ in 1..self.threads {
                // Without another thread it only takes longer.
                let _ = thread::Builder::new()
                    .name("key derivation".into())
                    .spawn_scoped(scope, || {
                        run();
                        wipe_stack();
                    });
            }
            run();
        });
        if cancelled.into_inner() {
            Err(KdfError::Cancelled)
        } else {
            Ok(())
        }
    }
}
