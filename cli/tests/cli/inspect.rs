//! `inspect`: everything that a header says, where it lies, and what is weak about it.

use crate::support::{Place, Run, cheap_luks_place, golden};

const CHEAP: &str = "--key-file pw --pbkdf pbkdf2 --pbkdf-force-iterations 1000";

/// A place with a patched copy of a golden container as `box`.
fn patched(path: &str, patch: impl FnOnce(&mut Vec<u8>)) -> Place {
    let place = Place::new();
    let mut bytes = golden(path);
    patch(&mut bytes);
    place.write("box", bytes);
    place
}

fn json(run: &Run) -> serde_json::Value {
    serde_json::from_str(run.text()).expect("JSON")
}

/// What is warned of in a container.
fn warnings(place: &Place) -> Vec<String> {
    let report = json(&place.run("inspect box --json").expect(0));
    let warnings = report["warnings"].as_array().expect("warnings");
    let text = place.run("inspect box").expect(0);
    let warnings = warnings.iter().map(|warning| {
        let warning = warning.as_str().expect("text").to_owned();
        // On as many lines as it needs.
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words(text.text()).contains(&words(&warning)), "{warning}");
        warning
    });
    warnings.collect()
}

/// Exactly one warning has all of these in it.
#[track_caller]
fn one_warns(place: &Place, words: &[&str]) {
    let warnings = warnings(place);
    let count = warnings
        .iter()
        .filter(|warning| words.iter().all(|word| warning.contains(word)))
        .count();
    assert_eq!(count, 1, "{words:?} in {warnings:#?}");
}

#[test]
fn d8_a_keyslot_that_is_cheap_to_guess() {
    let place = patched("luks1/xts-512-sha256.img.xz", |_| {});
    one_warns(
        &place,
        &["keyslot 0", "pbkdf2-sha256 with 1000 iterations", "600000"],
    );
    let place = patched("luks1/xts-512-sha256.img.xz", |bytes| {
        bytes[208 + 4..208 + 8].copy_from_slice(&600_000_u32.to_be_bytes());
    });
    assert!(warnings(&place).is_empty());
    let place = patched("luks1/cbc-essiv-256-sha512.img.xz", |_| {});
    one_warns(&place, &["pbkdf2-sha512", "210000"]);
    let place = patched("luks2/argon2id-xts-512-sector-512.img.xz", |_| {});
    one_warns(&place, &["keyslot 0: argon2id", "7168 KiB x 5"]);
}

#[test]
fn old_and_weak_algorithms() {
    let place = patched("luks1/xts-256-sha1.img.xz", |_| {});
    one_warns(&place, &["uses sha1"]);
    one_warns(&place, &["keyslot 0: pbkdf2-sha1", "1300000"]);
    let place = patched("luks1/cbc-plain64-192-sha224.img.xz", |_| {});
    one_warns(&place, &["aes-cbc-plain64", "watermarks"]);
    let place = patched("luks1/qemu-ecb-128-sha224.img.xz", |_| {});
    one_warns(&place, &["aes-ecb", "which blocks are equal"]);
    let place = patched(
        "luks2/argon2id-cbc-plain64-256-keyslot-cipher.img.xz",
        |_| {},
    );
    one_warns(&place, &["segment 0", "aes-cbc-plain64"]);
    let null = patched("luks1/xts-512-sha256.img.xz", |bytes| {
        bytes[8..72].fill(0);
        bytes[8..19].copy_from_slice(b"cipher_null");
        bytes[40..43].copy_from_slice(b"ecb");
    });
    one_warns(&null, &["null cipher", "nothing there is encrypted"]);
}

#[test]
fn copies_and_keyslots_that_are_not_what_they_seem() {
    let place = patched("luks2/secondary-only.img.xz", |_| {});
    one_warns(&place, &["the primary header is not used"]);
    let state = 208 + 3 * 48;
    let place = patched("luks1/three-keyslots.img.xz", |bytes| {
        bytes[state..state + 4].copy_from_slice(&0x0000_DEAD_u32.to_be_bytes());
    });
    one_warns(&place, &["keyslot 3 is not in use, but its salt"]);
}

#[test]
fn ivs_that_repeat() {
    let place = cheap_luks_place(8192);
    place
        .run(&format!(
            "encrypt raw box {CHEAP} --type luks1 --cipher aes-xts-plain"
        ))
        .expect(0);
    assert_eq!(warnings(&place).len(), 1, "only the cost");
    place.sh("truncate -s 3T box").expect(0);
    one_warns(&place, &["aes-xts-plain: its IVs of 32 bits start again"]);
}

#[test]
fn the_picture_shows_every_part() {
    let place = patched("luks2/objects.img.xz", |_| {});
    let run = place.run("inspect box").expect(0);
    let bands: Vec<_> = run
        .text()
        .lines()
        .filter_map(|line| line.trim_start_matches("map").trim().strip_prefix('['))
        .collect();
    assert_eq!(bands.len(), 2, "{}", run.text());
    // Two copies, each a header and a JSON area, then keyslots, one of which opens no data.
    assert!(bands[0].starts_with("HJ") && bands[0].contains('K') && bands[0].contains('U'));
    assert!(bands[1].starts_with('H') && bands[1].ends_with("#]"));
    assert!(run.text().contains("K keyslot  U unbound keyslot"));

    // The same parts in the data and in the drawing.
    let report = json(&place.run("inspect box --json").expect(0));
    let map = report["map"].as_array().expect("a map");
    let svg = place.run("inspect box --map svg").expect(0);
    let mut at = 0;
    for region in map {
        assert_eq!(region["start"].as_u64(), Some(at), "no gap: {region}");
        at = region["end"].as_u64().expect("a number");
        assert!(svg.text().contains(region["name"].as_str().expect("text")));
    }
    assert_eq!(report["image_bytes"].as_u64(), Some(at));
    for kind in ["header", "json", "keyslot", "unbound", "data"] {
        assert!(map.iter().any(|region| region["kind"] == kind), "{kind}");
    }
}

#[test]
fn a_header_alone_and_luks1() {
    let place = patched("luks2/detached.hdr.xz", |_| {});
    let run = place.run("inspect box").expect(0);
    assert_eq!(run.text().matches('[').count(), 1, "{}", run.text());
    let place = patched("luks1/three-keyslots.img.xz", |_| {});
    let run = place.run("inspect box").expect(0);
    assert!(
        run.text()
            .contains("H header  K keyslot  . free for keyslots")
    );
}

/// Every golden image of each format, on a terminal of 80 columns.
#[test]
fn lines_fit_a_terminal() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../test-vectors");
    let mut count = 0;
    for kind in ["luks1", "luks2"] {
        let entries = std::fs::read_dir(format!("{folder}/{kind}")).expect("golden images");
        for entry in entries {
            let name = entry.expect("an entry").file_name();
            let name = name.to_str().expect("a name").to_owned();
            if !name.ends_with(".img.xz") {
                continue;
            }
            let place = Place::new();
            place.write("box", golden(&format!("{kind}/{name}")));
            for line in ["inspect box", "inspect box --map text"] {
                let run = place.run(line);
                for line in run.text().lines() {
                    assert!(line.chars().count() <= 80, "{name}: {line}");
                }
            }
            count += 1;
        }
    }
    println!("cases: images within 80 columns {count} passed, 0 failed");
    assert!(count > 20, "{count}");
}

#[test]
fn one_of_a_thing_is_one() {
    let place = cheap_luks_place(8192);
    place
        .run("encrypt raw box --key-file pw --pbkdf-memory 32 --pbkdf-force-iterations 4 --pbkdf-parallel 1")
        .expect(0);
    let run = place.run("inspect box").expect(0);
    assert!(
        run.text().contains("4 passes over 32 KiB, 1 lane;"),
        "{}",
        run.text()
    );
}

#[test]
fn c5_nothing_from_the_image_drives_the_terminal() {
    let place = patched("luks1/xts-512-sha256.img.xz", |bytes| {
        // The UUID, and the hash that a warning might name.
        bytes[168..174].copy_from_slice(b"\x1b[31m\n");
        bytes[72..78].copy_from_slice(b"\x1b[32m\0");
    });
    for arguments in [
        "inspect box",
        "inspect box --map text",
        "inspect box --map svg",
    ] {
        let run = place.run(arguments).expect(0);
        assert!(!run.text().contains('\u{1b}'), "{}", run.text());
    }
    json(&place.run("inspect box --json").expect(0));
}
