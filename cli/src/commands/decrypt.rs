//! `decrypt SRC DST`: a container to a raw image.

use jobs::Place;
use jobs::decrypt::{Container, DecryptOptions, decrypt};
use jobs::inputs::Inputs;
use luks::Version;

use super::{check_stdout, in_place};
use crate::args::{
    ContainerArgs, ContainerType, DecryptArgs, HeaderArgs, PlainArgs, PolicyArgs, UnlockArgs,
    only_in_place,
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
    let options = DecryptOptions {
        container: container_of(
            &args.container,
            &args.plain,
            &keys,
            &args.unlock,
            &args.header,
            &args.policy,
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
            .policies(&args.policy),
    };
    let secrets = Keys::to_unlock(&keys, &args.unlock);
    let teller = Teller::new("decrypt", &args.work, say);
    let report = decrypt(&args.source, destination, &options, &secrets, &teller)?;
    report.print("decrypt", &args.work, say)?;
    losses::of_report(&report)
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
    if let Some(one) = plain.given().or(container.told_by_header()) {
        return Err(Error::Conflict {
            one,
            other: "a LUKS container, whose header tells everything",
        });
    }
    Ok(Container::Luks(version))
}
