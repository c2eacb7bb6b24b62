//! A container whose header is to be changed: opened for it, backed up first, and what a dry run would have written.

pub mod named;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use luks::backup::MAX_BYTES;
use luks::{Backup, Luks, Policy};
use named::Named;
use serde::Serialize;
use volume::{Access, FileStorage, ImageLock, ImageRole, LockMode, RehearsedStorage, Storage};

use crate::block::{self, Claim, Ground, InUse};
use crate::confirm::{Confirm, Loss, Question};
use crate::error::{ChangeError, Error, Unconfirmed};
use crate::folder::Folder;
use crate::inputs::{Inputs, Origin};
use crate::policy::Policies;
use crate::secret::Secrets;
use crate::source::Source;
use crate::temporary::{Content, TemporaryFile, writing};
use crate::text;
use crate::unlock::{self, Unlock};
use crate::watch::Watch;

/// How a header is changed.
#[derive(Clone, Debug, Default)]
pub struct ChangeOptions {
    /// What the header must look like.
    pub policies: Policies,
    /// First a backup of header and keyslots is written into this new file.
    pub backup: Option<PathBuf>,
    /// Nothing is written.
    pub dry_run: bool,
    /// A seal of the header goes, where no key is there to make it anew.
    pub drop_seal: bool,
    /// What is read beside the image, and must not be written: key files.
    pub inputs: Inputs,
}

/// Who has the key that a sealed header is sealed anew with when it is changed, and how it unlocks.
#[derive(Clone, Copy)]
pub struct SealKey<'a> {
    /// Who has it.
    pub secrets: &'a dyn Secrets,
    /// How it unlocks.
    pub unlock: &'a Unlock,
}

/// What a dry run would have written.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Rehearsed {
    /// Always.
    pub dry_run: bool,
    /// In their order.
    pub writes: Vec<WouldWrite>,
}

/// Bytes that would have been written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct WouldWrite {
    /// The first.
    pub offset: u64,
    /// How many.
    pub length: u64,
}

/// An image that is open for writing, kept from other programs that read or write it.
pub struct Target {
    /// How messages name it.
    pub name: String,
    /// Its bytes.
    pub storage: Arc<dyn Storage>,
    /// The same, where nothing is to be written.
    rehearsed: Option<Arc<RehearsedStorage>>,
    /// None of something that was open already.
    image: Option<Image>,
}

/// A file or a block device.
struct Image {
    path: PathBuf,
    file: Arc<FileStorage>,
    _lock: ImageLock,
}

impl Target {
    /// A file or a device.
    pub(crate) fn at(
        path: &Path,
        name: String,
        dry_run: bool,
        claim: Claim,
        inputs: &Inputs,
    ) -> Result<Self, ChangeError> {
        let image = Image::open(path, &name, dry_run)?;
        let ground = Ground::of(image.file.file());
        if let Some(clash) = ground.and_then(|ground| inputs.clash(&ground)) {
            return Err(ChangeError::Input { name, clash });
        }
        let storage = Arc::new(Named::new(image.file.clone(), path));
        Self::of(name, storage, Some(image), dry_run, claim)
    }

    /// Something that is open already.
    pub(crate) fn of_storage(
        storage: &Arc<dyn Storage>,
        name: String,
        dry_run: bool,
        claim: Claim,
        inputs: &Inputs,
    ) -> Result<Self, ChangeError> {
        match inputs.clash_with(storage) {
            Some(clash) => Err(ChangeError::Input { name, clash }),
            None => Self::of(name, Arc::clone(storage), None, dry_run, claim),
        }
    }

    fn of(
        name: String,
        storage: Arc<dyn Storage>,
        image: Option<Image>,
        dry_run: bool,
        claim: Claim,
    ) -> Result<Self, ChangeError> {
        let rehearsed = if dry_run {
            let rehearsed = RehearsedStorage::new(storage.clone());
            Some(Arc::new(rehearsed.map_err(|source| ChangeError::Open {
                name: name.clone(),
                source,
            })?))
        } else {
            None
        };
        let target = Self {
            name,
            storage: match &rehearsed {
                Some(rehearsed) => rehearsed.clone(),
                None => storage,
            },
            rehearsed,
            image,
        };
        target.claim(claim)?;
        Ok(target)
    }

    /// Whether it is a block device.
    pub fn is_device(&self) -> bool {
        let image = self.image.as_ref();
        image.is_some_and(|image| image.file.is_block_device())
    }

    /// The same as something that is read: this is what keeps others away.
    pub(crate) fn source(&self) -> Source {
        let ground = self.file().map(|file| Ground::of(file.file()));
        let mut source = Source::of_storage(self.name.clone(), &self.storage);
        if let Some(ground) = ground {
            source.origin = ground.map(Origin::Ground);
        }
        source
    }

    /// The file or block device, where it is one.
    pub fn file(&self) -> Option<&Arc<FileStorage>> {
        self.image.as_ref().map(|image| &image.file)
    }

    /// Its path, where it is a file or a block device.
    pub fn path(&self) -> Option<&Path> {
        self.image.as_ref().map(|image| image.path.as_path())
    }

    /// Whether both are one file or device, by whatever name.
    pub fn is_same_as(&self, other: &Self) -> bool {
        match (self.file(), other.file()) {
            (Some(one), Some(other)) => {
                let ground = |file: &FileStorage| Ground::of(file.file());
                matches!((ground(one), ground(other)), (Some(one), Some(other)) if one.meets(&other))
            }
            _ => Arc::ptr_eq(&self.storage, &other.storage),
        }
    }

    /// Refuses an image that somebody uses as `claim` forbids.
    pub fn claim(&self, claim: Claim) -> Result<(), ChangeError> {
        let Some(image) = &self.image else {
            return Ok(());
        };
        let name = || self.name.clone();
        match block::check(image.file.file(), claim) {
            Ok(None) => Ok(()),
            Ok(Some(by)) => Err(ChangeError::InUse { name: name(), by }),
            Err(source) => Err(ChangeError::Read {
                name: name(),
                source,
            }),
        }
    }

    /// Says that the container is open, where what opens it is about to go.
    pub fn warn_of_mapping(&self, watch: &dyn Watch) -> Result<(), ChangeError> {
        match self.claim(Claim::Whole) {
            Err(ChangeError::InUse { name, by }) => {
                watch.warn(&format_args!(
                    "{name} is in use{by}; once that is closed, what the header holds then is all that opens it"
                ));
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Refuses to convert a container that is mapped, wherever its header is, and of whichever version it was then.
    pub fn refuse_mapped(&self, luks: &Luks) -> Result<(), ChangeError> {
        let uuid = luks.header().uuid();
        let mut mappings = [1, 2].into_iter();
        match mappings.find_map(|version| block::mapping_of_container(version, uuid)) {
            None => Ok(()),
            Some(mapping) => Err(ChangeError::InUse {
                name: self.name.clone(),
                by: InUse::mapped(mapping),
            }),
        }
    }

    /// Its bytes as they are now, whose changes stay in memory.
    pub fn rehearsal(&self) -> Result<Arc<RehearsedStorage>, ChangeError> {
        let storage = RehearsedStorage::new(self.storage.clone());
        let storage = storage.map_err(|source| ChangeError::Read {
            name: self.name.clone(),
            source,
        })?;
        Ok(Arc::new(storage))
    }

    /// Reads its header, to be changed, and checks it, against `policies` too; what is wrong with it and could be passed
    /// over is told.
    pub fn luks(&self, policies: &[Policy], watch: &dyn Watch) -> Result<Luks, Error> {
        let luks = unlock::open(&self.name, self.storage.clone(), policies, watch)?;
        luks.check_change().map_err(self.failed())?;
        Ok(luks)
    }

    /// The same as `options` say.
    pub fn luks_by(&self, options: &ChangeOptions, watch: &dyn Watch) -> Result<Luks, Error> {
        let luks = self.luks(&options.policies.read()?, watch)?;
        if options.drop_seal {
            luks.drop_seal();
        }
        Ok(luks)
    }

    /// The same for a change that `options` describe and that needs no key but to seal the header anew: where it is sealed
    /// and its seal is to stay, the container is unlocked with `key`. Then the backup is written, if one was asked for.
    pub fn luks_to_change(
        &self,
        options: &ChangeOptions,
        key: Option<SealKey<'_>>,
        watch: &dyn Watch,
    ) -> Result<Luks, Error> {
        let luks = self.luks_by(options, watch)?;
        let is_wanted = key.is_some_and(|key| key.unlock.seal.is_wanted());
        if is_wanted || (luks.is_sealed() && !options.drop_seal) {
            let key = key.ok_or_else(|| self.failed()(luks::Error::Sealed))?;
            unlock::unlock_as_given(&luks, &self.name, key.secrets, key.unlock, watch)?;
        }
        self.back_up(&luks, options.backup.as_deref(), watch)?;
        Ok(luks)
    }

    /// The header, after its backup was written into the file `backup`, if one was asked for.
    pub fn luks_after_backup(
        &self,
        policies: &[Policy],
        backup: Option<&Path>,
        watch: &dyn Watch,
    ) -> Result<Luks, Error> {
        let luks = self.luks(policies, watch)?;
        self.back_up(&luks, backup, watch)?;
        Ok(luks)
    }

    /// Writes the backup that was asked for.
    pub fn back_up(
        &self,
        luks: &Luks,
        path: Option<&Path>,
        watch: &dyn Watch,
    ) -> Result<(), Error> {
        match path {
            Some(path) if self.rehearsed.is_none() => {
                back_up(&self.name, luks, path, watch).map(drop)
            }
            Some(path) => Ok(check_new(path)?),
            None => Ok(()),
        }
    }

    /// Asks before something goes that nothing brings back.
    pub fn confirm(&self, confirm: &dyn Confirm, loss: Loss<'_>) -> Result<(), Unconfirmed> {
        confirm.confirm(&Question {
            image: &self.name,
            loss,
            dry_run: self.is_rehearsed(),
        })
    }

    /// Whether nothing is written.
    pub fn is_rehearsed(&self) -> bool {
        self.rehearsed.is_some()
    }

    /// Ends a change: what a dry run would have written, or nothing where it was.
    ///
    /// # Errors
    ///
    /// That of [`Self::check_named`].
    pub fn finish(&self) -> Result<Option<Rehearsed>, ChangeError> {
        self.check_named()?;
        let written = self.rehearsed.as_ref().map(|rehearsed| rehearsed.written());
        Ok(written.map(|ranges| Rehearsed {
            dry_run: true,
            writes: ranges
                .into_iter()
                .map(|range| WouldWrite {
                    offset: range.start,
                    length: range.end - range.start,
                })
                .collect(),
        }))
    }

    /// Refuses to call a change done that went into a file which has lost its name meanwhile.
    pub fn check_named(&self) -> Result<(), ChangeError> {
        if let (Some(image), None) = (&self.image, &self.rehearsed)
            && !named::leads_to(&image.path, image.file.file())
        {
            let name = self.name.clone();
            return Err(ChangeError::Exchanged { name });
        }
        Ok(())
    }

    /// An error of the library about this container.
    pub fn failed(&self) -> impl Fn(luks::Error) -> Error + '_ {
        |error| Error::of_image(&self.name, error, &*self.storage)
    }
}

impl Image {
    fn open(path: &Path, name: &str, dry_run: bool) -> Result<Self, ChangeError> {
        let kind = path.metadata().map_err(|source| ChangeError::Open {
            name: name.to_owned(),
            source,
        })?;
        let (kind, name_of) = (kind.file_type(), || name.to_owned());
        if kind.is_dir() {
            return Err(ChangeError::Directory { name: name_of() });
        }
        if !(kind.is_file() || kind.is_block_device()) {
            return Err(ChangeError::Stream { name: name_of() });
        }
        let mode = if dry_run {
            LockMode::Shared
        } else {
            LockMode::Exclusive
        };
        let (file, lock) = locked(path, name, mode)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            _lock: lock,
        })
    }
}

/// Opens an image and locks it. Whoever changes its header now may put another file in its place: that one is opened
/// then.
fn locked(
    path: &Path,
    name: &str,
    mode: LockMode,
) -> Result<(Arc<FileStorage>, ImageLock), ChangeError> {
    /// Somebody who replaces it as often will do so again.
    const TRIES: usize = 8;
    let name = || name.to_owned();
    let cannot_lock = |source: io::Error| match source.kind() {
        io::ErrorKind::WouldBlock => ChangeError::Busy { name: name() },
        _ => ChangeError::Lock {
            name: name(),
            source,
        },
    };
    for _ in 0..TRIES {
        let file = FileStorage::open(path, Access::ReadWrite);
        let file = Arc::new(file.map_err(|source| ChangeError::Open {
            name: name(),
            source,
        })?);
        let lock = file.lock_image(ImageRole::Writer).map_err(cannot_lock)?;
        drop(file.lock(mode).map_err(cannot_lock)?);
        if named::leads_to(path, file.file()) {
            return Ok((file, lock));
        }
    }
    Err(ChangeError::Exchanged { name: name() })
}

/// Writes a backup of header and keyslots into a new file that its owner may read.
pub fn back_up(name: &str, luks: &Luks, path: &Path, watch: &dyn Watch) -> Result<Backup, Error> {
    let backup = read_holey(name, luks, watch)?;
    write_new(path, 0o400, Content::Public, backup.bytes())?;
    Ok(backup)
}

/// Reads header and keyslots, and tells of what cannot be.
fn read_holey(name: &str, luks: &Luks, watch: &dyn Watch) -> Result<Backup, Error> {
    let backup = Backup::read(luks).map_err(|error| Error::luks(name, error))?;
    for hole in backup.holes() {
        let need = if hole.is_in_use {
            ", which are in use"
        } else {
            ", which nothing uses"
        };
        watch.warn(&format_args!(
            "{name}: bytes {} to {}{need}, are zeros in the backup: {}",
            hole.start,
            hole.end - 1,
            hole.problem
        ));
    }
    Ok(backup)
}

/// What [`back_up`] would do, for a dry run.
pub fn would_back_up(
    name: &str,
    luks: &Luks,
    path: &Path,
    watch: &dyn Watch,
) -> Result<Backup, Error> {
    let backup = read_holey(name, luks, watch)?;
    check_new(path)?;
    Ok(backup)
}

/// A file that is to be written must not exist yet.
pub fn check_new(path: &Path) -> Result<(), ChangeError> {
    if path.symlink_metadata().is_ok() {
        let name = text::path(path);
        return Err(ChangeError::Exists { name });
    }
    Folder::of(path)
        .and_then(|(folder, _)| folder.check_writable())
        .map_err(|source| ChangeError::Write {
            name: text::path(path),
            source,
        })
}

/// Reads a backup of header and keyslots, or of a larger file as much as a backup can have.
pub fn read_backup(path: &Path) -> Result<Vec<u8>, ChangeError> {
    read_start(path, MAX_BYTES)
}

/// Reads a file, or of a larger one the first `most` bytes.
pub fn read_start(path: &Path, most: u64) -> Result<Vec<u8>, ChangeError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(most).read_to_end(&mut bytes))
        .map_err(|source| ChangeError::Read {
            name: text::path(path),
            source,
        })?;
    Ok(bytes)
}

/// Writes a file of `content` that must not exist yet, through to the disk; after an error or a signal there is none. It
/// has its name once it is whole, so that a process that is killed leaves no part of it under that.
pub fn write_new(
    path: &Path,
    mode: u32,
    content: Content,
    bytes: &[u8],
) -> Result<(), ChangeError> {
    write_named(path, mode, content, bytes, true)
}

/// The same over a file that there is: after an error, a signal or a loss of power it is the old or the new one.
pub fn replace(path: &Path, mode: u32, content: Content, bytes: &[u8]) -> Result<(), ChangeError> {
    write_named(path, mode, content, bytes, false)
}

fn write_named(
    path: &Path,
    mode: u32,
    content: Content,
    bytes: &[u8],
    is_new: bool,
) -> Result<(), ChangeError> {
    let failed = |error| write_failed(path, error);
    let (folder, name) = Folder::of(path).map_err(failed)?;
    let (mut file, temporary) =
        TemporaryFile::create_for(&Arc::new(folder), &name, mode, content).map_err(failed)?;
    let written = {
        let _writing = writing();
        file.write_all(bytes)
    };
    written.and_then(|()| file.sync_all()).map_err(failed)?;
    let named = temporary.keep(|temporary| {
        let folder = temporary.folder();
        if !is_new {
            folder.rename(temporary.name(), &name)?;
            return folder.sync(&file);
        }
        folder.rename_new(temporary.name(), &name)?;
        folder.sync(&file).inspect_err(|_| {
            let _ = folder.remove_own(&name, &file);
        })
    });
    named.map_err(failed)
}

/// The same, and the file goes again unless it is kept.
pub fn write_for_now(
    path: &Path,
    mode: u32,
    content: Content,
    bytes: &[u8],
) -> Result<TemporaryFile, ChangeError> {
    let failed = |error| write_failed(path, error);
    let (folder, name) = Folder::of(path).map_err(failed)?;
    let (mut file, temporary) =
        TemporaryFile::create(&Arc::new(folder), &name, mode, content).map_err(failed)?;
    let written = {
        let _writing = writing();
        file.write_all(bytes)
    };
    written
        .and_then(|()| file.sync_all())
        .and_then(|()| temporary.folder().sync(&file))
        .map_err(failed)?;
    Ok(temporary)
}

fn write_failed(path: &Path, source: io::Error) -> ChangeError {
    let name = text::path(path);
    match source.kind() {
        io::ErrorKind::AlreadyExists => ChangeError::Exists { name },
        _ => ChangeError::Write { name, source },
    }
}
