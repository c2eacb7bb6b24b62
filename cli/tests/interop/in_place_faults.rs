//! Jobs in place on a disk that fails: each write and each sync of a real process once, and what is then gone on from.

use crate::common::{PROGRAM, Place, Seeded};
use crate::in_place::{CHEAP, JOBS, Job, K, SMALL, exists, kill, resumed};

/// Data of a few zones, and not much to be copied for each fault.
const BYTES: usize = 225_280;
/// What changes an image, and what makes that last.
const CALLS: [(&str, &[&str]); 2] = [
    ("pwrite64,pwritev,ftruncate,fallocate", &["EIO", "ENOSPC"]),
    ("fdatasync,fsync", &["EIO", "ENOSPC"]),
];

/// What a killed process has left, gone on with.
const RESUME: Job = Job {
    name: "resume",
    verb: "resume --hotzone-size 64K",
    from: "half",
    header: "",
    is_decryption: false,
};

/// Of each kind of fault one of so many; all with `LUKSMITH_FAULTS=all`.
fn step() -> usize {
    let all = std::env::var("LUKSMITH_FAULTS").is_ok_and(|share| share == "all");
    if all { 1 } else { 29 }
}

fn place() -> Place {
    let place = Place::new();
    place.write("k", "golden");
    place.write("raw", Seeded(7).bytes(BYTES));
    place.sh(&format!(
        "cp raw box; luksmith encrypt --in-place box {K} {CHEAP} {SMALL} -q
         cp box half
         strace -f -o /dev/null -e trace=fdatasync,fsync -e inject=fdatasync,fsync:signal=KILL:when=12 '{PROGRAM}' \
         reencrypt half {K} {CHEAP} --hotzone-size 64K -q || :
         luksmith inspect half | grep -q ^reencrypts"
    ));
    place
}

/// It ends with an error, which says what goes on, and what goes on has every byte.
#[test]
fn each_write_and_sync_may_fail() {
    let place = place();
    let step = step();
    let (mut kinds, mut passed, mut said_so) = (0, 0, 0);
    for job in JOBS.iter().chain([&RESUME]) {
        for (calls, errors) in CALLS {
            for error in errors {
                kinds += 1;
                // Others of each kind.
                for when in (1 + kinds * 7 % step..).step_by(step) {
                    let Some(said) = fail(&place, job, calls, error, when) else {
                        break;
                    };
                    let is_left = said.contains("is left in the middle");
                    if is_left {
                        assert!(said.contains("luksmith resume d"), "{said}");
                        let is_of_disk = *error == "EIO" && calls.contains("sync");
                        assert!(
                            !is_of_disk || said.contains("drop the page cache"),
                            "{said}"
                        );
                    }
                    said_so += usize::from(is_left);
                    resumed(&place, job);
                    passed += 1;
                }
            }
        }
    }
    println!("cases: faults in place {passed} passed, 0 failed");
    assert!(passed >= 20 && said_so >= 5, "{passed} {said_so}");
}

/// What it said of the fault; nothing where there was none, because it makes fewer such calls.
fn fail(place: &Place, job: &Job, calls: &str, error: &str, when: usize) -> Option<String> {
    let verb = job.typed();
    let code = place.sh_code(&format!(
        "rm -f d d.luks-header h; cp {} d
         strace -f -o calls -e trace={calls} -e inject={calls}:error={error}:when={when} '{PROGRAM}' {verb} {K} -q 2>said",
        job.from
    ));
    let seen = String::from_utf8_lossy(&place.read("calls")).into_owned();
    if !seen.contains("(INJECTED)") {
        assert_eq!(code, 0, "{}: {calls} {error} {when}", job.name);
        return None;
    }
    let said = String::from_utf8_lossy(&place.read("said")).into_owned();
    assert!(
        [1, 4].contains(&code),
        "{}: {calls} {error} {when}: {code} {said}",
        job.name
    );
    Some(said)
}

/// A header file alone says whose it is, and what is to be done with it.
#[test]
fn what_a_header_file_is_for_is_told() {
    let place = place();
    let said = |line: &str| {
        let said = place.sh(&format!("luksmith {line} 2>&1 || :"));
        let said = String::from_utf8(said).expect("UTF-8");
        said.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    for (job, what) in [
        (
            &JOBS[0],
            "an encryption in place has begun, and the first bytes of the image are still to be put aside: ",
        ),
        (
            &JOBS[3],
            "a decryption in place goes on from this header file, and the image may have lost its own: ",
        ),
    ] {
        let mut told = 0;
        for number in 1.. {
            if !kill(&place, job, "fdatasync,fsync", number) {
                break;
            }
            if !exists(&place, "d.luks-header") {
                continue;
            }
            let alone = said("inspect d.luks-header");
            if !alone.contains(what) {
                continue;
            }
            for line in [
                "inspect d.luks-header",
                "verify d.luks-header",
                "inspect d --header d.luks-header",
            ] {
                let image = if line.contains("--header") {
                    "d"
                } else {
                    "DATA"
                };
                let said = said(line);
                let way = format!("{what}luksmith resume {image} --header d.luks-header does it");
                assert!(said.contains(&way), "{line}: {said}");
            }
            resumed(&place, job);
            told += 1;
        }
        assert!(told >= 1, "{what}");
    }
}

/// cryptsetup wipes the keyslots of a decryption before its header says that it is done, and never gets further itself. The
/// data are plaintext then, which a volume key proves.
#[test]
fn a_decryption_without_keyslots_is_ended_by_its_volume_key() {
    let place = place();
    place.sh(&format!(
        "cp raw apart; luksmith encrypt --in-place apart --header head {K} {CHEAP} -q
         luksmith key export apart --header head --volume-key-file vk {K} -q"
    ));
    let mut ended = 0;
    for number in 1.. {
        let code = place.sh_code(&format!(
            "cp apart d; cp head h
             strace -f -o calls -e trace=fsync,fdatasync -e inject=fsync,fdatasync:signal=KILL:when={number} \
             cryptsetup reencrypt --decrypt --force-offline-reencrypt -q d --header h {K} 2>said"
        ));
        if code == 0 {
            break;
        }
        let is_without = "luksmith inspect h --json | grep -q '\"type\":\"reencrypt\"' &&
             ! luksmith inspect h --json | grep -q '\"type\":\"luks2\",\"bound\"'";
        if place.sh_code(is_without) != 0 {
            continue;
        }
        let header = place.read("h");
        assert_eq!(
            place.sh_code(&format!("luksmith resume d --header h {K} -q 2>said")),
            4
        );
        let said = String::from_utf8_lossy(&place.read("said")).into_owned();
        assert!(said.contains("d is decrypted, as h says"), "{said}");
        assert!(said.contains("--volume-key-file"), "{said}");
        assert!(place.read("d") == place.read("raw") && place.read("h") == header);
        place.sh("luksmith resume d --header h --volume-key-file vk -q");
        assert!(place.read("d") == place.read("raw") && !exists(&place, "h"));
        ended += 1;
    }
    assert!(ended >= 1, "{ended}");
}
