//! Memory that ends: an input that needs more than 64 MiB is a failure, like one that needs more than two seconds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

const MOST_BYTES: usize = 64 << 20;

/// Bytes that are allocated now.
static USED: AtomicUsize = AtomicUsize::new(0);
/// The most that may be.
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);

/// The system's allocator, which has nothing to give beyond the bound.
pub struct Bounded;

// SAFETY: what is given is the system's, whole; to give nothing is always allowed.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = USED.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        if used > LIMIT.load(Ordering::Relaxed) {
            // Room for the message about it.
            LIMIT.store(usize::MAX, Ordering::Relaxed);
            return std::ptr::null_mut();
        }
        // SAFETY: the caller promises what the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as in `alloc`, from which the pointer came.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Runs a target over an input, within the bound.
pub fn run(target: fn(&[u8]), data: &[u8]) {
    let used = USED.load(Ordering::Relaxed);
    LIMIT.store(used.saturating_add(MOST_BYTES), Ordering::Relaxed);
    target(data);
    LIMIT.store(usize::MAX, Ordering::Relaxed);
}
