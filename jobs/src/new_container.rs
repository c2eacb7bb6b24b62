//! A new LUKS container around a payload: areas first, then the payload, then the header, then the names.

use std::io::{self, Read, Write};
use std::sync::Arc;

use dmcrypt::{CipherSpec, Passphrase};
use luks::{FormatOptions, NewContainer, OsRandom, format};
use volume::{Mapping, Storage};

use crate::allow::Allow;
use crate::destination::{Bytes, Destination, Overwrite, Target};
use crate::error::{DestinationError, Error, ImageError};
use crate::inputs::Inputs;
use crate::new_image::{self, ImageOptions, Written};
use crate::new_luks::NewLuks;
use crate::open;
use crate::payload;
use crate::place::Place;
use crate::secret::{Asked, Secrets};
use crate::temporary::{Content, TemporaryFile};
use crate::watch::Watch;

/// Where a container goes: one place, or two with a detached header. Nothing has been written yet.
pub struct Places {
    /// The data, and the header unless it is detached.
    pub data: Target,
    /// The detached header.
    pub header: Option<Target>,
}

impl Places {
    /// What a detached header is in an [`Error::Conflict`].
    pub const HEADER: &str = "a detached header";

    /// Finds out whether they may be written by a job that reads `inputs`.
    pub fn check(
        destination: &Place,
        header: Option<&Place>,
        overwrite: Overwrite,
        inputs: &Inputs,
    ) -> Result<Self, Error> {
        let data = open::target(destination, overwrite, inputs)?;
        let header = header.map(|header| open::target(header, overwrite, inputs));
        let header = header.transpose()?;
        if let Some(header) = &header {
            if header.is_stream() {
                return Err(Error::Conflict {
                    one: Self::HEADER,
                    other: "a pipe",
                });
            }
            if data.is_same_as(header) {
                return Err(Error::Conflict {
                    one: Self::HEADER,
                    other: "the container itself",
                });
            }
        }
        if let Some(header) = &header
            && data.replaces()
            && header.replaces()
        {
            return Err(DestinationError::TwoExist {
                data: data.name,
                header: header.name.clone(),
            }
            .into());
        }
        Ok(Self { data, header })
    }
}

/// Asks for what opens the new container, measures what that may cost, and makes its keys and header in memory.
pub fn prepare(
    new: NewLuks,
    name: &str,
    secrets: &dyn Secrets,
    allow: &Allow,
    watch: &dyn Watch,
) -> Result<NewContainer, Error> {
    let volume_key = secrets.volume_key()?;
    let secret = secrets.passphrase(&Asked::for_new(name))?;
    if secret.is_empty() && !allow.empty_passphrase {
        return Err(Error::EmptyPassphrase {
            name: secrets.name(),
        });
    }
    let passphrase = Passphrase::from_locked(secret);
    let prepared = format::prepare(
        &FormatOptions {
            equal_xts_halves: allow.equal_xts_halves,
            ..new.measured(watch)
        },
        &passphrase,
        volume_key,
        &mut OsRandom,
        &|| watch.is_cancelled(),
    );
    prepared.map_err(|error| Error::luks(name, error))
}

/// Writes a container around the payload that `fill` writes into its mapping of `payload_bytes` bytes, in an image or
/// not. Says how long the image is.
pub fn write<T>(
    container: NewContainer,
    payload_bytes: Option<u64>,
    places: Places,
    image: Option<&ImageOptions>,
    fill: impl FnOnce(&Destination, &Mapping) -> Result<T, Error>,
) -> Result<(T, Option<u64>), Error> {
    let unfinished = Unfinished::begin(container, payload_bytes, places, image)?;
    let filled = fill(&unfinished.data, &unfinished.mapping)?;
    let sealed = unfinished.seal(|_, _| Ok(()))?;
    let bytes = image.and_then(|_| sealed.bytes());
    sealed.name(None)?;
    Ok((filled, bytes))
}

/// A container whose areas are written, or in a stream all that lies before the data. Elsewhere it has no header yet, and
/// no name.
pub struct Unfinished {
    container: NewContainer,
    /// The data segment.
    pub mapping: Mapping,
    /// Where the data go.
    pub data: Destination,
    header: Option<Destination>,
}

impl Unfinished {
    /// Writes what lies before `payload_bytes` bytes of data.
    pub fn begin(
        container: NewContainer,
        payload_bytes: Option<u64>,
        places: Places,
        image: Option<&ImageOptions>,
    ) -> Result<Self, Error> {
        let mapping = container.mapping(payload_bytes.unwrap_or(payload::UNBOUNDED_BYTES));
        let mut mapping = mapping.map_err(|error| Error::luks(&places.data.name, error))?;
        let mut data = places.data.create(Content::Public)?;
        if let Some(image) = image {
            let bytes = payload_bytes.ok_or_else(|| ImageError::SizeUnknown {
                name: data.name.clone(),
            })?;
            // A disk of no bytes has no segment.
            let one = container.mapping(dmcrypt::SECTOR_BYTES);
            let one = one.map_err(|error| Error::luks(&data.name, error))?;
            let cipher = new_image::cipher_of(&one).ok_or(Error::NullCipher)?;
            data = image.begin(data, bytes, Some((container.layout(), cipher)))?;
            mapping = new_image::all_of(bytes);
        }
        let header = places.header.map(|header| header.create(Content::Public));
        let unfinished = Self {
            container,
            mapping,
            data,
            header: header.transpose()?,
        };
        unfinished.write_areas()?;
        Ok(unfinished)
    }

    fn write_areas(&self) -> Result<(), Error> {
        let failed = |error| Error::luks(self.header_name(), error);
        if let Some(storage) = self.header_storage()? {
            let written = self.container.write_areas(&*storage, &mut OsRandom);
            written.map_err(failed)?;
            if self.header.is_some() {
                lead_in(&self.data, self.container.layout().data_offset)?;
            }
        } else if let Bytes::Stream(file) = &self.data.bytes {
            // In a stream the header comes first, and whole.
            let written = self.container.write_in_order(&mut &*file, &mut OsRandom);
            written.map_err(|error| match error {
                luks::Error::Io { source, .. } => unwritten(&self.data, source),
                error => failed(error),
            })?;
        }
        Ok(())
    }

    /// Writes the header behind the data, and has `prove` look at it and at the data. Of a stream nothing is looked at.
    pub fn seal(
        self,
        prove: impl FnOnce(Arc<dyn Storage>, Written) -> Result<(), Error>,
    ) -> Result<Sealed, Error> {
        if let Some(storage) = self.header_storage()? {
            sync(&self.data)?;
            let name = self.header_name().to_owned();
            let committed = self.container.commit(&*storage);
            committed.map_err(|error| Error::luks(&name, error))?;
            if let Bytes::Image(writer, _) = &self.data.bytes {
                writer
                    .finish()
                    .map_err(|source| unwritten(&self.data, source))?;
            }
            match (&self.data.bytes, self.data.stored()) {
                (Bytes::Image(..), Some(file)) => {
                    let image = Written::Image(file);
                    let header = image.header();
                    let header = header.map_err(|source| unwritten(&self.data, source))?;
                    prove(header, image)?;
                }
                (_, Some(data)) => prove(storage, Written::Container(data))?,
                _ => {}
            }
        }
        Ok(Sealed {
            data: self.data,
            header: self.header,
        })
    }

    fn header_storage(&self) -> Result<Option<Arc<dyn Storage>>, Error> {
        if let Bytes::Image(writer, _) = &self.data.bytes {
            let window = writer.luks_header();
            let window = window.map_err(|source| unwritten(&self.data, source))?;
            return Ok(window.map(|window| Arc::new(window) as Arc<dyn Storage>));
        }
        Ok(self.header.as_ref().unwrap_or(&self.data).storage())
    }

    fn header_name(&self) -> &str {
        &self.header.as_ref().unwrap_or(&self.data).name
    }
}

/// A container that is whole and has no name yet.
pub struct Sealed {
    data: Destination,
    header: Option<Destination>,
}

impl Sealed {
    /// Where the data are; of an image all of it.
    pub fn data(&self) -> Option<Arc<dyn Storage>> {
        self.data.stored()
    }

    /// How many bytes that are.
    pub fn bytes(&self) -> Option<u64> {
        self.data()?.len().ok()
    }

    /// Gives data and header their names, and keeps `along` with them.
    pub fn name(self, along: Option<TemporaryFile>) -> Result<(), Error> {
        let Self {
            mut data,
            mut header,
        } = self;
        if let Some(file) = along {
            let named = match (&data.bytes, &mut header) {
                // The file is kept with what gets a name.
                (Bytes::Device(..) | Bytes::Storage(..), Some(header)) => header,
                _ => &mut data,
            };
            named.take_along(file);
        }
        match header {
            Some(header) => data.commit_with_header(header)?,
            None => data.commit()?,
        }
        Ok(())
    }
}

/// Refuses a cipher that no new container should have, unless it is allowed, and tells of its weaknesses.
pub fn check_cipher(cipher: &CipherSpec, allow_weak: bool, watch: &dyn Watch) -> Result<(), Error> {
    if let Some(risk) = cipher.creation_risk() {
        if !allow_weak {
            return Err(Error::RiskyCipher {
                cipher: cipher.to_string(),
                risk,
            });
        }
        watch.warn(&format_args!("{cipher}: {risk}"));
    }
    // What is wrong with the null cipher was said.
    if let Some(weakness) = cipher.weakness().filter(|_| !cipher.is_null()) {
        watch.warn(&format_args!("{cipher}: {weakness}"));
    }
    Ok(())
}

/// Refuses more data under one key than there should be, unless that is allowed, and tells of it. IVs count units
/// of `iv_unit` bytes. The size of a stream is not known before.
pub fn check_amount(
    cipher: &CipherSpec,
    iv_unit: u64,
    payload_bytes: Option<u64>,
    allow_weak: bool,
    watch: &dyn Watch,
) -> Result<(), Error> {
    let Some(excess) = payload_bytes.and_then(|bytes| cipher.excess(bytes, iv_unit)) else {
        return Ok(());
    };
    if !allow_weak && !excess.is_advice() {
        return Err(Error::RiskyCipher {
            cipher: cipher.to_string(),
            risk: excess.reason(),
        });
    }
    watch.warn(&format_args!("{cipher}: {}", excess.reason()));
    Ok(())
}

/// What lies before the payload and means nothing: zeros in a stream, untouched elsewhere.
pub fn lead_in(destination: &Destination, bytes: u64) -> Result<(), Error> {
    write_stream(destination, &mut io::repeat(0).take(bytes))
}

fn write_stream(destination: &Destination, bytes: &mut dyn Read) -> Result<(), Error> {
    let Bytes::Stream(file) = &destination.bytes else {
        return Ok(());
    };
    let written = io::copy(bytes, &mut &*file).and_then(|_| (&*file).flush());
    written.map_err(|source| unwritten(destination, source))
}

/// The payload is on the disk before a header says that it is.
fn sync(destination: &Destination) -> Result<(), Error> {
    let Some(storage) = destination.storage() else {
        return Ok(());
    };
    storage
        .sync()
        .map_err(|source| unwritten(destination, source))
}

fn unwritten(destination: &Destination, source: io::Error) -> Error {
    let name = destination.name.clone();
    DestinationError::Write { name, source }.into()
}
