//! LUKS1 and LUKS2: bytes to meaning and back.
//!
//! A [`Luks`] is a container whose header was read and checked. [`Luks::unlock`] turns a passphrase into the volume
//! key, within limits on what the header may ask for; [`Unlocked::volume`] is the plaintext, readable and writable at
//! any byte. New containers come from [`mod@format`]; headers are changed through [`Edit`].
//!
//! ## A container in memory
//!
//! A [`Storage`](volume::Storage) is what it lies in: a file or a block device by [`FileStorage`](volume::FileStorage), memory,
//! a [`Window`](volume::Window) of any, or the plaintext of another container.
//!
//! ```
//! use std::sync::Arc;
//!
//! use dmcrypt::{HashAlgorithm, Passphrase};
//! use luks::{FormatOptions, KdfParams, Luks, OsRandom, UnlockOptions, format};
//! use volume::{MemoryStorage, Storage};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let disk: Arc<dyn Storage> = Arc::new(MemoryStorage::new(20 << 20));
//! let passphrase = Passphrase::from_bytes(b"correct horse".to_vec().into());
//! let options = FormatOptions {
//!     // Cheap, for an example: without it a new container has Argon2id.
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
//! ## Another passphrase
//!
//! What opens a container is what adds to it; a header is read anew after each change.
//!
//! ```
//! # use std::sync::Arc;
//! # use dmcrypt::{HashAlgorithm, Passphrase};
//! # use luks::{FormatOptions, KdfParams, Luks, OsRandom, UnlockOptions, format};
//! # use volume::{MemoryStorage, Storage};
//! use luks::{KeyslotOptions, keyslots};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let disk: Arc<dyn Storage> = Arc::new(MemoryStorage::new(20 << 20));
//! # let passphrase = Passphrase::from_bytes(b"correct horse".to_vec().into());
//! # let kdf = KdfParams::Pbkdf2 { hash: HashAlgorithm::Sha256, iterations: 1000 };
//! # let options = FormatOptions { kdf: kdf.clone(), digest_iterations: 1000, ..FormatOptions::default() };
//! # let new = format::prepare(&options, &passphrase, None, &mut OsRandom, &|| false)?;
//! # new.write_areas(&*disk, &mut OsRandom)?;
//! # new.commit(&*disk)?;
//! let luks = Luks::open(disk.clone())?;
//! let unlocked = luks.unlock(&passphrase, &UnlockOptions::default())?;
//! let another = Passphrase::from_bytes(b"battery staple".to_vec().into());
//! let options = KeyslotOptions { kdf, ..KeyslotOptions::default() };
//! let keyslot = keyslots::add(&luks, &unlocked, &another, &options, &mut OsRandom)?;
//!
//! let luks = Luks::open(disk)?;
//! let unlocked = luks.unlock(&another, &UnlockOptions::default())?;
//! assert_eq!(unlocked.keyslot(), Some(keyslot));
//! # Ok(())
//! # }
//! ```
//!
//! ## A file system inside
//!
//! A [`Volume`](volume::Volume) is read at any byte, by any number of threads: here by another crate's ext4. What wants
//! [`Read`](std::io::Read) and [`Seek`](std::io::Seek) gets them from a [`StorageCursor`](volume::StorageCursor).
//! `examples/read_ext4.rs` does the same with a file.
//!
//! ```
//! # use std::sync::Arc;
//! # use dmcrypt::{HashAlgorithm, Passphrase};
//! # use luks::{FormatOptions, KdfParams, Luks, OsRandom, UnlockOptions, format};
//! # use volume::{MemoryStorage, Storage};
//! use std::error::Error;
//!
//! use ext4_view::{Ext4, Ext4Read};
//! use volume::Volume;
//!
//! struct Inside(Volume);
//!
//! impl Ext4Read for Inside {
//!     fn read(&mut self, start_byte: u64, dst: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
//!         Ok(self.0.read_at(start_byte, dst)?)
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn Error>> {
//! # let disk: Arc<dyn Storage> = Arc::new(MemoryStorage::new(20 << 20));
//! # let passphrase = Passphrase::from_bytes(b"correct horse".to_vec().into());
//! # let kdf = KdfParams::Pbkdf2 { hash: HashAlgorithm::Sha256, iterations: 1000 };
//! # let options = FormatOptions { kdf: kdf.clone(), digest_iterations: 1000, ..FormatOptions::default() };
//! # let new = format::prepare(&options, &passphrase, None, &mut OsRandom, &|| false)?;
//! # new.write_areas(&*disk, &mut OsRandom)?;
//! # new.commit(&*disk)?;
//! # let image = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../test-vectors/filesystems/ext4.img"))?;
//! # Luks::open(disk.clone())?.unlock(&passphrase, &UnlockOptions::default())?.volume(disk.clone())?.write_at(0, &image)?;
//! let luks = Luks::open(disk.clone())?;
//! let volume = luks.unlock(&passphrase, &UnlockOptions::default())?.volume(disk)?;
//! let files = Ext4::load(Box::new(Inside(volume)))?;
//! assert_eq!(files.read_to_string("/etc/hostname")?, "inside\n");
//! # Ok(())
//! # }
//! ```
//!
//! ## An image encrypted, with progress
//!
//! The header is written last: until then there is no container, whatever happens.
//!
//! ```
//! # use std::sync::Arc;
//! # use dmcrypt::{HashAlgorithm, Passphrase};
//! # use luks::{FormatOptions, KdfParams, Luks, OsRandom, UnlockOptions, format};
//! # use volume::{MemoryStorage, Storage};
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! use volume::{CopyOptions, Sink, Source, Volume, copy};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let passphrase = Passphrase::from_bytes(b"correct horse".to_vec().into());
//! # let kdf = KdfParams::Pbkdf2 { hash: HashAlgorithm::Sha256, iterations: 1000 };
//! # let options = FormatOptions { kdf: kdf.clone(), digest_iterations: 1000, ..FormatOptions::default() };
//! let image = MemoryStorage::from_vec(vec![1; 5 << 20]);
//! let disk: Arc<dyn Storage> = Arc::new(MemoryStorage::new(0));
//! let new = format::prepare(&options, &passphrase, None, &mut OsRandom, &|| false)?;
//! new.write_areas(&*disk, &mut OsRandom)?;
//!
//! let bytes = image.len()?;
//! let volume = Volume::new(disk.clone(), new.mapping(bytes)?);
//! let shown = AtomicU64::new(0);
//! let options = CopyOptions {
//!     threads: 2,
//!     progress: &|done| shown.store(100 * done / bytes, Ordering::Relaxed),
//!     cancel: &|| false, // a flag that a signal sets, say
//!     ..CopyOptions::default()
//! };
//! copy(Source::Storage { storage: &image, offset: 0, len: bytes }, Sink::Volume(&volume), &options)?;
//! assert_eq!(shown.into_inner(), 100);
//! new.commit(&*disk)?; // which writes through to the disk what was copied, too
//! # let volume = Luks::open(disk.clone())?.unlock(&passphrase, &UnlockOptions::default())?.volume(disk)?;
//! # let mut last = [0];
//! # volume.read_at(bytes - 1, &mut last)?;
//! # assert_eq!((volume.len(), last), (bytes, [1]));
//! # Ok(())
//! # }
//! ```
//!
//! ## Inside
//!
//! Floors, lowest first: low, number, defaults, random, fingerprint; kdf, af, area; error; codec; luks1,
//! luks2; seal; store, unlock; device, format; edit, policy; backup, config, convert, erase, keyslots, reencryption, repair, tokens,
//! verify; reencrypt.

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
mod noise;
mod number;
pub mod policy;
pub mod random;
pub mod reencrypt;
pub mod reencryption;
pub mod repair;
pub mod seal;
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
    ReencryptionObstacle, ReencryptionProblem, Refused, SealProblem, TokenProblem, Unfinished,
    Unsupported,
};
pub use fingerprint::{Fingerprint, NotAFingerprint};
pub use format::{FormatOptions, Layout, NewContainer, Version};
pub use kdf::{KdfLimits, KdfParams};
pub use keyslots::KeyslotOptions;
pub use policy::Policy;
pub use random::{OsRandom, Random, RandomError, random_volume_key};
pub use repair::{Repair, RepairOptions};
pub use store::{Copies, Fault};
pub use text::ImageText;
pub use unlock::{Measure, Spent, UnlockOptions, UnusableKeyslot};

/// The example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
