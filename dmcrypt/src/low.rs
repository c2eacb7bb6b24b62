//! The room of `unsafe`: instructions that the compiler cannot be asked for in safe code, and memory for secrets.
//!
//! Three things are unsafe here, and each has one reason why it is sound. Memory that is mapped by hand belongs to one
//! value, which is as long as the mapping and unmaps it when nobody refers to it ([`pages`]). A function that is compiled for
//! instructions which not every processor has runs only when the caller holds a token of [`x86_64::cpu`], which exists
//! only where the processor said that it has them. A block of assembly reads and writes memory only through pointers of
//! slices whose lengths its caller has just checked, uses no stack, and is compared with the portable code over random
//! input.
#![expect(
    unsafe_code,
    reason = "vector instructions and mapped pages, each block with why it is sound"
)]

pub(crate) mod pages;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86_64;
