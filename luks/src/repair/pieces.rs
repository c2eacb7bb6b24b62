//! What is left of a LUKS2 header, put together in the ways that damage allows, and held against the checksums.
//!
//! The checksum of a copy is over its binary header and its JSON area. A binary header has six fields that are its own;
//! the others are known (magic, version, size, offset, name of the checksum, zeros). The JSON areas of both copies are
//! the same, and zeros behind their text. So what is lost of one copy may be had from what is known or from the other
//! copy, and a SHA-256 that fits proves that it is what was there.

use volume::{Storage, read_around};

use crate::error::Error;
use crate::luks2::{BinaryHeader, Header, METADATA_SIZES, Metadata, Which};
use crate::number::{to_u64, to_usize};

/// What a disk writes all of or nothing.
const SECTOR_BYTES: usize = 512;
/// The most that is hashed to try mixtures of both JSON areas.
const MOST_HASHED: usize = 32 << 20;
/// Runs of sectors in which both JSON areas differ, each of which is one copy's or the other's.
const MOST_RUNS: usize = 8;

/// Both copies of a header of `size` bytes each, as they lie on the disk.
pub(super) struct Pieces {
    size: usize,
    primary: Vec<u8>,
    secondary: Vec<u8>,
    unreadable: [bool; 2],
}

/// A copy that its checksum proves, as it was.
#[derive(Clone, Debug)]
pub(super) struct Proven {
    pub(super) header: Header,
    pub(super) bytes: Vec<u8>,
    /// Bytes of the binary header are others than on the disk.
    pub(super) binary_mended: bool,
    pub(super) json: JsonOf,
}

/// Whose JSON area fits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum JsonOf {
    Own,
    Other,
    /// Sectors of both.
    Both,
}

impl Pieces {
    /// What lies in both places; what cannot be read is zeros. `None` where the storage has no room for them.
    pub(super) fn read(storage: &dyn Storage, size: u64) -> Result<Option<Self>, Error> {
        let length = storage
            .len()
            .map_err(Error::io("find the size of the container"))?;
        if size.saturating_mul(2) > length {
            return Ok(None);
        }
        let read = |at: u64| {
            let mut bytes = vec![0; to_usize(size)];
            read_around(storage, at, &mut bytes)
                .map(|unread| (bytes, !unread.is_empty()))
                .map_err(Error::io("read the header"))
        };
        let (primary, secondary) = (read(0)?, read(size)?);
        Ok(Some(Self {
            size: to_usize(size),
            unreadable: [primary.1, secondary.1],
            primary: primary.0,
            secondary: secondary.0,
        }))
    }

    /// Bytes of one copy.
    pub(super) fn size(&self) -> u64 {
        to_u64(self.size)
    }

    pub(super) fn copy(&self, which: Which) -> &[u8] {
        match which {
            Which::Primary => &self.primary,
            Which::Secondary => &self.secondary,
        }
    }

    pub(super) fn binary(&self, which: Which) -> &[u8] {
        &self.copy(which)[..BinaryHeader::BYTES]
    }

    pub(super) fn json(&self, which: Which) -> &[u8] {
        &self.copy(which)[BinaryHeader::BYTES..]
    }

    /// Whether these bytes are on the disk, all of them to be read.
    pub(super) fn holds(&self, which: Which, bytes: &[u8]) -> bool {
        self.holds_sector(which, 0, bytes)
    }

    /// The same of those that begin at `start` of the copy. Where any of a copy cannot be read, all of it is in doubt.
    pub(super) fn holds_sector(&self, which: Which, start: usize, bytes: &[u8]) -> bool {
        let unreadable = self.unreadable[usize::from(which == Which::Secondary)];
        self.copy(which)[start..].starts_with(bytes) && !unreadable
    }

    pub(super) fn place(&self, which: Which) -> u64 {
        match which {
            Which::Primary => 0,
            Which::Secondary => to_u64(self.size),
        }
    }

    /// The copy for this place that its checksum proves.
    pub(super) fn prove(&self, which: Which) -> Option<Proven> {
        let json = self.json_areas(which);
        if json.is_empty() {
            return None;
        }
        for binary in self.binary_headers(which) {
            for (of, area) in &json {
                if !BinaryHeader::fits_checksum(&binary, area) {
                    continue;
                }
                let bytes = [&binary, &area[..]].concat();
                let parsed = BinaryHeader::parse(which, self.place(which), &bytes)
                    .ok()
                    .and_then(|binary| Header::parse(binary, &bytes).ok());
                if let Some(header) = parsed {
                    return Some(Proven {
                        header,
                        binary_mended: binary != self.binary(which),
                        bytes,
                        json: *of,
                    });
                }
            }
        }
        None
    }

    /// The binary header as it is, with what is known put right, and with the fields that both copies share from the
    /// other one.
    fn binary_headers(&self, which: Which) -> Vec<Vec<u8>> {
        let own = self.binary(which);
        if !BinaryHeader::holds_checksum(own) {
            return Vec::new();
        }
        let mut known = own.to_vec();
        BinaryHeader::restore_known(&mut known, which, to_u64(self.size));
        let mut shared = known.clone();
        BinaryHeader::share(&mut shared, self.binary(which.other()));
        let mut all = vec![own.to_vec(), known, shared];
        all.dedup();
        all
    }

    /// What may have been the JSON area: only what begins as one does.
    fn json_areas(&self, which: Which) -> Vec<(JsonOf, Vec<u8>)> {
        let (own, other) = (self.json(which), self.json(which.other()));
        let mut all: Vec<(JsonOf, Vec<u8>)> = Vec::new();
        let mut add = |of, area: Vec<u8>| {
            if area.first() == Some(&b'{') && !all.iter().any(|(_, known)| *known == area) {
                all.push((of, area));
            }
        };
        for (of, area) in [(JsonOf::Own, own), (JsonOf::Other, other)] {
            add(of, area.to_vec());
            add(of, without_tail(area));
        }
        if own.first() == Some(&b'{') || other.first() == Some(&b'{') {
            for mixture in mixtures(own, other) {
                add(JsonOf::Both, without_tail(&mixture));
            }
        }
        all
    }

    /// Whether a copy of another container lies in this place: of one that begins further in, as in a partition.
    pub(super) fn is_of_another(&self, which: Which) -> bool {
        let begins_before = |size: u64| {
            let start = self.size.checked_sub(to_usize(size));
            start.is_some_and(|start| {
                start > 0 && BinaryHeader::has_magic(Which::Primary, &self.primary[start..])
            })
        };
        which == Which::Secondary
            && (BinaryHeader::has_magic(Which::Primary, &self.secondary)
                || METADATA_SIZES.into_iter().any(begins_before))
    }

    /// The JSON area in this place where its text keeps every rule of the format by itself: the size that it says of
    /// itself is this one.
    pub(super) fn whole_json(&self, which: Which) -> Option<Metadata> {
        if self.is_of_another(which) {
            return None;
        }
        let area = without_tail(self.json(which));
        Metadata::parse(&area, to_u64(self.size)).ok()
    }
}

/// The text and zeros behind it.
fn without_tail(area: &[u8]) -> Vec<u8> {
    let end = area.iter().position(|byte| *byte == 0);
    let mut area = area.to_vec();
    area[end.unwrap_or(0)..].fill(0);
    area
}

/// Both areas, in each run of sectors in which they differ one or the other.
fn mixtures(own: &[u8], other: &[u8]) -> Vec<Vec<u8>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    let sectors = own.chunks(SECTOR_BYTES).zip(other.chunks(SECTOR_BYTES));
    for (number, (one, two)) in sectors.enumerate() {
        let start = number.saturating_mul(SECTOR_BYTES);
        let end = start.saturating_add(one.len());
        match runs.last_mut() {
            _ if one == two => {}
            // A run ends where one of the two begins or ends to be zeros, as lost sectors often are.
            Some(run) if run.end == start && is_alike(own, other, run.end) => run.end = end,
            _ => runs.push(start..end),
        }
    }
    let count = 1_usize.checked_shl(u32::try_from(runs.len()).unwrap_or(u32::MAX));
    let all = match count {
        Some(count) if runs.len() <= MOST_RUNS => count,
        _ => return Vec::new(),
    };
    if runs.len() < 2 || all.saturating_mul(own.len()) > MOST_HASHED {
        return Vec::new();
    }
    // All of one and all of the other are tried without this.
    (1..all.saturating_sub(1))
        .map(|choice| {
            let mut mixture = own.to_vec();
            for (number, run) in runs.iter().enumerate() {
                if choice >> number & 1 == 1 {
                    mixture[run.clone()].copy_from_slice(&other[run.clone()]);
                }
            }
            mixture
        })
        .collect()
}

/// Whether the sectors before and behind `at` are zeros, or not, alike in each of both areas.
fn is_alike(own: &[u8], other: &[u8], at: usize) -> bool {
    let is_zero = |area: &[u8], start: usize| {
        let end = start.saturating_add(SECTOR_BYTES).min(area.len());
        area[start..end].iter().all(|byte| *byte == 0)
    };
    [own, other]
        .into_iter()
        .all(|area| is_zero(area, at.saturating_sub(SECTOR_BYTES)) == is_zero(area, at))
}
