//! `header restore IMG`.

use std::path::Path;
use std::sync::Arc;

use luks::backup::{Comparison, restore};
use luks::repair::{RepairOptions, repair};
use luks::{Backup, Header, Luks, OsRandom, Refused};
use recognise::{Class, recognise};
use serde_json::json;
use volume::MemoryStorage;

use crate::args::HeaderRestoreArgs;
use crate::block::Claim;
use crate::change::{self, ChangeError, Target};
use crate::error::Error;
use crate::inputs::Inputs;
use crate::output;
use crate::policy;

/// Restores, after it has said which passphrases come back and which are lost.
pub fn run(args: &HeaderRestoreArgs) -> Result<(), Error> {
    let inputs = Inputs::none()
        .policies(&args.image.policy)
        .path("the backup", Some(&args.header_backup_file));
    let target = Target::open(&args.image.header(), args.dry.run, Claim::Header, &inputs)?;
    let backup = read(&args.header_backup_file, args.force)?;
    check_policy(args, &backup)?;
    let (luks, comparison) = match Luks::open(target.storage.clone()) {
        Ok(luks) => {
            if let Header::Luks2(header) = luks.header() {
                let settled = header.metadata.config.refuse_reencryption();
                settled.map_err(target.failed())?;
            }
            let comparison = backup.compare(luks.header());
            (Some(luks), comparison)
        }
        Err(error @ luks::Error::Io { .. }) => return Err(target.failed()(error)),
        Err(error) => {
            check_content(&target, args.force)?;
            output::warn(format_args!("{}: {error}", target.name));
            (None, Comparison::default())
        }
    };
    if let Err(refused) = backup.check_settled() {
        if !args.force {
            return Err(target.failed()(refused.into()));
        }
        output::warn(format_args!("{}: {refused}", target.name));
    }
    if !comparison.mismatches.is_empty() {
        let refused = Refused::BackupDiffers(comparison.mismatches.clone());
        if !args.force {
            return Err(target.failed()(refused.into()));
        }
        output::warn(format_args!("{}: {refused}", target.name));
    }
    if !comparison.revived.is_empty() {
        output::warn(format_args!(
            "keyslots {} of the backup are none of {} now: their passphrases, removed or changed since, open it again",
            list(&comparison.revived),
            target.name
        ));
    }
    if !comparison.lost.is_empty() {
        output::warn(format_args!(
            "keyslots {} of {} are none of the backup: their passphrases open it no longer",
            list(&comparison.lost),
            target.name
        ));
    }
    target.warn_of_mapping()?;
    let question = format!("Header and keyslots of {} will be replaced.", target.name);
    target.confirm(&question, args.output.batch_mode)?;
    restore(&*target.storage, luks.as_ref(), &backup).map_err(target.failed())?;
    let members = json!({
        "image": target.name,
        "revived": comparison.revived,
        "lost": comparison.lost,
        "restored": !args.dry.run,
    });
    let kind = match backup.header() {
        Header::Luks1(_) => "LUKS1",
        Header::Luks2(_) => "LUKS2",
    };
    let text = format!("the {kind} header of {} is restored\n", target.name);
    target.done("header restore", args.output, members, &text)
}

/// Reads and checks the backup. With `force` one sound header copy is enough, and the other is made from it.
fn read(path: &Path, force: bool) -> Result<Backup, Error> {
    let name = output::path(path);
    let failed = |error: luks::Error| Error::luks(&format!("backup {name}"), error);
    let bytes = change::read_backup(path)?;
    let backup = Backup::parse(bytes).map_err(failed)?;
    match backup.check_sound() {
        Ok(()) => Ok(backup),
        Err(refused) if force => {
            output::warn(format_args!("{name}: {refused}"));
            let storage = MemoryStorage::from_vec(backup.bytes().to_vec());
            let options = RepairOptions {
                overwrite_foreign: true,
            };
            repair(&storage, options, &mut OsRandom).map_err(failed)?;
            Backup::parse(storage.snapshot()).map_err(failed)
        }
        Err(refused) => Err(failed(refused.into())),
    }
}

/// What is restored must keep the policy; what it replaces need not.
fn check_policy(args: &HeaderRestoreArgs, backup: &Backup) -> Result<(), Error> {
    let name = format!("backup {}", output::path(&args.header_backup_file));
    let storage = Arc::new(MemoryStorage::from_vec(backup.bytes().to_vec()));
    let luks = Luks::open(storage).map_err(|error| Error::luks(&name, error))?;
    policy::check(&policy::read(&args.image.policy)?, &luks, &name)
}

/// What is no LUKS container may be something that somebody needs.
fn check_content(target: &Target, force: bool) -> Result<(), Error> {
    let found = recognise(&*target.storage).map_err(|source| ChangeError::Read {
        name: target.name.clone(),
        source,
    })?;
    match found {
        Some(found) if found.content.class() != Class::Luks && !force => {
            let name = target.name.clone();
            let content = found.content.name();
            Err(ChangeError::HoldsSomethingElse { name, content }.into())
        }
        _ => Ok(()),
    }
}

fn list(ids: &[u32]) -> String {
    let ids: Vec<_> = ids.iter().map(u32::to_string).collect();
    ids.join(", ")
}
