//! The header as a thing: saved, brought back, mended, converted, erased, sealed.

pub mod backup;
pub mod config;
pub mod convert;
pub mod erase;
pub mod repair;
pub mod restore;
pub mod seal;
