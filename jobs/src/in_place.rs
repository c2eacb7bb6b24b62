//! Data that are changed where they lie: encrypted, decrypted, or given another key, and what a crash or a signal left of
//! that finished.
//!
//! A job here is judged as a whole before its first write: options, sizes, room, what is in the data. From then on
//! ([`Watch::changes_in_place`]) every moment leaves an image that says what of it is as before and what is not, which
//! [`resume`](resume::resume) goes on with; so does whatever else knows LUKS2. Nobody else may have the image meanwhile:
//! QEMU's locks keep out those who know them, cryptsetup is kept out by its own lock.

pub mod decrypt;
pub mod encrypt;
pub mod header_file;
mod keys;
mod lock;
mod luks1;
pub mod reencrypt;
pub mod resume;
mod room;
mod said;
mod site;
mod zones;

use dmcrypt::HashAlgorithm;
use luks::reencrypt::{Outcome, Protection, RunOptions, Running, StartOptions};
use luks::{Header, InvalidOption, OsRandom, defaults};
use serde::Serialize;

use crate::data_facts::DataFacts;
use crate::error::{Error, InPlaceError};
use crate::text;
use crate::transfer::Work;
use crate::watch::Watch;

use site::Site;

pub use zones::ZonesReport;

/// How what is being written is protected against a crash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Resilience {
    /// By hashes of what was there.
    Checksum,
    /// By a copy of what was there, which takes longer and relies on nothing.
    Journal,
    /// Not at all: a crash may lose what was being written.
    None,
}

/// How data are changed where they lie.
#[derive(Clone, Debug, Default)]
pub struct Zones {
    /// How what is being written is protected: by checksums unless said, and what is under way as it was begun.
    pub resilience: Option<Resilience>,
    /// The hash of checksums; SHA-256 unless said.
    pub hash: Option<String>,
    /// At most so many bytes are between two commits.
    pub hotzone_bytes: Option<u64>,
    /// How the work is done.
    pub work: Work,
}

impl Zones {
    /// What a hash of checksums is in an [`Error::Conflict`].
    pub const HASH: &str = "a hash of checksums";
    /// What another protection is in one.
    pub const OTHER: &str = "another protection than checksums";

    /// The protection that is asked for, if any is.
    fn wanted(&self, name: &str) -> Result<Option<Protection>, Error> {
        let hash = match &self.hash {
            Some(text) => Some(
                HashAlgorithm::parse(text)
                    .map_err(|error| Error::luks(name, InvalidOption::Cipher(error).into()))?,
            ),
            None => None,
        };
        Ok(match (self.resilience, hash) {
            (None, None) => None,
            (None | Some(Resilience::Checksum), hash) => {
                Some(Protection::Checksum(hash.unwrap_or(defaults::HASH)))
            }
            (Some(_), Some(_)) => {
                return Err(Error::Conflict {
                    one: Self::HASH,
                    other: Self::OTHER,
                });
            }
            (Some(Resilience::Journal), None) => Some(Protection::Journal),
            (Some(Resilience::None), None) => Some(Protection::None),
        })
    }

    fn start(
        &self,
        name: &str,
        digest_iterations: u32,
        device_bytes: Option<u64>,
    ) -> Result<StartOptions, Error> {
        Ok(StartOptions {
            protection: self
                .wanted(name)?
                .unwrap_or(Protection::Checksum(defaults::HASH)),
            digest: (defaults::HASH, digest_iterations),
            hotzone_bytes: self.hotzone_bytes,
            device_bytes,
            cut: false,
            shift_bytes: None,
        })
    }

    fn is_unprotected(&self) -> bool {
        self.resilience == Some(Resilience::None)
    }
}

/// What was done in place, or would be.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct InPlaceReport {
    /// Nothing was written.
    pub dry_run: bool,
    /// The image.
    pub image: String,
    /// The file with its header, where that is detached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// `encrypt`, `decrypt` or `reencrypt`.
    pub operation: &'static str,
    /// `luks1` or `luks2`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// `finished`; `begun` or `recovered` where the rest is still to be done.
    pub state: &'static str,
    /// Cipher specification of what is encrypted now.
    pub cipher: String,
    /// Size of its key in bits.
    pub key_bits: u64,
    /// Bytes that are encrypted as one.
    pub sector_size: u64,
    /// Where the data begin.
    pub payload_offset: u64,
    /// Bytes of plaintext.
    pub payload_bytes: u64,
    /// Bytes of them that are as before.
    pub left_bytes: u64,
    /// Bytes that a file is longer by while it is worked on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_bytes: Option<u64>,
    /// Bytes that the file system has to give: for what it grows by and for its holes. Told by a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_bytes: Option<u64>,
    /// What would be done, in this order. Told by a dry run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<ZonesReport>,
    /// The keyslots that open it now, where they are new.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keyslots: Vec<u32>,
    /// The keyslots that went.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<u32>,
}

impl InPlaceReport {
    fn of(site: &Site, running: &Running, state: &'static str) -> Self {
        Self {
            left_bytes: running.left_bytes(),
            operation: running.mode().name(),
            ..Self::about(site, running.header(), running.volume_bytes(), state)
        }
    }

    fn about(site: &Site, header: &Header, payload_bytes: u64, state: &'static str) -> Self {
        let facts = DataFacts::of(header);
        Self {
            dry_run: false,
            image: site.data.name.clone(),
            header: site.header_name(),
            operation: "",
            kind: luks1::kind(header),
            state,
            cipher: text::escape(&facts.cipher),
            key_bits: facts.key_bits,
            sector_size: facts.sector_size,
            payload_offset: facts.offset,
            payload_bytes,
            left_bytes: payload_bytes,
            more_bytes: None,
            room_bytes: None,
            zones: Vec::new(),
            keyslots: Vec::new(),
            dropped: Vec::new(),
        }
    }
}

/// Does the rest of what is under way. Whoever watches it may end it between two commits, which is an
/// [`InPlaceError::Stopped`].
fn finish(
    site: &Site,
    running: &mut Running,
    zones: &Zones,
    digest: (HashAlgorithm, u32),
    watch: &dyn Watch,
) -> Result<(), Error> {
    with_options(zones, site, digest, watch, |options| {
        running
            .check(options)
            .map_err(|error| site.luks_error(error))?;
        watch.begin(&site.data.name, Some(running.volume_bytes()));
        let outcome = running.run(options, &mut OsRandom);
        match outcome.map_err(|error| site.left_by(error))? {
            Outcome::Finished => {
                watch.finish(running.volume_bytes());
                Ok(())
            }
            Outcome::Stopped { left_bytes } => Err(InPlaceError::Stopped {
                name: site.data.name.clone(),
                header: site.header_name(),
                left_bytes,
            }
            .into()),
        }
    })
}

fn with_options<T>(
    zones: &Zones,
    site: &Site,
    digest: (HashAlgorithm, u32),
    watch: &dyn Watch,
    act: impl FnOnce(&RunOptions<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let options = RunOptions {
        threads: zones.work.threads(),
        hotzone_bytes: zones.hotzone_bytes,
        protection: zones.wanted(&site.data.name)?,
        digest,
        stop: &|| watch.is_cancelled(),
        progress: &|done, _| watch.advance(done),
    };
    act(&options)
}
