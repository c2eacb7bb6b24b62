//! A container as a block device of the kernel.

mod image;
mod make;

use std::ffi::OsStr;
use std::time::Duration;

use devmapper::{Control, Flags, Identifier, Kind, Name, Nodes};
use dmcrypt::{Mapped, VolumeKey};
use image::Image;
use luks::{Header, Luks};
use make::{Made, Maker, Wanted, check_free};
use serde::Serialize;

use super::data::check_unused;
use super::key::description;
use super::{UDEV_TIMEOUT, new_name, persistent, shown};
use crate::decrypt::{Container, kind_of};
use crate::error::{Error, MappingError};
use crate::open;
use crate::place::Place;
use crate::plain::Plain;
use crate::policy::Policies;
use crate::secret::Secrets;
use crate::text;
use crate::unlock::{self, Unlock};
use crate::watch::Watch;

/// How a container is opened.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a wish of its own")]
pub struct OpenOptions {
    /// What it is.
    pub container: Container,
    /// Its header lies here.
    pub header: Option<Place>,
    /// How much of a plain container is mapped, in units of 512 bytes; all that there is unless said.
    pub size_sectors: Option<u64>,
    /// What its header must look like.
    pub policies: Policies,
    /// How it is unlocked.
    pub unlock: Unlock,
    /// Nothing can be written through it.
    pub read_only: bool,
    /// How dm-crypt treats it; what the header of LUKS2 says comes to it.
    pub flags: Flags,
    /// The header of LUKS2 is to say so from now on.
    pub persistent: bool,
    /// The key stands in the table, as that of LUKS1 and plain containers does anyway.
    pub no_keyring: bool,
    /// It may be in use already.
    pub shared: bool,
    /// How long udev is waited for.
    pub udev_timeout: Duration,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            container: Container::default(),
            header: None,
            size_sectors: None,
            policies: Policies::default(),
            unlock: Unlock::default(),
            read_only: false,
            flags: Flags::default(),
            persistent: false,
            no_keyring: false,
            shared: false,
            udev_timeout: UDEV_TIMEOUT,
        }
    }
}

/// What was opened. Sizes and offsets are bytes.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Opened {
    /// How messages name the container.
    pub image: String,
    /// The name of the mapping.
    pub name: String,
    /// Where it is found.
    pub path: String,
    /// The detached header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// `luks1`, `luks2` or `plain`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Cipher specification.
    pub cipher: String,
    /// Size of the key in bits.
    pub key_bits: u64,
    /// `keyring` or `table`.
    pub key_location: &'static str,
    /// Sector size.
    pub sector_size: u64,
    /// Where the payload starts in the container.
    pub payload_offset: u64,
    /// Bytes that are mapped.
    pub payload_bytes: u64,
    /// The keyslot that was opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyslot: Option<u32>,
    /// The loop device of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loop_device: Option<String>,
    /// Nothing can be written.
    pub read_only: bool,
    /// The header says from now on how it is treated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent: Option<bool>,
}

/// Opens the container in `place` as the mapping `name`. It is there, with a name under `/dev/mapper`, or not at all.
///
/// Whether the name is free and the container can be mapped is found out before a secret is asked for. The header is read
/// once: what is mapped is what has passed the policies and the limits.
///
/// # Errors
///
/// What is wrong with the name, the place, the options, the header or the secret; what the kernel refuses.
pub fn open(
    place: &Place,
    name: &OsStr,
    options: &OpenOptions,
    secrets: &dyn Secrets,
    watch: &dyn Watch,
) -> Result<Opened, Error> {
    let name = new_name(name)?;
    let Place::Path(path) = place else {
        let name = place.source_name();
        return Err(MappingError::NoPath { name }.into());
    };
    let mut source = open::source(place, options.shared, watch)?;
    let image = Image::of(&source, path, options, watch)?;
    match &options.container {
        Container::Plain(plain) => {
            let mapped = image.plain(plain, &mut source)?;
            let job = Job::begin(&name, &image)?;
            job.plain(plain, &mapped, secrets)
        }
        Container::Luks(version) => {
            let header = options.header.as_ref();
            let header = header.map(|header| open::source(header, options.shared, watch));
            let header = header.transpose()?;
            let luks = image.luks(*version, &source, header.as_ref())?;
            let header_name = header.as_ref().unwrap_or(&source).name.clone();
            // What is edited later is opened anew, and would find it locked.
            drop((source, header));
            let job = Job::begin(&name, &image)?;
            job.luks(&luks, &header_name, secrets)
        }
    }
}

/// A mapping that can be made, as far as that is known without a key.
struct Job<'a> {
    control: Control,
    /// Of dm-crypt.
    version: [u32; 3],
    name: &'a Name,
    image: &'a Image<'a>,
}

impl<'a> Job<'a> {
    fn begin(name: &'a Name, image: &'a Image<'a>) -> Result<Self, Error> {
        let control = Control::open().map_err(MappingError::from)?;
        check_free(&control, name)?;
        let version = control.target_version("crypt");
        let Some(version) = version.map_err(MappingError::from)? else {
            return Err(MappingError::NoDmCrypt.into());
        };
        if !image.options.shared {
            check_unused(&image.file, &image.name)?;
        }
        Ok(Self {
            control,
            version,
            name,
            image,
        })
    }

    fn plain(
        &self,
        plain: &Plain,
        mapped: &Mapped,
        secrets: &dyn Secrets,
    ) -> Result<Opened, Error> {
        let key = plain.volume_key(secrets, &self.image.name, false)?;
        self.image.watch_content(mapped, &key);
        let made = self.map(&Wanted {
            mapped,
            identifier: Identifier::new(Kind::Plain, None, self.name),
            key: &key,
            description: None,
            flags: self.known(self.image.options.flags),
        })?;
        Ok(self.opened("plain", mapped, &key, made))
    }

    fn luks(&self, luks: &Luks, header_name: &str, secrets: &dyn Secrets) -> Result<Opened, Error> {
        let Image { options, watch, .. } = self.image;
        let (unlocked, _) = unlock::unlock(luks, header_name, secrets, &options.unlock, *watch)?;
        let mapped = unlocked
            .mapped(self.image.bytes()?)
            .map_err(|error| Error::luks(header_name, error))?;
        let key = unlocked.volume_key();
        self.image.watch_content(&mapped, key);
        let (kind, may_be_in_keyring, flags) = match luks.header() {
            Header::Luks1(_) => (Kind::Luks1, false, options.flags),
            Header::Luks2(header) => {
                let said = persistent::flags_of(&header.metadata.config.flags);
                (Kind::Luks2, true, options.flags.or(said))
            }
        };
        let flags = self.known(flags);
        let uuid = luks.header().uuid();
        let digest = unlocked.keys().next().map_or(0, |(digest, _, _)| digest);
        let in_keyring = may_be_in_keyring && !options.no_keyring && !mapped.cipher.is_null();
        let made = self.map(&Wanted {
            mapped: &mapped,
            identifier: Identifier::new(kind, Some(uuid), self.name),
            key,
            description: in_keyring.then(|| description(uuid, digest)),
            flags,
        })?;
        let persistent = options
            .persistent
            .then(|| self.make_persistent(luks, flags));
        Ok(Opened {
            header: options.header.as_ref().map(|_| header_name.to_owned()),
            keyslot: unlocked.keyslot(),
            persistent,
            ..self.opened(kind_of(luks.header()), &mapped, key, made)
        })
    }

    /// What this kernel takes of flags.
    fn known(&self, flags: Flags) -> Flags {
        persistent::known(flags, self.version, self.image.watch)
    }

    fn map(&self, wanted: &Wanted<'_>) -> Result<Made, Error> {
        let maker = Maker {
            control: &self.control,
            name: self.name,
            image: self.image,
        };
        maker.map(wanted)
    }

    /// Has the header say from now on how the mapping is treated; whether it does.
    fn make_persistent(&self, luks: &Luks, flags: Flags) -> bool {
        let Image {
            options,
            path,
            watch,
            ..
        } = self.image;
        let place = options.header.clone();
        let place = place.unwrap_or_else(|| Place::Path((*path).to_owned()));
        persistent::keep(&place, luks, flags, &shown(self.name), *watch)
    }

    fn opened(&self, kind: &'static str, mapped: &Mapped, key: &VolumeKey, made: Made) -> Opened {
        let path = Nodes::default().path(self.name);
        Opened {
            image: self.image.name.clone(),
            name: shown(self.name),
            path: text::path(&path),
            header: None,
            kind,
            cipher: mapped.cipher.to_string(),
            key_bits: key.len() as u64 * 8,
            key_location: if made.is_in_keyring {
                "keyring"
            } else {
                "table"
            },
            sector_size: mapped.sectors.sector_size.bytes() as u64,
            payload_offset: mapped.offset_bytes,
            payload_bytes: mapped.length_bytes,
            keyslot: None,
            loop_device: made.loop_device,
            read_only: made.is_read_only,
            persistent: None,
        }
    }
}
