//! Do two images hold the same plaintext?

mod first_difference;

use std::sync::Arc;

use dmcrypt::{LockedBytes, Passphrase};
use luks::{Luks, Policy, UnusableKeyslot};
use recognise::{Class, recognise};
use serde::Serialize;
use volume::{ImageLock, Storage, Volume};

use self::first_difference::first_difference;
use crate::decrypt::kind_of;
use crate::error::Error;
use crate::losses::{BadPlaces, Losses, Lost};
use crate::open;
use crate::place::Place;
use crate::policy::{self, Policies};
use crate::qcow;
use crate::secret::{self, Secrets};
use crate::source::Source;
use crate::transfer::{Work, bypass_page_cache};
use crate::unlock::{self, Unlock};
use crate::watch::Watch;

/// How two images are compared. What there are two of is for the first and for the second.
#[derive(Clone, Debug, Default)]
pub struct CompareOptions {
    /// Their headers lie here.
    pub headers: [Option<Place>; 2],
    /// What they are: a container where there is a header and raw where there is none, unless said.
    pub formats: [Option<Format>; 2],
    /// What the headers must look like.
    pub policies: Policies,
    /// How they are unlocked.
    pub unlock: [Unlock; 2],
    /// One passphrase is for both, and asked for once: it may come from a pipe.
    pub is_one_key: bool,
    /// What it is, in an [`Error::Conflict`], that two raw images have no use for: a key, for one.
    pub only_for_containers: Option<&'static str>,
    /// What becomes of what cannot be read.
    pub bad_places: BadPlaces,
    /// How they are read.
    pub work: Work,
    /// They may be read even while somebody else may be writing them.
    pub allow_in_use: bool,
}

/// What an image is that is compared.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Format {
    /// Raw, whatever is in it.
    Raw,
    /// A LUKS container.
    Luks,
    /// A qcow2 image, encrypted or not.
    Qcow2(qcow::Qcow2),
}

/// What two images hold.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// They hold the same.
    pub same: bool,
    /// The first byte that is not the same in both: that one has and the other has not, too.
    pub first_difference: Option<u64>,
    /// By how many bytes one is longer.
    pub length_difference: u64,
    /// The first.
    pub a: Compared,
    /// The second.
    pub b: Compared,
    /// What cannot be read of one or of both, and is not compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<Vec<Lost>>,
}

/// An image that was compared.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Compared {
    /// How messages name it.
    pub image: String,
    /// `raw`, `luks1`, `luks2` or `qcow2`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The keyslot that was opened.
    pub keyslot: Option<u32>,
    /// Bytes of plaintext.
    pub bytes: u64,
}

/// Compares. Nothing is written.
///
/// # Errors
///
/// What is wrong with either place, the options or a secret; what cannot be read.
pub fn compare(
    places: [&Place; 2],
    options: &CompareOptions,
    secrets: [&dyn Secrets; 2],
    watch: &dyn Watch,
) -> Result<Comparison, Error> {
    let policies = options.policies.read()?;
    let a = Image::open(places[0], 0, options, &policies, watch)?;
    let b = Image::open(places[1], 1, options, &policies, watch)?;
    if let Some(one) = options.only_for_containers
        && !a.is_encrypted()
        && !b.is_encrypted()
    {
        return Err(Error::Conflict {
            one,
            other: "two raw images",
        });
    }
    Losses::check(&options.bad_places, false)?;
    let [a, b] = unlocked(options, secrets, [a, b], watch)?;

    let losses = Losses::begin(&options.bad_places)?;
    let first = first_difference(&a, &b, options.work, &losses, watch)?;
    let (a, b) = (a.compared(), b.compared());
    let shorter = a.bytes.min(b.bytes);
    losses.write_map(shorter)?;
    losses.keep()?;
    let first_difference = first.or((a.bytes != b.bytes).then_some(shorter));
    Ok(Comparison {
        same: first_difference.is_none(),
        first_difference,
        length_difference: a.bytes.abs_diff(b.bytes),
        a,
        b,
        lost: losses.list(),
    })
}

/// An image as it lies there.
enum Image {
    Disk(qcow::Opened),
    Bytes(Box<Bare>),
}

/// One whose bytes are its content, or a container's.
struct Bare {
    source: Source,
    storage: Arc<dyn Storage>,
    /// Its size in bytes.
    bytes: u64,
    /// Its header; without one it is raw.
    luks: Option<Luks>,
    /// Where that lies, if not in it.
    header: Option<Source>,
}

impl Image {
    fn open(
        place: &Place,
        index: usize,
        options: &CompareOptions,
        policies: &[Policy],
        watch: &dyn Watch,
    ) -> Result<Self, Error> {
        match &options.formats[index] {
            Some(Format::Qcow2(how)) => {
                if options.headers[index].is_some() {
                    return Err(Error::Conflict {
                        one: crate::new_container::Places::HEADER,
                        other: qcow::IMAGE,
                    });
                }
                let opened = qcow::Opened::open(place, how, policies, options.allow_in_use, watch)?;
                opened.bypass_page_cache(options.work)?;
                Ok(Self::Disk(opened))
            }
            _ => Ok(Self::Bytes(Box::new(Bare::open(
                place, index, options, policies, watch,
            )?))),
        }
    }

    fn is_encrypted(&self) -> bool {
        match self {
            Self::Disk(opened) => opened.is_encrypted(),
            Self::Bytes(bare) => bare.luks.is_some(),
        }
    }
}

impl Bare {
    fn open(
        place: &Place,
        index: usize,
        options: &CompareOptions,
        policies: &[Policy],
        watch: &dyn Watch,
    ) -> Result<Self, Error> {
        let source = open::source(place, options.allow_in_use, watch)?;
        let storage = source.seekable()?;
        let bytes = storage.len().map_err(|error| source.unreadable(error))?;
        bypass_page_cache(options.work, &source.name, source.file())?;
        let header = options.headers[index].as_ref();
        let header = header.map(|header| open::source(header, options.allow_in_use, watch));
        let header = header.transpose()?;
        let (name, header_storage) = match &header {
            Some(header) => (&header.name, header.seekable()?),
            None => (&source.name, Arc::clone(&storage)),
        };
        if options.formats[index] == Some(Format::Raw) {
            if header.is_some() {
                return Err(Error::Conflict {
                    one: crate::new_container::Places::HEADER,
                    other: "a raw image",
                });
            }
            return Ok(Self {
                source,
                storage,
                bytes,
                luks: None,
                header,
            });
        }
        let must_be_luks = header.is_some() || options.formats[index].is_some();
        let luks = match unlock::open(name, header_storage, policies, watch) {
            Ok(luks) => {
                policy::check_data(policies, &luks, &source.name, Some(bytes))?;
                Some(luks)
            }
            Err(error) if must_be_luks => return Err(error),
            Err(Error::NotLuks { instead, .. }) if !instead.is_unfinished() => {
                warn_of_format(&source.name, &*storage, watch);
                None
            }
            Err(error) => return Err(error),
        };
        Ok(Self {
            source,
            storage,
            bytes,
            luks,
            header,
        })
    }
}

/// What is in an image with a format of its own may be what was meant, and nobody has said so.
fn warn_of_format(name: &str, storage: &dyn Storage, watch: &dyn Watch) {
    if let Ok(Some(found)) = recognise(storage)
        && found.content.class() == Class::Image
    {
        let what = found.content.name();
        watch.warn(&format_args!(
            "{name} holds {what}, and its bytes are compared as they are"
        ));
    }
}

/// What an image holds.
struct Opened {
    name: String,
    /// `raw`, `luks1`, `luks2` or `qcow2`.
    kind: &'static str,
    keyslot: Option<u32>,
    plaintext: Plaintext,
    /// Keeps writers away.
    _locks: Vec<ImageLock>,
}

impl Opened {
    fn compared(self) -> Compared {
        Compared {
            bytes: self.plaintext.len(),
            image: self.name,
            kind: self.kind,
            keyslot: self.keyslot,
        }
    }
}

/// Bytes that can be read anywhere.
enum Plaintext {
    /// As they lie in an image of so many bytes, holes and all.
    Raw(Arc<dyn Storage>, u64),
    /// Decrypted; a hole in ciphertext is noise.
    Volume(Box<Volume>),
}

impl Plaintext {
    fn len(&self) -> u64 {
        match self {
            Self::Raw(_, bytes) => *bytes,
            Self::Volume(volume) => volume.len(),
        }
    }
}

/// Unlocks what is a container. One key file for both is read once: it may be a pipe.
fn unlocked(
    options: &CompareOptions,
    secrets: [&dyn Secrets; 2],
    images: [Image; 2],
    watch: &dyn Watch,
) -> Result<[Opened; 2], Error> {
    let mut shared: Option<Passphrase> = None;
    let mut opened = Vec::with_capacity(2);
    for (index, image) in images.into_iter().enumerate() {
        let image = match image {
            Image::Bytes(bare) => bare,
            Image::Disk(disk) => {
                let (one, secret) =
                    unlocked_disk(options, secrets[index], index, disk, shared.take(), watch)?;
                shared = secret.filter(|_| options.is_one_key);
                opened.push(one);
                continue;
            }
        };
        let name = image.source.name.clone();
        let Some(luks) = &image.luks else {
            opened.push(Opened {
                name,
                kind: "raw",
                keyslot: None,
                plaintext: Plaintext::Raw(image.storage, image.bytes),
                _locks: image.source.into_lock().into_iter().collect(),
            });
            continue;
        };
        if image.header.is_none() {
            unlock::check_attached(luks, &name)?;
        }
        let failed = |error| Error::luks(&name, error);
        let how = &options.unlock[index];
        let unlocked = if let Some(secret) = shared.take() {
            let cancel = || watch.is_cancelled();
            let unusable = |unusable: &UnusableKeyslot| watch.warn(unusable);
            let unlocked = luks.unlock(&secret, &how.options(&cancel, &unusable));
            let unlocked = unlocked.map_err(failed)?;
            let unlocked = unlock::complete(
                unlocked,
                luks,
                &name,
                Some(&secret),
                secrets[index],
                how,
                watch,
            )?;
            shared = Some(secret);
            unlocked
        } else {
            let (unlocked, secret) = unlock::unlock(luks, &name, secrets[index], how, watch)?;
            shared = secret.filter(|_| options.is_one_key);
            unlocked
        };
        let left_over = unlocked.leftover_bytes(image.bytes);
        if left_over > 0 {
            watch.warn(&format_args!(
                "{name}: the last {left_over} bytes are no whole sector and are left out"
            ));
        }
        let storage = Arc::clone(&image.storage);
        opened.push(Opened {
            kind: kind_of(luks.header()),
            keyslot: unlocked.keyslot(),
            plaintext: Plaintext::Volume(Box::new(unlocked.volume(storage).map_err(failed)?)),
            name,
            _locks: image.source.into_lock().into_iter().collect(),
        });
    }
    let mut opened = opened.into_iter();
    let mut next = || opened.next().expect("two images went in");
    Ok([next(), next()])
}

/// The disk in a qcow2 image, and what opened it; that is `shared`, where one key is for both.
fn unlocked_disk(
    options: &CompareOptions,
    secrets: &dyn Secrets,
    index: usize,
    disk: qcow::Opened,
    shared: Option<Passphrase>,
    watch: &dyn Watch,
) -> Result<(Opened, Option<Passphrase>), Error> {
    let how = &options.unlock[index];
    let known = shared
        .as_ref()
        .map(|key| LockedBytes::copy_of(key.expose()));
    let known = known.as_ref().map(secret::Passphrase);
    let secrets = known.as_ref().map_or(secrets, |known| known);
    let unlocked = disk.unlock(secrets, how, watch)?;
    let one = Opened {
        name: disk.name().to_owned(),
        kind: "qcow2",
        keyslot: unlocked.keyslot,
        plaintext: Plaintext::Raw(unlocked.storage, disk.bytes()),
        _locks: disk.into_locks(),
    };
    Ok((one, unlocked.passphrase.or(shared)))
}
