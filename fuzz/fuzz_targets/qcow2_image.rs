//! Any bytes as an image of QEMU.

#![no_main]

use luksmith_fuzz::{bounded, targets};

#[global_allocator]
static ALLOCATOR: bounded::Bounded = bounded::Bounded;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bounded::run(targets::qcow2_image, data));
