//! A storage for whoever may connect: its bytes over NBD, without a kernel's help, or as a file by the kernel's FUSE.
//!
//! Whoever has something to serve hands an [`Export`] of it, anything that is a [`volume::Storage`]: a file, or the
//! plaintext of a container. Nothing here knows a key, a path or a signal. Threads, no async.
//!
//! ```
//! use std::os::unix::net::{UnixListener, UnixStream};
//! use std::sync::Arc;
//!
//! use serve::nbd::{self, Event, Listener, ServeOptions};
//! use serve::{Export, ExportOptions, Stop};
//! use volume::MemoryStorage;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let storage = Arc::new(MemoryStorage::new(1 << 20));
//! let export = Export::new(storage, ExportOptions::default())?;
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("socket");
//! let listeners = [Listener::Unix(UnixListener::bind(&path)?)];
//! let stop = Stop::new()?;
//! let log = |event: &Event<'_>| println!("{event}");
//! let options = ServeOptions::default();
//! std::thread::scope(|scope| {
//!     let server = scope.spawn(|| nbd::serve(&listeners, &export, options, &stop, &log));
//!     // Here clients connect to the path; this one says nothing.
//!     let client = UnixStream::connect(&path);
//!     stop.ask();
//!     client?;
//!     server.join().expect("a server does not panic")
//! })?;
//! # Ok(())
//! # }
//! ```
//!
//! | module | what |
//! | --- | --- |
//! | [`export`] | [`Export`]: a storage, and what may be done with it |
//! | [`stop`] | [`Stop`]: asks it to end |
//! | `fuse`, with the feature of that name | a file that the kernel shows |
//! | [`nbd`] | the Network Block Device protocol: fixed newstyle, structured replies, extended headers, `base:allocation` |

pub mod export;
#[cfg(feature = "fuse")]
pub mod fuse;
#[cfg(feature = "nbd")]
pub mod nbd;
pub mod stop;

pub use export::{Export, ExportOptions};
pub use stop::Stop;

/// The example of the README.
#[cfg(all(doctest, feature = "nbd"))]
#[doc = include_str!("../README.md")]
struct Readme;
