//! Plain volumes as cryptsetup made them for old clouds, under a real kernel, and what `probe` finds out about them.

use std::fmt::Write as _;

use serde_json::Value;

use crate::common::{PROGRAM, Place};

/// 32 bytes, three of which lose a digit.
const KEY: [u8; 32] = {
    let mut key = [0x5a; 32];
    key[0] = 0x07;
    key[9] = 0x0b;
    key[20] = 0x00;
    key
};

/// A volume: what is in it, what cryptsetup is told, and what `probe` is.
struct Volume {
    content: &'static str,
    options: &'static str,
    /// The file that cryptsetup's standard input or `--key-file` is.
    key: &'static str,
    told: &'static str,
    /// Cipher, bits, hash, form of the key.
    found: (&'static str, u32, &'static str, &'static str),
}

const OLD: &str = "aes-cbc-essiv:sha256";
const NEW: &str = "aes-xts-plain64";
/// As os-brick says it since.
const SINCE: &str = "--cipher aes-xts-plain64 --key-size 256 --hash sha256";

const VOLUMES: &[Volume] = &[
    // cryptsetup 2.6.1 with nothing said.
    Volume {
        content: "ext4",
        options: "",
        key: "openstack",
        told: "",
        found: (OLD, 256, "ripemd160", "openstack"),
    },
    Volume {
        content: "xfs",
        options: "",
        key: "openstack-mangled",
        told: "",
        found: (OLD, 256, "ripemd160", "openstack-mangled"),
    },
    // os-brick's own words to it.
    Volume {
        content: "gpt",
        options: "--cipher aes-xts-plain64 --key-size 256",
        key: "openstack",
        told: "",
        found: (NEW, 256, "ripemd160", "openstack"),
    },
    // cryptsetup 2.7 with nothing said.
    Volume {
        content: "xfs",
        options: SINCE,
        key: "openstack",
        told: "",
        found: (NEW, 256, "sha256", "openstack"),
    },
    Volume {
        content: "swap",
        options: SINCE,
        key: "openstack-mangled",
        told: "",
        found: (NEW, 256, "sha256", "openstack-mangled"),
    },
    Volume {
        content: "luks",
        options: SINCE,
        key: "key",
        told: "",
        found: (NEW, 256, "sha256", "as-is"),
    },
    Volume {
        content: "ext4",
        options: "--hash sha1",
        key: "openstack",
        told: "",
        found: (OLD, 256, "sha1", "openstack"),
    },
    Volume {
        content: "gpt",
        options: "--hash sha512",
        key: "key",
        told: "--key-format as-is",
        found: (OLD, 256, "sha512", "as-is"),
    },
    Volume {
        content: "ext4",
        options: "--hash plain:32",
        key: "openstack",
        told: "",
        found: (OLD, 256, "plain:32", "openstack"),
    },
    // What it is told.
    Volume {
        content: "ext4",
        options: "--cipher aes-xts-plain64 --key-size 512",
        key: "openstack",
        told: "--cipher aes-xts-plain64 --key-size 512",
        found: (NEW, 512, "ripemd160", "openstack"),
    },
    Volume {
        content: "swap",
        options: "--cipher aes-cbc-plain64 --key-size 128 --hash whirlpool --skip 8",
        key: "openstack",
        told: "--cipher aes-cbc-plain64 --key-size 128 --hash whirlpool --skip 8",
        found: ("aes-cbc-plain64", 128, "whirlpool", "openstack"),
    },
    // A key file is the key itself.
    Volume {
        content: "ext4",
        options: "--cipher aes-xts-plain64 --key-size 256 --key-file ../key",
        key: "",
        told: "",
        found: (NEW, 256, "plain:32", "as-is"),
    },
];

/// The contents, and the key in each form.
fn place() -> Place {
    let place = Place::new();
    place.write("key", KEY);
    place.write("openstack", hex(&KEY, false));
    place.write("openstack-mangled", hex(&KEY, true));
    place.sh(
        "export TEST_DIR=x TEST_DEV=x QA_CHECK_FS=x
         for name in ext4 xfs swap gpt luks; do truncate -s 32M $name; done
         mkfs.ext4 -q ext4 && mkfs.xfs -q -f xfs && mkswap -q swap 2>/dev/null
         printf 'label: gpt\\n2048,4096\\n' | sfdisk -q gpt
         luksmith create luks --force --container-size 32M -q --key-file key --pbkdf pbkdf2 --pbkdf-force-iterations 1000",
    );
    place
}

fn hex(key: &[u8], is_mangled: bool) -> String {
    let mut digits = String::new();
    for byte in key {
        let _ = if is_mangled {
            write!(digits, "{byte:x}")
        } else {
            write!(digits, "{byte:02x}")
        };
    }
    digits
}

#[test]
fn what_cryptsetup_made_is_found_out() {
    let place = place();
    let mut script = format!("cd '{}'\nfailed=0\n", place.path("").display());
    for (index, volume) in VOLUMES.iter().enumerate() {
        let Volume {
            content,
            options,
            key,
            ..
        } = volume;
        std::fs::create_dir(place.path(format!("{index}"))).unwrap();
        place.hole(&format!("{index}/volume"), 32 << 20);
        let key = match *key {
            "" => String::new(),
            key => format!(" --key-file - <../{key}"),
        };
        let _ = write!(
            script,
            "cd {index}\n\
             {{ timeout 60 cryptsetup -q open --type plain {options} volume t{key} && \
             dd if=../{content} of=/dev/mapper/t bs=1M status=none; }} || \
             {{ echo '{index} is not made'; failed=1; }}\n\
             cryptsetup close t\n\
             cd ..\n",
        );
    }
    script.push_str("exit $failed\n");
    // It says that its defaults are old.
    place.kernel(&script, &[]);
    for (index, volume) in VOLUMES.iter().enumerate() {
        let image = format!("{index}/volume");
        let before = place.read(&image);
        let line = format!("probe {image} --key-file key {}", volume.told);
        let probed: Value =
            serde_json::from_slice(&place.luksmith(&format!("{line} --json"))).unwrap();
        let fits = probed["fits"].as_array().unwrap();
        assert_eq!(fits.len(), 1, "{image}: {probed}");
        let fit = &fits[0];
        let (cipher, bits, hash, format) = volume.found;
        let found = (
            &fit["cipher"],
            &fit["key_bits"],
            &fit["hash"],
            &fit["key_format"],
        );
        let wanted = (&cipher.into(), &bits.into(), &hash.into(), &format.into());
        assert_eq!(found, wanted, "{image}: {probed}");
        // What it prints decrypts it.
        let command = fit["command"].as_str().unwrap();
        let printed = String::from_utf8(place.luksmith(&line)).unwrap();
        assert!(printed.ends_with(&format!("\n  {command}\n")), "{printed}");
        place.sh(&format!(
            "{} -q 2>/dev/null && cmp back {}",
            command.replace(" NEW ", " back --force "),
            volume.content
        ));
        assert!(before == place.read(&image), "{image} was written");
    }
    println!(
        "cases: plain volumes of old clouds {} passed, 0 failed",
        VOLUMES.len()
    );
}

#[test]
fn what_does_not_fit_is_said() {
    let place = place();
    place.write("other", [9; 32]);
    place.write(
        "record",
        format!(
            r#"{{"type": "symmetric", "value": "{}"}}"#,
            hex(&KEY, false)
        ),
    );
    place.sh(
        "luksmith encrypt ext4 volume --type plain --compat 2.6 --key-file - --key-format openstack -q <key
         cp volume before",
    );
    for (line, code, says) in [
        ("volume --secret json:record", 0, ""),
        ("volume --key-file - <key", 0, ""),
        ("volume <key", 0, ""),
        ("volume --key-file openstack --key-encoding hex", 0, ""),
        (
            "volume --key-file other",
            2,
            "volume: none of 30 guesses makes a file system, partition table, swap space or LUKS of it; tried: \
             aes-cbc-essiv:sha256 with 256 bits, aes-xts-plain64 with 256 bits; ripemd160, sha256, sha1, sha512, \
             no hash; the key openstack, openstack-mangled, as-is",
        ),
        (
            "volume --key-file key --key-format as-is --cipher aes-xts-plain64 --hash sha1",
            2,
            "none of 1 guesses",
        ),
        ("volume --key-file key --offset 8", 2, "none of 30 guesses"),
        (
            "ext4 --key-file key",
            4,
            "ext4 holds an ext4 file system, so it is no plain container",
        ),
        ("luks --key-file key", 4, "luks holds a LUKS header"),
        ("volume --key-file none", 1, "cannot read key file none"),
        ("none --key-file key", 4, "cannot open none"),
        ("key --key-file key --offset 1000", 1, "leaves no sector"),
        ("volume --key-file key --cipher nonsense", 1, "nonsense"),
    ] {
        let found = place.sh_code(&format!("'{PROGRAM}' probe {line} >out 2>said"));
        let said = String::from_utf8(place.read("said")).unwrap();
        assert_eq!(found, code, "{line}: {said}");
        assert!(said.contains(says), "{line}: {said}");
    }
    assert!(place.read("volume") == place.read("before"));
}
