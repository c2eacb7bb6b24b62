//! What the verbs that change data in place have in common, and `encrypt` and `decrypt` with --in-place.

use jobs::Allow;
use jobs::change::ChangeOptions;
use jobs::in_place::decrypt::{DecryptInPlaceOptions, decrypt as decrypt_in_place};
use jobs::in_place::encrypt::{EncryptInPlaceOptions, encrypt as encrypt_in_place};
use jobs::in_place::{self, InPlaceReport, Zones, ZonesReport};
use jobs::inputs::Inputs;
use luks::Version;

use crate::args::{
    ContainerType, DecryptArgs, EncryptArgs, OutputArgs, Resilience, WorkArgs, ZonesArgs,
};
use crate::change::Asker;
use crate::error::Error;
use crate::human;
use crate::inputs::InputsOf as _;
use crate::options;
use crate::output;
use crate::passphrase::KeyInput;
use crate::secrets::Keys;
use crate::unlock;
use crate::watch::Teller;

/// How data are changed in place.
pub(super) fn zones(args: &ZonesArgs, work: &WorkArgs) -> Zones {
    Zones {
        resilience: args.resilience.map(|typed| match typed {
            Resilience::Checksum => in_place::Resilience::Checksum,
            Resilience::Journal => in_place::Resilience::Journal,
            Resilience::None => in_place::Resilience::None,
        }),
        hash: args.resilience_hash.clone(),
        hotzone_bytes: args.hotzone_size,
        work: work.into(),
    }
}

/// `encrypt --in-place IMG`.
pub(super) fn encrypt(args: &EncryptArgs) -> Result<(), Error> {
    options::only_raw(args.from.from, "--in-place")?;
    let version = match args.container.kind.unwrap_or(ContainerType::Luks2) {
        ContainerType::Plain => {
            return Err(Error::Conflict {
                one: "--in-place",
                other: "a plain container",
            });
        }
        ContainerType::Luks1 => Version::Luks1,
        ContainerType::Luks2 => Version::Luks2,
    };
    if let Some(one) = args.plain.given() {
        return Err(Error::Conflict {
            one,
            other: "a LUKS container",
        });
    }
    let keys = KeyInput::new(&args.keys, false)?;
    let inputs = Inputs::none()
        .keys(&args.keys)
        .path("the volume key file", args.format.volume_key_file.as_ref());
    let options = EncryptInPlaceOptions {
        change: ChangeOptions {
            dry_run: args.result.dry.run,
            inputs,
            ..ChangeOptions::default()
        },
        format: options::luks(version, &args.container, &args.format),
        reduce_bytes: args.in_place.reduce_device_size,
        device_bytes: None,
        zones: zones(&args.in_place.zones, &args.work),
        init_only: args.in_place.init.init_only,
        allow: Allow {
            in_use: false,
            ..options::allow(&args.busy, &args.odd.any, &args.odd.sectors, &args.weak)
        },
    };
    let say = args.result.output;
    let secrets = Keys::for_new(&keys, &args.format, say);
    let teller = Teller::new("encrypt", &args.work, say);
    let header = args.header.header.as_ref();
    let asker = Asker::new(say);
    let report = encrypt_in_place(&args.source, header, &options, &secrets, &asker, &teller)?;
    print("encrypt", &report, say)
}

/// `decrypt --in-place IMG`.
pub(super) fn decrypt(args: &DecryptArgs) -> Result<(), Error> {
    options::only_luks(args.from.from, "--in-place")?;
    if let Some(ContainerType::Plain) = args.container.kind {
        return Err(Error::Conflict {
            one: "--in-place",
            other: "a plain container",
        });
    }
    if let Some(one) = args.plain.given().or(args.container.told_by_header()) {
        return Err(Error::Conflict {
            one,
            other: "a LUKS container, whose header tells everything",
        });
    }
    let keys = KeyInput::to_open(&args.keys, false)?;
    let inputs = Inputs::none().open_keys(&args.keys, &args.unlock)?;
    let options = DecryptInPlaceOptions {
        change: ChangeOptions {
            policies: (&args.policy.policy[..]).into(),
            dry_run: args.result.dry.run,
            inputs,
            ..ChangeOptions::default()
        },
        unlock: unlock::how(&args.unlock)?,
        zones: zones(&args.in_place.zones, &args.work),
        init_only: args.in_place.init.init_only,
    };
    let say = args.result.output;
    let secrets = Keys::to_unlock(&keys, &args.unlock);
    let teller = Teller::new("decrypt", &args.work, say);
    let header = args.header.header.as_ref();
    let asker = Asker::new(say);
    let report = decrypt_in_place(&args.source, header, &options, &secrets, &asker, &teller)?;
    print("decrypt", &report, say)
}

/// Says what was done in place, or would be.
pub(super) fn print(verb: &str, report: &InPlaceReport, say: OutputArgs) -> Result<(), Error> {
    if say.json {
        let members = serde_json::to_value(report).expect("a report is plain data");
        return Ok(output::json(verb, members)?);
    }
    if report.dry_run {
        return Ok(output::text(&format!(
            "nothing is written; without --dry-run:\n{}",
            plan(report)
        ))?);
    }
    Ok(if say.batch_mode {
        Ok(())
    } else {
        output::text(&line(report))
    }?)
}

fn container(report: &InPlaceReport) -> String {
    format!(
        "{}, {}, key of {} bits, sectors of {} bytes",
        report.kind, report.cipher, report.key_bits, report.sector_size
    )
}

fn plan(report: &InPlaceReport) -> String {
    let image = &report.image;
    let what = match report.operation {
        "encrypt" => format!("{image} would be encrypted in place"),
        "decrypt" => format!("{image} would be decrypted in place"),
        _ => format!("{image} would be reencrypted in place"),
    };
    let header = report.header.as_ref();
    let header = header.map_or(String::new(), |header| format!("  header: {header}\n"));
    let space = report.more_bytes.map_or(String::new(), |more| {
        format!(
            "  space: {} more while it is done, and {} at the end\n",
            human::size(more),
            human::size(report.payload_offset)
        )
    });
    let room = report.room_bytes.filter(|bytes| *bytes != 0);
    let room = room.map_or(String::new(), |bytes| {
        format!("  room: {} of the file system\n", human::size(bytes))
    });
    let zones: String = report.zones.iter().map(zones_line).collect();
    let dropped = if report.dropped.is_empty() {
        String::new()
    } else {
        format!("  keyslots that go: {}\n", numbers(&report.dropped))
    };
    format!(
        "{what}\n  {}\n{header}{dropped}{space}{room}  payload: {} at {}, of which {} are to be done\n{zones}",
        container(report),
        human::size(report.payload_bytes),
        report.payload_offset,
        human::size(report.left_bytes)
    )
}

fn zones_line(zones: &ZonesReport) -> String {
    let by = match (zones.protected_by, &zones.hash) {
        ("checksum", hash) => format!(
            "protected by checksums ({}, {})",
            hash.as_deref().unwrap_or(""),
            human::size(zones.protection_bytes)
        ),
        ("journal", _) => format!(
            "protected by a copy of {}",
            human::size(zones.protection_bytes)
        ),
        ("shift", _) => "protected by the old bytes beside it".to_owned(),
        ("put-aside", _) => "protected by the copy that was put aside".to_owned(),
        _ => "not protected".to_owned(),
    };
    let size = human::size(zones.bytes);
    match zones.count {
        1 => format!("  zones: 1 of {size}, {by}\n"),
        count => format!(
            "  zones: {count} of at most {size}, {}, each {by}\n",
            zones.direction
        ),
    }
}

fn line(report: &InPlaceReport) -> String {
    let image = &report.image;
    let size = human::short_size(report.payload_bytes);
    let left = human::short_size(report.left_bytes);
    let way = resume_command(image, report.header.as_deref());
    match (report.state, report.operation) {
        ("begun", _) => format!("{image}: begun, {left} of {size} are to be done; {way} goes on\n"),
        ("recovered", _) => {
            format!("{image}: recovered, {left} of {size} are to be done; {way} goes on\n")
        }
        _ if report.payload_bytes == 0 => format!("{image}: what was left to be wiped is wiped\n"),
        (_, "decrypt") if report.payload_offset != 0 => format!(
            "{image}: decrypted, {size} of data from byte {} on\n",
            report.payload_offset
        ),
        (_, "decrypt") => format!("{image}: decrypted, {size} of data\n"),
        (_, "encrypt") => format!(
            "{image}: encrypted, {}, {size} of data\n",
            container(report)
        ),
        _ => {
            let keyslots = if report.keyslots.is_empty() {
                String::new()
            } else {
                format!("; opened by keyslot {}", numbers(&report.keyslots))
            };
            format!(
                "{image}: reencrypted, {}, {size} of data{keyslots}\n",
                container(report)
            )
        }
    }
}

/// What goes on with a job in place.
pub(crate) fn resume_command(image: &str, header: Option<&str>) -> String {
    use jobs::instead::quoted;

    match header {
        Some(header) => format!(
            "luksmith resume {} --header {}",
            quoted(image),
            quoted(header)
        ),
        None => format!("luksmith resume {}", quoted(image)),
    }
}

fn numbers(keyslots: &[u32]) -> String {
    let numbers: Vec<_> = keyslots.iter().map(u32::to_string).collect();
    numbers.join(", ")
}
