//! OpenSSL 3.
#![expect(unsafe_code, reason = "functions of C libraries")]

use std::ffi::{CStr, c_char, c_int, c_void};

use super::dynamic::Library;
use super::evp::{Cipher, Evp};
use super::{CipherWork, Derivation, Mode, PASSPHRASE, Pass, Pbkdf2Hash, Pbkdf2Work, SALT};

fn library() -> Result<Library, String> {
    Library::open(c"libcrypto.so.3", "libssl3")
}

pub fn cipher(work: CipherWork<'_>) -> Result<Pass, String> {
    let name: &CStr = match (work.mode, work.aes_bits()) {
        (Mode::Xts, 128) => c"EVP_aes_128_xts",
        (Mode::Xts, 256) => c"EVP_aes_256_xts",
        (Mode::Cbc, 128) => c"EVP_aes_128_cbc",
        (Mode::Cbc, 192) => c"EVP_aes_192_cbc",
        (Mode::Cbc, 256) => c"EVP_aes_256_cbc",
        _ => return Err(work.lacks("OpenSSL")),
    };
    let library = library()?;
    // SAFETY: the types are those of openssl/evp.h, the cipher is one for the key's size.
    unsafe {
        let evp = Evp {
            new: library.function(c"EVP_CIPHER_CTX_new")?,
            init: library.function(c"EVP_CipherInit_ex")?,
            set_padding: library.function(c"EVP_CIPHER_CTX_set_padding")?,
            update: library.function(c"EVP_CipherUpdate")?,
        };
        Ok(evp.pass(library.function::<Cipher>(name)?, work))
    }
}

/// `PKCS5_PBKDF2_HMAC`: passphrase, salt, iterations, digest, key.
type Pbkdf2 = unsafe extern "C" fn(
    *const c_char,
    c_int,
    *const u8,
    c_int,
    c_int,
    *const c_void,
    c_int,
    *mut u8,
) -> c_int;

pub fn pbkdf2(work: Pbkdf2Work) -> Result<Derivation, String> {
    let digest = match work.hash {
        Pbkdf2Hash::Sha1 => c"EVP_sha1",
        Pbkdf2Hash::Sha256 => c"EVP_sha256",
        Pbkdf2Hash::Sha512 => c"EVP_sha512",
    };
    let length = |bytes: usize| c_int::try_from(bytes).expect("keys are short");
    let library = library()?;
    // SAFETY: the types are those of openssl/evp.h.
    let (derive, digest) = unsafe {
        let digest = library.function::<unsafe extern "C" fn() -> *const c_void>(digest)?;
        (
            library.function::<Pbkdf2>(c"PKCS5_PBKDF2_HMAC")?,
            digest() as usize,
        )
    };
    let iterations = c_int::try_from(work.iterations).expect("few iterations");
    Ok(Box::new(move |key| {
        // SAFETY: pointers and lengths belong together; the digest is one of the library's constants.
        let done = unsafe {
            derive(
                PASSPHRASE.as_ptr().cast(),
                length(PASSPHRASE.len()),
                SALT.as_ptr(),
                length(SALT.len()),
                iterations,
                digest as *const c_void,
                length(key.len()),
                key.as_mut_ptr(),
            )
        };
        assert_eq!(done, 1);
    }))
}
