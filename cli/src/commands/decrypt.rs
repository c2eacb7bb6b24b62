//! `decrypt SRC DST`: a container to a raw image.

use jobs::Place;
use jobs::decrypt::{Container, DecryptOptions, decrypt};
use jobs::inputs::Inputs;
use jobs::qcow::Qcow2;
use luks::Version;

use super::{check_stdout, in_place};
use crate::args::{
    ContainerArgs, ContainerType, DecryptArgs, DestinationFormat, FromArgs, HeaderArgs, PlainArgs,
    PolicyArgs, SourceFormat, UnlockArgs, only_in_place,
};
use crate::error::Error;
use crate::inputs::InputsOf as _;
use crate::losses;
use crate::options;
use crate::passphrase::KeyInput;
use crate::report::Said as _;
use crate::secrets::Keys;
use crate::unlock;
use crate::watch::Teller;

/// Decrypts.
pub fn run(args: &DecryptArgs) -> Result<(), Error> {
    let Some(destination) = &args.destination else {
        if let Some(one) = args.to.given() {
            return Err(Error::Conflict {
                one,
                other: "--in-place",
            });
        }
        return in_place::decrypt(args);
    };
    if let Some(one) = only_in_place(&args.in_place.zones, args.in_place.init) {
        return Err(Error::Conflict {
            one,
            other: "a new image: --in-place is what has it",
        });
    }
    let say = args.result.output;
    check_stdout(destination, say)?;
    let keys = KeyInput::to_open(&args.keys, args.source == Place::Standard)?;
    if args.to.to == Some(DestinationFormat::Luks) {
        return Err(Error::Conflict {
            one: "--to luks",
            other: "decrypt: clone makes one container of another",
        });
    }
    let image = options::image(&args.to, Some(destination), args.plain.compat)?;
    let options = DecryptOptions {
        image,
        container: container_of(
            &args.container,
            &args.plain,
            &keys,
            &args.unlock,
            &args.header,
            &args.policy,
        )?,
        disk: disk_of(
            &args.from,
            &args.container,
            "decrypt: nothing of a raw image is encrypted",
        )?,
        header: args.header.header.clone().map(Place::Path),
        size_sectors: args.size,
        policies: (&args.policy.policy[..]).into(),
        unlock: unlock::how(&args.unlock)?,
        bad_places: (&args.bad_places).into(),
        work: (&args.work).into(),
        overwrite: (&args.result).into(),
        dry_run: args.result.dry.run,
        allow_in_use: args.busy.read_in_use,
        allow_any_source: args.any.allow_any_source,
        inputs: Inputs::none()
            .open_keys(&args.keys, &args.unlock)?
            .backing_keys(&args.below)
            .policies(&args.policy),
    };
    let below = options::backing_keys(&args.below, &args.keys.read)?;
    let secrets = Keys::to_unlock(&keys, &args.unlock).with_backing_keys(&below);
    let teller = Teller::new("decrypt", &args.work, say);
    let report = decrypt(&args.source, destination, &options, &secrets, &teller)?;
    report.print("decrypt", &args.work, say)?;
    losses::of_report(&report)
}

/// How what is decrypted is read, where it is a qcow2 image. `other` is where a raw one is nothing.
pub(super) fn disk_of(
    from: &FromArgs,
    container: &ContainerArgs,
    other: &'static str,
) -> Result<Option<Qcow2>, Error> {
    if from.from == Some(SourceFormat::Raw) {
        let one = "--from raw";
        return Err(Error::Conflict { one, other });
    }
    let disk = options::disk(from.from, &from.disk)?;
    let kind = container.kind.map(|_| "--type");
    if let Some(one) = kind.filter(|_| disk.is_some()) {
        return Err(Error::Conflict {
            one,
            other: "--from qcow2",
        });
    }
    Ok(disk)
}

/// What a container is that is read.
pub(super) fn container_of(
    container: &ContainerArgs,
    plain: &PlainArgs,
    keys: &KeyInput,
    unlock: &UnlockArgs,
    header: &HeaderArgs,
    policy: &PolicyArgs,
) -> Result<Container, Error> {
    let version = match container.kind {
        Some(ContainerType::Plain) => {
            let header = header.header.as_ref().map(|_| "--header");
            let policy = policy.policy.first().map(|_| "--policy");
            if let Some(one) = unlock.given().or(header).or(policy) {
                return Err(Error::Conflict {
                    one,
                    other: "a plain container",
                });
            }
            let plain = options::plain(container, plain, keys.source())?;
            return Ok(Container::Plain(plain));
        }
        Some(ContainerType::Luks1) => Some(Version::Luks1),
        Some(ContainerType::Luks2) => Some(Version::Luks2),
        None => None,
    };
    if let Some(one) = plain.given_of_plain().or(container.told_by_header()) {
        return Err(Error::Conflict {
            one,
            other: "a LUKS container, whose header tells everything",
        });
    }
    Ok(Container::Luks(version))
}
