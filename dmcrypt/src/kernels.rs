//! What runs inside a cipher's own function, over many blocks at once, and knows no sectors: the inner loops of the modes.

pub(crate) mod block;
pub(crate) mod bytes;
pub(crate) mod cbc;
pub(crate) mod lanes;
pub(crate) mod xts;

use zeroize::optimization_barrier;

/// The name of what runs where there is no code of our own for the processor: a crate's cipher in these loops.
pub(crate) const PORTABLE: &str = "portable";

/// target ^= mask, byte by byte.
pub(crate) fn xor(target: &mut [u8], mask: &[u8]) {
    for (byte, mask) in target.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

/// Tweaks tell what was encrypted with which, so none are left on the stack.
pub(crate) fn wipe<T: Copy>(scratch: &mut [T], zero: T) {
    scratch.fill(zero);
    optimization_barrier(scratch);
}
