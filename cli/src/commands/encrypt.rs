//! `encrypt SRC DST`: a raw image to a new container.

use jobs::Place;
use jobs::encrypt::{EncryptOptions, Format, encrypt};
use jobs::inputs::Inputs;
use jobs::qcow::Qcow2;
use luks::Version;

use super::{check_stdout, in_place};
use crate::args::{ContainerType, EncryptArgs, Holes, SourceFormat, only_in_place};
use crate::cinder;
use crate::error::Error;
use crate::inputs::InputsOf as _;
use crate::losses;
use crate::options;
use crate::passphrase::KeyInput;
use crate::report::Said as _;
use crate::secrets::Keys;
use crate::watch::Teller;

/// Encrypts.
pub fn run(mut args: EncryptArgs) -> Result<(), Error> {
    let in_image = match &args.destination {
        Some(place) => options::image(&args.to, Some(place), args.plain.compat)?.is_some(),
        None => false,
    };
    cinder::take(&args.cinder, &mut args.container, in_image)?;
    let args = &args;
    let Some(destination) = &args.destination else {
        if let Some(one) = args.to.given() {
            return Err(Error::Conflict {
                one,
                other: "--in-place",
            });
        }
        return in_place::encrypt(args);
    };
    if let Some(one) = only_in_place(&args.in_place.zones, args.in_place.init) {
        return Err(Error::Conflict {
            one,
            other: "a new image: --in-place is what has it",
        });
    }
    let say = args.result.output;
    check_stdout(destination, say)?;
    let keys = KeyInput::new(&args.keys, args.source == Place::Standard)?;
    let volume_key = args.format.volume_key_file.as_ref();
    let image = options::encrypted_image(&args.to, Some(destination), args.plain.compat)?;
    let options = EncryptOptions {
        format: format(args, image.is_some(), &keys)?,
        image,
        header: args.header.header.clone().map(Place::Path),
        size_sectors: args.size,
        keep_holes: args.holes == Holes::Keep,
        pad: args.pad,
        disk: disk_of(args)?,
        bad_places: (&args.bad_places).into(),
        work: (&args.work).into(),
        overwrite: (&args.result).into(),
        dry_run: args.result.dry.run,
        allow: options::allow(&args.busy, &args.odd.any, &args.odd.sectors, &args.weak),
        allow_empty: args.odd.allow_empty,
        inputs: Inputs::none()
            .keys(&args.keys)
            .path("the volume key file", volume_key),
    };
    let secrets = Keys::for_new(&keys, &args.format, say);
    let teller = Teller::new("encrypt", &args.work, say);
    let report = encrypt(&args.source, destination, &options, &secrets, &teller)?;
    report.print("encrypt", &args.work, say)?;
    losses::of_report(&report)
}

/// How a source is read that is a qcow2 image.
fn disk_of(args: &EncryptArgs) -> Result<Option<Qcow2>, Error> {
    if args.from.from == Some(SourceFormat::Luks) {
        return Err(Error::Conflict {
            one: "--from luks",
            other: "encrypt: clone is what makes a container of a container",
        });
    }
    options::disk(args.from.from, &args.from.disk)
}

/// What the new container is to be.
fn format(args: &EncryptArgs, in_image: bool, keys: &KeyInput) -> Result<Format, Error> {
    // QEMU knows no other one.
    let usual = if in_image {
        ContainerType::Luks1
    } else {
        ContainerType::Luks2
    };
    let version = match args.container.kind.unwrap_or(usual) {
        ContainerType::Plain => {
            let header = args.header.header.as_ref().map(|_| "--header");
            if let Some(one) = args.format.given().or(header) {
                return Err(Error::Conflict {
                    one,
                    other: "a plain container",
                });
            }
            let plain = options::plain(&args.container, &args.plain, keys.source())?;
            return Ok(Format::Plain(plain));
        }
        ContainerType::Luks1 => Version::Luks1,
        ContainerType::Luks2 => Version::Luks2,
    };
    if let Some(one) = args.plain.given_of_plain() {
        return Err(Error::Conflict {
            one,
            other: "a LUKS container",
        });
    }
    let wanted = options::luks(version, &args.container, &args.format);
    Ok(Format::Luks(wanted))
}
