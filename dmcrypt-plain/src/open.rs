//! From options to a volume.

use std::sync::Arc;

use dmcrypt::{CipherSpec, Mapped, SECTOR_BYTES, SectorOptions, SectorSize, VolumeKey};
use volume::{Mapping, Segment, Storage, Volume};

use crate::Error;

/// What a plain container is made of, where it says nothing itself. All positions count 512-byte sectors, whatever the
/// sector size is.
#[derive(Clone, Debug)]
pub struct PlainOptions {
    /// The cipher.
    pub cipher: CipherSpec,
    /// The size of the key in bytes, both halves of an XTS key.
    pub key_bytes: usize,
    /// Where the volume starts in the container: cryptsetup's `--offset`.
    pub offset_sectors: u64,
    /// The IV number of the volume's first sector: cryptsetup's `--skip`.
    pub skip_sectors: u64,
    /// The size of the volume. `None`, and zero as with cryptsetup's `--size`: to the end of the container.
    pub size_sectors: Option<u64>,
    /// The size of an encryption sector.
    pub sector_size: SectorSize,
    /// IV numbers count encryption sectors.
    pub iv_large_sectors: bool,
}

impl PlainOptions {
    /// From the container's start to its end, in sectors of 512 bytes whose numbers begin with 0: what cryptsetup takes it
    /// for unless it is told.
    pub fn new(cipher: CipherSpec, key_bytes: usize) -> Self {
        Self {
            cipher,
            key_bytes,
            offset_sectors: 0,
            skip_sectors: 0,
            size_sectors: None,
            sector_size: SectorSize::B512,
            iv_large_sectors: false,
        }
    }
}

/// Opens the volume of a container.
///
/// Without a size, bytes at the end of the container that are no whole sector are left out. (cryptsetup refuses such a
/// container when its sectors have more than 512 bytes.)
///
/// # Errors
/// What [`mapping`] says; an offset or a size beyond the container; [`Error::Io`].
pub fn open(
    storage: Arc<dyn Storage>,
    key: &VolumeKey,
    options: &PlainOptions,
) -> Result<Volume, Error> {
    let container_bytes = storage.len().map_err(Error::Io)?;
    let offset_sectors = options.offset_sectors;
    let sectors_left = (container_bytes / SECTOR_BYTES).saturating_sub(offset_sectors);
    let whole_sectors = sectors_left - sectors_left % options.sector_size.units();
    if whole_sectors == 0 {
        return Err(Error::OffsetBeyondEnd {
            offset_sectors,
            container_bytes,
        });
    }
    let size_sectors = options
        .size_sectors
        .filter(|&size| size > 0)
        .unwrap_or(whole_sectors);
    if size_sectors > sectors_left {
        return Err(Error::SizeBeyondEnd {
            size_sectors,
            offset_sectors,
            container_bytes,
        });
    }
    Ok(Volume::new(storage, mapping(key, options, size_sectors)?))
}

/// How a volume of `size_sectors` (of 512 bytes) lies in its container, which need not exist yet. The size in the options
/// has no say.
///
/// # Errors
/// As [`mapped`].
pub fn mapping(
    key: &VolumeKey,
    options: &PlainOptions,
    size_sectors: u64,
) -> Result<Mapping, Error> {
    let mapped = mapped(options, size_sectors)?;
    let segment = Segment::encrypted(&mapped, key.expose())?;
    // All is whole sectors: what is left to be wrong is the sum of offset and size.
    Mapping::new(vec![segment]).map_err(|_| Error::Overflow {
        offset_sectors: options.offset_sectors,
        size_sectors,
    })
}

/// What is mapped of a container, `size_sectors` (of 512 bytes) of it.
///
/// # Errors
/// [`Error::Cipher`] when the cipher is not built or takes no such key; [`Error::Unaligned`] when offset, skip or size are
/// no whole sectors, which dm-crypt refuses as well; [`Error::Overflow`].
pub fn mapped(options: &PlainOptions, size_sectors: u64) -> Result<Mapped, Error> {
    let sector_size = options.sector_size;
    let offset_sectors = options.offset_sectors;
    for (what, sectors) in [
        ("offset", offset_sectors),
        ("skip", options.skip_sectors),
        ("size", size_sectors),
    ] {
        if !sectors.is_multiple_of(sector_size.units()) {
            return Err(Error::Unaligned {
                what,
                sectors,
                sector_bytes: sector_size.bytes(),
            });
        }
    }
    let bytes = |sectors: u64| sectors.checked_mul(SECTOR_BYTES);
    let (Some(offset_bytes), Some(length_bytes)) = (bytes(offset_sectors), bytes(size_sectors))
    else {
        return Err(Error::Overflow {
            offset_sectors,
            size_sectors,
        });
    };
    options.cipher.check_key_bytes(options.key_bytes)?;
    Ok(Mapped {
        cipher: options.cipher.clone(),
        sectors: SectorOptions {
            sector_size,
            iv_large_sectors: options.iv_large_sectors,
        },
        first_iv_sector: options.skip_sectors,
        offset_bytes,
        length_bytes,
    })
}
