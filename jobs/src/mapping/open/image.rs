//! What is to be opened, as far as it is known before the kernel or anybody is asked.

use std::path::Path;
use std::sync::Arc;

use dmcrypt::{Mapped, SectorSize, VolumeKey};
use luks::Luks;
use recognise::largest_sector;
use volume::{FileStorage, Mapping, Segment, Storage, Volume};

use super::OpenOptions;
use crate::decrypt::check_version;
use crate::error::{Error, MappingError, Meant, PlainError, SourceError};
use crate::mapping::data::unreadable;
use crate::plain::Plain;
use crate::policy;
use crate::source::Source;
use crate::unlock;
use crate::watch::Watch;

/// A file or a block device with a container in it.
pub(super) struct Image<'a> {
    pub(super) path: &'a Path,
    pub(super) file: Arc<FileStorage>,
    pub(super) name: String,
    pub(super) options: &'a OpenOptions,
    pub(super) watch: &'a dyn Watch,
}

impl<'a> Image<'a> {
    /// A stream is refused: the kernel maps what has a path.
    pub(super) fn of(
        source: &Source,
        path: &'a Path,
        options: &'a OpenOptions,
        watch: &'a dyn Watch,
    ) -> Result<Self, Error> {
        let no_path = || MappingError::NoPath {
            name: source.name.clone(),
        };
        Ok(Self {
            path,
            file: Arc::clone(source.file().ok_or_else(no_path)?),
            name: source.name.clone(),
            options,
            watch,
        })
    }

    /// What is mapped of a plain container.
    pub(super) fn plain(&self, plain: &Plain, source: &mut Source) -> Result<Mapped, Error> {
        let options = self.options;
        if options.header.is_some() {
            return Err(Error::Conflict {
                one: crate::new_container::Places::HEADER,
                other: "a plain container",
            });
        }
        if plain.cipher().is_null() && !options.unlock.allow_unencrypted {
            return Err(Error::NullCipher);
        }
        // Behind an offset is what somebody has looked for.
        if plain.options.offset_sectors == 0 && !options.shared {
            let start = source.start()?;
            let checked = source.check_raw(&*start, Meant::Plain);
            if let Err(error @ SourceError::NotRaw { .. }) = checked {
                self.watch.warn(&error);
            }
        }
        self.plain_mapped(plain)
    }

    fn plain_mapped(&self, plain: &Plain) -> Result<Mapped, Error> {
        let bytes = self.bytes()?;
        let offset = plain.offset_bytes()?;
        let sector = plain.sector_bytes() as u64;
        let wanted = crate::payload::wanted_bytes(self.options.size_sectors);
        let needed = offset.saturating_add(wanted.unwrap_or(sector));
        if bytes < needed {
            return Err(SourceError::TooSmall {
                name: self.name.clone(),
                bytes,
                needed,
            }
            .into());
        }
        let there_is = bytes.saturating_sub(offset);
        let whole = there_is.saturating_sub(there_is.checked_rem(sector).unwrap_or(0));
        self.tell_leftover(
            there_is.saturating_sub(wanted.map_or(whole, |_| there_is)),
            sector,
        );
        let sectors = wanted.unwrap_or(whole) / dmcrypt::SECTOR_BYTES;
        let mapped = dmcrypt_plain::mapped(&plain.options, sectors);
        Ok(mapped.map_err(PlainError::from)?)
    }

    /// The header, which has passed all that it can before a secret is there.
    pub(super) fn luks(
        &self,
        version: Option<luks::Version>,
        source: &Source,
        header: Option<&Source>,
    ) -> Result<Luks, Error> {
        let (options, watch) = (self.options, self.watch);
        let of_header = header.unwrap_or(source);
        let policies = options.policies.read()?;
        let luks = unlock::open(&of_header.name, of_header.seekable()?, &policies, watch)?;
        check_version(&luks, version, &of_header.name)?;
        if header.is_none() {
            unlock::check_attached(&luks, &of_header.name)?;
        }
        let bytes = self.bytes()?;
        policy::check_data(&policies, &luks, &self.name, Some(bytes))?;
        if !options.unlock.allow_unencrypted {
            luks.check_encrypted()
                .map_err(|error| Error::luks(&of_header.name, error))?;
        }
        let mapped = luks
            .mapped(bytes)
            .map_err(|error| Error::luks(&of_header.name, error))?;
        if mapped.length_bytes == 0 {
            return Err(MappingError::NoData {
                name: self.name.clone(),
            }
            .into());
        }
        let sector = mapped.sectors.sector_size.bytes() as u64;
        let rest = bytes.saturating_sub(mapped.offset_bytes.saturating_add(mapped.length_bytes));
        self.tell_leftover(if rest < sector { rest } else { 0 }, sector);
        Ok(luks)
    }

    pub(super) fn bytes(&self) -> Result<u64, Error> {
        let bytes = self.file.len();
        bytes.map_err(|error| unreadable(&self.name, error))
    }

    fn tell_leftover(&self, bytes: u64, sector: u64) {
        if bytes > 0 {
            self.watch.warn(&format_args!(
                "{}: the last {bytes} bytes are no whole sector of {sector} bytes and are not mapped",
                self.name
            ));
        }
    }

    /// Tells of what is in the container where the kernel cannot use it in sectors of this size.
    pub(super) fn watch_content(&self, mapped: &Mapped, key: &VolumeKey) {
        let bytes = mapped.sectors.sector_size.bytes();
        // Nothing wants smaller ones.
        if mapped.sectors.sector_size == SectorSize::B512 {
            return;
        }
        let Ok(segment) = Segment::encrypted(mapped, key.expose()) else {
            return;
        };
        let Ok(mapping) = Mapping::new(vec![segment]) else {
            return;
        };
        let image = Arc::clone(&self.file) as Arc<dyn Storage>;
        let volume = Volume::new(image, mapping);
        if let Ok(Some(limit)) = largest_sector(&volume)
            && u64::from(limit.bytes) < bytes as u64
        {
            self.watch.warn(&format_args!(
                "{} holds {}: Linux cannot use that in sectors of {bytes} bytes",
                self.name, limit.found
            ));
        }
    }
}
