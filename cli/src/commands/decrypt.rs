//! `decrypt SRC DST`: a container to a raw image.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::json;
use volume::{Storage, Volume};

use crate::args::{DecryptArgs, Operand};
use crate::destination::Target;
use crate::error::Error;
use crate::output;
use crate::passphrase::KeyInput;
use crate::payload::{self, Ciphertext};
use crate::plain::Plain;
use crate::source::{Bytes, Source, SourceError};
use crate::transfer::Transfer;

/// Decrypts.
pub fn run(args: &DecryptArgs) -> Result<(), Error> {
    let source = Source::open(&args.source, args.result.force)?;
    let target = Target::check(&args.destination, args.result.force, &[source.identity])?;
    if args.result.json && target.is_stdout() {
        return Err(Error::Conflict {
            one: "--json",
            other: "image data on standard output",
        });
    }
    let keys = KeyInput::new(&args.keys, args.source == Operand::Standard)?;
    let plain = Plain::new(&args.container, &args.plain, &keys)?;
    if plain.cipher().is_null() && !args.allow_null_cipher {
        return Err(Error::NullCipher);
    }
    let extent = Extent::of(&source, args, &plain)?;
    if let Some(bytes) = extent.bytes {
        target.check_room(bytes)?;
    }
    let report = Report {
        args,
        plain: &plain,
        source: source.name.clone(),
        destination: target.name.clone(),
    };
    if args.result.dry_run {
        return report.print(extent.bytes);
    }

    let key = plain.key(&keys, &source.name, false)?;
    let mapping = plain.mapping(&key, extent.bytes)?;
    let transfer = Transfer {
        source: &report.source,
        destination: &report.destination,
        bytes: extent.bytes,
        keep_holes: false,
        pad_to: None,
        work: &args.work,
    };
    let (copied, destination) = match source.bytes {
        Bytes::Image(storage, _lock) => {
            let volume = Volume::new(storage as Arc<dyn Storage>, mapping);
            let destination = target.create()?;
            (
                payload::decrypt(Ciphertext::Volume(&volume), &destination, &transfer)?,
                destination,
            )
        }
        Bytes::Stream(mut reader) => {
            payload::skip(&mut *reader, &report.source, plain.offset_bytes()?)?;
            let destination = target.create()?;
            let stream = Ciphertext::Stream {
                reader,
                name: &report.source,
                mapping,
                limit: extent.bytes,
            };
            (
                payload::decrypt(stream, &destination, &transfer)?,
                destination,
            )
        }
    };
    warn_of_tail(
        &report.source,
        extent.tail_bytes + copied.tail_bytes,
        plain.sector_bytes(),
    );
    destination.commit()?;
    if args.result.json {
        report.print(Some(copied.bytes))
    } else {
        Ok(())
    }
}

/// How much of the container is payload.
struct Extent {
    /// Whole sectors; unknown for a stream that no `--size` ends.
    bytes: Option<u64>,
    /// Bytes behind the last whole sector.
    tail_bytes: u64,
}

impl Extent {
    fn of(source: &Source, args: &DecryptArgs, plain: &Plain) -> Result<Self, Error> {
        let wanted = payload::wanted_bytes(args.container.size);
        let offset = plain.offset_bytes()?;
        let Some(len) = source.len()? else {
            return Ok(Self {
                bytes: wanted,
                tail_bytes: 0,
            });
        };
        let needed = offset.saturating_add(wanted.unwrap_or(0));
        if len < needed {
            return Err(SourceError::TooSmall {
                name: source.name.clone(),
                bytes: len,
                needed,
            }
            .into());
        }
        let tail_bytes = (len - offset) % plain.sector_bytes() as u64;
        Ok(match wanted {
            Some(_) => Self {
                bytes: wanted,
                tail_bytes: 0,
            },
            None => Self {
                bytes: Some(len - offset - tail_bytes),
                tail_bytes,
            },
        })
    }
}

fn warn_of_tail(name: &str, bytes: u64, sector_bytes: usize) {
    if bytes > 0 {
        output::warn(format_args!(
            "{name}: the last {bytes} bytes are no whole sector of {sector_bytes} bytes and were left out"
        ));
    }
}

/// What was, or would be, written.
struct Report<'a> {
    args: &'a DecryptArgs,
    plain: &'a Plain,
    source: String,
    destination: String,
}

impl Report<'_> {
    fn print(&self, payload_bytes: Option<u64>) -> Result<(), Error> {
        let offset = self.plain.offset_bytes()?;
        let key_bits = self.plain.key_bytes() * 8;
        if self.args.result.json {
            return output::json(
                "decrypt",
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
                }),
            );
        }
        let size = payload_bytes.map_or("as many bytes as there are".to_owned(), |bytes| {
            format!("{bytes} bytes")
        });
        let mut text = String::new();
        let _ = writeln!(text, "{} would become {}", self.source, self.destination);
        let _ = writeln!(
            text,
            "  plain, {}, key of {key_bits} bits, sectors of {} bytes, payload at {offset}",
            self.plain.cipher(),
            self.plain.sector_bytes()
        );
        let _ = writeln!(text, "  raw image: {size}");
        output::text(&text)
    }
}
