//! What a destination becomes.

use clap::{Args, ValueEnum};

use super::size;

/// `--to`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum DestinationFormat {
    /// A raw image
    Raw,
    /// A container
    Luks,
    /// A QEMU image, with LUKS1 inside where it is encrypted
    Qcow2,
}

/// What a destination becomes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Destination")]
pub struct ToArgs {
    /// What is made [default: qcow2 where DST ends in .qcow2; else raw by `decrypt`, and luks by others]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub to: Option<DestinationFormat>,
    /// Size of the clusters of a qcow2 image: a power of 2 from 512 to 2M [default: 64K]
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub cluster_size: Option<u64>,
}

impl ToArgs {
    /// An option that was given.
    pub fn given(&self) -> Option<&'static str> {
        super::container::first_given(&[
            ("--to", self.to.is_some()),
            ("--cluster-size", self.cluster_size.is_some()),
        ])
    }
}
