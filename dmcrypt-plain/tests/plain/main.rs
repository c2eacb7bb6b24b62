//! Plain volumes against cryptsetup and the kernel.

/// Keys, against those that cryptsetup made.
mod keys;
/// Volumes: where they start and end, and what the kernel wrote there.
mod volumes;
