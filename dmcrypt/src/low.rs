//! The room of `unsafe`: instructions that the compiler cannot be asked for in safe code.
//!
//! Two things are unsafe here, and both have one reason each why they are sound. A function that is compiled for
//! instructions which not every processor has runs only when the caller holds a token of [`x86_64::cpu`], which exists
//! only where the processor said that it has them. A block of assembly reads and writes memory only through pointers of
//! slices whose lengths its caller has just checked, uses no stack, and is compared with the portable code over random
//! input.
#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "vector instructions, each block with why it is sound"
    )
)]

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86_64;
