//! `header repair IMG`.

use std::sync::Arc;

use luks::luks2::Which;
use luks::repair::{Repair, RepairOptions, repair};
use luks::{Luks, OsRandom};
use serde_json::json;
use volume::{MemoryStorage, Storage};

use crate::args::HeaderRepairArgs;
use crate::change::{ChangeError, Target, back_up};
use crate::error::Error;
use crate::output;
use crate::policy;

/// Mends what is damaged, and says what.
pub fn run(args: &HeaderRepairArgs) -> Result<(), Error> {
    let target = Target::open(&args.image)?;
    check_policy(&target, args)?;
    if let Some(path) = &args.header_backup_file {
        let luks = Luks::open(target.storage.clone()).map_err(target.failed())?;
        back_up(&target.name, &luks, path)?;
    }
    let options = RepairOptions {
        overwrite_foreign: args.force,
        dry_run: args.dry_run,
    };
    let mended = repair(&*target.storage, options, &mut OsRandom).map_err(target.failed())?;
    let damages: Vec<String> = match mended {
        Repair::Nothing => Vec::new(),
        Repair::Copy { which, fault } => {
            let which = match which {
                Which::Primary => "primary",
                Which::Secondary => "secondary",
            };
            vec![format!("the {which} header: {fault}")]
        }
        Repair::Luks1(damages) => damages.iter().map(ToString::to_string).collect(),
    };
    if args.json {
        let repaired = !args.dry_run && !damages.is_empty();
        let members = json!({"image": target.name, "damages": damages, "repaired": repaired});
        return Ok(output::json("header repair", members)?);
    }
    let done = if args.dry_run {
        "can be repaired"
    } else {
        "is repaired"
    };
    let mut lines: Vec<_> = damages
        .iter()
        .map(|damage| output::escape(damage))
        .collect();
    lines.push(match damages.len() {
        0 => format!("nothing is wrong with the header of {}", target.name),
        _ => format!("the header of {} {done}", target.name),
    });
    Ok(output::text(&format!("{}\n", lines.join("\n")))?)
}

/// What the header becomes must keep the policy: it is mended in memory first.
fn check_policy(target: &Target, args: &HeaderRepairArgs) -> Result<(), Error> {
    if args.policy.policy.is_none() {
        return Ok(());
    }
    let read = || {
        let len = usize::try_from(target.storage.len()?).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len.min(MAX_HEADER_BYTES)];
        target.storage.read_at(0, &mut bytes).map(|()| bytes)
    };
    let bytes = read().map_err(|source| ChangeError::Read {
        name: target.name.clone(),
        source,
    })?;
    let memory = Arc::new(MemoryStorage::from_vec(bytes));
    let options = RepairOptions {
        overwrite_foreign: args.force,
        dry_run: false,
    };
    repair(&*memory, options, &mut OsRandom).map_err(target.failed())?;
    let luks = Luks::open(memory).map_err(target.failed())?;
    policy::check(&args.policy, &luks, &target.name)
}

/// Both copies of the largest header.
const MAX_HEADER_BYTES: usize = 8 << 20;
