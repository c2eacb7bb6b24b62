//! What a header must look like before it is used: an allow-list over everything that it says.
//!
//! LUKS does not authenticate its header: whoever can write to the container can name another cipher, weaken a key
//! derivation or move the data, and make the checksums fit. A [`Policy`] is what the user of a container knows about it
//! beforehand. [`Policy::check`] looks at the header that [`Luks`] holds in memory, which is the one that is unlocked
//! afterwards; nothing is read again. [`Policy::exact`] is the policy that only this header fulfils.
//!
//! A rule that is absent allows everything. A list allows what is in it, an empty one nothing.
//!
//! ```
//! # use std::sync::Arc;
//! # use dmcrypt::{HashAlgorithm, Passphrase};
//! # use luks::{FormatOptions, KdfParams, Luks, OsRandom, Policy, format};
//! # use volume::{MemoryStorage, Storage};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let disk: Arc<dyn Storage> = Arc::new(MemoryStorage::new(20 << 20));
//! # let kdf = KdfParams::Pbkdf2 { hash: HashAlgorithm::Sha256, iterations: 1000 };
//! # let options = FormatOptions { kdf, digest_iterations: 1000, ..FormatOptions::default() };
//! # let passphrase = Passphrase::from_bytes(b"correct horse".to_vec().into());
//! # let new = format::prepare(&options, &passphrase, None, &mut OsRandom, &|| false)?;
//! # new.write_areas(&*disk, &mut OsRandom)?;
//! # new.commit(&*disk)?;
//! let mut policy = Policy::default();
//! policy.data.ciphers = Some(vec!["aes-xts-plain64".into()]);
//! policy.kdf.types = Some(vec!["argon2id".into()]);
//!
//! let luks = Luks::open(disk)?;
//! let error = policy.check(&luks).unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "refused by the policy: keyslot 0: key derivation \"pbkdf2\" is none of \"argon2id\""
//! );
//! # Ok(())
//! # }
//! ```

mod bounds;
mod check;
mod exact;
mod facts;

use serde::{Deserialize, Serialize};

use crate::device::Luks;
use crate::error::Error;
use crate::fingerprint::Fingerprint;
use crate::format::Version;
use facts::Facts;

pub use bounds::{Bounds, NotBounds};

/// Rules for a whole header.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Policy {
    /// Formats.
    pub format: Option<Vec<Version>>,
    /// The bytes of the whole header: one of these. Every change of a header, a wanted one too, changes it.
    pub fingerprint: Option<Vec<Fingerprint>>,
    /// Both LUKS2 copies must be sound and say the same; a single one is used otherwise.
    pub equal_copies: bool,
    /// No JSON member that LUKS2 does not define, what belongs to tokens aside.
    pub known_members: bool,
    /// UUIDs as text.
    pub uuid: Option<Vec<String>>,
    /// Labels (LUKS2).
    pub label: Option<Vec<String>>,
    /// Second labels (LUKS2).
    pub subsystem: Option<Vec<String>>,
    /// The epoch, which every change raises (LUKS2): a lower bound refuses headers older than it.
    pub epoch: Option<Bounds>,
    /// Bytes of one header copy (LUKS2).
    pub header_bytes: Option<Bounds>,
    /// Bytes of the keyslots area (LUKS2).
    pub keyslots_area_bytes: Option<Bounds>,
    /// Persistent activation flags (LUKS2).
    pub flags: Option<Vec<String>>,
    /// Mandatory requirements (LUKS2).
    pub requirements: Option<Vec<String>>,
    /// Where the data lies and how it is encrypted.
    pub data: DataPolicy,
    /// How the volume key is stored.
    pub keyslots: KeyslotPolicy,
    /// How passphrases become keys, in every keyslot.
    pub kdf: KdfPolicy,
    /// How a volume key is recognised.
    pub digests: DigestPolicy,
    /// Tokens (LUKS2).
    pub tokens: TokenPolicy,
    /// The seal, which is checked once a key fits.
    pub seal: SealPolicy,
}

/// Rules for data segments. LUKS1 has one.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DataPolicy {
    /// How many.
    pub segments: Option<Bounds>,
    /// Types: `crypt`, and during a reencryption `linear`.
    pub types: Option<Vec<String>>,
    /// Segment flags.
    pub flags: Option<Vec<String>>,
    /// Ciphers as written.
    pub ciphers: Option<Vec<String>>,
    /// Sector sizes in bytes.
    pub sector_bytes: Option<Vec<u64>>,
    /// First bytes.
    pub offset_bytes: Option<Bounds>,
    /// Sizes: `dynamic`, or bytes in decimal notation.
    pub sizes: Option<Vec<String>>,
    /// IV numbers of the first sector.
    pub iv_tweak: Option<Bounds>,
    /// Whether there may be authentication tags; `false` refuses them.
    pub integrity: Option<bool>,
    /// Bytes from the start of the data to the end of the file or device that holds them ([`Policy::check_data`]):
    /// data that were cut off, or to which some were added.
    pub length_bytes: Option<Bounds>,
}

/// Rules for each keyslot in use.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct KeyslotPolicy {
    /// How many are in use.
    pub count: Option<Bounds>,
    /// Types; LUKS1 keyslots are of type `luks1`.
    pub types: Option<Vec<String>>,
    /// Whether keys may be stored that open no data; `false` refuses them.
    pub unbound: Option<bool>,
    /// Priorities: `ignore`, `normal`, `prefer`.
    pub priorities: Option<Vec<String>>,
    /// Bits of the keys that are stored.
    pub key_bits: Option<Vec<u64>>,
    /// Ciphers of the key material as written.
    pub ciphers: Option<Vec<String>>,
    /// Bits of the keys that the key derivations give.
    pub cipher_key_bits: Option<Vec<u64>>,
    /// Hashes of the anti-forensic splitter.
    pub splitter_hashes: Option<Vec<String>>,
    /// First bytes of their areas.
    pub area_offset_bytes: Option<Bounds>,
    /// Bytes of their areas.
    pub area_bytes: Option<Bounds>,
}

/// Rules for each key derivation.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct KdfPolicy {
    /// Types: `pbkdf2`, `argon2i`, `argon2id`.
    pub types: Option<Vec<String>>,
    /// Hashes of PBKDF2.
    pub pbkdf2_hashes: Option<Vec<String>>,
    /// Iterations of PBKDF2: floor and ceiling.
    pub pbkdf2_iterations: Option<Bounds>,
    /// Passes of Argon2.
    pub argon2_time: Option<Bounds>,
    /// Memory of Argon2 in KiB.
    pub argon2_memory_kib: Option<Bounds>,
    /// Lanes of Argon2.
    pub argon2_lanes: Option<Bounds>,
    /// Bytes of the salt.
    pub salt_bytes: Option<Bounds>,
}

/// Rules for each digest. LUKS1 has one.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DigestPolicy {
    /// How many.
    pub count: Option<Bounds>,
    /// Types: `pbkdf2`.
    pub types: Option<Vec<String>>,
    /// Hashes.
    pub hashes: Option<Vec<String>>,
    /// Iterations: floor and ceiling.
    pub iterations: Option<Bounds>,
    /// Bytes of the salt.
    pub salt_bytes: Option<Bounds>,
    /// Bytes of the digest itself: a short one is matched by many keys.
    pub digest_bytes: Option<Bounds>,
}

/// Rules for tokens.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TokenPolicy {
    /// How many.
    pub count: Option<Bounds>,
    /// Types.
    pub types: Option<Vec<String>>,
}

/// Rules for the seal of the header ([`crate::seal`]).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SealPolicy {
    /// The header must be sealed, and its seal right: only the volume key tells, so that it is refused when it is unlocked
    /// ([`Luks::require_seal`]).
    pub required: bool,
}

impl Policy {
    /// Whether the header of `luks` keeps every rule but that of its seal, which it is held to from then on.
    ///
    /// # Errors
    ///
    /// [`Error::PolicyRefuses`] with everything that is not allowed.
    pub fn check(&self, luks: &Luks) -> Result<(), Error> {
        if self.seal.required {
            luks.require_seal();
        }
        let violations = check::violations(self, &Facts::of(luks));
        if violations.is_empty() {
            Ok(())
        } else {
            Err(Error::PolicyRefuses(violations))
        }
    }

    /// Whether the data that `luks` describes are as long as the policy says, where it does. `storage_bytes` is the size
    /// of the file or device that they lie in, the header's own or another one; `None` where nobody knows it yet, as of a
    /// stream, which no rule about it allows.
    ///
    /// What the data say no policy can know: their places can be exchanged and their bytes changed unnoticed.
    ///
    /// # Errors
    ///
    /// [`Error::PolicyRefuses`].
    pub fn check_data(&self, luks: &Luks, storage_bytes: Option<u64>) -> Result<(), Error> {
        let violations = check::data_violations(self, luks.header().data_offset(), storage_bytes);
        if violations.is_empty() {
            Ok(())
        } else {
            Err(Error::PolicyRefuses(violations))
        }
    }

    /// The policy that only this header fulfils, to the byte; `None` while a LUKS2 copy is not used
    /// ([`Luks::warnings`]), for then nobody knows which bytes are meant.
    pub fn exact(luks: &Luks) -> Option<Self> {
        let facts = Facts::of(luks);
        Some(exact::policy(facts.fingerprint?, &facts))
    }
}
