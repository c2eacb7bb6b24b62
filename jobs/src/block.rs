//! Block devices and what shares their bytes: who uses one, and what it stands on.
//!
//! The kernel is asked, never guessed: a device that can be opened with `O_EXCL` is in nobody's use (not mounted, not
//! mapped, no swap space, no member of an array, and neither is its disk nor one of its partitions). Who it is that
//! uses it, and what lies beneath it, stands in `/sys` and `/proc`.

mod ground;
mod in_use;
mod kernel;
mod mapping;

pub use ground::Ground;
pub use in_use::{
    Claim, InUse, RELEASE, User, check, known_users, mapping_of_container, users_of,
    users_of_number,
};
pub use mapping::{Named, file_of_loop, loops_of, named, path_of};
