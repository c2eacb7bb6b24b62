//! Fuzz targets: what they check, and within which bounds.

pub mod bounded;
pub mod targets;
