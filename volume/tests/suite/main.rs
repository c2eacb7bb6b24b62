//! The crate from outside, a module per topic.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

/// Whole images through [`volume::copy`]: every kind of source and sink, padding, order.
mod copy;
/// To several volumes at once, of which each fails alone.
mod copy_branches;
/// The same with everything that can go wrong on the way.
mod copy_faults;
/// Holes of the source, and zeros that become holes.
mod copy_holes;
/// What cannot be read is lost, and the rest is copied.
mod copy_lost;
/// `Read`, `Write` and `Seek` over a storage.
mod cursor;
/// Windows and volumes, one in another.
mod places;
/// What the simulated disk promises to the tests that use it.
mod simulated;
mod simulated_disks;
mod support;
/// Reads and writes at any offset, against a model; many threads.
mod volume;
