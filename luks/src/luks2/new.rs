//! New objects of the JSON metadata, their members in the order in which cryptsetup writes them.

use serde_json::{Value, json};

use super::json::to_base64;
use super::{BinaryHeader, Metadata};
use crate::defaults::STRIPES;
use crate::error::Corrupt;
use crate::kdf::KdfParams;
use crate::number::to_u64;

/// A keyslot of type `luks2`.
#[derive(Debug)]
pub(crate) struct NewKeyslot<'a> {
    /// Bytes of the key that it stores.
    pub(crate) key_bytes: usize,
    pub(crate) area_offset: u64,
    pub(crate) area_bytes: u64,
    pub(crate) area_cipher: &'a str,
    pub(crate) area_key_bytes: usize,
    /// Hash of the anti-forensic splitter.
    pub(crate) hash: &'a str,
    pub(crate) kdf: &'a KdfParams,
    pub(crate) kdf_salt: &'a [u8],
}

impl NewKeyslot<'_> {
    pub(crate) fn to_json(&self) -> Value {
        let salt = to_base64(self.kdf_salt);
        let kdf = match self.kdf {
            KdfParams::Pbkdf2 { hash, iterations } => {
                json!({"type": "pbkdf2", "hash": hash.name(), "iterations": iterations, "salt": salt})
            }
            KdfParams::Argon2 {
                time,
                memory_kib,
                lanes,
                ..
            } => {
                json!({"type": self.kdf.name(), "time": time, "memory": memory_kib, "cpus": lanes, "salt": salt})
            }
        };
        json!({
            "type": "luks2",
            "key_size": self.key_bytes,
            "af": {"type": "luks1", "stripes": STRIPES, "hash": self.hash},
            "area": {
                "type": "raw",
                "offset": self.area_offset.to_string(),
                "size": self.area_bytes.to_string(),
                "encryption": self.area_cipher,
                "key_size": self.area_key_bytes,
            },
            "kdf": kdf,
        })
    }
}

/// A digest of type `pbkdf2`.
#[derive(Debug)]
pub(crate) struct NewDigest<'a> {
    pub(crate) keyslot: u32,
    /// `None` for an unbound key.
    pub(crate) segment: Option<u32>,
    pub(crate) hash: &'a str,
    pub(crate) iterations: u32,
    pub(crate) salt: &'a [u8],
    pub(crate) digest: &'a [u8],
}

impl NewDigest<'_> {
    pub(crate) fn to_json(&self) -> Value {
        let segments: Vec<_> = self.segment.iter().map(u32::to_string).collect();
        json!({
            "type": "pbkdf2",
            "keyslots": [self.keyslot.to_string()],
            "segments": segments,
            "hash": self.hash,
            "iterations": self.iterations,
            "salt": to_base64(self.salt),
            "digest": to_base64(self.digest),
        })
    }
}

/// What a new header with one keyslot, one digest and one segment says.
#[derive(Debug)]
pub(crate) struct NewMetadata<'a> {
    pub(crate) header_bytes: u64,
    pub(crate) keyslots_bytes: u64,
    pub(crate) keyslot: NewKeyslot<'a>,
    pub(crate) digest: NewDigest<'a>,
    pub(crate) data_offset: u64,
    pub(crate) cipher: &'a str,
    pub(crate) sector_size: u32,
}

impl NewMetadata<'_> {
    /// The metadata, held to every rule that reading holds others to.
    pub(crate) fn build(&self) -> Result<Metadata, Corrupt> {
        let json_bytes = self
            .header_bytes
            .saturating_sub(to_u64(BinaryHeader::BYTES));
        let root = json!({
            "keyslots": { self.digest.keyslot.to_string(): self.keyslot.to_json() },
            "tokens": {},
            "segments": {"0": {
                "type": "crypt",
                "offset": self.data_offset.to_string(),
                "size": "dynamic",
                "iv_tweak": "0",
                "encryption": self.cipher,
                "sector_size": self.sector_size,
            }},
            "digests": {"0": self.digest.to_json()},
            "config": {
                "json_size": json_bytes.to_string(),
                "keyslots_size": self.keyslots_bytes.to_string(),
            },
        });
        let Value::Object(raw) = root else {
            unreachable!("the macro above builds an object")
        };
        Metadata::from_raw(raw, self.header_bytes)
    }
}
