//! QEMU's qcow2 images, read, made and written in place, with LUKS inside.
//!
//! An image keeps the clusters of a disk wherever there was room in a file; with LUKS inside, each is encrypted with IVs
//! that count sectors of that file. [`Image`] is the header, validated. It hands out the window of the LUKS header, for
//! whoever knows LUKS, and with the cipher that came of it a [`View`]: the plaintext of the disk or of a snapshot.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use qcow2::Image;
//! use volume::MemoryStorage;
//!
//! let refused = Image::open(Arc::new(MemoryStorage::from_vec(b"no image".to_vec()))).err();
//! assert_eq!(refused.ok_or("opened")?.to_string(), "no qcow2 image: it does not begin with its magic");
//! # Ok(())
//! # }
//! ```
//!
//! Nothing is opened by name. Which backing and data file an image refers to is said by its [`Header`]; whoever trusts it
//! opens them, and gives them as a [`Layer`].
//!
//! Reading takes at most some 20 MiB of memory, however the image was made: tables are read by blocks, of which the last
//! ones used are kept in a [`Cache`], and a compressed cluster never becomes more than a cluster.
//!
//! | module | what |
//! | --- | --- |
//! | [`header`] | the header and its extensions |
//! | [`snapshot`] | the table of internal snapshots |
//! | [`image`] | [`Image`]: what is checked before anything is read |
//! | [`view`] | [`View`]: the plaintext, as a storage |
//! | [`cache`] | [`Cache`]: what is kept of tables |
//! | [`live`] | [`Live`]: the plaintext, written in its place |
//! | [`make`] | [`NewImage`]: what is wanted of a new one; [`Writer`]: its plaintext, while it is made |
//! | [`mod@check`] | whether the tables fit each other, and the refcounts them |
//! | [`error`] | why an image is refused |

#![forbid(unsafe_code)]

pub mod cache;
pub mod check;
pub mod error;
pub mod header;
pub mod image;
mod inflate;
pub mod live;
pub mod make;
pub mod snapshot;
mod table;
pub mod view;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use cache::Cache;
pub use error::Error;
pub use header::{Compression, Crypt, Header};
pub use image::Image;
pub use live::Live;
pub use make::{Compat, FileBytes, NewImage, Writer};
pub use snapshot::Snapshot;
pub use view::{Layer, View};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
