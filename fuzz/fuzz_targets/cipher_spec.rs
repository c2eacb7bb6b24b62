//! Cipher specifications: any text is parsed or refused, and what was parsed prints as itself.

#![no_main]

use luksmith_fuzz::{bounded, targets};

#[global_allocator]
static ALLOCATOR: bounded::Bounded = bounded::Bounded;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bounded::run(targets::cipher_spec, data));
