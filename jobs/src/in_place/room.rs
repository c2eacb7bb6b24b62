//! Whether there is room for what a job in place needs: judged first, taken next.

use std::io;
use std::os::unix::fs::MetadataExt as _;

use rustix::fs::fstatvfs;
use rustix::process::{Resource, getrlimit};
use volume::{FileStorage, Storage};

use crate::change::Target;
use crate::error::{ChangeError, Error, InPlaceError};

/// What the number of a file's blocks counts in.
const BLOCK_BYTES: u64 = 512;

/// Whether a file can become `len` bytes long and have no holes; what its file system has to give for that. Of a device and
/// of what was open already nothing is known.
pub(super) fn check(target: &Target, len: u64) -> Result<Option<u64>, Error> {
    let Some(file) = target.file().filter(|file| !file.is_block_device()) else {
        return Ok(None);
    };
    let name = || target.name.clone();
    let now = file.len().map_err(|source| unread(target, source))?;
    if let Some(limit) = getrlimit(Resource::Fsize).current
        && limit < len
    {
        return Err(InPlaceError::Limit {
            name: name(),
            needed: len,
            limit,
        }
        .into());
    }
    let holes = holes(file, now).map_err(|source| unread(target, source))?;
    let needed = holes.saturating_add(len.saturating_sub(now));
    let system = fstatvfs(file.file()).map_err(|error| unread(target, error.into()))?;
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    if needed > free {
        return Err(InPlaceError::NoRoom {
            name: name(),
            needed,
            free,
        }
        .into());
    }
    Ok(Some(needed))
}

/// The same of a file that keeps its length.
pub(super) fn check_kept(target: &Target) -> Result<Option<u64>, Error> {
    check(target, length(target)?)
}

/// Takes what its holes need.
pub(super) fn take_kept(target: &Target) -> Result<(), Error> {
    if target.file().is_none_or(|file| file.is_block_device()) {
        return Ok(());
    }
    take(target, length(target)?)
}

fn length(target: &Target) -> Result<u64, Error> {
    let len = target.storage.len();
    len.map_err(|source| unread(target, source))
}

/// Takes it. Where there is none after all the file is as long as it was.
pub(super) fn take(target: &Target, len: u64) -> Result<(), Error> {
    let storage = &target.storage;
    let before = storage.len().map_err(|source| unread(target, source))?;
    storage.allocate(len).map_err(|source| {
        let _ = storage.set_len(before);
        ChangeError::Write {
            name: target.name.clone(),
            source,
        }
        .into()
    })
}

/// Bytes that have no blocks. File systems tell blocks that were taken and never written from holes only by their number.
fn holes(file: &FileStorage, len: u64) -> io::Result<u64> {
    let taken = file.file().metadata()?.blocks().saturating_mul(BLOCK_BYTES);
    let most = len.saturating_sub(taken);
    let (mut at, mut holes) = (0, 0_u64);
    while at < len && most > 0 {
        let data = file.data_extent(at)?.unwrap_or(len..len);
        holes = holes.saturating_add(data.start.saturating_sub(at));
        at = data.end;
    }
    Ok(holes.min(most))
}

fn unread(target: &Target, source: io::Error) -> Error {
    ChangeError::Read {
        name: target.name.clone(),
        source,
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Place;
    use crate::block::Claim;
    use crate::inputs::Inputs;
    use crate::open;

    #[test]
    fn holes_count_and_what_no_disk_has_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(4 << 20).unwrap();
        let place = Place::from(file.path().to_owned());
        let target = open::changed(&place, false, Claim::Whole, &Inputs::none()).unwrap();
        let storage = target.file().unwrap();
        assert_eq!(holes(storage, 4 << 20).unwrap(), 4 << 20);
        assert_eq!(check(&target, 5 << 20).unwrap(), Some(5 << 20));
        assert_eq!(check_kept(&target).unwrap(), Some(4 << 20));
        let refused = check(&target, 1 << 60).unwrap_err();
        assert!(
            matches!(refused, Error::InPlace(InPlaceError::NoRoom { needed, .. }) if needed == 1 << 60)
        );
        assert_eq!(storage.len().unwrap(), 4 << 20);
        take(&target, 5 << 20).unwrap();
        assert_eq!(storage.len().unwrap(), 5 << 20);
        assert_eq!(check_kept(&target).unwrap(), Some(0));
    }
}
