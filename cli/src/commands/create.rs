//! `create DST`: an empty container.

use luks::Version;
use volume::Storage;

use crate::args::{ContainerType, CreateArgs, WorkArgs};
use crate::destination::DestinationError;
use crate::error::Error;
use crate::inputs::Inputs;
use crate::new_container::{self, Places};
use crate::passphrase::KeyInput;
use crate::report::Report;
use crate::sizes::{Given, Sizes};

/// Creates.
pub fn run(args: &CreateArgs) -> Result<(), Error> {
    let (version, kind) = match args.container.kind {
        Some(ContainerType::Plain) => {
            return Err(Error::Conflict {
                one: "create",
                other: "a plain container, which has no header to be made",
            });
        }
        Some(ContainerType::Luks1) => (Version::Luks1, "luks1"),
        Some(ContainerType::Luks2) | None => (Version::Luks2, "luks2"),
    };
    let inputs = Inputs::none()
        .keys(&args.keys)
        .path("the volume key file", args.format.volume_key_file.as_ref());
    let overwrite = (&args.result).into();
    let places = Places::check(&args.destination, &args.header, overwrite, &inputs)?;
    let name = places.data.name.clone();
    if places.data.is_stream() {
        return Err(Error::Conflict {
            one: "create",
            other: "a pipe",
        });
    }
    // A device is as large as it is.
    let given = Given::of(&args.size).or(places.data.capacity()?.map(Given::Container));
    let given = given.ok_or(Error::NoSize)?;
    let detached = places.header.is_some();
    let sizes = Sizes::of_luks(
        &name,
        version,
        &args.container,
        &args.format,
        detached,
        given,
        None,
    )?;
    places.data.check_room(sizes.container_bytes())?;
    if let Some(header) = &places.header {
        header.check_room(sizes.layout.reserved_bytes)?;
    }
    let options = sizes.new.options();
    new_container::check_cipher(&options.cipher, args.weak.allow_weak_cipher)?;
    new_container::check_amount(
        &options.cipher,
        dmcrypt::SECTOR_BYTES,
        Some(sizes.payload_bytes),
        args.weak.allow_weak_cipher,
    )?;
    let report = Report {
        dry_run: args.result.dry.run,
        source: None,
        destination: name.clone(),
        header: places.header.as_ref().map(|header| header.name.clone()),
        kind,
        cipher: options.cipher.to_string(),
        key_bits: options.key_bytes as u64 * 8,
        sector_size: options.sector_size.bytes() as u64,
        sector_size_reason: Some(sizes.sectors.reason.clone()),
        payload_offset: sizes.layout.data_offset,
        payload_bytes: None,
        container_bytes: None,
        keyslot: Some(options.keyslot),
        lost: None,
    }
    .with_payload(Some(sizes.payload_bytes));
    if args.result.dry.run {
        return report.print("create", &WorkArgs::default(), args.result.output);
    }

    report.begin("create", &WorkArgs::default(), args.result.output);
    let keys = KeyInput::new(&args.keys, false)?;
    let container_bytes = sizes.container_bytes();
    let payload_bytes = sizes.payload_bytes;
    let container = new_container::prepare(
        sizes.new,
        &name,
        &keys,
        &args.format,
        args.result.output.batch_mode,
        args.weak.allow_empty_passphrase,
    )?;
    new_container::write(container, Some(payload_bytes), places, |destination, _| {
        // The payload of a new file is a hole; that of a device is what was there.
        match destination.storage() {
            Some(storage) if destination.is_new() => {
                storage.set_len(container_bytes).map_err(|source| {
                    DestinationError::Write {
                        name: name.clone(),
                        source,
                    }
                    .into()
                })
            }
            _ => Ok(()),
        }
    })?;
    report.print("create", &WorkArgs::default(), args.result.output)
}
