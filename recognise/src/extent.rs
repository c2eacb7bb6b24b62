//! How far a file system reaches, by its own superblock.

use std::io;

use volume::Storage;

use crate::marks;
use crate::view::View;

/// The first file system that was recognised and says how large it is, and how many bytes it has from the start of its
/// storage on.
///
/// # Errors
///
/// Those of the storage.
pub fn file_system_bytes(storage: &dyn Storage) -> io::Result<Option<(&'static str, u64)>> {
    let view = View::new(storage)?;
    let found = marks::all().find_map(|row| {
        let size = SIZES
            .iter()
            .find(|(name, _)| *name == row.blkid)
            .map(|(_, size)| size)?;
        row.find(&view)?;
        Some((row.name, size(&view)?))
    });
    view.finish()?;
    Ok(found)
}

type Size = fn(&View<'_>) -> Option<u64>;

/// By the name that libblkid has for them.
const SIZES: &[(&str, Size)] = &[
    ("ext4", ext),
    ("ext3", ext),
    ("ext2", ext),
    ("xfs", |view| {
        view.be64(8)?.checked_mul(view.be32(4)?.into())
    }),
    ("btrfs", |view| view.le64(0x1_0070)),
    ("vfat", |view| {
        let sectors = match view.le16(0x13)? {
            0 => view.le32(0x20)?,
            few => few.into(),
        };
        u64::from(sectors).checked_mul(view.le16(0x0b)?.into())
    }),
    ("ntfs", |view| {
        // Its last sector, a copy of the first, is not counted.
        let sectors = view.le64(0x28)?.checked_add(1)?;
        sectors.checked_mul(view.le16(0x0b)?.into())
    }),
    ("exfat", |view| {
        let shift = u32::from(view.byte(0x6c)?);
        view.le64(0x48)?.checked_mul(1_u64.checked_shl(shift)?)
    }),
];

fn ext(view: &View<'_>) -> Option<u64> {
    const SUPERBLOCK: u64 = 1024;
    const HAS_HIGH_HALF: u32 = 0x80;
    let low = u64::from(view.le32(SUPERBLOCK + 0x04)?);
    let high = if view.le32(SUPERBLOCK + 0x60)? & HAS_HIGH_HALF == 0 {
        0
    } else {
        u64::from(view.le32(SUPERBLOCK + 0x150)?)
    };
    let block = 1024_u64.checked_shl(view.le32(SUPERBLOCK + 0x18)?)?;
    (high << 32 | low).checked_mul(block)
}

#[cfg(test)]
mod tests {
    use volume::MemoryStorage;

    use super::*;

    #[test]
    fn a_superblock_says_how_far_its_file_system_reaches() {
        let ext = MemoryStorage::new(1 << 20);
        let put =
            |storage: &MemoryStorage, at: u64, bytes: &[u8]| storage.write_at(at, bytes).unwrap();
        put(&ext, 1024 + 0x04, &1000_u32.to_le_bytes());
        put(&ext, 1024 + 0x18, &2_u32.to_le_bytes());
        put(&ext, 1024 + 0x38, &[0x53, 0xef]);
        put(&ext, 1024 + 0x4c, &1_u32.to_le_bytes());
        put(&ext, 1024 + 0x58, &256_u16.to_le_bytes());
        let size = file_system_bytes(&ext).unwrap();
        assert_eq!(size.map(|(_, bytes)| bytes), Some(4_096_000), "{size:?}");

        let xfs = MemoryStorage::new(1 << 20);
        put(&xfs, 0, b"XFSB");
        put(&xfs, 4, &4096_u32.to_be_bytes());
        put(&xfs, 8, &77_u64.to_be_bytes());
        put(&xfs, 0x66, &512_u16.to_be_bytes());
        assert_eq!(
            file_system_bytes(&xfs).unwrap(),
            Some(("an XFS file system", 77 * 4096))
        );
        assert_eq!(
            file_system_bytes(&MemoryStorage::new(1 << 20)).unwrap(),
            None
        );
    }
}
