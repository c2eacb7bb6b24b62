//! Headers that were changed at random, judged by libcryptsetup and by us (those of LUKS1 by qemu-img too, the data of
//! LUKS2 by the kernel): who accepts what the other refuses does so by a written list, and what both accept says the same
//! to both.
//!
//! `cargo xtask campaign differential --count N --seed S` judges many, `--only N` one, and says all about it.

mod bases;
mod case;
mod choices;
mod compare;
mod expected;
mod json;
mod json_edits;
mod kernel;
mod luks1;
mod luks2;
mod ours;
mod qemu;
mod reference;
mod run;
mod text_edits;

/// How many headers, from which seed, and which of them alone: `COUNT SEED [ONLY]`.
const VARIABLE: &str = "LUKSMITH_DIFFERENTIAL";
const SHARE_OF_EACH_RUN: &str = "5000 1";
/// qemu-img is a process for each header: it judges one in so many, and a few in any case.
const QEMU_ONCE_IN: u64 = 250;
const QEMU_LEAST: u64 = 100;
/// The kernel starts several processes for each header.
const KERNEL_ONCE_IN: u64 = 2500;
const KERNEL_LEAST: u64 = 20;

#[test]
fn verdicts_and_fields() {
    match numbers()[..] {
        [count, seed] => run::many(count, seed),
        [_, seed, only] => run::one(seed, only),
        _ => panic!("{VARIABLE} is not COUNT SEED [ONLY]"),
    }
}

#[test]
fn luks1_by_qemu() {
    let [count, seed, ..] = numbers()[..] else {
        panic!("{VARIABLE} is not COUNT SEED [ONLY]")
    };
    qemu::many((count / QEMU_ONCE_IN).max(QEMU_LEAST), seed);
}

#[test]
fn luks2_by_the_kernel() {
    let [count, seed, ..] = numbers()[..] else {
        panic!("{VARIABLE} is not COUNT SEED [ONLY]")
    };
    let count = (count / KERNEL_ONCE_IN).max(KERNEL_LEAST);
    kernel::many(count.try_into().expect("it is small"), seed);
}

fn numbers() -> Vec<u64> {
    let value = std::env::var(VARIABLE).unwrap_or_else(|_| SHARE_OF_EACH_RUN.into());
    let words = value.split_whitespace();
    words.map(|word| word.parse().expect("a number")).collect()
}
