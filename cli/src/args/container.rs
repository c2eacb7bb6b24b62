//! Options that say how a container is encrypted.

use clap::{Args, ValueEnum};

use super::{number, size};

/// `--type`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum ContainerType {
    /// LUKS1
    Luks1,
    /// LUKS2
    Luks2,
    /// No header: cipher, key and offsets are given each time
    Plain,
}

/// The defaults of one age of cryptsetup, for plain containers; how old a QEMU may be, for qcow2 images.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Compat {
    /// aes-cbc-essiv:sha256, 256 bits, ripemd160
    #[value(name = "2.6")]
    V2_6,
    /// aes-xts-plain64, 256 bits, sha256
    #[value(name = "2.7")]
    V2_7,
    /// qcow2 for QEMU 0.10 and later: version 2
    #[value(name = "0.10")]
    Qemu0_10,
    /// qcow2 for QEMU 1.1 and later: version 3
    #[value(name = "1.1")]
    Qemu1_1,
}

/// What every type of container has.
#[derive(Args, Debug)]
#[command(next_help_heading = "Container")]
pub struct ContainerArgs {
    /// What kind of container it is [default: what its header says; luks2 for a new one]
    #[arg(long = "type", short = 'M', value_enum, value_name = "TYPE")]
    pub kind: Option<ContainerType>,
    /// The cipher, as in cryptsetup: aes-xts-plain64
    #[arg(long, short = 'c', value_name = "SPEC")]
    pub cipher: Option<String>,
    /// Size of the key, in bits
    #[arg(long, short = 's', value_name = "BITS", value_parser = number::key_bits())]
    pub key_size: Option<u32>,
    /// The hash that makes a key of a passphrase; for a plain container also sha256:20 or plain
    #[arg(long, value_name = "HASH")]
    pub hash: Option<String>,
    /// Bytes that are encrypted as one: 512, 1024, 2048 or 4096 [default: in LUKS2 the most that the payload consists
    /// of and that a file system or partition table in it can live with, else 512]
    #[arg(long, value_name = "BYTES")]
    pub sector_size: Option<u32>,
    /// Where encrypted data starts in the container, in sectors of 512 bytes
    #[arg(long, short = 'o', value_name = "SECTORS")]
    pub offset: Option<u64>,
}

/// What can be said of a new qcow2 image where no plain container is made.
#[derive(Args, Debug)]
#[command(next_help_heading = "Plain containers")]
pub struct CompatArgs {
    /// For a plain container take what is not given from the defaults of a cryptsetup of this age: 2.6 or 2.7; make a
    /// qcow2 image for a QEMU of this age: 0.10 or 1.1
    #[arg(long, value_enum, value_name = "VERSION")]
    pub compat: Option<Compat>,
}

/// The size of a new container.
#[derive(Args, Debug)]
#[command(next_help_heading = "Container")]
pub struct SizeArgs {
    /// Size of the plaintext, in bytes or with a suffix K, M, G or T
    #[arg(long, value_name = "SIZE", value_parser = size::parse, conflicts_with = "container_size")]
    pub payload_size: Option<u64>,
    /// Size of the whole container, its header counted in
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub container_size: Option<u64>,
}

/// What only a plain container has.
#[derive(Args, Debug)]
#[command(next_help_heading = "Plain containers")]
pub struct PlainArgs {
    /// For a plain container take what is not given from the defaults of a cryptsetup of this age: 2.6 or 2.7; make a
    /// qcow2 image for a QEMU of this age: 0.10 or 1.1
    #[arg(long, value_enum, value_name = "VERSION")]
    pub compat: Option<Compat>,
    /// The IV number of the first sector, in sectors of 512 bytes
    #[arg(long, short = 'p', value_name = "SECTORS")]
    pub skip: Option<u64>,
    /// Count IVs in encryption sectors, not in sectors of 512 bytes
    #[arg(long)]
    pub iv_large_sectors: bool,
}

impl ContainerArgs {
    /// An option that was given and that the header of an existing container has the say on.
    pub fn told_by_header(&self) -> Option<&'static str> {
        first_given(&[
            ("--cipher", self.cipher.is_some()),
            ("--key-size", self.key_size.is_some()),
            ("--hash", self.hash.is_some()),
            ("--sector-size", self.sector_size.is_some()),
            ("--offset", self.offset.is_some()),
        ])
    }
}

impl Compat {
    /// Whether it says something of plain containers.
    pub fn is_of_plain(self) -> bool {
        matches!(self, Self::V2_6 | Self::V2_7)
    }
}

impl PlainArgs {
    /// An option that was given and that says nothing of a qcow2 image either.
    pub fn given_of_plain(&self) -> Option<&'static str> {
        let is_of_image = self.compat.is_some_and(|compat| !compat.is_of_plain());
        self.given()
            .filter(|given| !(is_of_image && *given == "--compat"))
            .or(self.skip.map(|_| "--skip"))
            .or(self.iv_large_sectors.then_some("--iv-large-sectors"))
    }

    /// An option that was given.
    pub fn given(&self) -> Option<&'static str> {
        first_given(&[
            ("--compat", self.compat.is_some()),
            ("--skip", self.skip.is_some()),
            ("--iv-large-sectors", self.iv_large_sectors),
        ])
    }
}

/// The first of some options that was given.
pub(super) fn first_given(options: &[(&'static str, bool)]) -> Option<&'static str> {
    options
        .iter()
        .find(|(_, given)| *given)
        .map(|(name, _)| *name)
}
