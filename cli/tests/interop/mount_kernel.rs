//! FUSE of Linux in user-mode-linux: what comes in by `mount` is what dm-crypt reads, and the reverse.

use std::fmt::Write as _;

use crate::common::{PROGRAM, Place, pattern};

#[test]
fn what_is_written_to_the_file_dm_crypt_reads() {
    let place = Place::new();
    place.write("key", "secret");
    place.write("file", pattern(5 << 20));
    place.hole("raw", 64 << 20);
    let kinds = [
        ("one", "--type luks1"),
        ("two", "--type luks2 --pbkdf pbkdf2 --sector-size 512"),
        ("four", "--type luks2 --pbkdf pbkdf2 --sector-size 4096"),
    ];
    let mut script = format!(
        "set -e\ncd '{}'\nluksmith() {{ '{PROGRAM}' \"$@\"; }}\nmkdir /run/m /run/f\n",
        place.path("").display()
    );
    for (index, (name, options)) in kinds.iter().enumerate() {
        place.sh(&format!(
            "luksmith encrypt raw {name} -q --key-file key --pbkdf-force-iterations 1000 {options}"
        ));
        // A file system has no smaller blocks than what it lies on.
        let block = [1024, 1024, 4096][index];
        let _ = write!(
            script,
            "luksmith mount {name} /run/f --key-file key -q\n\
             mkfs.ext4 -q -b {block} /run/f/plain\n\
             L=$(losetup --direct-io=on -f --show /run/f/plain)\n\
             mount $L /run/m\n\
             cp file /run/m/served\n\
             for i in 1 2 3 4 5 6 7 8; do dd if=file of=/run/m/$i bs=4k count=20 skip=$i conv=fsync status=none; done\n\
             umount /run/m\n\
             losetup -d $L\n\
             e2fsck -fn /run/f/plain >/dev/null 2>&1\n\
             luksmith umount /run/f\n\
             cryptsetup open {name} x --key-file key\n\
             e2fsck -fn /dev/mapper/x >/dev/null 2>&1\n\
             mount /dev/mapper/x /run/m\n\
             cmp file /run/m/served\n\
             for i in 1 2 3 4 5 6 7 8; do dd if=file bs=4k count=20 skip=$i status=none | cmp - /run/m/$i; done\n\
             cp file /run/m/mapped\n\
             umount /run/m\n\
             sha256sum </dev/mapper/x >/run/by-kernel\n\
             cryptsetup close x\n\
             luksmith mount {name} /run/f --key-file key -q --read-only\n\
             sha256sum </run/f/plain | cmp - /run/by-kernel\n\
             mount -o ro,loop /run/f/plain /run/m\n\
             cmp file /run/m/mapped\n\
             umount /run/m\n\
             luksmith umount /run/f\n\
             echo {name} right\n"
        );
    }
    assert_eq!(
        place.kernel(&script, &[]),
        "one right\ntwo right\nfour right\n"
    );
    for (name, _) in kinds {
        place.sh(&format!("luksmith verify {name} --key-file key"));
    }
}
