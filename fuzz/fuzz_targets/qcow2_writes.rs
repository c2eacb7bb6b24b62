//! Disks in images of QEMU, written in their place beside a model.

#![no_main]

use luksmith_fuzz::{bounded, targets};

#[global_allocator]
static ALLOCATOR: bounded::Bounded = bounded::Bounded;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bounded::run(targets::qcow2_writes, data));
