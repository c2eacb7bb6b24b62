//! The header of a new image, as bytes: `docs/interop/qcow2.txt` of QEMU, "Header" and "Header extensions".

use super::{Compat, Layout, Tail};
use crate::header::{LUKS, MAGIC};

/// All that is written lies in the first sector, so that a write of it is there whole or not at all.
pub(super) const BYTES: usize = 512;

/// Refcounts of 16 bits.
const REFCOUNT_ORDER: u32 = 4;
/// With the type of compression, which is none.
const V3_BYTES: u32 = 112;
const LUKS_METHOD: u32 = 2;

/// The header of an image that ends in `tail`.
pub(super) fn header(layout: &Layout, tail: &Tail) -> [u8; BYTES] {
    let at = |cluster: u64| cluster << layout.cluster_bits;
    let narrow = |number: u64| u32::try_from(number).expect("the layout was checked");
    let is_v3 = layout.compat == Compat::V1_1;
    let mut bytes = Bytes {
        bytes: [0; BYTES],
        len: 0,
    };
    bytes.put(MAGIC);
    bytes.put(&(if is_v3 { 3_u32 } else { 2 }).to_be_bytes());
    // No backing file: its offset, and the length of its name.
    bytes.put(&[0; 12]);
    bytes.put(&layout.cluster_bits.to_be_bytes());
    bytes.put(&layout.size.to_be_bytes());
    let method = if layout.luks.is_some() {
        LUKS_METHOD
    } else {
        0
    };
    bytes.put(&method.to_be_bytes());
    bytes.put(&narrow(layout.l1_entries_used()).to_be_bytes());
    // A disk without a byte has no such table.
    let l1 = if layout.size == 0 { 0 } else { at(tail.l1) };
    bytes.put(&l1.to_be_bytes());
    bytes.put(&at(tail.table).to_be_bytes());
    bytes.put(&narrow(tail.refcount_table_clusters()).to_be_bytes());
    // No snapshots: their number, and where their table lies.
    bytes.put(&[0; 12]);
    if is_v3 {
        // No features.
        bytes.put(&[0; 24]);
        bytes.put(&REFCOUNT_ORDER.to_be_bytes());
        bytes.put(&V3_BYTES.to_be_bytes());
        bytes.put(&[0; 8]);
    }
    if let Some(luks) = &layout.luks {
        bytes.put(&LUKS.to_be_bytes());
        bytes.put(&16_u32.to_be_bytes());
        bytes.put(&luks.start.to_be_bytes());
        bytes.put(&(luks.end - luks.start).to_be_bytes());
    }
    bytes.bytes
}

struct Bytes {
    bytes: [u8; BYTES],
    len: usize,
}

impl Bytes {
    fn put(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        self.bytes[self.len..end].copy_from_slice(bytes);
        self.len = end;
    }
}
