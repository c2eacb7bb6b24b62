//! `header repair IMG`.

use std::sync::Arc;

use luks::repair::{Repair, RepairOptions, repair};
use luks::{Luks, OsRandom};
use serde_json::json;
use volume::RehearsedStorage;

use crate::args::HeaderRepairArgs;
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

/// Mends what is damaged, and says what.
pub fn run(args: &HeaderRepairArgs) -> Result<(), Error> {
    let inputs = Inputs::none().policies(&args.image.policy);
    let target = Target::open(&args.image.header(), args.dry.run, Claim::Header, &inputs)?;
    check_policy(&target, args)?;
    if let Some(path) = &args.header_backup_file {
        let luks = Luks::open(target.storage.clone()).map_err(target.failed())?;
        target.back_up(&luks, Some(path), &Warner)?;
    }
    let options = RepairOptions {
        overwrite_foreign: args.force,
    };
    let mended = repair(&*target.storage, options, &mut OsRandom).map_err(target.failed())?;
    let damages: Vec<String> = match mended {
        Repair::Nothing => Vec::new(),
        Repair::Luks1(damages) => damages.iter().map(ToString::to_string).collect(),
        other => vec![other.to_string()],
    };
    let repaired = !args.dry.run && !damages.is_empty();
    let members = json!({"image": target.name, "damages": damages, "repaired": repaired});
    let mut lines: Vec<_> = damages
        .iter()
        .map(|damage| output::escape(damage))
        .collect();
    lines.push(match damages.len() {
        0 => format!("nothing is wrong with the header of {}", target.name),
        _ => format!("the header of {} is repaired", target.name),
    });
    let text = format!("{}\n", lines.join("\n"));
    target.done("header repair", args.output, members, &text)
}

/// What the header becomes must keep the policy.
fn check_policy(target: &Target, args: &HeaderRepairArgs) -> Result<(), Error> {
    if args.image.policy.policy.is_empty() {
        return Ok(());
    }
    let rehearsed = RehearsedStorage::new(target.storage.clone());
    let rehearsed = Arc::new(rehearsed.map_err(|source| ChangeError::Read {
        name: target.name.clone(),
        source,
    })?);
    let options = RepairOptions {
        overwrite_foreign: args.force,
    };
    repair(&*rehearsed, options, &mut OsRandom).map_err(target.failed())?;
    let luks = Luks::open(rehearsed).map_err(target.failed())?;
    let policies = policy::read(&args.image.policy.policy)?;
    Ok(policy::check(&policies, &luks, &target.name)?)
}
