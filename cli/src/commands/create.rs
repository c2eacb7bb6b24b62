//! `create DST`: an empty container.

use jobs::create::{CreateOptions, create};
use jobs::inputs::Inputs;
use jobs::{Allow, Place};
use luks::Version;

use crate::args::{ContainerType, CreateArgs, WorkArgs};
use crate::cinder;
use crate::error::Error;
use crate::inputs::InputsOf as _;
use crate::options;
use crate::passphrase::KeyInput;
use crate::report::Said as _;
use crate::secrets::Keys;
use crate::watch::Teller;

/// Creates.
pub fn run(mut args: CreateArgs) -> Result<(), Error> {
    options::check_compat(args.compat.compat)?;
    let image = options::encrypted_image(&args.to, Some(&args.destination), args.compat.compat)?;
    cinder::take(&args.cinder, &mut args.container, image.is_some())?;
    let version = match args.container.kind {
        Some(ContainerType::Plain) => {
            return Err(Error::Conflict {
                one: "create",
                other: "a plain container, which has no header to be made",
            });
        }
        Some(ContainerType::Luks1) => Version::Luks1,
        // QEMU knows no other one.
        None if image.is_some() => Version::Luks1,
        Some(ContainerType::Luks2) | None => Version::Luks2,
    };
    let say = args.result.output;
    let keys = KeyInput::new(&args.keys, false)?;
    let volume_key = args.format.volume_key_file.as_ref();
    let options = CreateOptions {
        format: options::luks(version, &args.container, &args.format),
        image,
        header: args.header.header.clone().map(Place::Path),
        size: options::size(&args.size),
        overwrite: (&args.result).into(),
        dry_run: args.result.dry.run,
        allow: Allow {
            empty_passphrase: args.weak.allow_empty_passphrase,
            weak_cipher: args.weak.allow_weak_cipher,
            ..Allow::default()
        },
        inputs: Inputs::none()
            .keys(&args.keys)
            .path("the volume key file", volume_key),
    };
    let work = WorkArgs::default();
    let secrets = Keys::for_new(&keys, &args.format, say);
    let teller = Teller::new("create", &work, say);
    let report = create(&args.destination, &options, &secrets, &teller)?;
    report.print("create", &work, say)
}
