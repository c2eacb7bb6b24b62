//! LUKS1 containers in place: opened by cryptsetup and QEMU at the end, killed on the way, and gone on with by cryptsetup.

use super::{CHEAP, Job, K, OFFLINE, assert_holds, exists, kill, place};
use crate::common::{PROGRAM, Place};

pub const JOBS: &[Job] = &[
    Job {
        name: "encrypt to LUKS1",
        verb: "encrypt --in-place --type luks1 CHEAP",
        from: "raw",
        header: "",
        is_decryption: false,
    },
    REENCRYPTION,
    Job {
        name: "the hash of LUKS1",
        verb: "reencrypt CHEAP --keep-key --hash sha512",
        from: "box",
        header: "",
        is_decryption: false,
    },
    Job {
        name: "decrypt LUKS1",
        verb: "decrypt --in-place",
        from: "box",
        header: "",
        is_decryption: true,
    },
];

const REENCRYPTION: Job = Job {
    name: "reencrypt LUKS1",
    verb: "reencrypt CHEAP --hotzone-size 1M --cipher aes-xts-plain64 --key-size 256",
    from: "box",
    header: "",
    is_decryption: false,
};

/// The same with `box`, a container that cryptsetup has made.
fn place_of_luks1() -> Place {
    let place = place();
    place.sh(&format!(
        "luksmith encrypt raw box --type luks1 {K} {CHEAP} --hash sha1 -q
         cryptsetup open --test-passphrase box {K}"
    ));
    place
}

/// Both programs and QEMU open it.
#[track_caller]
fn assert_is_luks1(place: &Place, image: &str) {
    assert_holds(place, image, "");
    place.sh(&format!(
        "cryptsetup luksDump {image} | grep -q '^Version:[[:space:]]*1$'
         qemu-img convert --object secret,id=s,file=k -O raw \
           --image-opts driver=luks,key-secret=s,file.driver=file,file.filename={image} q.raw
         cmp q.raw raw"
    ));
}

#[test]
fn cryptsetup_and_qemu_open_what_becomes_of_luks1() {
    let place = place_of_luks1();
    for job in JOBS {
        // Nothing is killed that late.
        assert!(!kill(&place, job, "fdatasync", 9999), "{}", job.name);
        if job.is_decryption {
            assert!(place.read("d") == place.read("raw"));
        } else {
            assert_is_luks1(&place, "d");
        }
        assert!(!exists(&place, "d.luks-header"), "{}", job.name);
    }
}

/// The process killed at its syncs, writes and what gives files their names and sizes.
#[test]
fn a_killed_process_loses_nothing_of_luks1() {
    let place = place_of_luks1();
    let (mut passed, mut named) = (0, 0);
    for job in JOBS {
        for calls in [
            "fdatasync,fsync",
            "pwrite64",
            "fallocate,ftruncate,renameat2,unlinkat",
        ] {
            let step = super::kills::step(if calls == "pwrite64" { 11 } else { 4 });
            for number in (1 + passed % step..).step_by(step) {
                if !kill(&place, job, calls, number) {
                    break;
                }
                named += usize::from(names_its_header(&place));
                resumed(&place, job);
                passed += 1;
            }
        }
    }
    println!("cases: kills of LUKS1 in place {passed} passed, 0 failed");
    assert!(passed >= 25 && named >= 5, "{passed} {named}");
}

/// Whether it is no container while it is half-way; then others say where its header is.
fn names_its_header(place: &Place) -> bool {
    let is_half_way = place.sh_code("[ -e d.luks-header ] && ! cryptsetup isLuks d") == 0;
    if is_half_way {
        place.sh("luksmith key list d 2>said || :
             grep -q 'its header is in d.luks-header: luksmith resume d goes on' said");
    }
    is_half_way
}

pub fn resumed(place: &Place, job: &Job) {
    let code = place.sh_code(&format!("luksmith resume d {K} -q 2>said"));
    assert!(!exists(place, "d.luks-header"), "{}", job.name);
    let is_raw = place.read("d") == place.read("raw");
    if is_raw {
        // It was not begun, or is ended.
        assert!(
            job.is_decryption || job.from == "raw" && code != 0,
            "{}",
            job.name
        );
    } else {
        assert_is_luks1(place, "d");
    }
}

/// The file beside the image is a header to cryptsetup, which goes on by it; then the image gets its LUKS1 header.
#[test]
fn cryptsetup_goes_on_by_the_file_that_tells_of_luks1() {
    let place = place_of_luks1();
    for job in [&JOBS[0], &REENCRYPTION] {
        let verb = job
            .verb
            .replace("--in-place", "--in-place d")
            .replace("reencrypt", "reencrypt d")
            .replace("CHEAP", CHEAP);
        place.sh(&format!(
            "rm -f d; cp {} d; luksmith {verb} {K} -q --init-only
             cryptsetup reencrypt --resume-only {OFFLINE} d --header d.luks-header {K}
             luksmith resume d {K} -q",
            job.from
        ));
        assert!(!exists(&place, "d.luks-header"), "{}", job.name);
        place.sh(&format!("cryptsetup open --test-passphrase d {K}"));
        let data = place.luksmith(&format!("decrypt d - {K} -q"));
        let raw = place.read("raw");
        // What the file grew by while it was encrypted only we know to be none of it.
        assert!(data[..raw.len()] == raw, "{}", job.name);
    }
}

/// A disk that fails ends it, and then it goes on.
#[test]
fn a_failed_write_or_sync_of_luks1_goes_on() {
    let place = place_of_luks1();
    let mut passed = 0;
    for (calls, error) in [("fdatasync", "EIO"), ("pwrite64", "ENOSPC")] {
        for number in [3, 9, 16, 23] {
            let code = place.sh_code(&format!(
                "rm -f d d.luks-header; cp box d
                 strace -f -o /dev/null -e trace={calls} -e inject={calls}:error={error}:when={number} '{PROGRAM}' \
                 reencrypt d {K} {CHEAP} --hotzone-size 1M 2>said"
            ));
            assert!(code == 4 || code == 1, "{calls} {number}: {code}");
            place.sh_code(&format!("luksmith resume d {K} -q"));
            assert_is_luks1(&place, "d");
            assert!(!exists(&place, "d.luks-header"));
            passed += 1;
        }
    }
    println!("cases: failures of LUKS1 in place {passed} passed, 0 failed");
}

/// By cryptsetup's own command line, which it cannot do itself without device-mapper.
#[test]
fn cryptsetups_command_line_changes_luks1() {
    let place = place_of_luks1();
    let ours = format!("'{PROGRAM}' cryptsetup");
    place.sh(&format!(
        "cp box d; {ours} reencrypt {OFFLINE} d {K} --pbkdf-force-iterations 1000 --hash sha512
         cryptsetup luksDump d | grep -q '^Hash spec:[[:space:]]*sha512$'"
    ));
    assert_is_luks1(&place, "d");
    place.sh(&format!(
        "{ours} reencrypt {OFFLINE} d {K} --keep-key --pbkdf-force-iterations 1000 --hash sha256
         cryptsetup luksDump d | grep -q '^Hash spec:[[:space:]]*sha256$'"
    ));
    assert_is_luks1(&place, "d");
    place.sh(&format!(
        "{ours} reencrypt {OFFLINE} --init-only d {K} --pbkdf-force-iterations 1000
         [ -e d.luks-header ] && ! cryptsetup isLuks d
         {ours} reencrypt {OFFLINE} --resume-only d {K}"
    ));
    assert_is_luks1(&place, "d");
    place.sh(&format!("{ours} reencrypt --decrypt {OFFLINE} d {K}"));
    assert!(place.read("d") == place.read("raw"));
    place.sh(&format!(
        "cp raw e; {ours} reencrypt --encrypt --type luks1 {OFFLINE} e --header h {K} --pbkdf-force-iterations 1000
         cryptsetup luksDump h | grep -q '^Version:[[:space:]]*1$'"
    ));
    assert_holds(&place, "e", "--header h");
    place.sh(&format!(
        "cp raw f; truncate -s +4M f
         {ours} reencrypt --new --type luks1 --reduce-device-size 4M {OFFLINE} f {K} --pbkdf-force-iterations 1000"
    ));
    place.sh(&format!("cryptsetup open --test-passphrase f {K}"));
    let data = place.luksmith(&format!("decrypt f - {K} -q"));
    let raw = place.read("raw");
    assert!(data[..raw.len()] == raw);
}
