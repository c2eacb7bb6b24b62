//! What is on a disk, as far as its first 128 KiB tell: enough to keep somebody from overwriting it by mistake, and
//! from taking a container for a raw image.

use std::io;

use volume::Storage;

/// What was recognised.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Content {
    /// A LUKS header of either version.
    Luks,
    /// The image of a disk in a format of its own: its bytes are not those of the disk in it.
    Image(&'static str),
    /// Something else that is in use: a file system, a partition table, ...
    Other(&'static str),
}

impl Content {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Luks => "a LUKS header",
            Self::Image(name) | Self::Other(name) => name,
        }
    }
}

/// Byte offset, the bytes that stand there, and what they mean. File systems stand before partition tables, because
/// a boot sector's mark is on both.
const MARKS: &[(usize, &[u8], Content)] = &[
    (0, b"LUKS\xba\xbe", Content::Luks),
    // The second copy of a LUKS2 header stands behind the first, which has nine sizes; the first three are near.
    (0x4000, b"SKUL\xba\xbe", Content::Luks),
    (0x8000, b"SKUL\xba\xbe", Content::Luks),
    (0x10000, b"SKUL\xba\xbe", Content::Luks),
    (0, b"QFI\xfb", Content::Image("a qcow2 image")),
    (0, b"KDMV", Content::Image("a VMDK image")),
    (0, b"vhdxfile", Content::Image("a VHDX image")),
    (0, b"conectix", Content::Image("a VHD image")),
    (0x40, b"\x7f\x10\xda\xbe", Content::Image("a VDI image")),
    (
        0x438,
        b"\x53\xef",
        Content::Other("an ext2, ext3 or ext4 file system"),
    ),
    (0, b"XFSB", Content::Other("an XFS file system")),
    (0x10040, b"_BHRfS_M", Content::Other("a Btrfs file system")),
    (
        0x400,
        b"\x10\x20\xf5\xf2",
        Content::Other("an F2FS file system"),
    ),
    (0, b"hsqs", Content::Other("a SquashFS file system")),
    (
        0x400,
        b"\xe2\xe1\xf5\xe0",
        Content::Other("an EROFS file system"),
    ),
    (0x8001, b"CD001", Content::Other("an ISO 9660 file system")),
    (3, b"NTFS    ", Content::Other("an NTFS file system")),
    (3, b"EXFAT   ", Content::Other("an exFAT file system")),
    (3, b"-FVE-FS-", Content::Other("a BitLocker volume")),
    (0x36, b"FAT", Content::Other("a FAT file system")),
    (0x52, b"FAT32", Content::Other("a FAT file system")),
    (0xff6, b"SWAPSPACE2", Content::Other("swap space")),
    (0x200, b"LABELONE", Content::Other("an LVM physical volume")),
    (0, b"LABELONE", Content::Other("an LVM physical volume")),
    (0x1000, b"\xfc\x4e\x2b\xa9", Content::Other("a RAID member")),
    (0, b"\xfc\x4e\x2b\xa9", Content::Other("a RAID member")),
    (0x200, b"EFI PART", Content::Other("a GPT partition table")),
    (0x1000, b"EFI PART", Content::Other("a GPT partition table")),
    (
        0x1fe,
        b"\x55\xaa",
        Content::Other("a partition table or boot sector"),
    ),
];

const WINDOW_BYTES: usize = 128 << 10;

/// Looks at the start of a storage.
pub fn recognise(storage: &dyn Storage) -> io::Result<Option<Content>> {
    let len = usize::try_from(storage.len()?).map_or(WINDOW_BYTES, |len| len.min(WINDOW_BYTES));
    let mut window = vec![0; len];
    storage.read_at(0, &mut window)?;
    Ok(MARKS
        .iter()
        .find(|(offset, mark, _)| {
            window
                .get(*offset..)
                .is_some_and(|rest| rest.starts_with(mark))
        })
        .map(|mark| mark.2))
}

#[cfg(test)]
mod tests {
    use volume::MemoryStorage;

    use super::*;

    #[test]
    fn each_mark_is_found_alone() -> io::Result<()> {
        for (offset, mark, content) in MARKS {
            let storage = MemoryStorage::new(WINDOW_BYTES as u64);
            storage.write_at(*offset as u64, mark)?;
            let found = recognise(&storage)?;
            assert_eq!(
                found.map(Content::name),
                Some(content.name()),
                "at {offset:#x}"
            );
        }
        Ok(())
    }

    #[test]
    fn nothing_is_nothing() -> io::Result<()> {
        for len in [0, 1, 511, 4096, 1 << 20] {
            assert_eq!(recognise(&MemoryStorage::new(len))?, None);
        }
        Ok(())
    }
}
