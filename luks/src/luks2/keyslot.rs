//! Keyslots (LUKS2 specification 3.2).

use dmcrypt::{CipherSpec, HashAlgorithm};

use super::json::Object;
use super::{Area, ReencryptionSlot, reencryption};
use crate::area;
use crate::defaults::STRIPES;
use crate::error::{Corrupt, MemberProblem, Unsupported};
use crate::kdf::{Argon2Variant, KdfParams};
use crate::number::to_usize;

/// A keyslot object.
#[derive(Clone, Debug)]
pub struct Keyslot {
    /// Its number.
    pub id: u32,
    /// Bytes of the key that it stores.
    pub key_bytes: u32,
    /// Its bytes in the keyslots area.
    pub area: Area,
    /// When it is tried.
    pub priority: Priority,
    /// What kind it is.
    pub kind: KeyslotKind,
}

/// When a keyslot is tried.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Priority {
    /// Only when it is named.
    Ignore,
    /// In its turn.
    #[default]
    Normal,
    /// Before the others.
    Prefer,
}

/// The kinds of keyslots.
#[derive(Clone, Debug)]
pub enum KeyslotKind {
    /// A key under a passphrase.
    Luks2(Box<PassphraseSlot>),
    /// No key, but how a reencryption goes on.
    Reencrypt(Box<ReencryptionSlot>),
    /// Another kind, of a later version, kept as it came.
    Other {
        /// Its type.
        kind: String,
    },
}

impl KeyslotKind {
    /// As the metadata name it.
    pub fn name(&self) -> &str {
        match self {
            Self::Luks2(_) => "luks2",
            Self::Reencrypt(_) => reencryption::KEYSLOT_TYPE,
            Self::Other { kind } => kind,
        }
    }
}

/// How a passphrase opens a keyslot of type `luks2`. Algorithms that are not known are no error until it is used.
#[derive(Clone, Debug)]
pub struct PassphraseSlot {
    /// Salt of the key derivation.
    pub salt: Vec<u8>,
    /// Key derivation.
    pub kdf: Result<KdfParams, Unsupported>,
    /// Hash of the anti-forensic splitter.
    pub af_hash: Result<HashAlgorithm, Unsupported>,
    /// Cipher of the area.
    pub cipher: AreaCipher,
}

/// The cipher of a keyslot's area.
#[derive(Clone, Debug)]
pub struct AreaCipher {
    /// The specification as written.
    pub text: String,
    /// What it means, where it is known.
    pub spec: Result<CipherSpec, Unsupported>,
    /// Bytes of the key that the key derivation must give.
    pub key_bytes: u32,
}

/// Largest key of any cipher, in bytes: more is no key but an attack on memory.
const MAX_KEY_BYTES: u32 = 4096;

impl Keyslot {
    pub(super) fn parse(id: u32, object: &Object<'_>) -> Result<Self, Corrupt> {
        let kind = object.text("type")?;
        let key_bytes = object.u32("key_size")?;
        if key_bytes == 0 || key_bytes > MAX_KEY_BYTES {
            return Err(object.problem(
                "key_size",
                MemberProblem::Value(key_bytes.to_string().into()),
            ));
        }
        let area_object = object.object("area")?;
        area_object.text("type")?;
        let area = Area::parse(id, &area_object)?;
        let priority = if object.has("priority") {
            match object.u32("priority")? {
                0 => Priority::Ignore,
                1 => Priority::Normal,
                2 => Priority::Prefer,
                other => {
                    return Err(
                        object.problem("priority", MemberProblem::Value(other.to_string().into()))
                    );
                }
            }
        } else {
            Priority::Normal
        };
        let kind = match kind {
            "luks2" => Self::parse_luks2(id, key_bytes, object, &area_object, area)?,
            other => {
                // Of type `luks2` it must hold key material.
                if area.size == 0 {
                    return Err(area_object.problem("size", MemberProblem::Value("0".into())));
                }
                if other == reencryption::KEYSLOT_TYPE {
                    let slot = ReencryptionSlot::parse(key_bytes, object, &area_object)?;
                    KeyslotKind::Reencrypt(Box::new(slot))
                } else {
                    KeyslotKind::Other { kind: other.into() }
                }
            }
        };
        Ok(Self {
            id,
            key_bytes,
            area,
            priority,
            kind,
        })
    }

    fn parse_luks2(
        id: u32,
        key_bytes: u32,
        object: &Object<'_>,
        area_object: &Object<'_>,
        area: Area,
    ) -> Result<KeyslotKind, Corrupt> {
        // "Only raw type is supported for the area field."
        area_object.one_of("type", &["raw"])?;
        let text = area_object.text("encryption")?;
        let cipher_key_bytes = area_object.u32("key_size")?;
        if cipher_key_bytes == 0 || cipher_key_bytes > MAX_KEY_BYTES {
            return Err(area_object.problem(
                "key_size",
                MemberProblem::Value(cipher_key_bytes.to_string().into()),
            ));
        }
        let af = object.object("af")?;
        af.one_of("type", &["luks1"])?;
        // "For historical reasons only the 4000 value is supported."
        let stripes = af.u32("stripes")?;
        if stripes != STRIPES {
            return Err(Corrupt::Stripes {
                keyslot: id,
                stripes,
            });
        }
        let af_hash = af.text("hash")?;
        let need = area::material_bytes(to_usize(key_bytes), STRIPES).unwrap_or(u64::MAX);
        if area.size < need {
            return Err(Corrupt::AreaTooSmall {
                keyslot: id,
                length: area.size,
                need,
            });
        }
        let (salt, kdf) = parse_kdf(id, &object.object("kdf")?)?;

        let unsupported = |source| Unsupported::Cipher {
            object: format!("keyslot {id}"),
            source,
        };
        Ok(KeyslotKind::Luks2(Box::new(PassphraseSlot {
            salt,
            kdf,
            af_hash: HashAlgorithm::parse(af_hash).map_err(unsupported),
            cipher: AreaCipher {
                text: text.into(),
                spec: text.parse().map_err(unsupported),
                key_bytes: cipher_key_bytes,
            },
        })))
    }
}

/// The key derivation (LUKS2 specification 3.2.5). Members of another type that are left over are ignored.
fn parse_kdf(
    keyslot: u32,
    kdf: &Object<'_>,
) -> Result<(Vec<u8>, Result<KdfParams, Unsupported>), Corrupt> {
    let salt = kdf.base64("salt")?;
    let object = format!("keyslot {keyslot}");
    let at_least_one = |name: &str| match kdf.u32(name)? {
        0 => Err(kdf.problem(name, MemberProblem::Value("0".into()))),
        value => Ok(value),
    };
    let argon2 = |variant| {
        let params = KdfParams::Argon2 {
            variant,
            time: at_least_one("time")?,
            memory_kib: at_least_one("memory")?,
            lanes: at_least_one("cpus")?,
        };
        Ok::<_, Corrupt>(Ok(params))
    };
    let params = match kdf.text("type")? {
        "pbkdf2" => {
            let iterations = at_least_one("iterations")?;
            HashAlgorithm::parse(kdf.text("hash")?)
                .map(|hash| KdfParams::Pbkdf2 { hash, iterations })
                .map_err(|source| Unsupported::Cipher { object, source })
        }
        "argon2i" => argon2(Argon2Variant::I)?,
        "argon2id" => argon2(Argon2Variant::Id)?,
        other => Err(Unsupported::Type {
            object: format!("{object}'s key derivation"),
            kind: other.into(),
        }),
    };
    Ok((salt, params))
}
