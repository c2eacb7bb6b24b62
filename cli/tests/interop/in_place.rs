//! Jobs in place beside cryptsetup: begun by one and ended by the other, and killed at each of their system calls.

use std::fs;
use std::path::Path;

use crate::common::{PROGRAM, Place, Seeded};

const K: &str = "--key-file k";
const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";
/// A header that takes little, and with it a shift.
const SMALL: &str = "--luks2-metadata-size 16K --luks2-keyslots-size 896K --offset 2048";
/// What cryptsetup wants to hear on files.
const OFFLINE: &str = "--force-offline-reencrypt -q";
const BYTES: usize = 3 << 20;

/// An image of 3 MiB in `raw`, its passphrase in `k`.
fn place() -> Place {
    let place = Place::new();
    place.write("k", "golden");
    place.write("raw", Seeded(7).bytes(BYTES));
    place
}

/// Whether both programs open what is in `image`, and its plaintext is that of `raw`.
#[track_caller]
fn assert_holds(place: &Place, image: &str, header: &str) {
    place.sh(&format!(
        "cryptsetup open --test-passphrase {image} {header} {K}"
    ));
    let data = place.luksmith(&format!("decrypt {image} - {header} {K} -q"));
    assert!(data == place.read("raw"), "{image}");
}

#[test]
fn each_ends_what_the_other_has_begun() {
    let place = place();
    place.sh(&format!(
        "cp raw a; luksmith encrypt --in-place a --header ha {K} {CHEAP} -q --init-only
         cryptsetup reencrypt --resume-only {OFFLINE} a --header ha {K}"
    ));
    assert_holds(&place, "a", "--header ha");
    place.sh(&format!(
        "cp raw b; cryptsetup reencrypt --encrypt -q --init-only b --header hb {K} {CHEAP}
         luksmith resume b --header hb {K} -q"
    ));
    assert_holds(&place, "b", "--header hb");
    // With a shift: the file has grown by twice that, and our end cuts it off.
    place.sh(&format!(
        "cp raw c; luksmith encrypt --in-place c {K} {CHEAP} {SMALL} -q --init-only; cp c c2
         cryptsetup reencrypt --resume-only {OFFLINE} c {K}"
    ));
    place.sh(&format!("cryptsetup open --test-passphrase c {K}"));
    let data = place.luksmith(&format!("decrypt c - {K} -q"));
    assert!(data[..BYTES] == place.read("raw"));
    place.sh(&format!("luksmith resume c2 {K} -q"));
    assert_holds(&place, "c2", "");
    assert_eq!(place.len("c2"), BYTES as u64 + (1 << 20));
    place.sh(&format!(
        "cp c2 d; luksmith reencrypt d {K} {CHEAP} -q --init-only
         cryptsetup reencrypt --resume-only {OFFLINE} d {K}"
    ));
    assert_holds(&place, "d", "");
    place.sh(&format!(
        "cp c2 e; cryptsetup reencrypt --init-only {OFFLINE} e {K} {CHEAP}
         luksmith resume e {K} -q"
    ));
    assert_holds(&place, "e", "");
    place.sh(&format!(
        "cp c2 f; luksmith decrypt --in-place f --header hf {K} -q --init-only
         cryptsetup reencrypt --resume-only {OFFLINE} f --header hf {K}"
    ));
    assert!(place.read_start("f", BYTES as u64) == place.read("raw"));
    place.sh(&format!(
        "cp c2 g; cryptsetup reencrypt --decrypt --init-only {OFFLINE} g --header hg {K}
         luksmith resume g --header hg {K} -q"
    ));
    assert!(place.read_start("g", BYTES as u64) == place.read("raw"));
}

/// What is done at a kill's place: the verb, and what comes of it.
struct Job {
    name: &'static str,
    verb: &'static str,
    /// What the image is before.
    from: &'static str,
    header: &'static str,
    is_decryption: bool,
}

const JOBS: &[Job] = &[
    Job {
        name: "encrypt",
        verb: "encrypt --in-place CHEAP SMALL",
        from: "raw",
        header: "",
        is_decryption: false,
    },
    Job {
        name: "encrypt, detached",
        verb: "encrypt --in-place CHEAP --header h --hotzone-size 1M --resilience journal",
        from: "raw",
        header: "--header h",
        is_decryption: false,
    },
    Job {
        name: "reencrypt",
        verb: "reencrypt CHEAP --hotzone-size 1M",
        from: "box",
        header: "",
        is_decryption: false,
    },
    Job {
        name: "decrypt",
        verb: "decrypt --in-place",
        from: "box",
        header: "",
        is_decryption: true,
    },
];

/// The process killed at its syncs, writes and what gives files their names and sizes: whoever goes on has all data.
#[test]
fn a_killed_process_loses_nothing() {
    let place = place();
    place.sh(&format!(
        "cp raw box; luksmith encrypt --in-place box {K} {CHEAP} {SMALL} -q"
    ));
    let (mut passed, mut both) = (0, 0);
    for job in JOBS {
        for calls in [
            "fdatasync,fsync",
            "pwrite64",
            "fallocate,ftruncate,renameat2,unlinkat",
        ] {
            // A handful of places of each, others in each job.
            let step = if calls == "pwrite64" { 13 } else { 5 };
            for number in (1 + passed % step..).step_by(step) {
                if !kill(&place, job, calls, number) {
                    break;
                }
                both += usize::from(ended_by_cryptsetup(&place, job));
                resumed(&place, job);
                passed += 1;
            }
        }
    }
    println!("cases: kills in place {passed} passed, 0 failed");
    assert!(passed >= 25 && both >= 5, "{passed} {both}");
}

/// Whether the process was killed before its end.
fn kill(place: &Place, job: &Job, calls: &str, number: usize) -> bool {
    let verb = job
        .verb
        .replace("CHEAP", CHEAP)
        .replace("SMALL", SMALL)
        .replace("--in-place", "--in-place d")
        .replace("reencrypt", "reencrypt d");
    let code = place.sh_code(&format!(
        "rm -f d d.luks-header h; cp {} d
         strace -f -o /dev/null -e trace={calls} -e inject={calls}:signal=KILL:when={number} '{PROGRAM}' {verb} {K} -q",
        job.from
    ));
    assert!(
        [0, 137].contains(&code),
        "{}: {calls} {number}: {code}",
        job.name
    );
    code != 0
}

/// cryptsetup's way, where the image carries what it needs: data whole.
fn ended_by_cryptsetup(place: &Place, job: &Job) -> bool {
    let is_begun = place.sh_code(&format!(
        "rm -f c hc; cp d c; [ ! -e h ] || cp h hc
         [ -z '{header}' ] || set -- --header hc
         cryptsetup luksDump ${{1:+hc}} ${{1:-c}} 2>/dev/null | grep -q online-reencrypt",
        header = job.header
    ));
    if is_begun != 0 || job.is_decryption {
        return false;
    }
    let header = job.header.replace("--header h", "--header hc");
    place.sh(&format!(
        "cryptsetup repair -q c {header} {K}
         if cryptsetup luksDump {dump} | grep -q online-reencrypt; then
           cryptsetup reencrypt --resume-only {OFFLINE} c {header} {K}
         fi
         cryptsetup open --test-passphrase c {header} {K}",
        dump = if header.is_empty() { "c" } else { "hc" }
    ));
    let data = place.luksmith(&format!("decrypt c - {header} {K} -q"));
    assert!(
        data[..BYTES] == place.read("raw"),
        "{}: cryptsetup",
        job.name
    );
    true
}

fn resumed(place: &Place, job: &Job) {
    let header = if place.path("h").exists() {
        job.header
    } else {
        ""
    };
    let code = place.sh_code(&format!("luksmith resume d {header} {K} -q 2>said"));
    let is_raw = place.read("d") == place.read("raw");
    let said = || String::from_utf8_lossy(&place.read("said")).into_owned();
    if code != 0 && is_raw {
        // It was not begun, or is ended.
        assert!(!exists(place, "d.luks-header"), "{}: {}", job.name, said());
    } else if job.is_decryption && code == 0 {
        assert!(is_raw, "{}: {}", job.name, said());
        assert!(!exists(place, "d.luks-header"));
    } else {
        assert_holds(place, "d", header);
        assert!(!exists(place, "d.luks-header"), "{}", job.name);
    }
}

fn exists(place: &Place, name: &str) -> bool {
    fs::symlink_metadata(place.path(Path::new(name))).is_ok()
}

/// cryptsetup's lock keeps us out, and ours it.
#[test]
fn cryptsetups_lock_is_kept() {
    let place = place();
    place.sh(&format!(
        "cp raw d; luksmith encrypt --in-place d {K} {CHEAP} {SMALL} -q"
    ));
    let before = place.read("d");
    let code = place.sh_code(&format!(
        "mkdir -p -m 700 /run/cryptsetup
         lock=/run/cryptsetup/LN_LUKS2-reencryption-$(cryptsetup luksUUID d)
         flock -x -n $lock '{PROGRAM}' reencrypt d {K} {CHEAP}"
    ));
    assert_eq!(code, 5);
    assert!(place.read("d") == before);
    place.sh(&format!("luksmith reencrypt d {K} {CHEAP} -q"));
    place.sh("[ ! -e /run/cryptsetup/LN_LUKS2-reencryption-$(cryptsetup luksUUID d) ]");
}

/// A disk that fails ends it, and is said to be distrusted; then it goes on.
#[test]
fn a_failed_write_or_sync_ends_it_and_it_goes_on() {
    let place = place();
    place.sh(&format!(
        "cp raw box; luksmith encrypt --in-place box {K} {CHEAP} {SMALL} -q"
    ));
    let mut passed = 0;
    for (calls, error) in [
        ("fdatasync", "EIO"),
        ("pwrite64", "EIO"),
        ("pwrite64", "ENOSPC"),
    ] {
        for number in [2, 9, 16, 24] {
            let code = place.sh_code(&format!(
                "cp box d
                 strace -f -o /dev/null -e trace={calls} -e inject={calls}:error={error}:when={number} '{PROGRAM}' \
                 reencrypt d {K} {CHEAP} --hotzone-size 1M 2>said"
            ));
            let said = String::from_utf8_lossy(&place.read("said")).into_owned();
            assert!(code == 4 || code == 1, "{calls} {number}: {code} {said}");
            if said.contains("is left in the middle") {
                assert!(said.contains("luksmith resume d goes on"), "{said}");
                assert!(
                    error == "ENOSPC" || said.contains("drop the page cache"),
                    "{said}"
                );
            }
            if place.sh_code(&format!("luksmith resume d {K} -q")) != 0 {
                assert!(place.read("d") == place.read("box") || !said.is_empty());
            }
            assert_holds(&place, "d", "");
            passed += 1;
        }
    }
    println!("cases: failures in place {passed} passed, 0 failed");
}
