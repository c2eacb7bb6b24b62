//! The seal of a header: whether it is as somebody who had the volume key left it.
//!
//! LUKS authenticates no header. A seal is an HMAC over its bytes under a key that is derived from the volume key, so that
//! it can be checked once a passphrase has given that, and not before. It is kept in a token of the header itself (LUKS2),
//! or in a file beside it ([`FileSeal`]), which covers every byte before the data, keyslots too. `SEAL.md` beside this crate
//! says what is computed, to the byte.
//!
//! A [`Luks`](crate::Luks) checks it whenever a key fits; [`SealWanted`] says what is refused then. What whoever has the
//! volume key writes is sealed by him, and an older header of the same container with its own seal stays right: against
//! that there is [`SealWanted::min_epoch`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use dmcrypt::{LockedBytes, VolumeKey};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use crate::error::{Corrupt, SealProblem};
use crate::luks2::{self, BinaryHeader, Metadata, Which, to_base64};
use crate::random::{Random, RandomError};

/// The type of the token, and of the file.
pub const SEAL_TYPE: &str = "luksmith-seal";
/// The version that is made and checked here.
pub const SEAL_VERSION: u64 = 1;
/// Bytes of the random part of a salt.
const RANDOM_BYTES: usize = 16;
/// Bytes of a salt: the random part, and what tells the volume key.
const SALT_BYTES: usize = 32;
/// Bytes of an HMAC-SHA256.
const MAC_BYTES: usize = 32;
/// Characters of such a number in base64.
const TEXT_BYTES: usize = 44;

/// What a seal must be for a container to be unlocked.
#[derive(Clone, Copy, Debug, Default)]
pub struct SealWanted<'a> {
    /// The header must be sealed: by `file` where that is given, else by its token.
    pub required: bool,
    /// A seal that is kept in a file, which must fit.
    pub file: Option<&'a FileSeal>,
    /// The header must have been changed so often at least (LUKS2).
    pub min_epoch: Option<u64>,
}

/// A token that says that it is a seal. Nothing is checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SealToken {
    /// The token's number.
    pub token: u32,
    /// Its version, where it is a number.
    pub version: Option<u64>,
}

/// The tokens of a header that say that they are seals: one, where all is right.
pub fn tokens(metadata: &Metadata) -> Vec<SealToken> {
    let seals = metadata
        .tokens
        .iter()
        .filter(|token| token.kind == SEAL_TYPE);
    let version = |id: u32| member(metadata, id, "version")?.as_u64();
    seals
        .map(|token| SealToken {
            token: token.id,
            version: version(token.id),
        })
        .collect()
}

/// What seals are made with: a key that is derived from the volume key and a salt.
pub(crate) struct Sealer {
    salt: [u8; SALT_BYTES],
    /// What HKDF has extracted.
    extracted: LockedBytes,
}

impl Sealer {
    /// With a salt of its own.
    pub(crate) fn new(key: &VolumeKey, random: &mut dyn Random) -> Result<Self, RandomError> {
        let mut salt = [0; SALT_BYTES];
        random.fill(&mut salt[..RANDOM_BYTES])?;
        let sign = sign(key, &salt);
        salt[RANDOM_BYTES..].copy_from_slice(&sign);
        Ok(Self::with(key, salt))
    }

    /// That of a seal that was made before.
    ///
    /// # Errors
    ///
    /// [`SealProblem::OtherVolume`] when the salt says that it was made with another volume key.
    fn of(key: &VolumeKey, salt: [u8; SALT_BYTES]) -> Result<Self, SealProblem> {
        // What it is compared with is no secret: it stands in every seal.
        if salt[RANDOM_BYTES..] == sign(key, &salt) {
            Ok(Self::with(key, salt))
        } else {
            Err(SealProblem::OtherVolume)
        }
    }

    fn with(key: &VolumeKey, salt: [u8; SALT_BYTES]) -> Self {
        let (extracted, _) = Hkdf::<Sha256>::extract(Some(&salt), key.expose());
        Self {
            salt,
            extracted: LockedBytes::copy_of(&zeroize::Zeroizing::new(extracted)),
        }
    }

    /// The seal of a form for the container of this UUID, into which its bytes go.
    fn begin(&self, form: &str, uuid: &str) -> Hmac<Sha256> {
        let info = format!("{SEAL_TYPE}/{form}/{SEAL_VERSION}/{uuid}");
        let mut key = LockedBytes::zeroed(MAC_BYTES);
        Hkdf::<Sha256>::from_prk(&self.extracted)
            .expect("what was extracted is as long as a hash")
            .expand(info.as_bytes(), &mut key)
            .expect("HKDF gives many more bytes");
        Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes a key of any length")
    }

    /// The seal of a copy of a LUKS2 header, `at` being where the text of the seal itself stands in it.
    fn of_copy(&self, copy: &[u8], uuid: &str, at: usize) -> Hmac<Sha256> {
        let mut binary = copy[..BinaryHeader::BYTES].to_vec();
        BinaryHeader::blank_own(&mut binary);
        let text = json_text(copy);
        let mut mac = self.begin("token", uuid);
        mac.update(&binary);
        mac.update(&text[..at]);
        mac.update(&[0; TEXT_BYTES]);
        mac.update(&text[at.saturating_add(TEXT_BYTES)..]);
        mac
    }

    /// Seals a header that is to be written: its seal is put into the token `token`, whatever stood there.
    ///
    /// # Errors
    ///
    /// What breaks a rule of the format; [`RandomError`] as [`SealError::Random`].
    pub(crate) fn seal(
        &self,
        header: &luks2::Header,
        token: u32,
        random: &mut dyn Random,
    ) -> Result<luks2::Header, SealError> {
        let mut holder = [0; MAC_BYTES];
        random.fill(&mut holder)?;
        let holder = to_base64(&holder);
        let with = |mac: &str| {
            let mut json = header.metadata.raw().clone();
            put(&mut json, token, self.token(mac));
            header.with_json(json)
        };
        let draft = with(&holder)?;
        let copy = draft.to_bytes(Which::Primary, [0; BinaryHeader::SALT_BYTES])?;
        let at = find_once(json_text(&copy), holder.as_bytes())
            .expect("32 random bytes stand nowhere else");
        let mac = self.of_copy(&copy, &header.binary.uuid, at).finalize();
        Ok(with(&to_base64(&mac.into_bytes()))?)
    }

    fn token(&self, mac: &str) -> Value {
        json!({
            "type": SEAL_TYPE,
            "keyslots": [],
            "version": SEAL_VERSION,
            "salt": to_base64(&self.salt),
            "mac": mac,
        })
    }
}

/// Why a header could not be sealed.
pub(crate) enum SealError {
    Breaks(Corrupt),
    Random(RandomError),
}

impl From<Corrupt> for SealError {
    fn from(corrupt: Corrupt) -> Self {
        Self::Breaks(corrupt)
    }
}

impl From<RandomError> for SealError {
    fn from(error: RandomError) -> Self {
        Self::Random(error)
    }
}

/// What tells one volume key from another without telling it.
fn sign(key: &VolumeKey, salt: &[u8; SALT_BYTES]) -> [u8; SALT_BYTES - RANDOM_BYTES] {
    let mut sign = [0; SALT_BYTES - RANDOM_BYTES];
    Hkdf::<Sha256>::new(Some(&salt[..RANDOM_BYTES]), key.expose())
        .expand(
            format!("{SEAL_TYPE}/volume/{SEAL_VERSION}").as_bytes(),
            &mut sign,
        )
        .expect("HKDF gives many more bytes");
    sign
}

/// Checks the seal that stands in a header, in each of its `copies`: those that are sound, the one that counts first.
/// What seals it anew.
///
/// An older copy that is not sealed is what a crash leaves while a header is sealed for the first time. Nobody uses it
/// before the newer one is gone, and then it counts itself.
pub(crate) fn check_token(
    key: &VolumeKey,
    header: &luks2::Header,
    copies: &[Vec<u8>],
) -> Result<Sealer, SealProblem> {
    let Some((first, rest)) = copies.split_first() else {
        return Err(SealProblem::Missing);
    };
    let sealer = check_copy(key, header, first)?;
    for copy in rest {
        let which = [Which::Primary, Which::Secondary].into_iter();
        let mut parsed = which.filter_map(|which| {
            let at = match which {
                Which::Primary => 0,
                Which::Secondary => header.binary.header_bytes,
            };
            let binary = BinaryHeader::parse(which, at, copy).ok()?;
            luks2::Header::parse(binary, copy).ok()
        });
        let other = parsed.next().ok_or(SealProblem::Broken)?;
        match check_copy(key, &other, copy) {
            Err(SealProblem::Missing) if other.binary.epoch < header.binary.epoch => {}
            outcome => drop(outcome?),
        }
    }
    Ok(sealer)
}

fn check_copy(key: &VolumeKey, header: &luks2::Header, copy: &[u8]) -> Result<Sealer, SealProblem> {
    let metadata = &header.metadata;
    let token = match tokens(metadata)[..] {
        [] => return Err(SealProblem::Missing),
        [token] => token,
        _ => return Err(malformed("there is more than one")),
    };
    check_version(token.version)?;
    let text = |name: &str| member(metadata, token.token, name).and_then(Value::as_str);
    let (salt, mac) = read_members(text("salt"), text("mac"))?;
    let sealer = Sealer::of(key, salt)?;
    let text = text("mac").unwrap_or_default();
    let at = find_once(json_text(copy), text.as_bytes())
        .ok_or_else(|| malformed("its text does not stand in the header once"))?;
    sealer
        .of_copy(copy, &header.binary.uuid, at)
        .verify_slice(&mac)
        .map_err(|_| SealProblem::Broken)?;
    Ok(sealer)
}

fn check_version(version: Option<u64>) -> Result<(), SealProblem> {
    match version {
        Some(SEAL_VERSION) => Ok(()),
        Some(version) if version > SEAL_VERSION => Err(SealProblem::Newer {
            version,
            known: SEAL_VERSION,
        }),
        _ => Err(malformed("it has no version")),
    }
}

fn read_members(
    salt: Option<&str>,
    mac: Option<&str>,
) -> Result<([u8; SALT_BYTES], [u8; MAC_BYTES]), SealProblem> {
    let read = |text: Option<&str>| {
        let text = text.filter(|text| text.len() == TEXT_BYTES)?;
        <[u8; 32]>::try_from(BASE64.decode(text).ok()?).ok()
    };
    let salt = read(salt).ok_or_else(|| malformed("its salt is not 32 bytes in base64"))?;
    let mac = read(mac).ok_or_else(|| malformed("its MAC is not 32 bytes in base64"))?;
    Ok((salt, mac))
}

fn malformed(problem: &str) -> SealProblem {
    SealProblem::Malformed(problem.into())
}

fn member<'a>(metadata: &'a Metadata, token: u32, name: &str) -> Option<&'a Value> {
    let tokens = metadata.raw().get("tokens")?;
    tokens.get(token.to_string())?.get(name)
}

/// The JSON text of a copy, up to the NUL that ends it.
fn json_text(copy: &[u8]) -> &[u8] {
    let area = &copy[BinaryHeader::BYTES..];
    area.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Where the only `part` of `text` begins.
fn find_once(text: &[u8], part: &[u8]) -> Option<usize> {
    let mut windows = text.windows(part.len()).enumerate();
    let mut places = windows.by_ref().filter(|(_, window)| *window == part);
    let (first, _) = places.next()?;
    places.next().is_none().then_some(first)
}

fn put(json: &mut Map<String, Value>, token: u32, value: Value) {
    if let Some(Value::Object(tokens)) = json.get_mut("tokens") {
        tokens.insert(token.to_string(), value);
    }
}

/// Takes every token out that says that it is a seal; the numbers that they had.
pub(crate) fn take_out(json: &mut Map<String, Value>) -> Vec<u32> {
    let Some(Value::Object(tokens)) = json.get_mut("tokens") else {
        return Vec::new();
    };
    let seals = seals_in(tokens);
    for id in &seals {
        tokens.shift_remove(&id.to_string());
    }
    seals
}

/// The numbers of the tokens that say that they are seals.
pub(crate) fn numbers(json: &Map<String, Value>) -> Vec<u32> {
    match json.get("tokens") {
        Some(Value::Object(tokens)) => seals_in(tokens),
        _ => Vec::new(),
    }
}

fn seals_in(tokens: &Map<String, Value>) -> Vec<u32> {
    let is_seal = |token: &Value| token.get("type").and_then(Value::as_str) == Some(SEAL_TYPE);
    let seals = tokens.iter().filter(|(_, token)| is_seal(token));
    seals.filter_map(|(id, _)| id.parse().ok()).collect()
}

/// A seal that is kept in a file: over every byte before the data.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileSeal {
    uuid: String,
    bytes: u64,
    salt: [u8; SALT_BYTES],
    mac: [u8; MAC_BYTES],
}

impl FileSeal {
    /// The most that a file with a seal has, in bytes.
    pub const MAX_FILE_BYTES: u64 = 4096;

    /// Reads what [`Self::to_text`] has written.
    ///
    /// # Errors
    ///
    /// [`SealProblem::Newer`], [`SealProblem::Malformed`].
    pub fn parse(text: &[u8]) -> Result<Self, SealProblem> {
        let file: Value = serde_json::from_slice(text).map_err(|_| malformed("it is not JSON"))?;
        let text = |name: &str| file.get(name).and_then(Value::as_str);
        if text("type") != Some(SEAL_TYPE) {
            return Err(malformed("it is not of type \"luksmith-seal\""));
        }
        check_version(file.get("version").and_then(Value::as_u64))?;
        let (salt, mac) = read_members(text("salt"), text("mac"))?;
        Ok(Self {
            uuid: text("uuid")
                .ok_or_else(|| malformed("it has no UUID"))?
                .to_owned(),
            bytes: file
                .get("bytes")
                .and_then(Value::as_u64)
                .ok_or_else(|| malformed("it does not say how many bytes are sealed"))?,
            salt,
            mac,
        })
    }

    /// What goes into the file: JSON of one line.
    pub fn to_text(&self) -> String {
        let file = json!({
            "type": SEAL_TYPE,
            "version": SEAL_VERSION,
            "uuid": self.uuid,
            "bytes": self.bytes,
            "salt": to_base64(&self.salt),
            "mac": to_base64(&self.mac),
        });
        format!("{file}\n")
    }

    /// How many bytes are sealed, from the first on.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The UUID of the container.
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// Seals `bytes` bytes of the container of this UUID, which `read` hands out in their order.
    pub(crate) fn make<E>(
        sealer: &Sealer,
        uuid: &str,
        bytes: u64,
        read: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mac = mac_of_file(sealer, uuid, bytes, read)?;
        Ok(Self {
            uuid: uuid.to_owned(),
            bytes,
            salt: sealer.salt,
            mac: mac.finalize().into_bytes().into(),
        })
    }

    /// Checks the bytes of the container of this UUID, which `read` hands out in their order.
    pub(crate) fn check<E: From<SealProblem>>(
        &self,
        key: &VolumeKey,
        uuid: &str,
        read: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.uuid != uuid {
            return Err(SealProblem::OtherUuid {
                seal: self.uuid.as_str().into(),
                container: uuid.into(),
            }
            .into());
        }
        let sealer = Sealer::of(key, self.salt)?;
        let mac = mac_of_file(&sealer, uuid, self.bytes, read)?;
        mac.verify_slice(&self.mac)
            .map_err(|_| SealProblem::Broken.into())
    }
}

fn mac_of_file<E>(
    sealer: &Sealer,
    uuid: &str,
    bytes: u64,
    read: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<(), E>,
) -> Result<Hmac<Sha256>, E> {
    let mut mac = sealer.begin("file", uuid);
    mac.update(&bytes.to_be_bytes());
    read(&mut |part| mac.update(part))?;
    Ok(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_where_it_stands_once() {
        assert_eq!(find_once(b"abcabd", b"abd"), Some(3));
        assert_eq!(find_once(b"abcabc", b"abc"), None);
        assert_eq!(find_once(b"ab", b"abc"), None);
        assert_eq!(find_once(b"aaaa", b"aaa"), None);
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let seal = FileSeal {
            uuid: "0fc63daf-8483-4772-8e79-3d69d8477de4".into(),
            bytes: 16 << 20,
            salt: [7; SALT_BYTES],
            mac: [9; MAC_BYTES],
        };
        let text = seal.to_text();
        assert_eq!(FileSeal::parse(text.as_bytes()), Ok(seal));
        let newer = text.replace("\"version\":1", "\"version\":2");
        let version = SealProblem::Newer {
            version: 2,
            known: 1,
        };
        assert_eq!(FileSeal::parse(newer.as_bytes()), Err(version));
        for (from, to) in [
            ("luksmith-seal", "other"),
            ("\"version\":1", "\"version\":0"),
            ("\"bytes\"", "\"octets\""),
            ("\"uuid\"", "\"id\""),
            ("=\"", "\""),
        ] {
            let wrong = FileSeal::parse(text.replace(from, to).as_bytes());
            assert!(
                matches!(wrong, Err(SealProblem::Malformed(_))),
                "{from}: {wrong:?}"
            );
        }
    }
}
