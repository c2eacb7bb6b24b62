//! The image and its header, held for as long as a job takes.

use luks::reencrypt::luks1::Lowering;
use luks::reencryption::{State, state};
use luks::{Header, Luks, Policy, reencrypt};

use super::lock::{self, CryptsetupLock};
use crate::block::Claim;
use crate::change::{ChangeOptions, Target};
use crate::error::{Error, InPlaceError};
use crate::open;
use crate::place::Place;
use crate::transfer::Work;
use crate::unlock;
use crate::watch::Watch;

/// The image and its header, kept from all others.
pub(super) struct Site {
    /// The data, and the header unless it is detached.
    pub(super) data: Target,
    /// The detached header.
    pub(super) header: Option<Target>,
    /// Where the detached header lies.
    pub(super) header_place: Option<Place>,
    /// The detached LUKS1 header, where `header` describes what is done to its data.
    pub(super) lowered: Option<Target>,
    /// Its name, where it was made at the end.
    pub(super) lowered_name: Option<String>,
    /// A seal of the header goes.
    drop_seal: bool,
}

impl Site {
    /// Opens both.
    pub(super) fn open(
        image: &Place,
        header: Option<&Place>,
        change: &ChangeOptions,
    ) -> Result<Self, Error> {
        let data = open::changed_by(image, change, Claim::Whole)?;
        let mut site = Self {
            data,
            header: None,
            header_place: None,
            lowered: None,
            lowered_name: None,
            drop_seal: change.drop_seal,
        };
        if let Some(header) = header {
            site.take_header(header, change)?;
        }
        Ok(site)
    }

    /// Opens the header, which is detached after all.
    pub(super) fn take_header(
        &mut self,
        header: &Place,
        change: &ChangeOptions,
    ) -> Result<(), Error> {
        let target = open::changed_by(header, change, Claim::Whole)?;
        if target.is_same_as(&self.data) {
            return Err(Error::Conflict {
                one: crate::new_container::Places::HEADER,
                other: "the container itself",
            });
        }
        self.header = Some(target);
        self.header_place = Some(header.clone());
        Ok(())
    }

    /// Where the header lies.
    pub(super) fn header(&self) -> &Target {
        self.header.as_ref().unwrap_or(&self.data)
    }

    /// How messages name the file with the detached header.
    pub(super) fn header_name(&self) -> Option<String> {
        let header = self.header.as_ref().or(self.lowered.as_ref());
        let header = header.map(|header| header.name.clone());
        header.or_else(|| self.lowered_name.clone())
    }

    /// Reads the header, whatever state it is in.
    pub(super) fn luks(&self, policies: &[Policy], watch: &dyn Watch) -> Result<Luks, Error> {
        let header = self.header();
        let luks = unlock::open(&header.name, header.storage.clone(), policies, watch)?;
        if self.header.is_none() {
            unlock::check_attached(&luks, &header.name)?;
        }
        Ok(luks)
    }

    /// The same of one in which nothing may be under way.
    pub(super) fn settled(&self, policies: &[Policy], watch: &dyn Watch) -> Result<Luks, Error> {
        let luks = self.luks(policies, watch)?;
        if self.drop_seal {
            luks.drop_seal();
        }
        if let Header::Luks2(header) = luks.header()
            && (!matches!(state(&header.metadata), State::None | State::Unknown)
                || Lowering::said(luks.header()).is_some())
        {
            return Err(InPlaceError::UnderWay {
                name: self.data.name.clone(),
                header: self.header_name(),
            }
            .into());
        }
        reencrypt::check_begin(&luks).map_err(|error| self.luks_error(error))?;
        Ok(luks)
    }

    /// Keeps cryptsetup from what is done to the container of this header.
    pub(super) fn keep_cryptsetup_out(
        &self,
        luks: &Luks,
        watch: &dyn Watch,
    ) -> Result<Option<CryptsetupLock>, Error> {
        if self.data.is_rehearsed() {
            return Ok(None);
        }
        self.data.refuse_mapped(luks)?;
        lock::take(&self.data.name, luks.header().uuid(), watch)
    }

    /// Has the data move past the page cache, if that is asked for.
    pub(super) fn bypass_page_cache(&self, work: Work) -> Result<(), Error> {
        crate::transfer::bypass_page_cache(work, &self.data.name, self.data.file())
    }

    /// An error of the library before anything was written.
    pub(super) fn luks_error(&self, error: luks::Error) -> Error {
        let header = self.header();
        Error::of_image(&header.name, error, &*header.storage)
    }

    /// An error of the library that has left the job undone.
    pub(super) fn left_by(&self, error: luks::Error) -> Error {
        match error {
            luks::Error::Io { .. } => InPlaceError::Broken {
                name: self.data.name.clone(),
                header: self.header_name(),
                error: Box::new(error),
            }
            .into(),
            error => self.luks_error(error),
        }
    }
}
