//! What a header says, as data, the same for people and programs.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::halfway::Halfway;
use crate::source::Data;

/// Everything that a header says. All offsets and sizes are bytes.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The image, as the user named it.
    pub image: String,
    /// `luks1` or `luks2`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// UUID as text.
    pub uuid: String,
    /// LUKS2: label, may be empty.
    pub label: Option<String>,
    /// LUKS2: second label, may be empty.
    pub subsystem: Option<String>,
    /// LUKS2: how often the header was changed.
    pub epoch: Option<u64>,
    /// One header copy.
    pub header_bytes: u64,
    /// How many copies there are.
    pub header_copies: u64,
    /// First byte of the keyslots area.
    pub keyslots_offset: u64,
    /// Size of the keyslots area.
    pub keyslots_bytes: u64,
    /// Size of the image.
    pub image_bytes: u64,
    /// The file with the data, where `--header` named the header.
    pub data: Option<Data>,
    /// The data segments.
    pub segments: Vec<Segment>,
    /// The keyslots that hold a key.
    pub keyslots: Vec<Keyslot>,
    /// The digests.
    pub digests: Vec<Digest>,
    /// LUKS2: the tokens.
    pub tokens: Vec<Token>,
    /// LUKS2: the seal of the header, which only a key checks.
    pub seal: Option<Seal>,
    /// LUKS2: persistent flags.
    pub flags: Vec<String>,
    /// LUKS2: features without which the container must not be opened.
    pub requirements: Vec<String>,
    /// LUKS2: the reencryption that is under way.
    pub reencryption: Option<Halfway>,
    /// What is wrong and could be passed over.
    pub warnings: Vec<String>,
    /// LUKS2: the metadata as they stand, members that nobody knows included.
    pub metadata: Option<Value>,
    /// Where everything lies, in order and without a gap.
    pub map: Vec<Region>,
}

/// The seal of the header.
#[derive(Debug, Serialize)]
pub struct Seal {
    /// The token that says that it is one.
    pub token: u32,
    /// Its version, where it is a number.
    pub version: Option<u64>,
    /// Never: nothing is unlocked here.
    pub checked: bool,
}

/// A data segment.
#[derive(Debug, Serialize)]
pub struct Segment {
    /// Its number.
    pub id: u32,
    /// `crypt`, `linear` or another.
    #[serde(rename = "type")]
    pub kind: String,
    /// First byte in the data storage.
    pub offset: u64,
    /// Size; none where it reaches to the end of the storage.
    pub bytes: Option<u64>,
    /// Cipher specification.
    pub cipher: Option<String>,
    /// Sector size.
    pub sector_size: Option<u32>,
    /// IV number of the first byte, in 512-byte sectors.
    pub iv_tweak: Option<u64>,
    /// Whether there are authentication tags.
    pub integrity: bool,
    /// Flags.
    pub flags: Vec<String>,
}

/// A keyslot that holds a key.
#[derive(Debug, Serialize)]
pub struct Keyslot {
    /// Its number.
    pub id: u32,
    /// `luks1`, `luks2` or another.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether its key opens the data.
    pub bound: bool,
    /// During a reencryption which key it holds: `old`, `new` or `both`, or `none` for the keyslot of its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reencryption: Option<&'static str>,
    /// `ignore`, `normal` or `prefer`.
    pub priority: &'static str,
    /// Size of the key in bits; 0 of the keyslot of a reencryption's state, which holds none.
    pub key_bits: u64,
    /// First byte of its area.
    pub area_offset: u64,
    /// Size of its area.
    pub area_bytes: u64,
    /// Cipher of its area.
    pub area_cipher: Option<String>,
    /// Size of the area's key in bits.
    pub area_key_bits: Option<u64>,
    /// Key derivation.
    pub kdf: Option<Kdf>,
    /// What a guess at it costs.
    pub guess: Option<Guess>,
}

/// A key derivation.
#[derive(Debug, Serialize)]
pub struct Kdf {
    /// `pbkdf2`, `argon2i`, `argon2id`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Hash of PBKDF2.
    pub hash: Option<&'static str>,
    /// Iterations of PBKDF2, or passes of Argon2.
    pub iterations: u32,
    /// Memory of Argon2.
    pub memory_kib: Option<u32>,
    /// Lanes of Argon2.
    pub lanes: Option<u32>,
}

/// What one guess at a passphrase costs on this machine; an estimate from probes of a few milliseconds.
#[derive(Debug, Serialize)]
pub struct Guess {
    /// Time on one core, in milliseconds.
    pub milliseconds: u64,
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Which limit keeps the keyslot from being tried, where one does.
    pub refused: Option<String>,
}

/// A digest.
#[derive(Debug, Serialize)]
pub struct Digest {
    /// Its number.
    pub id: u32,
    /// Keyslots whose keys it tells.
    pub keyslots: Vec<u32>,
    /// Segments that those keys open.
    pub segments: Vec<u32>,
    /// Its hash.
    pub hash: Option<String>,
    /// Its iterations.
    pub iterations: Option<u32>,
}

/// A token.
#[derive(Debug, Serialize)]
pub struct Token {
    /// Its number.
    pub id: u32,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Keyslots that it opens.
    pub keyslots: Vec<u32>,
}

/// One stretch of the image.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Region {
    /// First byte.
    pub start: u64,
    /// First byte after it.
    pub end: u64,
    /// What it is.
    pub name: String,
    /// Its kind.
    pub kind: RegionKind,
}

/// The kinds of regions.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RegionKind {
    /// A header copy, or the binary part of one.
    Header,
    /// The JSON area of a header copy.
    Json,
    /// The area of a keyslot whose key opens the data, or of one that holds no key.
    Keyslot,
    /// The area of a keyslot whose key opens no data.
    Unbound,
    /// A part of the keyslots area that no keyslot uses.
    #[serde(rename = "free")]
    Unused,
    /// Bytes that belong to nothing.
    Gap,
    /// Data.
    Data,
}

impl Report {
    /// First byte of data, where any is in this image.
    pub fn data_start(&self) -> Option<u64> {
        let starts = self.segments.iter().map(|segment| segment.offset);
        starts.min().filter(|start| *start < self.image_bytes)
    }
}

impl Guess {
    /// The time as a person says it.
    pub fn time(&self) -> String {
        let time = Duration::from_millis(self.milliseconds);
        match self.milliseconds {
            u64::MAX => "longer than anyone waits".into(),
            0..=9 => "a few milliseconds".into(),
            10..1000 => format!("about {} ms", self.milliseconds),
            1000..600_000 => format!("about {}.{} s", time.as_secs(), time.subsec_millis() / 100),
            600_000..360_000_000 => format!("about {} minutes", time.as_secs() / 60),
            _ => format!("about {} days", time.as_secs() / 86_400),
        }
    }
}
