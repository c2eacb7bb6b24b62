//! `key export IMG --volume-key-file OUT`: the volume key itself.

use jobs::key::export::{ExportOptions, export};

use crate::args::KeyExportArgs;
use crate::change::{self, Asker};
use crate::error::Error;
use crate::passphrase::KeyInput;
use crate::secrets::Keys;
use crate::unlock;
use crate::watch::Warner;

/// Writes the key. The image is only read.
pub fn run(args: &KeyExportArgs) -> Result<(), Error> {
    let options = ExportOptions {
        policies: (&args.image.policy.policy[..]).into(),
        unlock: unlock::how_for(args.key_slot, &args.limits)?,
        allow_in_use: args.busy.read_in_use,
        dry_run: args.dry.run,
    };
    let keys = KeyInput::new(&args.keys, false)?;
    let secrets = Keys::opening(&keys, None, args.limits.tries);
    let (place, asker) = (args.image.header(), Asker::new(args.output));
    let path = &args.volume_key_file;
    let exported = export(&place, path, &options, &secrets, &asker, &Warner)?;
    let what = format!(
        "the volume key of {}, {} bits",
        exported.image, exported.bits
    );
    let (file, dry_run) = (&exported.volume_key_file, exported.dry_run);
    change::wrote("key export", args.output, &exported, file, dry_run, &what)
}
