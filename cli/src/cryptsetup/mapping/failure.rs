//! What cryptsetup says where the kernel has no mapping, or still has one.

use std::path::Path;

use devmapper::{Name, NameProblem};
use jobs::block::InUse;
use jobs::error::{Error, MappingError, SourceError};
use luks::InvalidOption;

use crate::cryptsetup::action::Action;
use crate::cryptsetup::failure::Failure;
use crate::cryptsetup::open::instead_of_mapping;
use crate::cryptsetup::session::Session;
use crate::exit::Exit;
use crate::output;

/// Of an error of a job on a mapping.
pub(super) fn of(action: Action, session: &Session, error: Error) -> Failure {
    match error {
        Error::Mapping(error) => of_mapping(action, session, error),
        Error::Source(SourceError::Open { name, .. } | SourceError::Read { name, .. }) => {
            Failure::missing(&name)
        }
        Error::Source(SourceError::Busy { name }) => in_use(&name, None),
        // A keyslot that was named and has no key, or none of the data.
        Error::Luks { error, .. }
            if matches!(
                *error,
                luks::Error::Unsupported(luks::Unsupported::Unbound { .. })
                    | luks::Error::InvalidOption(
                        InvalidOption::KeyslotInactive { .. } | InvalidOption::KeyslotNumber { .. }
                    )
            ) =>
        {
            Failure::no_keyslot()
        }
        error => error.into(),
    }
}

/// A device without a table.
pub(super) fn no_table(exit: Exit, name: &str) -> Failure {
    Failure::new(
        exit,
        format!(
            "Device {name} has no table: a program that was killed has left it. Action close removes it."
        ),
    )
}

/// A header with nothing behind it.
pub(super) fn no_data(device: &str) -> Failure {
    Failure::wrong(format!(
        "LUKS file container {device} is too small for activation, there is no remaining space for data."
    ))
}

fn in_use(device: &str, by: Option<&InUse>) -> Failure {
    let failure = Failure::new(
        Exit::ExistsOrBusy,
        format!("Cannot use device {device} which is in use (already mapped or mounted)."),
    );
    match by {
        Some(by) => failure.and_by(by),
        None => failure,
    }
}

fn of_mapping(action: Action, session: &Session, error: MappingError) -> Failure {
    // As it was typed.
    let typed = match action {
        Action::Open => session.operands.last(),
        _ => session.operands.first(),
    };
    let name = typed
        .map(|name| output::path(name.as_ref()))
        .unwrap_or_default();
    match error {
        MappingError::NoDeviceMapper { .. } => {
            Failure::wrong("Cannot initialize device-mapper. Is dm_mod kernel module loaded?")
                .and(instead_of_mapping(action))
        }
        MappingError::NotPermitted { .. } => Failure::new(
            if action == Action::Close {
                Exit::BadImage
            } else {
                Exit::Wrong
            },
            "Cannot initialize device-mapper, running as non-root user.",
        )
        .and(instead_of_mapping(action)),
        MappingError::NoDmCrypt => {
            Failure::wrong("This kernel has no dm-crypt.").and(instead_of_mapping(action))
        }
        MappingError::Name { problem, .. } => of_name(&name, problem),
        MappingError::Active { .. } => {
            Failure::new(Exit::ExistsOrBusy, format!("Device {name} already exists."))
        }
        MappingError::Occupied { path } => {
            Failure::new(Exit::ExistsOrBusy, format!("Device {name} already exists."))
                .and(format!("{path} is there, and luksmith has not made it."))
        }
        MappingError::NoTable { .. } => match action {
            Action::Open => {
                let exists = format!("Device {name} already exists.");
                let Failure { lines, .. } = no_table(Exit::ExistsOrBusy, &name);
                lines
                    .into_iter()
                    .fold(Failure::new(Exit::ExistsOrBusy, exists), Failure::and)
            }
            _ => no_table(Exit::BadImage, &name),
        },
        MappingError::Inactive { .. } => Failure::new(
            if action == Action::Open {
                Exit::Wrong
            } else {
                Exit::BadImage
            },
            format!("Device {name} is not active."),
        ),
        MappingError::InUse { name, by } => in_use(&name, Some(&by)),
        MappingError::Held { by, .. } => Failure::new(
            Exit::ExistsOrBusy,
            format!("Device {name} is still in use."),
        )
        .and_by(&by),
        MappingError::NoData { name } => no_data(&name),
        MappingError::Keyring { source } => Failure::wrong("Failed to load key in kernel keyring.")
            .and(format!(
                "The kernel says: {source}. Option --disable-keyring gives it the key in the table."
            )),
        MappingError::NotSuspended { .. } => {
            Failure::wrong(format!("Volume {name} is not suspended."))
        }
        MappingError::Suspended { .. } => Failure::wrong(match action {
            Action::Suspend => format!("Volume {name} is already suspended."),
            _ => format!("Device {name} is not active."),
        }),
        MappingError::Foreign { .. } => match action {
            Action::Suspend => Failure::new(
                Exit::BadImage,
                "This operation is supported only for LUKS device.",
            ),
            Action::Resume => Failure::wrong(format!(
                "{name} is not active LUKS device name or header is missing."
            )),
            _ => Failure::wrong(format!("{name} is not cryptsetup managed device.")),
        },
        MappingError::OtherHeader { difference, .. } if action == Action::Open => {
            Failure::wrong(format!("{name} is not cryptsetup managed device."))
                .and(format!("Its header is another one's: {difference}."))
        }
        MappingError::NotLuks { .. } => Failure::wrong(match action {
            Action::Suspend => "This operation is supported only for LUKS device.".to_owned(),
            Action::Resume => {
                format!("{name} is not active LUKS device name or header is missing.")
            }
            _ => format!("Mismatching parameters on device {name}."),
        }),
        error => {
            let error = Error::from(error);
            let exit = crate::error::Error::Job(error);
            Failure::new(exit.exit(), format!("{exit}."))
        }
    }
}

/// Of what is too long to be the name of a mapping.
pub(super) fn of_long_name(exit: Exit, typed: &Path) -> Option<Failure> {
    let name = typed.strip_prefix("/dev/mapper").unwrap_or(typed);
    let shown = output::path(typed);
    match Name::new(name.as_os_str().as_encoded_bytes()) {
        Err(NameProblem::Long { .. }) => {
            Some(Failure::new(exit, format!("Name \"{shown}\" too long.")))
        }
        _ => None,
    }
}

fn of_name(name: &str, problem: NameProblem) -> Failure {
    match problem {
        NameProblem::Slash => {
            Failure::wrong(format!("Name \"{name}\" invalid. It contains \"/\"."))
        }
        NameProblem::Long { .. } => Failure::wrong(format!("Name \"{name}\" too long.")).and(
            format!("Cannot use device {name}, name is invalid or still in use."),
        ),
        problem => Failure::new(
            Exit::BadImage,
            format!("Cannot use {name} as a name: {problem}."),
        ),
    }
}
