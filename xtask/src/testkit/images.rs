//! The bases taken apart and put together again: header copies, their JSON, LUKS1's fields.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Bytes of a header copy of the base.
pub const COPY: usize = 0x4000;
/// Bytes of the binary header, where the JSON area begins.
pub const BINARY: usize = 4096;

/// A LUKS2 image: the base, and changes of either copy or of both.
#[derive(Clone)]
pub struct Luks2 {
    pub image: Vec<u8>,
}

/// The places of both copies.
pub const BOTH: &[usize] = &[0, COPY];
pub const PRIMARY: &[usize] = &[0];
pub const SECONDARY: &[usize] = &[COPY];

impl Luks2 {
    /// Writes over fields of these copies and makes their checksums right.
    pub fn binary(mut self, copies: &[usize], at: usize, bytes: &[u8]) -> Vec<u8> {
        for copy in copies {
            self.image[copy + at..][..bytes.len()].copy_from_slice(bytes);
            seal(&mut self.image, *copy, COPY);
        }
        self.image
    }

    /// These bytes as the whole JSON area of these copies, NULs behind them, checksums right.
    pub fn json(mut self, copies: &[usize], text: &[u8]) -> Vec<u8> {
        for copy in copies {
            let area = &mut self.image[copy + BINARY..copy + COPY];
            area.fill(0);
            area[..text.len()].copy_from_slice(text);
            seal(&mut self.image, *copy, COPY);
        }
        self.image
    }

    /// Sets the epoch of one copy.
    pub fn epoch(self, copy: usize, epoch: u64) -> Self {
        let image = self.binary(&[copy], 16, &epoch.to_be_bytes());
        Self { image }
    }

    /// The JSON text of the primary.
    pub fn text(&self) -> String {
        let area = &self.image[BINARY..COPY];
        let end = area.iter().position(|byte| *byte == 0).unwrap_or(COPY);
        String::from_utf8(area[..end].to_vec()).expect("cryptsetup writes text")
    }
}

/// Makes the checksum of the copy at `at` right (LUKS2 2.1).
pub fn seal(image: &mut [u8], at: usize, bytes: usize) {
    let copy = &mut image[at..at + bytes];
    copy[448..512].fill(0);
    let checksum = Sha256::digest(&*copy);
    copy[448..480].copy_from_slice(&checksum);
}

/// A change of metadata.
pub type Edit = fn(Json) -> Json;

/// Metadata whose members are changed; values and names may be texts that are no JSON.
#[derive(Clone)]
pub struct Json {
    value: Value,
    raw: Vec<String>,
}

impl Json {
    pub fn new(text: &str) -> Self {
        Self {
            value: serde_json::from_str(text).expect("a base's metadata are JSON"),
            raw: Vec::new(),
        }
    }

    /// Sets or adds the member at a path like `keyslots.0.type` to this text.
    pub fn set(mut self, path: &str, raw: &str) -> Self {
        let (parent, name) = split(path);
        let place = self.place(raw);
        self.object(parent).insert(name.to_owned(), place);
        self
    }

    /// Adds a member whose name is this text, quotes included.
    pub fn add(mut self, parent: &str, raw_name: &str, raw: &str) -> Self {
        let name = self.place(raw_name);
        let value = self.place(raw);
        let name = name.as_str().expect("a place is a string").to_owned();
        self.object(parent).insert(name, value);
        self
    }

    pub fn remove(mut self, path: &str) -> Self {
        let (parent, name) = split(path);
        let removed = self.object(parent).shift_remove(name);
        assert!(removed.is_some(), "the base has {path}");
        self
    }

    /// Gives a member another name, in its place.
    pub fn rename(mut self, path: &str, raw_name: &str) -> Self {
        let (parent, name) = split(path);
        let new = self.place(raw_name);
        let new = new.as_str().expect("a place is a string").to_owned();
        let object = self.object(parent);
        *object = std::mem::take(object)
            .into_iter()
            .map(|(old, value)| (if old == name { new.clone() } else { old }, value))
            .collect();
        self
    }

    /// The text of the member at a path.
    pub fn get(&self, path: &str) -> String {
        let pointer = format!("/{}", path.replace('.', "/"));
        self.value
            .pointer(&pointer)
            .unwrap_or_else(|| panic!("the base has no {path}"))
            .to_string()
    }

    pub fn text(&self) -> String {
        let mut text = self.value.to_string();
        for (index, raw) in self.raw.iter().enumerate() {
            text = text.replace(&format!("\"@{index}@\""), raw);
        }
        text
    }

    fn place(&mut self, raw: &str) -> Value {
        self.raw.push(raw.to_owned());
        Value::String(format!("@{}@", self.raw.len() - 1))
    }

    fn object(&mut self, path: &str) -> &mut serde_json::Map<String, Value> {
        let value = if path.is_empty() {
            Some(&mut self.value)
        } else {
            self.value
                .pointer_mut(&format!("/{}", path.replace('.', "/")))
        };
        value
            .and_then(Value::as_object_mut)
            .unwrap_or_else(|| panic!("the base has no object {path}"))
    }
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

/// The image with bytes written over it.
pub fn with(image: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut image = image.to_vec();
    image[at..][..bytes.len()].copy_from_slice(bytes);
    image
}
