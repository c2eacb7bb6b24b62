//! What a derivation may use, and who may end it.

/// How a key derivation goes about its work.
#[derive(Clone, Copy)]
pub struct Effort<'a> {
    /// Threads that may compute, the caller's among them; 0 is taken for 1. Where no more can be started, the caller's
    /// does their work.
    pub threads: usize,
    /// Asked every few milliseconds, by any of the threads; `true` ends the work.
    pub cancel: &'a (dyn Fn() -> bool + Sync),
}

impl Default for Effort<'_> {
    fn default() -> Self {
        Self {
            threads: 1,
            cancel: &|| false,
        }
    }
}
