//! `header seal IMG` and `header unseal IMG`.

use jobs::change::ChangeOptions;
use jobs::header::seal::{SealOptions, seal as seal_header, unseal as unseal_header};
use jobs::inputs::Inputs;

use crate::args::{HeaderSealArgs, HeaderUnsealArgs, LimitArgs, SealArgs};
use crate::change;
use crate::error::Error;
use crate::inputs::InputsOf as _;
use crate::passphrase::KeyInput;
use crate::secrets::Keys;
use crate::unlock;
use crate::watch::Warner;

/// Seals the header.
pub fn seal(args: &HeaderSealArgs) -> Result<(), Error> {
    let limits = &args.unlock.limits;
    // What is written is not what must be right already.
    let limits = LimitArgs {
        seal: SealArgs {
            seal: None,
            ..limits.seal.clone()
        },
        ..limits.clone()
    };
    let options = SealOptions {
        change: ChangeOptions {
            policies: (&args.image.policy.policy[..]).into(),
            backup: args.header_backup_file.clone(),
            dry_run: args.dry.run,
            inputs: Inputs::none().open_keys(&args.keys, &args.unlock)?,
            ..ChangeOptions::default()
        },
        unlock: unlock::how_for(args.unlock.key_slot, &limits)?,
        file: args.unlock.limits.seal.seal.clone(),
    };
    let keys = KeyInput::to_open(&args.keys, false)?;
    let secrets = Keys::to_unlock(&keys, &args.unlock);
    let sealed = seal_header(&args.image.header(), &options, &secrets, &Warner)?;
    let image = &sealed.image;
    let text = match (&sealed.file, sealed.sealed_bytes, sealed.token) {
        (Some(file), Some(bytes), _) => {
            format!("the first {bytes} bytes of {image} are sealed in {file}\n")
        }
        (.., token) => format!(
            "the header of {image} is sealed in token {}\n",
            token.unwrap_or_default()
        ),
    };
    let rehearsed = sealed.rehearsed.as_ref();
    change::done("header seal", args.output, &sealed, image, rehearsed, &text)
}

/// Takes the seal out of the header.
pub fn unseal(args: &HeaderUnsealArgs) -> Result<(), Error> {
    let options = ChangeOptions {
        policies: (&args.image.policy.policy[..]).into(),
        backup: args.header_backup_file.clone(),
        dry_run: args.dry.run,
        ..ChangeOptions::default()
    };
    let unsealed = unseal_header(&args.image.header(), &options, &Warner)?;
    let (image, rehearsed) = (&unsealed.image, unsealed.rehearsed.as_ref());
    let text = format!("the header of {image} is not sealed any more\n");
    change::done(
        "header unseal",
        args.output,
        &unsealed,
        image,
        rehearsed,
        &text,
    )
}
