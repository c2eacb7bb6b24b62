//! Digests (LUKS2 specification 3.4).

use dmcrypt::HashAlgorithm;

use super::json::Object;
use crate::error::{Corrupt, MemberProblem, Unsupported};

/// A digest object: tells whether a key is the right one.
#[derive(Clone, Debug)]
pub struct Digest {
    /// Its number.
    pub id: u32,
    /// Keyslots that store the key.
    pub keyslots: Vec<u32>,
    /// Segments that the key opens; none for an unbound key.
    pub segments: Vec<u32>,
    /// Salt of the PBKDF2.
    pub salt: Vec<u8>,
    /// What PBKDF2 of the key must give.
    pub digest: Vec<u8>,
    /// Hash and iterations; an unknown type is not an error until the digest is used.
    pub pbkdf2: Result<(HashAlgorithm, u32), Unsupported>,
}

impl Digest {
    pub(super) fn parse(
        id: u32,
        object: &Object<'_>,
        keyslot_exists: impl Fn(u32) -> bool,
        segment_exists: impl Fn(u32) -> bool,
    ) -> Result<Self, Corrupt> {
        let kind = object.text("type")?;
        let keyslots = object.references("keyslots", keyslot_exists)?;
        let segments = object.references("segments", segment_exists)?;
        let salt = object.base64("salt")?;
        let digest = object.base64("digest")?;
        let pbkdf2 = if kind == "pbkdf2" {
            let hash = object.text("hash")?;
            let iterations = object.u32("iterations")?;
            if iterations == 0 {
                return Err(object.problem("iterations", MemberProblem::Value("0".into())));
            }
            HashAlgorithm::parse(hash)
                .map(|hash| (hash, iterations))
                .map_err(|source| Unsupported::Cipher {
                    object: format!("digest {id}"),
                    source,
                })
        } else {
            Err(Unsupported::Type {
                object: format!("digest {id}"),
                kind: kind.into(),
            })
        };
        Ok(Self {
            id,
            keyslots,
            segments,
            salt,
            digest,
            pbkdf2,
        })
    }
}
