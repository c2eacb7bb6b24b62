//! A container to a raw image.

mod disk;

use std::sync::Arc;

use luks::{Header, Luks, Unfinished, Unlocked, Version};
use volume::{Mapping, Storage, Volume};

use crate::data_facts::DataFacts;
use crate::destination::{Destination, Overwrite, Target};
use crate::error::{Error, ImageError, Meant, SourceError};
use crate::inputs::Inputs;
use crate::losses::{BadPlaces, Losses};
use crate::new_image::{self, ImageOptions};
use crate::open;
use crate::payload::{self, Ciphertext};
use crate::place::Place;
use crate::plain::Plain;
use crate::policy::{self, Policies};
use crate::qcow::Qcow2;
use crate::report::Report;
use crate::secret::Secrets;
use crate::source::{Bytes, Source};
use crate::stream_header;
use crate::temporary::Content;
use crate::text;
use crate::transfer::{Transfer, Work, bypass_page_cache};
use crate::unlock::{self, Unlock};
use crate::watch::Watch;

/// What a container is.
#[derive(Clone, Debug)]
pub enum Container {
    /// What its header says; this version, where one is meant.
    Luks(Option<Version>),
    /// Without a header.
    Plain(Plain),
}

impl Default for Container {
    fn default() -> Self {
        Self::Luks(None)
    }
}

/// How a container is decrypted.
#[derive(Clone, Debug, Default)]
pub struct DecryptOptions {
    /// What it is.
    pub container: Container,
    /// It is a qcow2 image, encrypted or not, and is read so; [`Self::container`] is as by default then.
    pub disk: Option<Qcow2>,
    /// A qcow2 image is made, which is not encrypted.
    pub image: Option<ImageOptions>,
    /// Its header lies here.
    pub header: Option<Place>,
    /// How much plaintext is wanted, in units of 512 bytes; all that there is unless said.
    pub size_sectors: Option<u64>,
    /// What its header must look like.
    pub policies: Policies,
    /// How it is unlocked.
    pub unlock: Unlock,
    /// What becomes of what cannot be read.
    pub bad_places: BadPlaces,
    /// How the payload is copied.
    pub work: Work,
    /// What may be written over.
    pub overwrite: Overwrite,
    /// Nothing is written.
    pub dry_run: bool,
    /// The source may be read even while somebody else may be writing it.
    pub allow_in_use: bool,
    /// The source may be an image in a format of its own, or for a plain container one with a header.
    pub allow_any_source: bool,
    /// What is read beside the source, and must not be written: key files.
    pub inputs: Inputs,
}

/// Decrypts the container at `source` into a new image at `destination`, which is there whole or not at all.
///
/// # Errors
///
/// What is wrong with either place, the options or the secret; what cannot be read or written. Nothing is left then.
pub fn decrypt(
    source: &Place,
    destination: &Place,
    options: &DecryptOptions,
    secrets: &dyn Secrets,
    watch: &dyn Watch,
) -> Result<Report, Error> {
    if let Some(how) = &options.disk {
        return disk::decrypt(source, destination, how, options, secrets, watch);
    }
    let mut source = open::source(source, options.allow_in_use, watch)?;
    let header = options.header.as_ref();
    let header = header.map(|header| open::source(header, options.allow_in_use, watch));
    let header = header.transpose()?;
    let mut inputs = options
        .inputs
        .clone()
        .origin("the source", source.origin.clone());
    if let Some(header) = &header {
        inputs = inputs.origin("the header", header.origin.clone());
    }
    let target = open::target(destination, options.overwrite, &inputs)?;
    Losses::check(&options.bad_places, source.storage().is_none())?;
    let job = Job {
        options,
        secrets,
        watch,
    };
    match &options.container {
        Container::Plain(plain) => {
            // Behind an offset is what somebody has looked for.
            if !options.allow_any_source && plain.options.offset_sectors == 0 {
                let start = source.start()?;
                match source.check_raw(&*start, Meant::Plain) {
                    // Bad places come to light where they are decrypted.
                    Err(SourceError::Read { .. }) => {}
                    checked => checked?,
                }
            }
            if header.is_some() {
                return Err(Error::Conflict {
                    one: crate::new_container::Places::HEADER,
                    other: "a plain container",
                });
            }
            job.plain(plain, source, target)
        }
        Container::Luks(version) => job.luks(*version, source, header.as_ref(), target),
    }
}

/// All that does not change.
struct Job<'a> {
    options: &'a DecryptOptions,
    secrets: &'a dyn Secrets,
    watch: &'a dyn Watch,
}

impl Job<'_> {
    fn plain(&self, plain: &Plain, source: Source, target: Target) -> Result<Report, Error> {
        let options = self.options;
        if plain.cipher().is_null() && !options.unlock.allow_unencrypted {
            return Err(Error::NullCipher);
        }
        let offset = plain.offset_bytes()?;
        let (bytes, tail_bytes) = plain_extent(&source, options, offset, plain.sector_bytes())?;
        let report = Report {
            dry_run: options.dry_run,
            source: Some(source.name.clone()),
            ..plain.report(target.name.clone())?
        }
        .with_payload(bytes);
        check_target(options, &target, bytes)?;
        if options.dry_run {
            return Ok(report);
        }

        self.watch.planned(&report);
        let key = plain.volume_key(self.secrets, &source.name, false)?;
        let mapping = plain.mapping(&key, bytes)?;
        let payload = Payload {
            mapping,
            bytes,
            tail_bytes,
            position: 0,
        };
        self.write(source, target, payload, report)
    }

    fn luks(
        &self,
        version: Option<Version>,
        mut source: Source,
        header: Option<&Source>,
        target: Target,
    ) -> Result<Report, Error> {
        let (options, watch) = (self.options, self.watch);
        let header_name = header.unwrap_or(&source).name.clone();
        let mut position = 0;
        let header_storage: Arc<dyn Storage> = match (header, &mut source.bytes) {
            (Some(header), _) => header.seekable()?,
            (None, Bytes::Image(image)) => Arc::clone(&image.storage),
            (None, Bytes::Stream(stream)) => {
                let read = stream_header::read(&mut **stream);
                let (memory, bytes) =
                    read.map_err(|error| source_unreadable(&header_name, error))?;
                position = bytes;
                memory
            }
        };
        let policies = options.policies.read()?;
        let luks = unlock::open(&header_name, header_storage, &policies, watch)?;
        check_version(&luks, version, &header_name)?;
        if header.is_none() {
            unlock::check_attached(&luks, &header_name)?;
        }
        check_stream(&luks, &source, &header_name)?;
        let len = source.len()?;
        policy::check_data(&policies, &luks, &source.name, len)?;
        let mut report = self.luks_report(&source, header, &target, &luks);
        let wanted = payload::wanted_bytes(options.size_sectors);
        if options.dry_run {
            return Ok(report.with_payload(wanted));
        }

        watch.planned(&report);
        let (unlocked, _) =
            unlock::unlock(&luks, &header_name, self.secrets, &options.unlock, watch)?;
        let payload = luks_payload(
            options,
            &source,
            &header_name,
            &luks,
            &unlocked,
            position,
            len,
        )?;
        if header.is_none() && wanted.is_none() && payload.bytes == Some(0) {
            let warning = format_args!("{header_name} ends where its data begin");
            watch.has_no_data(&header_name, &warning);
        }
        check_target(options, &target, payload.bytes)?;
        report.keyslot = unlocked.keyslot();
        // Where no keyslot is left, the header does not tell it.
        report.key_bits = unlocked.volume_key().len() as u64 * 8;
        self.write(source, target, payload, report)
    }

    fn luks_report(
        &self,
        source: &Source,
        header: Option<&Source>,
        target: &Target,
        luks: &Luks,
    ) -> Report {
        let facts = DataFacts::of(luks.header());
        Report {
            dry_run: self.options.dry_run,
            source: Some(source.name.clone()),
            destination: target.name.clone(),
            header: header.map(|header| header.name.clone()),
            kind: kind_of(luks.header()),
            cipher: text::escape(&facts.ciphers()),
            key_bits: facts.key_bits,
            sector_size: facts.sector_size,
            sector_size_reason: None,
            format: None,
            payload_offset: facts.offset,
            payload_bytes: None,
            container_bytes: None,
            keyslot: None,
            lost: None,
        }
    }

    /// Decrypts the payload into the target.
    fn write(
        &self,
        source: Source,
        target: Target,
        payload: Payload,
        report: Report,
    ) -> Result<Report, Error> {
        let (options, watch) = (self.options, self.watch);
        let losses = Losses::begin(&options.bad_places)?;
        let transfer = Transfer {
            source: &source.name,
            destination: &report.destination,
            losses: &losses,
            bytes: payload.bytes,
            keep_holes: options.image.is_some(),
            pad_to: None,
            work: options.work,
            watch,
        };
        let sector_bytes = payload.mapping.sector_size();
        bypass_page_cache(options.work, &source.name, source.file())?;
        let (copied, destination) = match source.bytes {
            Bytes::Image(image) => {
                let volume = Volume::new(Arc::clone(&image.storage), payload.mapping);
                let destination = create(options, target, payload.bytes)?;
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
                let destination = create(options, target, payload.bytes)?;
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
            watch.warn(&format_args!(
                "{}: the last {tail_bytes} bytes are no whole sector of {sector_bytes} bytes and were left out",
                source.name
            ));
        }
        losses.write_map(copied.bytes)?;
        destination.commit()?;
        losses.keep()?;
        Ok(report
            .with_payload(Some(copied.bytes))
            .with_lost(losses.list()))
    }
}

/// Refuses a destination that so much plaintext does not go into.
fn check_target(
    options: &DecryptOptions,
    target: &Target,
    bytes: Option<u64>,
) -> Result<(), Error> {
    let needed = match (&options.image, bytes) {
        (Some(image), Some(bytes)) => Some(image.measure(&target.name, bytes, None)?.empty),
        (_, bytes) => bytes,
    };
    if options.image.is_some() {
        new_image::check_target(target, None)?;
    }
    Ok(needed.map_or(Ok(()), |needed| target.check_room(needed))?)
}

/// Opens it for so much plaintext.
fn create(
    options: &DecryptOptions,
    target: Target,
    bytes: Option<u64>,
) -> Result<Destination, Error> {
    let destination = target.create(Content::Secret)?;
    let Some(image) = &options.image else {
        return Ok(destination);
    };
    let bytes = bytes.ok_or_else(|| ImageError::SizeUnknown {
        name: "the source".to_owned(),
    })?;
    image.begin(destination, bytes, None)
}

/// How much of a plain container is payload, where that is known, and how much behind it is no whole sector.
fn plain_extent(
    source: &Source,
    options: &DecryptOptions,
    offset: u64,
    sector_bytes: usize,
) -> Result<(Option<u64>, u64), Error> {
    let wanted = payload::wanted_bytes(options.size_sectors);
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

fn luks_payload(
    options: &DecryptOptions,
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
    let whole = match &source.bytes {
        Bytes::Image(image) => {
            let volume = unlocked.volume(Arc::clone(&image.storage));
            volume.map(|volume| volume.mapping().clone())
        }
        Bytes::Stream(_) => unlocked.mapping(data_bytes),
    };
    let whole = whole.map_err(failed)?;
    let is_open_ended = len.is_none() && DataFacts::of(luks.header()).is_open_ended;
    let wanted = payload::wanted_bytes(options.size_sectors);
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

/// What a reencryption has left half way is read in more than one place.
fn check_stream(luks: &Luks, source: &Source, header_name: &str) -> Result<(), Error> {
    match (luks.header(), &source.bytes) {
        (Header::Luks2(header), Bytes::Stream(_)) if header.metadata.reencryption.is_some() => {
            Err(Error::luks(header_name, Unfinished::Stream.into()))
        }
        _ => Ok(()),
    }
}

/// The header must be of the version that is meant.
pub(crate) fn check_version(
    luks: &Luks,
    version: Option<Version>,
    name: &str,
) -> Result<(), Error> {
    match (version, luks.header()) {
        (Some(Version::Luks1), Header::Luks2(_)) | (Some(Version::Luks2), Header::Luks1(_)) => {
            Err(Error::OtherType {
                name: name.to_owned(),
                found: kind_of(luks.header()),
            })
        }
        _ => Ok(()),
    }
}

pub(crate) fn kind_of(header: &Header) -> &'static str {
    match header {
        Header::Luks1(_) => "luks1",
        Header::Luks2(_) => "luks2",
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
