//! LUKS1: one binary header, eight keyslots, one digest (LUKS1 specification 1.2.3).

mod header;
mod keyslot;

pub use header::{Header, Layout};
pub use keyslot::Keyslot;
