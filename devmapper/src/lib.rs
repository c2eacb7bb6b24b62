//! Linux's device-mapper as far as dm-crypt needs it, by the kernel's own calls: no libdevmapper, no cookies of udev, no
//! semaphores that somebody could wait for for ever.
//!
//! What is mapped is a [`dmcrypt::Mapped`]; with a key, a device and flags it becomes a [`Table`]. A [`Control`] makes
//! mappings of tables, tells of them and takes them away. Around it stand the other things of the kernel that an encrypted
//! volume needs: a [`Loop`] where the container is a file, a [`LogonKey`] so that the key stands in no table, and
//! [`Nodes`], which has the names under `/dev/mapper` appear and vanish, by udev where it runs.
//!
//! ```no_run
//! use devmapper::{Control, Flags, Identifier, Key, Kind, Name, Table};
//! use dmcrypt::{Mapped, SectorOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mapped = Mapped {
//!     cipher: "aes-xts-plain64".parse()?,
//!     sectors: SectorOptions::default(),
//!     first_iv_sector: 0,
//!     offset_bytes: 0,
//!     length_bytes: 1 << 20,
//! };
//! let device = rustix::fs::makedev(7, 0);
//! let table = Table::new(&mapped, &Key::Bytes(&[7; 64]), device, Flags::default())?;
//!
//! let control = Control::open()?;
//! let name = Name::new(b"plain")?;
//! control.create(&name, &Identifier::new(Kind::Plain, None, &name))?;
//! control.load(&name, &table, false)?;
//! let state = control.resume(&name)?;
//! assert!(state.has_table);
//! # Ok(())
//! # }
//! ```
//!
//! | module | what |
//! | --- | --- |
//! | [`name`] | names and identifiers of mappings, spelled as libdevmapper and cryptsetup spell them |
//! | [`table`] | the line of dm-crypt's table: written and parsed |
//! | [`mapping`] | create, load, resume, suspend, message, remove, list |
//! | [`node`] | what stands under `/dev/mapper`, by udev or without it |
//! | [`loop_device`] | a file as a block device |
//! | [`keyring`] | keys of the kernel |
//! | [`log`] | why the kernel has refused a table |
//!
//! No clock, environment or terminal is read here; who waits says for how long and asks whether it is still wanted.

pub mod error;
pub mod keyring;
pub mod log;
pub mod loop_device;
mod low;
pub mod mapping;
pub mod name;
pub mod node;
mod request;
pub mod table;

pub use error::Error;
pub use keyring::LogonKey;
pub use log::KernelLog;
pub use loop_device::{Loop, LoopOptions};
pub use mapping::{Control, State, Target};
pub use name::{Identifier, Kind, Name, NameProblem};
pub use node::{Nodes, Wait};
pub use table::{Flags, Key, KeyText, Line, Table};

/// The example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
