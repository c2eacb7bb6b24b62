//! Options held against each format's rules, and the places that follow from them.

use dmcrypt::HashAlgorithm;

use crate::area;
use crate::defaults::{
    AREA_ALIGNMENT, ARGON2_MAX_LANES, ARGON2_MAX_MEMORY_KIB, ARGON2_MIN_MEMORY_KIB,
    ARGON2_MIN_TIME, DATA_ALIGNMENT, LUKS2_DATA_OFFSET, LUKS2_MAX_KEYSLOTS_BYTES,
    PBKDF2_MIN_ITERATIONS, STRIPES, XTS_KEY_BYTES,
};
use crate::error::InvalidOption;
use crate::kdf::KdfParams;
use crate::luks1;
use crate::luks2::METADATA_SIZES;
use crate::sealing;

use super::{FormatOptions, Version};

/// Where the parts of a new container go, in bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Layout {
    /// Both header copies of LUKS2; the first block of LUKS1.
    pub header_bytes: u64,
    /// Where the keyslots area starts.
    pub keyslots_offset: u64,
    /// Bytes of the keyslots area.
    pub keyslots_bytes: u64,
    /// Where the first keyslot's key material lies.
    pub area_offset: u64,
    /// Bytes set aside for it.
    pub area_bytes: u64,
    /// First byte of data; 0 for a detached header unless said.
    pub data_offset: u64,
    /// Bytes that the header's storage must have: up to the data or, detached, to the end of the keyslots area.
    pub reserved_bytes: u64,
    luks1: Option<luks1::Layout>,
}

impl Layout {
    /// Checks `options` whole and places everything.
    ///
    /// # Errors
    ///
    /// The first option that cannot be.
    pub fn new(options: &FormatOptions) -> Result<Self, InvalidOption> {
        options.cipher.check_supported()?;
        options.cipher.check_key_bytes(options.key_bytes)?;
        if options.cipher.is_null() {
            check_null(options)?;
        }
        check_kdf(&options.kdf)?;
        within(
            "digest iterations",
            options.digest_iterations,
            PBKDF2_MIN_ITERATIONS,
            u32::MAX,
        )?;
        if let Some(uuid) = &options.uuid {
            uuid::Uuid::parse_str(uuid).map_err(|_| InvalidOption::Uuid(uuid.clone()))?;
        }
        check_hash(options.hash)?;
        match options.version {
            Version::Luks1 => Self::luks1(options),
            Version::Luks2 => Self::luks2(options),
        }
    }

    fn luks1(options: &FormatOptions) -> Result<Self, InvalidOption> {
        let cannot = |what: String| Err(InvalidOption::Luks1Cannot { what });
        if options.cipher.luks1_fields().is_none() {
            return cannot(format!("cipher {}", options.cipher));
        }
        if options.kdf.name() != "pbkdf2" {
            return cannot(format!("key derivation {}", options.kdf.name()));
        }
        if !matches!(options.kdf, KdfParams::Pbkdf2 { hash, .. } if hash == options.hash) {
            return cannot("a key derivation with another hash than the header's".into());
        }
        if options.sector_size.bytes() != 512 {
            return cannot(format!("sector size {}", options.sector_size.bytes()));
        }
        if !options.label.is_empty() || !options.subsystem.is_empty() {
            return cannot("label or subsystem".into());
        }
        if options.keyslot_cipher.is_some() {
            return cannot("a cipher of the keyslot's own".into());
        }
        if options.keyslot > 7 {
            return Err(InvalidOption::KeyslotNumber {
                keyslot: options.keyslot,
                format: "LUKS1",
                last: 7,
            });
        }
        let key_bytes = u32::try_from(options.key_bytes).expect("a key size that the cipher takes");
        let places = luks1::Layout::new(key_bytes, options.data_offset, options.detached)?;
        let slot = u64::from(options.keyslot);
        Ok(Self {
            header_bytes: AREA_ALIGNMENT,
            keyslots_offset: AREA_ALIGNMENT,
            keyslots_bytes: places.areas_end.saturating_sub(AREA_ALIGNMENT),
            area_offset: AREA_ALIGNMENT.saturating_add(places.area_stride.saturating_mul(slot)),
            area_bytes: places.area_stride,
            data_offset: places.data_offset,
            reserved_bytes: if options.detached {
                places.areas_end
            } else {
                places.data_offset
            },
            luks1: Some(places),
        })
    }

    fn luks2(options: &FormatOptions) -> Result<Self, InvalidOption> {
        for (field, value) in [("label", &options.label), ("subsystem", &options.subsystem)] {
            if value.len() > 47 {
                return Err(InvalidOption::TextTooLong {
                    field,
                    value: value.clone(),
                    limit: 47,
                });
            }
            if value.contains('\0') {
                return Err(InvalidOption::TextNul {
                    field,
                    value: value.clone(),
                });
            }
        }
        if let Some(cipher) = &options.keyslot_cipher {
            sealing::check_area_cipher(cipher)?;
        }
        if options.keyslot > 31 {
            return Err(InvalidOption::KeyslotNumber {
                keyslot: options.keyslot,
                format: "LUKS2",
                last: 31,
            });
        }
        if !METADATA_SIZES.contains(&options.metadata_bytes) {
            return Err(InvalidOption::MetadataSize(options.metadata_bytes));
        }
        if let Some(bytes) = options.keyslots_bytes
            && (bytes == 0 || bytes % AREA_ALIGNMENT != 0 || bytes > LUKS2_MAX_KEYSLOTS_BYTES)
        {
            return Err(InvalidOption::KeyslotsSize(bytes));
        }
        let header_bytes = options.metadata_bytes.saturating_mul(2);
        let (keyslots_bytes, data_offset) = luks2_places(options, header_bytes)?;
        let need = area::material_bytes(options.key_bytes, STRIPES)
            .and_then(|bytes| bytes.checked_next_multiple_of(AREA_ALIGNMENT))
            .expect("a key size that the cipher takes");
        if need > keyslots_bytes {
            return Err(InvalidOption::NoRoomForKeyslot {
                have: keyslots_bytes,
                need,
            });
        }
        let areas_end = header_bytes.saturating_add(keyslots_bytes);
        Ok(Self {
            header_bytes,
            keyslots_offset: header_bytes,
            keyslots_bytes,
            area_offset: header_bytes,
            area_bytes: need,
            data_offset,
            reserved_bytes: if options.detached {
                areas_end
            } else {
                data_offset
            },
            luks1: None,
        })
    }

    pub(super) fn luks1_keyslots(&self) -> [luks1::Keyslot; luks1::Header::KEYSLOTS] {
        self.luks1.expect("asked for LUKS1 only").keyslots()
    }
}

/// Keyslots area and data offset: each follows from the other where only one is given, as in cryptsetup.
fn luks2_places(options: &FormatOptions, header_bytes: u64) -> Result<(u64, u64), InvalidOption> {
    if let Some(offset) = options.data_offset
        && offset % AREA_ALIGNMENT != 0
    {
        return Err(InvalidOption::DataOffsetAlignment(offset));
    }
    let offset_for_header = match options.data_offset {
        Some(0) if options.detached => None,
        given => given,
    };
    let keyslots_bytes = match (options.keyslots_bytes, offset_for_header) {
        (Some(bytes), _) => bytes,
        (None, Some(offset)) => offset
            .saturating_sub(header_bytes)
            .min(LUKS2_MAX_KEYSLOTS_BYTES),
        (None, None) => LUKS2_DATA_OFFSET.saturating_sub(header_bytes),
    };
    let areas_end = header_bytes.saturating_add(keyslots_bytes);
    let data_offset = match offset_for_header {
        Some(offset) if offset < areas_end => {
            return Err(InvalidOption::DataOffsetInHeader {
                have: offset,
                need: areas_end,
            });
        }
        Some(offset) => offset,
        None if options.detached => 0,
        None => areas_end.next_multiple_of(DATA_ALIGNMENT),
    };
    Ok((keyslots_bytes, data_offset))
}

/// A null cipher takes a key of any size, a header does not.
fn check_null(options: &FormatOptions) -> Result<(), InvalidOption> {
    let bytes = options.key_bytes;
    if !options.null_cipher {
        Err(InvalidOption::NullCipher)
    } else if (1..=XTS_KEY_BYTES).contains(&bytes) {
        Ok(())
    } else {
        Err(InvalidOption::NullKeySize { bytes })
    }
}

/// A hash that was computed wrong is not given to something new.
pub(crate) fn check_hash(hash: HashAlgorithm) -> Result<(), InvalidOption> {
    match hash {
        HashAlgorithm::WhirlpoolGcryptBug => Err(InvalidOption::FaultyHash(hash.name())),
        _ => Ok(()),
    }
}

/// Costs that are too low to be written, or too high.
pub(crate) fn check_kdf(kdf: &KdfParams) -> Result<(), InvalidOption> {
    match *kdf {
        KdfParams::Pbkdf2 { iterations, .. } => within(
            "PBKDF2 iterations",
            iterations,
            PBKDF2_MIN_ITERATIONS,
            u32::MAX,
        ),
        KdfParams::Argon2 {
            time,
            memory_kib,
            lanes,
            ..
        } => {
            within("Argon2 passes", time, ARGON2_MIN_TIME, u32::MAX)?;
            within("Argon2 lanes", lanes, 1, ARGON2_MAX_LANES)?;
            // RFC 9106 3.1: at least 8 KiB for each lane, which the floor grants to four.
            within(
                "Argon2 memory in KiB",
                memory_kib,
                ARGON2_MIN_MEMORY_KIB,
                ARGON2_MAX_MEMORY_KIB,
            )
        }
    }
}

fn within(what: &'static str, have: u32, low: u32, high: u32) -> Result<(), InvalidOption> {
    if (low..=high).contains(&have) {
        return Ok(());
    }
    Err(InvalidOption::KdfCost {
        what,
        have: have.into(),
        low: low.into(),
        high: high.into(),
    })
}
