//! Whether Linux can use what comes of an image that is encrypted with the defaults: each kind of file system and
//! partition table, by the program that makes it, and the kernel that mounts it.

use std::fmt;
use std::fmt::Write as _;

use serde_json::Value;

use crate::common::{Place, check_all};

const CHEAP: &str = "--key-file pw --pbkdf pbkdf2 --pbkdf-force-iterations 1000";

/// A kind of image.
struct Kind {
    name: &'static str,
    /// Makes the file `raw` with a `file` in it, out of the folder `root`.
    make: &'static str,
    /// The largest sectors that the kernel takes for it, of a file and of a stream.
    sector_size: u64,
    /// What the report says of it.
    reason: &'static str,
    /// How the kernel gets at it: a file system, partitions, or swap space.
    hold: Hold,
}

#[derive(Clone, Copy)]
enum Hold {
    /// Mounted as this type.
    Mount(&'static str),
    /// The first partition, mounted as this type.
    Partition(&'static str),
    Swap,
}

/// mkfs.xfs makes small file systems for those who test it: three variables say so.
const XFS: &str = "export TEST_DIR=x TEST_DEV=x QA_CHECK_FS=x; truncate -s 32M raw; \
    printf '/\\n0 0\\nd--755 0 0\\nfile ---644 0 0 root/file\\n$\\n' >proto; mkfs.xfs -q -p proto";

const KINDS: &[Kind] = &[
    Kind {
        name: "ext2-1k",
        make: "truncate -s 8M raw; mkfs.ext2 -q -b 1024 -d root raw",
        sector_size: 1024,
        reason: "an ext2 file system with blocks of 1024 bytes",
        hold: Hold::Mount("ext2"),
    },
    Kind {
        name: "ext4",
        make: "truncate -s 100M raw; mkfs.ext4 -q -d root raw",
        sector_size: 1024,
        reason: "an ext4 file system with blocks of 1024 bytes",
        hold: Hold::Mount("ext4"),
    },
    Kind {
        name: "ext4-2k",
        make: "truncate -s 16M raw; mkfs.ext4 -q -b 2048 -d root raw",
        sector_size: 2048,
        reason: "an ext4 file system with blocks of 2048 bytes",
        hold: Hold::Mount("ext4"),
    },
    Kind {
        name: "ext4-4k",
        make: "truncate -s 16M raw; mkfs.ext4 -q -b 4096 -d root raw",
        sector_size: 4096,
        reason: "an ext4 file system with blocks of 4096 bytes",
        hold: Hold::Mount("ext4"),
    },
    Kind {
        name: "xfs",
        make: "raw",
        sector_size: 512,
        reason: "an XFS file system with sectors of 512 bytes",
        hold: Hold::Mount("xfs"),
    },
    Kind {
        name: "xfs-4k",
        make: "-s size=4096 raw",
        sector_size: 4096,
        reason: "an XFS file system with sectors of 4096 bytes",
        hold: Hold::Mount("xfs"),
    },
    Kind {
        name: "fat12",
        make: "truncate -s 1M raw; mkfs.fat -F 12 raw; mcopy -i raw root/file ::",
        sector_size: 512,
        reason: "a FAT file system with sectors of 512 bytes",
        hold: Hold::Mount("vfat"),
    },
    Kind {
        name: "fat16",
        make: "truncate -s 16M raw; mkfs.fat -F 16 raw; mcopy -i raw root/file ::",
        sector_size: 512,
        reason: "a FAT file system with sectors of 512 bytes",
        hold: Hold::Mount("vfat"),
    },
    Kind {
        name: "fat32",
        make: "truncate -s 34M raw; mkfs.fat -F 32 raw; mcopy -i raw root/file ::",
        sector_size: 512,
        reason: "a FAT file system with sectors of 512 bytes",
        hold: Hold::Mount("vfat"),
    },
    Kind {
        name: "btrfs",
        make: "truncate -s 32M raw; mkfs.btrfs -q -M --rootdir root raw",
        sector_size: 4096,
        reason: "a Btrfs file system with sectors of 4096 bytes",
        hold: Hold::Mount("btrfs"),
    },
    Kind {
        name: "swap",
        make: "truncate -s 8M raw; mkswap -q raw",
        sector_size: 4096,
        reason: "swap space",
        hold: Hold::Swap,
    },
    Kind {
        name: "squashfs",
        make: "mksquashfs root raw -quiet -no-progress",
        sector_size: 4096,
        reason: "a SquashFS file system",
        hold: Hold::Mount("squashfs"),
    },
    Kind {
        name: "iso9660",
        make: "genisoimage -quiet -R -o raw root; truncate -s %4096 raw",
        sector_size: 2048,
        reason: "an ISO 9660 file system with sectors of 2048 bytes",
        hold: Hold::Mount("iso9660"),
    },
    Kind {
        name: "erofs",
        make: "mkfs.erofs raw root",
        sector_size: 4096,
        reason: "an EROFS file system",
        hold: Hold::Mount("erofs"),
    },
    // The file systems in the partitions could live with larger sectors; the tables cannot.
    Kind {
        name: "gpt",
        make: "truncate -s 16M raw; echo ',,L' | sfdisk -q --label gpt raw; \
            mkfs.ext4 -q -b 4096 -d root -E offset=1048576 raw 14M",
        sector_size: 512,
        reason: "a GPT partition table with sectors of 512 bytes",
        hold: Hold::Partition("ext4"),
    },
    Kind {
        name: "mbr",
        make: "truncate -s 16M raw; echo ',,L' | sfdisk -q --label dos raw; \
            mkfs.ext4 -q -b 4096 -d root -E offset=1048576 raw 14M",
        sector_size: 512,
        reason: "an MBR partition table with sectors of 512 bytes",
        hold: Hold::Partition("ext4"),
    },
];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Encrypted as a file and as a stream with the defaults, and once in larger sectors than it can live with: the kernel
/// decides whether those are the largest. All in one kernel, for it takes seconds to start.
#[test]
fn the_kernel_uses_what_encrypt_makes_of_each_kind_of_image() {
    let place = Place::new();
    check_all(
        "kinds of image, encrypted with the defaults",
        KINDS,
        |kind| {
            kind.encrypt(&place);
        },
    );
    let mut script = format!(
        "cd '{}'\nmkdir -p /run/m\n{USE}\n",
        place.path("").display()
    );
    for kind in KINDS {
        for made in ["file", "stream"] {
            let _ = writeln!(script, "use {kind} {made}");
        }
        if kind.larger().is_some() {
            let _ = writeln!(script, "use {kind} larger");
        }
    }
    let printed = place.kernel(&script, &[]);
    let said = |made: &str, kind: &Kind| {
        let start = format!("{kind} {made}: ");
        let line = printed.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("nothing of {kind} {made} in {printed}"))
            .to_owned()
    };
    check_all("kinds of image, used by the kernel", KINDS, |kind| {
        for made in ["file", "stream"] {
            let expected = format!("{} the file I need", kind.sector_size);
            assert_eq!(said(made, kind), expected, "{kind} {made}");
        }
        if let Some(larger) = kind.larger() {
            assert_eq!(said("larger", kind), format!("{larger} "), "{kind}");
        }
    });
}

/// `use KIND MADE`: the sector size of the mapping and, where the kernel can use it, what is in it.
const USE: &str = r#"
use() {
    . "./$1/hold"
    cryptsetup open --key-file "$1/pw" "$1/$2" t || { echo "$1 $2: not opened"; return; }
    device=/dev/mapper/t size=$(blockdev --getss /dev/mapper/t) text=
    case $hold in
    swap)
        swapon $device 2>/dev/null && { text="the file I need"; swapoff $device; } ;;
    *)
        loop=
        if [ $hold = partition ]; then
            loop=$(losetup -f --show -P -b $size $device)
            device=${loop}p1
            for round in 1 2 3 4 5; do [ -e $device ] || sleep 0.2; done
        fi
        mount -t $type $device /run/m 2>/dev/null && { text=$(cat /run/m/file); umount /run/m; }
        [ -z "$loop" ] || losetup -d $loop ;;
    esac
    echo "$1 $2: $size $text"
    cryptsetup close t
}"#;

impl Kind {
    /// Sectors that are one step too large, where there are such.
    fn larger(&self) -> Option<u64> {
        (self.sector_size < 4096).then_some(self.sector_size * 2)
    }

    fn encrypt(&self, place: &Place) {
        let name = self.name;
        let make = if name.starts_with("xfs") {
            format!("{XFS} {}", self.make)
        } else {
            self.make.to_owned()
        };
        let (hold, kind) = match self.hold {
            Hold::Mount(kind) => ("mount", kind),
            Hold::Partition(kind) => ("partition", kind),
            Hold::Swap => ("swap", "swap"),
        };
        place.sh(&format!(
            "PATH=$PATH:/usr/sbin:/sbin; mkdir -p {name}/root; cd {name}; printf 'the file I need\\n' >root/file; printf secret >pw; \
             echo hold={hold} type={kind} >hold; {{ {make}; }} >made 2>&1 || {{ cat made >&2; exit 1; }}"
        ));
        let report = |line: &str| -> Value {
            let printed = place.sh(&format!("cd {name}; {line}"));
            serde_json::from_slice(&printed).expect("one report")
        };
        let of_file = report(&format!("luksmith encrypt raw file --json {CHEAP}"));
        let of_stream = report(&format!(
            "cat raw | {{ luksmith encrypt - stream --json {CHEAP}; }}"
        ));
        let measured = report("luksmith measure raw --json");
        for report in [of_file, of_stream, measured] {
            assert_eq!(report["sector_size"], self.sector_size, "{report}");
            let reason = report["sector_size_reason"].as_str().expect("a reason");
            assert!(reason.starts_with(self.reason), "{reason}");
        }
        if let Some(larger) = self.larger() {
            let line =
                format!("cd {name}; luksmith encrypt raw larger --sector-size {larger} {CHEAP}");
            for force in ["", "--force"] {
                assert_eq!(place.sh_code(&format!("{line} {force}")), 1);
            }
            place.sh(&format!("{line} --allow-any-sector-size"));
        }
    }
}
