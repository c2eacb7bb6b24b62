//! A whole session of an NBD client.

#![no_main]

use luksmith_fuzz::{bounded, targets};

#[global_allocator]
static ALLOCATOR: bounded::Bounded = bounded::Bounded;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bounded::run(targets::nbd_session, data));
