//! Measurements of luksmith beside others, in one run: `cargo bench -p luksmith-benches`, or `cargo xtask bench`, which
//! makes a table and a page of them.
//!
//! | module | what |
//! | --- | --- |
//! | [`harness`] | contestants in turns (A B A B), medians, and which samples the core was left alone in |
//! | [`machine`] | what it ran on; a thread on one core |
//! | [`subjects`] | one file for each subject: its charts |
//! | [`peers`] | other implementations, those in C behind the feature `peers` |
//! | [`random`] | numbers that look random |
//! | [`bounds`] | what no cipher can pass: AES instructions and nothing else |

pub mod bounds;
pub mod harness;
pub mod machine;
pub mod peers;
pub mod random;
pub mod subjects;

/// A length that lies in memory.
pub fn usize_of(bytes: u64) -> usize {
    usize::try_from(bytes).expect("it fits into memory")
}

/// Bytes that are all different enough: no key with equal halves, no data of zeros.
pub fn test_bytes(count: usize) -> Vec<u8> {
    (0..count)
        .map(|at| (at * 167 + at / 256).to_le_bytes()[0])
        .collect()
}
