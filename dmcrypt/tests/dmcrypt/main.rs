//! What the crate computes, against other implementations and standards.

/// Every kernel of AES against the portable code.
mod aes_kernels;
mod common;
/// Vectors that others published, from the folder that `LUKSMITH_CONFORMANCE` names.
mod conformance;
/// The project's own golden sectors, made by a Linux kernel.
mod kernel;
/// Random inputs, against the crates `xts-mode` and `cbc`.
mod oracles;
/// Spellings of specifications.
mod spec;
/// Figures printed in the standards themselves.
mod standards;
