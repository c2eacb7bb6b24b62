use std::fmt::Write as _;

use crate::bad_places::{BAD, blocks};
use crate::common::{PROGRAM, Place, check_all, pattern};

const RAW_BYTES: usize = 256 << 10;
const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";

/// A source, and what its clone is to be.
const CASES: &[(&str, &str)] = &[
    ("--type luks2", ""),
    ("--type luks2 --sector-size 4096", "--sector-size 512"),
    (
        "--type luks2 --cipher serpent-xts-plain64",
        "--cipher aes-xts-plain64",
    ),
    ("--type luks2", "--type luks1"),
    ("--type luks1", ""),
    (
        "--type luks1 --cipher aes-cbc-essiv:sha256 --key-size 256",
        "",
    ),
    ("--type luks1", "--type luks2 --label clone"),
];

/// `raw`, a container of it, and three clones that `new` opens.
fn place((source, clone): &(&str, &str)) -> Place {
    let place = Place::new();
    place.write("key", "secret");
    place.write("new", "another secret");
    place.write("raw", pattern(RAW_BYTES));
    place.sh(&format!(
        "luksmith encrypt -q raw box --key-file key {source} {CHEAP} && mkdir many && \
         luksmith clone -q box many --key-file key --new-keyfile new --count 3 --name-pattern {{index}} {clone}"
    ));
    place
}

/// cryptsetup decrypts files without a kernel where they are LUKS2; it makes LUKS2 of a LUKS1 header by itself.
#[test]
fn cryptsetup_decrypts_clones() {
    let cases: Vec<_> = CASES.iter().map(|case| Shown(*case)).collect();
    check_all("clones by cryptsetup", &cases, |Shown(case)| {
        let place = place(case);
        for index in 1..=3 {
            place.sh(&format!(
                "cd many && {{ cryptsetup isLuks --type luks2 {index} || \
                   cryptsetup convert --batch-mode {index} --type luks2; }} && \
                 cryptsetup luksDump {index} >/dev/null && \
                 ! cryptsetup open --test-passphrase {index} --key-file ../key && \
                 cryptsetup reencrypt --decrypt --force-offline-reencrypt --batch-mode {index} --header head-{index} --key-file ../new"
            ));
            assert!(place.read(format!("many/{index}"))[..RAW_BYTES] == pattern(RAW_BYTES));
        }
    });
}

#[test]
fn qemu_img_reads_clones_of_luks1() {
    let place = place(&("--type luks1", ""));
    for index in 1..=3 {
        place.sh(&format!(
            "qemu-img convert --object secret,id=key,file=new --image-opts \
             driver=luks,key-secret=key,file.filename=many/{index} -O raw out"
        ));
        assert!(place.read("out") == pattern(RAW_BYTES));
    }
}

/// All in one kernel, for it takes seconds to start.
#[test]
fn the_kernel_reads_clones() {
    let places: Vec<_> = CASES.iter().map(place).collect();
    let mut script = "failed=0\n".to_owned();
    for place in &places {
        let _ = write!(
            script,
            "cd '{}'\n\
             {{ timeout 60 cryptsetup open many/2 t --key-file new && cmp /dev/mapper/t raw; }} || \
             {{ echo \"not read\"; failed=1; }}\n\
             cryptsetup close t\n",
            place.path("").display()
        );
    }
    script.push_str("exit $failed\n");
    assert_eq!(Place::new().kernel(&script, &[]), "");
}

/// A recovery key is one to systemd: of the form that its own have, and told of by the token that it looks for.
#[test]
fn systemd_knows_a_recovery_key() {
    let place = place(&("--type luks2", ""));
    place.sh("luksmith clone -q box copy --key-file key --keep-passphrase --recovery-key recovery");
    let theirs = place.sh(
        "cp box other && PASSWORD=secret systemd-cryptenroll --recovery-key \"$PWD/other\" 2>said",
    );
    let ours = place.read("recovery");
    let form = |key: &[u8]| -> Vec<bool> {
        let key = key.strip_suffix(b"\n").unwrap_or(key);
        key.iter().map(|byte| *byte == b'-').collect()
    };
    assert_eq!(form(&ours), form(&theirs));
    let export = |image: &str| place.sh(&format!("luksmith token export {image} --token-id 0"));
    assert_eq!(export("copy"), export("other"));
    let listed = place.sh("systemd-cryptenroll \"$PWD/copy\"");
    let listed = String::from_utf8_lossy(&listed);
    assert!(listed.contains("recovery"), "{listed}");
}

/// The last of them fails when the clone has its name already: its key stays then.
#[test]
fn where_a_clone_is_there_is_its_recovery_key() {
    let place = place(&("--type luks2", ""));
    let mut seen = Vec::new();
    for number in 1..=4 {
        place.sh_code(&format!(
            "rm -f copy recovery; strace -f -qq -o trace -e trace=fsync -e inject=fsync:error=EIO:when={number} \
             env --default-signal=INT '{PROGRAM}' clone box copy --key-file key --recovery-key recovery 2>said"
        ));
        let is_there = ["copy", "recovery"].map(|name| place.path(name).exists());
        assert_eq!(is_there[0], is_there[1], "{number}");
        seen.push(is_there[0]);
    }
    assert!(seen.contains(&true) && seen.contains(&false), "{seen:?}");
}

/// A signal at any moment from the first of them to the last.
#[test]
fn a_signal_leaves_a_clone_with_its_recovery_key_or_neither() {
    let place = place(&("--type luks2", ""));
    let mut seen = Vec::new();
    // The thread that takes signals gets the processor before what was interrupted comes to its end.
    let held = "-e inject=renameat2,renameat,linkat:delay_enter=1000000";
    for (call, times, held) in [
        ("fsync", 1..=4, held),
        ("renameat2,renameat,linkat", 1..=1, ""),
    ] {
        for number in times {
            place.sh_code(&format!(
                "rm -f copy recovery; strace -f -qq -o trace -e inject={call}:signal=INT:when={number} {held} \
                 env --default-signal=INT '{PROGRAM}' clone box copy --key-file key --recovery-key recovery 2>said"
            ));
            let is_there = ["copy", "recovery"].map(|name| place.path(name).exists());
            assert_eq!(is_there[0], is_there[1], "{call} {number}");
            if is_there[0] {
                place.luksmith("key test copy --key-file recovery");
            }
            let left = place.sh("ls -A | grep luksmith || true");
            assert_eq!(left, b"", "{call} {number}");
            seen.push(is_there[0]);
        }
    }
    assert!(seen.contains(&false), "{seen:?}");
}

/// Under a kernel, for devices take root.
#[test]
fn a_clone_on_a_device() {
    let place = place(&("--type luks2", ""));
    // A file system, by the mark that every ext2 has.
    let mut held = vec![0; 32 << 20];
    held[0x438..0x43a].copy_from_slice(b"\x53\xef");
    place.write("held", &held);
    place.write("small", &held[..4 << 20]);
    let script = format!(
        "cd '{}'\nL=$(losetup -f --show held); M=$(losetup -f --show small); S=$(losetup -f --show box)\n\
         l() {{ '{PROGRAM}' clone \"$@\" --key-file key >/dev/null 2>said; echo \"$? $(head -n 1 said)\"; sync; }}\n\
         cp held was\n\
         l $S $L --new-keyfile new\n\
         l $S $L --new-keyfile new --force\n\
         cmp held was\n\
         l box $M --new-keyfile new --overwrite-device --recovery-key lost\n\
         l $S box --new-keyfile new --force\n\
         l box $S --new-keyfile new --overwrite-device\n\
         [ ! -e lost ] || echo there is a key\n\
         l $S $L --new-keyfile new --overwrite-device --recovery-key kept\n\
         l $L copy --keep-passphrase\n\
         sync; blockdev --flushbufs $L\n\
         cryptsetup open $L t --key-file kept && cmp -n {RAW_BYTES} /dev/mapper/t raw && echo read; cryptsetup close t\n\
         losetup -d $L $M $S\n",
        place.path("").display()
    );
    let printed = place.kernel(&script, &[]);
    let printed = printed.replace("/dev/loop0", "LOOP");
    let lines: Vec<_> = printed.lines().collect();
    let expected = [
        "5 luksmith: LOOP holds an ext2 file system",
        "5 luksmith: LOOP holds an ext2 file system",
        "1 luksmith: /dev/loop1 has 4194304 bytes, ",
        "1 luksmith: box lies in the same bytes as the source",
        "1 luksmith: /dev/loop2 lies in the same bytes as the source",
        "0 ",
        "2 luksmith: ",
        "read",
    ];
    assert_eq!(lines.len(), expected.len(), "{printed}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}: {printed}");
    }
    place.sh("luksmith decrypt held back -q --key-file new");
    assert!(place.read("back")[..RAW_BYTES] == pattern(RAW_BYTES));
    assert!(!place.path("copy").exists());
}

/// What cannot be read ends a clone, and each of many has its line then; or it is zeros in all, and told of each.
#[test]
fn a_clone_of_a_disk_with_bad_sectors() {
    const LOST: usize = 101;
    let place = Place::new();
    place.write("key", "secret");
    place.write("new", "another secret");
    place.write("raw", pattern(RAW_BYTES));
    place.write("held", vec![0; 32 << 20]);
    place.sh(&format!(
        "mkdir many keys; luksmith encrypt -q raw box --sector-size 512 --key-file key {CHEAP} \
         --luks2-metadata-size 16K --luks2-keyslots-size 768K --offset 2048"
    ));
    let start = (place.read("box").len() - RAW_BYTES) / 512;
    let first = start + LOST;
    let script = format!(
        "{BAD}\ncd '{}'\nbad /dev/ubda {first} 1; L=$(losetup -f --show held)\n\
         l() {{ name=$1; shift; '{PROGRAM}' clone /dev/mapper/bad \"$@\" --key-file key --new-keyfile new >out-$name 2>err-$name; echo $name $?; }}\n\
         l one copy --recovery-key recovery\n\
         l device $L --recovery-key recovery\n\
         l many many --count 18 --name-pattern '{{index}}' --manifest list --recovery-key-dir keys --json\n\
         ls -A many keys\n\
         zero='--on-read-error zero'\n\
         bad /dev/ubda {start} 1; l start copy; bad /dev/ubda {first} 1\n\
         l zero copy $zero --error-map map --json\n\
         l zeros many $zero --count 18 --name-pattern '{{index}}' --manifest zeros --json\n",
        place.path("").display()
    );
    let printed = place.kernel(&script, &["box"]);
    assert_eq!(
        printed,
        "one 4\ndevice 4\nmany 4\nkeys:\n\nmany:\nstart 4\nzero 4\nzeros 4\n"
    );
    assert!(!place.path("recovery").exists());
    let text = |name: &str| String::from_utf8(place.read(name)).unwrap();
    for name in ["one", "device", "many", "start"] {
        let said = text(&format!("err-{name}"));
        assert!(said.contains("--on-read-error zero"), "{name}: {said}");
    }
    // Nobody takes the device for a clone.
    assert_ne!(place.sh_code("luksmith key test held --key-file new"), 0);
    let lines = |name: &str| -> Vec<serde_json::Value> {
        let text = text(name);
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect()
    };
    let failed = lines("list");
    assert_eq!(failed.len(), 18);
    for line in &failed {
        let error = line["error"].as_str().unwrap();
        assert!(error.contains("/dev/mapper/bad"), "{line}");
    }

    let lost = serde_json::json!([{"offset": LOST * 512, "length": 512}]);
    assert_eq!(lines("out-zero")[0]["lost"], lost);
    assert_eq!(lines("out-zeros")[0]["lost"], lost);
    assert_eq!(blocks(&place, "map"), [LOST]);
    let mut zeroed = pattern(RAW_BYTES);
    zeroed[LOST * 512..][..512].fill(0);
    let made = lines("zeros");
    assert_eq!(made.len(), 18);
    for (name, line) in made
        .iter()
        .map(|line| (line["name"].as_str().unwrap(), line))
    {
        assert_eq!(line["lost"], lost, "{line}");
        assert!(
            line["error"].is_null() && line["sha256"].is_string(),
            "{line}"
        );
        place.sh(&format!(
            "luksmith decrypt many/{name} back --force -q --key-file new"
        ));
        assert!(place.read("back") == zeroed, "{name}");
    }
    place.sh("luksmith decrypt copy back --force -q --key-file new");
    assert!(place.read("back") == zeroed);
}

struct Shown((&'static str, &'static str));

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self((source, clone)) = self;
        write!(f, "{source} to {clone}")
    }
}
