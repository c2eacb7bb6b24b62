//! Lines of tables of dm-crypt: any bytes are taken apart or refused, and what was taken apart is put together.

#![no_main]

use luksmith_fuzz::{bounded, targets};

#[global_allocator]
static ALLOCATOR: bounded::Bounded = bounded::Bounded;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bounded::run(targets::table_line, data));
