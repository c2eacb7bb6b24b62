//! `compare`: the same plaintext, whatever it lies in.

use std::time::{Duration, Instant};

use crate::support::{Place, Run, golden, pattern};

const CHEAP: &str = "--key-file pw --pbkdf pbkdf2 --pbkdf-force-iterations 1000";

/// A raw image `raw` and a container `box` of it, which opens with the file `pw` (its content is `pw`).
fn place(bytes: usize) -> Place {
    let place = Place::new();
    place.write("pw", "pw");
    place.write("other", "other");
    place.write("raw", pattern(bytes));
    place
        .run(&format!("encrypt raw box --key-slot 3 {CHEAP}"))
        .expect(0);
    place
}

fn json(run: &Run) -> serde_json::Value {
    serde_json::from_str(run.text()).expect("JSON")
}

#[test]
fn containers_of_cryptsetup_and_qemu_hold_the_same() {
    let place = Place::new();
    place.write("pw", "golden");
    let paths = [
        "luks1/xts-512-sha256.img.xz",
        "luks1/qemu-xts-512-sha256.img.xz",
        "luks1/qemu-cbc-essiv-128-sha512.img.xz",
        "luks2/pbkdf2-cbc-essiv-128-sector-4096.img.xz",
        "luks2/pbkdf2-capi-xts-256-sector-512.img.xz",
        "luks2/secondary-only.img.xz",
    ];
    for (index, path) in paths.iter().enumerate() {
        place.write(&index.to_string(), golden(path));
        place
            .run(&format!("compare 0 {index} --key-file pw"))
            .expect(0);
    }
    let mut damaged = place.read("1");
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    place.write("damaged", damaged);
    let run = place
        .run("compare 0 damaged --key-file pw --json")
        .expect(1);
    let report = json(&run);
    // One bit of ciphertext garbles its block of 16 bytes.
    let first = report["first_difference"].as_u64().expect("a number");
    assert!((65536 - 16..65536).contains(&first), "{report}");
    assert_eq!(
        (&report["schema"], &report["same"], &report["a"]["type"]),
        (&"luksmith.compare/1".into(), &false.into(), &"luks1".into())
    );
}

#[test]
fn a_container_and_its_raw_image() {
    let place = place(2 << 20);
    let run = place.run("compare raw box --key-file pw").expect(0);
    assert_eq!(run.text(), "raw and box hold the same 2097152 bytes\n");
    place.run("compare box raw --key-file pw").expect(0);
    place.run("compare box box --key-file pw").expect(0);
    place.run("compare raw raw").expect(0);
    for threads in [1, 4] {
        for at in [0, 4095, 524_288, 1_500_000, (2 << 20) - 1] {
            let mut other = place.read("raw");
            other[at] ^= 0x80;
            place.write("changed", other);
            let run = place
                .run(&format!(
                    "compare changed box --key-file pw --threads {threads}"
                ))
                .expect(1);
            assert_eq!(
                run.text(),
                format!("changed and box differ, first at byte {at}\n")
            );
        }
    }
}

#[test]
fn another_length_is_a_difference() {
    let place = place(8192);
    let mut longer = place.read("raw");
    longer.extend([0; 100]);
    place.write("longer", &longer);
    let run = place.run("compare box longer --key-file pw").expect(1);
    assert_eq!(
        run.text(),
        "box and longer are the same up to byte 8192, where one of them ends\n\
         longer is longer by 100 bytes: box has 8192, longer has 8292\n"
    );
    longer[17] ^= 1;
    place.write("longer", &longer);
    let run = place
        .run("compare longer box --key-file pw --json")
        .expect(1);
    let report = json(&run);
    assert_eq!(
        (
            &report["first_difference"],
            &report["length_difference"],
            &report["b"]["keyslot"]
        ),
        (&17.into(), &100.into(), &3.into())
    );
}

#[test]
fn each_container_has_its_key() {
    let place = place(8192);
    place
        .run("encrypt raw second --type luks1 --key-file other --pbkdf-force-iterations 1000")
        .expect(0);
    place
        .run("compare box second --key-file pw --key-file other")
        .expect(0);
    place
        .run("compare second box --key-file other --key-file pw --key-slot 0 --key-slot 3")
        .expect(0);
    place.run("compare raw second -d pw -d other").expect(0);
    place
        .run_with("compare box second", b"pw\nother\n")
        .expect(0);
    place.run_with("compare raw second", b"other\n").expect(0);
    place
        .run_with("compare box box --key-file -", b"pw")
        .expect(0);
    place
        .run("compare box second --key-file pw")
        .expect(2)
        .says("second: no key fits");
    place
        .run("compare second box --key-file other --key-file pw --key-slot 3")
        .expect(64)
        .says("keyslot 3");
}

#[test]
fn what_is_no_comparison_is_not_1() {
    let place = place(8192);
    for arguments in [
        "compare",
        "compare raw",
        "compare raw box --nonsense",
        "compare raw box -d pw -d pw -d pw -d pw -d pw",
        "compare raw raw --key-file pw",
        "compare raw box --key-file missing",
    ] {
        let run = place.run(arguments).expect(64);
        assert!(run.stdout.is_empty(), "{arguments}");
    }
    place
        .run_with("compare raw -", &pattern(8192))
        .expect(64)
        .says("is a stream");
    place.run("compare raw missing").expect(4);
    let mut damaged = place.read("box");
    damaged[4096 + 10] ^= 1;
    damaged[16384 + 4096 + 10] ^= 1;
    place.write("damaged", damaged);
    place
        .run("compare raw damaged --key-file pw")
        .expect(4)
        .says("checksum");
    place.run("compare --help").expect(0);
}

#[test]
fn holes_of_both_are_not_read() {
    let place = Place::new();
    place.sh("truncate -s 1T a b").expect(0);
    let start = Instant::now();
    place.run("compare a b").expect(0);
    place
        .sh("printf x | dd of=b bs=1 seek=1000000000000 conv=notrunc status=none")
        .expect(0);
    let run = place.run("compare a b").expect(1);
    assert_eq!(run.text(), "a and b differ, first at byte 1000000000000\n");
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn progress_is_seen() {
    let place = place(1 << 20);
    let run = place
        .run("compare raw box --key-file pw --progress-json")
        .expect(0);
    let last = run.stderr.lines().last().expect("a line");
    let last: serde_json::Value = serde_json::from_str(last).expect("JSON");
    assert_eq!(last["device_bytes"], "1048576");
}
