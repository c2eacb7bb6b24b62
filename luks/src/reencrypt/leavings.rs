//! What is left of a reencryption when its final header is written, until it is wiped: old keyslots, the area that
//! protected the zones, plaintext that was put aside, the end of a file that is longer than its volume. A token says it,
//! which others keep and do not know, and a digest of it with the volume key: what is wiped, or cut off, is no stranger's
//! choice.

use dmcrypt::{HashAlgorithm, VolumeKey};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::defaults::{PBKDF2_MIN_ITERATIONS, SALT_BYTES};
use crate::error::{Error, ReencryptionObstacle};
use crate::kdf::{self, Effort, KdfParams};
use crate::keyslots::{free_number, insert, take_out};
use crate::luks2::{Area, Metadata, Token, to_base64};
use crate::number::to_u64;
use crate::random::Random;

/// The type of the token.
pub const WIPE: &str = "luksmith-wipe";
/// The type of the token of an image that is being encrypted, header and all, in its own place.
pub const ENCRYPT_IN_PLACE: &str = "luksmith-encrypt-in-place";
/// The type of the token of an image that is being decrypted in its own place.
pub const DECRYPT_IN_PLACE: &str = "luksmith-decrypt-in-place";

/// What is still to be wiped.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Leavings {
    /// Keyslots of a key that opens nothing any more.
    pub keyslots: Vec<u32>,
    /// Areas in the header's storage that no keyslot has any more.
    pub areas: Vec<Area>,
    /// Bytes of the data's storage.
    pub tail: Option<Tail>,
}

/// What is no data any more of the data's storage: its end, or what lies before data that has moved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tail {
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub bytes: u64,
    /// Whether plaintext lies there.
    pub is_plaintext: bool,
    /// Whether a file ends where it begins when all is done.
    pub is_cut: bool,
}

impl Leavings {
    /// What the header says, with the number of its token; `None` where nothing is left.
    pub fn of(metadata: &Metadata) -> Option<(u32, Self)> {
        let token = metadata.tokens.iter().find(|token| token.kind == WIPE)?;
        let object = token_object(metadata, token)?;
        let areas = object.get("areas").and_then(Value::as_array);
        let area = |area: &Value| {
            Some(Area {
                offset: number(area, "offset")?,
                size: number(area, "size")?,
            })
        };
        let tail = object.get("tail").and_then(|tail| {
            Some(Tail {
                offset: number(tail, "offset")?,
                bytes: number(tail, "size")?,
                is_plaintext: flag(tail, "plaintext"),
                is_cut: flag(tail, "cut"),
            })
        });
        let leavings = Self {
            keyslots: token.keyslots.clone(),
            areas: areas.into_iter().flatten().filter_map(area).collect(),
            tail,
        };
        Some((token.id, leavings))
    }

    /// Whether a holder of the key has written it.
    pub(super) fn check(
        &self,
        metadata: &Metadata,
        token: u32,
        key: &VolumeKey,
    ) -> Result<(), Error> {
        let forged = || {
            Error::from(crate::error::InvalidOption::from(
                ReencryptionObstacle::Leavings,
            ))
        };
        let tokens = metadata.raw().get("tokens");
        let object = tokens.and_then(|tokens| tokens.get(token.to_string()));
        let member = |name: &str| object.and_then(|object| object.get(name)?.as_str());
        let (Some(salt), Some(digest)) = (member("salt"), member("digest")) else {
            return Err(forged());
        };
        let computed = self.digest(key, salt.as_bytes())?;
        let is_right =
            VolumeKey::from_bytes(Zeroizing::new(to_base64(computed.expose()).into_bytes())).ct_eq(
                &VolumeKey::from_bytes(Zeroizing::new(digest.as_bytes().to_vec())),
            );
        // Areas of keyslots that stay are nobody's to be wiped.
        let range = metadata.keyslots_area();
        let is_free = |area: &Area| {
            area.offset >= range.start
                && area.end() <= range.end
                && metadata
                    .keyslots
                    .iter()
                    .all(|slot| slot.area.end() <= area.offset || area.end() <= slot.area.offset)
        };
        if is_right && self.areas.iter().all(is_free) {
            Ok(())
        } else {
            Err(forged())
        }
    }

    /// Says it in the metadata; nothing where nothing is left.
    pub(super) fn write(
        &self,
        json: &mut Map<String, Value>,
        key: &VolumeKey,
        random: &mut dyn Random,
    ) -> Result<(), Error> {
        if *self == Self::default() {
            return Ok(());
        }
        let mut salt = [0; SALT_BYTES];
        random.fill(&mut salt)?;
        let salt = to_base64(&salt);
        let digest = self.digest(key, salt.as_bytes())?;
        let keyslots: Vec<_> = self.keyslots.iter().map(u32::to_string).collect();
        let area =
            |area: &Area| json!({"offset": area.offset.to_string(), "size": area.size.to_string()});
        let mut object = json!({
            "type": WIPE,
            "keyslots": keyslots,
            "areas": self.areas.iter().map(area).collect::<Vec<_>>(),
            "salt": salt,
            "digest": to_base64(digest.expose()),
        });
        if let Some(tail) = self.tail {
            object["tail"] = json!({
                "offset": tail.offset.to_string(),
                "size": tail.bytes.to_string(),
                "plaintext": tail.is_plaintext,
                "cut": tail.is_cut,
            });
        }
        let tokens = json.get("tokens").and_then(Value::as_object);
        let taken = tokens.into_iter().flat_map(Map::keys);
        let number = free_number(taken.filter_map(|name| name.parse().ok()));
        insert(json, "tokens", number, object);
        Ok(())
    }

    /// The metadata without it.
    pub(super) fn forget(&self, json: &mut Map<String, Value>, token: u32) {
        for keyslot in &self.keyslots {
            take_out(json, *keyslot);
        }
        if let Some(Value::Object(tokens)) = json.get_mut("tokens") {
            tokens.shift_remove(&token.to_string());
        }
    }

    /// Of all that is said here; salted and slow enough for a key that nobody guesses.
    fn digest(&self, key: &VolumeKey, salt: &[u8]) -> Result<dmcrypt::DerivedKey, Error> {
        let mut message = Zeroizing::new(WIPE.as_bytes().to_vec());
        message.extend_from_slice(key.expose());
        let mut number = |number: u64| message.extend_from_slice(&number.to_be_bytes());
        number(to_u64(self.keyslots.len()));
        self.keyslots.iter().for_each(|id| number(u64::from(*id)));
        number(to_u64(self.areas.len()));
        for area in &self.areas {
            number(area.offset);
            number(area.size);
        }
        if let Some(tail) = self.tail {
            number(tail.offset);
            number(tail.bytes);
            number(u64::from(tail.is_plaintext));
            number(u64::from(tail.is_cut));
        }
        let cost = KdfParams::Pbkdf2 {
            hash: HashAlgorithm::Sha256,
            iterations: PBKDF2_MIN_ITERATIONS,
        };
        let effort = Effort {
            threads: 1,
            cancel: &|| false,
        };
        let bytes = HashAlgorithm::Sha256.digest_bytes();
        kdf::derive(&cost, &message, salt, bytes, effort).map_err(Error::kdf(0))
    }
}

/// Whether a file is cut when all is done, by the token of a job in place.
pub(super) fn is_to_be_cut(metadata: &Metadata) -> bool {
    let in_place = [ENCRYPT_IN_PLACE, DECRYPT_IN_PLACE];
    let mut tokens = metadata.tokens.iter();
    let token = tokens.find(|token| in_place.contains(&token.kind.as_str()));
    token
        .and_then(|token| token_object(metadata, token))
        .is_some_and(|object| flag(object, "cut"))
}

/// Says that a job in place is under way, and whether a file is cut at its end.
pub(super) fn write_in_place(json: &mut Map<String, Value>, kind: &str, is_cut: bool) {
    forget_in_place(json);
    let tokens = json.get("tokens").and_then(Value::as_object);
    let taken = tokens.into_iter().flat_map(Map::keys);
    let number = free_number(taken.filter_map(|name| name.parse().ok()));
    let object = json!({"type": kind, "keyslots": [], "cut": is_cut});
    insert(json, "tokens", number, object);
}

/// The metadata without the token of a job in place.
pub(super) fn forget_in_place(json: &mut Map<String, Value>) {
    if let Some(Value::Object(tokens)) = json.get_mut("tokens") {
        tokens.retain(|_, token| {
            let kind = token.get("type").and_then(Value::as_str);
            !kind.is_some_and(|kind| kind == ENCRYPT_IN_PLACE || kind == DECRYPT_IN_PLACE)
        });
    }
}

fn token_object<'a>(metadata: &'a Metadata, token: &Token) -> Option<&'a Value> {
    metadata.raw().get("tokens")?.get(token.id.to_string())
}

fn number(object: &Value, name: &str) -> Option<u64> {
    object.get(name)?.as_str()?.parse().ok()
}

fn flag(object: &Value, name: &str) -> bool {
    object.get(name).and_then(Value::as_bool).unwrap_or(false)
}
