//! ring, which cargo builds.

use std::num::NonZero;

use dmcrypt::HashAlgorithm;
use ring::pbkdf2::{PBKDF2_HMAC_SHA1, PBKDF2_HMAC_SHA256, PBKDF2_HMAC_SHA512, derive};

use super::{Derivation, PASSPHRASE, Pbkdf2Work, SALT};

pub fn pbkdf2(work: Pbkdf2Work) -> Result<Derivation, String> {
    let algorithm = match work.hash {
        HashAlgorithm::Sha1 => PBKDF2_HMAC_SHA1,
        HashAlgorithm::Sha256 => PBKDF2_HMAC_SHA256,
        HashAlgorithm::Sha512 => PBKDF2_HMAC_SHA512,
        other => return Err(format!("{} is not compared", other.name())),
    };
    let iterations = NonZero::new(work.iterations).ok_or("no iterations")?;
    Ok(Box::new(move |key| {
        derive(algorithm, iterations, &SALT, PASSPHRASE, key);
    }))
}
