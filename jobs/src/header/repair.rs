//! A damaged header is mended.

use luks::repair::{Repair, repair as mend};
use luks::{Luks, OsRandom};
use serde::Serialize;

use crate::block::Claim;
use crate::change::{ChangeOptions, Rehearsed, Target};
use crate::error::Error;
use crate::inspect::halfway::Halfway;
use crate::inspect::left;
use crate::open;
use crate::place::Place;
use crate::policy;
use crate::watch::Watch;

/// How a header is mended.
#[derive(Clone, Debug, Default)]
pub struct RepairOptions {
    /// The policies hold for what the header becomes. The backup is one of the header as it is; there is none of a LUKS1
    /// header that is damaged.
    pub change: ChangeOptions,
    /// Write over what something else has left in a header copy.
    pub overwrite_foreign: bool,
}

/// What was mended.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Repaired {
    /// How messages name the container.
    pub image: String,
    /// What was wrong. Texts of the header may be in it.
    pub damages: Vec<String>,
    /// Something was written.
    pub repaired: bool,
    /// What a dry run would have written.
    #[serde(flatten)]
    pub rehearsed: Option<Rehearsed>,
}

/// Mends what is damaged.
///
/// # Errors
///
/// What is wrong with the place or the options; a header that cannot be mended.
pub fn repair(
    place: &Place,
    options: &RepairOptions,
    watch: &dyn Watch,
) -> Result<Repaired, Error> {
    let change = &options.change;
    let target = open::changed_by(place, change, Claim::Header)?;
    check_policies(&target, options)?;
    if let Some(path) = &change.backup {
        let luks = Luks::open(target.storage.clone()).map_err(target.failed())?;
        target.back_up(&luks, Some(path), watch)?;
    }
    let mended =
        mend(&*target.storage, options.of_luks(), &mut OsRandom).map_err(target.failed())?;
    let damages = damages(&mended);
    // A repair of the header ends no job.
    if let Ok(luks) = Luks::open(target.storage.clone()) {
        let halfway = Halfway::of(&luks, &target.name, None, None);
        let name = &target.name;
        if let Some(command) = halfway.and_then(|halfway| halfway.finished_by) {
            watch.warn(&format_args!(
                "{name}: a reencryption is in progress; {command} finishes it"
            ));
        }
        for note in left::notes(&luks, name, None) {
            watch.warn(&format_args!("{name}: {note}"));
        }
    }
    Ok(Repaired {
        repaired: !change.dry_run && !damages.is_empty(),
        damages,
        rehearsed: target.finish()?,
        image: target.name,
    })
}

impl RepairOptions {
    fn of_luks(&self) -> luks::repair::RepairOptions {
        luks::repair::RepairOptions {
            overwrite_foreign: self.overwrite_foreign,
        }
    }
}

/// What the header becomes must keep the policies.
fn check_policies(target: &Target, options: &RepairOptions) -> Result<(), Error> {
    let policies = options.change.policies.read()?;
    if policies.is_empty() {
        return Ok(());
    }
    let rehearsed = target.rehearsal()?;
    mend(&*rehearsed, options.of_luks(), &mut OsRandom).map_err(target.failed())?;
    let luks = Luks::open(rehearsed).map_err(target.failed())?;
    policy::check(&policies, &luks, &target.name)
}

fn damages(mended: &Repair) -> Vec<String> {
    match mended {
        Repair::Nothing => Vec::new(),
        Repair::Luks1(damages) => damages.iter().map(ToString::to_string).collect(),
        other => vec![other.to_string()],
    }
}
