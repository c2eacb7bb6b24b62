//! What cryptsetup says where a job in place ends early.

use jobs::error::{Error, InPlaceError};
use luks::luks2::Metadata;
use luks::{InvalidOption, ReencryptionObstacle, Unfinished, reencryption};

use super::Face;
use super::NOT_INITIALIZED;
use crate::cryptsetup::failure::Failure;
use crate::exit::Exit;

/// Of an error of a job.
pub(in crate::cryptsetup) fn failed(face: &Face<'_>, error: Error) -> Failure {
    if let Some(failure) = face.take_failure() {
        return failure;
    }
    match error {
        Error::InPlace(error) => in_place(error),
        Error::Luks { name, error } => match *error {
            luks::Error::InvalidOption(InvalidOption::Reencryption(obstacle)) => {
                of_obstacle(&name, &obstacle)
            }
            luks::Error::Unfinished(Unfinished::NoDigest) => {
                Failure::wrong("Reencryption metadata is invalid.")
            }
            luks::Error::Unfinished(Unfinished::Digest) => {
                Failure::new(Exit::NoKeyFits, "Reencryption metadata is invalid.")
            }
            luks::Error::Unfinished(Unfinished::Unprotected { start, end }) => {
                Failure::wrong(format!(
                    "Device {name} was being written at bytes {start} to {end} without resilience: nothing tells what is there."
                ))
            }
            error => Failure::luks(&name, error),
        },
        error => error.into(),
    }
}

fn in_place(error: InPlaceError) -> Failure {
    match error {
        InPlaceError::Stopped { .. } => Failure::wrong("Reencryption interrupted."),
        InPlaceError::Nothing { .. } => {
            Failure::wrong("No data segment parameters changed. Reencryption aborted.")
        }
        InPlaceError::OtherKeyslot { .. } => Failure::silent(Exit::Wrong),
        InPlaceError::OneKey { .. } => one_key(),
        InPlaceError::CryptsetupHas { .. } => Failure::new(
            Exit::ExistsOrBusy,
            "Reencryption process is already running.",
        ),
        error => Error::from(error).into(),
    }
}

/// Several keyslots, and one key for them.
pub(super) fn one_key() -> Failure {
    Failure::wrong("Key file can be used only with --key-slot or with exactly one key slot active.")
}

fn of_obstacle(name: &str, obstacle: &ReencryptionObstacle) -> Failure {
    match obstacle {
        ReencryptionObstacle::NotInProgress => {
            Failure::wrong("Device reencryption not in progress.")
        }
        ReencryptionObstacle::NothingToChange => {
            Failure::wrong("No data segment parameters changed. Reencryption aborted.")
        }
        ReencryptionObstacle::HotzoneAlignment { alignment, .. } => Failure::wrong(format!(
            "Hotzone size must be multiple of calculated zone alignment ({alignment} bytes)."
        )),
        ReencryptionObstacle::DeviceSize {
            bytes,
            have,
            alignment,
        } => Failure::wrong(if bytes > have {
            "Reduced data size is larger than real device size.".to_owned()
        } else {
            format!(
                "Device size must be multiple of calculated zone alignment ({alignment} bytes)."
            )
        }),
        ReencryptionObstacle::ShiftBytes {
            bytes,
            have,
            alignment,
        } => {
            if bytes < have {
                Failure::wrong(format!(
                    "Data shift value is not aligned to encryption sector size ({alignment} bytes)."
                ))
                .and(NOT_INITIALIZED)
            } else {
                Failure::wrong("Failed to load LUKS2 reencryption context.")
            }
        }
        ReencryptionObstacle::PartialSector { sector_bytes, .. } => Failure::wrong(format!(
            "Data device is not aligned to encryption sector size ({sector_bytes} bytes)."
        )),
        other => Failure::wrong(format!("{name}: {other}.")).and(NOT_INITIALIZED),
    }
}

/// Where keys do not fit what is under way: cryptsetup tells a passphrase that opens neither key, and a key without
/// keyslots, by another code than one that does not open the only key, or one of two.
pub(in crate::cryptsetup) fn of_keys(metadata: &Metadata, error: &luks::Error) -> Option<Failure> {
    match error {
        luks::Error::NoKeyFits { tried } => Some(Failure::silent(
            if reencryption::has_two_keys(metadata) || tried.is_empty() {
                Exit::Wrong
            } else {
                Exit::NoKeyFits
            },
        )),
        luks::Error::Unfinished(Unfinished::Key { digest }) => {
            let mut digests = metadata.digests.iter();
            let has_keyslots = digests.any(|it| it.id == *digest && !it.keyslots.is_empty());
            Some(Failure::silent(if has_keyslots {
                Exit::NoKeyFits
            } else {
                Exit::Wrong
            }))
        }
        _ => None,
    }
}
