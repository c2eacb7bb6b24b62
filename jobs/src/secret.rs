//! What a job asks for that nobody else may know.

pub mod access;
#[cfg(feature = "remote")]
mod barbican;
#[cfg(feature = "remote")]
mod clouds;
mod error;
#[cfg(feature = "remote")]
mod keystone;
#[cfg(feature = "remote")]
mod pem;
mod record;
pub mod stored;
#[cfg(feature = "remote")]
mod vault;
#[cfg(feature = "remote")]
mod web;

use dmcrypt::{LockedBytes, VolumeKey};

use crate::blame::Blame;
use crate::error::{Error, SecretError};
use crate::key_format::KeyFormat;

/// Who has the secrets of a job: a prompt, a file, a function of another language, a key manager. Nothing is asked before
/// it is known that the job can run.
pub trait Secrets {
    /// The passphrase, or of a plain container without a header the key itself.
    fn passphrase(&self, asked: &Asked<'_>) -> Result<LockedBytes, SecretError>;

    /// How messages name where the passphrase comes from.
    fn name(&self) -> String {
        "the passphrase".to_owned()
    }

    /// The volume key itself, where that is given: to open a container instead of a passphrase, or to be the key of a new
    /// one.
    fn volume_key(&self) -> Result<Option<VolumeKey>, SecretError> {
        Ok(None)
    }

    /// The same of the encrypted file that is the `below`th one below a qcow2 image.
    fn volume_key_below(&self, below: usize) -> Result<Option<VolumeKey>, SecretError> {
        let _ = below;
        Ok(None)
    }

    /// Another passphrase, where a reencryption is under way and what was given opens one of its two keys; none where there
    /// is no other one, or no further one.
    fn other_passphrase(&self, asked: &AskedOther<'_>) -> Result<Option<LockedBytes>, SecretError> {
        let _ = asked;
        Ok(None)
    }

    /// The same of volume keys: the one that [`Self::volume_key`] does not give.
    fn other_volume_key(&self, attempt: u32) -> Result<Option<VolumeKey>, SecretError> {
        let _ = attempt;
        Ok(None)
    }

    /// The volume key that a container is given in place of its own; a random one unless there is one here.
    fn new_volume_key(&self) -> Result<Option<VolumeKey>, SecretError> {
        Ok(None)
    }

    /// All that there is where `read`, the passphrase, came from, if that is more.
    fn whole(&self, read: &LockedBytes) -> Option<LockedBytes> {
        let _ = read;
        None
    }

    /// What may be meant by `given`, a passphrase that is to open something, in the order in which it is tried: all within
    /// the limits of one unlock. Nothing where it is known: then it is `given`.
    fn forms(&self, given: &LockedBytes) -> Vec<Form> {
        let _ = given;
        Vec::new()
    }

    /// This form of a passphrase opens the container that messages call so.
    fn fitted(&self, image: &str, format: KeyFormat) {
        let _ = (image, format);
    }

    /// How often [`Self::passphrase`] may be asked for until one fits.
    fn tries(&self) -> u32 {
        1
    }

    /// Whether there is one passphrase, however often it is asked for: of several keyslots it can be that of one only.
    fn is_one(&self) -> bool {
        false
    }

    /// A recovery key was made for the container that messages call so, and is to be given to whom it is for. The container
    /// is proven and not there yet: after an error there will be none.
    fn keep_recovery_key(&self, image: &str, key: &dmcrypt::Passphrase) -> Result<(), SecretError> {
        let _ = key;
        let lost = format!("nobody takes the recovery key of {image}");
        Err(SecretError::new(Blame::Request, lost))
    }

    /// A passphrase did not fit, and another one is asked for next.
    fn did_not_fit(&self, error: &Error) {
        let _ = error;
    }
}

/// What may be meant by what was given.
pub struct Form {
    /// The passphrase that it is then.
    pub passphrase: LockedBytes,
    /// How that is called.
    pub format: KeyFormat,
}

/// What a passphrase is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Asked<'a> {
    /// What it opens, as messages name it.
    pub image: &'a str,
    /// It is to open something new: a typing error would make a container that nobody can open.
    pub is_new: bool,
    /// So many bytes are wanted, no more and no fewer: they are the key itself.
    pub exactly: Option<usize>,
    /// It is that of this keyslot, where those of several are asked for.
    pub keyslot: Option<u32>,
    /// It is that of the so manieth encrypted file below an image that stands on others; 0 for the image itself.
    pub below: usize,
}

impl<'a> Asked<'a> {
    /// The passphrase of a container that there is.
    pub fn of(image: &'a str) -> Self {
        Self {
            image,
            is_new: false,
            exactly: None,
            keyslot: None,
            below: 0,
        }
    }

    /// The passphrase of a new one.
    pub fn for_new(image: &'a str) -> Self {
        Self {
            is_new: true,
            ..Self::of(image)
        }
    }
}

/// What the passphrase of the other key of a reencryption is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct AskedOther<'a> {
    /// What it opens, as messages name it.
    pub image: &'a str,
    /// How many were given that do not open it.
    pub attempt: u32,
    /// Without it nothing can be done: somebody may be asked. Else it is taken where it was given already.
    pub is_needed: bool,
}

/// A secret that is there already. It is never shown.
pub struct Passphrase<'a>(
    /// Its bytes.
    pub &'a LockedBytes,
);

impl Secrets for Passphrase<'_> {
    fn passphrase(&self, _asked: &Asked<'_>) -> Result<LockedBytes, SecretError> {
        Ok(LockedBytes::copy_of(self.0))
    }

    fn is_one(&self) -> bool {
        true
    }
}
