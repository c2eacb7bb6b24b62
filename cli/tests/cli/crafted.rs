//! Hostile headers: golden images whose JSON is replaced, checksums right.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::golden;

/// A LUKS2 header to be changed.
pub struct Crafted {
    image: Vec<u8>,
    /// Bytes of one copy.
    copy: usize,
    /// The JSON of both copies.
    pub json: Value,
}

impl Crafted {
    /// A golden image by its path below test-vectors.
    pub fn new(path: &str) -> Self {
        let image = golden(path);
        let size = image[8..16].try_into().expect("eight bytes");
        let copy = usize::try_from(u64::from_be_bytes(size)).expect("a size");
        let area = &image[4096..copy];
        let end = area.iter().position(|byte| *byte == 0).expect("a NUL");
        let json = serde_json::from_slice(&area[..end]).expect("JSON");
        Self { image, copy, json }
    }

    /// One keyslot of Argon2id, its passphrase `golden`.
    pub fn argon2id() -> Self {
        Self::new("luks2/argon2id-xts-512-sector-512.img.xz")
    }

    /// A JSON area of almost 4 MiB.
    pub fn roomy() -> Self {
        Self::new("luks2/metadata-4096k.img.xz")
    }

    /// Bytes that the JSON text may have.
    pub fn room(&self) -> usize {
        self.copy - 4096 - 1
    }

    /// Copies of keyslot 0 under all 32 numbers, at places of their own.
    pub fn with_32_keyslots(mut self, change: impl Fn(usize, &mut Value)) -> Self {
        let first = self.json["keyslots"]["0"].clone();
        let number = |value: &Value| -> u64 {
            let text = value.as_str().expect("a number in a string");
            text.parse().expect("a number")
        };
        let start = number(&first["area"]["offset"]);
        let size = number(&first["area"]["size"]);
        for id in 0..32 {
            let mut slot = first.clone();
            slot["area"]["offset"] = (start + size * id as u64).to_string().into();
            change(id, &mut slot);
            self.json["keyslots"][id.to_string()] = slot;
        }
        self.json["digests"]["0"]["keyslots"] = (0..32).map(|id| id.to_string()).collect();
        let end = start + size * 32;
        self.json["config"]["keyslots_size"] = (end - 2 * self.copy as u64).to_string().into();
        self.json["segments"]["0"]["offset"] = end.next_multiple_of(1 << 20).to_string().into();
        let index = |at: u64| usize::try_from(at).expect("an offset");
        let area = self.image[index(start)..index(start + size)].to_vec();
        self.image.resize(index(end.next_multiple_of(1 << 20)), 0);
        for id in 0..32 {
            let at = index(start + size * id);
            self.image[at..at + area.len()].copy_from_slice(&area);
        }
        self
    }

    /// Puts bytes into the binary header of both copies.
    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        for start in [0, self.copy] {
            self.image[start + at..start + at + bytes.len()].copy_from_slice(bytes);
        }
    }

    /// The image.
    pub fn bytes(self) -> Vec<u8> {
        let text = serde_json::to_vec(&self.json).expect("a value");
        self.with_text(&text)
    }

    /// The image with another text in place of the JSON.
    pub fn with_text(mut self, text: &[u8]) -> Vec<u8> {
        for start in [0, self.copy] {
            let copy = &mut self.image[start..start + self.copy];
            copy[4096..].fill(0);
            copy[4096..4096 + text.len()].copy_from_slice(text);
            copy[448..512].fill(0);
            let checksum = Sha256::digest(&*copy);
            copy[448..480].copy_from_slice(&checksum);
        }
        self.image
    }
}
