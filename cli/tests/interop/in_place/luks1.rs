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
    REDUCED,
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

/// It has room at its end.
const REDUCED: Job = Job {
    name: "encrypt to LUKS1, reduced",
    verb: "encrypt --in-place --type luks1 CHEAP --reduce-device-size 2M",
    from: "longer",
    header: "",
    is_decryption: false,
};

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
        "cp raw longer; truncate -s +2M longer
         luksmith encrypt raw box --type luks1 {K} {CHEAP} --hash sha1 -q
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
    let plain = if job.from == "longer" {
        "longer"
    } else {
        "raw"
    };
    let is_raw = place.read("d") == place.read(plain);
    if is_raw {
        // It was not begun, or is ended.
        assert!(
            job.is_decryption || ["raw", "longer"].contains(&job.from) && code != 0,
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
    for job in [&JOBS[0], &REDUCED, &REENCRYPTION] {
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
         {ours} reencrypt --new --type luks1 --reduce-device-size 4M --offset 2048 {OFFLINE} f {K} \
           --pbkdf-force-iterations 1000
         cryptsetup luksDump f | grep -q '^Payload offset:[[:space:]]*8192$'"
    ));
    assert_eq!(place.len("f"), (3 << 20) + (4 << 20));
    assert_is_luks1(&place, "f");
    let code = place.sh_code(&format!(
        "cp raw g; {ours} reencrypt --new --type luks1 --reduce-device-size 1024S {OFFLINE} g {K} 2>said || exit $?"
    ));
    assert_eq!(code, 1);
    let said = "Data offset for LUKS header must be either 0 or higher than header size.\n";
    assert_eq!(String::from_utf8_lossy(&place.read("said")), said);
    assert!(place.read("g") == place.read("raw"));
}

/// Under a kernel, which opens what we make of LUKS1 and reads a file system in it: a file and a device that were encrypted,
/// given another key and gone on with half-way; and cryptsetup's own on a device, which has the data in the same places.
#[test]
fn a_kernel_mounts_what_becomes_of_luks1() {
    let place = place();
    place.sh(&format!(
        "rm raw; truncate -s 6M raw; mkdir files; echo found >files/it; head -c 500000 /dev/urandom >files/random
         mkfs.ext4 -q -b 1024 -d files raw
         cp raw grown; luksmith encrypt --in-place grown --type luks1 {K} {CHEAP} -q
         cp raw half; strace -f -o /dev/null -e trace=fdatasync -e inject=fdatasync:signal=KILL:when=9 '{PROGRAM}' \
           encrypt --in-place half --type luks1 {K} {CHEAP} -q || :
         [ -e half.luks-header ]; luksmith resume half {K} -q
         cp grown rekeyed; luksmith reencrypt rekeyed {K} {CHEAP} -q
         cp rekeyed again; luksmith reencrypt again {K} {CHEAP} --hotzone-size 1M -q --init-only
         luksmith resume again {K} -q
         cp rekeyed plain; luksmith decrypt --in-place plain {K} -q; cmp plain raw
         cp raw device; truncate -s +4M device; cp device theirs; cp device cut"
    ));
    let script = format!(
        "cd '{}'; mkdir /run/m\n\
         same() {{\n\
           cryptsetup open $1 t {K} && mount -o ro /dev/mapper/t /run/m && cmp /run/m/random files/random &&\n\
           echo \"$2 $(cat /run/m/it) $(blockdev --getsize64 /dev/mapper/t)\"; umount /run/m; cryptsetup close t\n\
         }}\n\
         for image in grown half rekeyed again; do L=$(losetup -f --show $image); same $L $image; losetup -d $L; done\n\
         D=$(losetup -f --show device); l() {{ '{PROGRAM}' \"$@\" {K} -q; sync; blockdev --flushbufs $D; }}\n\
         R='--reduce-device-size 4M --pbkdf-force-iterations 1000'\n\
         l cryptsetup reencrypt --encrypt --type luks1 $R $D; same $D device\n\
         cryptsetup luksDump $D | grep Payload\n\
         l cryptsetup reencrypt $D --pbkdf-force-iterations 1000; same $D rekeyed; losetup -d $D\n\
         D=$(losetup -f --show cut); l encrypt --in-place --type luks1 --reduce-device-size 4M {CHEAP} $D; same $D cut\n\
         losetup -d $D; D=$(losetup -f --show theirs)\n\
         cryptsetup reencrypt --encrypt --type luks1 $R $D {K} -q; same $D theirs\n\
         cryptsetup luksDump $D | grep Payload; losetup -d $D; sync\n",
        place.path("").display()
    );
    let printed = place.kernel(&script, &[]);
    let lines: Vec<_> = printed.split_whitespace().collect();
    let same = |name| [name, "found", "6291456"].map(str::to_owned).to_vec();
    let payload = || vec!["Payload".into(), "offset:".into(), "8192".into()];
    let expected = [
        same("grown"),
        same("half"),
        same("rekeyed"),
        same("again"),
        same("device"),
        payload(),
        same("rekeyed"),
        same("cut"),
        same("theirs"),
        payload(),
    ];
    assert_eq!(lines, expected.concat(), "{printed}");
    // What we encrypted on the device is where cryptsetup's is, and nothing of the plaintext is left before it.
    let (ours, theirs) = (place.read("device"), place.read("theirs"));
    assert_eq!(ours.len(), theirs.len());
    let raw = place.read("raw");
    let is_plain = |at: &usize| {
        raw[*at..at + 512].iter().any(|byte| *byte != 0)
            && ours[*at..at + 512] == raw[*at..at + 512]
    };
    assert_eq!((0..raw.len()).step_by(512).find(is_plain), None);
}
