//! libargon2, the reference implementation, which Debian's cryptsetup uses.
#![expect(unsafe_code, reason = "functions of C libraries")]

use std::ffi::c_int;

use super::dynamic::Library;
use super::{Argon2Work, Derivation, PASSPHRASE, SALT};

/// Passes, KiB, lanes, passphrase, salt, key.
type Hash = unsafe extern "C" fn(
    u32,
    u32,
    u32,
    *const u8,
    usize,
    *const u8,
    usize,
    *mut u8,
    usize,
) -> c_int;

pub fn argon2id(work: Argon2Work) -> Result<Derivation, String> {
    let library = Library::open(c"libargon2.so.1", "libargon2-1")?;
    // SAFETY: argon2.h's type.
    let hash: Hash = unsafe { library.function(c"argon2id_hash_raw")? };
    Ok(Box::new(move |key| {
        // SAFETY: pointers and lengths belong together.
        let failed = unsafe {
            hash(
                work.time,
                work.memory_kib,
                work.lanes,
                PASSPHRASE.as_ptr(),
                PASSPHRASE.len(),
                SALT.as_ptr(),
                SALT.len(),
                key.as_mut_ptr(),
                key.len(),
            )
        };
        assert_eq!(failed, 0);
    }))
}
