//! What is known of the servers that keep secrets: by names of the environment, which its caller looks up.

use std::ffi::OsString;
use std::fmt;

/// Looks a name up in an environment.
type Lookup = dyn Fn(&str) -> Option<OsString> + Send + Sync;

/// How the servers that keep secrets are reached.
pub struct Access {
    lookup: Box<Lookup>,
    /// They may be asked in the clear, though they are not on this machine.
    pub in_the_clear: bool,
    /// What computes TLS, or why there is none.
    #[cfg(feature = "remote")]
    pub tls: fn() -> Result<std::sync::Arc<rustls::crypto::CryptoProvider>, String>,
}

impl Access {
    /// Known by nothing but an environment: servers on this machine.
    pub fn new(lookup: impl Fn(&str) -> Option<OsString> + Send + Sync + 'static) -> Self {
        Self {
            lookup: Box::new(lookup),
            in_the_clear: false,
            #[cfg(feature = "remote")]
            tls: || Err("nothing is there that computes it".to_owned()),
        }
    }
}

#[cfg(feature = "remote")]
impl Access {
    /// The value of a name, where it has one that is a text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let value = self.value(name)?;
        value.into_string().ok()
    }

    /// The value of a name, where it is not empty.
    pub(super) fn value(&self, name: &str) -> Option<OsString> {
        (self.lookup)(name).filter(|value| !value.is_empty())
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = &self.lookup;
        f.debug_struct("Access")
            .field("in_the_clear", &self.in_the_clear)
            .finish_non_exhaustive()
    }
}
