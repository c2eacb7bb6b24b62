//! What two runs of a row left behind, compared byte by byte but for what is random.
//!
//! Both start from copies of the same files, so that every salt, digest and byte of a keyslot's area that neither of
//! them touched is the same still. What one of them changed to something random the other must have changed too.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug, Write as _};
use std::fs;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use sha2::{Digest, Sha256};

use super::Bench;
use super::row::Row;
use crate::common::PROGRAM;

/// In what two runs may differ.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Aspect {
    /// The exit code.
    Code,
    /// Standard output.
    Stdout,
    /// The first line of standard error.
    Stderr,
    /// What is seen on the terminal.
    Screen,
    /// Names, sizes and modes of files.
    Files,
    /// Bytes of a file that is no LUKS image, and of an image outside of its header and keyslots.
    Content,
    /// The header.
    Header,
    /// Which sectors of the keyslots' area were written.
    Areas,
    /// Which passphrases open the image.
    Opens,
}

const ASPECTS: [(Aspect, &str); 9] = [
    (Aspect::Code, "code"),
    (Aspect::Stdout, "stdout"),
    (Aspect::Stderr, "stderr"),
    (Aspect::Screen, "screen"),
    (Aspect::Files, "files"),
    (Aspect::Content, "content"),
    (Aspect::Header, "header"),
    (Aspect::Areas, "areas"),
    (Aspect::Opens, "opens"),
];

impl Aspect {
    pub fn named(name: &str) -> Option<Self> {
        let found = ASPECTS.iter().find(|(_, other)| *other == name);
        found.map(|(aspect, _)| *aspect)
    }

    pub fn name(self) -> &'static str {
        let found = ASPECTS.iter().find(|(aspect, _)| *aspect == self);
        found.expect("every aspect has a name").1
    }
}

/// In what two runs differ, and how.
#[derive(Default)]
pub struct Differences(BTreeMap<Aspect, String>);

impl Differences {
    pub fn add(&mut self, aspect: Aspect, theirs: &impl Debug, ours: &impl Debug) {
        let how = self.0.entry(aspect).or_default();
        let _ = write!(how, "        theirs {theirs:?}\n        ours   {ours:?}\n");
    }

    pub fn aspects(&self) -> impl Iterator<Item = Aspect> {
        self.0.keys().copied()
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (aspect, how) in &self.0 {
            write!(f, "      {}\n{how}", aspect.name())?;
        }
        Ok(())
    }
}

/// Compares what two runs left in their folders.
pub fn compare_folders(
    bench: &Bench,
    row: &Row,
    theirs: &Path,
    ours: &Path,
    differences: &mut Differences,
) {
    let files = (list(theirs), list(ours));
    if files.0 != files.1 {
        differences.add(Aspect::Files, &files.0, &files.1);
    }
    for name in files.0.keys().filter(|name| files.1.contains_key(*name)) {
        let paths = (theirs.join(name), ours.join(name));
        if paths.0.is_dir() {
            continue;
        }
        let contents = (fs::read(&paths.0).unwrap(), fs::read(&paths.1).unwrap());
        let before = fs::read(bench.template(name)).unwrap_or_default();
        if contents.0 != contents.1 {
            compare_contents(row, &before, &contents.0, &contents.1, differences);
            if row.has("reencrypt") {
                compare_plaintext(bench, row, (theirs, ours), name, differences);
            }
        }
        if version(&contents.0).is_none() && version(&contents.1).is_none() {
            continue;
        }
        let opens = |path, content| -> Vec<(String, i32)> {
            passphrases(bench, row)
                .into_iter()
                .map(|passphrase| {
                    let code = bench.opens(path, content, &passphrase);
                    (String::from_utf8_lossy(&passphrase).into_owned(), code)
                })
                .collect()
        };
        let opens = (opens(&paths.0, &contents.0), opens(&paths.1, &contents.1));
        if opens.0 != opens.1 {
            differences.add(Aspect::Opens, &opens.0, &opens.1);
        }
    }
}

/// What both have under their keys, and in the open.
fn compare_plaintext(
    bench: &Bench,
    row: &Row,
    (theirs, ours): (&Path, &Path),
    name: &str,
    differences: &mut Differences,
) {
    let mut after = row.words.iter().skip_while(|word| *word != "--header");
    let header = after.nth(1);
    if header.is_some_and(|header| header == name) {
        return;
    }
    let read = |folder: &Path| fs::read(folder.join(name)).unwrap();
    let common = read(theirs).len().min(read(ours).len());
    let of = |folder: &Path| -> Option<[u8; 32]> {
        let header = header.filter(|header| folder.join(header).exists());
        let of_header = header.map_or(name, |header| header);
        let is_open = match fs::read(folder.join(of_header)) {
            Ok(content) => version(&content).is_none() || is_linear(&content),
            Err(_) => true,
        };
        if is_open {
            return Some(Sha256::digest(&read(folder)[..common]).into());
        }
        passphrases(bench, row).into_iter().find_map(|passphrase| {
            let mut command = Command::new(PROGRAM);
            let words = ["decrypt", name, "-", "--key-file", "-"];
            command.args(words).current_dir(folder);
            if let Some(header) = header {
                command.args(["--header", header]);
            }
            let mut plain = super::run::plaintext(&mut command, &passphrase)?;
            // Behind what has moved into it lies noise.
            if row.makes_room() && header.is_none() {
                let content = read(folder);
                let json = json(&content, 0, header_bytes(&content));
                let end = content.len().checked_sub(2 * data_offset(&content));
                if let (Some(end), false) = (end, json.contains("backup-final")) {
                    plain.truncate(end);
                }
            }
            Some(Sha256::digest(plain).into())
        })
    };
    let (one, other) = (of(theirs), of(ours));
    if one != other {
        let shown = |sum: Option<[u8; 32]>| sum.map(hex::encode);
        differences.add(Aspect::Content, &shown(one), &shown(other));
    }
}

/// Where the data of a LUKS2 container start.
fn data_offset(content: &[u8]) -> usize {
    let json = json(content, 0, header_bytes(content));
    let segments = json.find("\"segments\":").unwrap_or(0);
    json_number(&json[segments..], "\"offset\":\"")
}

/// Whether a header says that all of its data are in the open.
fn is_linear(content: &[u8]) -> bool {
    let json = json(content, 0, header_bytes(content));
    json.contains("\"type\":\"linear\"") && !json.contains("\"type\":\"crypt\"")
}

/// Names, sizes and modes.
fn list(folder: &Path) -> BTreeMap<String, (u64, u32)> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            let bytes = if metadata.is_dir() { 0 } else { metadata.len() };
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, (bytes, metadata.mode()))
        })
        .collect()
}

/// Those of the templates, and all that the row hands over. Where key derivations are measured each costs seconds, so
/// that only what is handed over is tried.
fn passphrases(bench: &Bench, row: &Row) -> BTreeSet<Vec<u8>> {
    let mut all: BTreeSet<Vec<u8>> = BTreeSet::new();
    let is_slow = row.makes_slow_keyslots();
    if !is_slow {
        all.extend(["pw", "two", "three", "four", ""].map(|word| word.as_bytes().to_vec()));
    }
    for input in &row.input {
        all.extend(input.split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
    }
    for name in row.names() {
        let path = bench.template(name);
        if path
            .metadata()
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() <= 64)
        {
            all.insert(fs::read(path).unwrap());
        }
    }
    if is_slow {
        all.retain(|passphrase| !passphrase.is_empty());
    }
    all
}

/// 1 or 2, where the magic number of a LUKS header stands at the start.
fn version(content: &[u8]) -> Option<u8> {
    match content.get(..8)? {
        [b'L', b'U', b'K', b'S', 0xba, 0xbe, 0, version @ (1 | 2)] => Some(*version),
        _ => None,
    }
}

fn compare_contents(
    row: &Row,
    before: &[u8],
    theirs: &[u8],
    ours: &[u8],
    differences: &mut Differences,
) {
    let versions = (version(theirs), version(ours));
    let (Some(kind), true) = (versions.0, versions.0 == versions.1) else {
        // Under keys that nobody else has.
        if row.has("reencrypt") && versions == (None, None) && row.has("--header") {
            return;
        }
        let at = theirs
            .iter()
            .zip(ours)
            .position(|(one, other)| one != other);
        differences.add(Aspect::Content, &(versions.0, at), &(versions.1, at));
        return;
    };
    let shown = |content| match kind {
        1 => luks1(row, before, content),
        _ => luks2(row, before, content),
    };
    let headers = (shown(theirs), shown(ours));
    if headers.0.fields != headers.1.fields {
        for (one, other) in headers.0.fields.iter().zip(&headers.1.fields) {
            if one != other {
                differences.add(Aspect::Header, one, other);
            }
        }
    }
    compare_sectors(
        row,
        before,
        (theirs, ours),
        (&headers.0, &headers.1),
        differences,
    );
}

/// Everything outside of the headers, sector by sector.
fn compare_sectors(
    row: &Row,
    before: &[u8],
    (theirs, ours): (&[u8], &[u8]),
    headers: (&Shown, &Shown),
    differences: &mut Differences,
) {
    let mut written = (Vec::new(), Vec::new());
    let mut content = Vec::new();
    let sectors = theirs.len().max(ours.len()).div_ceil(512);
    let is_reencrypted = row.has("reencrypt") && theirs != before && ours != before;
    for sector in 0..sectors {
        let at = sector * 512;
        if headers.0.header.contains(&at) {
            continue;
        }
        let part = |bytes: &[u8]| bytes.get(at..bytes.len().min(at + 512)).map(<[u8]>::to_vec);
        let (old, one, other) = (part(before), part(theirs), part(ours));
        let is_in = |ranges: &[Range<usize>]| ranges.iter().any(|range| range.contains(&at));
        if is_in(&headers.0.gaps) && is_in(&headers.1.gaps) {
            continue;
        }
        // What protects data takes more or less of a free area, and the data are under keys that nobody else has.
        if is_reencrypted {
            continue;
        }
        if is_in(&headers.0.areas) && is_in(&headers.1.areas) {
            // Outside of its file there are zeros.
            let zeros = Some(vec![0; 512]);
            let old = old.or(zeros);
            if one != old {
                written.0.push(sector);
            }
            if other != old {
                written.1.push(sector);
            }
        } else if one != other {
            content.push(sector);
        }
    }
    if written.0 != written.1 {
        differences.add(Aspect::Areas, &ranges(&written.0), &ranges(&written.1));
    }
    if !content.is_empty() {
        differences.add(Aspect::Content, &ranges(&content), &"other bytes");
    }
}

fn ranges(numbers: &[usize]) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some(last) if last.end == *number => last.end += 1,
            _ => ranges.push(*number..*number + 1),
        }
    }
    ranges
}

/// A header with `new` in place of each random value that was not there before.
struct Shown {
    fields: Vec<String>,
    /// Where the header stands, in bytes.
    header: Range<usize>,
    /// Where the keyslots' areas are, in bytes.
    areas: Vec<Range<usize>>,
    /// Between the areas of a new LUKS1 header: cryptsetup leaves there what was before, we do not.
    gaps: Vec<Range<usize>>,
}

/// A value, or that it is a new one.
fn unless_new(value: &[u8], old: &[u8]) -> String {
    if value == old {
        format!("as before: {}", hex::encode(value))
    } else {
        "new".to_owned()
    }
}

fn luks1(row: &Row, before: &[u8], content: &[u8]) -> Shown {
    let field = |range: Range<usize>| content.get(range).unwrap_or_default();
    let old = |range: Range<usize>| before.get(range).unwrap_or_default();
    let random = |range: Range<usize>| unless_new(field(range.clone()), old(range));
    let exact = |range: Range<usize>| format!("{:?}", String::from_utf8_lossy(field(range)));
    let number = |at: usize| {
        let bytes = field(at..at + 4).try_into().unwrap_or_default();
        u32::from_be_bytes(bytes)
    };
    // A busy machine measures the least that there is, which may be what was there before: the salt is another one then.
    let iterations = |at: usize, salt: Range<usize>| {
        let is_new = |range: Range<usize>| field(range.clone()) != old(range);
        if row.is_measured() && (is_new(at..at + 4) || is_new(salt)) {
            "measured".to_owned()
        } else {
            number(at).to_string()
        }
    };
    let uuid = 168..208;
    let mut fields = vec![
        format!("cipher, hash, payload, key: {}", exact(0..112)),
        format!("digest: {}", random(112..132)),
        format!("salt: {}", random(132..164)),
        format!("iterations: {}", iterations(164, 132..164)),
        format!(
            "uuid: {}",
            if row.has("--uuid") {
                exact(uuid)
            } else {
                random(uuid)
            }
        ),
    ];
    for slot in 0..8 {
        let at = 208 + 48 * slot;
        fields.push(format!(
            "keyslot {slot}: active {:x}, iterations {}, salt {}, offset {}, stripes {}",
            number(at),
            iterations(at + 4, at + 8..at + 40),
            random(at + 8..at + 40),
            number(at + 40),
            number(at + 44),
        ));
    }
    fields.push(format!("padding: {}", exact(592..1024)));
    let areas: Vec<Range<usize>> = (0..8)
        .map(|slot| {
            let start = number(208 + 48 * slot + 40) as usize * 512;
            start..start + (number(108) as usize * 4000).next_multiple_of(512)
        })
        .collect();
    let gaps = areas
        .iter()
        .filter(|_| row.has("luksFormat"))
        .map(|area| area.end..area.end.next_multiple_of(4096))
        .collect();
    Shown {
        fields,
        header: 0..1024,
        areas,
        gaps,
    }
}

fn luks2(row: &Row, before: &[u8], content: &[u8]) -> Shown {
    let size = header_bytes(content);
    let old_json = json(before, 0, size);
    let mut fields = Vec::new();
    for at in [0, size] {
        let field = |range: Range<usize>| {
            content
                .get(at + range.start..at + range.end)
                .unwrap_or_default()
        };
        let old = |range: Range<usize>| {
            before
                .get(at + range.start..at + range.end)
                .unwrap_or_default()
        };
        let random = |range: Range<usize>| unless_new(field(range.clone()), old(range));
        let exact = |range: Range<usize>| format!("{:?}", String::from_utf8_lossy(field(range)));
        let epochs = (bytes_at(before, at + 16), bytes_at(content, at + 16));
        let is_given = row.has("--uuid");
        fields.extend([
            format!("magic, version, size: {}", exact(0..16)),
            if row.has("luksFormat") {
                "epoch: a new one".to_owned()
            } else {
                format!("epoch: {:?}", epochs.1.cmp(&epochs.0))
            },
            format!("label, hash: {}", exact(24..104)),
            format!("salt: {}", random(104..168)),
            format!(
                "uuid: {}",
                if is_given {
                    exact(168..208)
                } else {
                    random(168..208)
                }
            ),
            format!("subsystem, offset, padding: {}", exact(208..448)),
            format!("checksum: {}", random(448..512)),
            format!("padding: {}", exact(512..4096)),
            format!(
                "json: {}",
                shown_json(row, &json(content, at, size), &old_json)
            ),
        ]);
    }
    let keyslots = json_number(&json(content, 0, size), KEYSLOTS);
    Shown {
        fields,
        header: 0..2 * size,
        areas: std::iter::once(2 * size..2 * size + keyslots).collect(),
        gaps: Vec::new(),
    }
}

fn bytes_at(content: &[u8], at: usize) -> u64 {
    let bytes = content.get(at..at + 8).unwrap_or_default();
    u64::from_be_bytes(bytes.try_into().unwrap_or_default())
}

/// Size of one copy of a LUKS2 header.
fn header_bytes(content: &[u8]) -> usize {
    let bytes = usize::try_from(bytes_at(content, 8)).unwrap();
    bytes.clamp(4096, 4 << 20)
}

/// The JSON area of the copy at `at`, without the zeros behind the text.
fn json(content: &[u8], at: usize, size: usize) -> String {
    let area = content.get(at + 4096..at + size).unwrap_or_default();
    String::from_utf8_lossy(area)
        .trim_end_matches('\0')
        .to_owned()
}

/// The first number behind `name`.
fn json_number(json: &str, name: &str) -> usize {
    let start = json.find(name).map_or(json.len(), |at| at + name.len());
    let digits = &json[start..];
    let end = digits.find(|letter: char| !letter.is_ascii_digit());
    digits[..end.unwrap_or(digits.len())].parse().unwrap_or(0)
}

/// What stands before the size of the keyslots' area.
const KEYSLOTS: &str = "\"keyslots_size\":\"";

/// The text as it is written, in its order, with `new` for what is random and was not there before.
fn shown_json(row: &Row, json: &str, old: &str) -> String {
    let mut shown = String::new();
    let mut rest = json;
    let measured = ["\"iterations\":", "\"time\":", "\"memory\":", "\"cpus\":"];
    while !rest.is_empty() {
        let random = ["\"salt\":\"", "\"digest\":\""]
            .into_iter()
            .find(|name| rest.starts_with(name));
        let number = measured.into_iter().find(|name| rest.starts_with(name));
        if let Some(name) = random {
            let end = rest[name.len()..].find('"').unwrap_or(0) + name.len();
            let is_new = !old.contains(&rest[..=end]);
            shown.push_str(if is_new { name } else { &rest[..end] });
            shown.push_str(if is_new { "new" } else { "" });
            rest = &rest[end..];
        } else if let Some(name) = number.filter(|_| row.is_measured()) {
            let digits = rest[name.len()..].find(|letter: char| !letter.is_ascii_digit());
            let end = digits.unwrap_or(0) + name.len();
            let is_new = !old.contains(&rest[..=end]);
            shown.push_str(if is_new { name } else { &rest[..end] });
            shown.push_str(if is_new { "measured" } else { "" });
            rest = &rest[end..];
        } else if let Some(digits) = rest.strip_prefix(KEYSLOTS).filter(|_| row.has("reencrypt")) {
            // It grows there, up to the data, whatever was asked for.
            shown.push_str(KEYSLOTS);
            let is_digit = |letter: char| letter.is_ascii_digit();
            rest = digits.trim_start_matches(is_digit);
        } else {
            let next = rest.chars().next().map_or(0, char::len_utf8);
            shown.push_str(&rest[..next]);
            rest = &rest[next..];
        }
    }
    shown
}
