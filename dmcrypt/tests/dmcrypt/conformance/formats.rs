use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The files of a folder whose names end in `extension`, in order.
pub fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn json(path: &Path) -> Value {
    serde_json::from_slice(&read(path))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// One vector of a text file: where it stands, the `[section]` that it is in, and its `name = value` lines.
pub struct Record {
    pub place: String,
    pub section: String,
    pub fields: BTreeMap<String, String>,
}

impl Record {
    pub fn field(&self, name: &str) -> &str {
        self.fields
            .get(name)
            .unwrap_or_else(|| panic!("{}: no {name}", self.place))
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        crate::common::unhex(self.field(name))
    }
}

/// Vectors of `name = value` lines, as NIST's CAVP and Botan write them: each ends with the line `last` (in any case).
pub fn records(path: &Path, last: &str) -> Vec<Record> {
    let text = String::from_utf8(read(path)).expect("text");
    let mut records = Vec::new();
    let mut section = String::new();
    let mut fields = BTreeMap::new();
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            name.clone_into(&mut section);
            fields.clear();
        } else if let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with('#'))
        {
            let name = name.trim().to_ascii_lowercase();
            let ends = name == last;
            fields.insert(name, value.trim().to_owned());
            if ends {
                records.push(Record {
                    place: format!("{}:{number}", path.display()),
                    section: section.clone(),
                    fields: fields.clone(),
                });
            }
        }
    }
    records
}

/// The blobs of a `.blb` file: how many there are; a table of blobs that occur several times; then each
/// blob as its length or, marked by the lowest bit, as a place in the table.
pub fn blobs(path: &Path) -> Vec<Vec<u8>> {
    let bytes = read(path);
    let mut rest = bytes.as_slice();
    let count = number(&mut rest);
    let shared: Vec<Vec<u8>> = (0..number(&mut rest))
        .map(|_| {
            let length = number(&mut rest);
            take(&mut rest, length)
        })
        .collect();
    let blobs = (0..count)
        .map(|_| match number(&mut rest) {
            place if place & 1 == 1 => shared[place >> 1].clone(),
            length => take(&mut rest, length >> 1),
        })
        .collect();
    assert!(rest.is_empty(), "{}", path.display());
    blobs
}

fn take(rest: &mut &[u8], length: usize) -> Vec<u8> {
    let (blob, tail) = rest.split_at(length);
    *rest = tail;
    blob.to_vec()
}

/// A number of 7 bits in each byte, the highest first, as git writes offsets.
fn number(rest: &mut &[u8]) -> usize {
    let mut value = 0;
    loop {
        let byte = take(rest, 1)[0];
        value = (value << 7) | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return value;
        }
        value += 1;
    }
}
