//! `key export IMG --volume-key-file OUT`: the volume key itself.

use jobs::key::export::{ExportOptions, export};

use crate::args::KeyExportArgs;
use crate::change::{self, Asker};
use crate::error::Error;
use crate::options;
use crate::passphrase::KeyInput;
use crate::secrets::Keys;
use crate::unlock;
use crate::watch::Warner;

/// Writes the key. The image is only read.
pub fn run(args: &KeyExportArgs) -> Result<(), Error> {
    options::at_most_two("--volume-key-file", args.volume_key_file.len())?;
    let options = ExportOptions {
        policies: (&args.image.policy.policy[..]).into(),
        unlock: unlock::how_for(args.key_slot, &args.limits)?,
        allow_in_use: args.busy.read_in_use,
        after: args.volume_key_file.get(1).cloned(),
        dry_run: args.dry.run,
    };
    let keys = KeyInput::to_open(&args.keys, false)?;
    let secrets = Keys::opening(&keys, None, args.limits.tries);
    let (place, asker) = (args.image.header(), Asker::new(args.output));
    let path = args.volume_key_file.first().expect("it is required");
    let exported = export(&place, path, &options, &secrets, &asker, &Warner)?;
    let (image, bits) = (&exported.image, exported.bits);
    let what = match &exported.after_file {
        None => format!("the volume key of {image}, {bits} bits"),
        Some(after) => {
            format!("the volume key of {image} before its reencryption\n{after}: the one after it")
        }
    };
    let (file, dry_run) = (&exported.volume_key_file, exported.dry_run);
    change::wrote("key export", args.output, &exported, file, dry_run, &what)
}
