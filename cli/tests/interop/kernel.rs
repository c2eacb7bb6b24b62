use std::fmt::Write as _;
use std::fs::File;

use crate::common::{Place, pattern};

/// One plain container: options that cryptsetup and we both understand, and where the key comes from.
struct Case {
    options: String,
    key: Key,
    offset: u64,
    size: Option<u64>,
}

enum Key {
    /// A key file is the key itself.
    File,
    /// All of standard input is hashed.
    Stdin(&'static str),
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |options: String, key, offset, size| {
        cases.push(Case {
            options,
            key,
            offset,
            size,
        });
    };
    // Every cipher and IV, at every sector size, IVs counted both ways; they start just below 2^32, so that they cross
    // it within the payload, and far beyond.
    for (cipher, bits) in [
        ("aes-xts-plain64", 512),
        ("aes-xts-plain64", 256),
        ("aes-xts-plain", 512),
        ("aes-xts-essiv:sha256", 512),
        ("aes-cbc-essiv:sha256", 256),
        ("aes-cbc-plain64be", 128),
        ("aes-cbc-benbi", 256),
        ("aes-cbc-eboiv", 192),
        ("aes-cbc-null", 128),
        ("aes-ecb", 256),
        ("capi:xts(aes)-plain64", 512),
    ] {
        for (sector_bytes, large, skip) in [
            (512, "", (1_u64 << 32) - 32),
            (1024, " --iv-large-sectors", (1 << 33) - 64),
            (2048, "", (1 << 40) + 8),
            (4096, "", (1 << 32) - 64),
            (4096, " --iv-large-sectors", (1 << 35) - 64),
        ] {
            let options = format!(
                "--cipher '{cipher}' --key-size {bits} --sector-size {sector_bytes} --skip {skip}{large}"
            );
            add(options, Key::File, 0, None);
        }
    }
    add(
        "--cipher aes-xts-plain64 --key-size 512 --skip 8 --offset 1".to_owned(),
        Key::File,
        1,
        Some(24),
    );
    add(
        "--cipher aes-xts-plain64 --key-size 512 --offset 2048 --sector-size 4096".to_owned(),
        Key::File,
        2048,
        Some(64),
    );
    for hash in [
        "ripemd160",
        "sha1",
        "sha256",
        "sha512",
        "whirlpool",
        "sha256:20",
        "plain",
        "plain:9",
    ] {
        let options = format!("--cipher aes-cbc-essiv:sha256 --key-size 256 --hash {hash}");
        add(
            options,
            Key::Stdin("0123456789abcdef0123456789abcdef"),
            0,
            None,
        );
    }
    add(
        "--cipher aes-xts-plain64 --key-size 512 --hash ripemd160".to_owned(),
        Key::Stdin("with a newline\n"),
        0,
        None,
    );
    cases
}

impl Case {
    /// The payload's bytes: that of the raw image, or fewer.
    fn payload_bytes(&self) -> usize {
        self.size
            .map_or(RAW_BYTES, |sectors| usize::try_from(sectors * 512).unwrap())
    }

    /// All options for us and for cryptsetup, and what is redirected to standard input.
    fn arguments(&self) -> (String, &'static str) {
        let size = self
            .size
            .map_or(String::new(), |size| format!(" --size {size}"));
        match self.key {
            Key::File => (format!("{}{size} --key-file ../key", self.options), ""),
            Key::Stdin(_) => (format!("{}{size} --key-file -", self.options), " <pw"),
        }
    }
}

/// Crosses several sectors of every size, and several chunks of nothing: the pipeline has tests of its own.
const RAW_BYTES: usize = 64 << 10;

/// What the kernel writes: other bytes than what we did.
fn others() -> Vec<u8> {
    pattern(RAW_BYTES).iter().map(|byte| !byte).collect()
}

#[test]
fn plain_containers_both_ways() {
    let place = Place::new();
    place.write("raw", pattern(RAW_BYTES));
    place.write("others", others());
    place.write(
        "key",
        pattern(64)
            .iter()
            .map(|byte| byte.wrapping_mul(7).wrapping_add(3))
            .collect::<Vec<_>>(),
    );
    let cases = cases();
    let program = env!("CARGO_BIN_EXE_luksmith");
    let shell = |folder: &str, line: &str| {
        let mut command = std::process::Command::new("sh");
        place.succeed(command.args(["-c", &format!("cd {folder} && {line}")]))
    };
    let mut script = String::from("failed=0\n");
    for (index, case) in cases.iter().enumerate() {
        let folder = format!("case{index}");
        std::fs::create_dir(place.path(&folder)).unwrap();
        if let Key::Stdin(passphrase) = case.key {
            place.write(format!("{folder}/pw"), passphrase);
        }
        let (options, stdin) = case.arguments();
        shell(
            &folder,
            &format!("'{program}' encrypt ../raw ours --type plain {options}{stdin}"),
        );
        let container_bytes = usize::try_from(case.offset * 512).unwrap() + case.payload_bytes();
        assert_eq!(place.read(format!("{folder}/ours")).len(), container_bytes);
        place.write(format!("{folder}/theirs"), vec![0; container_bytes]);
        let payload_sectors = case.payload_bytes() / 512;
        let open = |image: &str| {
            format!("timeout 60 cryptsetup open --type plain {options} {image} t{stdin}")
        };
        let _ = write!(
            script,
            "cd {folder}\n\
             {{ {} && cat /dev/mapper/t >opened; }} || {{ echo '{folder}: ours does not open'; failed=1; }}\n\
             cryptsetup close t\n\
             {{ {} && dd if=../others of=/dev/mapper/t bs=512 count={payload_sectors} status=none; }} || \
             {{ echo '{folder}: theirs is not written'; failed=1; }}\n\
             cryptsetup close t\n\
             cd ..\n",
            open("ours"),
            open("theirs"),
        );
    }
    script.push_str("exit $failed\n");
    let script = format!("cd '{}'\n{script}", place.path("").display());
    let printed = place.kernel(&script, &[]);
    assert_eq!(printed, "");

    for (index, case) in cases.iter().enumerate() {
        let folder = format!("case{index}");
        let (options, stdin) = case.arguments();
        let payload = case.payload_bytes();
        let opened = place.read(format!("{folder}/opened"));
        assert!(
            opened == pattern(RAW_BYTES)[..payload],
            "the kernel reads something else: {options}"
        );
        shell(
            &folder,
            &format!("'{program}' decrypt theirs back --type plain {options}{stdin}"),
        );
        let back = place.read(format!("{folder}/back"));
        assert!(
            back == others()[..payload],
            "we read something else: {options}"
        );
    }
    println!(
        "cases: plain-kernel {} passed, 0 failed, both ways",
        cases.len()
    );
}

#[test]
fn block_devices_as_destinations_and_sources() {
    let place = Place::new();
    let key = pattern(64);
    place.write("key", &key);
    place.write("raw", pattern(1 << 20));
    for (name, bytes) in [("blank", 2 << 20), ("held", 2 << 20), ("small", 512 << 10)] {
        File::create(place.path(name))
            .unwrap()
            .set_len(bytes)
            .unwrap();
    }
    // A file system, by the mark that every ext2 has.
    let mut held = vec![0; 2 << 20];
    held[0x438..0x43a].copy_from_slice(b"\x53\xef");
    place.write("held", held);
    let plain = "--type plain --cipher aes-xts-plain64 --key-size 512 --key-file key";
    let script = format!(
        "cd '{}'\nl() {{ '{}' \"$@\" {plain}; echo $?; }}\n\
         l encrypt raw /dev/ubda\n\
         l decrypt /dev/ubda back --size 2048\n\
         l encrypt raw /dev/ubdb\n\
         l encrypt raw /dev/ubdb --force\n\
         l encrypt raw /dev/ubdb --overwrite-device\n\
         l encrypt raw /dev/ubdc --overwrite-device\n\
         l encrypt /dev/ubda /dev/ubda --overwrite-device\n\
         ln -s /dev/ubdb link\n\
         l decrypt /dev/ubda link --overwrite-device --size 2048\n\
         dmsetup create used --table '0 1024 linear /dev/ubdc 0'\n\
         l encrypt raw /dev/ubdc --overwrite-device --size 8\n\
         dmsetup remove used\n",
        place.path("").display(),
        env!("CARGO_BIN_EXE_luksmith"),
    );
    let printed = place.kernel(&format!("{{ {script} }} 2>&1"), &["blank", "held", "small"]);
    let codes: Vec<_> = printed.lines().filter(|line| line.len() == 1).collect();
    assert_eq!(
        codes,
        ["0", "0", "5", "5", "0", "1", "1", "0", "5"],
        "{printed}"
    );
    for said in [
        "/dev/ubdb holds an ext2 file system",
        "/dev/ubdc has 524288 bytes, 1048576 are needed",
        "/dev/ubda is the source itself",
        "/dev/ubdc is in use",
    ] {
        assert!(printed.contains(said), "{said:?} is not in {printed}");
    }
    assert!(place.read("back") == pattern(1 << 20));
    assert!(
        place.read("held")[..1 << 20] == pattern(1 << 20),
        "through the symlink"
    );
    place.luksmith(&format!("decrypt blank back2 {plain} --size 2048"));
    assert!(place.read("back2") == pattern(1 << 20));
}
