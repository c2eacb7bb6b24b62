//! Who is asked before a job does what nothing undoes.

use luks::Version;

use crate::error::Unconfirmed;

/// Says yes or no to what a job is about to do: it has found out that it can, and has written nothing. `&()` says yes to
/// everything.
pub trait Confirm {
    /// Whether the job goes on.
    ///
    /// # Errors
    ///
    /// Where it does not.
    fn confirm(&self, question: &Question<'_>) -> Result<(), Unconfirmed> {
        let _ = question;
        Ok(())
    }
}

impl Confirm for () {}

/// What is about to happen.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Question<'a> {
    /// The container, as messages name it.
    pub image: &'a str,
    /// What becomes of it.
    pub loss: Loss<'a>,
    /// It is a dry run: all that counts is whether somebody could be asked.
    pub dry_run: bool,
}

/// What cannot be undone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Loss<'a> {
    /// Header and keyslots are replaced by those of a backup.
    Header,
    /// All keyslots are overwritten: no passphrase opens the container any more.
    Keyslots,
    /// The last keyslot is removed: nobody opens the container any more.
    LastKeyslot(u32),
    /// The header becomes one of another version.
    Version(Version),
    /// These keyslots go, and with them their passphrases.
    OtherKeyslots(&'a [u32]),
    /// The data are changed in place, and nothing protects what is being written.
    Unprotected,
    /// Nothing proves that the job which is gone on with is the one that was begun: whoever could write the image can have
    /// chosen what is done to the data.
    Unproven {
        /// What will be done, as messages say it.
        what: &'a str,
    },
    /// The data behind the first bytes become noise.
    Rest {
        /// How many bytes are done.
        bytes: u64,
    },
    /// The volume key leaves the container for a file, and opens it whatever passphrases are changed later.
    VolumeKey {
        /// The file, as messages name it.
        file: &'a str,
    },
}
