//! What there is in place of the kernel's mappings, where nobody may make one: the plaintext of a container as a file that
//! FUSE mounts, for root a loop device over it, and a link to that under `/dev/mapper`.
//!
//! Each has a folder with its name, and all that is known of it lies there, so that any process finds, resizes and closes
//! what another one has opened, and what a process that was killed has left is seen and taken away:
//!
//! | in the folder | what |
//! | --- | --- |
//! | `plain` | the plaintext; an empty file while nothing is mounted over it |
//! | `control` | the socket on which the server is told of another size |
//! | `state` | what it is, as JSON. It is written last and goes first: without it the mapping is not whole |
//!
//! Whoever opens, closes or resizes holds the lock of the folder. [`open`] makes all but the mount, which is that of a server
//! in the background whom its caller starts; [`close`], [`status`] and [`resize`] find it by its name or any path to it.

pub mod close;
mod control;
mod leavings;
pub mod open;
pub mod resize;
mod room;
mod state;
pub mod status;

pub use control::Control;
pub use room::{Room, is_one};
pub use state::State;
