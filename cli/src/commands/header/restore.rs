//! `header restore IMG`.

use std::io;
use std::path::Path;
use std::sync::Arc;

use luks::backup::{Comparison, restore};
use luks::repair::{RepairOptions, repair};
use luks::{Backup, Header, Luks, OsRandom, Refused};
use recognise::Class;
use serde_json::json;
use volume::{Access, FileStorage, MemoryStorage, Storage};

use crate::args::HeaderRestoreArgs;
use crate::change::Told as _;
use crate::error::Error;
use crate::inputs::InputsOf as _;
use crate::output;
use crate::watch::Warner;
use jobs::block::Claim;
use jobs::change::Target;
use jobs::error::ChangeError;
use jobs::inputs::Inputs;
use jobs::policy;

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
        Err(error @ luks::Error::Io { .. }) => return Err(target.failed()(error).into()),
        Err(error) => {
            output::warn(format_args!("{}: {error}", target.name));
            (None, Comparison::default())
        }
    };
    if let Err(refused) = backup.check_settled() {
        if !args.force {
            return Err(target.failed()(refused.into()).into());
        }
        output::warn(format_args!("{}: {refused}", target.name));
    }
    if !args.force {
        check_place(&target, luks.as_ref(), &backup)?;
    }
    if !comparison.mismatches.is_empty() {
        let refused = Refused::BackupDiffers(comparison.mismatches.clone());
        if !args.force {
            return Err(target.failed()(refused.into()).into());
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
    target.warn_of_mapping(&Warner)?;
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
    let bytes = jobs::change::read_backup(path)?;
    let backup = match Backup::parse_short(bytes) {
        Err(error @ luks::Error::NotLuks) => {
            let storage = FileStorage::open(path, Access::Read);
            return Err(match storage {
                Ok(storage) => jobs::Error::of_image(&name, error, &storage).into(),
                Err(_) => failed(error),
            });
        }
        parsed => parsed.map_err(failed)?,
    };
    if let Err(refused) = backup.check_long() {
        if !force {
            return Err(failed(refused.into()));
        }
        output::warn(format_args!("{name}: {refused}"));
    }
    match backup.check_sound() {
        Ok(()) => Ok(backup),
        Err(refused) if force => {
            output::warn(format_args!("{name}: {refused}"));
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

/// What is restored must keep the policy; what it replaces need not.
fn check_policy(args: &HeaderRestoreArgs, backup: &Backup) -> Result<(), Error> {
    let name = format!("backup {}", output::path(&args.header_backup_file));
    let storage = Arc::new(MemoryStorage::from_vec(backup.bytes().to_vec()));
    let luks = Luks::open(storage).map_err(|error| Error::luks(&name, error))?;
    let policies = policy::read(&args.image.policy.policy)?;
    Ok(policy::check(&policies, &luks, &name)?)
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
