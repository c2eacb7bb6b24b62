//! Edits of JSON that keep it JSON, most of them: values, members, references.

use crate::choices::Choices;
use crate::json::Node;

/// Texts that mean something somewhere.
const WORDS: [&str; 58] = [
    "",
    "0",
    "1",
    "2",
    "31",
    "32",
    "-1",
    "00",
    "x",
    "luks2",
    "reencrypt",
    "reencrypt-recovery",
    "raw",
    "none",
    "journal",
    "checksum",
    "datashift",
    "datashift-checksum",
    "luks1",
    "pbkdf2",
    "argon2i",
    "argon2id",
    "argon2d",
    "scrypt",
    "crypt",
    "linear",
    "error",
    "dynamic",
    "sha1",
    "sha256",
    "SHA256",
    "sha512",
    "blake2b-512",
    "whirlpool",
    "md5",
    "sm3",
    "aes-xts-plain64",
    "aes-cbc-essiv:sha256",
    "serpent-xts-plain64",
    "capi:xts(aes)-plain64",
    "cipher_null-ecb",
    "null",
    "aes",
    "aes-xts",
    "capi:x",
    "backup-final",
    "backup-previous",
    "backup-moved-segment",
    "in-reencryption",
    "online-reencrypt-v2",
    "offline-reencrypt",
    "allow-discards",
    "luks2-keyring",
    "AAAA",
    "AA==",
    "AA=",
    "!",
    "encrypt",
];

/// Members that some object has.
const MEMBERS: [(&str, &str); 24] = [
    ("priority", "0"),
    ("priority", "1"),
    ("priority", "2"),
    ("priority", "3"),
    ("priority", "\"1\""),
    ("flags", "[]"),
    ("flags", "[\"allow-discards\"]"),
    ("flags", "[\"backup-final\"]"),
    ("flags", "{}"),
    ("flags", "[1]"),
    ("requirements", "{}"),
    ("requirements", "{\"mandatory\":[]}"),
    ("requirements", "{\"mandatory\":[\"online-reencrypt\"]}"),
    ("requirements", "{\"mandatory\":[\"unheard-of\"]}"),
    ("requirements", "[\"unheard-of\"]"),
    (
        "integrity",
        "{\"type\":\"hmac(sha256)\",\"journal_encryption\":\"none\",\"journal_integrity\":\"none\"}",
    ),
    ("integrity", "{\"type\":\"aead\"}"),
    ("integrity", "{}"),
    ("note", "null"),
    ("note", "{\"a\":[1,2.5,\"x\"]}"),
    ("", "1"),
    ("key_description", "\"k\""),
    ("type", "\"crypt\""),
    ("hash", "\"sha256\""),
];

/// A whole object of a section.
const OBJECTS: [(&str, &str, &str); 10] = [
    ("tokens", "0", "{\"type\":\"x\",\"keyslots\":[]}"),
    (
        "tokens",
        "31",
        "{\"type\":\"x\",\"keyslots\":[\"0\"],\"a\":{\"b\":[]}}",
    ),
    (
        "tokens",
        "5",
        "{\"type\":\"luks2-keyring\",\"keyslots\":[\"0\"],\"key_description\":\"d\"}",
    ),
    (
        "tokens",
        "6",
        "{\"type\":\"luks2-keyring\",\"keyslots\":[\"0\"]}",
    ),
    (
        "tokens",
        "3",
        "{\"type\":\"luks2-keyring\",\"keyslots\":[\"0\"],\"key_description\":\"d\",\"x\":1}",
    ),
    (
        "segments",
        "1",
        "{\"type\":\"crypt\",\"offset\":\"16777216\",\"size\":\"4096\",\"iv_tweak\":\"0\",\"encryption\":\"aes-xts-plain64\",\"sector_size\":512,\"flags\":[\"backup-final\"]}",
    ),
    (
        "segments",
        "1",
        "{\"type\":\"linear\",\"offset\":\"33554432\",\"size\":\"dynamic\"}",
    ),
    (
        "segments",
        "1",
        "{\"type\":\"linear\",\"offset\":\"33554432\",\"size\":\"dynamic\",\"flags\":[\"backup-previous\"]}",
    ),
    (
        "digests",
        "1",
        "{\"type\":\"pbkdf2\",\"keyslots\":[],\"segments\":[],\"hash\":\"sha256\",\"iterations\":1000,\"salt\":\"AAAA\",\"digest\":\"AAAA\"}",
    ),
    (
        "keyslots",
        "7",
        "{\"type\":\"unheard-of\",\"key_size\":1,\"area\":{\"type\":\"none\",\"offset\":\"32768\",\"size\":\"4096\"}}",
    ),
];

pub fn edit(root: &mut Node, choices: &mut Choices) -> String {
    let paths = root.paths();
    let path = &paths[choices.below(paths.len())];
    let name = root.name(path);
    match choices.below(20) {
        0 | 1 => {
            let value = value(root, &paths, choices);
            let edit = format!("{name} = {}", value.to_text());
            *root.at(path) = value;
            edit
        }
        2..=6 => leaf(root, &paths, choices),
        7 | 8 => remove(root, path, &name, choices),
        9..=11 => add_member(root, &paths, choices),
        12 => add_object(root, choices),
        13 => duplicate(root, &paths, choices),
        14 | 15 => rename(root, &paths, choices),
        16 => swap(root, &paths, choices),
        17 | 18 => references(root, &paths, choices),
        _ => copy_object(root, choices),
    }
}

/// Any value: of the document, or of a list.
fn value(root: &mut Node, paths: &[Vec<usize>], choices: &mut Choices) -> Node {
    match choices.below(7) {
        0 => root.at(&paths[choices.below(paths.len())]).clone(),
        1 | 2 => Node::text(choices.pick(&WORDS)),
        3 => Node::Leaf(choices.number().to_string()),
        4 => Node::text(&choices.number().to_string()),
        _ => Node::Leaf(
            choices
                .pick(&[
                    "null",
                    "true",
                    "false",
                    "[]",
                    "{}",
                    "\"\"",
                    "-1",
                    "1.0",
                    "1e3",
                    "0.5",
                    "-0",
                    "\"\\u0000\"",
                    "\"+1\"",
                    "\" 1\"",
                    "\"1 \"",
                    "\"0x10\"",
                    "\"007\"",
                    "\"1e3\"",
                    "4294967297",
                    "1e400",
                    "[[]]",
                    "[\"0\",\"0\"]",
                    "[0]",
                    "\"\\u00e9\"",
                    "99999999999999999999",
                ])
                .to_owned(),
        ),
    }
}

/// A leaf with a value of its own kind.
fn leaf(root: &mut Node, paths: &[Vec<usize>], choices: &mut Choices) -> String {
    let leaves: Vec<_> = paths
        .iter()
        .filter(|path| matches!(root.at(path), Node::Leaf(_)))
        .collect();
    let Some(path) = (!leaves.is_empty()).then(|| leaves[choices.below(leaves.len())]) else {
        return "nothing: no leaf".into();
    };
    let name = root.name(path);
    let node = root.at(path);
    let Node::Leaf(old) = node else {
        unreachable!("chosen as a leaf")
    };
    let digits = old.trim_matches('"');
    let new = if let Ok(number) = digits.parse::<u64>() {
        let number = if choices.once_in(2) {
            choices.near(number)
        } else {
            choices.number()
        };
        // Numbers keep their quotes, mostly.
        match (old.starts_with('"'), choices.once_in(8)) {
            (true, false) | (false, true) => format!("\"{number}\""),
            _ => number.to_string(),
        }
    } else if old.starts_with('"') && choices.once_in(2) {
        let mut text: Vec<char> = digits.chars().collect();
        let at = choices.below(text.len() + 1);
        match choices.below(3) {
            0 => text.insert(
                at,
                choices.one_of(&['a', 'A', '0', '=', '-', ':', ' ', '/', '\u{e9}']),
            ),
            1 if at < text.len() => drop(text.remove(at)),
            _ => text.truncate(at),
        }
        serde_json::Value::from(String::from_iter(text)).to_string()
    } else {
        Node::text(choices.pick(&WORDS)).to_text()
    };
    new.clone_into(old);
    format!("{name} = {new}")
}

fn remove(root: &mut Node, path: &[usize], name: &str, choices: &mut Choices) -> String {
    let Some((last, parent)) = path.split_last() else {
        return "nothing: the root stays".into();
    };
    // Sections are seldom removed: too much goes with them.
    if path.len() == 1 && !choices.once_in(6) {
        return "nothing: a section stays".into();
    }
    match root.at(parent) {
        Node::Object(members) => drop(members.remove(*last)),
        Node::Array(values) => drop(values.remove(*last)),
        Node::Leaf(_) => {}
    }
    format!("without {name}")
}

/// An object somewhere; none is deeper than another by its choice.
fn object<'p>(root: &mut Node, paths: &'p [Vec<usize>], choices: &mut Choices) -> &'p Vec<usize> {
    let objects: Vec<_> = paths
        .iter()
        .filter(|path| matches!(root.at(path), Node::Object(_)))
        .collect();
    // A root that is no object any more.
    if objects.is_empty() {
        &paths[0]
    } else {
        objects[choices.below(objects.len())]
    }
}

fn add_member(root: &mut Node, paths: &[Vec<usize>], choices: &mut Choices) -> String {
    let path = object(root, paths, choices);
    let (name, text) = choices.one_of(&MEMBERS);
    let edit = format!("{}/{name} = {text}, new", root.name(path));
    if let Node::Object(members) = root.at(path)
        && members.iter().all(|(known, _)| known != name)
    {
        let at = choices.below(members.len() + 1);
        members.insert(at, (name.into(), Node::Leaf(text.into())));
    }
    edit
}

fn add_object(root: &mut Node, choices: &mut Choices) -> String {
    let (section, number, text) = choices.one_of(&OBJECTS);
    if let Node::Object(members) = root
        && let Some((_, Node::Object(objects))) =
            members.iter_mut().find(|(name, _)| name == section)
        && objects.iter().all(|(known, _)| known != number)
    {
        objects.push((number.into(), Node::Leaf(text.into())));
    }
    format!("{section}/{number} = {text}, new")
}

fn duplicate(root: &mut Node, paths: &[Vec<usize>], choices: &mut Choices) -> String {
    let path = object(root, paths, choices);
    let place = root.name(path);
    let other = value(root, paths, choices);
    match root.at(path) {
        Node::Object(members) if !members.is_empty() => {
            let (name, value) = members[choices.below(members.len())].clone();
            let value = if choices.once_in(2) { value } else { other };
            let at = choices.below(members.len() + 1);
            let edit = format!("{place}/{name} twice, at {at} {}", value.to_text());
            members.insert(at, (name, value));
            edit
        }
        _ => "nothing: no member".into(),
    }
}

fn rename(root: &mut Node, paths: &[Vec<usize>], choices: &mut Choices) -> String {
    let path = object(root, paths, choices);
    let place = root.name(path);
    let word = match choices.below(3) {
        0 => choices.number().to_string(),
        1 => choices.below(33).to_string(),
        _ => choices.pick(&WORDS).to_owned(),
    };
    match root.at(path) {
        Node::Object(members) if !members.is_empty() => {
            let index = choices.below(members.len());
            let edit = format!("{place}/{} is named {word:?}", members[index].0);
            if members.iter().all(|(known, _)| *known != word) {
                members[index].0 = word;
            }
            edit
        }
        _ => "nothing: no member".into(),
    }
}

fn swap(root: &mut Node, paths: &[Vec<usize>], choices: &mut Choices) -> String {
    let path = object(root, paths, choices);
    let place = root.name(path);
    match root.at(path) {
        Node::Object(members) if members.len() > 1 => {
            let (a, b) = (choices.below(members.len()), choices.below(members.len()));
            if choices.once_in(2) {
                members.swap(a, b);
                return format!("{place}: members {a} and {b} in each other's place");
            }
            let (first, second) = (members[a].1.clone(), members[b].1.clone());
            members[a].1 = second;
            members[b].1 = first;
            format!(
                "{place}: values of {} and {} swapped",
                members[a].0, members[b].0
            )
        }
        _ => "nothing: no two members".into(),
    }
}

fn references(root: &mut Node, paths: &[Vec<usize>], choices: &mut Choices) -> String {
    let arrays: Vec<_> = paths
        .iter()
        .filter(|path| matches!(root.at(path), Node::Array(_)))
        .collect();
    let Some(path) = (!arrays.is_empty()).then(|| arrays[choices.below(arrays.len())]) else {
        return "nothing: no array".into();
    };
    let name = root.name(path);
    let Node::Array(values) = root.at(path) else {
        unreachable!("chosen as an array")
    };
    match choices.below(3) {
        0 if !values.is_empty() => drop(values.remove(choices.below(values.len()))),
        1 if !values.is_empty() => values.push(values[choices.below(values.len())].clone()),
        _ => values.push(Node::text(
            choices.pick(&["0", "1", "2", "4", "9", "31", "32", "x", "", "00", "-1"]),
        )),
    }
    format!("{name} = {}", root.at(path).to_text())
}

/// A numbered object under another number too, its area moved where it has one.
fn copy_object(root: &mut Node, choices: &mut Choices) -> String {
    let Node::Object(sections) = root else {
        return "nothing: no sections".into();
    };
    if sections.is_empty() {
        return "nothing: no section".into();
    }
    let index = choices.below(sections.len());
    let (section, Node::Object(objects)) = &mut sections[index] else {
        return "nothing: no objects".into();
    };
    if objects.is_empty() {
        return "nothing: no object".into();
    }
    let (number, mut object) = objects[choices.below(objects.len())].clone();
    let new = choices.below(34).to_string();
    if let Node::Object(members) = &mut object
        && let Some((_, Node::Object(area))) = members.iter_mut().find(|(name, _)| name == "area")
        && let Some((_, offset)) = area.iter_mut().find(|(name, _)| name == "offset")
        && choices.once_in(2)
    {
        *offset = Node::text(&(32768 * (1 + choices.below(40))).to_string());
    }
    let edit = format!("{section}/{new} as {number}");
    if objects.iter().all(|(known, _)| *known != new) {
        objects.push((new, object));
    }
    edit
}
