//! `--dry-run` of the jobs in place: the zones that it tells are those that are then done.

use serde_json::{Value, json};

use crate::support::{Place, pattern};

const K: &str = "--key-file a";
const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";
/// A header that takes little: data begin at 1 MiB.
const SMALL: &str = "--luks2-metadata-size 16K --luks2-keyslots-size 768K --offset 2048";
const MIB: usize = 1 << 20;
/// Bytes of the area of a keyslot for a key of 512 bits.
const KEYSLOT: usize = 258_048;

fn place() -> Place {
    let place = Place::new();
    place.write("a", "passphrase a");
    place.write("d", pattern(5 * MIB / 2));
    place
}

/// What a dry run tells, which changes nothing.
#[track_caller]
fn told(place: &Place, line: &str) -> Value {
    let before = (place.read("d"), place.names());
    let run = place.run(&format!("{line} --dry-run --json")).expect(0);
    assert!((place.read("d"), place.names()) == before, "{line}");
    let report: Value = serde_json::from_str(run.text()).expect("JSON");
    assert_eq!(report["dry_run"], true);
    report
}

/// The same zones are told before the job, and when it has begun.
#[track_caller]
fn begun(place: &Place, line: &str, resume: &str) -> Value {
    let before = told(place, line)["zones"].clone();
    place.run(&format!("{line} --init-only")).expect(0);
    assert_eq!(told(place, resume)["zones"], before, "{line}");
    before
}

fn epoch(place: &Place, header: &str) -> u64 {
    let run = place.run(&format!("inspect {header} --json")).expect(0);
    let facts: Value = serde_json::from_str(run.text()).expect("JSON");
    facts["epoch"].as_u64().expect("a number")
}

#[test]
fn zones_of_a_new_key_are_told_and_committed() {
    let place = place();
    place
        .run(&format!("encrypt --in-place d {K} {CHEAP} {SMALL}"))
        .expect(0);
    let line = format!("reencrypt d {K} {CHEAP} --hotzone-size 100K --resilience-hash sha1");
    let report = told(&place, &line);
    let zone = json!({
        "count": 26, "bytes": 102_400, "start": 0, "end": 5 * MIB / 2, "direction": "forward",
        "protected_by": "checksum", "hash": "sha1", "protection_bytes": 200 * 20,
    });
    assert_eq!(report["zones"], json!([zone]));
    assert_eq!(report["room_bytes"], 0);
    let run = place.run(&format!("{line} --dry-run")).expect(0);
    assert!(
        run.text()
            .contains("zones: 26 of at most 102400 bytes (100 KiB), forward, each protected by checksums (sha1, 4000 bytes"),
        "{}",
        run.text()
    );
    let before = epoch(&place, "d");
    place.run(&line).expect(0);
    // The beginning, two for each zone of which the last one's second is the final header, and what is wiped.
    assert_eq!(epoch(&place, "d") - before, 2 + 2 * 26);

    // A journal protects as much as there is room for beside the keyslots of both keys.
    let line = format!("reencrypt d {K} {CHEAP} --resilience journal");
    let zones = begun(&place, &line, &format!("resume d {K}"));
    let area = 768 * 1024 - 2 * KEYSLOT;
    assert_eq!(zones[0]["bytes"], area);
    assert_eq!(zones[0]["protection_bytes"], area);
    assert_eq!(zones[0]["count"], 10);
    // As many are left when one is done.
    place.run(&format!("resume d {K}")).expect(0);
    let run = place.run(&format!(
        "reencrypt d {K} {CHEAP} --resilience none -q --dry-run"
    ));
    assert!(
        run.expect(0)
            .text()
            .contains("zones: 1 of 2621440 bytes (2.5 MiB), not protected"),
    );
}

#[test]
fn zones_of_a_shift_are_told_with_what_was_put_aside() {
    let place = place();
    let line = format!("encrypt --in-place d {K} {CHEAP} {SMALL}");
    let report = told(&place, &line);
    let zones = json!([
        {"count": 2, "bytes": MIB, "start": MIB, "end": 5 * MIB / 2, "direction": "backward",
            "protected_by": "shift", "protection_bytes": 0},
        {"count": 1, "bytes": MIB, "start": 0, "end": MIB, "direction": "backward",
            "protected_by": "put-aside", "protection_bytes": 0},
    ]);
    assert_eq!(report["zones"], zones);
    assert_eq!(report["room_bytes"], 2 * MIB);
    let text = place.run(&format!("{line} --dry-run")).expect(0);
    for says in [
        "room: 2097152 bytes (2 MiB) of the file system",
        "zones: 2 of at most 1048576 bytes (1 MiB), backward, each protected by the old bytes beside it",
        "zones: 1 of 1048576 bytes (1 MiB), protected by the copy that was put aside",
    ] {
        assert!(text.text().contains(says), "{}", text.text());
    }
    begun(&place, &line, &format!("resume d {K}"));
    place.run(&format!("resume d {K}")).expect(0);

    let line = format!("decrypt --in-place d {K} --resilience journal");
    let zones = begun(&place, &line, &format!("resume d {K}"));
    // What is put aside fits into the journal.
    let aside = 768 * 1024 - KEYSLOT;
    let rest = 5 * MIB / 2 - aside;
    assert_eq!(
        zones,
        json!([
            {"count": 2, "bytes": MIB, "start": aside, "end": aside + rest, "direction": "forward",
                "protected_by": "shift", "protection_bytes": 0},
            {"count": 1, "bytes": aside, "start": 0, "end": aside, "direction": "forward",
                "protected_by": "journal", "protection_bytes": aside},
        ])
    );
    place.run(&format!("resume d {K}")).expect(0);
    assert!(place.read("d") == pattern(5 * MIB / 2));
}

#[test]
fn zones_of_a_detached_header_are_told() {
    let place = place();
    let resume = format!("resume d --header h {K}");
    let line = format!("encrypt --in-place d --header h {K} {CHEAP} --hotzone-size 1M");
    let zones = begun(
        &place,
        &format!("{line} --sector-size 4096"),
        &format!("{resume} --hotzone-size 1M"),
    );
    assert_eq!(zones[0]["count"], 3);
    assert_eq!(zones[0]["protection_bytes"], 256 * 32);
    place.run(&resume).expect(0);
    let line = format!("decrypt --in-place d --header h {K} --resilience journal");
    let zones = begun(&place, &line, &resume);
    assert_eq!(zones[0]["protected_by"], "journal");
    place.run(&resume).expect(0);
    assert!(place.read("d") == pattern(5 * MIB / 2));
}

/// Holes become ciphertext: what they need is told, and taken before anything is written.
#[test]
fn room_for_holes_is_taken_first() {
    let place = place();
    place
        .run(&format!("encrypt --in-place d --header h {K} {CHEAP}"))
        .expect(0);
    let punched = place.sh("fallocate --punch-hole --offset 1M --length 1M d");
    punched.expect(0);
    let line = format!("reencrypt d --header h {K} {CHEAP}");
    assert_eq!(told(&place, &line)["room_bytes"], MIB);
    // Writing behind a limit of the process would end it by a signal.
    place
        .sh(&format!("ulimit -f 100; \"$LUKSMITH\" {line}"))
        .expect(1)
        .says("d would become 2621440 bytes long, and files of this process end at");
    place.run(&format!("{line} --init-only")).expect(0);
    let blocks = place.sh("stat -c %b d").expect(0);
    let blocks: usize = blocks.text().trim().parse().expect("a number");
    assert!(blocks * 512 >= 5 * MIB / 2, "{blocks}");
}

/// What lies before the data of a detached header, such as a partition table, is none of them.
#[test]
fn data_that_begin_elsewhere_stay_there() {
    let place = place();
    let all = place.read("d");
    let line = format!("encrypt --in-place d --header h {K} {CHEAP} --offset 2048");
    let report = told(&place, &line);
    assert_eq!(report["payload_offset"], MIB);
    assert_eq!(report["payload_bytes"], 3 * MIB / 2);
    place.run(&line).expect(0);
    let half = place.read("d");
    assert!(half[..MIB] == all[..MIB] && half[MIB..] != all[MIB..]);
    let run = place.run(&format!("decrypt d - --header h {K}")).expect(0);
    assert!(run.stdout == all[MIB..]);
    let run = place
        .run(&format!("decrypt --in-place d --header h {K}"))
        .expect(0);
    assert_eq!(
        run.text(),
        "d: decrypted, 1.5 MiB of data from byte 1048576 on\n"
    );
    assert!(place.read("d") == all);
    place
        .run(&format!(
            "encrypt --in-place d --header h {K} {CHEAP} --offset 8192"
        ))
        .expect(1)
        .says("what lies before the data");
    assert!(place.read("d") == all && !place.path("h").exists());
}
