//! A server's key that signs again where a signature did not come out right.
//!
//! graviola 0.4.4 holds each signature of RSA against its public key before it gives it away, and about one in 300 is not
//! right (`BadSignature`): the client would only see that the connection ends. Another one has another salt.

use std::sync::Arc;

use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::sign::{Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};

/// How often a signature is tried. With one in 300 wrong, so many in a row are not seen.
const TRIES: usize = 8;

/// A key that is not satisfied with the first signature.
#[derive(Debug)]
pub(super) struct Persistent(pub(super) Arc<dyn SigningKey>);

impl SigningKey for Persistent {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let signer = self.0.choose_scheme(offered)?;
        Some(Box::new(Again(signer)))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        self.0.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm()
    }
}

#[derive(Debug)]
struct Again(Box<dyn Signer>);

impl Signer for Again {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let mut signed = self.0.sign(message);
        for _ in 1..TRIES {
            if signed.is_ok() {
                break;
            }
            signed = self.0.sign(message);
        }
        signed
    }

    fn scheme(&self) -> SignatureScheme {
        self.0.scheme()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Fails as often as it says.
    #[derive(Debug)]
    struct Failing(AtomicUsize);

    impl Signer for Failing {
        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
            let left = self.0.load(Ordering::Relaxed);
            self.0.store(left.saturating_sub(1), Ordering::Relaxed);
            if left == 0 {
                Ok(message.to_vec())
            } else {
                Err(Error::General("signing failed: BadSignature".to_owned()))
            }
        }

        fn scheme(&self) -> SignatureScheme {
            SignatureScheme::RSA_PSS_SHA256
        }
    }

    #[test]
    fn a_signature_that_fails_is_made_again() {
        for (failures, is_signed) in [(0, true), (1, true), (TRIES - 1, true), (TRIES, false)] {
            let signer = Again(Box::new(Failing(AtomicUsize::new(failures))));
            assert_eq!(signer.sign(b"message").is_ok(), is_signed, "{failures}");
        }
    }
}
