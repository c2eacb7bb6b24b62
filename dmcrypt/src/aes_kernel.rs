//! The code that computes AES, of which there is more than one.
//!
//! All give the same bytes, and everything takes the fastest by itself; to name one is for tests and measurements.

use crate::{
    expand::{expand_by_size, expand_xts_by_size},
    kernels::{PORTABLE, block::BlockCipher, xts::XtsKernel},
};
use ::aes::{Aes128, Aes192, Aes256};
use std::fmt;

#[cfg(target_arch = "x86_64")]
use crate::low::{
    pages::Locked,
    x86_64::{
        aes::{Aes, AesXts},
        cpu::{AesNi, Vaes, Vaes512},
        width::Width,
    },
};

/// Code for AES that this processor can run.
#[derive(Clone, Copy)]
pub struct AesKernel(Code);

#[derive(Clone, Copy)]
enum Code {
    /// The aes crate in our loops: the model of the others, and what serves where there is no other.
    Portable,
    #[cfg(target_arch = "x86_64")]
    AesNi(AesNi),
    #[cfg(target_arch = "x86_64")]
    Vaes(Vaes),
    #[cfg(target_arch = "x86_64")]
    Vaes512(Vaes512),
}

impl AesKernel {
    /// Those that this processor can run, the fastest last. The first is always there.
    pub fn here() -> Vec<Self> {
        let here = std::iter::once(Self(Code::Portable));
        #[cfg(target_arch = "x86_64")]
        let here = here.chain(
            [
                AesNi::new().map(Code::AesNi),
                Vaes::new().map(Code::Vaes),
                Vaes512::new().map(Code::Vaes512),
            ]
            .into_iter()
            .map_while(|code| code.map(Self)),
        );
        here.collect()
    }

    /// The fastest that this processor can run.
    ///
    /// The widest vectors, whatever the key and the sectors. On the one processor with both that was measured, which
    /// does the halves of a 512-bit vector one after the other (Zen 4), AVX2 was as fast for XTS with keys of 256 bits;
    /// with shorter ones 4 to 12 % faster in sectors of 512 bytes, and 2 to 12 % slower in sectors of 4096. A rule made
    /// of that would bind processors that do the halves at once.
    pub fn best() -> Self {
        let here = Self::here();
        here[here.len() - 1]
    }

    /// For people: `vaes-avx512`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Code::Portable => PORTABLE,
            #[cfg(target_arch = "x86_64")]
            Code::AesNi(_) => AesNi::NAME,
            #[cfg(target_arch = "x86_64")]
            Code::Vaes(_) => Vaes::NAME,
            #[cfg(target_arch = "x86_64")]
            Code::Vaes512(_) => Vaes512::NAME,
        }
    }

    /// Its place in [`here`](Self::here).
    pub(crate) fn rank(self) -> usize {
        match self.0 {
            Code::Portable => 0,
            #[cfg(target_arch = "x86_64")]
            Code::AesNi(_) => 1,
            #[cfg(target_arch = "x86_64")]
            Code::Vaes(_) => 2,
            #[cfg(target_arch = "x86_64")]
            Code::Vaes512(_) => 3,
        }
    }

    /// AES with a key of 16, 24 or 32 bytes.
    pub(crate) fn expand(self, key: &[u8]) -> Box<dyn BlockCipher> {
        match self.0 {
            Code::Portable => expand_by_size::<Aes128, Aes192, Aes256>(key),
            #[cfg(target_arch = "x86_64")]
            Code::AesNi(cpu) => Box::new(Locked::new(Aes::new(cpu, key))),
            #[cfg(target_arch = "x86_64")]
            Code::Vaes(cpu) => Box::new(Locked::new(Aes::new(cpu, key))),
            #[cfg(target_arch = "x86_64")]
            Code::Vaes512(cpu) => Box::new(Locked::new(Aes::new(cpu, key))),
        }
    }

    /// AES-XTS with two keys of the same of these sizes.
    pub(crate) fn expand_xts(self, data_key: &[u8], tweak_key: &[u8]) -> Box<dyn XtsKernel> {
        match self.0 {
            Code::Portable => expand_xts_by_size::<Aes128, Aes192, Aes256>(data_key, tweak_key),
            #[cfg(target_arch = "x86_64")]
            Code::AesNi(cpu) => Box::new(Locked::new(AesXts::new(cpu, data_key, tweak_key))),
            #[cfg(target_arch = "x86_64")]
            Code::Vaes(cpu) => Box::new(Locked::new(AesXts::new(cpu, data_key, tweak_key))),
            #[cfg(target_arch = "x86_64")]
            Code::Vaes512(cpu) => Box::new(Locked::new(AesXts::new(cpu, data_key, tweak_key))),
        }
    }
}

impl fmt::Debug for AesKernel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
