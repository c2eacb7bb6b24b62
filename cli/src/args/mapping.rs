//! `open IMG NAME`, `close NAME`, `status [NAME]`, `mapping VERB NAME`.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::{
    HeaderArgs, OpenKeyArgs, OutputArgs, Place, PlainArgs, PolicyArgs, UnlockArgs, number, operand,
    size,
};

pub(super) const OPEN: &str = "Have the kernel map a container as a block device, /dev/mapper/NAME.\n\n\
    It needs Linux with device-mapper, and root. The mapping is the one that cryptsetup makes: either closes what the other \
    has opened.";

pub(super) const CLOSE: &str = "End a mapping of the kernel, whoever opened it.\n\n\
    What is mounted or part of another device stays; who has it merely open is waited for, five seconds at most.";

/// `--type` of what is opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum OpenType {
    /// LUKS, whichever version
    Luks,
    /// LUKS1
    Luks1,
    /// LUKS2
    Luks2,
    /// No header: cipher, key and offsets are given each time
    Plain,
}

/// `open IMG NAME`.
#[derive(Args, Debug)]
pub struct OpenArgs {
    /// The container: a file or a block device
    #[arg(value_name = "IMG", value_hint = ValueHint::FilePath, value_parser = operand())]
    pub image: Place,
    /// What the mapping is to be called
    #[arg(value_name = "NAME")]
    pub name: OsString,
    /// What kind of container it is [default: what its header says]
    #[arg(
        long = "type",
        short = 'M',
        value_enum,
        value_name = "TYPE",
        help_heading = "Container"
    )]
    pub kind: Option<OpenType>,
    /// How a plain container is encrypted, and where.
    #[command(flatten)]
    pub layout: OpenPlainArgs,
    /// What only a plain container has.
    #[command(flatten)]
    pub plain: PlainArgs,
    /// Where the key comes from.
    #[command(flatten)]
    pub keys: OpenKeyArgs,
    /// How a LUKS container is unlocked.
    #[command(flatten)]
    pub unlock: UnlockArgs,
    /// What the header must look like.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// Where its header is.
    #[command(flatten)]
    pub header: HeaderArgs,
    /// How dm-crypt treats it.
    #[command(flatten)]
    pub treat: TreatArgs,
    /// Let nothing be written through the mapping
    #[arg(long, short = 'r', help_heading = "Mapping")]
    pub readonly: bool,
    /// Map it even while it is mounted, mapped or used by another program
    #[arg(long, help_heading = "Mapping")]
    pub shared: bool,
    /// How long udev is waited for.
    #[command(flatten)]
    pub udev: UdevArgs,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// How a plain container is encrypted, and where in its file or device.
#[derive(Args, Debug)]
#[command(next_help_heading = "Plain containers")]
pub struct OpenPlainArgs {
    /// The cipher, as in cryptsetup: aes-xts-plain64
    #[arg(long, short = 'c', value_name = "SPEC")]
    pub cipher: Option<String>,
    /// Size of the key, in bits
    #[arg(long, short = 's', value_name = "BITS", value_parser = number::key_bits())]
    pub key_size: Option<u32>,
    /// The hash that makes a key of a passphrase: sha256, sha256:20 or plain
    #[arg(long, value_name = "HASH")]
    pub hash: Option<String>,
    /// Bytes that are encrypted as one: 512, 1024, 2048 or 4096 [default: 512]
    #[arg(long, value_name = "BYTES")]
    pub sector_size: Option<u32>,
    /// Where encrypted data starts in the container, in sectors of 512 bytes
    #[arg(long, short = 'o', value_name = "SECTORS")]
    pub offset: Option<u64>,
    /// How much plaintext there is, in sectors of 512 bytes
    #[arg(long, short = 'b', value_name = "SECTORS")]
    pub size: Option<u64>,
}

/// How dm-crypt treats a mapping.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Mapping")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of the command line"
)]
pub struct TreatArgs {
    /// Give back below what the file system above gives back: it can then be seen what is empty
    #[arg(long)]
    pub allow_discards: bool,
    /// Encrypt on the processor that has asked
    #[arg(long = "perf-same_cpu_crypt", id = "perf-same_cpu_crypt")]
    pub same_cpu_crypt: bool,
    /// Write from the threads that encrypt
    #[arg(
        long = "perf-submit_from_crypt_cpus",
        id = "perf-submit_from_crypt_cpus"
    )]
    pub submit_from_crypt_cpus: bool,
    /// Decrypt at once, not in a queue
    #[arg(long = "perf-no_read_workqueue", id = "perf-no_read_workqueue")]
    pub no_read_workqueue: bool,
    /// Encrypt at once, not in a queue
    #[arg(long = "perf-no_write_workqueue", id = "perf-no_write_workqueue")]
    pub no_write_workqueue: bool,
    /// Encrypt before others that wait for a processor, where the kernel knows that (Linux 6.10)
    #[arg(long = "perf-high_priority", id = "perf-high_priority")]
    pub high_priority: bool,
    /// Have the header say so for whoever opens it next (LUKS2)
    #[arg(long)]
    pub persistent: bool,
    /// Give the kernel the key in the table, where root can read it, not by a keyring (LUKS2)
    #[arg(long)]
    pub disable_keyring: bool,
}

/// `--udev-timeout`.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Mapping")]
pub struct UdevArgs {
    /// Seconds that udev may take for the link under /dev/mapper, before it is done without
    #[arg(long, value_name = "SECONDS", value_parser = number::seconds, default_value = "5")]
    pub udev_timeout: f64,
}

impl UdevArgs {
    /// So long.
    pub fn limit(self) -> Duration {
        Duration::from_secs_f64(self.udev_timeout)
    }
}

/// `close NAME`.
#[derive(Args, Debug)]
pub struct CloseArgs {
    /// What the mapping is called, or the path of its device
    #[arg(value_name = "NAME")]
    pub name: OsString,
    /// While it is in use, have it go when nobody uses it any more
    #[arg(long)]
    pub deferred: bool,
    /// Take that back
    #[arg(long, conflicts_with = "deferred")]
    pub cancel_deferred: bool,
    /// How long udev is waited for.
    #[command(flatten)]
    pub udev: UdevArgs,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `status [NAME]`.
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// What the mapping is called, or the path of its device [default: all that are of encrypted volumes]
    #[arg(value_name = "NAME")]
    pub name: Option<OsString>,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
}

impl OpenPlainArgs {
    /// An option that was given and that the header of a LUKS container has the say on.
    pub fn told_by_header(&self) -> Option<&'static str> {
        super::container::first_given(&[
            ("--cipher", self.cipher.is_some()),
            ("--key-size", self.key_size.is_some()),
            ("--hash", self.hash.is_some()),
            ("--sector-size", self.sector_size.is_some()),
            ("--offset", self.offset.is_some()),
        ])
    }
}

impl TreatArgs {
    /// An option that was given and that only LUKS2 has.
    pub fn of_luks2(self) -> Option<&'static str> {
        super::container::first_given(&[
            ("--persistent", self.persistent),
            ("--disable-keyring", self.disable_keyring),
        ])
    }
}

/// `mapping VERB NAME`.
#[derive(Debug, Subcommand)]
pub enum MappingVerb {
    /// Make a mapping longer or shorter
    #[command(
        long_about = "Make a mapping longer or shorter: as long as its device has room, unless told.\n\n\
        A key is asked for where the kernel has it by a keyring, as that of LUKS2."
    )]
    Resize(Box<MappingResizeArgs>),
    /// Have a LUKS mapping wait, and the kernel forget its key
    Suspend(MappingSuspendArgs),
    /// Give a suspended mapping its key again
    Resume(Box<MappingResumeArgs>),
    /// Have a mapping treated otherwise
    #[command(
        long_about = "Have a mapping treated as the options say: what they do not say is so no longer, unless the \
        header of LUKS2 says it.\n\n\
        The key of a LUKS container is asked for; a plain mapping keeps the one that it has."
    )]
    Refresh(Box<MappingRefreshArgs>),
}

/// What opens the header of a mapping.
#[derive(Args, Debug)]
pub struct MappingHeaderArgs {
    /// Where the key comes from.
    #[command(flatten)]
    pub keys: OpenKeyArgs,
    /// How it is unlocked.
    #[command(flatten)]
    pub unlock: UnlockArgs,
    /// What it must look like.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// Where it is.
    #[command(flatten)]
    pub header: HeaderArgs,
}

/// `mapping resize NAME`.
#[derive(Args, Debug)]
pub struct MappingResizeArgs {
    /// What the mapping is called, or the path of its device
    #[arg(value_name = "NAME")]
    pub name: OsString,
    /// How long it becomes, in sectors of 512 bytes; 0 is as long as its device has room
    #[arg(long, short = 'b', value_name = "SECTORS", help_heading = "Mapping")]
    pub size: Option<u64>,
    /// The same in bytes, or with a suffix K, M, G or T
    #[arg(long, value_name = "SIZE", value_parser = size::parse, conflicts_with = "size", help_heading = "Mapping")]
    pub device_size: Option<u64>,
    /// Its header.
    #[command(flatten)]
    pub header: MappingHeaderArgs,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `mapping suspend NAME`.
#[derive(Args, Debug)]
pub struct MappingSuspendArgs {
    /// What the mapping is called, or the path of its device
    #[arg(value_name = "NAME")]
    pub name: OsString,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `mapping resume NAME`.
#[derive(Args, Debug)]
pub struct MappingResumeArgs {
    /// What the mapping is called, or the path of its device
    #[arg(value_name = "NAME")]
    pub name: OsString,
    /// Its header.
    #[command(flatten)]
    pub header: MappingHeaderArgs,
    /// Give the kernel the key in the table, where root can read it, not by a keyring (LUKS2)
    #[arg(long, help_heading = "Mapping")]
    pub disable_keyring: bool,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `mapping refresh NAME`.
#[derive(Args, Debug)]
pub struct MappingRefreshArgs {
    /// What the mapping is called, or the path of its device
    #[arg(value_name = "NAME")]
    pub name: OsString,
    /// Its header.
    #[command(flatten)]
    pub header: MappingHeaderArgs,
    /// How dm-crypt treats it from now on.
    #[command(flatten)]
    pub treat: TreatArgs,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
}
