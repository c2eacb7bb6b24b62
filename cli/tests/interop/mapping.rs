mod ciphers;
mod testkit;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::common::{PROGRAM, Place, pattern};

/// Several sectors of every size.
const RAW_BYTES: usize = 256 << 10;
const CHEAP: &str = "-q --key-file key --pbkdf pbkdf2 --pbkdf-force-iterations 1000";

impl Place {
    /// Runs a script after `guest.sh` in a kernel; what it finds wrong.
    fn guest(&self, script: &str) -> String {
        self.guest_within(3600, script)
    }

    /// The same with that many seconds for it.
    fn guest_within(&self, seconds: u32, script: &str) -> String {
        let script = format!(
            "L='{PROGRAM}'\ncd '{}'\n{}{script}",
            self.path("").display(),
            include_str!("mapping/guest.sh")
        );
        self.kernel_of("script", &script, &[], seconds)
    }
}

fn place() -> Place {
    let place = Place::new();
    place.write("key", "secret");
    place.write("vk", pattern(64));
    place.write("raw", pattern(RAW_BYTES));
    let others: Vec<u8> = pattern(RAW_BYTES).iter().map(|byte| !byte).collect();
    place.write("other", others);
    for line in [
        "encrypt raw luks1 --type luks1",
        "encrypt raw luks512 --sector-size 512",
        "encrypt raw luks4096 --sector-size 4096",
        "encrypt raw data --header header",
    ] {
        place.luksmith(&format!("{line} {CHEAP}"));
    }
    place.luksmith("encrypt -q raw plain --type plain -c aes-xts-plain64 -s 512 --key-file vk");
    place.luksmith(
        "encrypt -q raw plain4096 --type plain -c aes-cbc-essiv:sha256 -s 256 --key-file vk -o 8 -p 24 \
         --sector-size 4096 --iv-large-sectors",
    );
    for (name, copy) in [("luks512", "pristine"), ("luks4096", "pristine4096")] {
        std::fs::copy(place.path(name), place.path(copy)).unwrap();
    }
    tweaked(&place);
    place
}

/// A container whose IVs do not begin with 0: the header of one, over data that were encrypted so.
fn tweaked(place: &Place) {
    place.luksmith("key export luks512 -q --key-file key --volume-key-file volume-key");
    let mut image = place.read("luks512");
    for at in [0, 16384] {
        tweak(&mut image[at..at + 16384]);
    }
    place.luksmith(
        "encrypt -q raw tweaked-data --type plain -c aes-xts-plain64 -s 512 --key-file volume-key -p 24",
    );
    let data = place.read("tweaked-data");
    let start = image.len() - data.len();
    image[start..].copy_from_slice(&data);
    place.write("tweaked", image);
}

/// One copy of the header: its JSON text says so, and its checksum is right.
fn tweak(copy: &mut [u8]) {
    let json = String::from_utf8(copy[4096..].to_vec()).unwrap();
    let json = json.trim_end_matches('\0');
    let (was, is) = ("\"iv_tweak\":\"0\"", "\"iv_tweak\":\"24\"");
    assert_eq!(json.matches(was).count(), 1);
    let json = json.replace(was, is);
    copy[4096..].fill(0);
    copy[4096..4096 + json.len()].copy_from_slice(json.as_bytes());
    copy[448..512].fill(0);
    let checksum = Sha256::digest(&*copy);
    copy[448..480].copy_from_slice(&checksum);
}

/// Runs a script of `mapping/` in a kernel, where it is to find nothing wrong.
fn check(script: &str) -> Place {
    let place = place();
    assert_eq!(place.guest(script), "");
    place
}

#[test]
fn mappings_are_cryptsetups() {
    let place = check(include_str!("mapping/same.sh"));
    check_members(&String::from_utf8(place.read("json")).unwrap());
}

#[test]
fn an_opening_is_whole_or_not_at_all() {
    check(include_str!("mapping/killed.sh"));
}

#[test]
fn of_many_at_once_one_wins() {
    let rounds = std::env::var("LUKSMITH_MAPPINGS").unwrap_or_else(|_| "20".to_owned());
    let script = include_str!("mapping/races.sh");
    // A quiet machine needs seconds for each.
    let seconds = rounds.parse::<u32>().unwrap() * 300;
    let found = place().guest_within(seconds, &format!("ROUNDS={rounds}\n{script}"));
    assert_eq!(found, "", "{rounds} rounds");
}

#[test]
fn what_is_open_is_changed_or_as_it_was() {
    check(include_str!("mapping/verbs.sh"));
}

#[test]
fn volume_keys_come_from_keyrings_and_go_there() {
    check(include_str!("mapping/keyring.sh"));
}

#[test]
fn no_key_stays_and_a_header_is_read_once() {
    let place = place();
    // 64 bytes that no program has.
    let key: Vec<u8> = (1_u8..=64)
        .map(|n| n.wrapping_mul(0x9d) ^ n.rotate_left(3) ^ 0xa7)
        .collect();
    place.write("canary.hex", hex::encode(&key));
    place.write("canary", key);
    for version in [1, 2] {
        place.luksmith(&format!(
            "encrypt raw canary{version} --type luks{version} --volume-key-file canary {CHEAP}"
        ));
    }
    place
        .luksmith("encrypt -q raw plain3 --type plain -c aes-xts-plain64 -s 512 --key-file canary");
    place.write("secrets.py", include_str!("mapping/secrets.py"));
    assert_eq!(place.guest(include_str!("mapping/secrets.sh")), "");
}

/// No time is judged. `LUKSMITH_MAPPING_TIMES` says how many rounds, and which program, where that is not this one.
#[test]
fn an_opening_and_a_closing_take_their_time() {
    let place = place();
    let wanted = std::env::var("LUKSMITH_MAPPING_TIMES").unwrap_or_else(|_| "1".to_owned());
    let (rounds, program) = wanted.split_once(' ').unwrap_or((&wanted, PROGRAM));
    let script = format!(
        "L='{program}'\nTIMES={rounds}\n{}",
        include_str!("mapping/times.sh")
    );
    assert_eq!(place.guest(&script), "");
    let times = String::from_utf8(place.read("times")).unwrap();
    for line in times.lines() {
        let [what, theirs, ours] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{times}")
        };
        let (theirs, ours): (f64, f64) = (theirs.parse().unwrap(), ours.parse().unwrap());
        println!(
            "{what}: cryptsetup {:.1} ms, luksmith {:.1} ms, {:.2} of it (medians of {rounds})",
            theirs / 1000.0,
            ours / 1000.0,
            ours / theirs
        );
    }
    assert_eq!(times.lines().count(), 2, "{times}");
}

#[test]
fn what_stands_around_mappings_is_understood() {
    check(include_str!("mapping/around.sh"));
}

/// Every member that is printed is in the manual page, as what the page says, and every one of the page is printed.
fn check_members(documents: &str) {
    let mut seen: BTreeMap<(String, String), BTreeSet<&'static str>> = BTreeMap::new();
    for document in documents.lines() {
        let document: Value = serde_json::from_str(document).unwrap();
        let schema = document["schema"].as_str().unwrap();
        let schema = schema
            .trim_start_matches("luksmith.")
            .trim_end_matches("/1");
        collect(schema, "", &document, &mut seen);
    }
    let mut listed = BTreeMap::new();
    for (schema, path, types) in luksmith::manual::json_members() {
        if ["open", "close", "status"].contains(&schema.as_str()) || schema.starts_with("mapping ")
        {
            let types = types.split(", ").next().unwrap_or_default().to_owned();
            listed.insert((schema, path), types);
        }
    }
    assert!(listed.len() > 30);
    for (member, types) in &listed {
        let kinds = seen.get(member);
        let kinds = kinds.unwrap_or_else(|| panic!("nothing prints {member:?}"));
        let known: BTreeSet<_> = types.split(" or ").collect();
        assert!(kinds.is_subset(&known), "{member:?}: {kinds:?}");
    }
    for member in seen.keys() {
        assert!(listed.contains_key(member), "{member:?} is not in the page");
    }
}

fn collect(
    schema: &str,
    prefix: &str,
    value: &Value,
    seen: &mut BTreeMap<(String, String), BTreeSet<&'static str>>,
) {
    for (name, value) in value.as_object().into_iter().flatten() {
        if prefix.is_empty() && name == "schema" {
            continue;
        }
        let path = format!("{prefix}{name}");
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let key = (schema.to_owned(), path.clone());
        seen.entry(key).or_default().insert(kind);
        for item in value.as_array().into_iter().flatten() {
            collect(schema, &format!("{path}[]."), item, seen);
        }
    }
}
