//! `probe IMG`: how a plain volume of an old cloud was made.

use std::fmt::Write as _;

use jobs::Place;
use jobs::instead::quoted;
use jobs::key_source::{KeyFormat, KeyFrom, KeySource};
use jobs::openstack::probe::{Fit, ProbeOptions, probe};
use jobs::plain::PlainWanted;
use serde_json::json;

use crate::args::ProbeArgs;
use crate::error::Error;
use crate::key_forms;
use crate::output;
use crate::passphrase::KeyInput;
use crate::secrets::Keys;
use crate::watch::Warner;

/// Makes all guesses. Nothing is written.
pub fn run(args: &ProbeArgs) -> Result<(), Error> {
    let given = KeySource::from(&args.keys);
    let format = args.keys.read.key_format.map(KeyFormat::from);
    let options = ProbeOptions {
        known: PlainWanted {
            cipher: args.cipher.clone(),
            key_bits: args.key_size,
            hash: args.hash.clone(),
            sector_bytes: args.sector_size,
            offset_sectors: args.offset.unwrap_or(0),
            skip_sectors: args.skip.unwrap_or(0),
            iv_large_sectors: args.iv_large_sectors,
            defaults: None,
        },
        format,
        allow_in_use: args.busy.read_in_use,
    };
    // The key itself; each guess says what becomes of it.
    let source = KeySource {
        format: KeyFormat::Auto,
        ..given
    };
    let keys = KeyInput::new(source, args.image == Place::Standard)?;
    let secrets = Keys::opening(&keys, None, 1);
    let probed = probe(&args.image, &options, &secrets, &Warner)?;
    let command = |fit: &Fit| command(args, &keys, fit);
    if args.output.json {
        let fits: Vec<_> = probed
            .fits
            .iter()
            .map(|fit| {
                let mut members = serde_json::to_value(fit).expect("a guess is plain data");
                members["command"] = command(fit).into();
                members
            })
            .collect();
        let members = json!({"image": probed.image, "tried": probed.tried, "fits": fits});
        return Ok(output::json("probe", members)?);
    }
    let mut text = String::new();
    for fit in &probed.fits {
        let _ = writeln!(
            text,
            "{} is {}: {} with a key of {} bits, {}, the key {}",
            probed.image,
            fit.content,
            fit.cipher,
            fit.key_bits,
            if fit.hash.starts_with("plain") {
                "no hash".to_owned()
            } else {
                format!("hashed by {}", fit.hash)
            },
            key_forms::used(fit.key_format)
        );
        let _ = writeln!(text, "  {}", command(fit));
    }
    Ok(output::text(&text)?)
}

/// What decrypts it then: of a file that is hashed standard input is what has it, since a key file is the key itself.
fn command(args: &ProbeArgs, keys: &KeyInput, fit: &Fit) -> String {
    let image = match &args.image {
        Place::Path(path) => quoted(&path.to_string_lossy()),
        _ => "-".to_owned(),
    };
    let mut line = format!(
        "luksmith decrypt {image} NEW --type plain --cipher {} --key-size {} --hash {} --key-format {}",
        fit.cipher,
        fit.key_bits,
        fit.hash,
        key_forms::option(fit.key_format)
    );
    for (option, number) in [
        ("--sector-size", args.sector_size.map(u64::from)),
        ("--offset", args.offset),
        ("--skip", args.skip),
    ] {
        if let Some(number) = number {
            let _ = write!(line, " {option} {number}");
        }
    }
    if args.iv_large_sectors {
        line.push_str(" --iv-large-sectors");
    }
    let read = &args.keys.read;
    let encoding = match read.key_encoding {
        crate::args::KeyEncoding::Raw => "",
        crate::args::KeyEncoding::Hex => " --key-encoding hex",
        crate::args::KeyEncoding::Base64 => " --key-encoding base64",
    };
    line.push_str(encoding);
    if read.keyfile_offset != 0 {
        let _ = write!(line, " --keyfile-offset {}", read.keyfile_offset);
    }
    if let Some(bytes) = read.keyfile_size {
        let _ = write!(line, " --keyfile-size {bytes}");
    }
    match &keys.source().from {
        KeyFrom::FirstLine => {}
        KeyFrom::Standard => line.push_str(" --key-file -"),
        KeyFrom::File(path) => {
            let _ = write!(line, " --key-file - <{}", quoted(&path.to_string_lossy()));
        }
        KeyFrom::Descriptor(number) => {
            let _ = write!(line, " --key-file - <&{number}");
        }
        KeyFrom::Secret(secret) => {
            let reference = secret.reference.to_string();
            let reference = reference.trim_start_matches("secret ");
            let _ = write!(line, " --secret {}", quoted(reference));
            if read.insecure_secret {
                line.push_str(" --insecure-secret");
            }
        }
    }
    line
}
