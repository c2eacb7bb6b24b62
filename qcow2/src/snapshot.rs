//! The table of internal snapshots: `docs/interop/qcow2.txt` of QEMU, "Snapshots".

use crate::error::{Error, field};
use crate::header::{Header, MAX_L1_ENTRIES, be16, be32, be64};

/// What is read of the table at most. QEMU takes more; a table this long has not been made by it.
pub(crate) const MAX_TABLE_BYTES: u64 = 8 << 20;
const FIXED_BYTES: usize = 40;

/// A state of the disk that the image has kept.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Its number, which is text.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Bytes that the disk had.
    pub size: u64,
    /// Entries of its L1 table.
    pub l1_entries: u32,
    /// Where that lies.
    pub l1_offset: u64,
}

/// The snapshots in `bytes`, which begin where the table does and go on behind it; and how long it is.
pub(crate) fn parse(header: &Header, bytes: &[u8]) -> Result<(Vec<Snapshot>, u64), Error> {
    let mut snapshots = Vec::new();
    let mut at = 0;
    for index in 0..u64::from(header.snapshots) {
        let past = || field("snapshot", index, "it goes past the end of its table");
        let Some(fixed) = bytes.get(at..at + FIXED_BYTES) else {
            return past();
        };
        let extra_bytes = be32(fixed, 36) as usize;
        let (id_bytes, name_bytes) = (be16(fixed, 12) as usize, be16(fixed, 14) as usize);
        let rest = bytes.get(at + FIXED_BYTES..).unwrap_or(&[]);
        let Some(rest) = rest.get(..extra_bytes.saturating_add(id_bytes + name_bytes)) else {
            return past();
        };
        let (extra, names) = rest.split_at(extra_bytes);
        let (id, name) = names.split_at(id_bytes);
        let size = if extra.len() >= 16 {
            be64(extra, 8)
        } else {
            header.size
        };
        let (l1_offset, l1_entries) = (be64(fixed, 0), be32(fixed, 8));
        let needed = header.l1_needed(size);
        if u64::from(l1_entries) > MAX_L1_ENTRIES || u64::from(l1_entries) < needed {
            let reason = format!("snapshot {index} of {size} bytes needs {needed} entries");
            return field("snapshot L1 size", l1_entries.into(), reason);
        }
        if l1_entries != 0 && (!l1_offset.is_multiple_of(header.cluster_bytes()) || l1_offset == 0)
        {
            let reason =
                format!("that of snapshot {index} is no multiple of the cluster size, or is 0");
            return field("snapshot L1 offset", l1_offset, reason);
        }
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        snapshots.push(Snapshot {
            id: text(id),
            name: text(name),
            size,
            l1_entries,
            l1_offset,
        });
        at = (at + FIXED_BYTES + rest.len()).next_multiple_of(8);
    }
    Ok((snapshots, at as u64))
}
