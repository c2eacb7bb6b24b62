//! The anti-forensic splitter: a key spread over so many stripes that losing any one of them loses the key.

use dmcrypt::{DerivedKey, HashAlgorithm, LockedBytes, VolumeKey};

use crate::number::to_usize;
use crate::random::{Random, RandomError};

/// Splits `key` into `stripes` pieces of its own length, one after another.
///
/// `s_1 .. s_{n-1}` are random, `s_n = d_{n-1} XOR key` with `d_0 = 0` and `d_k = H1(d_{k-1} XOR s_k)`
/// (LUKS1 specification 2.4).
///
/// # Errors
///
/// When the random source fails.
pub fn split(
    key: &VolumeKey,
    stripes: u32,
    hash: HashAlgorithm,
    random: &mut dyn Random,
) -> Result<LockedBytes, RandomError> {
    let length = key.len();
    let mut material = LockedBytes::zeroed(length.saturating_mul(to_usize(stripes)));
    let random_bytes = material.len().saturating_sub(length);
    random.fill(&mut material[..random_bytes])?;
    let mut accumulator = LockedBytes::zeroed(length);
    for stripe in material[..random_bytes].chunks_exact(length) {
        absorb(&mut accumulator, stripe, hash);
    }
    let last = &mut material[random_bytes..];
    for ((out, d), k) in last.iter_mut().zip(accumulator.iter()).zip(key.expose()) {
        *out = d ^ k;
    }
    Ok(material)
}

/// Merges `stripes` pieces back into the key of `key_bytes` bytes; the inverse of [`split`].
///
/// # Panics
///
/// When `material` is shorter than `key_bytes * stripes`: callers read exactly that much.
pub fn merge(
    material: &DerivedKey,
    key_bytes: usize,
    stripes: u32,
    hash: HashAlgorithm,
) -> VolumeKey {
    let material = &material.expose()[..key_bytes.saturating_mul(to_usize(stripes))];
    let (spread, last) = material.split_at(material.len().saturating_sub(key_bytes));
    let mut key = VolumeKey::zeroed(key_bytes);
    let accumulator = key.expose_mut();
    for stripe in spread.chunks_exact(key_bytes) {
        absorb(accumulator, stripe, hash);
    }
    xor(accumulator, last);
    key
}

fn absorb(accumulator: &mut [u8], stripe: &[u8], hash: HashAlgorithm) {
    xor(accumulator, stripe);
    diffuse(accumulator, hash);
}

/// `H1`: `p_i = P(i || d_i)` over hunks of the digest's size, the last one cropped
/// (LUKS1 specification 2.4.1; the counter is 32 bits, big endian).
fn diffuse(block: &mut [u8], hash: HashAlgorithm) {
    for (index, hunk) in (0u32..).zip(block.chunks_mut(hash.digest_bytes())) {
        let digest = hash.digest(&[&index.to_be_bytes(), hunk]);
        let length = hunk.len();
        hunk.copy_from_slice(&digest[..length]);
    }
}

fn xor(out: &mut [u8], with: &[u8]) {
    for (a, b) in out.iter_mut().zip(with) {
        *a ^= b;
    }
}
