//! The header of either format as one report, the same for people and programs.

use std::time::Duration;

use luks::luks2::{KeyslotKind, Priority, SegmentKind, SegmentSize};
use luks::{Header, KdfLimits, KdfParams, Luks, luks1, luks2};
use serde::Serialize;
use serde_json::Value;

use super::warnings;
use crate::limits;
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
    /// LUKS2: persistent flags.
    pub flags: Vec<String>,
    /// LUKS2: features without which the container must not be opened.
    pub requirements: Vec<String>,
    /// What is wrong and could be passed over.
    pub warnings: Vec<String>,
    /// LUKS2: the metadata as they stand, members that nobody knows included.
    pub metadata: Option<Value>,
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
    /// `ignore`, `normal` or `prefer`.
    pub priority: &'static str,
    /// Size of the key in bits.
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

impl Report {
    /// Gathers what the header of `luks` says. `image_bytes` is the size of the storage that it was read from.
    pub fn new(image: String, luks: &Luks, image_bytes: u64, limits: &KdfLimits) -> Self {
        let mut report = match luks.header() {
            Header::Luks1(header) => of_luks1(header, limits),
            Header::Luks2(header) => of_luks2(header, limits),
        };
        report.image = image;
        report.image_bytes = image_bytes;
        report.warnings = warnings::of(&report, luks);
        report
    }

    /// First byte of data, where any is in this image.
    pub fn data_start(&self) -> Option<u64> {
        let starts = self.segments.iter().map(|segment| segment.offset);
        starts.min().filter(|start| *start < self.image_bytes)
    }
}

fn of_luks1(header: &luks1::Header, limits: &KdfLimits) -> Report {
    let active = (0u32..)
        .zip(&header.keyslots)
        .filter(|(_, slot)| slot.active);
    let keyslots: Vec<_> = active
        .map(|(id, slot)| {
            let params = header.hash().ok().map(|hash| KdfParams::Pbkdf2 {
                hash,
                iterations: slot.iterations,
            });
            Keyslot {
                id,
                kind: "luks1".into(),
                bound: true,
                priority: "normal",
                key_bits: bits(header.key_bytes),
                area_offset: slot.area_offset(),
                area_bytes: header.area_length(),
                area_cipher: Some(format!("{}-{}", header.cipher_name, header.cipher_mode)),
                area_key_bits: Some(bits(header.key_bytes)),
                guess: params
                    .as_ref()
                    .map(|params| guess(params, header.key_bytes, limits)),
                kdf: params.as_ref().map(kdf),
            }
        })
        .collect();
    let keyslots_offset = header
        .keyslots
        .iter()
        .map(luks1::Keyslot::area_offset)
        .min()
        .unwrap_or(0);
    let keyslots_end = header
        .keyslots
        .iter()
        .map(|slot| slot.area_offset() + header.area_length())
        .max();
    Report {
        image: String::new(),
        kind: "luks1",
        uuid: header.uuid.clone(),
        label: None,
        subsystem: None,
        epoch: None,
        header_bytes: luks1::Header::BYTES as u64,
        header_copies: 1,
        keyslots_offset,
        keyslots_bytes: keyslots_end.unwrap_or(0) - keyslots_offset,
        image_bytes: 0,
        data: None,
        segments: vec![Segment {
            id: 0,
            kind: "crypt".into(),
            offset: header.data_offset(),
            bytes: None,
            cipher: Some(format!("{}-{}", header.cipher_name, header.cipher_mode)),
            sector_size: Some(512),
            iv_tweak: Some(0),
            integrity: false,
            flags: Vec::new(),
        }],
        digests: vec![Digest {
            id: 0,
            keyslots: keyslots.iter().map(|slot| slot.id).collect(),
            segments: vec![0],
            hash: Some(header.hash_spec.clone()),
            iterations: Some(header.mk_digest_iterations),
        }],
        keyslots,
        tokens: Vec::new(),
        flags: Vec::new(),
        requirements: Vec::new(),
        warnings: Vec::new(),
        metadata: None,
    }
}

fn of_luks2(header: &luks2::Header, limits: &KdfLimits) -> Report {
    let metadata = &header.metadata;
    let tokens = metadata.tokens.iter().map(|token| Token {
        id: token.id,
        kind: token.kind.clone(),
        keyslots: token.keyslots.clone(),
    });
    let digests = metadata.digests.iter().map(|digest| Digest {
        id: digest.id,
        keyslots: digest.keyslots.clone(),
        segments: digest.segments.clone(),
        hash: digest
            .pbkdf2
            .as_ref()
            .ok()
            .map(|(hash, _)| hash.name().to_owned()),
        iterations: digest
            .pbkdf2
            .as_ref()
            .ok()
            .map(|(_, iterations)| *iterations),
    });
    let keyslots = metadata
        .keyslots
        .iter()
        .map(|slot| luks2_keyslot(slot, metadata.is_bound(slot.id), limits));
    Report {
        image: String::new(),
        kind: "luks2",
        uuid: header.binary.uuid.clone(),
        label: Some(header.binary.label.clone()),
        subsystem: Some(header.binary.subsystem.clone()),
        epoch: Some(header.binary.epoch),
        header_bytes: header.binary.header_bytes,
        header_copies: 2,
        keyslots_offset: 2 * header.binary.header_bytes,
        keyslots_bytes: metadata.config.keyslots_bytes,
        image_bytes: 0,
        data: None,
        segments: metadata.segments.iter().map(luks2_segment).collect(),
        keyslots: keyslots.collect(),
        digests: digests.collect(),
        tokens: tokens.collect(),
        flags: metadata.config.flags.clone(),
        requirements: metadata.config.requirements.clone(),
        warnings: Vec::new(),
        metadata: Some(Value::Object(metadata.raw().clone())),
    }
}

fn luks2_segment(segment: &luks2::Segment) -> Segment {
    let (kind, crypt) = match &segment.kind {
        SegmentKind::Linear => ("linear", None),
        SegmentKind::Crypt(crypt) => ("crypt", Some(crypt)),
        SegmentKind::Other { kind } => (kind.as_str(), None),
    };
    Segment {
        id: segment.id,
        kind: kind.to_owned(),
        offset: segment.offset,
        bytes: match segment.size {
            SegmentSize::Dynamic => None,
            SegmentSize::Bytes(bytes) => Some(bytes),
        },
        cipher: crypt.map(|crypt| crypt.text.clone()),
        sector_size: crypt.map(|crypt| crypt.sector_size),
        iv_tweak: crypt.map(|crypt| crypt.iv_tweak),
        integrity: crypt.is_some_and(|crypt| crypt.integrity),
        flags: segment.flags.clone(),
    }
}

fn luks2_keyslot(slot: &luks2::Keyslot, bound: bool, limits: &KdfLimits) -> Keyslot {
    let (kind, passphrase_slot) = match &slot.kind {
        KeyslotKind::Luks2(passphrase_slot) => ("luks2", Some(passphrase_slot)),
        KeyslotKind::Other { kind } => (kind.as_str(), None),
    };
    let cipher = passphrase_slot.map(|slot| &slot.cipher);
    let params = passphrase_slot.and_then(|slot| slot.kdf.as_ref().ok());
    Keyslot {
        id: slot.id,
        kind: kind.to_owned(),
        bound,
        priority: match slot.priority {
            Priority::Ignore => "ignore",
            Priority::Normal => "normal",
            Priority::Prefer => "prefer",
        },
        key_bits: bits(slot.key_bytes),
        area_offset: slot.area.offset,
        area_bytes: slot.area.size,
        area_cipher: cipher.map(|cipher| cipher.text.clone()),
        area_key_bits: cipher.map(|cipher| bits(cipher.key_bytes)),
        guess: params
            .zip(cipher)
            .map(|(params, cipher)| guess(params, cipher.key_bytes, limits)),
        kdf: params.map(kdf),
    }
}

fn bits(bytes: u32) -> u64 {
    u64::from(bytes) * 8
}

fn kdf(params: &KdfParams) -> Kdf {
    let (hash, iterations, memory_kib, lanes) = match *params {
        KdfParams::Pbkdf2 { hash, iterations } => (Some(hash.name()), iterations, None, None),
        KdfParams::Argon2 {
            time,
            memory_kib,
            lanes,
            ..
        } => (None, time, Some(memory_kib), Some(lanes)),
    };
    Kdf {
        kind: params.name(),
        hash,
        iterations,
        memory_kib,
        lanes,
    }
}

fn guess(params: &KdfParams, key_bytes: u32, limits: &KdfLimits) -> Guess {
    let key_bytes = key_bytes as usize;
    let time = limits::guess(params, key_bytes, limits);
    Guess {
        milliseconds: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
        memory_kib: match *params {
            KdfParams::Pbkdf2 { .. } => 0,
            KdfParams::Argon2 { memory_kib, .. } => memory_kib,
        },
        refused: limits
            .check(params, key_bytes)
            .err()
            .map(|excess| excess.to_string()),
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
