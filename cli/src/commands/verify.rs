//! `verify IMG`: is a container sound, as far as can be seen?

use std::fmt::Write as _;

use jobs::verify::disk::{VerifiedDisk, verify as verify_disk};
use jobs::verify::{Area, Verified, VerifyOptions, verify};
use luks::verify::Role;

use crate::args::{SourceFormat, VerifyArgs};
use crate::error::Error;
use crate::output;
use crate::passphrase::KeyInput;
use crate::secrets::Keys;
use crate::unlock;
use crate::watch::Warner;

/// Verifies. Nothing is written; a key is checked where one is given.
pub fn run(args: &VerifyArgs) -> Result<(), Error> {
    let key = args.has_key().then(|| unlock::how(&args.unlock));
    let options = VerifyOptions {
        data: args.image.data().cloned(),
        policies: (&args.image.policy.policy[..]).into(),
        key: key.transpose()?,
        allow_in_use: args.busy.read_in_use,
    };
    // An image on standard input is refused before any key is read.
    let keys = KeyInput::to_open(&args.keys, false)?;
    let secrets = Keys::to_unlock(&keys, &args.unlock);
    match args.from {
        Some(SourceFormat::Raw) => {
            return Err(Error::Conflict {
                one: "--from raw",
                other: "verify: a raw image has nothing that could be wrong",
            });
        }
        Some(SourceFormat::Qcow2) => {
            let found = verify_disk(&args.image.header(), &options, &secrets, &Warner)?;
            return say_disk(args, found);
        }
        Some(SourceFormat::Luks) | None => {}
    }
    let verified = verify(&args.image.header(), &options, &secrets, &Warner)?;
    if args.output.json {
        let members = serde_json::to_value(&verified).expect("findings are plain data");
        output::json("verify", members)?;
    } else {
        output::text(&text(&verified))?;
    }
    let Verified {
        image,
        problems,
        key,
        ..
    } = verified;
    if !problems.is_empty() {
        return Err(Error::NotSound {
            name: image,
            problems,
        });
    }
    key.transpose()?;
    Ok(())
}

/// What was found of a qcow2 image.
fn say_disk(args: &VerifyArgs, found: VerifiedDisk) -> Result<(), Error> {
    if args.output.json {
        let members = serde_json::to_value(&found).expect("findings are plain data");
        output::json("verify qcow2", members)?;
    } else {
        output::text(&text_of_disk(&found))?;
    }
    let VerifiedDisk {
        image,
        problems,
        luks,
        ..
    } = found;
    if !problems.is_empty() {
        return Err(Error::NotSound {
            name: image,
            problems,
        });
    }
    luks.and_then(|luks| luks.key).transpose()?;
    Ok(())
}

fn text_of_disk(found: &VerifiedDisk) -> String {
    let clusters = found.clusters;
    let mut all = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(all, "{name:<12}{value}");
    };
    line("image", found.image.clone());
    line("type", "qcow2".to_owned());
    line(
        "clusters",
        format!(
            "{}: {} with data, {} compressed, {} zeros by a mark, {} not there",
            clusters.total, clusters.data, clusters.compressed, clusters.zeros, clusters.absent
        ),
    );
    for note in &found.notes {
        line("note", output::escape(note));
    }
    if found.luks.is_none() && found.sound {
        line("result", "sound, as far as can be seen".to_owned());
    }
    if let Some(luks) = &found.luks {
        let text = text(luks);
        let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
        all.push_str(rest);
    }
    all
}

fn text(verified: &Verified) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<12}{value}");
    };
    line("image", verified.image.clone());
    line("header", header(verified));
    for area in &verified.areas {
        line(&area.name(), area_line(area));
    }
    match verified.key {
        Some(Ok(Some(keyslot))) => line(
            "key",
            format!("opens keyslot {keyslot}, and the volume key matches its digest"),
        ),
        Some(Ok(None)) => line("key", "is the volume key: it matches its digest".to_owned()),
        Some(Err(_)) | None => {}
    }
    for note in &verified.notes {
        line("note", output::escape(note));
    }
    if verified.sound && !matches!(verified.key, Some(Err(_))) {
        let all = "sound, as far as can be seen";
        line(
            "result",
            if verified.encrypted {
                all.to_owned()
            } else {
                format!("{all}, and not all of its data is encrypted")
            },
        );
    }
    text
}

fn header(verified: &Verified) -> String {
    let Some(epoch) = verified.epoch else {
        let what = if verified.nothing_opens {
            "of a kind that nothing opens"
        } else {
            "sound"
        };
        return format!("LUKS1, {what}; there is one copy, without a checksum");
    };
    let copies = if verified.all_copies {
        "both copies are sound and agree"
    } else {
        "only one copy is used"
    };
    format!("LUKS2, {copies}, epoch {epoch}")
}

fn area_line(area: &Area) -> String {
    let place = format!("{} bytes at {}", area.bytes, area.offset);
    let all_random = area.random_sectors == area.sectors();
    let is_whole = area.missing_bytes == 0 && area.unreadable_sectors == 0;
    let what = match area.role {
        _ if area.sectors() == 0 && area.unreadable_sectors > 0 => "cannot be read".to_owned(),
        _ if area.sectors() == 0 => "not there: the image ends before it".to_owned(),
        Role::Keyslot(_) if all_random && is_whole => {
            "looks random throughout, as key material does".to_owned()
        }
        Role::Keyslot(_) if all_random => {
            "looks random as far as it is there, as key material does".to_owned()
        }
        Role::Other(_) => format!("not a passphrase's keyslot, not judged ({})", mixture(area)),
        Role::Inactive { .. } | Role::Free if all_random => {
            "looks random, as the filler of a format or a wipe does, and as a key would that was only forgotten"
                .to_owned()
        }
        _ => mixture(area),
    };
    let mut line = match area.role {
        Role::Inactive { .. } => format!("{place}, not in use: {what}"),
        _ => format!("{place}: {what}"),
    };
    if area.missing_bytes > 0 {
        let _ = write!(
            line,
            "; {} bytes of it are beyond the end of the image",
            area.missing_bytes
        );
    }
    if area.unreadable_sectors > 0 {
        let _ = write!(
            line,
            "; {} sectors of it cannot be read",
            area.unreadable_sectors
        );
    }
    line
}

fn mixture(area: &Area) -> String {
    match (area.zero_sectors, area.random_sectors, area.other_sectors) {
        (_, 0, 0) => "zeros".to_owned(),
        (zeros, random, other) => {
            format!(
                "{zeros} sectors of zeros, {random} that look random, {other} of something else"
            )
        }
    }
}
