//! What the kernel is not asked to map, and names that no mapping has: none of it needs a kernel that could.

use serde_json::json;

use crate::crafted::Crafted;
use crate::support::{cheap_luks_place, golden};

const GOOD: &str = "luks2/pbkdf2-xts-256-sector-2048.img.xz";

/// No key file is there: whoever asked for one would say so.
const NOBODY: &str = "--key-file missing";

#[test]
fn what_is_no_single_mapping_is_refused_before_anybody_is_asked() {
    let place = cheap_luks_place(8192);
    let changed = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut crafted = Crafted::new(GOOD);
        change(&mut crafted.json);
        crafted.bytes()
    };
    let segment =
        |change: &dyn Fn(&mut serde_json::Value)| changed(&|json| change(&mut json["segments"]));
    let good = golden(GOOD);
    let offset = Crafted::new(GOOD).json["segments"]["0"]["offset"].clone();
    let offset: usize = offset.as_str().expect("a text").parse().expect("a number");
    let two = changed(&|json| {
        json["segments"]["0"]["size"] = json!("4096");
        let mut second = json["segments"]["0"].clone();
        second["offset"] = json!((offset + 4096).to_string());
        second["size"] = json!("dynamic");
        json["segments"]["1"] = second;
        json["digests"]["0"]["segments"] = json!(["0", "1"]);
    });
    let linear = segment(&|segments| {
        segments["0"] = json!({
            "type": "linear", "offset": segments["0"]["offset"], "size": "dynamic",
        });
    });
    let integrity = segment(&|segments| {
        segments["0"]["integrity"] = json!({"type": "hmac(sha256)", "journal_encryption": "none", "journal_integrity": "none"});
    });
    let null = segment(&|segments| segments["0"]["encryption"] = json!("cipher_null-ecb"));
    let other = segment(&|segments| segments["0"]["type"] = json!("hw-opal"));
    let long = segment(&|segments| segments["0"]["size"] = json!("1099511627776"));
    for (image, says) in [
        (two, "2 segments"),
        (linear, "linear"),
        (integrity, "integrity protection"),
        (null, "cipher_null-ecb"),
        (other, "hw-opal"),
        (long, "the data at 0x"),
        (golden("luks2/reencrypt-in-progress.img.xz"), "reencrypt"),
        (good[..offset].to_vec(), "nothing to map"),
        (good[..offset + 2047].to_vec(), "nothing to map"),
        (good[..4096].to_vec(), "box"),
    ] {
        place.write("box", &image);
        place
            .run(&format!("open box luksmith-no-test {NOBODY}"))
            .expect(4)
            .says(says);
        assert!(place.read("box") == image, "{says}");
    }
}

#[test]
fn names_that_no_mapping_has_are_refused_first() {
    let place = cheap_luks_place(8192);
    let long = "n".repeat(128);
    for name in [".", "..", "control", "a/b", &long] {
        for line in [
            format!("open missing {name} {NOBODY}"),
            format!("close {name}"),
            format!("status {name}"),
            format!("mapping suspend {name}"),
            format!("mapping resume {name} {NOBODY}"),
        ] {
            place.run(&line).expect(1).says("no name for a mapping");
        }
    }
    place
        .run(&format!("open - luksmith-no-test {NOBODY}"))
        .expect(1)
        .says("neither a file nor a block device");
    place
        .run("open missing luksmith-no-test --type plain -c aes-xts-plain64 -s 512 --persistent")
        .expect(1)
        .says("--persistent");
}
