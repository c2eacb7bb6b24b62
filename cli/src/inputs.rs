//! What the options name that a job reads.

use jobs::inputs::Inputs;
use jobs::key_source::KeySource;

use crate::args::{
    BackingKeyArgs, KeyArgs, NewKeyFileArgs, OpenKeyArgs, PolicyArgs, SealKeyArgs, UnlockArgs,
};
use crate::error::Error;
use crate::options;

/// What the options name, added to what a job reads.
pub trait InputsOf: Sized {
    /// Where a key comes from.
    #[must_use]
    fn keys(self, keys: &KeyArgs) -> Self;

    /// Where the keys come from that open a container.
    fn open_keys(self, keys: &OpenKeyArgs, unlock: &UnlockArgs) -> Result<Self, Error>;

    /// Where the keys come from that open what is below an image.
    #[must_use]
    fn backing_keys(self, backing: &BackingKeyArgs) -> Self;

    /// Where the key comes from that seals a header anew.
    #[must_use]
    fn seal_key(self, key: &SealKeyArgs) -> Self;

    /// Where a new key comes from.
    #[must_use]
    fn new_keys(self, new: &NewKeyFileArgs) -> Self;

    /// What a header is held to.
    #[must_use]
    fn policies(self, args: &PolicyArgs) -> Self;
}

impl InputsOf for Inputs {
    fn keys(self, keys: &KeyArgs) -> Self {
        self.key("the key file", &keys.into())
    }

    fn open_keys(mut self, keys: &OpenKeyArgs, unlock: &UnlockArgs) -> Result<Self, Error> {
        let (first, others) = options::keys_to_open(keys)?;
        for source in std::iter::once(&first).chain(&others) {
            self = self.key("the key file", source);
        }
        for file in &unlock.volume_key_file {
            self = self.path("the volume key file", Some(file));
        }
        Ok(self.path("the seal", unlock.limits.seal.seal.as_ref()))
    }

    fn backing_keys(mut self, backing: &BackingKeyArgs) -> Self {
        for file in &backing.backing_key_file {
            let source = KeySource {
                from: options::key_from(Some(file), None),
                ..KeySource::default()
            };
            self = self.key("the key file", &source);
        }
        self
    }

    fn seal_key(self, key: &SealKeyArgs) -> Self {
        let file = key.volume_key_file.as_ref();
        self.keys(&key.keys).path("the volume key file", file)
    }

    fn new_keys(self, new: &NewKeyFileArgs) -> Self {
        self.key("the new key file", &options::new_key(new, false))
    }

    fn policies(mut self, args: &PolicyArgs) -> Self {
        for policy in &args.policy {
            self = self.path("the policy", Some(policy));
        }
        self
    }
}
