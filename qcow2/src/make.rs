//! New images: what is wanted of one, where its parts go, and how large it becomes.

mod bytes;
mod clusters;
mod writer;

use std::ops::Range;

use dmcrypt::SECTOR_BYTES;

pub use self::writer::Writer;
use crate::error::{Error, field};
use crate::header::{MAX_L1_ENTRIES, MAX_REFCOUNT_TABLE_BYTES};

/// Which of QEMU's versions can read an image.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Compat {
    /// Version 2, for QEMU before 1.1.
    V0_10,
    /// Version 3.
    #[default]
    V1_1,
}

/// What a new image is to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NewImage {
    /// Bytes of the disk.
    pub size: u64,
    /// Bytes of a cluster.
    pub cluster_bytes: u64,
    /// Who can read it.
    pub compat: Compat,
    /// Bytes of its LUKS header with keyslots, if it is to be encrypted.
    pub luks_bytes: Option<u64>,
}

impl NewImage {
    /// What QEMU has unless said.
    pub const CLUSTER_BYTES: u64 = 65536;
    /// The smallest clusters.
    pub const MIN_CLUSTER_BYTES: u64 = 512;
    /// The largest ones.
    pub const MAX_CLUSTER_BYTES: u64 = 2 << 20;

    /// A disk of `size` bytes, not encrypted, in clusters as QEMU has them.
    pub fn new(size: u64) -> Self {
        Self {
            size,
            cluster_bytes: Self::CLUSTER_BYTES,
            compat: Compat::default(),
            luks_bytes: None,
        }
    }

    /// How large its file becomes.
    ///
    /// # Errors
    ///
    /// [`Error::Field`] for numbers that QEMU would not take.
    pub fn measure(&self) -> Result<FileBytes, Error> {
        let layout = Layout::new(self)?;
        let cluster = layout.cluster_bytes();
        let empty = layout.whole(layout.first_free);
        let data = self.size.div_ceil(cluster);
        let full = layout.whole(layout.first_free + data + layout.l1_entries_used());
        Ok(FileBytes {
            empty: empty.end * cluster,
            full: full.end * cluster,
        })
    }
}

/// Bytes of the file of an image.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FileBytes {
    /// Where all that the disk holds is zeros.
    pub empty: u64,
    /// Where none of its clusters is.
    pub full: u64,
}

/// Where the parts go. Clusters are counted; the first has the header.
#[derive(Clone, Debug)]
struct Layout {
    cluster_bits: u32,
    size: u64,
    compat: Compat,
    luks: Option<Range<u64>>,
    /// The first cluster behind header and LUKS header.
    first_free: u64,
}

impl Layout {
    fn new(wanted: &NewImage) -> Result<Self, Error> {
        let cluster = wanted.cluster_bytes;
        if !cluster.is_power_of_two()
            || !(NewImage::MIN_CLUSTER_BYTES..=NewImage::MAX_CLUSTER_BYTES).contains(&cluster)
        {
            let reason = "it is a power of 2 from 512 to 2097152";
            return field("cluster size", cluster, reason);
        }
        let size = wanted.size;
        if !size.is_multiple_of(SECTOR_BYTES) {
            return field("size", size, "it is a multiple of 512");
        }
        let luks = match wanted.luks_bytes {
            None => None,
            Some(bytes) if bytes != 0 && bytes <= MAX_LUKS_BYTES => Some(cluster..cluster + bytes),
            Some(bytes) => {
                let reason = format!("it has 1 to {MAX_LUKS_BYTES} bytes");
                return field("LUKS header length", bytes, reason);
            }
        };
        let luks_clusters = wanted.luks_bytes.unwrap_or(0).div_ceil(cluster);
        let layout = Self {
            cluster_bits: cluster.trailing_zeros(),
            size,
            compat: wanted.compat,
            luks,
            first_free: 1 + luks_clusters,
        };
        let needed = layout.l1_entries_used();
        if needed > MAX_L1_ENTRIES {
            let reason = format!("it needs an L1 table of {needed} entries, of more than 32 MiB");
            return field("size", size, reason);
        }
        let data = size.div_ceil(cluster);
        let tail = layout.whole(layout.first_free + data + needed);
        if tail.refcount_table_clusters() * cluster > MAX_REFCOUNT_TABLE_BYTES.max(cluster) {
            let reason = format!("clusters of {cluster} bytes would need too many refcounts");
            return field("size", size, reason);
        }
        Ok(layout)
    }

    fn cluster_bytes(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Entries of an L2 table.
    fn l2_entries(&self) -> u64 {
        self.cluster_bytes() / 8
    }

    /// L2 tables of a disk that is full.
    fn l1_entries_used(&self) -> u64 {
        let clusters = self.size.div_ceil(self.cluster_bytes());
        clusters.div_ceil(self.l2_entries())
    }

    /// What follows the data and their L2 tables, which end before cluster `next`.
    fn whole(&self, next: u64) -> Tail {
        let cluster = self.cluster_bytes();
        let l1 = (self.l1_entries_used() * 8).div_ceil(cluster);
        let blocks = next + l1;
        // What counts clusters is counted too.
        let (mut table, mut end) = (blocks, blocks);
        loop {
            let blocks_needed = end.div_ceil(cluster / REFCOUNT_BYTES);
            let table_needed = (blocks_needed * 8).div_ceil(cluster);
            if blocks + blocks_needed + table_needed == end {
                return Tail {
                    l1: next,
                    blocks,
                    table,
                    end,
                };
            }
            table = blocks + blocks_needed;
            end = table + table_needed;
        }
    }
}

/// What an image ends with: clusters where each part begins, and where the last one ends.
#[derive(Clone, Copy, Debug)]
struct Tail {
    l1: u64,
    blocks: u64,
    table: u64,
    end: u64,
}

impl Tail {
    fn refcount_table_clusters(&self) -> u64 {
        self.end - self.table
    }
}

/// Refcounts have 16 bits.
const REFCOUNT_BYTES: u64 = 2;
/// More than any header has.
const MAX_LUKS_BYTES: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refcounts_count_themselves_at_every_size() {
        for cluster_bytes in [512, 4096, 65536, 2 << 20] {
            let wanted = NewImage {
                cluster_bytes,
                ..NewImage::new(1 << 30)
            };
            let layout = Layout::new(&wanted).expect("fits");
            for next in (1..3000).chain([1 << 16, (1 << 20) + 7]) {
                let tail = layout.whole(next);
                let blocks = tail.table - tail.blocks;
                assert!(
                    blocks * cluster_bytes / 2 >= tail.end,
                    "{cluster_bytes} {next}"
                );
                let table = tail.refcount_table_clusters();
                assert!(
                    table * cluster_bytes / 8 >= blocks,
                    "{cluster_bytes} {next}"
                );
                assert!((blocks - 1) * cluster_bytes / 2 < tail.end);
            }
        }
    }

    #[test]
    fn what_qemu_would_not_take_is_refused() {
        let refused = |wanted: NewImage| match wanted.measure() {
            Err(Error::Field { field, value, .. }) => (field, value),
            other => panic!("{other:?}"),
        };
        let image = NewImage::new(1 << 20);
        for cluster_bytes in [0, 256, 65537, 4 << 20] {
            let wanted = NewImage {
                cluster_bytes,
                ..image
            };
            assert_eq!(refused(wanted), ("cluster size", cluster_bytes));
        }
        let (small, huge) = (NewImage::new(513), NewImage::new(1 << 62));
        assert_eq!(refused(small), ("size", 513));
        assert_eq!(refused(huge), ("size", 1 << 62));
        let wanted = NewImage {
            cluster_bytes: 512,
            ..NewImage::new(128 << 30)
        };
        assert_eq!(refused(wanted), ("size", 128 << 30));
        let wanted = NewImage {
            luks_bytes: Some(0),
            ..image
        };
        assert_eq!(refused(wanted), ("LUKS header length", 0));
    }
}
