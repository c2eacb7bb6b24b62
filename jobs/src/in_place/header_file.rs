//! The file in which a job keeps the header as long as the image has none: made through to the disk before the first byte
//! of the image is overwritten, and removed when the image has its header, or needs none.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use luks::luks2::{ReencryptionMode, SegmentKind};
use luks::reencrypt::luks1::{Lowering, is_magic_to_be_taken, is_to_be_lowered};
use luks::reencrypt::{DECRYPT_IN_PLACE, Leavings, is_encrypted_apart, is_to_be_put_aside};
use luks::{Header, Luks};
use volume::{Access, FileStorage, Storage};

use crate::change::Target;
use crate::destination::{self, Overwrite};
use crate::error::{ChangeError, Error};
use crate::folder::Folder;
use crate::inputs::Inputs;
use crate::open;
use crate::place::Place;
use crate::temporary::Content;

/// What its name ends with.
pub const SUFFIX: &str = ".luks-header";

/// Where it lies unless said: beside the image; of a block device, beside which nothing lasts, in the folder where the
/// process is.
pub fn beside(image: &Path, is_device: bool) -> PathBuf {
    let named = if is_device {
        image.file_name().map_or(image, Path::new)
    } else {
        image
    };
    let mut name = OsString::from(named);
    name.push(SUFFIX);
    name.into()
}

/// Whether it describes what is done to data whose LUKS1 header is in a file of its own, too.
pub fn is_of_detached(path: &Path) -> bool {
    let Ok(file) = FileStorage::open(path, Access::Read) else {
        return false;
    };
    let Ok(luks) = Luks::open(Arc::new(file)) else {
        return false;
    };
    let Header::Luks2(header) = luks.header() else {
        return false;
    };
    // Data that move lie behind their header before or afterwards.
    let is_first = match &header.metadata.reencryption {
        Some(state) => [&state.before, &state.after]
            .iter()
            .all(|backup| backup.segment.offset == 0),
        None => luks.header().data_offset() == Some(0),
    };
    Lowering::said(luks.header()).is_some() && is_first
}

/// What the header in a file of its own says that is to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// Encrypt: the first bytes of the image are to be copied to its end, and then the header goes to their place.
    PutAside,
    /// Encrypt: the first bytes are at the end, and the header is to go to their place.
    PutHeader,
    /// Encrypt: somebody else has encrypted all of it by the header file, which is to go to its place.
    PutFinal,
    /// Decrypt: the header is to be replaced by the first bytes of data.
    TakeHeader,
    /// LUKS1: the header that there was is to lose its magic.
    TakeMagic,
    /// LUKS1: all is done but for the header, which is to be written.
    Lower,
    /// Nothing more: all is decrypted.
    Decrypted,
    /// Whatever a detached header says.
    Detached,
}

impl Stage {
    /// Of the header in a file of its own.
    pub(super) fn of(luks: &Luks) -> Self {
        let Header::Luks2(header) = luks.header() else {
            return Self::Detached;
        };
        let metadata = &header.metadata;
        if is_to_be_put_aside(luks.header()) {
            return Self::PutAside;
        }
        if is_magic_to_be_taken(luks.header()) {
            return Self::TakeMagic;
        }
        if is_to_be_lowered(luks.header()) {
            return Self::Lower;
        }
        let is_luks1 = Lowering::said(luks.header()).is_some();
        if let Some(state) = &metadata.reencryption {
            let is_shifted = state.moved.is_some() && state.after.segment.offset != 0;
            return if state.slot.mode == ReencryptionMode::Encrypt && is_shifted && !is_luks1 {
                Self::PutHeader
            } else {
                Self::Detached
            };
        }
        if is_encrypted_apart(luks.header()) {
            return Self::PutFinal;
        }
        let mut tokens = metadata.tokens.iter();
        if tokens.any(|token| token.kind == DECRYPT_IN_PLACE) {
            return Self::TakeHeader;
        }
        let is_plain = metadata
            .data_segments()
            .all(|segment| matches!(segment.kind, SegmentKind::Linear));
        let is_wiped = Leavings::of(metadata).is_none();
        if is_plain && is_wiped && metadata.config.requirements.is_empty() {
            Self::Decrypted
        } else {
            Self::Detached
        }
    }
}

/// Makes it, through to the disk and whole, or not at all: it must not be there.
pub(super) fn create(
    path: &Path,
    inputs: &Inputs,
    write: impl FnOnce(Arc<dyn Storage>) -> Result<(), Error>,
) -> Result<(), Error> {
    let target = check(path, inputs)?;
    let made = target.create(Content::Public)?;
    let storage = made.storage().expect("a new file is no stream");
    write(storage)?;
    Ok(made.commit()?)
}

/// Whether it can be made.
pub(super) fn check(path: &Path, inputs: &Inputs) -> Result<destination::Target, Error> {
    let place = Place::Path(path.to_owned());
    let target = open::target(&place, Overwrite::default(), inputs)?;
    if target.is_stream() || target.capacity()?.is_some() {
        return Err(ChangeError::Exists {
            name: target.name.clone(),
        }
        .into());
    }
    Ok(target)
}

/// Removes it, and overwrites what was in it.
pub(super) fn remove(header: &Target) -> Result<(), Error> {
    let (Some(path), Some(file)) = (header.path(), header.file()) else {
        return Ok(());
    };
    if file.is_block_device() {
        return Ok(());
    }
    let failed = |source: io::Error| ChangeError::Write {
        name: header.name.clone(),
        source,
    };
    header.check_named()?;
    let (folder, name) = Folder::of(path).map_err(failed)?;
    folder.remove_own(&name, file.file()).map_err(failed)?;
    folder.sync(file.file()).map_err(failed)?;
    // It has no name any more, so that nobody finds it half overwritten.
    let len = file.len().map_err(failed)?;
    let zeros = vec![0; 1 << 16];
    let mut at = 0;
    while at < len {
        let step = (len - at).min(zeros.len() as u64);
        let piece = &zeros[..usize::try_from(step).unwrap_or(zeros.len())];
        file.write_at(at, piece).map_err(failed)?;
        at += step;
    }
    file.sync().map_err(failed)?;
    Ok(())
}
