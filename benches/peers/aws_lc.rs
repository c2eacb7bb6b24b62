//! aws-lc, which cargo builds.
#![expect(unsafe_code, reason = "functions of C libraries")]

use std::mem::transmute;

use aws_lc_sys::{
    EVP_CIPHER_CTX_new, EVP_CIPHER_CTX_set_padding, EVP_CipherInit_ex, EVP_CipherUpdate,
    EVP_aes_128_cbc, EVP_aes_192_cbc, EVP_aes_256_cbc, EVP_aes_256_xts, EVP_sha1, EVP_sha256,
    EVP_sha512, PKCS5_PBKDF2_HMAC,
};

use super::evp::{Cipher, Evp, Init, New, SetPadding, Update};
use super::{CipherWork, Derivation, Mode, PASSPHRASE, Pass, Pbkdf2Hash, Pbkdf2Work, SALT};

pub fn cipher(work: CipherWork<'_>) -> Result<Pass, String> {
    let cipher = match (work.mode, work.aes_bits()) {
        (Mode::Xts, 256) => EVP_aes_256_xts,
        (Mode::Cbc, 128) => EVP_aes_128_cbc,
        (Mode::Cbc, 192) => EVP_aes_192_cbc,
        (Mode::Cbc, 256) => EVP_aes_256_cbc,
        _ => return Err(work.lacks("aws-lc")),
    };
    // SAFETY: the types differ in what their pointers point to only; the cipher is one for the key's size.
    unsafe {
        let evp = Evp {
            new: transmute::<*const (), New>(EVP_CIPHER_CTX_new as *const ()),
            init: transmute::<*const (), Init>(EVP_CipherInit_ex as *const ()),
            set_padding: transmute::<*const (), SetPadding>(
                EVP_CIPHER_CTX_set_padding as *const (),
            ),
            update: transmute::<*const (), Update>(EVP_CipherUpdate as *const ()),
        };
        Ok(evp.pass(transmute::<*const (), Cipher>(cipher as *const ()), work))
    }
}

pub fn pbkdf2(work: Pbkdf2Work) -> Derivation {
    let digest = match work.hash {
        Pbkdf2Hash::Sha1 => EVP_sha1,
        Pbkdf2Hash::Sha256 => EVP_sha256,
        Pbkdf2Hash::Sha512 => EVP_sha512,
    };
    Box::new(move |key| {
        // SAFETY: pointers and lengths belong together.
        let done = unsafe {
            PKCS5_PBKDF2_HMAC(
                PASSPHRASE.as_ptr().cast(),
                PASSPHRASE.len(),
                SALT.as_ptr(),
                SALT.len(),
                work.iterations,
                digest(),
                key.len(),
                key.as_mut_ptr(),
            )
        };
        assert_eq!(done, 1);
    })
}
