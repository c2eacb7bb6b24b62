//! Encrypting, decrypting and giving a new key to data in its own place, so that a crash at any write loses nothing
//! (LUKS2 specification 3.2.2 to 3.5 and 4.9).
//!
//! The header says at every moment which bytes are as they were and which are as they will be. It is done zone by zone:
//! what protects the zone's old bytes is written and synced, then a header that calls the zone hot, then the zone, synced,
//! then a header that calls it done. [`Running::open`] goes on from whatever that has left, cryptsetup's work too, and
//! whatever is left cryptsetup goes on with:
//!
//! - The last zone's hot header is followed by the final one: a header that still asks for a reencryption of which nothing
//!   is left would be taken for one that has not begun.
//! - What is still to be wiped then stands in a token ([`Leavings`]) until it is.
//! - Jobs that begin by overwriting a part of the image go on from a header in a file of its own until the image has one
//!   ([`prepare_encrypt`], [`start_decrypt_shift`]).
//!
//! ```
//! # use std::sync::Arc;
//! # use dmcrypt::{HashAlgorithm, Passphrase};
//! # use luks::{FormatOptions, KdfParams, KeyslotOptions, Luks, OsRandom, UnlockOptions, format};
//! # use volume::{MemoryStorage, Storage};
//! use luks::reencrypt::{NewKey, NewSlot, Outcome, RunOptions, StartOptions, start_reencrypt};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let disk: Arc<dyn Storage> = Arc::new(MemoryStorage::new(17 << 20));
//! # let passphrase = Passphrase::from_bytes(b"correct horse".to_vec().into());
//! # let kdf = KdfParams::Pbkdf2 { hash: HashAlgorithm::Sha256, iterations: 1000 };
//! # let options = FormatOptions { kdf: kdf.clone(), digest_iterations: 1000, ..FormatOptions::default() };
//! # let new = format::prepare(&options, &passphrase, None, &mut OsRandom, &|| false)?;
//! # new.write_areas(&*disk, &mut OsRandom)?;
//! # new.commit(&*disk)?;
//! # Luks::open(disk.clone())?.unlock(&passphrase, &UnlockOptions::default())?.volume(disk.clone())?.write_at(0, b"secret")?;
//! let luks = Luks::open(disk.clone())?;
//! let unlocked = luks.unlock(&passphrase, &UnlockOptions::default())?;
//! let slot = NewSlot {
//!     replaces: 0,
//!     passphrase: &passphrase,
//!     options: KeyslotOptions { kdf, ..KeyslotOptions::default() },
//! };
//! let new = NewKey { keyslots: vec![slot], digest: (HashAlgorithm::Sha256, 1000), ..NewKey::default() };
//! let mut running =
//!     start_reencrypt(&luks, unlocked, disk.clone(), new, &StartOptions::default(), &mut OsRandom)?;
//! assert!(matches!(running.run(&RunOptions::default(), &mut OsRandom)?, Outcome::Finished));
//!
//! let luks = Luks::open(disk.clone())?;
//! let volume = luks.unlock(&passphrase, &UnlockOptions::default())?.volume(disk)?;
//! let mut secret = [0; 6];
//! volume.read_at(0, &mut secret)?;
//! assert_eq!(&secret, b"secret");
//! # Ok(())
//! # }
//! ```

mod begin;
mod leavings;
mod limits;
pub mod luks1;
mod metadata;
mod plan;
mod protect;
mod prove;
mod state;
mod zones;

use std::ops::Range;
use std::sync::Arc;

use dmcrypt::HashAlgorithm;
use serde_json::{Map, Value};
use volume::Storage;

pub use self::begin::{
    NewKey, NewSlot, PUT_ASIDE, Shift, StartOptions, check_begin, forget_in_place,
    is_encrypted_apart, is_to_be_put_aside, mark_decrypt_in_place, plan_decrypt,
    plan_decrypt_shift, plan_encrypt, plan_reencrypt, prepare_encrypt, put_aside, put_header,
    start_decrypt, start_decrypt_shift, start_reencrypt,
};
pub use self::leavings::{DECRYPT_IN_PLACE, ENCRYPT_IN_PLACE, Leavings, Tail, WIPE};
pub use self::plan::{Shelter, ZoneRun};
pub use self::prove::make_digest;
use self::state::Job;
use crate::defaults;
use crate::device::{Header, Luks, Unlocked};
use crate::edit::Edit;
use crate::error::{Error, InvalidOption, ReencryptionObstacle};
use crate::luks2::{self, ReencryptionMode, Resilience};
use crate::random::Random;

/// How zones are protected that are written in their own place. Where data is shifted, its old bytes beside it do that.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protection {
    /// Not at all: a crash loses what was being written.
    None,
    /// By hashes of their old blocks.
    Checksum(HashAlgorithm),
    /// By a copy of their old bytes.
    Journal,
}

impl Default for Protection {
    /// Checksums of SHA-256, as cryptsetup has it.
    fn default() -> Self {
        Self::Checksum(defaults::HASH)
    }
}

/// How to go on with a reencryption.
pub struct RunOptions<'a> {
    /// Threads that work, the caller's among them.
    pub threads: usize,
    /// Most bytes of a zone; as many as can be protected, but 16 MiB at most, unless said. Data that is shifted has zones
    /// of its own.
    pub hotzone_bytes: Option<u64>,
    /// How zones are protected from now on; as they were unless said.
    pub protection: Option<Protection>,
    /// Hash and iterations of a digest of the state that is made anew.
    pub digest: (HashAlgorithm, u32),
    /// Asked between zones; `true` ends the work there, in a state that can be gone on with.
    pub stop: &'a (dyn Fn() -> bool + Sync),
    /// Called with the bytes of the volume that are done, and with all.
    pub progress: &'a (dyn Fn(u64, u64) + Sync),
}

impl Default for RunOptions<'_> {
    fn default() -> Self {
        Self {
            threads: 1,
            hotzone_bytes: None,
            protection: None,
            digest: (defaults::HASH, defaults::PBKDF2_MIN_ITERATIONS),
            stop: &|| false,
            progress: &|_, _| (),
        }
    }
}

/// How far it came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// To the end.
    Finished,
    /// It was stopped.
    Stopped {
        /// Bytes of the volume that are still as they were.
        left_bytes: u64,
    },
}

/// A reencryption that is under way: its header, its keys and its data.
///
/// The lock on the header is held for each change of it only. Whoever else writes the data meanwhile destroys it.
pub struct Running {
    storage: Arc<dyn Storage>,
    data: Arc<dyn Storage>,
    unlocked: Unlocked,
    header: Header,
    mode: ReencryptionMode,
    volume_bytes: u64,
    /// None where only leavings are left.
    job: Option<Job>,
}

impl Running {
    /// Takes what `luks` says and `unlocked` opens. Nothing is written.
    ///
    /// # Errors
    ///
    /// [`ReencryptionObstacle::NotInProgress`] where no reencryption is under way, nor anything left of one;
    /// [`Error::Unfinished`] where its digest does not fit, a key is missing, or nothing protects what a crash has left;
    /// [`Error::NeedsRecovery`] and [`Error::Unsupported`] for versions and requirements that are not known;
    /// [`Error::Corrupt`] where the segments are none that lead anywhere, or do not lie in the data.
    pub fn open(luks: &Luks, unlocked: Unlocked, data: Arc<dyn Storage>) -> Result<Self, Error> {
        Self::of(Arc::clone(luks.storage()), unlocked, data)
    }

    fn of(
        storage: Arc<dyn Storage>,
        unlocked: Unlocked,
        data: Arc<dyn Storage>,
    ) -> Result<Self, Error> {
        let header = unlocked.header().clone();
        if luks1::is_magic_to_be_taken(&header) {
            return Err(obstacle(ReencryptionObstacle::Magic));
        }
        let metadata = match &header {
            Header::Luks1(_) => return Err(not_in_progress()),
            Header::Luks2(header) => &header.metadata,
        };
        let (mode, volume_bytes, job) = if let Some(state) = metadata.known_reencryption()? {
            let job = Job::open(metadata, state, &unlocked, &data)?;
            (state.slot.mode, job.shape.volume_bytes, Some(job))
        } else {
            let (token, leavings) = Leavings::of(metadata).ok_or_else(not_in_progress)?;
            leavings.check(metadata, token, unlocked.volume_key())?;
            let mode = match (leavings.tail, metadata.digest_of_data()) {
                (_, None) => ReencryptionMode::Decrypt,
                (Some(tail), _) if tail.is_plaintext => ReencryptionMode::Encrypt,
                _ => ReencryptionMode::Reencrypt,
            };
            (mode, 0, None)
        };
        Ok(Self {
            storage,
            data,
            unlocked,
            header,
            mode,
            volume_bytes,
            job,
        })
    }

    /// The same under its header in another storage, where it has been written meanwhile.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn moved(self, luks: &Luks) -> Result<Self, Error> {
        let unlocked = self.unlocked.under(luks);
        Self::of(Arc::clone(luks.storage()), unlocked, self.data)
    }

    /// What is done to the data. Of one of which only leavings are left it is a guess.
    pub fn mode(&self) -> ReencryptionMode {
        self.mode
    }

    /// Bytes of the volume.
    pub fn volume_bytes(&self) -> u64 {
        self.volume_bytes
    }

    /// Bytes of it that are still as they were, those of a zone that a crash left included.
    pub fn left_bytes(&self) -> u64 {
        self.job
            .as_ref()
            .map_or(0, |job| job.left.bytes(&job.shape))
    }

    /// Which bytes of the data's storage a crash has left half written.
    pub fn hot(&self) -> Option<Range<u64>> {
        self.job.as_ref().and_then(Job::hot_bytes)
    }

    /// The header as it is on the disk.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How the zones are protected; `None` where there are none any more.
    pub fn resilience(&self) -> Option<&Resilience> {
        self.job.as_ref().map(|job| &job.state.slot.resilience)
    }

    /// Whether it can be gone on with in this way. Nothing is written.
    ///
    /// # Errors
    ///
    /// [`ReencryptionObstacle`].
    pub fn check(&self, options: &RunOptions<'_>) -> Result<(), Error> {
        match &self.job {
            Some(job) => job.check(options),
            None => Ok(()),
        }
    }

    /// The zones that are left, one that is to be recovered before the others. Nothing is written.
    ///
    /// # Errors
    ///
    /// As [`Self::check`].
    pub fn zones(&self, options: &RunOptions<'_>) -> Result<Vec<ZoneRun>, Error> {
        match &self.job {
            Some(job) => job.zones(options),
            None => Ok(Vec::new()),
        }
    }

    /// Finishes the zone that a crash has left half written; whether there was one. Where it was the last one, the final
    /// header is written and what is left of the reencryption is wiped.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::Changed`] where somebody else changed the header meanwhile.
    pub fn recover(
        &mut self,
        options: &RunOptions<'_>,
        random: &mut dyn Random,
    ) -> Result<bool, Error> {
        sync_header(&*self.storage)?;
        let Some(job) = &mut self.job else {
            self.wipe(random)?;
            return Ok(false);
        };
        let Some(left) = job.recover(&self.data, options)? else {
            return Ok(false);
        };
        if left.is_empty() {
            self.finish(random)?;
            return Ok(true);
        }
        self.settle(left, random)?;
        Ok(true)
    }

    /// Recovers, and goes on to the end or to where it is stopped. At the end what is left of it is wiped, and a file that
    /// it made longer is cut.
    ///
    /// # Errors
    ///
    /// As [`Self::check`], before anything is written; [`Error::Io`], after which the header says what is done, and
    /// [`Error::Changed`]. A sync that fails ends it: what is in the page cache is not what is on the disk.
    pub fn run(
        &mut self,
        options: &RunOptions<'_>,
        random: &mut dyn Random,
    ) -> Result<Outcome, Error> {
        self.check(options)?;
        self.recover(options, random)?;
        self.change_resilience(options, random)?;
        let mut is_dirty = false;
        while let Some(job) = &self.job {
            if job.left.is_empty() {
                self.sync_data()?;
                self.finish(random)?;
                return Ok(Outcome::Finished);
            }
            if (options.stop)() {
                return self.stop(is_dirty, random);
            }
            let zone = job.next(options)?;
            let after = job.shape.without(&job.left, &zone);
            if matches!(job.state.slot.resilience, Resilience::None) {
                job.transform(&zone, &self.data, options)?;
                is_dirty = true;
                self.set_left(after);
                continue;
            }
            // Where all is shifted a zone lies over nothing that the header still speaks of. Nobody is told that it is
            // being written: of the first zone of the volume cryptsetup looks for the old bytes in another place.
            if !job.state.is_shifted_alone() {
                job.protect(&zone, &self.data, &self.storage, options)?;
                let pieces = job.shape.pieces(&job.left, Some(&zone));
                let json = self.with_segments(&pieces)?;
                self.commit(json, random)?;
            }
            self.work(&zone, options)?;
            self.sync_data()?;
            if after.is_empty() {
                self.finish(random)?;
                return Ok(Outcome::Finished);
            }
            self.settle(after, random)?;
        }
        self.wipe(random)?;
        Ok(Outcome::Finished)
    }

    fn set_left(&mut self, left: zones::Left) {
        if let Some(job) = &mut self.job {
            job.left = left;
            job.hot = None;
        }
    }

    fn work(&self, zone: &Range<u64>, options: &RunOptions<'_>) -> Result<(), Error> {
        match &self.job {
            Some(job) => job.transform(zone, &self.data, options),
            None => Ok(()),
        }
    }

    /// A header of which no zone is hot.
    fn settle(&mut self, left: zones::Left, random: &mut dyn Random) -> Result<(), Error> {
        let Some(job) = &self.job else { return Ok(()) };
        let json = self.with_segments(&job.shape.pieces(&left, None))?;
        self.commit(json, random)?;
        self.set_left(left);
        Ok(())
    }

    /// Where nothing is protected no header was written on the way.
    fn stop(&mut self, is_dirty: bool, random: &mut dyn Random) -> Result<Outcome, Error> {
        if is_dirty && let Some(job) = &self.job {
            let left = job.left.clone();
            self.sync_data()?;
            self.settle(left, random)?;
        }
        Ok(Outcome::Stopped {
            left_bytes: self.left_bytes(),
        })
    }

    fn sync_data(&self) -> Result<(), Error> {
        let synced = self.data.sync();
        synced.map_err(Error::io("write the data through to the disk"))
    }

    fn change_resilience(
        &mut self,
        options: &RunOptions<'_>,
        random: &mut dyn Random,
    ) -> Result<(), Error> {
        let Some(job) = &self.job else { return Ok(()) };
        let Some(resilience) = job.new_resilience(options)? else {
            return Ok(());
        };
        let luks2 = self.luks2()?;
        let mut json = luks2.metadata.raw().clone();
        metadata::write_resilience(&mut json, &job.state, &resilience);
        let keys = |digest| self.unlocked.key_of(digest);
        let header_bytes = luks2.binary.header_bytes;
        metadata::write_digest(&mut json, header_bytes, &keys, options.digest, random)?;
        self.commit(json, random)
    }

    /// The final header, in one commit.
    fn finish(&mut self, random: &mut dyn Random) -> Result<(), Error> {
        let Some(job) = &self.job else { return Ok(()) };
        let metadata = &self.luks2()?.metadata;
        let mut json = metadata.raw().clone();
        let data_bytes = storage_bytes(&*self.data)?;
        let leavings = job.leavings(metadata, data_bytes);
        metadata::write_end(&mut json, &job.state);
        if job.state.after.digest.is_some() {
            luks1::write_end(&mut json, metadata);
        }
        leavings::forget_in_place(&mut json);
        let key = job.final_key(&self.unlocked);
        let key = key.unwrap_or_else(|| self.unlocked.volume_key());
        leavings.write(&mut json, key, random)?;
        self.commit(json, random)?;
        self.job = None;
        self.wipe(random)
    }

    /// What the token says, and then the token.
    fn wipe(&mut self, random: &mut dyn Random) -> Result<(), Error> {
        let Some((token, leavings)) = Leavings::of(&self.luks2()?.metadata) else {
            return Ok(());
        };
        if let Some(tail) = leavings.tail {
            protect::wipe_tail(&*self.data, &tail, random)?;
        }
        let mut edit = Edit::go_on(Arc::clone(&self.storage), &self.header)?;
        let metadata = &edit.luks2()?.metadata;
        let of_keyslots = leavings.keyslots.iter();
        let of_keyslots = of_keyslots.filter_map(|id| Some(metadata.keyslot(*id)?.area));
        // Keyslots last: where data was decrypted, nothing opens the header without them and finds what is left.
        let areas: Vec<_> = leavings.areas.iter().copied().chain(of_keyslots).collect();
        for area in areas {
            edit.wipe(area.offset..area.end(), random)?;
        }
        let mut draft = edit.draft()?;
        leavings.forget(&mut draft.json, token);
        edit.commit_draft(draft, random)?;
        self.header = edit.header().clone();
        Ok(())
    }

    fn with_segments(&self, pieces: &[zones::Piece]) -> Result<Map<String, Value>, Error> {
        let mut json = self.luks2()?.metadata.raw().clone();
        if let Some(job) = &self.job {
            metadata::write_segments(&mut json, &job.state, pieces);
        }
        Ok(json)
    }

    fn commit(&mut self, json: Map<String, Value>, random: &mut dyn Random) -> Result<(), Error> {
        let mut edit = Edit::go_on(Arc::clone(&self.storage), &self.header)?;
        let mut draft = edit.draft()?;
        draft.json = json;
        edit.commit_draft(draft, random)?;
        self.header = edit.header().clone();
        // Its segments have other numbers now.
        let state = self.luks2()?.metadata.reencryption.clone();
        if let (Some(job), Some(state)) = (&mut self.job, state) {
            job.state = *state;
        }
        Ok(())
    }

    fn luks2(&self) -> Result<&luks2::Header, InvalidOption> {
        match &self.header {
            Header::Luks2(header) => Ok(header),
            Header::Luks1(_) => Err(ReencryptionObstacle::NotInProgress.into()),
        }
    }
}

fn not_in_progress() -> Error {
    InvalidOption::from(ReencryptionObstacle::NotInProgress).into()
}

fn obstacle(obstacle: ReencryptionObstacle) -> Error {
    InvalidOption::from(obstacle).into()
}

/// What was read may be in memory only, when who wrote it was killed before it was synced: data that lies as a header says
/// must not outlive it.
fn sync_header(storage: &dyn Storage) -> Result<(), Error> {
    let synced = storage.sync();
    synced.map_err(Error::io("write the header through to the disk"))
}

fn storage_bytes(storage: &dyn Storage) -> Result<u64, Error> {
    storage
        .len()
        .map_err(Error::io("find the size of the image"))
}
