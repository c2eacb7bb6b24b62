//! Options as `luksmith/_options.py` hands them over: a dict that has every name.

use std::time::Duration;

use jobs::new_keyslot::NewKeyslot;
use jobs::new_luks::{Cost, Kdf, LuksOptions};
use jobs::unlock::Unlock;
use luks::Version;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// How a container is unlocked.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Unlocking {
    key_slot: Option<u32>,
    max_time: Option<Duration>,
    max_memory_kib: Option<u64>,
}

impl From<Unlocking> for Unlock {
    fn from(said: Unlocking) -> Self {
        Self {
            keyslot: said.key_slot,
            max_time: said.max_time,
            max_memory_kib: said.max_memory_kib,
            ..Self::default()
        }
    }
}

/// What a new keyslot is to cost.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Costs {
    hash: Option<String>,
    pbkdf: Option<String>,
    pbkdf_time: Option<Duration>,
    pbkdf_memory_kib: Option<u32>,
    pbkdf_lanes: Option<u32>,
    pbkdf_iterations: Option<u32>,
}

impl Costs {
    fn cost(&self) -> PyResult<Cost> {
        Ok(Cost {
            kdf: self.pbkdf.as_deref().map(kdf).transpose()?,
            time: self.pbkdf_time,
            memory_kib: self.pbkdf_memory_kib,
            lanes: self.pbkdf_lanes,
            iterations: self.pbkdf_iterations,
        })
    }

    /// A new keyslot in a container that there is.
    pub(crate) fn keyslot(self) -> PyResult<NewKeyslot> {
        Ok(NewKeyslot {
            cost: self.cost()?,
            hash: self.hash,
            cipher: None,
        })
    }
}

/// What a new container is to be.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct NewContainer {
    #[pyo3(item("type"))]
    kind: Option<String>,
    cipher: Option<String>,
    key_size: Option<u32>,
    sector_size: Option<u32>,
    label: Option<String>,
    subsystem: Option<String>,
    uuid: Option<String>,
    metadata_size: Option<u64>,
    keyslots_size: Option<u64>,
}

impl NewContainer {
    /// `luks1` or `luks2`, where it is said.
    pub(crate) fn version(&self) -> PyResult<Option<Version>> {
        match self.kind.as_deref() {
            None => Ok(None),
            Some("luks1") => Ok(Some(Version::Luks1)),
            Some("luks2") => Ok(Some(Version::Luks2)),
            Some(other) => Err(PyValueError::new_err(format!(
                "type {other:?} is neither luks1 nor luks2"
            ))),
        }
    }

    /// All that is said of it.
    pub(crate) fn luks(self, costs: Costs) -> PyResult<LuksOptions> {
        let version = self.version()?;
        Ok(LuksOptions {
            version: version.unwrap_or(Version::Luks2),
            cipher: self.cipher,
            key_bits: self.key_size,
            sector_bytes: self.sector_size,
            cost: costs.cost()?,
            hash: costs.hash,
            uuid: self.uuid,
            label: self.label,
            subsystem: self.subsystem,
            metadata_bytes: self.metadata_size,
            keyslots_bytes: self.keyslots_size,
            ..LuksOptions::default()
        })
    }
}

fn kdf(name: &str) -> PyResult<Kdf> {
    match name {
        "pbkdf2" => Ok(Kdf::Pbkdf2),
        "argon2i" => Ok(Kdf::Argon2i),
        "argon2id" => Ok(Kdf::Argon2id),
        other => Err(PyValueError::new_err(format!(
            "pbkdf {other:?} is none of pbkdf2, argon2i and argon2id"
        ))),
    }
}
