//! The zones of a job, as a dry run tells them.

use luks::reencrypt::{Shelter, ZoneRun};
use serde::Serialize;

use crate::text;

/// Zones of a kind, done one after the other.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ZonesReport {
    /// How many.
    pub count: u64,
    /// Bytes of the largest.
    pub bytes: u64,
    /// The first byte of the payload that they have.
    pub start: u64,
    /// Where they end in it.
    pub end: u64,
    /// `forward` or `backward`.
    pub direction: &'static str,
    /// What protects each until it is written: `checksum`, `journal`, `none`; `shift` where its old bytes lie beside it,
    /// `put-aside` where they were copied elsewhere.
    pub protected_by: &'static str,
    /// The hash of checksums.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Bytes that this takes of the header for each.
    pub protection_bytes: u64,
}

impl From<ZoneRun> for ZonesReport {
    fn from(run: ZoneRun) -> Self {
        Self {
            count: run.count,
            bytes: run.bytes,
            start: run.range.start,
            end: run.range.end,
            direction: run.direction.name(),
            protected_by: run.shelter.name(),
            hash: match &run.shelter {
                Shelter::Checksum(hash) => Some(text::escape(hash)),
                _ => None,
            },
            protection_bytes: run.area_bytes,
        }
    }
}

/// All of them.
pub(super) fn reports(runs: Vec<ZoneRun>) -> Vec<ZonesReport> {
    runs.into_iter().map(ZonesReport::from).collect()
}
