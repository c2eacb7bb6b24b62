use luks::{Error, Policy};
use serde_json::{Map, Value, json};

use crate::common::{open, test_vectors, unxz};
use crate::copies::fix_checksum;

/// Bytes of one header copy with 16 KiB of metadata, and of both.
pub const COPY: usize = 0x4000;
pub const HEADER: usize = 2 * COPY;

/// The header of a golden image alone.
pub fn header(path: &str) -> Vec<u8> {
    let mut image = unxz(&test_vectors().join(path));
    image.truncate(HEADER);
    image
}

pub fn exact(image: Vec<u8>) -> Policy {
    Policy::exact(&open(image).unwrap().1).unwrap()
}

/// The exact policy without the fingerprint: what its single rules refuse.
fn rules(image: Vec<u8>) -> Policy {
    Policy {
        fingerprint: None,
        ..exact(image)
    }
}

/// Who refused a header, if anybody did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Parser,
    Policy,
    Accepted,
}

fn verdict(policy: &Policy, image: Vec<u8>) -> Verdict {
    match open(image) {
        Err(_) => Verdict::Parser,
        Ok((_, luks)) => match policy.check(&luks) {
            Err(Error::PolicyRefuses(_)) => Verdict::Policy,
            Err(other) => panic!("{other}"),
            Ok(()) => Verdict::Accepted,
        },
    }
}

#[derive(Default)]
struct Count {
    parser: usize,
    policy: usize,
}

impl Count {
    fn refused(&mut self, policy: &Policy, image: Vec<u8>, what: &str) {
        match verdict(policy, image) {
            Verdict::Parser => self.parser += 1,
            Verdict::Policy => self.policy += 1,
            Verdict::Accepted => panic!("{what}: accepted"),
        }
    }

    fn print(&self, name: &str) {
        let (parser, policy) = (self.parser, self.policy);
        println!(
            "cases: {name} {} passed, 0 failed ({policy} by the policy, {parser} before by the parser)",
            parser + policy
        );
    }
}

/// The golden headers that are tampered with: PBKDF2, Argon2, and one with tokens, flags and several keyslots.
pub const LUKS2: [&str; 3] = [
    "luks2/pbkdf2-cbc-essiv-128-sector-4096.img.xz",
    "luks2/argon2id-xts-512-sector-512.img.xz",
    "luks2/objects.img.xz",
];

pub fn json_of(image: &[u8], copy: usize) -> Value {
    let area = &image[copy + 4096..copy + COPY];
    let end = area.iter().position(|byte| *byte == 0).unwrap();
    serde_json::from_slice(&area[..end]).unwrap()
}

/// The header with this JSON in these copies, checksums right; `None` where it does not fit.
pub fn with_json(image: &[u8], copies: &[usize], json: &Value) -> Option<Vec<u8>> {
    let text = serde_json::to_string(json).unwrap();
    let mut image = image.to_vec();
    for copy in copies {
        let area = &mut image[copy + 4096..copy + COPY];
        area.fill(0);
        area.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        fix_checksum(&mut image, *copy, COPY);
    }
    Some(image)
}

/// Every JSON that differs from `json` in one place, and where.
pub fn changes(json: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    let mut pointers = vec![String::new()];
    while let Some(pointer) = pointers.pop() {
        let here = json.pointer(&pointer).unwrap();
        let mut change = |what: &str, edit: &dyn Fn(&mut Value)| {
            let mut changed = json.clone();
            edit(changed.pointer_mut(&pointer).unwrap());
            assert_ne!(changed, *json, "{pointer}: {what}");
            found.push((format!("{pointer}: {what}"), changed));
        };
        match here {
            Value::Object(members) => {
                change("add a member", &|value| value["added"] = json!(1));
                if !members.contains_key("9") {
                    change("add an object", &|value| value["9"] = json!({}));
                }
                for name in members.keys() {
                    let members = |value: &mut Value| -> Map<String, Value> {
                        value.as_object().unwrap().clone()
                    };
                    change(&format!("remove {name}"), &|value| {
                        let mut members = members(value);
                        members.remove(name);
                        *value = members.into();
                    });
                    change(&format!("rename {name}"), &|value| {
                        let mut members = members(value);
                        let moved = members.remove(name).unwrap();
                        members.insert("renamed".into(), moved);
                        *value = members.into();
                    });
                    if name.parse::<u32>().is_ok() {
                        change(&format!("double {name}"), &|value| {
                            value["20"] = value[name].clone();
                        });
                    }
                    pointers.push(format!("{pointer}/{}", name.replace('/', "~1")));
                }
            }
            Value::Array(elements) => {
                for element in [json!("0"), json!("19"), json!("x"), json!(1)] {
                    change(&format!("add {element}"), &|value| {
                        value.as_array_mut().unwrap().push(element.clone());
                    });
                }
                for index in 0..elements.len() {
                    change(&format!("remove {index}"), &|value| {
                        value.as_array_mut().unwrap().remove(index);
                    });
                    pointers.push(format!("{pointer}/{index}"));
                }
            }
            leaf => {
                for value in instead_of(leaf) {
                    change(&format!("{leaf} becomes {value}"), &|place| {
                        *place = value.clone();
                    });
                }
            }
        }
    }
    found
}

fn instead_of(leaf: &Value) -> Vec<Value> {
    let mut values = vec![json!(null), json!([]), json!({}), json!(true)];
    match leaf {
        Value::Number(number) => {
            let number = number.as_u64().unwrap();
            values.extend(
                [
                    0,
                    1,
                    number + 1,
                    number.saturating_sub(1),
                    number * 2,
                    number * 4096,
                    1 << 31,
                    u64::from(u32::MAX),
                ]
                .map(Value::from),
            );
            values.extend([json!(-1), json!(1.5), json!(number.to_string())]);
        }
        Value::String(text) => {
            if let Ok(number) = text.parse::<u64>() {
                for other in [
                    0,
                    1,
                    number + 1,
                    number + 4096,
                    number / 2,
                    number * 2,
                    u64::MAX,
                ] {
                    values.push(json!(other.to_string()));
                }
                values.extend([json!(number), json!(format!("0{number}"))]);
            }
            // Another first character keeps base64 what it is.
            let other = if text.starts_with('A') { "B" } else { "A" };
            let changed = format!("{other}{}", text.get(1..).unwrap_or_default());
            values.extend([
                json!(""),
                json!(changed),
                json!(format!("{text}x")),
                json!(text.to_uppercase()),
            ]);
            for text in [
                "cipher_null-ecb",
                "aes-ecb",
                "aes-xts-plain",
                "linear",
                "reencrypt",
                "pbkdf2",
                "argon2i",
                "sha1",
                "sha512",
                "dynamic",
                "4096",
                "AAAA",
            ] {
                values.push(json!(text));
            }
        }
        _ => {}
    }
    values.retain(|value| value != leaf);
    values
}

/// Nothing but the header itself passes its exact policy.
#[test]
fn a2_the_exact_policy_refuses_every_change_of_the_json() {
    let mut count = Count::default();
    for path in LUKS2 {
        let image = header(path);
        let policy = exact(image.clone());
        assert_eq!(verdict(&policy, image.clone()), Verdict::Accepted, "{path}");
        for (what, changed) in changes(&json_of(&image, 0)) {
            for copies in [&[0, COPY][..], &[0], &[COPY]] {
                let what = format!("{path}: {what} in {copies:?}");
                let image = with_json(&image, copies, &changed).unwrap();
                count.refused(&policy, image.clone(), &what);
                if copies.len() == 1 {
                    // As newer than the other copy: it alone is used.
                    let mut newer = image;
                    newer[copies[0] + 23] = 0xff;
                    fix_checksum(&mut newer, copies[0], COPY);
                    count.refused(&policy, newer, &what);
                }
            }
        }
    }
    assert!(count.policy > count.parser / 4, "{}", count.policy);
    count.print("exact policy, JSON");
}

/// The checksum is made right again wherever it is not itself what is changed.
#[test]
fn a2_the_exact_policy_refuses_every_byte_of_both_binary_headers() {
    let mut count = Count::default();
    let image = header(LUKS2[0]);
    let policy = exact(image.clone());
    for at in 0..4096 {
        for copies in [&[0, COPY][..], &[0], &[COPY]] {
            for mask in [0x01, 0x80, 0xff] {
                let mut image = image.clone();
                for copy in copies {
                    image[copy + at] ^= mask;
                    if !(448..512).contains(&at) {
                        fix_checksum(&mut image, *copy, COPY);
                    }
                }
                count.refused(&policy, image, &format!("byte {at} ^ {mask:#x} {copies:?}"));
            }
        }
    }
    assert_eq!(count.parser + count.policy, 4096 * 3 * 3);
    count.print("exact policy, LUKS2 binary headers");
}

#[test]
fn a2_the_exact_policy_refuses_every_byte_of_a_luks1_header() {
    let mut count = Count::default();
    for path in [
        "luks1/three-keyslots.img.xz",
        "luks1/qemu-xts-256-sha1.img.xz",
    ] {
        let image = header(path);
        let policy = exact(image.clone());
        assert_eq!(verdict(&policy, image.clone()), Verdict::Accepted);
        let mut changed = image.clone();
        for at in 0..592 {
            for mask in 1..=255 {
                changed[at] = image[at] ^ mask;
                // What lies behind the header is not looked at.
                let what = format!("{path}: byte {at} ^ {mask:#x}");
                count.refused(&policy, changed[..4096].to_vec(), &what);
            }
            changed[at] = image[at];
        }
    }
    assert_eq!(count.parser + count.policy, 2 * 592 * 255);
    count.print("exact policy, LUKS1 header");
}

/// Without the fingerprint a header of one keyslot may be changed in what has no meaning of its own: random bytes, and
/// a reference that stands twice. Everything that says how keys and data are treated is held by a rule.
#[test]
fn without_the_fingerprint_only_random_bytes_are_free() {
    let (mut free, mut refused) = (0, 0);
    for path in &LUKS2[..2] {
        let image = header(path);
        let policy = rules(image.clone());
        for (what, changed) in changes(&json_of(&image, 0)) {
            let image = with_json(&image, &[0, COPY], &changed).unwrap();
            if verdict(&policy, image) != Verdict::Accepted {
                refused += 1;
                continue;
            }
            free += 1;
            let (path, change) = what.split_once(": ").unwrap();
            let names: Vec<_> = path.split('/').skip(1).collect();
            let is_free = match names[..] {
                ["keyslots", "0", "kdf", "salt"] | ["digests", "0", "salt" | "digest"] => true,
                ["digests", "0", "keyslots" | "segments"] => change == "add \"0\"",
                _ => false,
            };
            assert!(is_free, "{what}");
        }
    }
    println!(
        "cases: policy rules, JSON {refused} passed, 0 failed ({free} changes of salts, digests and repeated references are free)"
    );
}
