//! The container that a verb works on, by its header.

use clap::{Args, ValueHint};

use super::{HeaderArgs, Place, PolicyArgs, operand};

/// A container, where its header is, and what that must look like.
#[derive(Args, Debug)]
pub struct ImageArgs {
    /// The container, or a detached header
    #[arg(value_name = "IMG", value_hint = ValueHint::FilePath, value_parser = operand())]
    pub image: Place,
    /// Where its header is.
    #[command(flatten)]
    pub header: HeaderArgs,
    /// What the header must look like.
    #[command(flatten)]
    pub policy: PolicyArgs,
}

impl ImageArgs {
    /// The file that the header lies in.
    pub fn header(&self) -> Place {
        match &self.header.header {
            Some(path) => Place::Path(path.clone()),
            None => self.image.clone(),
        }
    }

    /// The file that holds the data and nothing else, where there is one.
    pub fn data(&self) -> Option<&Place> {
        self.header.header.as_ref().map(|_| &self.image)
    }
}
