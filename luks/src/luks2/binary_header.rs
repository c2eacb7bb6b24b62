//! The binary header (LUKS2 specification 2.1, figure 2).

use dmcrypt::HashAlgorithm;

use crate::codec::{Reader, Writer};
use crate::error::{Corrupt, Error, Unsupported};
use crate::number::{to_u64, to_usize};

/// Which of the two copies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Which {
    /// At offset 0.
    Primary,
    /// Behind the primary's JSON area.
    Secondary,
}

impl Which {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Primary => Self::Secondary,
            Self::Secondary => Self::Primary,
        }
    }

    /// The copy's magic.
    pub const fn magic(self) -> [u8; 6] {
        match self {
            Self::Primary => *b"LUKS\xba\xbe",
            Self::Secondary => *b"SKUL\xba\xbe",
        }
    }
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
        })
    }
}

/// The nine sizes of one copy in bytes, which are also the places of the secondary (table 1).
pub const METADATA_SIZES: [u64; 9] = [
    0x4000, 0x8000, 0x1_0000, 0x2_0000, 0x4_0000, 0x8_0000, 0x10_0000, 0x20_0000, 0x40_0000,
];

/// The binary header of either copy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BinaryHeader {
    /// `hdr_size`: bytes of one copy, JSON area included.
    pub header_bytes: u64,
    /// `seqid`, the epoch: rises with every change.
    pub epoch: u64,
    /// Label, may be empty.
    pub label: String,
    /// UUID of the container, as text.
    pub uuid: String,
    /// Second label, may be empty.
    pub subsystem: String,
}

impl BinaryHeader {
    /// Bytes of the binary header on disk, of which only the first [`Self::USED_BYTES`] hold fields.
    pub const BYTES: usize = 4096;
    /// Bytes that hold fields: one 512-byte sector, so that a copy appears all at once.
    pub const USED_BYTES: usize = 512;
    /// Epochs from here on are the end of the count: nobody gets there by changes, and one change may take several. A
    /// header that says so is not changed before a repair has begun the count anew.
    pub const EPOCH_END: u64 = u64::MAX - 0xffff;
    /// Where it says where the copy lies.
    const OFFSET: std::ops::Range<usize> = 256..264;
    /// Where the checksum stands, and how long it may be.
    const CHECKSUM: std::ops::Range<usize> = 448..512;
    /// Where the salt stands in a copy; it only makes the checksums of the two copies differ.
    pub(crate) const SALT_OFFSET: u64 = 104;
    /// Bytes of the salt.
    pub(crate) const SALT_BYTES: usize = 64;

    /// Whether the epoch leaves room for changes.
    ///
    /// # Errors
    ///
    /// [`Corrupt::EpochEnd`].
    pub fn check_epoch(&self) -> Result<(), Corrupt> {
        let epoch = self.epoch;
        if epoch < Self::EPOCH_END {
            Ok(())
        } else {
            Err(Corrupt::EpochEnd { epoch })
        }
    }

    /// Whether `bytes` start with the magic of `which`.
    pub fn has_magic(which: Which, bytes: &[u8]) -> bool {
        bytes.starts_with(&which.magic())
    }

    /// Whether `bytes`, which were read at offset `at`, are a secondary copy that says that it lies elsewhere.
    pub fn is_stray(at: u64, bytes: &[u8]) -> bool {
        Self::has_magic(Which::Secondary, bytes)
            && bytes
                .get(Self::OFFSET)
                .is_none_or(|offset| *offset != at.to_be_bytes())
    }

    /// Reads the first [`Self::BYTES`] bytes of a copy that was read at offset `at`. Its checksum is not looked at
    /// yet: that needs all of `hdr_size` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] for a broken rule, [`Error::Unsupported`] for another version or checksum algorithm.
    pub fn parse(which: Which, at: u64, bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let magic = reader.take::<6>("magic")?;
        if *magic != which.magic() {
            return Err(Corrupt::Magic.into());
        }
        let version = reader.u16("version")?;
        if version != 2 {
            return Err(Unsupported::Version(version).into());
        }
        let header_bytes = reader.u64("hdr_size")?;
        let epoch = reader.u64("seqid")?;
        let label = reader.c_string::<48>("label")?;
        let checksum_algorithm = reader.c_string::<32>("csum_alg")?;
        let _salt = reader.take::<{ Self::SALT_BYTES }>("salt")?;
        let uuid = reader.c_string::<40>("uuid")?;
        let subsystem = reader.c_string::<48>("subsystem")?;
        let header_offset = reader.u64("hdr_offset")?;

        if !METADATA_SIZES.contains(&header_bytes) {
            return Err(Corrupt::HeaderSize(header_bytes).into());
        }
        if header_offset != at || (which == Which::Secondary && at != header_bytes) {
            return Err(Corrupt::HeaderOffset {
                have: header_offset,
                at,
            }
            .into());
        }
        if checksum_algorithm != HashAlgorithm::Sha256.name() {
            return Err(Unsupported::ChecksumAlgorithm(checksum_algorithm.into()).into());
        }
        Ok(Self {
            header_bytes,
            epoch,
            label,
            uuid,
            subsystem,
        })
    }

    /// "Metadata checksum covers both the binary data and the following JSON area and is calculated with the
    /// checksum field zeroed": over the bytes that were read.
    pub(super) fn verify_checksum(bytes: &[u8]) -> Result<(), Corrupt> {
        let stored = &bytes[Self::CHECKSUM];
        let computed = checksum(bytes);
        // "If the checksum is shorter than the csum field length, the rest of this field must be zeroed."
        let (value, rest) = stored.split_at(computed.len());
        if value == computed && rest.iter().all(|byte| *byte == 0) {
            Ok(())
        } else {
            Err(Corrupt::Checksum)
        }
    }

    /// Whether the first [`Self::BYTES`] bytes of a copy may hold its checksum yet: SHA-256 is not all zeros, and zeros
    /// follow it.
    pub(crate) fn holds_checksum(bytes: &[u8]) -> bool {
        let (value, rest) = bytes[Self::CHECKSUM].split_at(CHECKSUM_BYTES);
        value.iter().any(|byte| *byte != 0) && rest.iter().all(|byte| *byte == 0)
    }

    /// Whether the checksum in `binary` is that of it and of `json` behind it.
    pub(crate) fn fits_checksum(binary: &[u8], json: &[u8]) -> bool {
        let stored = &binary[Self::CHECKSUM];
        let computed = checksum_of(&[binary, json]);
        stored.starts_with(&computed)
    }

    /// Writes what each binary header of this place and size says alike: all but epoch, label, salt, UUID, subsystem and
    /// checksum.
    pub(crate) fn restore_known(bytes: &mut [u8], which: Which, header_bytes: u64) {
        let offset = match which {
            Which::Primary => 0,
            Which::Secondary => header_bytes,
        };
        bytes[..6].copy_from_slice(&which.magic());
        bytes[6..8].copy_from_slice(&2_u16.to_be_bytes());
        bytes[8..16].copy_from_slice(&header_bytes.to_be_bytes());
        let algorithm = HashAlgorithm::Sha256.name().as_bytes();
        bytes[72..104].fill(0);
        bytes[72..72_usize.saturating_add(algorithm.len())].copy_from_slice(algorithm);
        bytes[256..264].copy_from_slice(&offset.to_be_bytes());
        bytes[264..Self::CHECKSUM.start].fill(0);
        let end_of_checksum = Self::CHECKSUM.start.saturating_add(CHECKSUM_BYTES);
        bytes[end_of_checksum..Self::BYTES].fill(0);
    }

    /// Blanks what is a copy's own: its magic and its place, the salt, the checksum.
    pub(crate) fn blank_own(bytes: &mut [u8]) {
        let salt = to_usize(Self::SALT_OFFSET);
        for field in [
            0..6,
            salt..salt.saturating_add(Self::SALT_BYTES),
            Self::OFFSET,
            Self::CHECKSUM,
        ] {
            bytes[field].fill(0);
        }
    }

    /// Takes epoch, label, UUID and subsystem from the other copy.
    pub(crate) fn share(bytes: &mut [u8], other: &[u8]) {
        for fields in [16..72, 168..256] {
            bytes[fields.clone()].copy_from_slice(&other[fields]);
        }
    }

    pub(super) fn to_bytes(
        &self,
        which: Which,
        salt: [u8; 64],
        json: &str,
    ) -> Result<Vec<u8>, Corrupt> {
        let size = usize::try_from(self.header_bytes).expect("one of nine sizes of at most 4 MiB");
        let json_area = size.saturating_sub(Self::BYTES);
        // One NUL ends the text.
        if json.len() >= json_area {
            let need = to_u64(json.len()).saturating_add(1);
            return Err(Corrupt::Truncated {
                object: "the JSON text".into(),
                need,
                have: to_u64(json_area),
            });
        }
        let mut writer = Writer::default();
        writer
            .bytes(&which.magic())
            .u16(2)
            .u64(self.header_bytes)
            .u64(self.epoch)
            .c_string(&self.label, 48)
            .c_string(HashAlgorithm::Sha256.name(), 32)
            .bytes(&salt)
            .c_string(&self.uuid, 40)
            .c_string(&self.subsystem, 48)
            .u64(match which {
                Which::Primary => 0,
                Which::Secondary => self.header_bytes,
            })
            .zeros(184)
            .zeros(Self::CHECKSUM.len())
            .zeros(Self::BYTES.saturating_sub(Self::USED_BYTES))
            .bytes(json.as_bytes())
            .zeros(json_area.saturating_sub(json.len()));
        let mut bytes = writer.finish();
        let checksum = checksum(&bytes);
        bytes[Self::CHECKSUM][..checksum.len()].copy_from_slice(&checksum);
        Ok(bytes)
    }

    pub(super) fn says_the_same_as(&self, other: &Self) -> bool {
        self == other
    }
}

/// Bytes of a SHA-256.
const CHECKSUM_BYTES: usize = 32;

fn checksum(bytes: &[u8]) -> Vec<u8> {
    checksum_of(&[bytes, &[]])
}

/// Of a copy in two pieces, the first of which holds the checksum.
fn checksum_of([binary, rest]: &[&[u8]; 2]) -> Vec<u8> {
    let before = &binary[..BinaryHeader::CHECKSUM.start];
    let after = &binary[BinaryHeader::CHECKSUM.end..];
    let zeros = [0; BinaryHeader::CHECKSUM.end - BinaryHeader::CHECKSUM.start];
    HashAlgorithm::Sha256
        .digest(&[before, &zeros, after, rest])
        .to_vec()
}
