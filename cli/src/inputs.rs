//! What the options name that a job reads.

use jobs::inputs::Inputs;

use crate::args::{KeyArgs, NewKeyArgs, PolicyArgs};

/// What the options name, added to what a job reads.
pub trait InputsOf: Sized {
    /// Where a key comes from.
    #[must_use]
    fn keys(self, keys: &KeyArgs) -> Self;

    /// Where a new key comes from.
    #[must_use]
    fn new_keys(self, keys: &NewKeyArgs) -> Self;

    /// What a header is held to.
    #[must_use]
    fn policies(self, args: &PolicyArgs) -> Self;
}

impl InputsOf for Inputs {
    fn keys(self, keys: &KeyArgs) -> Self {
        let part = (keys.keyfile_offset, keys.keyfile_size);
        self.key("the key file", keys.key_file.as_deref(), keys.key_fd, part)
    }

    fn new_keys(self, keys: &NewKeyArgs) -> Self {
        let part = (keys.new_keyfile_offset, keys.new_keyfile_size);
        let file = keys.new_keyfile.as_deref();
        self.key("the new key file", file, keys.new_key_fd, part)
    }

    fn policies(mut self, args: &PolicyArgs) -> Self {
        for policy in &args.policy {
            self = self.path("the policy", Some(policy));
        }
        self
    }
}
