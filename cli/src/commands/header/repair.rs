//! `header repair IMG`.

use luks::luks2::Which;
use luks::repair::{Repair, RepairOptions, repair};
use luks::{Luks, OsRandom};
use serde_json::json;

use crate::args::HeaderRepairArgs;
use crate::change::{Target, back_up};
use crate::error::Error;
use crate::output;

/// Mends what is damaged, and says what.
pub fn run(args: &HeaderRepairArgs) -> Result<(), Error> {
    let target = Target::open(&args.image)?;
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
