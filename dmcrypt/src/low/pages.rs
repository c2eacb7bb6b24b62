//! Pages that the system is asked to keep in memory and out of core dumps.

use std::alloc::{Layout, handle_alloc_error};
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

use zeroize::Zeroize as _;

/// Whether any pages could not be locked.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Whether the system has refused to lock any pages since the process began.
pub(crate) fn refused() -> bool {
    REFUSED.load(Ordering::Relaxed)
}

/// Bytes that no other value shares a page with. All zero at first, and wiped at last.
pub(crate) struct Pages {
    start: NonNull<u8>,
    len_bytes: usize,
}

// SAFETY: the bytes belong to this value alone, which gives them out by reference as any owner does.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

impl Pages {
    /// `layout.size()` bytes, none or more.
    ///
    /// # Panics
    /// When an alignment is asked for that pages do not have.
    pub(crate) fn new(layout: Layout) -> Self {
        assert!(layout.align() <= 4096, "no page is aligned so");
        let len_bytes = layout.size();
        let start = if len_bytes == 0 {
            NonNull::dangling()
        } else {
            system::map(len_bytes).unwrap_or_else(|| handle_alloc_error(layout))
        };
        Self { start, len_bytes }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `new` has mapped so many bytes, all of them initialized; where there are none, any address will do.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len_bytes) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and nobody else refers to them.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len_bytes) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
        if self.len_bytes > 0 {
            // SAFETY: they were mapped so, and nobody refers to them any more.
            unsafe { system::unmap(self.start, self.len_bytes) }
        }
    }
}

/// A value on pages of its own, what it holds by reference excepted.
pub(crate) struct Locked<T> {
    pages: Pages,
    value: PhantomData<T>,
}

impl<T> Locked<T> {
    /// Moves a value there. What the move leaves on the stack is for [`wipe_stack`](crate::wipe_stack).
    pub(crate) fn new(value: T) -> Self {
        const { assert!(size_of::<T>() > 0, "there must be a value to lock") };
        let locked = Self {
            pages: Pages::new(Layout::new::<T>()),
            value: PhantomData,
        };
        // SAFETY: the pages are as large as the value and aligned for it, and nothing else lies there.
        unsafe { locked.place().write(value) };
        locked
    }

    fn place(&self) -> NonNull<T> {
        self.pages.start.cast()
    }
}

impl<T> Deref for Locked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `new` has put a value there, which stays until this is dropped.
        unsafe { self.place().as_ref() }
    }
}

impl<T> Drop for Locked<T> {
    fn drop(&mut self) {
        // SAFETY: the value is there and is not used again; the pages are wiped and unmapped after it.
        unsafe { self.place().drop_in_place() }
    }
}

#[cfg(unix)]
mod system {
    use super::{NonNull, Ordering, REFUSED};
    use rustix::mm::{MapFlags, ProtFlags, mlock, mmap_anonymous, munmap};

    pub(super) fn map(len_bytes: usize) -> Option<NonNull<u8>> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the system chooses an address where nothing is.
        let start =
            unsafe { mmap_anonymous(std::ptr::null_mut(), len_bytes, access, MapFlags::PRIVATE) }
                .ok()?;
        // SAFETY: these are the bytes that were just mapped.
        if unsafe { mlock(start, len_bytes) }.is_err() {
            REFUSED.store(true, Ordering::Relaxed);
        }
        #[cfg(target_os = "linux")]
        // SAFETY: as above. It changes what a core dump has, not what is read. No kernel that is still in use refuses.
        let _ = unsafe { rustix::mm::madvise(start, len_bytes, rustix::mm::Advice::LinuxDontDump) };
        NonNull::new(start.cast())
    }

    /// # Safety
    /// `map` has made them, and nobody refers to them.
    pub(super) unsafe fn unmap(start: NonNull<u8>, len_bytes: usize) {
        // SAFETY: the caller promises it. It fails for addresses alone that `map` does not give.
        let _ = unsafe { munmap(start.as_ptr().cast(), len_bytes) };
    }
}

/// Where nothing is known about locking, memory of the allocator.
#[cfg(not(unix))]
mod system {
    use super::{Layout, NonNull, Ordering, REFUSED};
    use std::alloc::{alloc_zeroed, dealloc};

    fn layout(len_bytes: usize) -> Option<Layout> {
        Layout::from_size_align(len_bytes, 4096).ok()
    }

    pub(super) fn map(len_bytes: usize) -> Option<NonNull<u8>> {
        REFUSED.store(true, Ordering::Relaxed);
        // SAFETY: there is at least one byte.
        NonNull::new(unsafe { alloc_zeroed(layout(len_bytes)?) })
    }

    /// # Safety
    /// `map` has made them, and nobody refers to them.
    pub(super) unsafe fn unmap(start: NonNull<u8>, len_bytes: usize) {
        let layout = layout(len_bytes).expect("`map` had the same");
        // SAFETY: the caller promises it.
        unsafe { dealloc(start.as_ptr(), layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Locked, Pages};
    use std::alloc::Layout;
    use std::sync::Arc;

    /// The flags of the mapping that an address lies in (`proc_pid_smaps(5)`).
    fn flags_at(address: usize) -> Vec<String> {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut is_it = false;
        for line in maps.lines() {
            let range = line.split(' ').next().unwrap().split_once('-');
            if let Some(ends) = range
                && let (Ok(start), Ok(end)) = (
                    usize::from_str_radix(ends.0, 16),
                    usize::from_str_radix(ends.1, 16),
                )
            {
                is_it = (start..end).contains(&address);
            } else if is_it && let Some(flags) = line.strip_prefix("VmFlags: ") {
                return flags.split_whitespace().map(str::to_owned).collect();
            }
        }
        Vec::new()
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn e2_pages_are_locked_and_left_out_of_dumps_while_they_are_there() {
        let mut pages = Pages::new(Layout::from_size_align(5000, 1).unwrap());
        assert_eq!(pages.bytes(), [0; 5000]);
        pages.bytes_mut()[4999] = 7;
        assert_eq!(pages.bytes()[4999], 7);
        for address in [
            pages.bytes().as_ptr().addr(),
            &raw const pages.bytes()[4999] as usize,
        ] {
            let flags = flags_at(address);
            assert!(flags.iter().any(|flag| flag == "dd"), "{flags:?}");
            assert!(
                flags.iter().any(|flag| flag == "lo") || super::refused(),
                "{flags:?}"
            );
        }
        let start = pages.bytes().as_ptr().addr();
        // Others may map there afterwards, but not before this has looked: nothing else here maps.
        drop(pages);
        let flags = flags_at(start);
        assert!(!flags.iter().any(|flag| flag == "dd"), "{flags:?}");
    }

    #[test]
    fn a_value_lives_there_and_is_dropped_once() {
        #[repr(align(64))]
        struct Aligned(Arc<()>, [u8; 100]);
        let counted = Arc::new(());
        let locked = Locked::new(Aligned(Arc::clone(&counted), [3; 100]));
        assert!((&raw const *locked).addr().is_multiple_of(64));
        assert_eq!((Arc::strong_count(&locked.0), locked.1), (2, [3; 100]));
        drop(locked);
        assert_eq!(Arc::strong_count(&counted), 1);
        assert!(Pages::new(Layout::new::<()>()).bytes().is_empty());
    }
}
