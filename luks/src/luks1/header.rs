//! The partition header (LUKS1 specification, figure 1).

use dmcrypt::{CipherSpec, HashAlgorithm, SECTOR_BYTES};

use super::Keyslot;
use crate::codec::{Reader, Writer};
use crate::defaults::{AREA_ALIGNMENT, DATA_ALIGNMENT};
use crate::error::{Corrupt, InvalidOption, Unsupported};
use crate::number::to_u64;

/// A LUKS1 header that keeps the rules: texts end, keyslots lie behind the header, apart from each other and
/// before the data.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Header {
    /// Name of the cipher, for example `aes`.
    pub cipher_name: String,
    /// Mode and IV, for example `xts-plain64`.
    pub cipher_mode: String,
    /// Hash of PBKDF2, the digest and the splitter, as written.
    pub hash_spec: String,
    /// Where the data starts, in 512-byte sectors; 0 when the header is detached.
    pub payload_offset_sectors: u32,
    /// Bytes of the volume key.
    pub key_bytes: u32,
    /// Digest of the volume key.
    pub mk_digest: [u8; Self::DIGEST_BYTES],
    /// Salt of the digest.
    pub mk_digest_salt: [u8; 32],
    /// PBKDF2 iterations of the digest.
    pub mk_digest_iterations: u32,
    /// UUID of the container, as text.
    pub uuid: String,
    /// The eight keyslots.
    pub keyslots: [Keyslot; Self::KEYSLOTS],
}

impl Header {
    /// Keyslots of every LUKS1 header.
    pub const KEYSLOTS: usize = 8;
    /// Bytes of the digest.
    pub const DIGEST_BYTES: usize = 20;
    /// Bytes of the header on disk.
    pub const BYTES: usize = 592;
    /// Both LUKS versions start with it.
    pub const MAGIC: [u8; 6] = *b"LUKS\xba\xbe";
    /// First byte that key material may use: the header fills its first block.
    pub(crate) const AREAS_START: u64 = AREA_ALIGNMENT;
    /// Largest key of any cipher (loop-AES's 64 keys and IV seed), in bytes.
    pub(super) const MAX_KEY_BYTES: u32 = 2080;
    /// First byte after the part of the header that [`Self::AREAS_START`] protects at least.
    pub(super) const HEADER_END: u64 = 1024;

    /// Reads the header from the first [`Header::BYTES`] bytes of a container.
    ///
    /// # Errors
    ///
    /// The first rule that it breaks; [`Corrupt::Magic`] when it is none. The version has been looked at before.
    pub fn parse(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut reader = Reader::new(bytes);
        let magic = reader.take::<6>("magic")?;
        let _version = reader.u16("version")?;
        let cipher_name = reader.c_string::<32>("cipher-name")?;
        let cipher_mode = reader.c_string::<32>("cipher-mode")?;
        let hash_spec = reader.c_string::<32>("hash-spec")?;
        let payload_offset_sectors = reader.u32("payload-offset")?;
        let key_bytes = reader.u32("key-bytes")?;
        let mk_digest = *reader.take::<{ Self::DIGEST_BYTES }>("mk-digest")?;
        let mk_digest_salt = *reader.take::<32>("mk-digest-salt")?;
        let mk_digest_iterations = reader.u32("mk-digest-iter")?;
        let uuid = reader.c_string::<40>("uuid")?;
        let mut keyslots = Vec::with_capacity(Self::KEYSLOTS);
        for id in 0..8 {
            keyslots.push(Keyslot::read(&mut reader, id)?);
        }

        if *magic != Self::MAGIC {
            return Err(Corrupt::Magic);
        }
        if key_bytes == 0 || key_bytes > Self::MAX_KEY_BYTES {
            return Err(Corrupt::KeyBytes(key_bytes));
        }
        if mk_digest_iterations == 0 {
            return Err(Corrupt::DigestIterations);
        }
        if let Err(dmcrypt::Error::Spec { .. }) = CipherSpec::from_luks1(&cipher_name, &cipher_mode)
        {
            let problem = format!("{cipher_name:?} with mode {cipher_mode:?} cannot be read");
            return Err(Corrupt::Spec {
                object: "cipher".into(),
                problem,
            });
        }
        if hash_spec.is_empty() {
            return Err(Corrupt::Spec {
                object: "hash-spec".into(),
                problem: "is empty".into(),
            });
        }
        let header = Self {
            cipher_name,
            cipher_mode,
            hash_spec,
            payload_offset_sectors,
            key_bytes,
            mk_digest,
            mk_digest_salt,
            mk_digest_iterations,
            uuid,
            keyslots: keyslots.try_into().expect("eight keyslots were read"),
        };
        header.check_geometry()?;
        Ok(header)
    }

    /// The same of a header whose second sector cannot be read: what it describes, keyslots 6 and 7, counts as not in
    /// use, where it lies behind the others.
    ///
    /// # Errors
    ///
    /// As [`Header::parse`].
    pub(crate) fn parse_first_sector(bytes: &[u8]) -> Result<Self, Corrupt> {
        /// Where the places of keyslots 4 and 5 stand, and keyslot 6 begins.
        const PLACES: [usize; 2] = [208 + 4 * 48 + 40, 208 + 5 * 48 + 40];
        const KEYSLOT_6: usize = 208 + 6 * 48;
        let place_at = |at: usize| {
            let field = bytes.get(at..).and_then(<[u8]>::first_chunk);
            field.map_or(0, |field| u32::from_be_bytes(*field))
        };
        let [before, last] = PLACES.map(place_at);
        let stride = last.saturating_sub(before);
        let mut whole = bytes[..KEYSLOT_6].to_vec();
        for number in 1..=2_u32 {
            let mut writer = Writer::default();
            Keyslot::unused(last.saturating_add(stride.saturating_mul(number))).write(&mut writer);
            whole.extend(writer.finish());
        }
        Self::parse(&whole)
    }

    /// Unused keyslots are checked too: their places are used again.
    fn check_geometry(&self) -> Result<(), Corrupt> {
        let length = Keyslot::area_length(self.key_bytes);
        let data = self.data_offset();
        let mut before: Vec<(u32, u64)> = Vec::with_capacity(Self::KEYSLOTS);
        for (keyslot, slot) in (0u32..).zip(&self.keyslots) {
            let start = slot.area_offset();
            // A 32-bit number of sectors and a capped length cannot reach 2^64.
            let end = start.saturating_add(length);
            if start < Self::HEADER_END {
                return Err(Corrupt::AreaInHeader {
                    keyslot,
                    start,
                    length,
                    header_end: Self::HEADER_END,
                });
            }
            if data != 0 && end > data {
                return Err(Corrupt::AreaInData {
                    keyslot,
                    start,
                    length,
                    data,
                });
            }
            for &(other, other_start) in &before {
                if start < other_start.saturating_add(length) && other_start < end {
                    return Err(Corrupt::AreaOverlap {
                        keyslot,
                        start,
                        length,
                        other,
                    });
                }
            }
            before.push((keyslot, start));
        }
        Ok(())
    }

    /// The header as it lies on disk, [`Header::BYTES`] bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer
            .bytes(&Self::MAGIC)
            .u16(1)
            .c_string(&self.cipher_name, 32)
            .c_string(&self.cipher_mode, 32)
            .c_string(&self.hash_spec, 32)
            .u32(self.payload_offset_sectors)
            .u32(self.key_bytes)
            .bytes(&self.mk_digest)
            .bytes(&self.mk_digest_salt)
            .u32(self.mk_digest_iterations)
            .c_string(&self.uuid, 40);
        for slot in &self.keyslots {
            slot.write(&mut writer);
        }
        writer.finish()
    }

    /// The cipher of data and key material.
    ///
    /// # Errors
    ///
    /// A specification that is readable and not known.
    pub fn cipher(&self) -> Result<CipherSpec, Unsupported> {
        CipherSpec::from_luks1(&self.cipher_name, &self.cipher_mode).map_err(|source| {
            Unsupported::Cipher {
                object: "data".into(),
                source,
            }
        })
    }

    /// The hash of PBKDF2, the digest and the splitter. Old headers write its name in upper case.
    ///
    /// # Errors
    ///
    /// A hash that is not built.
    pub fn hash(&self) -> Result<HashAlgorithm, Unsupported> {
        HashAlgorithm::parse(&self.hash_spec).map_err(|source| Unsupported::Cipher {
            object: "hash-spec".into(),
            source,
        })
    }

    /// Where the data starts, in bytes.
    pub fn data_offset(&self) -> u64 {
        u64::from(self.payload_offset_sectors).saturating_mul(SECTOR_BYTES)
    }

    /// Bytes of key material in each keyslot's area, whole sectors.
    pub fn area_length(&self) -> u64 {
        Keyslot::area_length(self.key_bytes)
    }
}

/// Where the parts of a new LUKS1 container go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Layout {
    /// Bytes from one keyslot's area to the next.
    pub area_stride: u64,
    /// First byte after the last keyslot's area.
    pub areas_end: u64,
    /// First byte of data; 0 when the header is detached.
    pub data_offset: u64,
}

impl Layout {
    /// Keyslot areas are aligned to 4096 bytes, the data to 1 MiB, as cryptsetup places them.
    ///
    /// # Errors
    ///
    /// A wanted data offset that is not aligned to 4096 bytes, lies inside the header or does not fit its field.
    pub fn new(
        key_bytes: u32,
        data_offset: Option<u64>,
        detached: bool,
    ) -> Result<Self, InvalidOption> {
        let area_stride = Keyslot::area_length(key_bytes).next_multiple_of(AREA_ALIGNMENT);
        // At most 8 * 2080 * 4000 bytes.
        let areas_end = Header::AREAS_START.saturating_add(area_stride.saturating_mul(8));
        let data_offset = match data_offset {
            Some(offset) if offset % AREA_ALIGNMENT != 0 => {
                return Err(InvalidOption::DataOffsetAlignment(offset));
            }
            Some(0) | None if detached => 0,
            Some(offset) if offset < areas_end => {
                return Err(InvalidOption::DataOffsetInHeader {
                    have: offset,
                    need: areas_end,
                });
            }
            Some(offset) if offset / SECTOR_BYTES > u64::from(u32::MAX) => {
                return Err(InvalidOption::DataOffsetTooLarge(offset));
            }
            Some(offset) => offset,
            None => areas_end.next_multiple_of(DATA_ALIGNMENT),
        };
        Ok(Self {
            area_stride,
            areas_end,
            data_offset,
        })
    }

    /// The eight unused keyslots.
    pub(crate) fn keyslots(&self) -> [Keyslot; Header::KEYSLOTS] {
        std::array::from_fn(|index| {
            let offset =
                Header::AREAS_START.saturating_add(self.area_stride.saturating_mul(to_u64(index)));
            let sectors =
                u32::try_from(offset / SECTOR_BYTES).expect("the areas end below 2^32 sectors");
            Keyslot::unused(sectors)
        })
    }
}
