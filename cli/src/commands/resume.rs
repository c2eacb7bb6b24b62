//! `resume IMG`: what was begun in place, done to the end.

use jobs::Place;
use jobs::change::ChangeOptions;
use jobs::in_place::resume::{ResumeOptions, resume_asking};
use jobs::inputs::Inputs;

use super::in_place::{print, zones};
use crate::args::ResumeArgs;
use crate::change::Asker;
use crate::error::Error;
use crate::inputs::InputsOf as _;
use crate::passphrase::KeyInput;
use crate::secrets::Keys;
use crate::unlock;
use crate::watch::Teller;

/// Resumes.
pub fn run(args: &ResumeArgs) -> Result<(), Error> {
    let inputs = Inputs::none().open_keys(&args.keys, &args.unlock)?;
    let options = ResumeOptions {
        change: ChangeOptions {
            policies: (&args.image.policy.policy[..]).into(),
            dry_run: args.dry.run,
            inputs,
            ..ChangeOptions::default()
        },
        unlock: unlock::how(&args.unlock)?,
        zones: zones(&args.zones, &args.work),
        recover_only: args.recover_only,
        unproven: args.force,
    };
    let keys = KeyInput::to_open(&args.keys, false)?;
    let secrets = Keys::to_unlock(&keys, &args.unlock);
    let teller = Teller::new("resume", &args.work, args.output);
    let header = args.image.header.header.clone().map(Place::Path);
    let report = resume_asking(
        &args.image.image,
        header.as_ref(),
        &options,
        &secrets,
        &Asker::new(args.output),
        &teller,
    )?;
    print("resume", &report, args.output)
}
