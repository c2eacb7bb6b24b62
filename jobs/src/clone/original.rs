//! The source of a clone: what it is, before and after it is unlocked.

use std::sync::Arc;

use dmcrypt::Passphrase;
use luks::luks2::SegmentSize;
use luks::{Header, Luks};
use recognise::{SectorLimit, largest_sector};
use volume::{Storage, Volume};

use super::like::Likeness;
use super::plaintext::Plaintext;
use super::{CloneOptions, Original};
use crate::decrypt::{check_version, kind_of};
use crate::error::{Error, Meant, SourceError};
use crate::inputs::Inputs;
use crate::open;
use crate::place::Place;
use crate::plain::Plain;
use crate::policy;
use crate::qcow::{self, Qcow2};
use crate::secret::Secrets;
use crate::source::Source;
use crate::transfer::bypass_page_cache;
use crate::unlock;
use crate::watch::Watch;

/// A source that is open; no secret was asked for.
pub(super) struct Opened<'a> {
    /// The image with the data.
    pub(super) source: Source,
    /// The file with the header, where that is another one.
    pub(super) header: Option<Source>,
    storage: Arc<dyn Storage>,
    /// Bytes of the image.
    bytes: u64,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Luks(Box<Luks>),
    Plain(&'a Plain),
    Raw,
    /// In a qcow2 image.
    Disk(Box<qcow::Opened>),
}

/// A source whose plaintext can be read.
pub(super) struct Unlocked {
    pub(super) plaintext: Plaintext,
    /// What opened it.
    pub(super) passphrase: Option<Passphrase>,
    pub(super) likeness: Option<Likeness>,
}

impl<'a> Opened<'a> {
    pub(super) fn open(
        place: &Place,
        options: &'a CloneOptions,
        watch: &dyn Watch,
    ) -> Result<Self, Error> {
        if let Original::Qcow2(how) = &options.original {
            return Self::open_disk(place, how, options, watch);
        }
        let mut source = open::source(place, options.allow.in_use, watch)?;
        let header = options.header.as_ref();
        let header = header.map(|header| open::source(header, options.allow.in_use, watch));
        let header = header.transpose()?;
        // It is read once for each group of clones, and once more to prove them.
        let storage = source.seekable()?;
        let bytes = source.len()?.unwrap_or(0);
        bypass_page_cache(options.work, &source.name, source.file())?;
        let conflict = |one| Error::Conflict {
            one,
            other: "a source without a header",
        };
        if !matches!(options.original, Original::Luks(_)) {
            if header.is_some() {
                return Err(conflict(super::HEADER));
            }
            if options.keys.keep_passphrase {
                return Err(conflict(super::KEEP));
            }
        }
        let kind = match &options.original {
            Original::Luks(version) => {
                let luks = open_luks(&source, header.as_ref(), options, watch)?;
                let name = &header.as_ref().unwrap_or(&source).name;
                check_version(&luks, *version, name)?;
                Kind::Luks(Box::new(luks))
            }
            Original::Plain(plain) => {
                if !options.allow.any_source && plain.options.offset_sectors == 0 {
                    check_raw(&mut source, Meant::Plain)?;
                }
                Kind::Plain(plain)
            }
            Original::Raw => {
                let start = source.start()?;
                source.check_not_empty(&*start)?;
                if !options.allow.any_source {
                    check_raw(&mut source, Meant::Raw)?;
                }
                Kind::Raw
            }
            Original::Qcow2(_) => unreachable!("a disk is opened by itself"),
        };
        Ok(Self {
            source,
            header,
            storage,
            bytes,
            kind,
        })
    }

    fn open_disk(
        place: &Place,
        how: &Qcow2,
        options: &CloneOptions,
        watch: &dyn Watch,
    ) -> Result<Self, Error> {
        if options.header.is_some() {
            return Err(Error::Conflict {
                one: super::HEADER,
                other: qcow::IMAGE,
            });
        }
        let policies = options.policies.read()?;
        let opened = qcow::Opened::open(place, how, &policies, options.allow.in_use, watch)?;
        if options.keys.keep_passphrase && opened.luks().is_none() {
            return Err(Error::Conflict {
                one: super::KEEP,
                other: "a source without a header",
            });
        }
        opened.bypass_page_cache(options.work)?;
        let storage = opened.source().seekable()?;
        Ok(Self {
            source: Source::of_storage(opened.name().to_owned(), &storage),
            header: None,
            storage,
            bytes: opened.bytes(),
            kind: Kind::Disk(Box::new(opened)),
        })
    }

    /// What is read, and must not be written.
    pub(super) fn inputs(&self, inputs: &Inputs) -> Inputs {
        if let Kind::Disk(opened) = &self.kind {
            return opened.inputs(inputs.clone());
        }
        let mut inputs = inputs
            .clone()
            .origin("the source", self.source.origin.clone());
        if let Some(header) = &self.header {
            inputs = inputs.origin("the header", header.origin.clone());
        }
        inputs
    }

    /// `luks1`, `luks2`, `plain`, `raw` or `qcow2`.
    pub(super) fn kind(&self) -> &'static str {
        match &self.kind {
            Kind::Luks(luks) => kind_of(luks.header()),
            Kind::Plain(_) => "plain",
            Kind::Raw => "raw",
            Kind::Disk(_) => "qcow2",
        }
    }

    /// What its header says that a clone can have too.
    pub(super) fn likeness(&self) -> Option<Likeness> {
        match &self.kind {
            Kind::Luks(luks) => Some(Likeness::of(luks.header(), None)),
            Kind::Disk(opened) => opened.luks().map(|luks| Likeness::of(luks.header(), None)),
            _ => None,
        }
    }

    /// How long its plaintext is, as far as that is told without a key.
    pub(super) fn payload_bytes(&self) -> Result<u64, Error> {
        Ok(match &self.kind {
            Kind::Luks(luks) => luks_bytes(luks.header(), self.bytes),
            Kind::Plain(plain) => {
                let rest = self.bytes.saturating_sub(plain.offset_bytes()?);
                rest - rest % plain.sector_bytes() as u64
            }
            Kind::Raw | Kind::Disk(_) => self.bytes,
        })
    }

    /// What is in it that needs sectors of some size, as far as that is told without a key: in a raw image.
    pub(super) fn known(&self, options: &CloneOptions) -> Result<Option<SectorLimit>, Error> {
        match self.kind {
            Kind::Raw => self.limit(&*self.storage, options),
            _ => Ok(None),
        }
    }

    /// The same once its plaintext can be read.
    pub(super) fn known_in(
        &self,
        plaintext: &Plaintext,
        options: &CloneOptions,
    ) -> Result<Option<SectorLimit>, Error> {
        self.limit(plaintext, options)
    }

    fn limit(
        &self,
        storage: &dyn Storage,
        options: &CloneOptions,
    ) -> Result<Option<SectorLimit>, Error> {
        match largest_sector(storage) {
            // What stands there may count in the smallest ones.
            Err(_) if options.bad_places.go_on => Ok(Some(SectorLimit {
                bytes: 512,
                found: "something that cannot be read".to_owned(),
            })),
            known => Ok(known.map_err(|error| self.source.unreadable(error))?),
        }
    }

    /// Asks for what opens it.
    pub(super) fn unlock(
        &self,
        options: &CloneOptions,
        secrets: &dyn Secrets,
        watch: &dyn Watch,
    ) -> Result<Unlocked, Error> {
        let data = Arc::clone(&self.storage);
        let left_out = |bytes: u64, name: &str| {
            if bytes > 0 {
                watch.warn(&format_args!(
                    "{name}: the last {bytes} bytes are no whole sector and are left out"
                ));
            }
        };
        match &self.kind {
            Kind::Luks(luks) => {
                let name = &self.header.as_ref().unwrap_or(&self.source).name;
                let (unlocked, passphrase) =
                    unlock::unlock(luks, name, secrets, &options.unlock, watch)?;
                let volume = unlocked
                    .volume(data)
                    .map_err(|error| Error::luks(name, error))?;
                left_out(unlocked.leftover_bytes(self.bytes), &self.source.name);
                let key_bits = unlocked.volume_key().len() as u64 * 8;
                let likeness = Likeness::of(luks.header(), unlocked.keyslot());
                Ok(Unlocked {
                    plaintext: Plaintext::of(volume, options.keep_holes),
                    passphrase,
                    likeness: Some(likeness.with_key_bits(key_bits)),
                })
            }
            Kind::Plain(plain) => {
                if plain.cipher().is_null() && !options.unlock.allow_unencrypted {
                    return Err(Error::NullCipher);
                }
                let key = plain.volume_key(secrets, &self.source.name, false)?;
                let bytes = self.payload_bytes()?;
                let offset = plain.offset_bytes()?;
                left_out(
                    self.bytes.saturating_sub(offset.saturating_add(bytes)),
                    &self.source.name,
                );
                let mapping = plain.mapping(&key, Some(bytes))?;
                let volume = Volume::new(data, mapping);
                Ok(Unlocked {
                    plaintext: Plaintext::of(volume, options.keep_holes),
                    passphrase: None,
                    likeness: None,
                })
            }
            Kind::Disk(opened) => {
                let disk = opened.unlock(secrets, &options.unlock, watch)?;
                let likeness = opened.luks().map(|luks| {
                    Likeness::of(luks.header(), disk.keyslot).with_key_bits(disk.key_bits)
                });
                Ok(Unlocked {
                    plaintext: Plaintext::raw(disk.storage, self.bytes),
                    passphrase: disk.passphrase,
                    likeness,
                })
            }
            Kind::Raw => Ok(Unlocked {
                plaintext: Plaintext::raw(data, self.bytes),
                passphrase: None,
                likeness: None,
            }),
        }
    }
}

fn open_luks(
    source: &Source,
    header: Option<&Source>,
    options: &CloneOptions,
    watch: &dyn Watch,
) -> Result<Luks, Error> {
    let from = header.unwrap_or(source);
    let policies = options.policies.read()?;
    let luks = unlock::open(&from.name, from.seekable()?, &policies, watch)?;
    if header.is_none() {
        unlock::check_attached(&luks, &from.name)?;
    }
    policy::check_data(&policies, &luks, &source.name, source.len()?)?;
    Ok(luks)
}

/// Refuses what has a format of its own.
fn check_raw(source: &mut Source, meant: Meant) -> Result<(), Error> {
    let start = source.start()?;
    match source.check_raw(&*start, meant) {
        // Bad places come to light where they are copied.
        Err(SourceError::Read { .. }) => Ok(()),
        checked => Ok(checked?),
    }
}

/// The plaintext of a header's data in an image of so many bytes.
fn luks_bytes(header: &Header, bytes: u64) -> u64 {
    match header {
        Header::Luks1(header) => {
            let rest = bytes.saturating_sub(header.data_offset());
            rest - rest % dmcrypt::SECTOR_BYTES
        }
        Header::Luks2(header) => header
            .metadata
            .data_segments()
            .map(|segment| match segment.size {
                SegmentSize::Bytes(bytes) => bytes,
                SegmentSize::Dynamic => {
                    let rest = bytes.saturating_sub(segment.offset);
                    let facts = crate::data_facts::DataFacts::of(&Header::Luks2(header.clone()));
                    rest - rest % facts.sector_size.max(1)
                }
            })
            .fold(0, u64::saturating_add),
    }
}
