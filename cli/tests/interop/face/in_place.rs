//! What one of both has left half-way, finished by the other one, each by the same command line.

use std::fmt;
use std::fs::OpenOptions;
use std::os::unix::fs::symlink;

use crate::common::{PROGRAM, Place, check_all, pattern};

const RAW_BYTES: usize = 4 << 20;
const CHEAP: &str = "-q --pbkdf pbkdf2 --pbkdf-force-iterations 1000";

/// A job, who begins it, and after how many writes of data a crash cuts that off.
struct Case {
    job: &'static Job,
    begun_by_us: bool,
    cut_at: u32,
}

struct Job {
    name: &'static str,
    /// What it is made of before, if not of the raw image.
    before: &'static str,
    begin: &'static str,
    header: &'static str,
    /// The image is plaintext afterwards.
    is_decrypted: bool,
}

const JOBS: [Job; 6] = [
    Job {
        name: "another key, by checksums",
        before: "--reduce-device-size 2M",
        begin: "--sector-size 4096",
        header: "",
        is_decrypted: false,
    },
    Job {
        name: "another key, by a journal",
        before: "--reduce-device-size 2M",
        begin: "--resilience journal -c aes-cbc-essiv:sha256 -s 256",
        header: "",
        is_decrypted: false,
    },
    Job {
        name: "encryption into the image",
        before: "",
        begin: "--encrypt --reduce-device-size 2M",
        header: "",
        is_decrypted: false,
    },
    Job {
        name: "encryption beside a header",
        before: "",
        begin: "--encrypt",
        header: "--header head",
        is_decrypted: false,
    },
    Job {
        name: "decryption out of the image",
        before: "--reduce-device-size 2M",
        begin: "--decrypt",
        header: "--header head",
        is_decrypted: true,
    },
    Job {
        name: "decryption beside a header",
        before: "--header head",
        begin: "--decrypt --resilience journal",
        header: "--header head",
        is_decrypted: true,
    },
];

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = if self.begun_by_us { "us" } else { "cryptsetup" };
        write!(
            f,
            "{}, begun by {by}, cut off at {}",
            self.job.name, self.cut_at
        )
    }
}

#[test]
fn what_one_has_left_the_other_finishes() {
    let mut cases = Vec::new();
    for job in &JOBS {
        for begun_by_us in [true, false] {
            // 0: it is only begun.
            for cut_at in [0, 1, 3] {
                cases.push(Case {
                    job,
                    begun_by_us,
                    cut_at,
                });
            }
        }
    }
    check_all("half-way by one, finished by the other", &cases, check);
}

/// By the option of versions before 2.8, and by that of those since.
#[test]
fn a_volume_key_that_is_given_is_the_new_one() {
    let place = Place::new();
    place.write("key", "correct horse");
    place.write("image", pattern(RAW_BYTES));
    place.write("new", &pattern(1024)[512..576]);
    place.write("newer", &pattern(1024)[600..632]);
    place.sh(&format!(
        "cryptsetup reencrypt --encrypt {CHEAP} image -d key --header head"
    ));
    for options in [
        "--volume-key-file new",
        "--new-volume-key-file newer --new-key-size 256",
    ] {
        let file = options.split(' ').nth(1).unwrap_or_default();
        place.sh(&format!(
            "luksmith cryptsetup reencrypt {CHEAP} --force-offline-reencrypt image -d key --header head {options} &&
             cryptsetup luksDump -q --dump-volume-key --volume-key-file now head -d key && cmp now {file} && rm now"
        ));
        let plain = place.sh("luksmith decrypt image - --key-file key --header head");
        assert!(plain == pattern(RAW_BYTES));
    }
}

fn check(case: &Case) {
    let job = case.job;
    let place = Place::new();
    place.write("key", "correct horse");
    place.write("image", pattern(RAW_BYTES));
    // For the header and for moving the data.
    let file = OpenOptions::new().write(true).open(place.path("image"));
    file.unwrap().set_len(RAW_BYTES as u64 + (2 << 20)).unwrap();
    std::fs::create_dir(place.path("bin")).unwrap();
    symlink(PROGRAM, place.path("bin/cryptsetup")).unwrap();
    if !job.before.is_empty() {
        let before = job.before;
        place.sh(&format!(
            "cryptsetup reencrypt --encrypt {CHEAP} image -d key {before}"
        ));
    }
    let programs = ["bin/cryptsetup", "cryptsetup"];
    let (first, second) = if case.begun_by_us {
        (programs[0], programs[1])
    } else {
        (programs[1], programs[0])
    };
    let (begin, header) = (job.begin, job.header);
    let on = format!("image -d key {header}");
    let forced = format!("{CHEAP} --force-offline-reencrypt");
    place.sh(&format!(
        "{first} reencrypt --init-only {forced} {begin} {on}"
    ));
    if case.cut_at > 0 {
        place.sh(&format!(
            "! strace -f -o trace -e inject=fdatasync:signal=KILL:when={} \
             {first} reencrypt --resume-only {forced} --hotzone-size 256k {on}",
            case.cut_at
        ));
        place.sh("grep -q KILL trace");
    }
    place.sh(&format!("{second} repair -q {on}"));
    // The last zone may have been recovered.
    place.sh(&format!(
        "test -e image && {{ {second} reencrypt --resume-only {forced} {on} || \
         ! {second} luksDump {} | grep -q online-reencrypt; }}",
        if header.is_empty() { "image" } else { "head" }
    ));
    let plain = if job.is_decrypted {
        place.read("image")
    } else {
        place.sh(&format!("luksmith decrypt image - --key-file key {header}"))
    };
    assert!(plain[..RAW_BYTES] == pattern(RAW_BYTES));
}
