//! What is recorded of disks: each change, and each sync.

use std::ops::Range;
use std::sync::Arc;

use super::super::memory::Pages;

/// One change of a disk, or a sync of it.
#[derive(Clone)]
pub(super) struct Step {
    pub(super) disk: usize,
    /// `None`: everything so far was synced.
    pub(super) change: Option<Change>,
}

#[derive(Clone)]
pub(super) enum Change {
    Write { offset: u64, data: Arc<[u8]> },
    SetLen(u64),
    PunchHole(Range<u64>),
}

impl Change {
    pub(super) fn apply(&self, pages: &mut Pages) {
        match self {
            Self::Write { offset, data } => put(pages, *offset, data),
            Self::SetLen(len) => pages.set_len(*len),
            Self::PunchHole(range) => pages.punch(range.clone()),
        }
    }

    /// Of a write some of its bytes only.
    pub(super) fn apply_part(&self, bytes: &Range<usize>, pages: &mut Pages) {
        match self {
            Self::Write { offset, data } => {
                put(pages, offset + bytes.start as u64, &data[bytes.clone()]);
            }
            whole => whole.apply(pages),
        }
    }
}

fn put(pages: &mut Pages, offset: u64, data: &[u8]) {
    pages
        .write(offset, data)
        .expect("the end was checked when the write was recorded");
}
