//! LUKS1 and LUKS2: bytes to meaning and back.
//!
//! A [`Luks`] is a container whose header was read and checked. [`Luks::unlock`] turns a passphrase into the volume
//! key, within limits on what the header may ask for; [`Unlocked::volume`] is the plaintext, readable and writable at
//! any byte. New containers come from [`mod@format`]; headers are changed through [`Edit`].
//!
//! ```
//! use std::sync::Arc;
//!
//! use dmcrypt::{Passphrase, HashAlgorithm};
//! use luks::{FormatOptions, KdfParams, Luks, OsRandom, UnlockOptions, format};
//! use volume::{MemoryStorage, Storage};
//! use zeroize::Zeroizing;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let disk: Arc<dyn Storage> = Arc::new(MemoryStorage::new(20 << 20));
//! let passphrase = Passphrase::from_bytes(Zeroizing::new(b"correct horse".to_vec()));
//! let options = FormatOptions {
//!     kdf: KdfParams::Pbkdf2 { hash: HashAlgorithm::Sha256, iterations: 1000 },
//!     digest_iterations: 1000,
//!     ..FormatOptions::default()
//! };
//! let new = format::prepare(&options, &passphrase, None, &mut OsRandom, &|| false)?;
//! new.write_areas(&*disk, &mut OsRandom)?;
//! new.commit(&*disk)?;
//!
//! let luks = Luks::open(disk.clone())?;
//! let volume = luks.unlock(&passphrase, &UnlockOptions::default())?.volume(disk)?;
//! volume.write_at(7, b"secret")?;
//! # Ok(())
//! # }
//! ```
//!
//! Floors, lowest first: low, number, defaults, random, fingerprint; kdf, af, area; error; codec; luks1,
//! luks2; store, unlock; device, format; edit, policy; backup, config, convert, erase, keyslots, repair, tokens, verify.

// Every number here may come from a disk.
#![warn(clippy::arithmetic_side_effects, clippy::as_conversions)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::as_conversions))]

pub mod af;
mod area;
pub mod backup;
mod codec;
pub mod config;
pub mod convert;
pub mod defaults;
mod device;
pub mod edit;
pub mod erase;
pub mod error;
mod fingerprint;
pub mod format;
pub mod kdf;
pub mod keyslots;
mod low;
pub mod luks1;
pub mod luks2;
mod number;
pub mod policy;
pub mod random;
pub mod reencryption;
pub mod repair;
mod sealing;
mod store;
pub mod text;
pub mod tokens;
mod unlock;
pub mod verify;

pub use backup::Backup;
pub use config::ConfigChanges;
pub use device::{Header, Luks, Unlocked, Warning};
pub use edit::Edit;
pub use error::{
    ConversionObstacle, Corrupt, Error, InvalidOption, MemberProblem, Mismatch, PolicyViolation,
    ReencryptionProblem, Refused, TokenProblem, Unsupported,
};
pub use fingerprint::{Fingerprint, NotAFingerprint};
pub use format::{FormatOptions, Layout, NewContainer, Version};
pub use kdf::{KdfLimits, KdfParams};
pub use keyslots::KeyslotOptions;
pub use policy::Policy;
pub use random::{OsRandom, Random, RandomError};
pub use repair::{Repair, RepairOptions};
pub use store::{Copies, Fault};
pub use text::ImageText;
pub use unlock::{UnlockOptions, UnusableKeyslot};

/// The example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
