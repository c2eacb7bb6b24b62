//! `open IMG NAME`: a container as a block device of the kernel.

use std::fmt::Write as _;

use devmapper::Flags;
use jobs::decrypt::Container;
use jobs::mapping::open::{OpenOptions, Opened, open};
use luks::Version;

use crate::args::{OpenArgs, OpenType, TreatArgs};
use crate::error::Error;
use crate::human;
use crate::options;
use crate::output;
use crate::passphrase::KeyInput;
use crate::secrets::Keys;
use crate::unlock;
use crate::watch::Warner;

/// Opens.
pub fn run(args: &OpenArgs) -> Result<(), Error> {
    let keys = KeyInput::to_open(&args.keys, false)?;
    let options = OpenOptions {
        container: container(args, &keys)?,
        header: args.header.header.clone().map(jobs::Place::Path),
        size_sectors: args.layout.size,
        policies: (&args.policy.policy[..]).into(),
        unlock: unlock::how(&args.unlock)?,
        read_only: args.readonly,
        flags: flags(args.treat),
        persistent: args.treat.persistent,
        no_keyring: args.treat.disable_keyring,
        shared: args.shared,
        udev_timeout: args.udev.limit(),
    };
    let secrets = Keys::to_unlock(&keys, &args.unlock);
    let opened = open(&args.image, &args.name, &options, &secrets, &Warner)?;
    if args.output.json {
        let members = serde_json::to_value(&opened).expect("what was opened is plain data");
        output::json("open", members)?;
    } else if !args.output.batch_mode {
        output::text(&said(&opened))?;
    }
    Ok(())
}

/// How dm-crypt treats it.
pub(super) fn flags(args: TreatArgs) -> Flags {
    Flags {
        allow_discards: args.allow_discards,
        same_cpu_crypt: args.same_cpu_crypt,
        submit_from_crypt_cpus: args.submit_from_crypt_cpus,
        no_read_workqueue: args.no_read_workqueue,
        no_write_workqueue: args.no_write_workqueue,
        high_priority: args.high_priority,
    }
}

/// What the image is.
fn container(args: &OpenArgs, keys: &KeyInput) -> Result<Container, Error> {
    let version = match args.kind {
        Some(OpenType::Plain) => {
            let header = args.header.header.as_ref().map(|_| "--header");
            let policy = args.policy.policy.first().map(|_| "--policy");
            let given = args.unlock.given().or(header).or(policy);
            if let Some(one) = given.or(args.treat.of_luks2()) {
                return Err(Error::Conflict {
                    one,
                    other: "a plain container",
                });
            }
            options::check_age(args.plain.compat)?;
            let plain = options::plain_to_open(&args.layout, &args.plain, keys.source())?;
            return Ok(Container::Plain(plain));
        }
        Some(OpenType::Luks1) => Some(Version::Luks1),
        Some(OpenType::Luks2) => Some(Version::Luks2),
        Some(OpenType::Luks) | None => None,
    };
    if let Some(one) = args.plain.given().or(args.layout.told_by_header()) {
        return Err(Error::Conflict {
            one,
            other: "a LUKS container, whose header tells everything",
        });
    }
    if args.layout.size.is_some() {
        output::warn("--size is ignored: the header of a LUKS container says it");
    }
    Ok(Container::Luks(version))
}

fn said(opened: &Opened) -> String {
    let mut text = format!(
        "{}: {} of {}, {}, {}",
        opened.path,
        human::size(opened.payload_bytes),
        opened.image,
        opened.kind,
        opened.cipher
    );
    if let Some(keyslot) = opened.keyslot {
        let _ = write!(text, "; opened by keyslot {keyslot}");
    }
    if opened.read_only {
        text.push_str("; read-only");
    }
    text.push('\n');
    text
}
