//! PBKDF2 that can be stopped while it runs and that computes its output blocks side by side, which the crate of that name
//! does not.

use dmcrypt::{HashAlgorithm, HmacChain, KeyedHmac};

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
    advance_all(&keyed, &mut chains, hash.hmac_lanes(), rounds, effort)?;
    for (out, chain) in out.chunks_mut(block_bytes).zip(&chains) {
        out.copy_from_slice(&chain.sum()[..out.len()]);
    }
    Ok(())
}

/// `lanes` chains take one thread no longer than one; for more there are more threads.
fn advance_all(
    keyed: &KeyedHmac,
    chains: &mut [HmacChain],
    lanes: usize,
    rounds: u32,
    effort: Effort<'_>,
) -> Result<(), KdfError> {
    let groups = chains.len().div_ceil(lanes).max(1);
    let threads = if rounds < ROUNDS_FOR_A_THREAD {
        1
    } else {
        effort.threads.clamp(1, groups)
    };
    let effort = Effort { threads, ..effort };
    let share = groups.div_ceil(threads).saturating_mul(lanes);
    effort.share_out(chains.chunks_mut(share), |chains, is_over| {
        let mut left = rounds;
        while left > 0 && !is_over() {
            let step = left.min(ROUNDS_PER_LOOK);
            keyed.advance(chains, step);
            left = left.saturating_sub(step);
        }
    })
}
