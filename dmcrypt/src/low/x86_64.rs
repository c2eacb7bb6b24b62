//! AES by the instructions of x86-64, in vectors of one, two or four blocks, and rounds of HMAC-SHA-256.
//!
//! | module | what |
//! | --- | --- |
//! | [`cpu`] | tokens: proof that the processor has the instructions |
//! | [`schedule`] | round keys |
//! | `text` | the assembly, which is the same for every width |
//! | [`width`] | the kernels, from that text |
//! | `bytes` | bytes of many blocks, for ciphers that substitute bytes |
//! | `lanes` | words of many blocks, for ciphers that are made of operations on words |
//! | [`sha`] | HMAC-SHA-256 |
//! | [`aes`] | [`BlockCipher`](crate::kernels::block::BlockCipher) and [`XtsKernel`](crate::kernels::xts::XtsKernel), in safe code |

pub(crate) mod aes;
mod bytes;
pub(crate) mod cpu;
mod lanes;
mod schedule;
pub(crate) mod sha;
mod text;
pub(crate) mod width;
