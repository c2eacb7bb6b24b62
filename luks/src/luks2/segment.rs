//! Data segments (LUKS2 specification 3.3).

use dmcrypt::CipherSpec;

use super::json::Object;
use crate::error::{Corrupt, MemberProblem, Unsupported};

/// A segment object.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Its number.
    pub id: u32,
    /// First byte in the data storage.
    pub offset: u64,
    /// How long it is.
    pub size: SegmentSize,
    /// Flags, unknown ones too.
    pub flags: Vec<String>,
    /// What kind it is.
    pub kind: SegmentKind,
}

/// Length of a segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SegmentSize {
    /// To the end of the storage.
    Dynamic,
    /// So many bytes.
    Bytes(u64),
}

/// The kinds of segments.
#[derive(Clone, Debug)]
pub enum SegmentKind {
    /// Plaintext, which a reencryption leaves while it is under way.
    Linear,
    /// Encrypted.
    Crypt(Crypt),
    /// Another kind, kept as it came.
    Other {
        /// Its type.
        kind: String,
    },
}

/// How a segment is encrypted.
#[derive(Clone, Debug)]
pub struct Crypt {
    /// The specification as written.
    pub text: String,
    /// What it means, where it is known.
    pub spec: Result<CipherSpec, Unsupported>,
    /// IV number of its first byte, in 512-byte sectors.
    pub iv_tweak: u64,
    /// Sector size in bytes.
    pub sector_size: u32,
    /// Whether there are authentication tags.
    pub integrity: bool,
}

/// What the kernel counts a disk in.
pub(super) const DISK_SECTOR_BYTES: u32 = 512;

impl Segment {
    pub(super) fn parse(id: u32, object: &Object<'_>) -> Result<Self, Corrupt> {
        let kind = object.text("type")?;
        let offset = object.u64_string("offset")?;
        let size = match object.string("size")? {
            "dynamic" => SegmentSize::Dynamic,
            _ => SegmentSize::Bytes(object.u64_string("size")?),
        };
        let flags = object.optional_strings("flags")?;
        if let SegmentSize::Bytes(bytes) = size {
            if bytes == 0 {
                return Err(object.problem("size", MemberProblem::Value("0".into())));
            }
            // 2^64 - 1 is a size that the reference accepts; only what is opened must fit its storage.
            if bytes != u64::MAX && offset.checked_add(bytes).is_none() {
                return Err(Corrupt::SegmentOverflow {
                    segment: id,
                    offset,
                    size: bytes,
                });
            }
        }
        let kind = match kind {
            "linear" => SegmentKind::Linear,
            "crypt" => SegmentKind::Crypt(Crypt::parse(id, object)?),
            other => SegmentKind::Other { kind: other.into() },
        };
        let segment = Self {
            id,
            offset,
            size,
            flags,
            kind,
        };
        segment.check_alignment()?;
        Ok(segment)
    }

    /// A segment begins at a sector of the disk and is made of its own.
    fn check_alignment(&self) -> Result<(), Corrupt> {
        let sector = match &self.kind {
            SegmentKind::Crypt(crypt) => crypt.sector_size,
            SegmentKind::Linear | SegmentKind::Other { .. } => DISK_SECTOR_BYTES,
        };
        let size = match self.size {
            SegmentSize::Dynamic => 0,
            SegmentSize::Bytes(bytes) => bytes,
        };
        let is_aligned = |number: u64, sector| number.checked_rem(u64::from(sector)) == Some(0);
        if is_aligned(self.offset, DISK_SECTOR_BYTES) && is_aligned(size, sector) {
            return Ok(());
        }
        Err(Corrupt::SegmentAlignment {
            segment: self.id,
            offset: self.offset,
            size,
            sector,
        })
    }

    /// Whether a byte belongs to both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.offset < other.end() && other.offset < self.end()
    }

    /// First byte after it, as far as numbers go.
    fn end(&self) -> u64 {
        match self.size {
            SegmentSize::Dynamic => u64::MAX,
            SegmentSize::Bytes(bytes) => self.offset.saturating_add(bytes),
        }
    }

    /// Whether it only remembers a state before or after a reencryption.
    pub fn is_backup(&self) -> bool {
        self.flags.iter().any(|flag| flag.starts_with("backup-"))
    }
}

impl Crypt {
    fn parse(id: u32, object: &Object<'_>) -> Result<Self, Corrupt> {
        let text = object.text("encryption")?;
        let iv_tweak = object.u64_string("iv_tweak")?;
        let sector_size = object.u32("sector_size")?;
        if sector_size == 0 || sector_size % 512 != 0 {
            return Err(Corrupt::SegmentSectorSize {
                segment: id,
                bytes: sector_size,
            });
        }
        let integrity = object.has("integrity");
        if integrity {
            let tags = object.object("integrity")?;
            for member in ["type", "journal_encryption", "journal_integrity"] {
                tags.text(member)?;
            }
        }
        let spec = text.parse().map_err(|source| Unsupported::Cipher {
            object: format!("segment {id}"),
            source,
        });
        Ok(Self {
            text: text.into(),
            spec,
            iv_tweak,
            sector_size,
            integrity,
        })
    }
}
