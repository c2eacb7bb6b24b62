//! LUKS1: one binary header, eight keyslots, one digest (LUKS1 specification 1.2.3).

mod header;
mod keyslot;
mod repair;

pub use header::{Header, Layout};
pub use keyslot::Keyslot;
pub use repair::Damage;
pub(crate) use repair::{has_partitions, is_meant, repair};
