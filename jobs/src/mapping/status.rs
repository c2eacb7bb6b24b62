//! What the kernel tells of its mappings.

use std::ffi::OsStr;

use devmapper::{Control, KeyText, Line, Name, Nodes, State, Target};
use dmcrypt::SECTOR_BYTES;
use serde::Serialize;

use super::{kind_name, name_of, shown};
use crate::block;
use crate::error::{Error, MappingError};
use crate::text;

/// A mapping.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// What it is called.
    pub name: String,
    /// Where it is found.
    pub path: String,
    /// `luks1`, `luks2` or `plain`; none of what is another's, or of a kind that is not known.
    #[serde(rename = "type")]
    pub kind: Option<&'static str>,
    /// What device-mapper calls it beside its name.
    pub dm_uuid: String,
    /// The UUID of the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// How often it is open: mounted, part of another device, or read.
    pub open_count: u32,
    /// `active`, `suspended`, or `no-table` for what a program that was killed has left.
    pub state: &'static str,
    /// Nothing can be written.
    pub read_only: bool,
    /// It goes when nobody has it open any more.
    pub deferred: bool,
    /// The targets that it is made of, one word each: `crypt` for an encrypted volume.
    pub targets: Vec<String>,
    /// How it is encrypted, where it is dm-crypt's alone.
    #[serde(flatten)]
    pub crypt: Option<Crypt>,
}

/// What dm-crypt does. Sizes and offsets are bytes.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Crypt {
    /// Cipher specification, as the table has it.
    pub cipher: String,
    /// Size of the key in bits.
    pub key_bits: u64,
    /// `keyring` or `table`.
    pub key_location: &'static str,
    /// The device that it lies on.
    pub device: String,
    /// The file that this is a loop device of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loop_file: Option<String>,
    /// Sector size.
    pub sector_size: u64,
    /// Where it starts in its device.
    pub offset: u64,
    /// How much is mapped.
    pub bytes: u64,
    /// The IV number of its first byte, in units of 512 bytes.
    pub skip_sectors: u64,
    /// IVs count encryption sectors.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub iv_large_sectors: bool,
    /// How it is treated, in the kernel's words.
    pub flags: Vec<String>,
}

/// Mappings: the one that was asked for, or all that are of encrypted volumes.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Statuses {
    /// In the order of their names.
    pub mappings: Vec<Status>,
}

/// The mapping of this name, or whose node has this path; whoever made it.
///
/// # Errors
///
/// [`MappingError::Inactive`], and that there is no device-mapper.
pub fn status(name: &OsStr) -> Result<Statuses, Error> {
    let name = name_of(name)?;
    let control = Control::open().map_err(MappingError::from)?;
    match look(&control, &name)? {
        Some(status) => Ok(Statuses {
            mappings: vec![status],
        }),
        None => Err(MappingError::Inactive { name: shown(&name) }.into()),
    }
}

/// Every mapping that cryptsetup, or whoever does as it does, has made.
///
/// # Errors
///
/// That there is no device-mapper.
pub fn all() -> Result<Statuses, Error> {
    let control = Control::open().map_err(MappingError::from)?;
    let mut names = control.names().map_err(MappingError::from)?;
    names.sort();
    let mut mappings = Vec::new();
    for name in names {
        // One may have gone meanwhile.
        let status = look(&control, &name)?;
        mappings.extend(status.filter(|status| status.dm_uuid.starts_with("CRYPT-")));
    }
    Ok(Statuses { mappings })
}

fn look(control: &Control, name: &Name) -> Result<Option<Status>, MappingError> {
    let told = control.table(name)?;
    Ok(told.map(|(state, targets)| of(&state, &targets)))
}

fn of(state: &State, targets: &[Target]) -> Status {
    let crypt = match targets {
        [target] if target.kind == "crypt" => {
            Line::parse(&target.text).map(|line| crypt(&line, target.length_sectors))
        }
        _ => None,
    };
    Status {
        name: shown(&state.name),
        path: text::path(&Nodes::default().path(&state.name)),
        kind: kind_name(&state.identifier),
        dm_uuid: text::escape(&state.identifier.to_string()),
        uuid: state.identifier.uuid(),
        open_count: state.open_count,
        state: match (state.has_table, state.is_suspended) {
            (false, _) => "no-table",
            (true, true) => "suspended",
            (true, false) => "active",
        },
        read_only: state.is_read_only,
        deferred: state.is_deferred,
        targets: targets
            .iter()
            .map(|target| text::escape(&target.kind))
            .collect(),
        crypt,
    }
}

fn crypt(line: &Line<'_>, length_sectors: u64) -> Crypt {
    let number = line.device_number();
    let bytes = |sectors: u64| sectors.saturating_mul(SECTOR_BYTES);
    let flags = line.flags.named().into_iter();
    let flags = flags.filter(|(_, is_set)| *is_set).map(|(word, _)| word);
    Crypt {
        cipher: text::escape(line.cipher),
        key_bits: (line.key.key_bytes() as u64).saturating_mul(8),
        key_location: match line.key {
            KeyText::Keyring { .. } => "keyring",
            _ => "table",
        },
        device: match number {
            Some(number) => text::path(&block::path_of(number)),
            None => text::escape(line.device),
        },
        loop_file: number
            .and_then(block::file_of_loop)
            .map(|file| text::path(&file)),
        sector_size: line.sector_size.bytes() as u64,
        offset: bytes(line.offset_sectors),
        bytes: bytes(length_sectors),
        skip_sectors: line.first_iv_sector,
        iv_large_sectors: line.iv_large_sectors,
        flags: flags
            .map(str::to_owned)
            .chain(line.others.iter().map(|other| text::escape(other)))
            .collect(),
    }
}
