//! Anonymous memory of its own, in large pages where the kernel has them.

use std::ops::{Deref, DerefMut};
use std::{ptr, slice};

use rustix::mm::{self, MapFlags, ProtFlags};

use super::mixing::Block;

/// Blocks that start as zeros. Who used them wipes them.
pub(crate) struct Pages {
    start: *mut Block,
    blocks: usize,
}

// SAFETY: the mapping belongs to this value alone, and blocks are plain integers.
unsafe impl Send for Pages {}
// SAFETY: as above; a shared reference only reads.
unsafe impl Sync for Pages {}

impl Pages {
    /// `None` where there is not so much memory, or none was asked for.
    pub(crate) fn new(blocks: usize) -> Option<Self> {
        let bytes = blocks.checked_mul(size_of::<Block>())?;
        // SAFETY: a new mapping overlaps nothing that is in use.
        let start = unsafe {
            mm::mmap_anonymous(
                ptr::null_mut(),
                bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        };
        let start = start.ok()?;
        // Argon2 jumps about in it: with small pages the processor would look most of their addresses up anew.
        #[cfg(target_os = "linux")]
        // SAFETY: the advice does not change what the mapping holds. A kernel without large pages refuses it.
        let _ = unsafe { mm::madvise(start, bytes, mm::Advice::LinuxHugepage) };
        Some(Self {
            start: start.cast(),
            blocks,
        })
    }
}

impl Deref for Pages {
    type Target = [Block];

    fn deref(&self) -> &[Block] {
        // SAFETY: the mapping has room for so many blocks and is aligned to a page, more than a block is; the kernel
        // filled it with zeros, and any bytes are a block. It lives as long as this value, which the slice borrows.
        unsafe { slice::from_raw_parts(self.start, self.blocks) }
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [Block] {
        // SAFETY: as above, and the slice borrows this value exclusively.
        unsafe { slice::from_raw_parts_mut(self.start, self.blocks) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // Whoever fills it wipes it, after a key as after what was cut off.
        #[cfg(test)]
        assert!(
            std::thread::panicking() || self.iter().all(|block| block.0 == Block::ZERO.0),
            "memory is given back that is not wiped"
        );
        // SAFETY: the mapping is this value's own and of this length, and no slice of it is left.
        let unmapped = unsafe { mm::munmap(self.start.cast(), size_of_val(&**self)) };
        debug_assert!(unmapped.is_ok(), "a whole mapping can be given back");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_zero_and_every_block_of_it_is_there() {
        let mut pages = Pages::new(3000).unwrap();
        assert_eq!(pages.len(), 3000);
        assert!(pages.iter().all(|block| block.0 == [0; 128]));
        for (number, block) in (1..).zip(pages.iter_mut()) {
            block.0.fill(number);
        }
        assert_eq!(pages[0].0, [1; 128]);
        assert_eq!(pages[2999].0, [3000; 128]);
        pages.fill(Block::ZERO);
    }

    #[test]
    fn what_cannot_be_had_is_no_memory() {
        for blocks in [0, usize::MAX, usize::MAX / 1024] {
            assert!(Pages::new(blocks).is_none(), "{blocks}");
        }
    }
}
