//! Plain dm-crypt: a volume without any header, as cryptsetup's `--type plain` opens it.
//!
//! Nothing in the container says how it was made, so everything is given: the cipher, the size of the key, how a
//! passphrase becomes a key, and where the volume starts. A wrong guess gives noise instead of an error.
//!
//! ```
//! use std::sync::Arc;
//!
//! use dmcrypt::Passphrase;
//! use dmcrypt_plain::{KeySource, PlainOptions, derive_key};
//! use volume::MemoryStorage;
//! use zeroize::Zeroizing;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = PlainOptions::new("aes-xts-plain64".parse()?, 64);
//! let passphrase = Passphrase::from_bytes(Zeroizing::new(b"secret".to_vec()));
//! let hash = "sha256".parse()?;
//! let key = derive_key(KeySource::Passphrase(&passphrase), Some(&hash), options.key_bytes)?;
//!
//! let container = Arc::new(MemoryStorage::new(1 << 20));
//! let volume = dmcrypt_plain::open(container, &key, &options)?;
//! volume.write_at(0, b"plaintext")?;
//! # Ok(())
//! # }
//! ```
//!
//! A volume that lies in the middle of something is opened by `offset_sectors`, or in a [`Window`](volume::Window) of it.
//! What cryptsetup calls `--skip` is another thing: the number that the IVs begin with.
//!
//! ```
//! # use std::sync::Arc;
//! # use dmcrypt::VolumeKey;
//! # use dmcrypt_plain::PlainOptions;
//! # use volume::{MemoryStorage, Storage};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let key = VolumeKey::from_bytes(vec![7; 32].into());
//! let whole = PlainOptions::new("aes-xts-plain64".parse()?, 32);
//! // The second half alone: it lies 1024 sectors further, and its IVs count from there.
//! let half = PlainOptions { offset_sectors: 1024, skip_sectors: 1024, ..whole.clone() };
//! let disk: Arc<dyn Storage> = Arc::new(MemoryStorage::new(1 << 20));
//! dmcrypt_plain::open(disk.clone(), &key, &whole)?.write_at(1024 * 512, b"in the middle")?;
//! let mut text = [0; 13];
//! dmcrypt_plain::open(disk, &key, &half)?.read_at(0, &mut text)?;
//! assert_eq!(&text, b"in the middle");
//! # Ok(())
//! # }
//! ```

mod error;
mod key;
mod open;

pub use error::Error;
pub use key::{KeySource, PassphraseHash, derive_key};
pub use open::{PlainOptions, mapped, mapping, open};

/// The example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
