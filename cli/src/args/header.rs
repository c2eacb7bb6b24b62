//! `header VERB IMG` and what every verb that changes a header takes.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::{
    BusyArgs, ContainerType, DryArgs, ImageArgs, KeyPriority, OpenKeyArgs, OutputArgs, SealKeyArgs,
    UnlockArgs,
};

/// What every verb that changes a header takes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Result")]
pub struct ChangeArgs {
    /// First write a backup of header and keyslots into this new file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub header_backup_file: Option<PathBuf>,
    /// Take the seal out of a sealed header, instead of sealing it anew with a key
    #[arg(long)]
    pub drop_seal: bool,
    /// Whether anything is written.
    #[command(flatten)]
    pub dry: DryArgs,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `header VERB IMG`.
#[derive(Debug, Subcommand)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one of them, and it is not moved about"
)]
pub enum HeaderVerb {
    /// Write header and keyslots into a file
    #[command(
        long_about = "Write header and keyslots into a new file that only its owner can read.\n\n\
        Whoever has the backup and a passphrase of its time opens the container, even after that passphrase was \
        changed or removed."
    )]
    Backup(HeaderBackupArgs),
    /// Bring header and keyslots back from a backup
    #[command(long_about = "Bring header and keyslots back from a backup.\n\n\
        Afterwards the passphrases of the backup open the container, and no others. The keyslots are written first \
        and then the header: interrupted, it leaves the old header or the new one whole, and restoring again ends what \
        was begun.")]
    Restore(HeaderRestoreArgs),
    /// Mend a damaged header
    #[command(
        long_about = "Mend a damaged header: a LUKS2 copy from the other one, and of a LUKS1 header what can be \
        known from the rest of it (places of unused keyslots, spelling of cipher mode and hash). Key material is never \
        touched."
    )]
    Repair(HeaderRepairArgs),
    /// Overwrite all keyslots
    #[command(
        long_about = "Overwrite all keyslots. No passphrase opens the container any more; a backup of the header \
        does, and so does the volume key.\n\n\
        What is overwritten may survive on flash storage, in snapshots and on file systems that copy what is written."
    )]
    Erase(HeaderEraseArgs),
    /// Convert LUKS1 to LUKS2 or back
    #[command(
        long_about = "Convert the header between LUKS1 and LUKS2, in place; the data is not touched.\n\n\
        The passphrases stay. What LUKS1 has not must be gone first: tokens, labels, flags, priorities, unbound \
        keyslots, keyslots above 7, Argon2, other sectors than 512 bytes. Interrupted at any moment, the container is \
        of either version, whole."
    )]
    Convert(HeaderConvertArgs),
    /// Change label, subsystem, UUID, persistent flags or the priority of a keyslot
    Config(HeaderConfigArgs),
    /// Seal the header under the volume key
    #[command(
        long_about = "Seal the header: an HMAC under a key that is derived from the volume key tells from then on whether \
        somebody else has changed it. --require-seal asks for it.\n\n\
        The seal is a token of the header (LUKS2); with --seal it is in a file instead, for LUKS1 and detached headers too, \
        and covers every byte before the data, keyslots included. What was changed before is sealed as it is. A header that \
        is sealed in a token is sealed anew by each change that has a key; one in a file is sealed by this verb again."
    )]
    Seal(Box<HeaderSealArgs>),
    /// Take the seal out of the header
    Unseal(HeaderUnsealArgs),
}

/// `header backup IMG`.
#[derive(Args, Debug)]
pub struct HeaderBackupArgs {
    /// The container.
    #[command(flatten)]
    pub image: ImageArgs,
    /// The new file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub header_backup_file: PathBuf,
    /// Whether anything is written.
    #[command(flatten)]
    pub dry: DryArgs,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Whether the image may be in use.
    #[command(flatten)]
    pub busy: BusyArgs,
}

/// `header restore IMG`.
#[derive(Args, Debug)]
pub struct HeaderRestoreArgs {
    /// The container.
    #[command(flatten)]
    pub image: ImageArgs,
    /// The backup
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub header_backup_file: PathBuf,
    /// Whether anything is written.
    #[command(flatten)]
    pub dry: DryArgs,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Restore a backup that does not fit or that has only one sound header copy, or over anything that is neither a
    /// LUKS container nor blank (nothing but zeros)
    #[arg(long)]
    pub force: bool,
}

/// `header repair IMG`.
#[derive(Args, Debug)]
pub struct HeaderRepairArgs {
    /// The container.
    #[command(flatten)]
    pub image: ImageArgs,
    /// Whether anything is written.
    #[command(flatten)]
    pub dry: DryArgs,
    /// First write a backup of header and keyslots as they are into this new file; not of a LUKS1 header that is damaged
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub header_backup_file: Option<PathBuf>,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Write over what something else has left in a header copy: a file system, a partition table
    #[arg(long)]
    pub force: bool,
}

/// `header erase IMG`.
#[derive(Args, Debug)]
pub struct HeaderEraseArgs {
    /// The container.
    #[command(flatten)]
    pub image: ImageArgs,
    /// What every change takes.
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// `header convert IMG`.
#[derive(Args, Debug)]
pub struct HeaderConvertArgs {
    /// The container.
    #[command(flatten)]
    pub image: ImageArgs,
    /// What it shall become: luks1 or luks2
    #[arg(long = "type", short = 'M', value_enum, value_name = "TYPE")]
    pub kind: ContainerType,
    /// What every change takes.
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// `header config IMG`.
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["label", "subsystem", "uuid", "flags", "no_flags", "priority"]))]
pub struct HeaderConfigArgs {
    /// The container.
    #[command(flatten)]
    pub image: ImageArgs,
    /// Label (LUKS2); empty for none
    #[arg(long, value_name = "TEXT")]
    pub label: Option<String>,
    /// Second label (LUKS2); empty for none
    #[arg(long, value_name = "TEXT")]
    pub subsystem: Option<String>,
    /// UUID
    #[arg(long, value_name = "UUID")]
    pub uuid: Option<String>,
    /// The persistent flags of the data (LUKS2), all of them
    #[arg(long, value_enum, value_name = "FLAG", value_delimiter = ',')]
    pub flags: Vec<PersistentFlag>,
    /// Remove the persistent flags
    #[arg(long, conflicts_with = "flags")]
    pub no_flags: bool,
    /// When the keyslot of --key-slot is tried (LUKS2)
    #[arg(long, value_enum, value_name = "PRIORITY", requires = "key_slot",
        conflicts_with_all = ["label", "subsystem", "uuid", "flags", "no_flags"])]
    pub priority: Option<KeyPriority>,
    /// The keyslot of --priority
    #[arg(long, short = 'S', value_name = "N", requires = "priority")]
    pub key_slot: Option<u32>,
    /// What a sealed header is sealed anew with.
    #[command(flatten)]
    pub key: SealKeyArgs,
    /// What every change takes.
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// `header seal IMG`.
#[derive(Args, Debug)]
pub struct HeaderSealArgs {
    /// The container.
    #[command(flatten)]
    pub image: ImageArgs,
    /// Where the key comes from.
    #[command(flatten)]
    pub keys: OpenKeyArgs,
    /// How the container is unlocked.
    #[command(flatten)]
    pub unlock: UnlockArgs,
    /// First write a backup of header and keyslots into this new file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub header_backup_file: Option<PathBuf>,
    /// Whether anything is written.
    #[command(flatten)]
    pub dry: DryArgs,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `header unseal IMG`.
#[derive(Args, Debug)]
pub struct HeaderUnsealArgs {
    /// The container.
    #[command(flatten)]
    pub image: ImageArgs,
    /// First write a backup of header and keyslots into this new file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub header_backup_file: Option<PathBuf>,
    /// Whether anything is written.
    #[command(flatten)]
    pub dry: DryArgs,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Flags that the kernel's mapping is made with (LUKS2 specification 3.5, table 4).
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum PersistentFlag {
    /// Pass discards on
    AllowDiscards,
    /// Encrypt on the processor that asked for it
    SameCpuCrypt,
    /// Submit writes from the processors that encrypted them
    SubmitFromCryptCpus,
    /// No queue for reads
    NoReadWorkqueue,
    /// No queue for writes
    NoWriteWorkqueue,
    /// Before others that wait for a processor
    HighPriority,
}

impl PersistentFlag {
    /// Its name in the header.
    pub fn name(self) -> &'static str {
        match self {
            Self::AllowDiscards => "allow-discards",
            Self::SameCpuCrypt => "same-cpu-crypt",
            Self::SubmitFromCryptCpus => "submit-from-crypt-cpus",
            Self::NoReadWorkqueue => "no-read-workqueue",
            Self::NoWriteWorkqueue => "no-write-workqueue",
            Self::HighPriority => "high_priority",
        }
    }
}
