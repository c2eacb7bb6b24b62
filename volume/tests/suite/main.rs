//! The crate from outside, a module per topic.

/// Whole images through [`volume::copy`]: every kind of source and sink, holes, padding, order.
mod copy;
/// The same with everything that can go wrong on the way.
mod copy_faults;
/// What the simulated disk promises to the tests that use it.
mod simulated;
mod support;
/// Reads and writes at any offset, against a model; many threads.
mod volume;
