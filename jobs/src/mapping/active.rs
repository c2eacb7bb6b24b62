//! A mapping that there is, and the header that it was made of.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};

use devmapper::{Control, KernelLog, Line, Name, State, Table, Target, loop_device};
use dmcrypt::{CipherSpec, Mapped};
use luks::{Header, Luks, Unlocked};
use volume::{FileStorage, Storage as _};

use super::data::unreadable;
use super::key::{Placed, description};
use super::{check_crypt, kind_name, name_of, shown};
use crate::block;
use crate::decrypt::kind_of;
use crate::error::{Error, MappingError, SourceError};
use crate::open;
use crate::place::Place;
use crate::policy::{self, Policies};
use crate::secret::Secrets;
use crate::text;
use crate::unlock::{self, Unlock};
use crate::watch::Watch;

/// A mapping of one target of dm-crypt.
pub(super) struct Active {
    pub(super) control: Control,
    pub(super) name: Name,
    pub(super) state: State,
    target: Target,
}

/// How the header of a mapping is found and unlocked.
#[derive(Clone, Debug, Default)]
pub struct HeaderOptions {
    /// The image, or the file with its header; the device of the mapping unless said.
    pub header: Option<Place>,
    /// What the header must look like.
    pub policies: Policies,
    /// How it is unlocked.
    pub unlock: Unlock,
}

impl Active {
    /// The mapping of this name.
    pub(super) fn of(name: &OsStr) -> Result<Self, MappingError> {
        let name = name_of(name)?;
        let control = Control::open()?;
        let inactive = || MappingError::Inactive { name: shown(&name) };
        let (state, targets) = control.table(&name)?.ok_or_else(inactive)?;
        check_crypt(&state)?;
        let foreign = |what: &str| MappingError::Foreign {
            name: shown(&name),
            what: what.to_owned(),
        };
        let mut targets = targets.into_iter();
        let target = match (targets.next(), targets.next()) {
            (Some(target), None) if target.kind == "crypt" => target,
            (None, _) => return Err(MappingError::NoTable { name: shown(&name) }),
            _ => return Err(foreign("its table is not one line of dm-crypt")),
        };
        if Line::parse(&target.text).is_none() {
            return Err(foreign("its table is none that is understood"));
        }
        Ok(Self {
            control,
            name,
            state,
            target,
        })
    }

    /// Its line in the table.
    pub(super) fn line(&self) -> Line<'_> {
        Line::parse(&self.target.text).expect("it was taken apart before")
    }

    /// How much is mapped, in units of 512 bytes.
    pub(super) fn length_sectors(&self) -> u64 {
        self.target.length_sectors
    }

    /// Refuses what has no header.
    pub(super) fn check_luks(&self) -> Result<(), MappingError> {
        match kind_name(&self.state.identifier) {
            Some("luks1" | "luks2") => Ok(()),
            _ => Err(MappingError::NotLuks {
                name: shown(&self.name),
            }),
        }
    }

    /// The device that it lies on, open; a loop device with the size that its file has now.
    pub(super) fn device(&self) -> Result<FileStorage, Error> {
        let line = self.line();
        let unknown = || MappingError::Foreign {
            name: shown(&self.name),
            what: format!("its device is {}", text::escape(line.device)),
        };
        let number = line.device_number().ok_or_else(unknown)?;
        let path = block::path_of(number);
        let name = text::path(&path);
        let failed = |source| SourceError::Open {
            name: name.clone(),
            source,
        };
        let device = open_device(&path).map_err(failed)?;
        if rustix::fs::major(number) == loop_device::MAJOR {
            loop_device::take_size_of_file(&device).map_err(MappingError::from)?;
        }
        Ok(FileStorage::from_file(device).map_err(failed)?)
    }

    /// Bytes of the device that it lies on.
    fn device_bytes(&self) -> Result<u64, Error> {
        let device = self.device()?;
        let name = text::escape(self.line().device);
        device.len().map_err(|source| unreadable(&name, source))
    }

    /// Reads its header, which is to say the same as the table does, and unlocks it.
    pub(super) fn unlock(
        &self,
        options: &HeaderOptions,
        secrets: &dyn Secrets,
        watch: &dyn Watch,
    ) -> Result<(Luks, Unlocked), Error> {
        let place = match (&options.header, self.line().device_number()) {
            (Some(place), _) => place.clone(),
            (None, Some(number)) => Place::Path(block::path_of(number)),
            (None, None) => {
                return Err(MappingError::NotLuks {
                    name: shown(&self.name),
                }
                .into());
            }
        };
        let source = open::source(&place, true, watch)?;
        let name = source.name.clone();
        let policies = options.policies.read()?;
        let luks = unlock::open(&name, source.seekable()?, &policies, watch)?;
        let bytes = self.device_bytes()?;
        policy::check_data(&policies, &luks, &name, Some(bytes))?;
        let mapped = luks.mapped(bytes);
        let mapped = mapped.map_err(|error| Error::luks(&name, error))?;
        self.check_same(&luks, &name, &mapped)?;
        drop(source);
        let (unlocked, _) = unlock::unlock(&luks, &name, secrets, &options.unlock, watch)?;
        let mapped = unlocked.mapped(bytes);
        let mapped = mapped.map_err(|error| Error::luks(&name, error))?;
        self.check_same(&luks, &name, &mapped)?;
        if !mapped.cipher.is_null() && unlocked.volume_key().len() != self.line().key.key_bytes() {
            let difference = "its key has another length".to_owned();
            return Err(self.other_header(&name, difference).into());
        }
        Ok((luks, unlocked))
    }

    /// Refuses a header of another container: its key would make noise of the data.
    fn check_same(&self, luks: &Luks, image: &str, mapped: &Mapped) -> Result<(), MappingError> {
        let (line, identifier) = (self.line(), &self.state.identifier);
        let (kind, version) = (kind_name(identifier), kind_of(luks.header()));
        if kind != Some(version) {
            let difference = format!("it is {version}, the mapping {}", kind.unwrap_or("another"));
            return Err(self.other_header(image, difference));
        }
        let digits = |uuid: &str| uuid.replace('-', "").to_ascii_lowercase();
        let (its, uuid) = (identifier.uuid(), luks.header().uuid());
        if its.as_deref().map(digits) != Some(digits(uuid)) {
            let difference = format!("its UUID is {}", text::escape(uuid));
            return Err(self.other_header(image, difference));
        }
        let cipher = line.cipher.parse::<CipherSpec>();
        let is_cipher =
            cipher.is_ok_and(|cipher| cipher.to_dm_crypt() == mapped.cipher.to_dm_crypt());
        let is_same = [
            (is_cipher, "its cipher is another one"),
            (
                Some(line.offset_sectors) == mapped.offset_sectors(),
                "its data start elsewhere",
            ),
            (
                line.first_iv_sector == mapped.first_iv_sector,
                "its IVs begin with another number",
            ),
            (
                line.sector_size == mapped.sectors.sector_size,
                "its sectors have another size",
            ),
        ];
        match is_same.iter().find(|(is_same, _)| !is_same) {
            Some((_, difference)) => Err(self.other_header(image, (*difference).to_owned())),
            None => Ok(()),
        }
    }

    fn other_header(&self, image: &str, difference: String) -> MappingError {
        MappingError::OtherHeader {
            name: shown(&self.name),
            image: image.to_owned(),
            difference,
        }
    }

    /// Puts its key where the kernel takes it from: as the table has it now, or into the table.
    pub(super) fn place_key<'a>(
        &self,
        luks: &Luks,
        unlocked: &'a Unlocked,
        no_keyring: bool,
        watch: &dyn Watch,
    ) -> Result<Placed<'a>, MappingError> {
        if self.line().key.key_bytes() == 0 {
            return Ok(Placed::nowhere());
        }
        let may_be_in_keyring = matches!(luks.header(), Header::Luks2(_));
        let digest = unlocked.keys().next().map_or(0, |(digest, _, _)| digest);
        let name = description(luks.header().uuid(), digest);
        let in_keyring = may_be_in_keyring && !no_keyring;
        Placed::place(unlocked.volume_key(), in_keyring.then_some(name), watch)
    }

    /// Loads a table in place of the one that is in use, and uses it.
    pub(super) fn exchange(&self, table: &Table) -> Result<(), MappingError> {
        let log = KernelLog::from_now_on();
        let loaded = self
            .control
            .load(&self.name, table, self.state.is_read_only);
        loaded.map_err(|error| super::refused(error, log, shown(&self.name)))?;
        if let Err(error) = self.control.resume(&self.name) {
            // The old one stays in use, and nobody takes the new one for it later.
            let _ = self.control.clear(&self.name);
            return Err(error.into());
        }
        Ok(())
    }
}

fn open_device(path: &std::path::Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).open(path)
}
