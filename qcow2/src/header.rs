//! The header and its extensions, as bytes: `docs/interop/qcow2.txt` of QEMU, "Header" and "Header extensions".

use std::ops::Range;

use crate::error::{Error, field, unsupported};

/// What is read before the size of a cluster is known.
pub(crate) const FIXED_BYTES: usize = 104;
/// QEMU's own bound of an L1 table: 32 MiB.
pub(crate) const MAX_L1_ENTRIES: u64 = (32 << 20) / 8;
/// QEMU's own bound of a refcount table: 8 MiB.
pub(crate) const MAX_REFCOUNT_TABLE_BYTES: u64 = 8 << 20;
/// QEMU's own bound of internal snapshots.
const MAX_SNAPSHOTS: u32 = 65536;
const MAX_NAME_BYTES: u64 = 1023;

pub(crate) const MAGIC: &[u8] = b"QFI\xfb";
const BACKING_FORMAT: u32 = 0xe279_2aca;
const BITMAPS: u32 = 0x2385_2875;
const FEATURE_NAMES: u32 = 0x6803_f857;
pub(crate) const LUKS: u32 = 0x0537_be77;
const DATA_FILE: u32 = 0x4441_5441;

const DIRTY: u64 = 1 << 0;
const CORRUPT: u64 = 1 << 1;
const EXTERNAL: u64 = 1 << 2;
const COMPRESSION: u64 = 1 << 3;
const EXTENDED: u64 = 1 << 4;
const KNOWN: u64 = DIRTY | CORRUPT | EXTERNAL | COMPRESSION | EXTENDED;

/// How clusters are compressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Compression {
    /// RFC 1951.
    Deflate,
    /// RFC 8878.
    Zstd,
}

/// How an image is encrypted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Crypt {
    /// It is not.
    None,
    /// By LUKS, whose header lies in these bytes of the image.
    Luks(Range<u64>),
}

/// A header that can be worked with. Offsets are bytes of the image's own file.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is a mark by itself")]
pub struct Header {
    /// 2 or 3.
    pub version: u32,
    /// Clusters have 2 to this power bytes: 9 to 21.
    pub cluster_bits: u32,
    /// Bytes of the disk.
    pub size: u64,
    /// How it is encrypted.
    pub crypt: Crypt,
    /// What stands below the disk, as the image names it.
    pub backing_file: Option<String>,
    /// The format of that, where it is said.
    pub backing_format: Option<String>,
    /// The file that has the clusters, as the image names it; it may be empty.
    pub data_file: Option<String>,
    /// Entries of the L1 table.
    pub l1_entries: u32,
    /// Where it lies.
    pub l1_offset: u64,
    /// Where the refcount table lies.
    pub refcount_table_offset: u64,
    /// Clusters that it takes.
    pub refcount_table_clusters: u32,
    /// Refcounts have 2 to this power bits: 0 to 6.
    pub refcount_order: u32,
    /// How many internal snapshots there are.
    pub snapshots: u32,
    /// Where their table lies.
    pub snapshots_offset: u64,
    /// How clusters are compressed that are.
    pub compression: Compression,
    /// L2 entries have a bitmap of subclusters.
    pub has_extended_l2: bool,
    /// It has bitmaps of what was written, for backups.
    pub has_bitmaps: bool,
    /// Refcounts may be wrong.
    pub is_dirty: bool,
    /// Somebody has found it damaged.
    pub is_corrupt: bool,
    /// Compatible features, all bits.
    pub compatible: u64,
    /// Autoclear features, all bits.
    pub autoclear: u64,
}

impl Header {
    /// Bytes of a cluster.
    pub fn cluster_bytes(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Bytes of an L2 entry.
    pub(crate) fn l2_entry_bytes(&self) -> u64 {
        if self.has_extended_l2 { 16 } else { 8 }
    }

    /// Entries of an L2 table.
    pub(crate) fn l2_entries(&self) -> u64 {
        self.cluster_bytes() / self.l2_entry_bytes()
    }

    /// L1 entries that a disk of `size` bytes needs.
    pub(crate) fn l1_needed(&self, size: u64) -> u64 {
        size.div_ceil(self.cluster_bytes())
            .div_ceil(self.l2_entries())
    }

    /// The header in the first cluster of an image, or as much of it as the file has.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.get(..4) != Some(b"QFI\xfb") {
            return Err(Error::Magic);
        }
        if bytes.len() < 72 {
            return field(
                "header length",
                bytes.len() as u64,
                "it has 72 bytes at least",
            );
        }
        let version = be32(bytes, 4);
        if !matches!(version, 2 | 3) {
            return unsupported("version", version.into(), "it is 2 or 3");
        }
        let cluster_bits = cluster_bits(bytes)?;
        let cluster = 1_u64 << cluster_bits;
        let v3 = version == 3;
        if v3 && bytes.len() < FIXED_BYTES {
            return field(
                "header length",
                bytes.len() as u64,
                "it has 104 bytes at least",
            );
        }
        let (incompatible, compatible, autoclear) = if v3 {
            (be64(bytes, 72), be64(bytes, 80), be64(bytes, 88))
        } else {
            (0, 0, 0)
        };
        let refcount_order = if v3 { be32(bytes, 96) } else { 4 };
        let header_length = if v3 { be32(bytes, 100) } else { 72 };
        if header_length as usize > bytes.len()
            || (v3 && (header_length as usize) < FIXED_BYTES)
            || !header_length.is_multiple_of(8)
        {
            let reason = "it is 104 or more, a multiple of 8, and within the first cluster";
            return field("header length", header_length.into(), reason);
        }
        let backing = (be64(bytes, 8), be32(bytes, 16));
        let backing_file = name_at(bytes, backing, header_length.into())?;
        let end = match backing.0 {
            0 => bytes.len(),
            offset => usize::try_from(offset).map_or(bytes.len(), |end| end.min(bytes.len())),
        };
        let extensions = Extensions::parse(&bytes[..end], header_length as usize)?;

        let unknown = incompatible & !KNOWN;
        if unknown != 0 {
            let bit = unknown.trailing_zeros();
            let named = extensions.feature_name(u8::try_from(bit).unwrap_or(u8::MAX));
            let reason = format!("incompatible bit {bit} is unknown{named}");
            return unsupported("incompatible features", incompatible, reason);
        }
        let compression = if header_length > 104 { bytes[104] } else { 0 };
        let compression = match compression {
            0 => Compression::Deflate,
            1 => Compression::Zstd,
            other => return unsupported("compression type", other.into(), "it is 0 or 1"),
        };
        if (incompatible & COMPRESSION != 0) != (compression != Compression::Deflate) {
            let reason = "its bit for the compression type does not fit the type";
            return field("incompatible features", incompatible, reason);
        }
        let has_extended_l2 = incompatible & EXTENDED != 0;
        if has_extended_l2 && cluster_bits < 14 {
            let reason = "extended L2 entries need clusters of 16 KiB at least";
            return field("cluster bits", cluster_bits.into(), reason);
        }
        if refcount_order > 6 {
            let reason = "refcounts have 64 bits at most, which is order 6";
            return field("refcount order", refcount_order.into(), reason);
        }
        let method = be32(bytes, 32);
        let crypt = match (method, extensions.luks) {
            (0, None) => Crypt::None,
            (0, Some((offset, _))) => {
                return field("LUKS header offset", offset, "the image is not encrypted");
            }
            (1, _) => {
                let reason = "the old AES method, which QEMU has given up for LUKS";
                return unsupported("encryption method", 1, reason);
            }
            (2, None) => return field("encryption method", 2, "no LUKS header is named"),
            (2, Some((offset, length))) => match offset.checked_add(length) {
                Some(end) if offset.is_multiple_of(cluster) && offset != 0 && length != 0 => {
                    Crypt::Luks(offset..end)
                }
                _ => {
                    let reason = format!("{length} bytes cannot begin there");
                    return field("LUKS header offset", offset, reason);
                }
            },
            (other, _) => {
                return unsupported("encryption method", other.into(), "it is 0, 1 or 2");
            }
        };
        let external = incompatible & EXTERNAL != 0;
        let data_file = external.then(|| extensions.data_file.unwrap_or_default());
        let header = Self {
            version,
            cluster_bits,
            size: be64(bytes, 24),
            crypt,
            backing_file,
            backing_format: extensions.backing_format,
            data_file,
            l1_entries: be32(bytes, 36),
            l1_offset: be64(bytes, 40),
            refcount_table_offset: be64(bytes, 48),
            refcount_table_clusters: be32(bytes, 56),
            refcount_order,
            snapshots: be32(bytes, 60),
            snapshots_offset: be64(bytes, 64),
            compression,
            has_extended_l2,
            has_bitmaps: extensions.has_bitmaps,
            is_dirty: incompatible & DIRTY != 0,
            is_corrupt: incompatible & CORRUPT != 0,
            compatible,
            autoclear,
        };
        header.check()?;
        Ok(header)
    }

    /// Numbers that do not depend on what else is in the file.
    fn check(&self) -> Result<(), Error> {
        let cluster = self.cluster_bytes();
        let needed = self.l1_needed(self.size);
        if needed > MAX_L1_ENTRIES {
            let reason = format!("it needs an L1 table of {needed} entries, of more than 32 MiB");
            return field("size", self.size, reason);
        }
        if u64::from(self.l1_entries) > MAX_L1_ENTRIES {
            return field(
                "L1 size",
                self.l1_entries.into(),
                "the table exceeds 32 MiB",
            );
        }
        if u64::from(self.l1_entries) < needed {
            let reason = format!("the size {} needs {needed} entries", self.size);
            return field("L1 size", self.l1_entries.into(), reason);
        }
        if u64::from(self.refcount_table_clusters) * cluster > MAX_REFCOUNT_TABLE_BYTES.max(cluster)
        {
            let clusters = self.refcount_table_clusters.into();
            return field(
                "refcount table clusters",
                clusters,
                "the table exceeds 8 MiB",
            );
        }
        if self.snapshots > MAX_SNAPSHOTS {
            return field(
                "snapshots",
                self.snapshots.into(),
                "there are 65536 at most",
            );
        }
        let offsets = [
            ("L1 offset", self.l1_offset, self.l1_entries != 0),
            ("refcount table offset", self.refcount_table_offset, true),
            (
                "snapshots offset",
                self.snapshots_offset,
                self.snapshots != 0,
            ),
        ];
        for (name, offset, is_used) in offsets {
            if is_used && (!offset.is_multiple_of(cluster) || offset == 0) {
                let reason = format!("it is no multiple of the cluster size {cluster}, or is 0");
                return field(name, offset, reason);
            }
        }
        Ok(())
    }
}

/// The size of clusters, which says how much of the header is still to be read.
pub(crate) fn cluster_bits(bytes: &[u8]) -> Result<u32, Error> {
    let bits = be32(bytes, 20);
    if (9..=21).contains(&bits) {
        Ok(bits)
    } else {
        field("cluster bits", bits.into(), "they are 9 to 21")
    }
}

fn name_at(bytes: &[u8], place: (u64, u32), header_length: u64) -> Result<Option<String>, Error> {
    let (offset, length) = (place.0, u64::from(place.1));
    if offset == 0 {
        return Ok(None);
    }
    if length > MAX_NAME_BYTES {
        return field("backing file name length", length, "it is 1023 at most");
    }
    if offset < header_length || offset + length > bytes.len() as u64 || length == 0 {
        let reason = format!("{length} bytes there are not behind the header in the first cluster");
        return field("backing file offset", offset, reason);
    }
    let at = usize::try_from(offset).unwrap_or(usize::MAX);
    Ok(Some(text(&bytes[at..at + place.1 as usize])))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What the extensions say that matters here; others are left alone.
#[derive(Default)]
struct Extensions<'a> {
    luks: Option<(u64, u64)>,
    backing_format: Option<String>,
    has_bitmaps: bool,
    data_file: Option<String>,
    features: &'a [u8],
}

impl<'a> Extensions<'a> {
    fn parse(bytes: &'a [u8], start: usize) -> Result<Self, Error> {
        let mut found = Self::default();
        let mut at = start;
        while at + 8 <= bytes.len() {
            let (kind, length) = (be32(bytes, at), be32(bytes, at + 4));
            if kind == 0 {
                break;
            }
            let Some(data) = bytes[at + 8..].get(..length as usize) else {
                return field(
                    "header extension length",
                    length.into(),
                    "it goes past the first cluster",
                );
            };
            let is_twice = match kind {
                LUKS => {
                    if length != 16 {
                        return field("LUKS header extension length", length.into(), "it is 16");
                    }
                    found.luks.replace((be64(data, 0), be64(data, 8))).is_some()
                }
                BACKING_FORMAT => found.backing_format.replace(text(data)).is_some(),
                DATA_FILE => found.data_file.replace(text(data)).is_some(),
                BITMAPS => {
                    found.has_bitmaps = true;
                    false
                }
                FEATURE_NAMES => {
                    found.features = data;
                    false
                }
                _ => false,
            };
            if is_twice {
                return field("header extension", kind.into(), "it is there twice");
            }
            at += 8 + (length as usize).next_multiple_of(8);
        }
        Ok(found)
    }

    /// What the image calls an incompatible bit.
    fn feature_name(&self, bit: u8) -> String {
        let row = self
            .features
            .chunks_exact(48)
            .find(|row| row[..2] == [0, bit]);
        row.map_or(String::new(), |row| {
            let name = row[2..].split(|&byte| byte == 0).next().unwrap_or(&[]);
            format!(" ({})", text(name).escape_debug())
        })
    }
}

pub(crate) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(array(bytes, at))
}

pub(crate) fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(array(bytes, at))
}

pub(crate) fn be64(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(array(bytes, at))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("it has that length")
}
