//! Secrets that are kept elsewhere: named by a reference, fetched when they are needed, and turned into the passphrase that
//! `OpenStack` makes of them.
//!
//! | reference | where it is |
//! | --- | --- |
//! | `barbican:UUID`, or a secret's URL | `OpenStack`'s key manager; of a URL only the UUID counts, the end point is the environment's |
//! | `vault:PATH` | a server with Vault's API, in the record that castellan writes |
//! | `json:FILE` | that record in a file |
//! | `fixed:FILE` | hexadecimal digits in a file, as the `fixed_key` of Cinder's and Nova's `ConfKeyManager` |
//!
//! A secret of the type passphrase is the passphrase, which has to be UTF-8; of every other type it is the lower-case
//! hexadecimal digits of its bytes (`os_brick.utils.get_passphrase_from_secret`). [`KeyFormat`] can say otherwise.
//!
//! [`KeyFormat`]: crate::key_source::KeyFormat

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dmcrypt::LockedBytes;

use super::access::Access;
use super::record;
use crate::secret_buffer::SecretBuffer;
use crate::text;

pub use super::error::StoredError;

/// The most that is taken of an answer or a file, in bytes.
pub(super) const MAX_ANSWER_BYTES: u64 = 64 << 10;

/// Where a secret is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Reference {
    /// In `OpenStack`'s key manager, by this UUID.
    Barbican(String),
    /// On a server with Vault's API, below this path.
    Vault(String),
    /// In a file, as castellan's record.
    Record(PathBuf),
    /// In a file, as hexadecimal digits.
    Fixed(PathBuf),
}

impl Reference {
    /// The file that it is in, where it is in one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Record(path) | Self::Fixed(path) => Some(path),
            Self::Barbican(_) | Self::Vault(_) => None,
        }
    }

    /// Out of what somebody wrote.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for people.
    pub fn parse(typed: &OsStr) -> Result<Self, String> {
        use std::os::unix::ffi::OsStrExt as _;
        let file = |scheme: &[u8]| {
            let rest = typed.as_bytes().strip_prefix(scheme)?;
            (!rest.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(rest)))
        };
        if let Some(path) = file(b"json:") {
            return Ok(Self::Record(path));
        }
        if let Some(path) = file(b"fixed:") {
            return Ok(Self::Fixed(path));
        }
        let typed = typed.to_str().ok_or("not UTF-8")?;
        if let Some(path) = typed.strip_prefix("vault:") {
            return vault_path(path).map(Self::Vault);
        }
        let id = match typed.strip_prefix("barbican:") {
            Some(id) => id,
            None => id_of_url(typed).ok_or(
                "not barbican:UUID, the URL of a secret, vault:PATH, json:FILE or fixed:FILE",
            )?,
        };
        if !is_uuid(id) {
            return Err("a secret of Barbican is named by a UUID".to_owned());
        }
        Ok(Self::Barbican(id.to_ascii_lowercase()))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Barbican(id) => write!(f, "secret barbican:{id}"),
            Self::Vault(path) => write!(f, "secret vault:{path}"),
            Self::Record(path) => write!(f, "secret json:{}", text::path(path)),
            Self::Fixed(path) => write!(f, "secret fixed:{}", text::path(path)),
        }
    }
}

/// The path of a secret of Vault's, without slashes around it.
fn vault_path(path: &str) -> Result<String, String> {
    let path = path.trim_matches('/');
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.~/".contains(c);
    let is_step = |step: &str| step.is_empty() || step == "." || step == "..";
    if path.is_empty() || !path.chars().all(is_plain) || path.split('/').any(is_step) {
        return Err(
            "a path of Vault's has letters, digits and -_.~ between single slashes".to_owned(),
        );
    }
    Ok(path.to_owned())
}

/// The last part of `http(s)://HOST/.../secrets/UUID`.
fn id_of_url(url: &str) -> Option<&str> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))?;
    let (before, id) = rest.trim_end_matches('/').rsplit_once('/')?;
    before.ends_with("/secrets").then_some(id)
}

fn is_uuid(text: &str) -> bool {
    let mut parts = text.split('-');
    let fits = [8, 4, 4, 4, 12].iter().all(|length| {
        let part = parts.next().unwrap_or_default();
        part.len() == *length && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    fits && parts.next().is_none()
}

/// A secret, and what it is.
pub struct Stored {
    /// Its bytes.
    pub bytes: LockedBytes,
    /// Whether they are a passphrase, and not a key that `OpenStack` spells in digits.
    pub is_passphrase: bool,
}

/// A secret that can be fetched.
#[derive(Clone)]
pub struct StoredSecret {
    /// Where it is.
    pub reference: Reference,
    /// How it is reached.
    pub access: Arc<Access>,
}

impl fmt::Debug for StoredSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reference.fmt(f)
    }
}

impl PartialEq for StoredSecret {
    fn eq(&self, other: &Self) -> bool {
        self.reference == other.reference
    }
}

impl Eq for StoredSecret {}

impl StoredSecret {
    /// Fetches it.
    ///
    /// # Errors
    ///
    /// It is not there, it may not be read, it is no secret; a server does not answer as it should.
    pub fn fetch(&self) -> Result<Stored, StoredError> {
        match &self.reference {
            Reference::Record(path) => record::of_file(&self.read(path)?)
                .map_err(|why| StoredError::NotASecret(self.reference.clone(), why)),
            Reference::Fixed(path) => record::fixed(&self.read(path)?)
                .map_err(|why| StoredError::NotASecret(self.reference.clone(), why)),
            #[cfg(feature = "remote")]
            Reference::Barbican(id) => super::barbican::fetch(&self.reference, id, &self.access),
            #[cfg(feature = "remote")]
            Reference::Vault(path) => super::vault::fetch(&self.reference, path, &self.access),
            #[cfg(not(feature = "remote"))]
            Reference::Barbican(_) | Reference::Vault(_) => {
                Err(StoredError::NoNetwork(self.reference.clone()))
            }
        }
    }

    fn read(&self, path: &PathBuf) -> Result<LockedBytes, StoredError> {
        let read = |mut file: File| SecretBuffer::read_all(&mut file, MAX_ANSWER_BYTES + 1);
        let bytes = File::open(path)
            .and_then(read)
            .map_err(|why| StoredError::Unreadable(self.reference.clone(), why))?;
        if bytes.len() as u64 > MAX_ANSWER_BYTES {
            let why = format!("more than {MAX_ANSWER_BYTES} bytes");
            return Err(StoredError::NotASecret(self.reference.clone(), why));
        }
        Ok(bytes.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_told_apart() {
        let id = "7D2F1b6c-0000-4000-8000-0123456789ab";
        let parse = |text: &str| Reference::parse(OsStr::new(text));
        let barbican = Ok(Reference::Barbican(id.to_ascii_lowercase()));
        for text in [
            format!("barbican:{id}"),
            format!("http://127.0.0.1:9311/v1/secrets/{id}"),
            format!("https://keys.example/key-manager/v1/secrets/{id}/"),
        ] {
            assert_eq!(parse(&text), barbican, "{text}");
        }
        assert_eq!(
            parse("vault:/secret/luks/a1~b.c-d_e/"),
            Ok(Reference::Vault("secret/luks/a1~b.c-d_e".to_owned()))
        );
        assert_eq!(parse("json:a:b"), Ok(Reference::Record("a:b".into())));
        assert_eq!(parse("fixed:/k"), Ok(Reference::Fixed("/k".into())));
        for text in [
            "",
            "barbican:",
            "barbican:7d2f1b6c",
            "barbican:7d2f1b6c-0000-4000-8000-0123456789ab-",
            "barbican:7d2f1b6c-0000-4000-8000-0123456789ag",
            "https://keys.example/v1/orders/7d2f1b6c-0000-4000-8000-0123456789ab",
            "vault:",
            "vault:a//b",
            "vault:a/../b",
            "vault:a?list=true",
            "vault:a b",
            "json:",
            "fixed:",
            "keyfile",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
