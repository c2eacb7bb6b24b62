//! What a job reads: none of it may be where the job writes.

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use volume::Storage;

use crate::block::Ground;
use crate::error::Clash;
use crate::key_source::{KeyFrom, KeySource, MAX_KEY_BYTES};

/// The files and devices that a job reads, by what they are and not by their names.
#[derive(Clone, Debug, Default)]
pub struct Inputs(Vec<(&'static str, Origin)>);

/// What an image is, by whatever name.
#[derive(Clone)]
pub enum Origin {
    /// A file or a device.
    Ground(Ground),
    /// Something that was open already.
    Storage(Arc<dyn Storage>),
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ground(ground) => ground.fmt(f),
            Self::Storage(_) => f.write_str("Storage"),
        }
    }
}

impl Inputs {
    /// Nothing is read.
    pub fn none() -> Self {
        Self::default()
    }

    /// A file that will be read, where one is named.
    #[must_use]
    pub fn path(self, what: &'static str, path: Option<impl AsRef<Path>>) -> Self {
        let place = path.and_then(|path| Ground::of_path(path.as_ref()));
        self.with(what, place)
    }

    /// What a key is read of: so many bytes from an offset on, or as many as a key can have.
    #[must_use]
    pub fn key(self, what: &'static str, source: &KeySource) -> Self {
        let place = match (&source.from, source.from.path()) {
            (KeyFrom::Secret(secret), _) => secret.reference.file().and_then(Ground::of_path),
            (_, Some(path)) => Ground::of_path(&path),
            (_, None) => of_standard_input(),
        };
        let bytes = source.size.unwrap_or(MAX_KEY_BYTES + 1);
        self.with(what, place.map(|place| place.part(source.offset, bytes)))
    }

    /// What lies in a place.
    #[must_use]
    pub fn ground(self, what: &'static str, ground: Option<Ground>) -> Self {
        self.with(what, ground)
    }

    /// An image that is open.
    #[must_use]
    pub fn origin(mut self, what: &'static str, origin: Option<Origin>) -> Self {
        self.0.extend(origin.map(|origin| (what, origin)));
        self
    }

    fn with(self, what: &'static str, ground: Option<Ground>) -> Self {
        self.origin(what, ground.map(Origin::Ground))
    }

    /// What of it lies where something is to be written.
    pub fn clash(&self, ground: &Ground) -> Option<Clash> {
        self.0.iter().find_map(|(what, input)| match input {
            Origin::Ground(input) if input.meets(ground) => Some(Clash {
                what,
                is_itself: input.is(ground),
            }),
            _ => None,
        })
    }

    /// The same of something that is open already.
    pub fn clash_with(&self, storage: &Arc<dyn Storage>) -> Option<Clash> {
        self.0.iter().find_map(|(what, input)| match input {
            Origin::Storage(input) if Arc::ptr_eq(input, storage) => Some(Clash {
                what,
                is_itself: true,
            }),
            _ => None,
        })
    }
}

fn of_standard_input() -> Option<Ground> {
    let stdin = io::stdin().as_fd().try_clone_to_owned().ok()?;
    Ground::of(&stdin.into())
}
