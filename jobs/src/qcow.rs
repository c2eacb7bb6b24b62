//! A qcow2 image as a source: the files that it consists of, what unlocks them, and the plaintext of the disk.
//!
//! No file is taken for qcow2 because of its bytes: whoever calls says so. What an image refers to is read only where
//! that is allowed, and then only what lies in its own folder or below it.

mod beside;
mod chain;

use std::sync::Arc;

use dmcrypt::{LockedBytes, Passphrase, SectorCipher, VolumeKey};
use luks::{Header, Luks, Policy};
use volume::{ImageLock, SegmentKind, Storage, Window};

use crate::block::Claim;
use crate::change::Target;
use crate::error::{Error, QcowError, SecretError, SourceError};
use crate::inputs::Inputs;
use crate::key_source::KeyFormat;
use crate::open;
use crate::place::Place;
use crate::secret::{self, Asked, Form, Secrets};
use crate::source::Source;
use crate::text;
use crate::transfer::{Work, bypass_page_cache};
use crate::unlock::{self, Seal, Unlock};
use crate::watch::Watch;

/// Images that lie on each other, the first one included.
pub const MOST_LAYERS: usize = 16;
/// What a source is called in an [`Error::Conflict`].
pub const IMAGE: &str = "a qcow2 image";

/// How a qcow2 image is read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Qcow2 {
    /// The state that the internal snapshot of this name, or of this number, has kept.
    pub snapshot: Option<String>,
    /// The backing and data files that it refers to are read too: those in its own folder or below it.
    pub follow: bool,
}

/// A qcow2 image that is open, with what it stands on. Nothing is unlocked.
pub struct Opened {
    /// The image itself first.
    layers: Vec<Layer>,
    snapshot: Option<qcow2::Snapshot>,
    /// Its own file, where that may be written.
    written: Option<Target>,
}

/// One of the files that lie on each other.
struct Layer {
    source: Source,
    kind: Kind,
}

enum Kind {
    Raw,
    /// A container, as it lies there.
    Luks(Box<Luks>),
    Qcow2 {
        image: Box<qcow2::Image>,
        luks: Option<Box<Luks>>,
        data: Option<Source>,
    },
}

impl Layer {
    fn luks(&self) -> Option<&Luks> {
        match &self.kind {
            Kind::Raw => None,
            Kind::Luks(luks) => Some(luks),
            Kind::Qcow2 { luks, .. } => luks.as_deref(),
        }
    }

    fn into_locks(self) -> impl Iterator<Item = ImageLock> {
        let data = match self.kind {
            Kind::Qcow2 { data, .. } => data,
            _ => None,
        };
        let sources = [Some(self.source), data];
        sources.into_iter().flatten().filter_map(Source::into_lock)
    }

    fn sources(&self) -> impl Iterator<Item = &Source> {
        let data = match &self.kind {
            Kind::Qcow2 { data, .. } => data.as_ref(),
            _ => None,
        };
        std::iter::once(&self.source).chain(data)
    }
}

/// The disk in an image, readable.
pub struct Disk {
    /// Its plaintext.
    pub storage: Arc<dyn Storage>,
    /// The keyslot that was opened of the image itself.
    pub keyslot: Option<u32>,
    /// The passphrase that did.
    pub passphrase: Option<Passphrase>,
    /// Size of its volume key; 0 where it is not encrypted.
    pub key_bits: u64,
    /// The volume keys: its own, which is empty where it is not encrypted, and those of what it stands on.
    pub keys: Vec<LockedBytes>,
    /// Whether it can be written.
    pub is_written: bool,
}

impl Opened {
    /// Opens the image in `place` and what it refers to, and holds each LUKS header to `policies`. What is wrong and can be
    /// passed over is told.
    ///
    /// # Errors
    ///
    /// What is wrong with one of the files, or with how they refer to each other.
    pub fn open(
        place: &Place,
        how: &Qcow2,
        policies: &[Policy],
        in_use: bool,
        watch: &dyn Watch,
    ) -> Result<Self, Error> {
        let source = open::source(place, in_use, watch)?;
        Self::of(source, place, how, policies, in_use, watch)
    }

    /// The same of an image that is to be written, but for what it stands on.
    ///
    /// # Errors
    ///
    /// As [`Self::open`]; somebody else uses it.
    pub fn open_to_write(
        place: &Place,
        how: &Qcow2,
        policies: &[Policy],
        inputs: &Inputs,
        watch: &dyn Watch,
    ) -> Result<Self, Error> {
        let target = open::changed(place, false, Claim::Whole, inputs)?;
        let opened = Self::of(target.source(), place, how, policies, false, watch)?;
        Ok(Self {
            written: Some(target),
            ..opened
        })
    }

    fn of(
        source: Source,
        place: &Place,
        how: &Qcow2,
        policies: &[Policy],
        in_use: bool,
        watch: &dyn Watch,
    ) -> Result<Self, Error> {
        let layers = chain::open(source, place, how.follow, policies, in_use, watch)?;
        let opened = Self {
            layers,
            snapshot: None,
            written: None,
        };
        let snapshot = how.snapshot.as_deref();
        let snapshot = snapshot.map(|name| opened.image().snapshot(name).cloned());
        let snapshot = snapshot
            .transpose()
            .map_err(|error| image_error(opened.name(), error))?;
        Ok(Self { snapshot, ..opened })
    }

    /// How messages name it.
    pub fn name(&self) -> &str {
        &self.layers[0].source.name
    }

    /// The image itself.
    pub fn image(&self) -> &qcow2::Image {
        match &self.layers[0].kind {
            Kind::Qcow2 { image, .. } => image,
            _ => unreachable!("the first layer is a qcow2 image"),
        }
    }

    /// Its file.
    pub fn source(&self) -> &Source {
        &self.layers[0].source
    }

    /// Its LUKS header, if it is encrypted.
    pub fn luks(&self) -> Option<&Luks> {
        self.layers[0].luks()
    }

    /// Whether anything is to be unlocked: of it, or of what it stands on.
    pub fn is_encrypted(&self) -> bool {
        self.layers.iter().any(|layer| layer.luks().is_some())
    }

    /// Bytes of the disk.
    pub fn bytes(&self) -> u64 {
        let size = self.image().header().size;
        self.snapshot
            .as_ref()
            .map_or(size, |snapshot| snapshot.size)
    }

    /// What is read, and must not be written.
    #[must_use]
    pub fn inputs(&self, mut inputs: Inputs) -> Inputs {
        for (index, layer) in self.layers.iter().enumerate() {
            for (file, source) in layer.sources().enumerate() {
                let what = match (index, file) {
                    (0, 0) => "the source",
                    _ => "a file that the source refers to",
                };
                inputs = inputs.origin(what, source.origin.clone());
            }
        }
        inputs
    }

    /// Reads all of its files past the page cache, if that is asked for.
    ///
    /// # Errors
    ///
    /// One of them cannot be.
    pub fn bypass_page_cache(&self, work: Work) -> Result<(), Error> {
        let mut sources = self.layers.iter().flat_map(Layer::sources);
        sources.try_for_each(|source| bypass_page_cache(work, &source.name, source.file()))
    }

    /// What keeps writers away from all of its files.
    pub(crate) fn into_locks(self) -> Vec<ImageLock> {
        let locks = self.layers.into_iter().flat_map(Layer::into_locks);
        locks.collect()
    }

    /// Its disk as a source, where nothing of it is encrypted.
    ///
    /// # Errors
    ///
    /// It is.
    pub fn plain_source(&self, work: Work, watch: &dyn Watch) -> Result<Source, Error> {
        if let Some(layer) = self.layers.iter().find(|layer| layer.luks().is_some()) {
            let name = layer.source.name.clone();
            return Err(QcowError::Encrypted { name }.into());
        }
        self.bypass_page_cache(work)?;
        let nothing = LockedBytes::zeroed(0);
        let nothing = secret::Passphrase(&nothing);
        let disk = self.unlock(&nothing, &Unlock::default(), watch)?;
        let mut source = Source::of_storage(self.name().to_owned(), &disk.storage);
        source.origin = None;
        Ok(source)
    }

    /// Unlocks it and what it stands on, each by a key of its own, from the image itself downwards.
    ///
    /// # Errors
    ///
    /// What is wrong with a secret or a header.
    pub fn unlock(
        &self,
        secrets: &dyn Secrets,
        how: &Unlock,
        watch: &dyn Watch,
    ) -> Result<Disk, Error> {
        let mut keyslot = None;
        let mut passphrase = None;
        let mut key_bits = 0;
        let mut keys = vec![LockedBytes::zeroed(0)];
        let mut unlocked = Vec::with_capacity(self.layers.len());
        let mut below = 0;
        for (index, layer) in self.layers.iter().enumerate() {
            let Some(luks) = layer.luks() else {
                unlocked.push(None);
                continue;
            };
            let name = &layer.source.name;
            if index == 0 {
                let (opened, by) = unlock::unlock(luks, name, secrets, how, watch)?;
                keyslot = opened.keyslot();
                key_bits = opened.volume_key().len() as u64 * 8;
                keys[0] = LockedBytes::copy_of(opened.volume_key().expose());
                passphrase = by;
                unlocked.push(Some(opened));
                continue;
            }
            below += 1;
            let secrets = OfLayer { secrets, below };
            let how = Unlock {
                keyslot: None,
                volume_key_bytes: None,
                seal: Seal {
                    required: how.seal.required,
                    ..Seal::default()
                },
                ..how.clone()
            };
            let (opened, _) = unlock::unlock(luks, name, &secrets, &how, watch)?;
            keys.push(LockedBytes::copy_of(opened.volume_key().expose()));
            unlocked.push(Some(opened));
        }

        let mut storage: Option<Arc<dyn Storage>> = None;
        let mut is_written = false;
        // However many there are, what is kept of their tables is bounded.
        let cache = qcow2::Cache::default();
        for (index, (layer, unlocked)) in self.layers.iter().zip(unlocked).enumerate().rev() {
            let name = &layer.source.name;
            let own = layer.source.seekable()?;
            let failed = |error| Error::luks(name, error);
            storage = Some(match (&layer.kind, unlocked) {
                (Kind::Raw, _) => own,
                (Kind::Luks(_), Some(unlocked)) => Arc::new(unlocked.volume(own).map_err(failed)?),
                (Kind::Luks(_), None) => unreachable!("what has a header was unlocked"),
                (Kind::Qcow2 { image, data, .. }, unlocked) => {
                    let cipher = unlocked.map(|unlocked| cipher(&unlocked).map_err(failed));
                    let layer = qcow2::Layer {
                        cipher: cipher.transpose()?,
                        data: data.as_ref().map(Source::seekable).transpose()?,
                        backing: storage,
                        cache: cache.clone(),
                    };
                    let snapshot = self.snapshot.as_ref().filter(|_| index == 0);
                    if index == 0
                        && self.written.is_some()
                        && let Some(live) = self.live(image, layer.clone(), watch)?
                    {
                        is_written = true;
                        storage = Some(live);
                        continue;
                    }
                    let view = image.view(snapshot, layer);
                    Arc::new(view.map_err(|error| image_error(name, error))?)
                }
            });
        }
        Ok(Disk {
            storage: storage.expect("there is one layer at least"),
            keyslot,
            passphrase,
            key_bits,
            keys,
            is_written,
        })
    }

    /// The disk to be written, unless it can only be read.
    fn live(
        &self,
        image: &qcow2::Image,
        layer: qcow2::Layer,
        watch: &dyn Watch,
    ) -> Result<Option<Arc<dyn Storage>>, Error> {
        let reason = if self.snapshot.is_some() {
            "it is a snapshot".to_owned()
        } else {
            match image.live(layer) {
                Ok(live) => return Ok(Some(Arc::new(live))),
                Err(qcow2::Error::ReadOnly(reason)) => reason,
                Err(error) => return Err(image_error(self.name(), error)),
            }
        };
        watch.warn(&format_args!(
            "{}: it is served for reading only: {reason}",
            self.name()
        ));
        Ok(None)
    }
}

/// The cipher of a header alone: where its data would lie, and how many there would be, does not matter here.
fn cipher(unlocked: &luks::Unlocked) -> Result<Arc<dyn SectorCipher>, luks::Error> {
    let mapping = unlocked.mapping(crate::payload::UNBOUNDED_BYTES)?;
    let cipher = mapping.segments().find_map(|segment| match &segment.kind {
        SegmentKind::Crypt { cipher, .. } => Some(Arc::clone(cipher)),
        _ => None,
    });
    Ok(cipher.expect("LUKS1 has one segment, which is encrypted"))
}

/// The LUKS header in an image.
pub(crate) fn open_luks(name: &str, window: Window) -> Result<Luks, Error> {
    let window: Arc<dyn Storage> = Arc::new(window);
    let luks = Luks::open(Arc::clone(&window));
    let luks = luks.map_err(|error| Error::of_image(name, error, &*window))?;
    // QEMU puts LUKS1 into its images, and nothing else.
    match luks.header() {
        Header::Luks1(_) => Ok(luks),
        Header::Luks2(_) => Err(Error::OtherType {
            name: format!("the LUKS header in {name}"),
            found: "luks2",
        }),
    }
}

/// What a mark says.
pub(crate) const DIRTY: &str =
    "it is marked dirty: it was not closed, and what it says of free clusters may be wrong";
/// The same.
pub(crate) const CORRUPT: &str = "it is marked corrupt: a program has found it damaged";

/// What an image says to be wrong with itself, which does not keep anybody from reading it.
pub(crate) fn marks(header: &qcow2::Header) -> Vec<String> {
    [(header.is_dirty, DIRTY), (header.is_corrupt, CORRUPT)]
        .into_iter()
        .filter(|(is_so, _)| *is_so)
        .map(|(_, what)| what.to_owned())
        .collect()
}

/// The secrets of one of the files below an image.
struct OfLayer<'a> {
    secrets: &'a dyn Secrets,
    below: usize,
}

impl Secrets for OfLayer<'_> {
    fn passphrase(&self, asked: &Asked<'_>) -> Result<LockedBytes, SecretError> {
        let asked = Asked {
            below: self.below,
            ..*asked
        };
        self.secrets.passphrase(&asked)
    }

    fn name(&self) -> String {
        self.secrets.name()
    }

    /// The one that is given is that of the image itself.
    fn volume_key(&self) -> Result<Option<VolumeKey>, SecretError> {
        self.secrets.volume_key_below(self.below)
    }

    fn forms(&self, given: &LockedBytes) -> Vec<Form> {
        self.secrets.forms(given)
    }

    fn fitted(&self, image: &str, format: KeyFormat) {
        self.secrets.fitted(image, format);
    }

    fn tries(&self) -> u32 {
        self.secrets.tries()
    }

    fn did_not_fit(&self, error: &Error) {
        self.secrets.did_not_fit(error);
    }
}

/// What is wrong with the image that messages call `name`.
pub(crate) fn image_error(name: &str, error: qcow2::Error) -> Error {
    match error {
        qcow2::Error::Read(source) => SourceError::Read {
            name: name.to_owned(),
            source,
        }
        .into(),
        error => QcowError::Image {
            name: name.to_owned(),
            error: Box::new(error),
        }
        .into(),
    }
}

fn escaped(name: &str) -> String {
    text::escape(name)
}
