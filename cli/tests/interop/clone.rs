use std::fmt::Write as _;

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
             '{PROGRAM}' clone box copy --key-file key --recovery-key recovery 2>said"
        ));
        let is_there = ["copy", "recovery"].map(|name| place.path(name).exists());
        assert_eq!(is_there[0], is_there[1], "{number}");
        seen.push(is_there[0]);
    }
    assert!(seen.contains(&true) && seen.contains(&false), "{seen:?}");
}

struct Shown((&'static str, &'static str));

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self((source, clone)) = self;
        write!(f, "{source} to {clone}")
    }
}
