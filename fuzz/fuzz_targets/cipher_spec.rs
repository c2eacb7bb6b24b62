//! Cipher specifications: any text is parsed or refused, and what was parsed prints as itself.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| luksmith_fuzz::cipher_spec(data));
