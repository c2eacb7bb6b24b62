//! Memory and time that end: an input that needs more than 64 MiB or two seconds of the processor is a failure.
//!
//! libFuzzer's own bound of time is that of a clock on the wall, which a busy machine alone can exceed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

const MOST_BYTES: usize = 64 << 20;
const MOST_TIME: Duration = Duration::from_secs(2);

/// Bytes that are allocated now.
static USED: AtomicUsize = AtomicUsize::new(0);
/// The most that may be.
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);
/// Whether more was asked for.
static EXCEEDED: AtomicBool = AtomicBool::new(false);

/// The system's allocator, which has nothing to give beyond the bound.
pub struct Bounded;

/// Counts bytes in, if there are as many left.
fn take(bytes: usize) -> bool {
    let used = USED.fetch_add(bytes, Ordering::Relaxed) + bytes;
    if used <= LIMIT.load(Ordering::Relaxed) {
        return true;
    }
    give_back(bytes);
    EXCEEDED.store(true, Ordering::Relaxed);
    // Room for the message about it.
    LIMIT.store(usize::MAX, Ordering::Relaxed);
    false
}

fn give_back(bytes: usize) {
    USED.fetch_sub(bytes, Ordering::Relaxed);
}

// SAFETY: what is given is the system's, whole; to give nothing is always allowed.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !take(layout.size()) {
            return ptr::null_mut();
        }
        // SAFETY: the caller promises what the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        give_back(layout.size());
        // SAFETY: as in `alloc`, from which the pointer came.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_bytes: usize) -> *mut u8 {
        if !take(new_bytes.saturating_sub(layout.size())) {
            return ptr::null_mut();
        }
        give_back(layout.size().saturating_sub(new_bytes));
        // SAFETY: as in `alloc`, from which the pointer came.
        unsafe { System.realloc(pointer, layout, new_bytes) }
    }
}

/// Runs a target over an input, within the bound.
///
/// # Panics
/// When it asks for more memory, whether it gets along without or not, or takes longer.
pub fn run(target: fn(&[u8]) -> bool, data: &[u8]) {
    let start = processor_time();
    let used = USED.load(Ordering::Relaxed);
    LIMIT.store(used.saturating_add(MOST_BYTES), Ordering::Relaxed);
    target(data);
    LIMIT.store(usize::MAX, Ordering::Relaxed);
    assert!(!EXCEEDED.load(Ordering::Relaxed), "too much memory");
    let took = processor_time().saturating_sub(start);
    assert!(took <= MOST_TIME, "too much time: {took:?}");
}

/// What all threads have had of the processor.
fn processor_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime)
        .try_into()
        .expect("it is not negative")
}
