//! `decrypt SRC DST`: a container to a raw image.

use std::sync::Arc;

use luks::{Header, Luks, Unlocked};
use volume::{Mapping, Storage, Volume};

use crate::args::{ContainerType, DecryptArgs, Operand};
use crate::destination::Target;
use crate::error::Error;
use crate::inputs::Inputs;
use crate::losses::Losses;
use crate::output;
use crate::passphrase::KeyInput;
use crate::payload::{self, Ciphertext};
use crate::plain::Plain;
use crate::policy;
use crate::report::Report;
use crate::source::{Bytes, Meant, Source, SourceError};
use crate::transfer::{Transfer, bypass_page_cache};
use crate::unlock;
use jobs::data_facts::DataFacts;
use jobs::stream_header;
use jobs::temporary::Content;

/// Decrypts.
pub fn run(args: &DecryptArgs) -> Result<(), Error> {
    let mut source = Source::open(&args.source, args.busy.read_in_use)?;
    let header = match &args.header.header {
        Some(path) => Some(Source::open(
            &Operand::Path(path.clone()),
            args.busy.read_in_use,
        )?),
        None => None,
    };
    let mut inputs = Inputs::none()
        .source("the source", &source)
        .keys(&args.keys)
        .path("the volume key file", args.unlock.volume_key_file.as_ref())
        .policies(&args.policy);
    if let Some(header) = &header {
        inputs = inputs.source("the header", header);
    }
    let target = Target::check(&args.destination, (&args.result).into(), &inputs)?;
    if args.result.output.json && target.is_stdout() {
        return Err(Error::Conflict {
            one: "--json",
            other: "image data on standard output",
        });
    }
    Losses::check(&args.bad_places, source.storage().is_none())?;
    let keys = KeyInput::new(&args.keys, args.source == Operand::Standard)?;
    match args.container.kind {
        Some(ContainerType::Plain) => {
            // Behind an offset is what somebody has looked for.
            if !args.any.allow_any_source && args.container.offset.unwrap_or(0) == 0 {
                let start = source.start()?;
                match source.check_raw(&*start, Meant::Plain) {
                    // Bad places come to light where they are decrypted.
                    Err(SourceError::Read { .. }) => {}
                    checked => checked?,
                }
            }
            plain(args, source, target, &keys)
        }
        kind => luks(args, kind, source, header.as_ref(), target, &keys),
    }
}

fn plain(args: &DecryptArgs, source: Source, target: Target, keys: &KeyInput) -> Result<(), Error> {
    let header = args.header.header.as_ref().map(|_| "--header");
    let policy = args.policy.policy.first().map(|_| "--policy");
    if let Some(one) = args.unlock.given().or(header).or(policy) {
        return Err(Error::Conflict {
            one,
            other: "a plain container",
        });
    }
    let plain = Plain::new(&args.container, &args.plain, keys)?;
    if plain.cipher().is_null() && !args.unlock.limits.allow_unencrypted {
        return Err(Error::NullCipher);
    }
    let offset = plain.offset_bytes()?;
    let (bytes, tail_bytes) = plain_extent(&source, args, offset, plain.sector_bytes())?;
    let report = Report {
        dry_run: args.result.dry.run,
        source: Some(source.name.clone()),
        destination: target.name.clone(),
        header: None,
        kind: "plain",
        cipher: plain.cipher().to_string(),
        key_bits: plain.key_bytes() as u64 * 8,
        sector_size: plain.sector_bytes() as u64,
        sector_size_reason: None,
        payload_offset: offset,
        payload_bytes: None,
        container_bytes: None,
        keyslot: None,
        lost: None,
    }
    .with_payload(bytes);
    if let Some(bytes) = bytes {
        target.check_room(bytes)?;
    }
    if args.result.dry.run {
        return report.print("decrypt", &args.work, args.result.output);
    }

    report.begin("decrypt", &args.work, args.result.output);
    let key = plain.key(keys, &source.name, false)?;
    let mapping = plain.mapping(&key, bytes)?;
    let payload = Payload {
        mapping,
        bytes,
        tail_bytes,
        position: 0,
    };
    write(args, source, target, payload, report)
}

/// How much of a plain container is payload, where that is known, and how much behind it is no whole sector.
fn plain_extent(
    source: &Source,
    args: &DecryptArgs,
    offset: u64,
    sector_bytes: usize,
) -> Result<(Option<u64>, u64), Error> {
    let wanted = payload::wanted_bytes(args.size);
    let Some(len) = source.len()? else {
        return Ok((wanted, 0));
    };
    let needed = offset.saturating_add(wanted.unwrap_or(0));
    if len < needed {
        return Err(too_small(source, len, needed));
    }
    let tail_bytes = (len - offset) % sector_bytes as u64;
    Ok(match wanted {
        Some(_) => (wanted, 0),
        None => (Some(len - offset - tail_bytes), tail_bytes),
    })
}

fn luks(
    args: &DecryptArgs,
    kind: Option<ContainerType>,
    mut source: Source,
    header: Option<&Source>,
    target: Target,
    keys: &KeyInput,
) -> Result<(), Error> {
    if let Some(one) = args.plain.given().or(args.container.told_by_header()) {
        return Err(Error::Conflict {
            one,
            other: "a LUKS container, whose header tells everything",
        });
    }
    let header_name = header.unwrap_or(&source).name.clone();
    let mut position = 0;
    let header_storage: Arc<dyn Storage> = match (header, &mut source.bytes) {
        (Some(header), _) => header.seekable()?,
        (None, Bytes::Image(storage, _)) => Arc::clone(storage) as Arc<dyn Storage>,
        (None, Bytes::Stream(stream)) => {
            let read = stream_header::read(&mut **stream);
            let (memory, bytes) = read.map_err(|error| source_unreadable(&header_name, error))?;
            position = bytes;
            memory
        }
    };
    let policies = policy::read(&args.policy)?;
    let luks = unlock::open_under(&header_name, header_storage, &policies)?;
    check_kind(&luks, kind, &header_name)?;
    if header.is_none() {
        unlock::check_attached(&luks, &header_name)?;
    }
    let len = source.len()?;
    policy::check_data(&policies, &luks, &source.name, len)?;
    if args.result.dry.run {
        let report = luks_report(args, &source, header, &target, &luks);
        let wanted = payload::wanted_bytes(args.size);
        return report
            .with_payload(wanted)
            .print("decrypt", &args.work, args.result.output);
    }

    luks_report(args, &source, header, &target, &luks).begin(
        "decrypt",
        &args.work,
        args.result.output,
    );
    let unlocked = unlock::unlock(&luks, &header_name, keys, &args.unlock)?;
    let payload = luks_payload(args, &source, &header_name, &luks, &unlocked, position, len)?;
    let is_all_wanted = payload::wanted_bytes(args.size).is_none();
    if header.is_none() && is_all_wanted && payload.bytes == Some(0) {
        output::warn(format_args!(
            "{header_name} ends where its data begin; decrypt DATA --header {header_name} reads data in another file"
        ));
    }
    if let Some(bytes) = payload.bytes {
        target.check_room(bytes)?;
    }
    let mut report = luks_report(args, &source, header, &target, &luks);
    report.keyslot = unlocked.keyslot();
    // Where no keyslot is left, the header does not tell it.
    report.key_bits = unlocked.volume_key().len() as u64 * 8;
    write(args, source, target, payload, report)
}

fn luks_payload(
    args: &DecryptArgs,
    source: &Source,
    header_name: &str,
    luks: &Luks,
    unlocked: &Unlocked,
    position: u64,
    len: Option<u64>,
) -> Result<Payload, Error> {
    let failed = |error| Error::luks(header_name, error);
    // A stream is as long as it turns out to be.
    let data_bytes = len.unwrap_or(payload::UNBOUNDED_BYTES);
    let whole = unlocked.mapping(data_bytes).map_err(failed)?;
    let is_open_ended = len.is_none() && DataFacts::of(luks.header()).is_open_ended;
    let wanted = payload::wanted_bytes(args.size);
    let (mapping, bytes) = match wanted {
        Some(wanted) if wanted > whole.len() => {
            return Err(too_small(source, whole.len(), wanted));
        }
        Some(wanted) => (payload::beginning(&whole, wanted)?, Some(wanted)),
        None if is_open_ended => (whole, None),
        None => {
            let bytes = whole.len();
            (whole, Some(bytes))
        }
    };
    let tail_bytes = match (len, wanted) {
        (Some(len), None) => unlocked.leftover_bytes(len),
        _ => 0,
    };
    Ok(Payload {
        mapping,
        bytes,
        tail_bytes,
        position,
    })
}

/// `--type` says what the image must be.
fn check_kind(luks: &Luks, kind: Option<ContainerType>, name: &str) -> Result<(), Error> {
    let found = kind_of(luks.header());
    match (kind, luks.header()) {
        (Some(ContainerType::Luks1), Header::Luks2(_))
        | (Some(ContainerType::Luks2), Header::Luks1(_)) => Err(Error::OtherType {
            name: name.to_owned(),
            found,
        }),
        _ => Ok(()),
    }
}

fn kind_of(header: &Header) -> &'static str {
    match header {
        Header::Luks1(_) => "luks1",
        Header::Luks2(_) => "luks2",
    }
}

fn luks_report(
    args: &DecryptArgs,
    source: &Source,
    header: Option<&Source>,
    target: &Target,
    luks: &Luks,
) -> Report {
    let facts = DataFacts::of(luks.header());
    Report {
        dry_run: args.result.dry.run,
        source: Some(source.name.clone()),
        destination: target.name.clone(),
        header: header.map(|header| header.name.clone()),
        kind: kind_of(luks.header()),
        cipher: output::escape(&facts.cipher),
        key_bits: facts.key_bits,
        sector_size: facts.sector_size,
        sector_size_reason: None,
        payload_offset: facts.offset,
        payload_bytes: None,
        container_bytes: None,
        keyslot: None,
        lost: None,
    }
}

/// The encrypted bytes of a container, found.
struct Payload {
    mapping: Mapping,
    /// How many bytes of plaintext there are; unknown for a stream that only its end ends.
    bytes: Option<u64>,
    /// Bytes behind the last whole sector, of an image.
    tail_bytes: u64,
    /// Where a stream stands.
    position: u64,
}

/// Decrypts the payload into the target.
fn write(
    args: &DecryptArgs,
    source: Source,
    target: Target,
    payload: Payload,
    report: Report,
) -> Result<(), Error> {
    let losses = Losses::begin(&args.bad_places)?;
    let transfer = Transfer {
        source: &source.name,
        destination: &report.destination,
        losses: &losses,
        bytes: payload.bytes,
        keep_holes: false,
        pad_to: None,
        work: &args.work,
        say: args.result.output,
    };
    let sector_bytes = payload.mapping.sector_size();
    bypass_page_cache(&args.work, &source.name, source.storage())?;
    let (copied, destination) = match source.bytes {
        Bytes::Image(storage, _lock) => {
            let volume = Volume::new(storage as Arc<dyn Storage>, payload.mapping);
            let destination = target.create(Content::Secret)?;
            let volume = Ciphertext::Volume(&volume);
            (
                payload::decrypt(volume, &destination, &transfer)?,
                destination,
            )
        }
        Bytes::Stream(mut reader) => {
            let start = payload
                .mapping
                .segments()
                .next()
                .map_or(0, |segment| segment.storage_offset);
            payload::skip(
                &mut *reader,
                &source.name,
                start.saturating_sub(payload.position),
            )?;
            let destination = target.create(Content::Secret)?;
            let stream = Ciphertext::Stream {
                reader,
                name: &source.name,
                mapping: payload.mapping,
                limit: payload.bytes,
            };
            (
                payload::decrypt(stream, &destination, &transfer)?,
                destination,
            )
        }
    };
    let tail_bytes = payload.tail_bytes + copied.tail_bytes;
    if tail_bytes > 0 {
        output::warn(format_args!(
            "{}: the last {tail_bytes} bytes are no whole sector of {sector_bytes} bytes and were left out",
            source.name
        ));
    }
    losses.write_map(copied.bytes)?;
    let name = destination.name.clone();
    destination.commit()?;
    losses.keep()?;
    report
        .with_payload(Some(copied.bytes))
        .with_lost(losses.list())
        .print("decrypt", &args.work, args.result.output)?;
    losses.say(&source.name, &zeros_in(&name))
}

/// What there is in place of what was lost.
pub(super) fn zeros_in(destination: &str) -> String {
    format!("it is zeros in {destination}, which holds all the rest")
}

fn too_small(source: &Source, bytes: u64, needed: u64) -> Error {
    SourceError::TooSmall {
        name: source.name.clone(),
        bytes,
        needed,
    }
    .into()
}

fn source_unreadable(name: &str, source: std::io::Error) -> Error {
    SourceError::Read {
        name: name.to_owned(),
        source,
    }
    .into()
}
