//! A container that is opened and stays open: its plaintext as a storage, for whoever serves it.

mod disk;

use std::sync::Arc;

use dmcrypt::{LockedBytes, SECTOR_BYTES};
use luks::Luks;
use serde::Serialize;
use volume::{Storage, Volume, Window};

use crate::block::Claim;
use crate::change::Target;
use crate::data_facts::DataFacts;
use crate::decrypt::{Container, check_version, kind_of};
use crate::error::{Error, MappingError, Meant, SourceError};
use crate::inputs::Inputs;
use crate::new_container::Places;
use crate::open;
use crate::payload;
use crate::place::Place;
use crate::plain::{Plain, PlainKey};
use crate::policy::{self, Policies};
use crate::qcow::{Opened, Qcow2};
use crate::secret::Secrets;
use crate::source::Source;
use crate::text;
use crate::unlock::{self, Unlock};
use crate::watch::Watch;

/// How a container is opened to be served.
#[derive(Clone, Debug, Default)]
pub struct ServeOptions {
    /// What it is.
    pub container: Container,
    /// It is a qcow2 image, with LUKS inside or not encrypted.
    pub disk: Option<Qcow2>,
    /// Its header lies here.
    pub header: Option<Place>,
    /// How much plaintext is served, in units of 512 bytes; all that there is unless said.
    pub size_sectors: Option<u64>,
    /// What its header must look like.
    pub policies: Policies,
    /// How it is unlocked.
    pub unlock: Unlock,
    /// Nothing is written.
    pub read_only: bool,
    /// It may be read even while somebody else may be writing it. Only with [`Self::read_only`].
    pub allow_in_use: bool,
    /// A plain container may be an image with a format or a header.
    pub allow_any_source: bool,
    /// What is read beside the image, and must not be written: key files.
    pub inputs: Inputs,
}

/// A container that is open. Whoever else would write it is kept away as long as this lives.
pub struct Served {
    /// What it is.
    pub report: ServedReport,
    /// Its plaintext.
    pub storage: Arc<dyn Storage>,
    /// Where the plaintext begins in the image, in bytes.
    pub payload_offset: u64,
    /// The IV number of its first byte, in units of 512 bytes, as a mapping of the kernel has it.
    pub first_iv_sector: u64,
    /// The keyslot that has opened it.
    pub keyslot: Option<u32>,
    make: Make,
    keys: Vec<LockedBytes>,
    _held: (Image, Option<Source>),
}

/// Makes the plaintext, as long as there are data for it at that moment.
type Make = Box<dyn Fn() -> Result<Plaintext, Error> + Send + Sync>;

struct Plaintext {
    storage: Arc<dyn Storage>,
    is_read_only: bool,
}

impl From<Volume> for Plaintext {
    fn from(volume: Volume) -> Self {
        Self {
            is_read_only: volume.mapping().is_read_only(),
            storage: Arc::new(volume),
        }
    }
}

/// What is served.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ServedReport {
    /// The image.
    pub image: String,
    /// The file with the header, where that is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// `luks1`, `luks2`, `plain` or `qcow2`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Cipher specification.
    pub cipher: String,
    /// Size of the key in bits.
    pub key_bits: u64,
    /// Bytes that are encrypted as one.
    pub sector_size: u64,
    /// Bytes of plaintext.
    pub payload_bytes: u64,
    /// Whether nothing is written.
    pub read_only: bool,
}

impl Served {
    /// The keys that open it once more without any derivation: by [`Secrets::volume_key`] and
    /// [`Secrets::other_volume_key`], or of a plain container as the key [itself](PlainKey::Itself).
    pub fn keys(&self) -> &[LockedBytes] {
        &self.keys
    }

    /// The plaintext anew, of so many units of 512 bytes, or all that there is by now: the image may have grown.
    ///
    /// # Errors
    ///
    /// [`MappingError::Size`].
    pub fn resized(&self, size_sectors: Option<u64>) -> Result<Arc<dyn Storage>, Error> {
        let storage = (self.make)()?.storage;
        let refused = |sectors, problem: String| MappingError::Size {
            name: self.report.image.clone(),
            sectors,
            problem,
        };
        let Some(sectors) = size_sectors.filter(|sectors| *sectors != 0) else {
            return Ok(storage);
        };
        let bytes = sectors.saturating_mul(SECTOR_BYTES);
        if !bytes.is_multiple_of(self.report.sector_size) {
            let unit = self.report.sector_size;
            return Err(refused(sectors, format!("no multiple of {unit} bytes")).into());
        }
        let own = storage.len();
        let own = own.map_err(|source| unreadable(&self.report.image, source))?;
        view(storage, own, bytes)
            .ok_or_else(|| refused(sectors, format!("more than there is: {own} bytes")).into())
    }
}

/// So many bytes of a plaintext of `own` bytes, where it has as many.
fn view(storage: Arc<dyn Storage>, own: u64, bytes: u64) -> Option<Arc<dyn Storage>> {
    if bytes == own {
        return Some(storage);
    }
    let window = Window::new(storage, 0..bytes);
    Some(Arc::new(window.ok()?))
}

/// Opens the container at `image`, and keeps it. What is half way through a reencryption is only read.
///
/// # Errors
///
/// What is wrong with the place, the options or the secret.
pub fn open(
    image: &Place,
    options: &ServeOptions,
    secrets: &dyn Secrets,
    watch: &dyn Watch,
) -> Result<Served, Error> {
    if let Some(how) = &options.disk {
        return disk::open(image, how, options, secrets, watch);
    }
    let header = options.header.as_ref();
    let header = header.map(|header| open::source(header, options.allow_in_use, watch));
    let header = header.transpose()?;
    let mut inputs = options.inputs.clone();
    for policy in &options.policies.files {
        inputs = inputs.path("the policy", Some(policy));
    }
    if let Some(header) = &header {
        inputs = inputs.origin("the header", header.origin.clone());
    }
    let image = if options.read_only {
        Image::Read(open::source(image, options.allow_in_use, watch)?)
    } else {
        Image::Written(open::changed(image, false, Claim::Whole, &inputs)?)
    };
    let opener = Opener {
        options,
        secrets,
        watch,
        storage: image.storage()?,
        image,
        header,
    };
    match &options.container {
        Container::Plain(plain) => opener.plain(plain),
        Container::Luks(version) => opener.luks(*version),
    }
}

/// The image with the data.
enum Image {
    Read(Source),
    Written(Target),
    Disk(Box<Opened>),
}

impl Image {
    fn name(&self) -> &str {
        match self {
            Self::Read(source) => &source.name,
            Self::Written(target) => &target.name,
            Self::Disk(opened) => opened.name(),
        }
    }

    fn storage(&self) -> Result<Arc<dyn Storage>, Error> {
        match self {
            Self::Read(source) => Ok(source.seekable()?),
            Self::Written(target) => Ok(Arc::clone(&target.storage)),
            Self::Disk(opened) => Ok(opened.source().seekable()?),
        }
    }
}

struct Opener<'a> {
    options: &'a ServeOptions,
    secrets: &'a dyn Secrets,
    watch: &'a dyn Watch,
    storage: Arc<dyn Storage>,
    image: Image,
    header: Option<Source>,
}

impl Opener<'_> {
    fn luks(self, version: Option<luks::Version>) -> Result<Served, Error> {
        let (options, watch) = (self.options, self.watch);
        let (name, header_storage) = match &self.header {
            Some(header) => (header.name.clone(), header.seekable()?),
            None => (self.image.name().to_owned(), Arc::clone(&self.storage)),
        };
        let policies = options.policies.read()?;
        let luks = unlock::open(&name, header_storage, &policies, watch)?;
        check_version(&luks, version, &name)?;
        if self.header.is_none() {
            unlock::check_attached(&luks, &name)?;
        }
        let bytes = self.bytes()?;
        policy::check_data(&policies, &luks, self.image.name(), Some(bytes))?;
        let (unlocked, _) = unlock::unlock(&luks, &name, self.secrets, &options.unlock, watch)?;
        self.tell_leftover(unlocked.leftover_bytes(bytes));
        let keys = unlocked.keys();
        let keys = keys.map(|(_, key, _)| LockedBytes::copy_of(key.expose()));
        let keys: Vec<_> = keys.collect();
        let report = ServedReport {
            key_bits: unlocked.volume_key().len() as u64 * 8,
            ..self.report(&luks)
        };
        let offset = luks.header().data_offset().unwrap_or(0);
        let keyslot = unlocked.keyslot();
        let storage = Arc::clone(&self.storage);
        let make = move || {
            let volume = unlocked.volume(Arc::clone(&storage));
            let volume = volume.map_err(|error| Error::luks(&name, error))?;
            Ok(volume.into())
        };
        let served = self.served(Box::new(make), report, keys, (offset, 0))?;
        Ok(Served { keyslot, ..served })
    }

    fn plain(self, plain: &Plain) -> Result<Served, Error> {
        let options = self.options;
        if self.header.is_some() {
            return Err(Error::Conflict {
                one: Places::HEADER,
                other: "a plain container",
            });
        }
        // Behind an offset is what somebody has looked for.
        if !options.allow_any_source && plain.options.offset_sectors == 0 {
            let storage = &self.storage;
            let source = Source::of_storage(self.image.name().to_owned(), storage);
            match source.check_raw(&**storage, Meant::Plain) {
                // Bad places come to light where they are read.
                Err(SourceError::Read { .. }) => {}
                checked => checked?,
            }
        }
        if plain.cipher().is_null() && !options.unlock.allow_unencrypted {
            return Err(Error::NullCipher);
        }
        let offset = plain.offset_bytes()?;
        let tail_of = move |bytes: u64, plain: &Plain| {
            let rest = bytes.saturating_sub(offset);
            (rest, rest % plain.sector_bytes() as u64)
        };
        self.tell_leftover(tail_of(self.bytes()?, plain).1);
        let key = plain.volume_key(self.secrets, self.image.name(), false)?;
        let report = ServedReport {
            image: self.image.name().to_owned(),
            header: None,
            kind: "plain",
            cipher: plain.cipher().to_string(),
            key_bits: plain.key_bytes() as u64 * 8,
            sector_size: plain.sector_bytes() as u64,
            payload_bytes: 0,
            read_only: options.read_only,
        };
        let keys = vec![LockedBytes::copy_of(key.expose())];
        let first_iv_sector = plain.options.skip_sectors;
        let (storage, name) = (Arc::clone(&self.storage), self.image.name().to_owned());
        let plain = plain.clone();
        let make = move || {
            let bytes = storage.len().map_err(|source| unreadable(&name, source))?;
            let (rest, tail) = tail_of(bytes, &plain);
            let mapping = plain.mapping(&key, Some(rest - tail))?;
            Ok(Volume::new(Arc::clone(&storage), mapping).into())
        };
        self.served(Box::new(make), report, keys, (offset, first_iv_sector))
    }

    /// The volume, or as much of it as is wanted.
    fn served(
        self,
        make: Make,
        report: ServedReport,
        keys: Vec<LockedBytes>,
        (payload_offset, first_iv_sector): (u64, u64),
    ) -> Result<Served, Error> {
        let name = self.image.name();
        let made = make()?;
        let own = made.storage.len();
        let own = own.map_err(|source| unreadable(name, source))?;
        let cannot_be_written = made.is_read_only;
        if cannot_be_written && !self.options.read_only {
            self.watch.warn(&format_args!(
                "{name}: a reencryption is under way: it is served for reading only"
            ));
        }
        let payload_bytes = payload::wanted_bytes(self.options.size_sectors).unwrap_or(own);
        let storage =
            view(made.storage, own, payload_bytes).ok_or_else(|| SourceError::TooSmall {
                name: name.to_owned(),
                bytes: own,
                needed: payload_bytes,
            })?;
        Ok(Served {
            report: ServedReport {
                payload_bytes,
                read_only: self.options.read_only || cannot_be_written,
                ..report
            },
            storage,
            payload_offset,
            first_iv_sector,
            keyslot: None,
            make,
            keys,
            _held: (self.image, self.header),
        })
    }

    fn report(&self, luks: &Luks) -> ServedReport {
        let facts = DataFacts::of(luks.header());
        ServedReport {
            image: self.image.name().to_owned(),
            header: self.header.as_ref().map(|header| header.name.clone()),
            kind: kind_of(luks.header()),
            cipher: text::escape(&facts.ciphers()),
            key_bits: facts.key_bits,
            sector_size: facts.sector_size,
            payload_bytes: 0,
            read_only: self.options.read_only,
        }
    }

    fn bytes(&self) -> Result<u64, Error> {
        let name = self.image.name();
        self.storage
            .len()
            .map_err(|source| unreadable(name, source))
    }

    fn tell_leftover(&self, bytes: u64) {
        if bytes > 0 && self.options.size_sectors.is_none() {
            self.watch.warn(&format_args!(
                "{}: the last {bytes} bytes are no whole sector and are left out",
                self.image.name()
            ));
        }
    }
}

fn unreadable(name: &str, source: std::io::Error) -> Error {
    let name = name.to_owned();
    SourceError::Read { name, source }.into()
}

impl ServeOptions {
    /// The same for who has the [keys](Served::keys) already.
    #[must_use]
    pub fn with_keys(mut self) -> Self {
        if let Container::Plain(plain) = &mut self.container {
            plain.key = PlainKey::Itself;
        }
        self.unlock.keyslot = None;
        self
    }
}
