//! Header and keyslots, brought back from a backup.

use std::io;
use std::path::Path;
use std::sync::Arc;

use luks::backup::{Comparison, restore as write};
use luks::repair::{RepairOptions, repair};
use luks::{Backup, Header, Luks, OsRandom, Policy, Refused, Version};
use recognise::Class;
use serde::Serialize;
use volume::{Access, FileStorage, MemoryStorage, Storage};

use crate::block::Claim;
use crate::change::{ChangeOptions, Rehearsed, Target, read_backup};
use crate::confirm::{Confirm, Loss};
use crate::error::{ChangeError, Error};
use crate::inputs::Inputs;
use crate::open;
use crate::place::Place;
use crate::policy::{self, Policies};
use crate::text;
use crate::watch::Watch;

/// How a header is brought back.
#[derive(Clone, Debug, Default)]
pub struct RestoreOptions {
    /// What the header of the backup must look like.
    pub policies: Policies,
    /// Nothing is written.
    pub dry_run: bool,
    /// Also a backup that does not fit, is cut off, or has one sound header copy only; also over anything that is neither
    /// a container nor blank.
    pub force: bool,
}

/// What was brought back.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Restored {
    /// How messages name the container.
    pub image: String,
    /// Keyslots whose passphrases, removed or changed since, open it again.
    pub revived: Vec<u32>,
    /// Keyslots whose passphrases open it no longer.
    pub lost: Vec<u32>,
    /// It was written.
    pub restored: bool,
    /// What a dry run would have written.
    #[serde(flatten)]
    pub rehearsed: Option<Rehearsed>,
    /// What the header is now.
    #[serde(skip)]
    pub version: Version,
}

/// Restores, after it has told which passphrases come back and which are lost.
///
/// # Errors
///
/// What is wrong with the place, the options or the backup; something that would be lost and is not allowed to; a no.
pub fn restore(
    place: &Place,
    path: &Path,
    options: &RestoreOptions,
    confirm: &dyn Confirm,
    watch: &dyn Watch,
) -> Result<Restored, Error> {
    let target = open::changed_by(
        place,
        &ChangeOptions {
            policies: options.policies.clone(),
            dry_run: options.dry_run,
            inputs: Inputs::none().path("the backup", Some(path)),
            ..ChangeOptions::default()
        },
        Claim::Header,
    )?;
    let backup = read(path, options.force, watch)?;
    check_policies(&options.policies.read()?, path, &backup)?;
    let (luks, comparison) = present(&target, &backup, watch)?;
    // What is refused is only told of where everything is allowed.
    let refuse = |refused: Refused| {
        if options.force {
            watch.warn(&format_args!("{}: {refused}", target.name));
            Ok(())
        } else {
            Err(target.failed()(refused.into()))
        }
    };
    backup.check_settled().or_else(refuse)?;
    if !options.force {
        check_place(&target, luks.as_ref(), &backup)?;
    }
    if !comparison.mismatches.is_empty() {
        refuse(Refused::BackupDiffers(comparison.mismatches.clone()))?;
    }
    tell(&target.name, &comparison, watch);
    target.warn_of_mapping(watch)?;
    target.confirm(confirm, Loss::Header)?;
    write(&*target.storage, luks.as_ref(), &backup).map_err(target.failed())?;
    Ok(Restored {
        revived: comparison.revived,
        lost: comparison.lost,
        restored: !options.dry_run,
        rehearsed: target.finish()?,
        version: match backup.header() {
            Header::Luks1(_) => Version::Luks1,
            Header::Luks2(_) => Version::Luks2,
        },
        image: target.name,
    })
}

/// Reads and checks the backup. With `force` one sound header copy is enough, and the other is made from it.
fn read(path: &Path, force: bool, watch: &dyn Watch) -> Result<Backup, Error> {
    let name = text::path(path);
    let failed = |error: luks::Error| Error::luks(&format!("backup {name}"), error);
    let bytes = read_backup(path)?;
    let backup = match Backup::parse_short(bytes) {
        Err(error @ luks::Error::NotLuks) => {
            let storage = FileStorage::open(path, Access::Read);
            return Err(match storage {
                Ok(storage) => Error::of_image(&name, error, &storage),
                Err(_) => failed(error),
            });
        }
        parsed => parsed.map_err(failed)?,
    };
    if let Err(refused) = backup.check_long() {
        if !force {
            return Err(failed(refused.into()));
        }
        watch.warn(&format_args!("{name}: {refused}"));
    }
    match backup.check_sound() {
        Ok(()) => Ok(backup),
        Err(refused) if force => {
            watch.warn(&format_args!("{name}: {refused}"));
            let storage = MemoryStorage::from_vec(backup.bytes().to_vec());
            let options = RepairOptions {
                overwrite_foreign: true,
            };
            repair(&storage, options, &mut OsRandom).map_err(failed)?;
            Backup::parse_short(storage.snapshot()).map_err(failed)
        }
        Err(refused) => Err(failed(refused.into())),
    }
}

/// What is restored must keep the policies; what it replaces need not.
fn check_policies(policies: &[Policy], path: &Path, backup: &Backup) -> Result<(), Error> {
    let name = format!("backup {}", text::path(path));
    let storage = Arc::new(MemoryStorage::from_vec(backup.bytes().to_vec()));
    let luks = Luks::open(storage).map_err(|error| Error::luks(&name, error))?;
    policy::check(policies, &luks, &name)
}

/// The header that is there, if any, and what the backup would change.
fn present(
    target: &Target,
    backup: &Backup,
    watch: &dyn Watch,
) -> Result<(Option<Luks>, Comparison), Error> {
    match Luks::open(target.storage.clone()) {
        Ok(luks) => {
            if let Header::Luks2(header) = luks.header() {
                let settled = header.metadata.config.refuse_reencryption();
                settled.map_err(target.failed())?;
            }
            let comparison = backup.compare(luks.header());
            Ok((Some(luks), comparison))
        }
        Err(error @ luks::Error::Io { .. }) => Err(target.failed()(error)),
        Err(error) => {
            watch.warn(&format_args!("{}: {error}", target.name));
            Ok((None, Comparison::default()))
        }
    }
}

/// Which passphrases come back, and which are lost.
fn tell(name: &str, comparison: &Comparison, watch: &dyn Watch) {
    if !comparison.revived.is_empty() {
        watch.warn(&format_args!(
            "keyslots {} of the backup are none of {name} now: their passphrases, removed or changed since, open it again",
            list(&comparison.revived)
        ));
    }
    if !comparison.lost.is_empty() {
        watch.warn(&format_args!(
            "keyslots {} of {name} are none of the backup: their passphrases open it no longer",
            list(&comparison.lost)
        ));
    }
}

/// What the backup would be written over must be a container's or blank: of anything else nobody can say that it is not
/// needed, recognised or not.
fn check_place(target: &Target, luks: Option<&Luks>, backup: &Backup) -> Result<(), Error> {
    let name = || target.name.clone();
    let unreadable = |source| ChangeError::Read {
        name: name(),
        source,
    };
    let length = backup.bytes().len() as u64;
    // Where no container is, a mark behind what is written, as at the end of an array's member, tells whose all of it is.
    let marks = match luks {
        Some(_) => recognise::within(&*target.storage, 0..length),
        None => recognise::look(&*target.storage),
    };
    let marks = marks.map_err(unreadable)?;
    // A sector with partitions may have been written over a header that is good all the same.
    let is_foreign =
        |class: Class| class != Class::Luks && (luks.is_none() || class != Class::PartitionTable);
    if let Some(found) = marks.iter().find(|found| is_foreign(found.content.class())) {
        let content = found.content.name();
        return Err(ChangeError::HoldsSomethingElse {
            name: name(),
            content,
        }
        .into());
    }
    if luks.is_some() || !marks.is_empty() {
        return Ok(());
    }
    match first_data(&*target.storage, length).map_err(unreadable)? {
        Some(offset) => Err(ChangeError::HoldsData {
            name: name(),
            offset,
        }
        .into()),
        None => Ok(()),
    }
}

/// The offset of the first byte below `length` that is not zero.
fn first_data(storage: &dyn Storage, length: u64) -> io::Result<Option<u64>> {
    let end = storage.len()?.min(length);
    let mut piece = vec![0; PIECE_BYTES];
    let mut position = 0;
    while position < end {
        let count =
            usize::try_from(end - position).map_or(PIECE_BYTES, |rest| rest.min(PIECE_BYTES));
        storage.read_at(position, &mut piece[..count])?;
        if let Some(index) = piece[..count].iter().position(|byte| *byte != 0) {
            return Ok(Some(position + index as u64));
        }
        position += count as u64;
    }
    Ok(None)
}

const PIECE_BYTES: usize = 1 << 20;

fn list(ids: &[u32]) -> String {
    let ids: Vec<_> = ids.iter().map(u32::to_string).collect();
    ids.join(", ")
}
