//! What is named on each image, where its mark stands, and the largest sector that it can live with.

use recognise::{Class, largest_sector, look, partitions, within};

use crate::images::Images;

/// Image, all that is found on it in order, the largest sector.
type Row = (&'static str, &'static [(u64, &'static str)], Option<u32>);

/// Number, first sector, sectors.
const DOS: &[(u32, u64, u64)] = &[(1, 2048, 1024), (5, 4200, 100), (6, 4400, 200)];

#[expect(clippy::unreadable_literal, reason = "offsets as hex dumps have them")]
const EXPECTED: &[Row] = &[
    ("DM_integrity", &[(0x0, "a dm-integrity device")], Some(512)),
    (
        "DM_verity_hash",
        &[(0x0, "a dm-verity hash device")],
        Some(512),
    ),
    (
        "LVM2_member.1",
        &[(0x200, "an LVM physical volume")],
        Some(512),
    ),
    (
        "LVM2_member.3",
        &[(0x600, "an LVM physical volume")],
        Some(512),
    ),
    ("amiga", &[(0x400, "an Amiga rigid disk block")], Some(512)),
    ("apfs", &[(0x20, "an APFS container")], Some(4096)),
    ("archive.bzip2", &[(0x0, "a bzip2 file")], None),
    ("archive.gzip", &[(0x0, "a gzip file")], None),
    ("archive.lz4", &[(0x0, "an LZ4 file")], None),
    ("archive.tar", &[(0x101, "a tar archive")], None),
    ("archive.tar.pax", &[(0x101, "a tar archive")], None),
    ("archive.xz", &[(0x0, "an xz file")], None),
    ("archive.zip", &[(0x0, "a ZIP archive")], None),
    ("archive.zstd", &[(0x0, "a Zstandard file")], None),
    ("bcache.backing", &[(0x1018, "a bcache device")], Some(512)),
    ("bcache.cache", &[(0x1018, "a bcache device")], Some(512)),
    ("bfs", &[(0x0, "a BFS file system of SCO")], Some(512)),
    ("bsd", &[(0x40, "a BSD disklabel")], Some(512)),
    ("btrfs", &[(0x10040, "a Btrfs file system")], Some(4096)),
    ("cramfs.big", &[(0x0, "a cramfs file system")], Some(4096)),
    (
        "cramfs.little",
        &[(0x0, "a cramfs file system")],
        Some(4096),
    ),
    (
        "cramfs.padded",
        &[(0x200, "a cramfs file system")],
        Some(4096),
    ),
    ("crypto_LUKS.1", &[(0x0, "a LUKS header")], Some(512)),
    (
        "crypto_LUKS.2",
        &[
            (0x0, "a LUKS header"),
            (0x4000, "the second copy of a LUKS2 header"),
        ],
        Some(512),
    ),
    (
        "ddf_raid_member",
        &[(0x3fffe00, "a RAID member (DDF)")],
        Some(512),
    ),
    ("dos", &[(0x1fe, "an MBR partition table")], Some(512)),
    ("dos.empty", &[(0x1fe, "an MBR partition table")], Some(512)),
    ("drbd.8", &[(0xfff03c, "a DRBD device")], Some(512)),
    ("drbd.9", &[(0xfff03c, "a DRBD device")], Some(512)),
    ("erofs", &[(0x400, "an EROFS file system")], Some(4096)),
    ("exfat", &[(0x3, "an exFAT file system")], Some(512)),
    ("ext2", &[(0x438, "an ext2 file system")], Some(1024)),
    ("ext3", &[(0x438, "an ext3 file system")], Some(1024)),
    ("ext4.1k", &[(0x438, "an ext4 file system")], Some(1024)),
    ("ext4.2k", &[(0x438, "an ext4 file system")], Some(2048)),
    ("ext4.4k", &[(0x438, "an ext4 file system")], Some(4096)),
    ("f2fs", &[(0x400, "an F2FS file system")], Some(4096)),
    ("gfs2", &[(0x10000, "a GFS2 file system")], Some(4096)),
    (
        "gpt",
        &[
            (0x200, "a GPT partition table"),
            (0x3ffe00, "the second copy of a GPT partition table"),
        ],
        Some(512),
    ),
    (
        "gpt.second",
        &[(0x3ffe00, "the second copy of a GPT partition table")],
        Some(512),
    ),
    ("hfs", &[(0x400, "an HFS file system")], Some(512)),
    ("image.parallels", &[(0x0, "a Parallels image")], None),
    ("image.qcow", &[(0x0, "a qcow image")], None),
    ("image.qcow2", &[(0x0, "a qcow2 image")], None),
    ("image.qed", &[(0x0, "a QED image")], None),
    ("image.vdi", &[(0x40, "a VDI image")], None),
    ("image.vhdx", &[(0x0, "a VHDX image")], None),
    ("image.vmdk", &[(0x0, "a VMDK image")], None),
    (
        "image.vmdk.flat",
        &[(0x0, "the descriptor of a VMDK image")],
        None,
    ),
    ("image.vpc", &[(0x0, "a VHD image")], None),
    (
        "image.vpc.fixed",
        &[(0x404800, "a VHD image of fixed size")],
        None,
    ),
    (
        "iso9660.hfs",
        &[
            (0x8001, "an ISO 9660 file system"),
            (0x400, "an HFS file system"),
        ],
        Some(512),
    ),
    (
        "iso9660.joliet",
        &[(0x8001, "an ISO 9660 file system")],
        Some(2048),
    ),
    (
        "iso9660.plain",
        &[(0x8001, "an ISO 9660 file system")],
        Some(2048),
    ),
    (
        "isw_raid_member",
        &[(0x3fffc00, "a RAID member (Intel Matrix)")],
        Some(512),
    ),
    ("jbd", &[(0x438, "an external journal of ext4")], Some(1024)),
    ("jffs2.big", &[(0x0, "a JFFS2 file system")], None),
    ("jffs2.little", &[(0x0, "a JFFS2 file system")], None),
    ("jfs", &[(0x8000, "a JFS file system")], Some(4096)),
    (
        "linux_raid_member.0.90",
        &[(0xff0000, "a RAID member (md 0.90)")],
        Some(512),
    ),
    (
        "linux_raid_member.1.0",
        &[(0xffe000, "a RAID member (md 1.0)")],
        Some(512),
    ),
    (
        "linux_raid_member.1.1",
        &[(0x0, "a RAID member (md 1.1)")],
        Some(512),
    ),
    (
        "linux_raid_member.1.2",
        &[(0x1000, "a RAID member (md 1.2)")],
        Some(512),
    ),
    ("mac", &[(0x200, "an Apple partition map")], Some(512)),
    ("minix.1.14", &[(0x410, "a Minix file system")], Some(1024)),
    ("minix.1.30", &[(0x410, "a Minix file system")], Some(1024)),
    ("minix.2.14", &[(0x410, "a Minix file system")], Some(1024)),
    ("minix.2.30", &[(0x410, "a Minix file system")], Some(1024)),
    ("minix.3", &[(0x418, "a Minix file system")], Some(1024)),
    (
        "nilfs2.1k",
        &[
            (0x406, "a NILFS2 file system"),
            (0x81ff006, "the second superblock of a NILFS2 file system"),
        ],
        Some(1024),
    ),
    (
        "nilfs2.4k",
        &[
            (0x406, "a NILFS2 file system"),
            (0x81ff006, "the second superblock of a NILFS2 file system"),
        ],
        Some(4096),
    ),
    ("ntfs.4096", &[(0x3, "an NTFS file system")], Some(4096)),
    ("ntfs.512", &[(0x3, "an NTFS file system")], Some(512)),
    ("ocfs2.1k", &[(0x800, "an OCFS2 file system")], Some(1024)),
    ("ocfs2.4k", &[(0x2000, "an OCFS2 file system")], Some(4096)),
    ("ocfs2.512", &[(0x400, "an OCFS2 file system")], Some(512)),
    ("pc98", &[(0x4, "a PC-98 partition table")], Some(512)),
    ("reiser4", &[(0x10000, "a Reiser4 file system")], Some(4096)),
    (
        "reiserfs.1k",
        &[(0x10034, "a ReiserFS file system")],
        Some(1024),
    ),
    (
        "reiserfs.35",
        &[(0x10034, "a ReiserFS file system")],
        Some(4096),
    ),
    (
        "reiserfs.4k",
        &[(0x10034, "a ReiserFS file system")],
        Some(4096),
    ),
    ("romfs", &[(0x0, "a romfs file system")], Some(1024)),
    ("sgi", &[(0x0, "an SGI disklabel")], Some(512)),
    ("squashfs", &[(0x0, "a SquashFS file system")], Some(4096)),
    ("sun", &[(0x1fc, "a Sun disklabel")], Some(512)),
    ("swap.16k", &[(0x3ff6, "swap space")], Some(4096)),
    ("swap.4k", &[(0xff6, "swap space")], Some(4096)),
    ("swap.64k", &[(0xfff6, "swap space")], Some(4096)),
    ("ubi", &[(0x0, "a UBI volume")], None),
    ("ubifs", &[(0x0, "a UBIFS file system")], None),
    ("udf.2048", &[(0x8801, "a UDF file system")], Some(2048)),
    ("udf.4096", &[(0x9001, "a UDF file system")], Some(4096)),
    ("udf.512", &[(0x8801, "a UDF file system")], Some(512)),
    (
        "udf.bridge",
        &[
            (0x9801, "a UDF file system"),
            (0x8001, "an ISO 9660 file system"),
        ],
        Some(2048),
    ),
    ("ufs.1.be", &[(0x255c, "a UFS file system")], Some(512)),
    ("ufs.1.le", &[(0x255c, "a UFS file system")], Some(512)),
    ("ufs.2.be", &[(0x255c, "a UFS file system")], Some(512)),
    ("ufs.2.le", &[(0x255c, "a UFS file system")], Some(512)),
    ("vdo", &[(0x0, "a VDO device")], Some(4096)),
    ("vfat.12", &[(0x36, "a FAT file system")], Some(512)),
    ("vfat.16", &[(0x36, "a FAT file system")], Some(512)),
    ("vfat.32", &[(0x52, "a FAT file system")], Some(512)),
    ("vfat.4096", &[(0x36, "a FAT file system")], Some(4096)),
    ("vfat.floppy", &[(0x36, "a FAT file system")], Some(512)),
    ("xfs.4096", &[(0x0, "an XFS file system")], Some(4096)),
    ("xfs.512", &[(0x0, "an XFS file system")], Some(512)),
    (
        "xfs_external_log",
        &[(0x0, "an external log of XFS")],
        Some(512),
    ),
    ("zfs_member", &[(0x20000, "a ZFS pool member")], Some(512)),
];

#[test]
fn each_image_is_named_and_limits_the_sector() {
    let images = Images::unpack().all_opened();
    let names: Vec<_> = images.iter().map(|(name, _)| name.as_str()).collect();
    let expected: Vec<_> = EXPECTED.iter().map(|row| row.0).collect();
    assert_eq!(names, expected, "the archive and this table are one list");
    for ((name, storage), (_, marks, sector)) in images.iter().zip(EXPECTED) {
        let found = look(storage).unwrap();
        let told: Vec<_> = found
            .iter()
            .map(|found| (found.offset, found.content.name()))
            .collect();
        assert_eq!(told, *marks, "{name}");
        let limit = largest_sector(storage).unwrap();
        assert_eq!(limit.as_ref().map(|limit| limit.bytes), *sector, "{name}");
        if let Some(limit) = limit {
            let says_number = limit.found.contains(" of ") && limit.found.ends_with("bytes");
            assert!(says_number, "{name}: {}", limit.found);
        }
        assert_eq!(
            name.starts_with("image."),
            found[0].content.class() == Class::Image,
            "{name}"
        );
        let first = found[0];
        let near = |range| within(storage, range).unwrap();
        assert!(near(first.offset..first.offset + 1).contains(&first));
        assert!(!near(0..first.offset).contains(&first), "{name}");
        assert!(
            !near(first.bytes().end..u64::MAX).contains(&first),
            "{name}"
        );
    }
}

#[test]
fn partitions_are_those_that_were_made() {
    for (name, expected) in [
        ("gpt", &[(1, 2048, 1024), (2, 4096, 1024)][..]),
        ("gpt.second", &[(1, 2048, 1024)]),
        ("dos", DOS),
        ("dos.empty", &[]),
        ("vfat.16", &[]),
        ("ext4.4k", &[]),
    ] {
        let images = Images::unpack().all_opened();
        let storage = &images.iter().find(|image| image.0 == name).unwrap().1;
        let found: Vec<_> = partitions(storage)
            .unwrap()
            .iter()
            .map(|partition| {
                (
                    partition.number,
                    partition.start / 512,
                    partition.bytes / 512,
                )
            })
            .collect();
        assert_eq!(found, expected, "{name}");
    }
}
