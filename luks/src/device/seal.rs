//! A container and its seal: checked once a key fits, and remembered for who changes the header then.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::{Header, Luks, Unlocked};
use crate::error::{Error, SealProblem};
use crate::luks1;
use crate::number::{to_u64, to_usize};
use crate::random::Random;
use crate::seal::{self, FileSeal, SealToken, SealWanted, Sealer};

/// What is known of the seal of a container.
#[derive(Default)]
pub(super) struct SealState {
    /// Nothing unlocks the container unless its seal is right.
    is_required: AtomicBool,
    /// A seal that was required was right.
    is_right: AtomicBool,
    /// Who changes the header takes the seal out of it.
    is_dropped: AtomicBool,
    /// What came of checking the token with the volume key, and what seals anew.
    token: OnceLock<Result<Arc<Sealer>, SealProblem>>,
}

/// What becomes of the seal of a header that is changed.
pub(crate) enum Resealing {
    /// There is none.
    Unsealed,
    /// It is made anew.
    Anew(Arc<Sealer>),
    /// It goes.
    Drop,
}

impl Luks {
    /// The tokens that say that they seal the header, unchecked: one, where all is right.
    pub fn seal_tokens(&self) -> Vec<SealToken> {
        match &self.header {
            Header::Luks1(_) => Vec::new(),
            Header::Luks2(header) => seal::tokens(&header.metadata),
        }
    }

    /// Whether a token says that it seals the header.
    pub fn is_sealed(&self) -> bool {
        !self.seal_tokens().is_empty()
    }

    /// What came of checking the token that seals the header; `None` where there is none, or while the volume key of the
    /// data is not known.
    pub fn checked_seal(&self) -> Option<Result<(), SealProblem>> {
        let outcome = self.seal.token.get()?;
        Some(outcome.as_ref().map(|_| ()).map_err(Clone::clone))
    }

    /// From now on nothing unlocks this container, and nothing changes its header, unless its seal is right.
    pub fn require_seal(&self) {
        self.seal.is_required.store(true, Ordering::Relaxed);
    }

    /// Whether [`Self::require_seal`] was called.
    pub fn is_seal_required(&self) -> bool {
        self.seal.is_required.load(Ordering::Relaxed)
    }

    /// Whether a seal was required, in a token or in a file, and was right.
    pub fn is_seal_right(&self) -> bool {
        self.seal.is_right.load(Ordering::Relaxed)
    }

    /// From now on a change of the header takes its seal out of it, where there is one: without a key nobody can make
    /// another one.
    pub fn drop_seal(&self) {
        self.seal.is_dropped.store(true, Ordering::Relaxed);
    }

    /// Whether [`Self::drop_seal`] was called.
    pub fn is_seal_dropped(&self) -> bool {
        self.seal.is_dropped.load(Ordering::Relaxed)
    }

    /// Takes over what was found of the seal when `earlier` was unlocked, if that has read the very same bytes: the header
    /// can be changed then without a key.
    pub fn know_seal_of(&self, earlier: &Self) {
        if self.copies == earlier.copies
            && let Some(outcome) = earlier.seal.token.get()
        {
            self.seal.token.get_or_init(|| outcome.clone());
        }
    }

    /// Makes a seal that is kept in a file, of all that lies before the data.
    ///
    /// # Errors
    ///
    /// [`SealProblem::OtherKey`], [`SealProblem::Copies`], [`SealProblem::Short`]; [`Error::Io`], [`Error::Random`].
    pub fn seal_in_file(
        &self,
        unlocked: &Unlocked,
        random: &mut dyn Random,
    ) -> Result<FileSeal, Error> {
        let key = unlocked.key_of_data().ok_or(SealProblem::OtherKey)?;
        if self.fingerprint.is_none() {
            return Err(SealProblem::Copies.into());
        }
        let have = self.storage_bytes()?;
        let need = self.bytes_to_seal(have);
        if need > have {
            return Err(SealProblem::Short { need, have }.into());
        }
        let sealer = Sealer::new(key, random)?;
        FileSeal::make(&sealer, self.header.uuid(), need, |sink| {
            self.hand_out(need, sink)
        })
    }

    /// What becomes of the seal when the header is changed now.
    ///
    /// # Errors
    ///
    /// [`Error::Sealed`] while no key has checked it, [`Error::Seal`] where it is not right: nobody is to seal what somebody
    /// else has written.
    pub(crate) fn resealing(&self) -> Result<Resealing, Error> {
        if self.is_seal_required() && !self.is_seal_right() {
            return Err(if self.is_sealed() {
                Error::Sealed
            } else {
                SealProblem::Missing.into()
            });
        }
        if !self.is_sealed() {
            return Ok(Resealing::Unsealed);
        }
        if self.is_seal_dropped() {
            return Ok(Resealing::Drop);
        }
        match self.seal.token.get() {
            None => Err(Error::Sealed),
            Some(Ok(sealer)) => Ok(Resealing::Anew(Arc::clone(sealer))),
            Some(Err(problem)) => Err(problem.clone().into()),
        }
    }

    /// Holds the header to its seal, now that a key fits.
    pub(super) fn hold_to_seal(
        &self,
        unlocked: &Unlocked,
        wanted: &SealWanted<'_>,
    ) -> Result<(), Error> {
        self.check_epoch_of(wanted.min_epoch)?;
        let key = unlocked.key_of_data();
        if let (Some(key), Header::Luks2(header), true) = (key, &self.header, self.is_sealed()) {
            self.seal
                .token
                .get_or_init(|| seal::check_token(key, header, &self.copies).map(Arc::new));
        }
        let is_required = wanted.required || self.is_seal_required();
        match (wanted.file, is_required) {
            (Some(file), _) => {
                let key = key.ok_or(SealProblem::OtherKey)?;
                self.check_file(key, file)?;
            }
            (None, true) => match self.checked_seal() {
                Some(outcome) => outcome?,
                None if self.is_sealed() => return Err(SealProblem::OtherKey.into()),
                None => return Err(SealProblem::Missing.into()),
            },
            (None, false) => return Ok(()),
        }
        self.seal.is_right.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn check_epoch_of(&self, least: Option<u64>) -> Result<(), SealProblem> {
        let Some(least) = least else {
            return Ok(());
        };
        match &self.header {
            Header::Luks1(_) => Err(SealProblem::NoEpoch { least }),
            Header::Luks2(header) if header.binary.epoch < least => Err(SealProblem::Epoch {
                have: header.binary.epoch,
                least,
            }),
            Header::Luks2(_) => Ok(()),
        }
    }

    fn check_file(&self, key: &dmcrypt::VolumeKey, file: &FileSeal) -> Result<(), Error> {
        let need = file.bytes();
        let least = end_of_areas(&self.header);
        file.check(key, self.header.uuid(), |sink| {
            // Every byte is sealed: one that is passed over was changed, and so was one that is not there.
            if self.fingerprint.is_none() || need < least || need > self.storage_bytes()? {
                return Err(SealProblem::Broken.into());
            }
            self.hand_out(need, sink)
        })
    }

    /// Hands out the first `bytes` bytes of the container: the header as it was read and used, the rest from the disk.
    fn hand_out(&self, bytes: u64, sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        let mut at = 0_u64;
        for copy in &self.copies {
            sink(copy);
            at = at.saturating_add(to_u64(copy.len()));
        }
        let mut buffer = vec![0; CHUNK_BYTES];
        while at < bytes {
            let length = to_usize(bytes.saturating_sub(at)).min(CHUNK_BYTES);
            let chunk = &mut buffer[..length];
            self.storage
                .read_at(at, chunk)
                .map_err(Error::io(format!("read what is sealed at {at:#x}")))?;
            sink(chunk);
            at = at.saturating_add(to_u64(length));
        }
        Ok(())
    }

    /// How much lies before the data: header, keyslots, and what there is up to the data where they lie behind.
    fn bytes_to_seal(&self, have: u64) -> u64 {
        let areas = end_of_areas(&self.header);
        match self.header.data_offset() {
            Some(offset) if offset <= have => offset.max(areas),
            _ => areas,
        }
    }

    fn storage_bytes(&self) -> Result<u64, Error> {
        self.storage
            .len()
            .map_err(Error::io("find the size of the container"))
    }
}

/// Bytes that are read and sealed at a time.
const CHUNK_BYTES: usize = 1024 * 1024;

/// First byte behind header and keyslots.
pub(crate) fn end_of_areas(header: &Header) -> u64 {
    match header {
        Header::Luks1(header) => header
            .keyslots
            .iter()
            .map(|slot| slot.area_offset().saturating_add(header.area_length()))
            .max()
            .unwrap_or(0)
            .max(to_u64(luks1::Header::BYTES)),
        Header::Luks2(header) => header
            .binary
            .header_bytes
            .saturating_mul(2)
            .saturating_add(header.metadata.config.keyslots_bytes),
    }
}
