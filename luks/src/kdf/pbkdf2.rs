//! PBKDF2 that can be stopped while it runs, which the crate of that name has no hook for.

use digest::{Digest, FixedOutput, KeyInit, Mac, MacMarker, Update};
use dmcrypt::{HashAlgorithm, HashVisitor};
use zeroize::Zeroize;

use super::KdfError;

/// Rounds between two looks at the caller's cancellation: well under a millisecond of work.
const ROUNDS_PER_LOOK: u32 = 1024;

/// `T_i = U_1 XOR .. XOR U_c`, `U_1 = HMAC(secret, salt || i)`, `U_k = HMAC(secret, U_{k-1})`;
/// the output is `T_1 || T_2 || ..`, cropped (RFC 8018 5.2).
pub(super) fn pbkdf2(
    hash: HashAlgorithm,
    secret: &[u8],
    salt: &[u8],
    iterations: u32,
    out: &mut [u8],
    cancel: &(dyn Fn() -> bool + Sync),
) -> Result<(), KdfError> {
    if iterations == 0 {
        return Err(KdfError::Parameters("0 PBKDF2 iterations".into()));
    }
    hash.visit(Pbkdf2 {
        secret,
        salt,
        iterations,
        out,
        cancel,
    })
}

struct Pbkdf2<'a> {
    secret: &'a [u8],
    salt: &'a [u8],
    iterations: u32,
    out: &'a mut [u8],
    cancel: &'a (dyn Fn() -> bool + Sync),
}

impl HashVisitor for Pbkdf2<'_> {
    type Output = Result<(), KdfError>;

    fn visit<D, M>(self) -> Self::Output
    where
        D: Clone + Digest + Send + Sync + 'static,
        M: Clone + FixedOutput + KeyInit + MacMarker + Send + Sync + Update + 'static,
    {
        let keyed =
            <M as KeyInit>::new_from_slice(self.secret).expect("HMAC takes a key of any length");
        let block_bytes = M::output_size();
        for (index, block) in (1u32..).zip(self.out.chunks_mut(block_bytes)) {
            let mut round = keyed.clone();
            Mac::update(&mut round, self.salt);
            Mac::update(&mut round, &index.to_be_bytes());
            let mut u = round.finalize().into_bytes();
            block.copy_from_slice(&u[..block.len()]);
            for done in 1..self.iterations {
                if done % ROUNDS_PER_LOOK == 0 && (self.cancel)() {
                    return Err(KdfError::Cancelled);
                }
                let mut round = keyed.clone();
                Mac::update(&mut round, &u);
                u = round.finalize().into_bytes();
                for (t, x) in block.iter_mut().zip(&u) {
                    *t ^= x;
                }
            }
            u.as_mut_slice().zeroize();
        }
        Ok(())
    }
}
