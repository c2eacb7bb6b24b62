//! What is on a disk, by images of the real programs: named, not overwritten, and the way to a header in it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{PROGRAM, Place, Seeded, check_all};

/// Verbs that read or change a container: each must have found one.
const VERBS: &[&str] = &[
    "inspect I",
    "verify I",
    "decrypt I out",
    "key list I",
    "key test I",
    "key add I --new-keyfile key",
    "key change I --new-keyfile key",
    "key remove I -S 0 -q",
    "key export I --volume-key-file out",
    "header backup I --header-backup-file out",
    "header repair I",
    "header erase I -q",
    "header convert I --type luks1 -q",
    "header config I --label x",
    "token list I",
    "token export I --token-id 0",
    "token import I --json-file token",
    "token remove I --token-id 0",
];

/// Actions of cryptsetup's command line.
const ACTIONS: &[&str] = &[
    "luksDump I",
    "luksAddKey I key",
    "luksRemoveKey I key",
    "luksChangeKey I key",
    "luksKillSlot I 0 -q",
    "luksErase I -q",
    "luksHeaderBackup I --header-backup-file out",
    "convert I --type luks1 -q",
    "config I --label x",
    "token add I --key-description x",
    "open --test-passphrase I",
    "repair I -q",
];

/// Shell that makes `I`, what is said of it, and what is advised in the verbs.
const IMAGES: &[(&str, &str, &str)] = &[
    (
        "truncate -s 24M I; printf 'label: gpt\\n2048,40960\\n' | sfdisk -q I; dd if=box of=I bs=1M seek=1 conv=notrunc",
        "a GPT partition table; a LUKS header lies at byte 1048576 (partition 1)",
        "--offset 1048576 --sizelimit 20971520 I",
    ),
    (
        "truncate -s 24M I; printf 'label: dos\\nI1: start=2048,size=2048\\nI2: start=4096,size=40960,type=5\\nI5: start=6144,size=36864\\n' | sfdisk -q I; dd if=box of=I bs=1M seek=3 conv=notrunc",
        "an MBR partition table; a LUKS header lies at byte 3145728 (partition 5)",
        "skip=3145728 count=18874368",
    ),
    (
        "truncate -s 24M I; dd if=box of=I bs=64K seek=1 conv=notrunc",
        "a LUKS header lies at byte 65536",
        "--offset 65536 I",
    ),
    (
        "qemu-img convert -O vhdx box I",
        "a VHDX image",
        "qemu-img convert -O raw I",
    ),
    (
        "qemu-img convert -O vmdk box I",
        "a VMDK image",
        "qemu-img convert -O raw I",
    ),
    (
        "qemu-img convert -O vpc -o subformat=fixed box I; dd if=/dev/zero of=I bs=1M count=20 conv=notrunc",
        "a VHD image of fixed size",
        "qemu-img convert -O raw I",
    ),
    ("mv xfs.512.img I", "an XFS file system", "that was meant"),
    ("mv swap.4k.img I", "swap space", "that was meant"),
    (
        "mv linux_raid_member.1.0.img I",
        "a RAID member (md 1.0)",
        "mdadm --assemble",
    ),
    (
        "mv LVM2_member.1.img I",
        "an LVM physical volume",
        "vgchange -ay",
    ),
    ("xz -kc box >I", "an xz file", "unpack it first"),
    // What librbd does to the header of a clone.
    (
        "cp box I; printf RBDL | dd of=I conv=notrunc; dd if=/dev/zero of=I bs=4096 seek=4 count=8 conv=notrunc",
        "the LUKS header of a cloned Ceph image (RBDL)",
        "rbd device map",
    ),
    // What cryptsetup leaves where there is no device-mapper, or no power.
    (
        "truncate -s 4M I; cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 I key; \
         cryptsetup reencrypt -q I --key-file key --pbkdf-force-iterations 1000 --force-offline-reencrypt; \
         ls LUKS-*.org LUKS-*.new LUKS-*.log; printf 'LUKS\\336\\255' | dd of=I conv=notrunc",
        "a LUKS1 container that cryptsetup has begun to reencrypt",
        ".log says how far it came, .org has the header with the old key, .new the one with the new key",
    ),
];

#[test]
fn every_verb_says_what_is_there_in_place_of_a_container() {
    let cases: Vec<_> = IMAGES.iter().map(|image| image.0).collect();
    check_all("no containers", &cases, |make| {
        let (_, said, way) = IMAGES.iter().find(|image| image.0 == *make).unwrap();
        let place = with_images();
        place.write("token", r#"{"type":"x","keyslots":[]}"#);
        place.sh(&format!("({make}) 2>&1"));
        let before = place.read("I");
        for verb in VERBS {
            let text = place.sh(&format!(
                "luksmith {verb} --key-file key 2>&1 </dev/null || :"
            ));
            let text = if String::from_utf8_lossy(&text).contains("unexpected argument") {
                place.sh(&format!("luksmith {verb} 2>&1 </dev/null || :"))
            } else {
                text
            };
            let text = String::from_utf8_lossy(&text);
            assert!(text.contains("not a LUKS container"), "{verb}: {text}");
            assert!(text.contains(said) && text.contains(way), "{verb}: {text}");
            assert!(!text.contains("--type plain"), "{verb}: {text}");
            assert!(!place.path("out").exists(), "{verb}");
        }
        for action in ACTIONS {
            let line = format!("./cryptsetup {action} --key-file key 2>&1 </dev/null || :");
            let text = String::from_utf8(place.sh(&line)).unwrap();
            let text = if text.contains("not allowed with") {
                String::from_utf8(place.sh(&line.replace(" --key-file key", ""))).unwrap()
            } else {
                text
            };
            assert!(text.contains("is not a valid LUKS"), "{action}: {text}");
            // The sentence begins with a capital letter here.
            assert!(text.contains(&said[1..]), "{action}: {text}");
            assert!(text.contains(way), "{action}: {text}");
        }
        assert!(place.read("I") == before);
    });
}

/// Over what a restore may write unasked: a container, whole or damaged, and nothing but zeros.
#[test]
fn a_restore_writes_over_containers_and_blank_places_only() {
    let allowed = [
        "cp box I",
        "truncate -s 20M I",
        "head -c 20M /dev/zero >I",
        "cp box I; dd if=/dev/zero of=I bs=4096 count=1 conv=notrunc",
        "cp box I; printf X | dd of=I bs=1 seek=5000 conv=notrunc; printf X | dd of=I bs=1 seek=21400 conv=notrunc",
    ];
    let refused = [
        "tar cf I -C / etc/passwd etc/group; cat noise >>I",
        "yes 'a line of text' | head -c 20M >I",
        "cp noise I",
        "truncate -s 20M I; printf X | dd of=I bs=1 seek=500000 conv=notrunc",
        "mv jfs.img I",
        "mv gpt.img I; truncate -s 20M I",
        "mv linux_raid_member.1.2.img I",
        "cp box I; dd if=xfs.512.img of=I bs=4096 count=1 conv=notrunc",
        "mv image.vhdx.img I; truncate -s 20M I",
        // The rest of a container whose headers are gone: perhaps of another.
        "cp box I; dd if=/dev/zero of=I bs=32768 count=1 conv=notrunc",
    ];
    let cases: Vec<_> = allowed
        .iter()
        .map(|make| (*make, true))
        .chain(refused.iter().map(|make| (*make, false)))
        .map(|(make, may)| format!("{}{make}", if may { "+" } else { "-" }))
        .collect();
    check_all("places of a restore", &cases, |case| {
        let (may, make) = case.split_at(1);
        let place = with_images();
        place.write("noise", Seeded(7).bytes(4 << 20));
        place.sh("luksmith header backup box --header-backup-file saved");
        place.sh(&format!("({make}) 2>&1"));
        let before = place.read("I");
        let restore = "luksmith header restore I --header-backup-file saved -q";
        let code = if may == "+" { 0 } else { 4 };
        assert_eq!(place.sh_code(&format!("{restore} --dry-run")), code);
        assert!(place.read("I") == before);
        let text = place.sh(&format!("{restore} 2>&1; echo $?"));
        let text = String::from_utf8_lossy(&text);
        assert!(text.trim_end().ends_with(&code.to_string()), "{text}");
        if may == "-" {
            assert!(place.read("I") == before, "{text}");
            assert!(text.contains("--force"), "{text}");
            place.sh(&format!("{restore} --force"));
        }
        place.sh("luksmith key test I --key-file key");
    });
}

/// Signatures as cryptsetup names them, over all images.
#[test]
fn what_a_format_tells_is_what_cryptsetup_tells() {
    let place = with_images();
    let mut told = 0;
    let mut wrong = Vec::new();
    for name in images(&place) {
        let warnings = |program: &str| {
            place.sh(&format!(
                "cp --sparse=always {name} I; [ $(stat -c %s I) -ge 4194304 ] || truncate -s 4M I"
            ));
            let format = "luksFormat --type luks1 --pbkdf-force-iterations 1000 I key";
            let text = place.sh(&format!("{program} {format} 2>&1 </dev/null"));
            let mut lines: Vec<_> = String::from_utf8_lossy(&text)
                .lines()
                .filter(|line| line.contains("signature"))
                .map(str::to_owned)
                .collect();
            lines.sort();
            lines
        };
        let (ours, theirs) = (warnings("./cryptsetup"), warnings("cryptsetup"));
        let is_known = TOLD_OTHERWISE.contains(&name.as_str());
        told += theirs.len();
        if (ours == theirs) == is_known {
            wrong.push(format!("{name}: {ours:?}, cryptsetup {theirs:?}"));
        }
    }
    println!(
        "cases: signatures told {told} passed, {} failed",
        wrong.len()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(told > 70);
}

/// Tables and second copies that libblkid does not look for, and an MBR that it finds in what is none.
const TOLD_OTHERWISE: &[&str] = &[
    "bsd.img",
    "cramfs.padded.img",
    "exfat.img",
    "gpt.second.img",
    "iso9660.hfs.img",
    "pc98.img",
];

/// Whatever is on a block device, at its start or at its end: no verb that writes takes it, replacing files or not.
#[test]
fn a_device_that_holds_anything_is_no_destination() {
    const DISKS: &[&str] = &[
        "jfs.img",
        "reiserfs.4k.img",
        "minix.3.img",
        "bcache.backing.img",
        "linux_raid_member.0.90.img",
        "linux_raid_member.1.0.img",
        "isw_raid_member.img",
        "zfs_member.img",
        "drbd.8.img",
        "gpt.second.img",
        "image.vpc.fixed.img",
        "LVM2_member.3.img",
    ];
    // How it ends: 5 where the device is a destination, 4 where it is to be a container.
    const VERBS: &[(&str, &str)] = &[
        (
            "encrypt --force --type luks1 --pbkdf-force-iterations 1000 --key-file key raw $disk",
            "5",
        ),
        (
            "create --force --type luks1 --pbkdf-force-iterations 1000 --key-file key $disk",
            "5",
        ),
        ("decrypt --force --size 8 --key-file key box $disk", "5"),
        ("header restore -q --header-backup-file saved $disk", "4"),
        ("header repair --force $disk", "4"),
    ];
    let place = with_images();
    place.write("raw", vec![1; 4096]);
    place.luksmith("header backup -q --header-backup-file saved box");
    let before: Vec<_> = DISKS.iter().map(|disk| place.read(disk)).collect();
    let mut script = format!(
        "cd '{}'; for disk in /dev/ubd[a-l]; do\n",
        place.path("").display()
    );
    for (verb, _) in VERBS {
        let _ = writeln!(script, "'{PROGRAM}' {verb} 2>&1; echo $?");
    }
    let printed = place.kernel(&format!("{script}done"), DISKS);
    let codes: Vec<_> = printed.lines().filter(|line| line.len() == 1).collect();
    let expected: Vec<_> = VERBS.iter().map(|(_, code)| *code).collect();
    assert_eq!(codes, expected.repeat(DISKS.len()), "{printed}");
    for (disk, before) in DISKS.iter().zip(before) {
        assert!(place.read(disk) == before, "{disk}");
    }
}

/// A folder with all images, a container `box` that `key` opens, and our program under cryptsetup's name.
fn with_images() -> Place {
    let place = Place::new();
    let archive = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../test-vectors/recognise/images.tar.xz"
    );
    place.succeed(Command::new("tar").args(["-xf", archive]));
    place.write("key", "pw");
    place.sh(&format!("ln -s '{PROGRAM}' cryptsetup"));
    place.hole("box", 20 << 20);
    place.sh("cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --luks2-keyslots-size 512K box key");
    place
}

fn images(place: &Place) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(place.path(""))
        .unwrap()
        .map(|item| item.unwrap().file_name().into_string().unwrap())
        .filter(|name| Path::new(name).extension().is_some_and(|end| end == "img"))
        .collect();
    names.sort();
    names
}
