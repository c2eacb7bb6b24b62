//! What programs do with LUKS1, LUKS2 and plain dm-crypt images, without a terminal: the floor between the formats and
//! the people.
//!
//! A job takes the [`Place`]s of its images, options that are plain structs, someone who has the [`Secrets`] and someone
//! who [`Watch`]es it; it gives a result that serde writes, or an [`Error`] that says what is wrong and [whom it is to
//! blame on](Error::blame). What it writes is there whole or not at all. Nothing is asked before it is known that the
//! job can run. Nothing here knows a terminal, an argument or an exit code; the clock and the memory size are read by
//! [`limits`] alone, where a job's options do not say what they would.
//!
//! ```
//! use std::fmt::Display;
//! use std::sync::Arc;
//!
//! use dmcrypt::LockedBytes;
//! use jobs::encrypt::{EncryptOptions, Format, encrypt};
//! use jobs::new_luks::{Cost, LuksOptions};
//! use jobs::secret::Passphrase;
//! use jobs::{Place, Watch};
//! use volume::{MemoryStorage, Storage};
//!
//! /// Prints how far it is.
//! struct Printer;
//!
//! impl Watch for Printer {
//!     fn warn(&self, warning: &dyn Display) {
//!         eprintln!("{warning}");
//!     }
//!
//!     fn advance(&self, done: u64) {
//!         println!("{done} bytes are encrypted");
//!     }
//! }
//!
//! // Files are `Place::from(path)`; this one needs none.
//! let raw = Arc::new(MemoryStorage::new(1 << 20));
//! let container = Arc::new(MemoryStorage::new(0));
//! let place = |name: &str, storage: Arc<MemoryStorage>| Place::Storage {
//!     name: name.to_owned(),
//!     storage,
//! };
//! let options = EncryptOptions {
//!     format: Format::Luks(LuksOptions {
//!         label: Some("example".to_owned()),
//!         // Only for examples: unless said, the cost is measured.
//!         cost: Cost { iterations: Some(4), memory_kib: Some(64), ..Cost::default() },
//!         ..LuksOptions::default()
//!     }),
//!     ..EncryptOptions::default()
//! };
//! let secret = LockedBytes::copy_of(b"correct horse");
//! let report = encrypt(
//!     &place("raw", raw),
//!     &place("container", container.clone()),
//!     &options,
//!     &Passphrase(&secret),
//!     &Printer,
//! )?;
//! assert_eq!(Some(container.len()?), report.container_bytes);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | what is in it |
//! | --- | --- |
//! | [`encrypt`], [`decrypt`], [`mod@clone`], [`create`], [`compare`], [`measure`], [`inspect`], [`verify`] | the jobs |
//! | [`serve`] | a container that is opened and stays open |
//! | [`in_place`] | the jobs that change data where they lie, and finish what is under way |
//! | [`header`], [`key`], [`token`] | the jobs that change a header, its keyslots and its tokens, or tell what they are |
//! | [`mapping`] | a container as a block device of the kernel: opened, looked at, closed |
//! | [`explain`] | why a passphrase does not fit: a table of the mistakes that people make |
//! | [`change`], [`unlock`] | a container whose header is changed; one that is opened |
//! | [`place`], [`open`], [`source`], [`destination`], [`inputs`] | the images: how they are named, opened, checked, made and replaced |
//! | [`qcow`] | a qcow2 image as a source: the files that it consists of, and the plaintext of the disk |
//! | [`folder`], [`temporary`], [`block`] | a folder that is open; files that are not finished; what the kernel says of a device |
//! | [`new_luks`], [`new_keyslot`], [`plain`], [`sizes`], [`sector_size`] | what is wanted of something new, complete or refused |
//! | [`new_container`], [`new_image`], [`allow`] | the order in which a new one is written; a qcow2 image around it; what is refused unless it is allowed |
//! | [`payload`], [`transfer`], [`losses`] | one copy of a payload, and what of it is lost |
//! | [`instead`], [`data_facts`], [`stream_header`] | what there is in place of a container; what a header says of its data; a header that comes in a stream |
//! | [`openstack`] | the cipher of a volume type of Cinder's, the properties of an image in Glance |
//! | [`policy`] | what a header must look like, as text and file |
//! | [`limits`], [`benchmark`] | what this machine can do; how fast its ciphers and key derivations are |
//! | [`key_source`], [`key_format`], [`secret_buffer`] | keys out of files and pipes; what becomes of them; where secret bytes are put |
//! | [`secret`], [`confirm`], [`watch`], [`report`], [`error`], [`blame`], [`text`] | what goes in and out |

pub mod allow;
pub mod benchmark;
pub mod blame;
pub mod block;
pub mod change;
pub mod clone;
pub mod compare;
pub mod confirm;
pub mod create;
pub mod data_facts;
pub mod decrypt;
pub mod destination;
pub mod encrypt;
pub mod error;
pub mod explain;
pub mod folder;
pub mod fuse;
pub mod header;
pub mod in_place;
pub mod inputs;
pub mod inspect;
pub mod instead;
pub mod key;
pub mod key_format;
pub mod key_source;
pub mod limits;
pub mod losses;
pub mod mapping;
pub mod measure;
pub mod new_container;
pub mod new_image;
pub mod new_keyslot;
pub mod new_luks;
pub mod open;
pub mod openstack;
pub mod payload;
pub mod place;
pub mod plain;
pub mod policy;
pub mod qcow;
pub mod report;
pub mod secret;
pub mod secret_buffer;
pub mod sector_size;
pub mod serve;
pub mod sizes;
pub mod source;
pub mod stream_header;
pub mod temporary;
pub mod text;
pub mod token;
pub mod transfer;
pub mod unlock;
pub mod verify;
pub mod watch;

pub use allow::Allow;
pub use blame::Blame;
pub use confirm::Confirm;
pub use error::{Error, SecretError};
pub use place::Place;
pub use report::Report;
pub use secret::{Asked, AskedOther, Secrets};
pub use watch::Watch;

/// The example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
