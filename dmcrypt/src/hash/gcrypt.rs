//! Whirlpool as libgcrypt computed it before 1.6.0.
//!
//! A piece of input that found other bytes waiting for their block, and all of which fitted beside them, was hashed but
//! left out of the length at the end. Input in one piece came out right, and so did every HMAC of cryptsetup's, whose
//! pieces begin at a block's start. The anti-forensic splitter gives a counter and then up to 60 bytes more: keys of 256
//! bits came out wrong, those of 512 bits right.

use digest::{
    FixedOutput, HashMarker, Output, OutputSizeUser, Update,
    array::Array,
    block_api::{BlockSizeUser, UpdateCore},
    common::hazmat::SerializableState,
    consts::U64,
};
use hmac::Hmac;
use whirlpool::{Whirlpool, block_api::WhirlpoolCore};
use zeroize::Zeroize;

/// Bytes of a block.
const BLOCK: usize = 64;
/// Bytes of the length at the end of the last block.
const LENGTH: usize = 32;

/// The hash with that fault.
#[derive(Clone)]
pub struct UncountedWhirlpool {
    core: WhirlpoolCore,
    waiting: [u8; BLOCK],
    /// How many bytes wait for their block; less than a block.
    filled: usize,
    counted_bytes: u64,
}

/// The HMAC of a hash with a fault that its HMAC does not have.
pub type SoundHmac<D> = Hmac<<D as Faulty>::Sound>;

/// A hash that was computed wrong.
pub trait Faulty {
    /// What it should have been.
    type Sound;
}

impl Faulty for UncountedWhirlpool {
    type Sound = Whirlpool;
}

impl UncountedWhirlpool {
    fn absorb(&mut self) {
        self.core.update_blocks(&[Array(self.waiting)]);
        self.filled = 0;
    }

    fn push(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = rest.len().min(BLOCK - self.filled);
            let (now, later) = rest.split_at(count);
            self.waiting[self.filled..self.filled + count].copy_from_slice(now);
            self.filled += count;
            if self.filled == BLOCK {
                self.absorb();
            }
            rest = later;
        }
    }
}

impl Default for UncountedWhirlpool {
    fn default() -> Self {
        Self {
            core: WhirlpoolCore::default(),
            waiting: [0; BLOCK],
            filled: 0,
            counted_bytes: 0,
        }
    }
}

impl Drop for UncountedWhirlpool {
    fn drop(&mut self) {
        self.waiting.zeroize();
    }
}

impl BlockSizeUser for UncountedWhirlpool {
    type BlockSize = U64;
}

impl OutputSizeUser for UncountedWhirlpool {
    type OutputSize = U64;
}

impl HashMarker for UncountedWhirlpool {}

impl Update for UncountedWhirlpool {
    fn update(&mut self, data: &[u8]) {
        let is_forgotten = self.filled > 0 && data.len() <= BLOCK - self.filled;
        if !is_forgotten {
            // No input has 2^64 bytes.
            self.counted_bytes = self.counted_bytes.wrapping_add(data.len() as u64);
        }
        self.push(data);
    }
}

impl FixedOutput for UncountedWhirlpool {
    fn finalize_into(mut self, out: &mut Output<Self>) {
        let bits = u128::from(self.counted_bytes) * 8;
        self.push(&[0x80]);
        while self.filled != BLOCK - LENGTH {
            self.push(&[0]);
        }
        self.push(&[0; LENGTH - size_of::<u128>()]);
        self.push(&bits.to_be_bytes());
        // The state is the digest; a padding of the core's own must not follow.
        let mut state = self.core.serialize();
        let (digest, _blocks) = state.split_at(size_of::<Output<Self>>());
        out.copy_from_slice(digest);
        state.as_mut_slice().zeroize();
    }
}

#[cfg(test)]
mod tests {
    use crate::HashAlgorithm;

    #[test]
    fn only_a_piece_that_fits_beside_others_is_left_out() {
        let bytes: Vec<u8> = (0..200).collect();
        let same = |parts: &[&[u8]]| {
            HashAlgorithm::WhirlpoolGcryptBug.digest(parts)
                == HashAlgorithm::Whirlpool.digest(parts)
        };
        for length in [0, 1, 31, 32, 33, 63, 64, 65, 128, 200] {
            assert!(same(&[&bytes[..length]]), "{length} bytes in one piece");
        }
        let counter = [0; 4];
        for (length, is_right) in [
            (16, false),
            (32, false),
            (60, false),
            (61, true),
            (64, true),
        ] {
            assert_eq!(same(&[&counter, &bytes[..length]]), is_right, "{length}");
        }
        assert!(same(&[&bytes[..64], &bytes[..64]]), "at a block's start");
    }

    /// libgcrypt 1.10.1 computed them, told to do as it did before 1.6.0 (`GCRY_MD_FLAG_BUGEMU1`).
    #[test]
    fn digests_are_libgcrypts() {
        let bytes: Vec<u8> = (0..200).collect();
        let digest = |lengths: &[usize]| {
            let parts: Vec<_> = lengths.iter().map(|length| &bytes[..*length]).collect();
            hex::encode(HashAlgorithm::WhirlpoolGcryptBug.digest(&parts))
        };
        for (lengths, expected) in [
            (
                &[4, 32][..],
                "24d7e606f7bcdeff0e8facea89cc622ffb2250f61233a079aaa07ec932f2d24fc8368c0b711d681809affcd553c9f0f98e2b6a4c18b7299b4ef516527f7b9f9e",
            ),
            (
                &[4, 60],
                "c5dc061ea01cafe3cf7d9e29b896c819a86e97fa4969cd4e7742a5d4195bceb24fd4af0308b7fa6fb1dba37cb6e7510d508b0e67e2d3eb446ceb2953e8cbecb1",
            ),
            (
                &[4, 61],
                "d6175e5b64c009446235c5e8e4e1af906f701d086355398842fe8948a0949da5db93b10250d62463a4f481ea37d21c6514fc0de4663283b0025da865fac97847",
            ),
            (
                &[4, 100, 5, 150],
                "151a4026c2846f2c301b2eb75d3180088f4e6948a7b0d2441aa1868b5c0eddcfdfc01030e9394e01ccf86ac123ad84690cf609c3b03049a142f2a35005cfe550",
            ),
        ] {
            assert_eq!(digest(lengths), expected, "{lengths:?}");
        }
    }
}
