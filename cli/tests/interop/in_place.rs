//! Jobs in place beside cryptsetup: begun by one and ended by the other, and killed at each of their system calls.

mod kills;
mod luks1;

use std::fs;
use std::path::Path;

use crate::common::{PROGRAM, Place, Seeded};

pub const K: &str = "--key-file k";
pub const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";
/// A header that takes little, and with it a shift.
pub const SMALL: &str = "--luks2-metadata-size 16K --luks2-keyslots-size 896K --offset 2048";
/// What cryptsetup wants to hear on files.
const OFFLINE: &str = "--force-offline-reencrypt -q";
const BYTES: usize = 3 << 20;

/// An image of 3 MiB in `raw`, its passphrase in `k`.
fn place() -> Place {
    place_of(BYTES)
}

fn place_of(bytes: usize) -> Place {
    let place = Place::new();
    place.write("k", "golden");
    place.write("raw", Seeded(7).bytes(bytes));
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

/// As long as the image has no header, cryptsetup goes on by the file that has it; then that goes to its place.
#[test]
fn a_header_file_that_cryptsetup_ended_with_goes_into_its_image() {
    let place = place();
    let header = "a.luks-header";
    let is_taken = |kill: &usize| {
        place.sh(&format!("rm -f {header}; cp raw a"));
        let faults = format!("-e inject=fsync,fdatasync:signal=KILL:when={kill}");
        let code = place.sh_code(&format!(
            "strace -f -o /dev/null -e trace=fsync,fdatasync {faults} \
             '{PROGRAM}' encrypt --in-place a {K} {CHEAP} {SMALL} -q"
        ));
        assert_ne!(code, 0);
        let is_in_image = place.read_start("a", 4) == b"LUKS";
        // Before the first bytes are put aside cryptsetup takes it for nothing that it knows.
        let ended =
            format!("cryptsetup reencrypt --resume-only {OFFLINE} a --header {header} {K} 2>ended");
        !is_in_image && exists(&place, header) && place.sh_code(&ended) == 0
    };
    (5..20).find(is_taken).expect("there is such a moment");
    place.sh(&format!("luksmith resume a {K} -q"));
    assert!(!exists(&place, header));
    place.sh(&format!("cryptsetup open --test-passphrase a {K}"));
    let data = place.luksmith(&format!("decrypt a - {K} -q"));
    assert!(data[..BYTES] == place.read("raw"));
    let dump = place.luksmith("inspect --json a");
    assert!(!String::from_utf8_lossy(&dump).contains("in-place"));
}

/// What is done at a kill's place: the verb, and what comes of it.
#[derive(Clone, Copy)]
pub struct Job {
    pub name: &'static str,
    pub verb: &'static str,
    /// What the image is before.
    pub from: &'static str,
    pub header: &'static str,
    pub is_decryption: bool,
}

const REENCRYPTION: Job = Job {
    name: "reencrypt",
    verb: "reencrypt CHEAP --hotzone-size 1M",
    from: "box",
    header: "",
    is_decryption: false,
};

pub const JOBS: &[Job] = &[
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
    REENCRYPTION,
    Job {
        name: "decrypt",
        verb: "decrypt --in-place",
        from: "box",
        header: "",
        is_decryption: true,
    },
];

impl Job {
    /// The verb, with what it works on.
    pub fn typed(&self) -> String {
        self.verb
            .replace("CHEAP", CHEAP)
            .replace("SMALL", SMALL)
            .replace("--in-place", "--in-place d")
            .replace("resume", "resume d")
            .replace("reencrypt", "reencrypt d")
    }
}

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
            let step = kills::step(if calls == "pwrite64" { 13 } else { 5 });
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

/// What is left to be wiped when all data is done is told until it is, and what does it.
#[test]
fn what_is_still_to_be_wiped_is_told() {
    let place = place();
    place.sh(&format!(
        "cp raw box; luksmith encrypt --in-place box {K} {CHEAP} {SMALL} -q"
    ));
    let said = |line: &str| {
        let said = place.sh(&format!("luksmith {line} 2>&1 || :"));
        let said = String::from_utf8(said).expect("UTF-8");
        said.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let what = "a job in place is done, and it is still to be ";
    let mut told = 0;
    for job in JOBS {
        for number in 1.. {
            if !kill(&place, job, "fdatasync,fsync", number) {
                break;
            }
            let mut headers = ["h", "d.luks-header", "d"].into_iter();
            let Some(header) = headers
                .find(|header| said(&format!("token list {header}")).contains("luksmith-wipe"))
            else {
                continue;
            };
            let (image, alone) = match header {
                "d" => ("d".to_owned(), "d".to_owned()),
                header => (
                    format!("d --header {header}"),
                    format!("DATA --header {header}"),
                ),
            };
            for (line, named) in [
                (format!("inspect {image}"), &image),
                (format!("verify {image}"), &image),
                (format!("header repair {image} -q"), &alone),
            ] {
                let said = said(&line);
                let way = format!("luksmith resume {named} does it");
                assert!(said.contains(what) && said.contains(&way), "{line}: {said}");
            }
            let listed = said(&format!("key list {image}"));
            assert!(!listed.contains("unbound"), "{}: {listed}", job.name);
            place.sh(&format!("luksmith resume {image} {K} -q"));
            if !job.is_decryption {
                let said = said(&format!("verify {image}"));
                assert!(said.contains("sound") && !said.contains(what), "{said}");
            }
            told += 1;
        }
    }
    assert!(told >= 3, "{told}");
}

/// Whether the process was killed before its end.
pub fn kill(place: &Place, job: &Job, calls: &str, number: usize) -> bool {
    let verb = job.typed();
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

/// cryptsetup's way, where the header says what it can go on with: data whole.
fn ended_by_cryptsetup(place: &Place, job: &Job) -> bool {
    let file = match (job.header, job.is_decryption) {
        ("", false) => "",
        ("", true) => "d.luks-header",
        _ => "h",
    };
    let header = if file.is_empty() { "" } else { "--header hc" };
    let ended = place.sh_code(&format!(
        "rm -f c hc; cp d c; [ -z '{file}' ] || cp {file} hc 2>said || exit 100
         begun() {{ cryptsetup luksDump {dump} 2>said | grep -q online-reencrypt; }}
         begun || exit 100
         cryptsetup repair -q c {header} {K} || exit 1
         ! begun || cryptsetup reencrypt --resume-only {OFFLINE} c {header} {K} || exit 2
         [ -n '{is_plain}' ] || cryptsetup open --test-passphrase c {header} {K}",
        dump = if file.is_empty() { "c" } else { "hc" },
        is_plain = if job.is_decryption { "plain" } else { "" },
    ));
    if ended == 100 {
        return false;
    }
    assert_eq!(ended, 0, "{}: cryptsetup", job.name);
    let raw = place.read("raw");
    let data = if job.is_decryption {
        place.read("c")
    } else {
        place.luksmith(&format!("decrypt c - {header} {K} -q"))
    };
    assert!(data[..raw.len()] == raw, "{}: cryptsetup", job.name);
    true
}

pub fn resumed(place: &Place, job: &Job) {
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

pub fn exists(place: &Place, name: &str) -> bool {
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

/// Killed before it removed the header file: the image has its header, but maybe in memory only.
#[test]
fn an_image_is_synced_before_its_header_file_is_removed() {
    let place = place();
    let code = place.sh_code(&format!(
        "cp raw d
         strace -f -o /dev/null -e trace=unlinkat,unlink -e inject=unlinkat,unlink:signal=KILL:when=1 '{PROGRAM}' \
         encrypt --in-place d {K} {CHEAP} {SMALL} -q"
    ));
    assert_eq!(code, 137);
    assert!(exists(&place, "d.luks-header"));
    place.sh("cryptsetup isLuks d");
    place.sh(&format!(
        "strace -f -y -o calls -e trace=fsync,fdatasync,unlinkat,unlink '{PROGRAM}' resume d {K} -q"
    ));
    let calls = String::from_utf8_lossy(&place.read("calls")).into_owned();
    let (before, _) = calls.split_once("unlink").unwrap();
    assert!(before.contains("/d>"), "{calls}");
    assert!(!exists(&place, "d.luks-header"));
    assert_holds(&place, "d", "");
}

/// Under a kernel: it opens a half-way image of ours, which recovers it, and ends it; and a block device is encrypted, given a
/// new key and decrypted, its end given up and its header file in the folder of the command.
#[test]
fn a_kernel_opens_what_is_half_way_and_devices_are_changed() {
    let place = place();
    place.sh(&format!(
        "cp raw box; luksmith encrypt --in-place box {K} {CHEAP} {SMALL} -q"
    ));
    for (name, number) in [("hot", 5), ("clean", 12)] {
        let job = Job {
            name,
            ..REENCRYPTION
        };
        assert!(kill(&place, &job, "fdatasync", number), "{name}");
        place.sh(&format!("mv d {name}"));
    }
    let mut device = place.read("raw");
    device.resize(BYTES + (2 << 20), 0);
    place.write("device", &device);
    let script = format!(
        "cd '{}'\n\
         sum() {{ head -c {BYTES} $1 | sha256sum; }}; want=$(sum raw)\n\
         same() {{ [ \"$(sum $1)\" = \"$want\" ] && echo \"$2 same\"; }}\n\
         for image in hot clean; do\n\
           L=$(losetup -f --show $image); cryptsetup open $L t {K} && same /dev/mapper/t $image; cryptsetup close t\n\
           losetup -d $L\n\
         done\n\
         D=$(losetup -f --show device); l() {{ '{PROGRAM}' \"$@\" {K} -q; echo \"$? $1\"; sync; blockdev --flushbufs $D; }}\n\
         l encrypt --in-place $D {CHEAP} 2>said\n\
         l encrypt --in-place $D {CHEAP} --reduce-device-size 2M; ls *.luks-header 2>/dev/null\n\
         cryptsetup open $D t {K} && same /dev/mapper/t encrypted; l reencrypt $D {CHEAP} 2>said; cryptsetup close t\n\
         l reencrypt $D {CHEAP}; cryptsetup open $D t {K} && same /dev/mapper/t reencrypted; cryptsetup close t\n\
         l decrypt --in-place $D --init-only; ls *.luks-header\n\
         l resume $D; same $D decrypted; ls *.luks-header 2>/dev/null\n\
         losetup -d $D; sync\n",
        place.path("").display()
    );
    let printed = place.kernel(&script, &[]);
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(
        lines,
        [
            "hot same",
            "clean same",
            "1 encrypt",
            "0 encrypt",
            "encrypted same",
            // It is mapped.
            "5 reencrypt",
            "0 reencrypt",
            "reencrypted same",
            "0 decrypt",
            "loop0.luks-header",
            "0 resume",
            "decrypted same",
        ],
        "{printed}"
    );
    for image in ["hot", "clean"] {
        place.sh(&format!("luksmith resume {image} {K} -q"));
        assert_holds(&place, image, "");
    }
}

/// Room is judged before the first write, holes too, and where it ends nothing has changed.
#[test]
fn no_room_is_found_before_the_first_write() {
    let place = place();
    let script = format!(
        "cd '{}'\nmkdir -p /run/full && mount -t tmpfs -o size=24m none /run/full && cp raw k /run/full\n\
         truncate -s 64M /run/full/holes; cd /run/full\n\
         l() {{ '{PROGRAM}' encrypt --in-place \"$@\" {K} {CHEAP} -q 2>said; echo \"$? $(head -n 1 said | cut -d ' ' -f 2,3)\"; rm said; ls; }}\n\
         l raw; l holes --header h\n\
         cmp raw '{}' && echo same\n",
        place.path("").display(),
        place.path("raw").display()
    );
    let printed = place.kernel(&script, &[]);
    let lines: Vec<_> = printed.lines().collect();
    let expected = [
        "1 raw needs",
        "holes",
        "k",
        "raw",
        "1 holes needs",
        "holes",
        "k",
        "raw",
        "same",
    ];
    assert_eq!(lines, expected, "{printed}");
    let code = place.sh_code(&format!(
        "cp raw d; ulimit -f 8000; luksmith encrypt --in-place d {K} {CHEAP} -q 2>said"
    ));
    assert_eq!(code, 1);
    let said = String::from_utf8_lossy(&place.read("said")).into_owned();
    assert!(said.contains("files of this process end at"), "{said}");
    assert!(place.read("d") == place.read("raw") && !exists(&place, "d.luks-header"));
}

/// A second one of ours is kept out for the whole job, by QEMU's locks.
#[test]
fn a_second_job_is_kept_out() {
    let place = place();
    place.sh(&format!(
        "cp raw d; luksmith encrypt --in-place d {K} {CHEAP} {SMALL} -q"
    ));
    // The first one's third sync waits, until the second one has tried.
    place.sh(&format!(
        "strace -f -o /dev/null -e trace=fdatasync -e inject=fdatasync:delay_enter=20000000:when=3 '{PROGRAM}' reencrypt d \
         {K} {CHEAP} -q & first=$!
         until cryptsetup luksDump d --disable-locks | grep -q online-reencrypt; do sleep 0.1; done
         luksmith resume d {K} -q 2>said; [ $? = 5 ] && grep -q 'in use' said || exit 1
         luksmith decrypt d x {K} -q 2>said; [ $? = 5 ] || exit 1
         wait $first"
    ));
    assert_holds(&place, "d", "");
}
