//! HMAC under one key many times over, which is what PBKDF2 is made of.
//!
//! `HMAC(K, m) = H((K ^ opad) || H((K ^ ipad) || m))` (RFC 2104): the states of the hash behind the two padded keys, the
//! midstates, are computed once. Where the message is itself a digest of SHA-1, SHA-256 or SHA-512, either hash is then one
//! call of the block function, on a block whose padding never changes.

use super::{HashAlgorithm, HashVisitor};
#[cfg(target_arch = "x86_64")]
use crate::low::x86_64::{cpu::ShaNi, sha::Lane};
use digest::{Digest, FixedOutput, KeyInit, Mac, MacMarker, Update};
use zeroize::{Zeroize as _, Zeroizing};

/// HMAC with a secret that is prepared once; wiped when it is dropped.
pub struct KeyedHmac {
    once: Box<dyn Once>,
    rounds: Box<dyn Rounds>,
}

/// The bytes of the longest digest.
const MAX_DIGEST_BYTES: usize = 64;

/// `U_1`, `U_2`, ... of one output block of PBKDF2, and their XOR so far; wiped when it is dropped.
pub struct HmacChain {
    last: Zeroizing<[u8; MAX_DIGEST_BYTES]>,
    sum: Zeroizing<[u8; MAX_DIGEST_BYTES]>,
    digest_bytes: usize,
}

impl KeyedHmac {
    /// `U_1`, the HMAC of `parts[0] || parts[1] || ...`.
    pub fn start(&self, parts: &[&[u8]]) -> HmacChain {
        let mut chain = HmacChain {
            last: Zeroizing::new([0; MAX_DIGEST_BYTES]),
            sum: Zeroizing::new([0; MAX_DIGEST_BYTES]),
            digest_bytes: self.once.digest_bytes(),
        };
        self.once
            .compute(parts, &mut chain.last[..chain.digest_bytes]);
        *chain.sum = *chain.last;
        chain
    }

    /// Computes `rounds` more `U_k = HMAC(U_{k-1})` of each chain. Several chains at once overlap in the processor.
    ///
    /// What the compiler spilled is left on the stack: [`wipe_stack`](crate::wipe_stack) when all is done.
    ///
    /// # Panics
    /// When a chain is not of this hash.
    pub fn advance(&self, chains: &mut [HmacChain], rounds: u32) {
        self.rounds.advance(chains, rounds);
    }
}

impl HmacChain {
    /// `U_1 ^ U_2 ^ ...`, as many bytes as a digest has.
    pub fn sum(&self) -> &[u8] {
        &self.sum[..self.digest_bytes]
    }
}

impl HashAlgorithm {
    /// HMAC with `secret`, prepared to be computed many times.
    pub fn keyed_hmac(self, secret: &[u8]) -> KeyedHmac {
        let any = self.visit(AnyHash(secret));
        let midstates: Box<dyn Rounds> = match self {
            Self::Sha1 => Box::new(Sha1Midstates::new(self, secret)),
            Self::Sha256 => Sha256Midstates::new(self, secret).in_registers(),
            Self::Sha512 => Box::new(Sha512Midstates::new(self, secret)),
            _ => return any,
        };
        KeyedHmac {
            rounds: midstates,
            ..any
        }
    }

    /// How many chains [`KeyedHmac::advance`] takes in about the time of one, on this processor.
    pub fn hmac_lanes(self) -> usize {
        #[cfg(target_arch = "x86_64")]
        if self == Self::Sha256 && ShaNi::new().is_some() {
            return Sha256Registers::LANES;
        }
        1
    }
}

/// One HMAC of any message.
trait Once: Send + Sync {
    fn digest_bytes(&self) -> usize;
    fn compute(&self, parts: &[&[u8]], out: &mut [u8]);
}

/// Many HMACs, each of the digest before it.
trait Rounds: Send + Sync {
    fn advance(&self, chains: &mut [HmacChain], rounds: u32);
}

/// Keys the HMAC of any hash with a secret.
struct AnyHash<'a>(&'a [u8]);

impl HashVisitor for AnyHash<'_> {
    type Output = KeyedHmac;

    fn visit<D, M>(self) -> Self::Output
    where
        D: Clone + Digest + Send + Sync + 'static,
        M: Clone + FixedOutput + KeyInit + MacMarker + Send + Sync + Update + 'static,
    {
        let keyed = <M as KeyInit>::new_from_slice(self.0).expect("HMAC takes a key of any length");
        KeyedHmac {
            once: Box::new(Cloned(keyed.clone())),
            rounds: Box::new(Cloned(keyed)),
        }
    }
}

/// A keyed HMAC that is cloned for each message: its states are midstates too.
struct Cloned<M>(M);

impl<M: Clone + FixedOutput + MacMarker + Send + Sync + Update> Once for Cloned<M> {
    fn digest_bytes(&self) -> usize {
        M::output_size()
    }

    fn compute(&self, parts: &[&[u8]], out: &mut [u8]) {
        let mut mac = self.0.clone();
        for part in parts {
            Mac::update(&mut mac, part);
        }
        let mut digest = mac.finalize_fixed();
        out.copy_from_slice(&digest);
        digest.zeroize();
    }
}

impl<M: Clone + FixedOutput + MacMarker + Send + Sync + Update> Rounds for Cloned<M> {
    fn advance(&self, chains: &mut [HmacChain], rounds: u32) {
        for chain in chains {
            assert_eq!(chain.digest_bytes, M::output_size(), "a chain of this hash");
            let mut last = digest::Output::<M>::default();
            last.copy_from_slice(&chain.last[..chain.digest_bytes]);
            for _ in 0..rounds {
                let mut mac = self.0.clone();
                Mac::update(&mut mac, &last);
                mac.finalize_into(&mut last);
                for (sum, byte) in chain.sum.iter_mut().zip(&last) {
                    *sum ^= byte;
                }
            }
            chain.last[..chain.digest_bytes].copy_from_slice(&last);
            last.zeroize();
        }
    }
}

/// Declares the [`Rounds`] of a hash by its block function: word, words of state, bytes of a block, bytes of the message
/// length that ends the padding, the initial state.
macro_rules! midstates {
    ($(#[$doc:meta])* $name:ident, $word:ty, $words:literal, $block_bytes:literal, $length:ty, $compress:path, $initial:expr) => {
        $(#[$doc])*
        struct $name {
            inner: Zeroizing<[$word; $words]>,
            outer: Zeroizing<[$word; $words]>,
        }

        impl $name {
            const WORD_BYTES: usize = size_of::<$word>();
            const DIGEST_BYTES: usize = $words * Self::WORD_BYTES;

            /// A key that is longer than a block is hashed first.
            fn new(hash: HashAlgorithm, secret: &[u8]) -> Self {
                let mut key = Zeroizing::new([0; $block_bytes]);
                if secret.len() > $block_bytes {
                    key[..Self::DIGEST_BYTES].copy_from_slice(&hash.digest(&[secret]));
                } else {
                    key[..secret.len()].copy_from_slice(secret);
                }
                let padded = |pad: u8| {
                    let block = Zeroizing::new(key.map(|byte| byte ^ pad));
                    let mut state = $initial;
                    $compress(&mut state, &[*block]);
                    Zeroizing::new(state)
                };
                Self { inner: padded(0x36), outer: padded(0x5c) }
            }

            /// The block of a message that is a digest, behind the block of the key.
            fn block() -> Zeroizing<[u8; $block_bytes]> {
                let mut block = Zeroizing::new([0; $block_bytes]);
                block[Self::DIGEST_BYTES] = 0x80;
                let bits = 8 * ($block_bytes + Self::DIGEST_BYTES) as $length;
                block[$block_bytes - size_of::<$length>()..].copy_from_slice(&bits.to_be_bytes());
                block
            }

            /// The state as the message of the next hash.
            #[inline(always)]
            fn put(state: &[$word; $words], block: &mut [u8; $block_bytes]) {
                for (bytes, word) in block.chunks_exact_mut(Self::WORD_BYTES).zip(state) {
                    bytes.copy_from_slice(&word.to_be_bytes());
                }
            }

            fn load(bytes: &[u8; MAX_DIGEST_BYTES]) -> [$word; $words] {
                let mut words = [0; $words];
                for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(Self::WORD_BYTES)) {
                    *word = <$word>::from_be_bytes(bytes.try_into().expect("the bytes of a word"));
                }
                words
            }

            fn store(words: &[$word; $words], bytes: &mut [u8; MAX_DIGEST_BYTES]) {
                for (bytes, word) in bytes.chunks_exact_mut(Self::WORD_BYTES).zip(words) {
                    bytes.copy_from_slice(&word.to_be_bytes());
                }
            }

            fn advance_lanes<const N: usize>(&self, chains: &mut [HmacChain; N], rounds: u32) {
                let mut sums = Zeroizing::new(chains.each_ref().map(|chain| {
                    assert_eq!(chain.digest_bytes, Self::DIGEST_BYTES, "a chain of this hash");
                    Self::load(&chain.sum)
                }));
                let mut last = Zeroizing::new(chains.each_ref().map(|chain| Self::load(&chain.last)));
                let mut blocks = Zeroizing::new([0; N].map(|_: u8| *Self::block()));
                for _ in 0..rounds {
                    for midstate in [&self.inner, &self.outer] {
                        for (state, block) in last.iter_mut().zip(blocks.iter_mut()) {
                            Self::put(state, block);
                            *state = **midstate;
                            $compress(state, std::slice::from_ref(block));
                        }
                    }
                    for (sum, state) in sums.iter_mut().zip(last.iter()) {
                        for (sum, word) in sum.iter_mut().zip(state) {
                            *sum ^= word;
                        }
                    }
                }
                for ((chain, sum), last) in chains.iter_mut().zip(sums.iter()).zip(last.iter()) {
                    Self::store(sum, &mut chain.sum);
                    Self::store(last, &mut chain.last);
                }
            }
        }

        impl Rounds for $name {
            fn advance(&self, chains: &mut [HmacChain], rounds: u32) {
                let (fours, rest) = chains.as_chunks_mut::<4>();
                for four in fours {
                    self.advance_lanes(four, rounds);
                }
                let (twos, rest) = rest.as_chunks_mut::<2>();
                for two in twos {
                    self.advance_lanes(two, rounds);
                }
                for one in rest.as_chunks_mut::<1>().0 {
                    self.advance_lanes(one, rounds);
                }
            }
        }
    };
}

midstates! {
    /// SHA-1, its initial state of FIPS 180-4 5.3.1.
    Sha1Midstates, u32, 5, 64, u64, sha1::block_api::compress,
    [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0]
}
midstates! {
    /// SHA-256, its initial state of FIPS 180-4 5.3.3.
    Sha256Midstates, u32, 8, 64, u64, sha2::block_api::compress256,
    [
        0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a,
        0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
    ]
}
midstates! {
    /// SHA-512, its initial state of FIPS 180-4 5.3.5.
    Sha512Midstates, u64, 8, 128, u128, sha2::block_api::compress512,
    [
        0x6a09_e667_f3bc_c908, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b, 0xa54f_f53a_5f1d_36f1,
        0x510e_527f_ade6_82d1, 0x9b05_688c_2b3e_6c1f, 0x1f83_d9ab_fb41_bd6b, 0x5be0_cd19_137e_2179,
    ]
}

impl Sha256Midstates {
    /// By the processor's own instructions where it has them.
    fn in_registers(self) -> Box<dyn Rounds> {
        #[cfg(target_arch = "x86_64")]
        if let Some(token) = ShaNi::new() {
            return Box::new(Sha256Registers {
                midstates: self,
                token,
            });
        }
        Box::new(self)
    }
}

#[cfg(target_arch = "x86_64")]
struct Sha256Registers {
    midstates: Sha256Midstates,
    token: ShaNi,
}

#[cfg(target_arch = "x86_64")]
impl Sha256Registers {
    const LANES: usize = 2;

    fn advance_lanes<const N: usize>(&self, chains: &mut [HmacChain; N], rounds: u32) {
        let Sha256Midstates { inner, outer } = &self.midstates;
        let mut lanes = chains.each_ref().map(|chain| {
            assert_eq!(
                chain.digest_bytes,
                Sha256Midstates::DIGEST_BYTES,
                "a chain of this hash"
            );
            Lane {
                last: Sha256Midstates::load(&chain.last),
                sum: Sha256Midstates::load(&chain.sum),
            }
        });
        self.token.hmac_rounds(inner, outer, &mut lanes, rounds);
        for (chain, lane) in chains.iter_mut().zip(&mut lanes) {
            Sha256Midstates::store(&lane.last, &mut chain.last);
            Sha256Midstates::store(&lane.sum, &mut chain.sum);
            lane.last.zeroize();
            lane.sum.zeroize();
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Rounds for Sha256Registers {
    fn advance(&self, chains: &mut [HmacChain], rounds: u32) {
        let (all, rest) = chains.as_chunks_mut::<{ Self::LANES }>();
        for chains in all {
            self.advance_lanes(chains, rounds);
        }
        for chain in rest.as_chunks_mut::<1>().0 {
            self.advance_lanes(chain, rounds);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By every code that there is for the hash: `U_k` of each chain by single HMACs.
    #[test]
    fn chains_are_the_same_side_by_side_and_in_parts() {
        let secret = b"longer than any block of a hash, so that it is hashed first: ".repeat(3);
        let mut codes: Vec<_> = HashAlgorithm::ALL
            .iter()
            .map(|hash| (*hash, hash.keyed_hmac(&secret)))
            .collect();
        let portable = KeyedHmac {
            rounds: Box::new(Sha256Midstates::new(HashAlgorithm::Sha256, &secret)),
            ..HashAlgorithm::Sha256.keyed_hmac(&secret)
        };
        codes.push((HashAlgorithm::Sha256, portable));
        for (hash, keyed) in codes {
            let start = |index: u8| keyed.start(&[b"salt", &[index]]);
            let expected = |index: u8| {
                let mut last = start(index).sum().to_vec();
                let mut sum = last.clone();
                for _ in 0..5 {
                    last = keyed.start(&[&last]).sum().to_vec();
                    sum.iter_mut().zip(&last).for_each(|(sum, u)| *sum ^= u);
                }
                sum
            };
            for count in 1..8 {
                let mut chains: Vec<_> = (0..count).map(start).collect();
                keyed.advance(&mut chains, 2);
                keyed.advance(&mut chains, 0);
                keyed.advance(&mut chains, 3);
                for (index, chain) in (0..count).zip(&chains) {
                    assert_eq!(chain.sum(), expected(index), "{hash:?} {count} {index}");
                }
            }
        }
    }
}
