//! The plaintext through the kernel's own client of NBD, and by its FUSE, in user-mode-linux: what comes in that way is what
//! dm-crypt reads, and the reverse.

use std::fmt::Write as _;

use crate::common::{PROGRAM, Place, pattern};

/// How the plaintext of `$N` is reached, as `$D`, and how that ends.
struct Way {
    /// Once, before all.
    before: &'static str,
    begin: &'static str,
    end: &'static str,
    begin_reading: &'static str,
}

#[test]
fn what_the_kernel_writes_through_us_dm_crypt_reads() {
    reads_and_writes(&Way {
        before: "ip link set lo up; D=/dev/nbd0",
        begin: "luksmith serve $N --key-file key --socket /run/s --pid-file /run/pid -q
                nbd-client -unix /run/s $D -C 2 -b 512 >/dev/null 2>&1",
        end: "nbd-client -d $D >/dev/null
              kill $(cat /run/pid)
              while test -e /run/pid; do sleep 0.1; done",
        begin_reading:
            "luksmith serve $N --key-file key --socket /run/s --pid-file /run/pid -q --read-only
                        nbd-client -unix /run/s $D -b 512 >/dev/null 2>&1
                        test $(blockdev --getro $D) = 1",
    });
}

#[test]
fn what_is_written_to_the_file_dm_crypt_reads() {
    reads_and_writes(&Way {
        before: "mkdir /run/f",
        begin: "luksmith mount $N /run/f --key-file key -q
                D=$(losetup --direct-io=on -f --show /run/f/plain)",
        end: "losetup -d $D
              e2fsck -fn /run/f/plain >/dev/null 2>&1
              luksmith umount /run/f",
        begin_reading: "luksmith mount $N /run/f --key-file key -q --read-only
                        D=$(losetup -r -f --show /run/f/plain)",
    });
}

fn reads_and_writes(way: &Way) {
    let place = Place::new();
    place.write("key", "secret");
    place.write("file", pattern(5 << 20));
    place.hole("raw", 64 << 20);
    // A file system has no smaller blocks than what it lies on.
    let kinds = [
        ("one", "--type luks1", 1024),
        ("two", "--type luks2 --pbkdf pbkdf2 --sector-size 512", 1024),
        (
            "four",
            "--type luks2 --pbkdf pbkdf2 --sector-size 4096",
            4096,
        ),
    ];
    let Way {
        before,
        begin,
        end,
        begin_reading,
    } = way;
    let mut script = format!(
        "set -e\ncd '{}'\nluksmith() {{ '{PROGRAM}' \"$@\"; }}\nmkdir /run/m\n{before}\n",
        place.path("").display()
    );
    for (name, options, block) in kinds {
        place.sh(&format!(
            "luksmith encrypt raw {name} -q --key-file key --pbkdf-force-iterations 1000 {options}"
        ));
        let _ = write!(
            script,
            "N={name}\n\
             {begin}\n\
             mkfs.ext4 -q -b {block} $D\n\
             mount $D /run/m\n\
             cp file /run/m/through\n\
             for i in 1 2 3 4 5 6 7 8; do dd if=file of=/run/m/$i bs=4k count=20 skip=$i conv=fsync status=none; done\n\
             umount /run/m\n\
             e2fsck -fn $D >/dev/null 2>&1\n\
             {end}\n\
             cryptsetup open $N x --key-file key\n\
             e2fsck -fn /dev/mapper/x >/dev/null 2>&1\n\
             mount /dev/mapper/x /run/m\n\
             cmp file /run/m/through\n\
             for i in 1 2 3 4 5 6 7 8; do dd if=file bs=4k count=20 skip=$i status=none | cmp - /run/m/$i; done\n\
             cp file /run/m/mapped\n\
             umount /run/m\n\
             sha256sum </dev/mapper/x >/run/by-kernel\n\
             cryptsetup close x\n\
             {begin_reading}\n\
             sha256sum <$D | cmp - /run/by-kernel\n\
             mount -o ro $D /run/m\n\
             cmp file /run/m/mapped\n\
             umount /run/m\n\
             {end}\n\
             echo $N right\n"
        );
    }
    assert_eq!(
        place.kernel(&script, &[]),
        "one right\ntwo right\nfour right\n"
    );
    for (name, ..) in kinds {
        place.sh(&format!("luksmith verify {name} --key-file key"));
    }
}
