//! The mapping itself: made, or nothing left of it.

use devmapper::node::Appeared;
use devmapper::{Control, Flags, Identifier, KernelLog, Name, Nodes, Table};
use dmcrypt::{Mapped, VolumeKey};
use volume::{LockMode, Storage as _};

use super::image::Image;
use crate::error::{Error, MappingError, SourceError};
use crate::mapping::data::{DataDevice, check_unused};
use crate::mapping::key::Placed;
use crate::mapping::{close, refused, shown, with_wait};
use crate::text;

/// A mapping that is to be.
pub(super) struct Wanted<'a> {
    pub(super) mapped: &'a Mapped,
    pub(super) identifier: Identifier,
    pub(super) key: &'a VolumeKey,
    /// What the key is called in the keyring, where it goes there.
    pub(super) description: Option<String>,
    pub(super) flags: Flags,
}

/// One that is there.
pub(super) struct Made {
    pub(super) is_in_keyring: bool,
    pub(super) is_read_only: bool,
    pub(super) loop_device: Option<String>,
}

/// What makes it.
pub(super) struct Maker<'a> {
    pub(super) control: &'a Control,
    pub(super) name: &'a Name,
    pub(super) image: &'a Image<'a>,
}

/// Refuses a name that somebody has.
pub(super) fn check_free(control: &Control, name: &Name) -> Result<(), MappingError> {
    match control.state(name)? {
        None => Ok(()),
        Some(state) if state.has_table || state.has_new_table => {
            Err(MappingError::Active { name: shown(name) })
        }
        Some(_) => Err(MappingError::NoTable { name: shown(name) }),
    }
}

impl Maker<'_> {
    /// Makes the mapping, or leaves nothing.
    pub(super) fn map(&self, wanted: &Wanted<'_>) -> Result<Made, Error> {
        let Image {
            file,
            path,
            name,
            options,
            watch,
        } = self.image;
        watch.must_not_be_cut_off();
        // Others who open this image wait here; whoever looks afterwards sees what is made of it.
        let lock = file
            .lock(LockMode::Exclusive)
            .map_err(|source| SourceError::Lock {
                name: name.clone(),
                source,
            })?;
        if !options.shared {
            check_unused(file, name)?;
        }
        let sector_size = wanted.mapped.sectors.sector_size;
        let data = DataDevice::of(file, path, name, options.read_only, sector_size)?;
        // A loop device keeps the keyrings of whoever made it: the key comes after it, and goes before this thread does.
        let key = Placed::place(wanted.key, wanted.description.clone(), *watch)?;
        let table = Table::new(
            wanted.mapped,
            &key.in_terms_of_tables(),
            data.device,
            wanted.flags,
        )
        .map_err(MappingError::from)?;
        self.control
            .create(self.name, &wanted.identifier)
            .map_err(|error| {
                if error.is_busy() {
                    MappingError::Active {
                        name: shown(self.name),
                    }
                } else {
                    error.into()
                }
            })?;
        let live = self.make_live(&table, data.is_read_only);
        let is_in_keyring = key.is_in_keyring();
        // The mapping has its own copy, and whoever waited for the image sees the mapping.
        drop((key, lock));
        let named = live.and_then(|device| self.name(device));
        if let Err(error) = named {
            self.undo();
            return Err(error);
        }
        Ok(Made {
            is_in_keyring,
            is_read_only: data.is_read_only,
            loop_device: data.looped.as_ref().map(|looped| text::path(looped.path())),
        })
    }

    /// Gives the new device its table; its number.
    fn make_live(&self, table: &Table, is_read_only: bool) -> Result<u64, Error> {
        let log = KernelLog::from_now_on();
        let loaded = self.control.load(self.name, table, is_read_only);
        loaded.map_err(|error| refused(error, log, self.image.name.clone()))?;
        let state = self.control.resume(self.name);
        Ok(state.map_err(MappingError::from)?.device)
    }

    /// Waits for its name.
    fn name(&self, device: u64) -> Result<(), Error> {
        let Image { options, watch, .. } = self.image;
        let appeared = with_wait(options.udev_timeout, *watch, |wait| {
            Nodes::default().appear(self.name, device, wait)
        });
        if watch.is_cancelled() {
            return Err(Error::Cancelled);
        }
        if appeared.map_err(MappingError::from)? == Appeared::MadeAfterWaiting {
            watch.warn(&format_args!(
                "udev has not made a link for {} in time: a node was made instead",
                shown(self.name)
            ));
        }
        Ok(())
    }

    /// Takes away what was made. Whoever looks at a new device, as udev does, has it open for a moment.
    fn undo(&self) {
        let removed = close::remove_patiently(self.control, self.name, &());
        let _ = Nodes::default().sweep(self.name);
        if let Err(error) = removed {
            self.image.watch.warn(&format_args!(
                "{} is left as a mapping: {error}",
                shown(self.name)
            ));
        }
    }
}
