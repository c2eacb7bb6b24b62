//! ring, which cargo builds.

use std::num::NonZero;

use ring::pbkdf2::{PBKDF2_HMAC_SHA1, PBKDF2_HMAC_SHA256, PBKDF2_HMAC_SHA512, derive};

use super::{Derivation, PASSPHRASE, Pbkdf2Hash, Pbkdf2Work, SALT};

pub fn pbkdf2(work: Pbkdf2Work) -> Result<Derivation, String> {
    let algorithm = match work.hash {
        Pbkdf2Hash::Sha1 => PBKDF2_HMAC_SHA1,
        Pbkdf2Hash::Sha256 => PBKDF2_HMAC_SHA256,
        Pbkdf2Hash::Sha512 => PBKDF2_HMAC_SHA512,
    };
    let iterations = NonZero::new(work.iterations).ok_or("no iterations")?;
    Ok(Box::new(move |key| {
        derive(algorithm, iterations, &SALT, PASSPHRASE, key);
    }))
}
