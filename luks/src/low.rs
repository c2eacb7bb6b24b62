//! The room of `unsafe`: memory in large pages, and instructions that not every processor has.
//!
//! Two things are unsafe here, and each has one reason why it is sound. A mapping is owned by one value, which alone makes
//! slices of it, as long as it is there. A function that is compiled for instructions which not every processor has runs
//! only where the processor said that it has them; it reads and writes whole blocks through references to them.
#![expect(
    unsafe_code,
    reason = "mappings and vector instructions, each block with why it is sound"
)]

pub(crate) mod mixing;
pub(crate) mod pages;
