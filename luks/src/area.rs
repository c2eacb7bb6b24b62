//! Keyslot areas: key material as it lies on disk, encrypted as a small volume of its own.

use dmcrypt::{CipherSpec, DerivedKey, SECTOR_BYTES, SectorOptions, SectorSize};

/// Areas are always encrypted in 512-byte sectors whose IVs start at 0, whatever the data uses.
const AREA_SECTORS: SectorOptions = SectorOptions {
    sector_size: SectorSize::B512,
    iv_large_sectors: false,
};

/// Bytes that `key_bytes * stripes` of key material take on disk: whole 512-byte sectors. `None` on overflow.
pub fn material_bytes(key_bytes: usize, stripes: u32) -> Option<u64> {
    u64::try_from(key_bytes)
        .ok()?
        .checked_mul(u64::from(stripes))?
        .checked_next_multiple_of(SECTOR_BYTES)
}

/// Decrypts an area in place. `area` holds whole 512-byte sectors.
///
/// # Errors
///
/// When the cipher or its key size is not supported.
pub fn decrypt(
    spec: &CipherSpec,
    key: &DerivedKey,
    area: &mut DerivedKey,
) -> Result<(), dmcrypt::Error> {
    spec.sector_cipher(key.expose(), AREA_SECTORS)?
        .decrypt(0, area.expose_mut());
    Ok(())
}

/// Encrypts an area in place. `area` holds whole 512-byte sectors.
///
/// # Errors
///
/// When the cipher or its key size is not supported.
pub fn encrypt(spec: &CipherSpec, key: &DerivedKey, area: &mut [u8]) -> Result<(), dmcrypt::Error> {
    spec.sector_cipher(key.expose(), AREA_SECTORS)?
        .encrypt(0, area);
    Ok(())
}
