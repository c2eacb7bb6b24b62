//! The container that a verb works on, by its header.

use clap::{Args, ValueHint};

use super::{HeaderArgs, Operand, PolicyArgs, operand};

/// A container, where its header is, and what that must look like.
#[derive(Args, Debug)]
pub struct ImageArgs {
    /// The container, or a detached header
    #[arg(value_name = "IMG", value_hint = ValueHint::FilePath, value_parser = operand())]
    pub image: Operand,
    /// Where its header is.
    #[command(flatten)]
    pub header: HeaderArgs,
    /// What the header must look like.
    #[command(flatten)]
    pub policy: PolicyArgs,
}

impl ImageArgs {
    /// The file that the header lies in.
    pub fn header(&self) -> Operand {
        match &self.header.header {
            Some(path) => Operand::Path(path.clone()),
            None => self.image.clone(),
        }
    }

    /// The file that holds the data and nothing else, where there is one.
    pub fn data(&self) -> Option<&Operand> {
        self.header.header.as_ref().map(|_| &self.image)
    }
}
