//! What a job reads: none of it may be where the job writes.

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use crate::args::{KeyArgs, NewKeyArgs, PolicyArgs};
use crate::passphrase;
use crate::source::Source;
use jobs::block::Place;

/// The files and devices that a job reads, by what they are and not by their names.
#[derive(Default)]
pub struct Inputs(Vec<(&'static str, Place)>);

/// Something to be written that is read too.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Clash {
    what: &'static str,
    is_itself: bool,
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_itself {
            write!(f, "is {} itself", self.what)
        } else {
            write!(f, "lies in the same bytes as {}", self.what)
        }
    }
}

impl Inputs {
    /// Nothing is read.
    pub fn none() -> Self {
        Self::default()
    }

    /// An image that is open.
    #[must_use]
    pub fn source(self, what: &'static str, source: &Source) -> Self {
        self.with(what, source.place.clone())
    }

    /// A file that will be read, where one is named.
    #[must_use]
    pub fn path(self, what: &'static str, path: Option<impl AsRef<Path>>) -> Self {
        let place = path.and_then(|path| Place::of_path(path.as_ref()));
        self.with(what, place)
    }

    /// Where a key comes from.
    #[must_use]
    pub fn keys(self, keys: &KeyArgs) -> Self {
        let part = (keys.keyfile_offset, keys.keyfile_size);
        self.key("the key file", keys.key_file.as_deref(), keys.key_fd, part)
    }

    /// Where a new key comes from.
    #[must_use]
    pub fn new_keys(self, keys: &NewKeyArgs) -> Self {
        let part = (keys.new_keyfile_offset, keys.new_keyfile_size);
        let file = keys.new_keyfile.as_deref();
        self.key("the new key file", file, keys.new_key_fd, part)
    }

    /// What a header is held to.
    #[must_use]
    pub fn policies(mut self, args: &PolicyArgs) -> Self {
        for policy in &args.policy {
            self = self.path("the policy", Some(policy));
        }
        self
    }

    /// A key file, of which so many bytes from an offset on count, or as many as a key can have.
    #[must_use]
    pub fn key(
        self,
        what: &'static str,
        file: Option<&std::ffi::OsStr>,
        descriptor: Option<u32>,
        (offset, size): (u64, Option<u64>),
    ) -> Self {
        let place = match (file, descriptor) {
            (Some(file), _) if file != "-" => Place::of_path(Path::new(file)),
            (None, Some(descriptor)) => Place::of_path(Path::new(&format!("/dev/fd/{descriptor}"))),
            _ => of_standard_input(),
        };
        let bytes = size.unwrap_or(passphrase::MAX_BYTES + 1);
        self.with(what, place.map(|place| place.part(offset, bytes)))
    }

    /// What lies in a place.
    #[must_use]
    pub fn place(self, what: &'static str, place: Option<Place>) -> Self {
        self.with(what, place)
    }

    fn with(mut self, what: &'static str, place: Option<Place>) -> Self {
        self.0.extend(place.map(|place| (what, place)));
        self
    }

    /// What of it lies where something is to be written.
    pub fn clash(&self, place: &Place) -> Option<Clash> {
        let found = self.0.iter().find(|(_, input)| input.meets(place));
        found.map(|(what, input)| Clash {
            what,
            is_itself: input.is(place),
        })
    }
}

fn of_standard_input() -> Option<Place> {
    let stdin = io::stdin().as_fd().try_clone_to_owned().ok()?;
    Place::of(&stdin.into())
}
