//! What the options name that a job reads.

use jobs::inputs::Inputs;

use crate::args::{KeyArgs, NewKeyFileArgs, PolicyArgs};
use crate::options;

/// What the options name, added to what a job reads.
pub trait InputsOf: Sized {
    /// Where a key comes from.
    #[must_use]
    fn keys(self, keys: &KeyArgs) -> Self;

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

    fn new_keys(self, new: &NewKeyFileArgs) -> Self {
        self.key("the new key file", &options::new_key(new))
    }

    fn policies(mut self, args: &PolicyArgs) -> Self {
        for policy in &args.policy {
            self = self.path("the policy", Some(policy));
        }
        self
    }
}
