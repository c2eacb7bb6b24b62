//! The plaintext as a file, by the kernel's FUSE: no root, no device of the kernel.
//!
//! Over a folder it is the file `plain` in it, over a file it is that file. What a program may rely on:
//!
//! - A write that has succeeded has reached the storage, and one that has failed says so itself: nothing is kept back.
//! - `fsync` returns when all that was written is durable; so does `close`, where something was written.
//! - Its length is fixed. A read past the end is short, and a write past it is told that no room is left.
//! - Zeros that `fallocate` makes are written as ciphertext. Holes it makes only where that is allowed, and only what is not
//!   encrypted becomes one: whoever punches expects zeros, and a hole of the container is noise.
//!
//! `adapter` alone knows the crate that speaks the kernel's protocol.

mod adapter;
mod error;
mod file;
mod mount;
mod mounted;
mod mounts;
mod target;

pub use error::MountError;
pub use mount::{check_device, is_alive, mount_of, server_of, unmount};
pub use mounted::{MountOptions, Mounted};
pub use mounts::Mount;
pub use target::{PLAIN, Target};
