//! One of the eight keyslots as it lies in the header (LUKS1 specification, figure 2).

use dmcrypt::SECTOR_BYTES;

use crate::area;
use crate::codec::{Reader, Writer};
use crate::defaults::STRIPES;
use crate::error::Corrupt;
use crate::number::to_usize;

/// `active` of a keyslot in use.
/// A keyslot; its geometry is kept while it is not in use.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Keyslot {
    /// Whether it holds a key.
    pub active: bool,
    /// PBKDF2 iterations; 0 while not in use.
    pub iterations: u32,
    /// PBKDF2 salt.
    pub salt: [u8; 32],
    /// Where the key material starts, in 512-byte sectors.
    pub material_offset_sectors: u32,
}

impl Keyslot {
    /// `active` of a keyslot that is not in use.
    pub(super) const ENABLED: u32 = 0x00AC_71F3;
    pub(super) const DISABLED: u32 = 0x0000_DEAD;

    /// A keyslot that is not in use.
    pub(crate) fn unused(material_offset_sectors: u32) -> Self {
        Self {
            active: false,
            iterations: 0,
            salt: [0; 32],
            material_offset_sectors,
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>, id: u32) -> Result<Self, Corrupt> {
        let state = reader.u32("active")?;
        let iterations = reader.u32("iterations")?;
        let salt = *reader.take::<32>("salt")?;
        let material_offset_sectors = reader.u32("key-material-offset")?;
        let stripes = reader.u32("stripes")?;

        let active = match state {
            Self::ENABLED => true,
            Self::DISABLED => false,
            state => return Err(Corrupt::KeyslotState { keyslot: id, state }),
        };
        if stripes != STRIPES {
            return Err(Corrupt::Stripes {
                keyslot: id,
                stripes,
            });
        }
        if active && iterations == 0 {
            return Err(Corrupt::KeyslotIterations { keyslot: id });
        }
        Ok(Self {
            active,
            iterations,
            salt,
            material_offset_sectors,
        })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .u32(if self.active {
                Self::ENABLED
            } else {
                Self::DISABLED
            })
            .u32(self.iterations)
            .bytes(&self.salt)
            .u32(self.material_offset_sectors)
            .u32(STRIPES);
    }

    /// Whether salt or iterations stand in the header. Of a keyslot that is not in use they should not: with them
    /// and its area, its passphrase still gives the key.
    pub fn keeps_parameters(&self) -> bool {
        self.iterations != 0 || self.salt != [0; 32]
    }

    /// Where its key material starts, in bytes.
    pub fn area_offset(&self) -> u64 {
        u64::from(self.material_offset_sectors).saturating_mul(SECTOR_BYTES)
    }

    /// Bytes of key material on disk, whole sectors.
    pub(super) fn area_length(key_bytes: u32) -> u64 {
        area::material_bytes(to_usize(key_bytes), STRIPES).unwrap_or(u64::MAX)
    }
}
