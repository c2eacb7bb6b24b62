//! `encrypt SRC DST`: a raw image to a new container.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use serde_json::json;

use crate::args::{EncryptArgs, Holes, Operand};
use crate::destination::{Bytes, Destination, DestinationError, Target};
use crate::error::Error;
use crate::output;
use crate::passphrase::KeyInput;
use crate::payload;
use crate::plain::Plain;
use crate::source::{Source, SourceError};
use crate::transfer::Transfer;

/// Encrypts.
pub fn run(args: &EncryptArgs) -> Result<(), Error> {
    let force = args.result.force;
    let source = Source::open(&args.source, force)?;
    if !force {
        source.check_raw()?;
    }
    let target = Target::check(&args.destination, force, &[source.identity])?;
    if args.result.json && target.is_stdout() {
        return Err(Error::Conflict {
            one: "--json",
            other: "image data on standard output",
        });
    }
    let keys = KeyInput::new(&args.keys, args.source == Operand::Standard)?;
    let plain = Plain::new(&args.container, &args.plain, &keys)?;
    if let Some(weakness) = plain.cipher().weakness() {
        if plain.cipher().is_null() && !force {
            return Err(Error::NullCipher);
        }
        output::warn(format_args!("{}: {weakness}", plain.cipher()));
    }
    let extent = Extent::of(&source, args, plain.sector_bytes())?;
    if let Some(padded) = extent.padded {
        target.check_room(plain.offset_bytes()?.saturating_add(padded))?;
    }
    let report = Report {
        args,
        plain: &plain,
        source: source.name.clone(),
        destination: target.name.clone(),
    };
    if args.result.dry_run {
        return report.print(extent.padded);
    }

    let key = plain.key(&keys, &target.name, !args.result.batch_mode)?;
    let mapping = plain.mapping(&key, extent.padded)?;
    let destination = target.create()?;
    lead_in(&destination, plain.offset_bytes()?)?;
    let transfer = Transfer {
        source: &report.source,
        destination: &report.destination,
        bytes: extent.bytes,
        keep_holes: args.holes == Holes::Keep,
        pad_to: args.pad.then_some(plain.sector_bytes()),
        work: &args.work,
    };
    let copied = payload::encrypt(source, extent.bytes, &destination, &mapping, &transfer)?;
    destination.commit()?;
    if args.result.json {
        report.print(Some(copied.bytes + copied.padding_bytes))
    } else {
        Ok(())
    }
}

/// How much of the source is encrypted.
struct Extent {
    /// Bytes read; unknown for a stream that no `--size` ends.
    bytes: Option<u64>,
    /// The same, filled up to whole sectors.
    padded: Option<u64>,
}

impl Extent {
    fn of(source: &Source, args: &EncryptArgs, sector_bytes: usize) -> Result<Self, Error> {
        let len = source.len()?;
        let wanted = payload::wanted_bytes(args.container.size);
        let bytes = match (wanted, len) {
            (Some(needed), Some(bytes)) if bytes < needed => {
                return Err(SourceError::TooSmall {
                    name: source.name.clone(),
                    bytes,
                    needed,
                }
                .into());
            }
            (wanted, len) => wanted.or(len),
        };
        let sector = sector_bytes as u64;
        match bytes {
            Some(bytes) if !bytes.is_multiple_of(sector) && !args.pad => {
                Err(SourceError::PartialSector {
                    name: source.name.clone(),
                    bytes,
                    sector_bytes,
                }
                .into())
            }
            _ => Ok(Self {
                bytes,
                padded: bytes.map(|bytes| bytes.next_multiple_of(sector)),
            }),
        }
    }
}

/// A plain container's bytes before its payload mean nothing: zeros in a stream, untouched on a device.
fn lead_in(destination: &Destination, bytes: u64) -> Result<(), Error> {
    let Bytes::Stream(file) = &destination.bytes else {
        return Ok(());
    };
    let written = io::copy(&mut io::Read::take(io::repeat(0), bytes), &mut &*file)
        .and_then(|_| (&*file).flush());
    written.map_err(|source| {
        DestinationError::Write {
            name: destination.name.clone(),
            source,
        }
        .into()
    })
}

/// What was, or would be, written.
struct Report<'a> {
    args: &'a EncryptArgs,
    plain: &'a Plain,
    source: String,
    destination: String,
}

impl Report<'_> {
    fn print(&self, payload_bytes: Option<u64>) -> Result<(), Error> {
        let offset = self.plain.offset_bytes()?;
        let container_bytes = payload_bytes.map(|bytes| offset.saturating_add(bytes));
        let key_bits = self.plain.key_bytes() * 8;
        if self.args.result.json {
            return output::json(
                "encrypt",
                json!({
                    "dry_run": self.args.result.dry_run,
                    "source": self.source,
                    "destination": self.destination,
                    "type": "plain",
                    "cipher": self.plain.cipher().to_string(),
                    "key_bits": key_bits,
                    "sector_size": self.plain.sector_bytes(),
                    "payload_offset": offset,
                    "payload_bytes": payload_bytes,
                    "container_bytes": container_bytes,
                }),
            );
        }
        let known = |bytes: Option<u64>| {
            bytes.map_or("as many bytes as there are".to_owned(), |bytes| {
                format!("{bytes} bytes")
            })
        };
        let mut text = String::new();
        let _ = writeln!(text, "{} would become {}", self.source, self.destination);
        let _ = writeln!(
            text,
            "  plain, {}, key of {key_bits} bits, sectors of {} bytes",
            self.plain.cipher(),
            self.plain.sector_bytes()
        );
        let _ = writeln!(text, "  payload: {} at {offset}", known(payload_bytes));
        let _ = writeln!(text, "  container: {}", known(container_bytes));
        output::text(&text)
    }
}
