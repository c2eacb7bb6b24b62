//! PBKDF2 that can be stopped while it runs and that computes its output blocks side by side, which the crate of that name
//! does not.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{iter, thread};

use dmcrypt::{HashAlgorithm, HmacChain, KeyedHmac, wipe_stack};

use super::{Effort, KdfError};

/// Rounds between two looks at the caller's cancellation: at most a few milliseconds, with the slowest hash.
const ROUNDS_PER_LOOK: u32 = 256;

/// Rounds below which another thread takes longer to start than it saves.
const ROUNDS_FOR_A_THREAD: u32 = 4096;

/// `T_i = U_1 XOR .. XOR U_c`, `U_1 = HMAC(secret, salt || i)`, `U_k = HMAC(secret, U_{k-1})`;
/// the output is `T_1 || T_2 || ..`, cropped (RFC 8018 5.2). The caller wipes the stack.
#[inline(never)]
pub(super) fn pbkdf2(
    hash: HashAlgorithm,
    secret: &[u8],
    salt: &[u8],
    iterations: u32,
    out: &mut [u8],
    effort: Effort<'_>,
) -> Result<(), KdfError> {
    let Some(rounds) = iterations.checked_sub(1) else {
        return Err(KdfError::Parameters("0 PBKDF2 iterations".into()));
    };
    let keyed = hash.keyed_hmac(secret);
    let block_bytes = hash.digest_bytes();
    let mut chains: Vec<_> = (1_u32..)
        .take(out.len().div_ceil(block_bytes))
        .map(|index| keyed.start(&[salt, &index.to_be_bytes()]))
        .collect();
    advance_all(&keyed, &mut chains, rounds, effort)?;
    for (out, chain) in out.chunks_mut(block_bytes).zip(&chains) {
        out.copy_from_slice(&chain.sum()[..out.len()]);
    }
    Ok(())
}

/// As many threads as there are chains for; what one thread has to do at once it does interleaved.
fn advance_all(
    keyed: &KeyedHmac,
    chains: &mut [HmacChain],
    rounds: u32,
    effort: Effort<'_>,
) -> Result<(), KdfError> {
    let threads = if rounds < ROUNDS_FOR_A_THREAD {
        1
    } else {
        effort.threads.clamp(1, chains.len().max(1))
    };
    let share = chains.len().div_ceil(threads).max(1);
    let shares = Mutex::new(chains.chunks_mut(share));
    let cancelled = AtomicBool::new(false);
    let next = || shares.lock().expect("no thread panics with it").next();
    let work = || {
        for chains in iter::from_fn(next) {
            let mut left = rounds;
            while left > 0 {
                if cancelled.load(Ordering::Relaxed) || (effort.cancel)() {
                    cancelled.store(true, Ordering::Relaxed);
                    return;
                }
                let step = left.min(ROUNDS_PER_LOOK);
                keyed.advance(chains, step);
                left = left.saturating_sub(step);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            // Without another thread it only takes longer.
            let _ = thread::Builder::new()
                .name("key derivation".into())
                .spawn_scoped(scope, || {
                    work();
                    wipe_stack();
                });
        }
        work();
    });
    if cancelled.into_inner() {
        Err(KdfError::Cancelled)
    } else {
        Ok(())
    }
}
