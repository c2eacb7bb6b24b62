//! Where a program finds data described, and what opens it.

use std::sync::Arc;

use luks::reencrypt::luks1::{is_magic_to_be_taken, is_to_be_lowered};
use luks::reencrypt::{DECRYPT_IN_PLACE, Leavings};
use luks::{Error, Header, Luks, UnlockOptions, Unlocked, luks2};
use volume::Storage;

use super::cases::{Case, Job, NEW_KEY, OLD_KEY, SECRET, World, key};
use crate::common::passphrase;

/// Where the data is described.
pub enum Standing {
    /// Nowhere: it is plaintext from its first byte on.
    Plain,
    /// In a header that says nothing of a job.
    Settled(Luks),
    /// In a header file whose image is still as it was.
    Planned(Luks),
    /// In a header that says how far it is.
    UnderWay(Luks),
    /// In a header file whose image is to get its LUKS1 header.
    Lower(Luks),
    /// In a LUKS1 header.
    Luks1(Luks),
}

impl Case {
    /// # Errors
    ///
    /// What is wrong with a header that is there.
    pub fn standing(self, world: &World) -> Result<Standing, Error> {
        match self.job {
            _ if self.is_luks1() => self.luks1_standing(world),
            // While the image gets its header the one in a file counts.
            Job::EncryptShift => match described(&world.data) {
                Ok(Some(found)) => Ok(found),
                _ => or_plain(described(&world.header)),
            },
            // A copy of the header that says nothing may be half a copy.
            Job::DecryptShift => match described(&world.header) {
                Ok(Some(Standing::Settled(luks)))
                    if luks2_metadata(luks.header()).digest_of_data().is_some() =>
                {
                    or_plain(described(&world.data))
                }
                Ok(Some(found)) => Ok(found),
                Ok(None) => or_plain(described(&world.data)),
                Err(error) => described(&world.data)?.ok_or(error),
            },
            _ => or_plain(described(&world.header)),
        }
    }
}

pub fn described(storage: &Arc<dyn Storage>) -> Result<Option<Standing>, Error> {
    let luks = match Luks::open(storage.clone()) {
        Err(Error::NotLuks) => return Ok(None),
        luks => luks?,
    };
    if let Header::Luks1(_) = luks.header() {
        return Ok(Some(Standing::Luks1(luks)));
    }
    if is_to_be_lowered(luks.header()) {
        return Ok(Some(Standing::Lower(luks)));
    }
    let metadata = luks2_metadata(luks.header());
    let is_under_way = metadata.reencryption.is_some() || Leavings::of(metadata).is_some();
    let mut tokens = metadata.tokens.iter();
    let is_planned = luks::reencrypt::is_to_be_put_aside(luks.header())
        || is_magic_to_be_taken(luks.header())
        || !is_under_way && tokens.any(|token| token.kind == DECRYPT_IN_PLACE);
    Ok(Some(match (is_planned, is_under_way) {
        (true, _) => Standing::Planned(luks),
        (false, true) => Standing::UnderWay(luks),
        (false, false) => Standing::Settled(luks),
    }))
}

pub fn or_plain(found: Result<Option<Standing>, Error>) -> Result<Standing, Error> {
    Ok(found?.unwrap_or(Standing::Plain))
}

/// What opens it: the keys themselves.
pub fn unlock(luks: &Luks) -> Result<Unlocked, Error> {
    let options = UnlockOptions {
        unencrypted_data: true,
        ..UnlockOptions::default()
    };
    if let Header::Luks1(_) = luks.header() {
        let [old, new] =
            [OLD_KEY, NEW_KEY].map(|byte| luks.unlock_with_volume_key(key(byte), &options));
        return new.or(old);
    }
    // Of what is decrypted only the keyslots are left.
    if luks2_metadata(luks.header())
        .data_segments()
        .all(|segment| matches!(segment.kind, luks2::SegmentKind::Linear))
        && luks2_metadata(luks.header()).reencryption.is_none()
    {
        let options = UnlockOptions {
            keyslot: Some(0),
            ..options
        };
        return luks.unlock(&passphrase(SECRET), &options);
    }
    let mut both: Option<Unlocked> = None;
    let mut problem = None;
    for byte in [OLD_KEY, NEW_KEY] {
        match (
            luks.unlock_with_volume_key(key(byte), &options),
            both.take(),
        ) {
            (Ok(one), None) => both = Some(one),
            (Ok(one), Some(other)) => both = Some(other.with(one, &options)?),
            (Err(error), other) => {
                problem = Some(error);
                both = other;
            }
        }
    }
    both.ok_or_else(|| problem.unwrap_or(Error::NotLuks))
}

pub fn luks2_metadata(header: &Header) -> &luks2::Metadata {
    &luks2_of(header).metadata
}

pub fn luks2_of(header: &Header) -> &luks2::Header {
    match header {
        Header::Luks2(header) => header,
        Header::Luks1(_) => panic!("LUKS1"),
    }
}
