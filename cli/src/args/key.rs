//! `key VERB IMG`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use jobs::secret::stored::Reference;
use luks::luks2::Priority;

use super::keys::{key_file, secret};
use super::{
    BusyArgs, ChangeArgs, CostArgs, DryArgs, ImageArgs, KeyArgs, KeyslotCipherArgs, LimitArgs,
    OpenKeyArgs, OutputArgs, UnlockArgs, number,
};

/// `key VERB IMG`.
#[derive(Debug, Subcommand)]
pub enum KeyVerb {
    /// Add a passphrase, beside those that there are
    #[command(long_about = "Add a passphrase, beside those that there are.\n\n\
        One that opens the container already is asked for first, then the new one: with no terminal they are two lines \
        of standard input.")]
    Add(Box<KeyAddArgs>),
    /// Replace a passphrase by another one, or its key derivation
    #[command(
        long_about = "Replace a passphrase by another one, or its key derivation.\n\n\
        The new keyslot is written and proven before the old one is overwritten. In LUKS2 it has the old one's number \
        afterwards; in LUKS1 it is another one."
    )]
    Change(Box<KeyChangeArgs>),
    /// Remove a passphrase
    #[command(
        long_about = "Remove a passphrase, which is asked for, or the keyslot that --key-slot names. For that one \
        another passphrase is asked for, to show that there is a way left; with -q and without a key it goes unasked.\n\n\
        Its keyslot is overwritten. That may leave copies on flash storage, in snapshots and on file systems that copy \
        what is written; and a backup of the header keeps the passphrase."
    )]
    Remove(KeyRemoveArgs),
    /// Replace the passphrase that older OpenStack made of a key by the right one
    #[command(
        long_about = "Replace the passphrase that older OpenStack made of a key, whose digits lack zeros, by the right one.\n\n\
        The key is what is given, as a secret or as its bytes; both passphrases are made of it. The mangled one is proven, \
        the right one added and proven, and then the mangled one removed: at every moment one of the two opens the \
        container, and what was cut off is ended by doing it again."
    )]
    Unmangle(Box<KeyUnmangleArgs>),
    /// Tell whether a key opens a keyslot
    Test(KeyTestArgs),
    /// List the keyslots in use
    List(KeyListArgs),
    /// Write the volume key into a file
    #[command(
        long_about = "Write the volume key into a new file that only its owner can read.\n\n\
        Whoever has it opens the container, whatever passphrases are changed or removed later."
    )]
    Export(KeyExportArgs),
}

/// Where the new key comes from, where there are two.
#[derive(Args, Debug)]
#[command(next_help_heading = "New key")]
pub struct NewKeyFileArgs {
    /// Read the new key from a file, newlines and all; `-` is standard input, credential:NAME what systemd passed on
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = key_file())]
    pub new_keyfile: Option<OsString>,
    /// Read the new key from a file descriptor that the caller opened
    #[arg(long, value_name = "N", conflicts_with = "new_keyfile")]
    pub new_key_fd: Option<u32>,
    /// Fetch the new key from where it is kept, as --secret
    #[arg(long, value_name = "REF", value_parser = secret(), conflicts_with_all = ["new_keyfile", "new_key_fd"])]
    pub new_secret: Option<Reference>,
    /// Leave out so many bytes at the start of the new key file
    #[arg(long, value_name = "SIZE", value_parser = number::keyfile_offset, default_value = "0", conflicts_with = "new_secret")]
    pub new_keyfile_offset: u64,
    /// Read exactly so many bytes of the new key
    #[arg(long, value_name = "SIZE", value_parser = number::keyfile_size, conflicts_with = "new_secret")]
    pub new_keyfile_size: Option<u64>,
}

impl NewKeyFileArgs {
    /// Whether it is said.
    pub fn is_given(&self) -> bool {
        self.new_keyfile.is_some() || self.new_key_fd.is_some() || self.new_secret.is_some()
    }
}

/// The new key, where there are two.
#[derive(Args, Debug)]
#[command(next_help_heading = "New key")]
pub struct NewKeyArgs {
    /// Where it comes from.
    #[command(flatten)]
    pub file: NewKeyFileArgs,
    /// What the new key costs to guess.
    #[command(flatten)]
    pub cost: CostArgs,
    /// The hash of PBKDF2 and of the keyslot's area [default: sha256; LUKS1 has its header's]
    #[arg(long, value_name = "HASH")]
    pub hash: Option<String>,
    /// How the keyslot's area is encrypted.
    #[command(flatten)]
    pub keyslot_cipher: KeyslotCipherArgs,
    /// Accept an empty new passphrase, with which everybody opens the container
    #[arg(long)]
    pub allow_empty_passphrase: bool,
}

/// `--priority`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum KeyPriority {
    /// Try it only when it is named
    Ignore,
    /// Try it in its turn
    Normal,
    /// Try it before the others
    Prefer,
}

impl From<KeyPriority> for Priority {
    fn from(typed: KeyPriority) -> Self {
        match typed {
            KeyPriority::Ignore => Self::Ignore,
            KeyPriority::Normal => Self::Normal,
            KeyPriority::Prefer => Self::Prefer,
        }
    }
}

/// `key add IMG`.
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("unbound_key").args(["key_size", "volume_key_file"]))]
pub struct KeyAddArgs {
    /// The container.
    #[command(flatten)]
    pub image: ImageArgs,
    /// Where the key comes from that opens the container already.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// How the container is unlocked.
    #[command(flatten)]
    pub unlock: UnlockArgs,
    /// The new key.
    #[command(flatten)]
    pub new: NewKeyArgs,
    /// The new keyslot's number [default: the first that is free]
    #[arg(long, value_name = "N", help_heading = "New key")]
    pub new_key_slot: Option<u32>,
    /// When the new keyslot is tried (LUKS2)
    #[arg(
        long,
        value_enum,
        value_name = "PRIORITY",
        default_value = "normal",
        help_heading = "New key"
    )]
    pub priority: KeyPriority,
    /// Store a key that opens no data: a random one of --key-size, or that of --volume-key-file (LUKS2)
    #[arg(long, help_heading = "New key", requires = "unbound_key", conflicts_with_all = ["key_file", "key_fd", "secret", "key_slot"])]
    pub unbound: bool,
    /// Size of a random unbound key, in bits
    #[arg(
        long,
        short = 's',
        value_name = "BITS",
        value_parser = number::key_bits(),
        help_heading = "New key",
        requires = "unbound",
        conflicts_with = "volume_key_file"
    )]
    pub key_size: Option<u32>,
    /// What every change takes.
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// `key change IMG`.
#[derive(Args, Debug)]
pub struct KeyChangeArgs {
    /// The container.
    #[command(flatten)]
    pub image: ImageArgs,
    /// Where the key comes from that is replaced.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// Try this keyslot only, even one that is not tried unasked
    #[arg(long, short = 'S', value_name = "N", help_heading = "LUKS")]
    pub key_slot: Option<u32>,
    /// The volume key itself instead of the passphrase of --key-slot
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "LUKS", requires = "key_slot",
        conflicts_with_all = ["key_file", "key_fd", "secret", "keep_passphrase"])]
    pub volume_key_file: Option<PathBuf>,
    /// What the header may ask for.
    #[command(flatten)]
    pub limits: LimitArgs,
    /// The new key.
    #[command(flatten)]
    pub new: NewKeyArgs,
    /// Keep the passphrase, and change only its key derivation and cipher
    #[arg(long, help_heading = "New key", conflicts_with_all = ["new_keyfile", "new_key_fd", "new_secret"])]
    pub keep_passphrase: bool,
    /// What every change takes.
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// `key remove IMG`.
#[derive(Args, Debug)]
pub struct KeyRemoveArgs {
    /// The container.
    #[command(flatten)]
    pub image: ImageArgs,
    /// Where the key comes from that is removed or, with --key-slot, that is left.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// Remove this keyslot
    #[arg(long, short = 'S', value_name = "N", help_heading = "LUKS")]
    pub key_slot: Option<u32>,
    /// The volume key itself instead of another passphrase, to show that there is a way left
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "LUKS", requires = "key_slot",
        conflicts_with_all = ["key_file", "key_fd", "secret"])]
    pub volume_key_file: Option<PathBuf>,
    /// What the header may ask for.
    #[command(flatten)]
    pub limits: LimitArgs,
    /// What every change takes.
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// `key unmangle IMG`.
#[derive(Args, Debug)]
pub struct KeyUnmangleArgs {
    /// The container.
    #[command(flatten)]
    pub image: ImageArgs,
    /// Where the key comes from.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// What the header may ask for.
    #[command(flatten)]
    pub limits: LimitArgs,
    /// What the right passphrase costs to guess.
    #[command(flatten)]
    pub cost: CostArgs,
    /// What every change takes.
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// `key test IMG`.
#[derive(Args, Debug)]
pub struct KeyTestArgs {
    /// The container.
    #[command(flatten)]
    pub image: ImageArgs,
    /// Where the key comes from.
    #[command(flatten)]
    pub keys: OpenKeyArgs,
    /// How the container is unlocked.
    #[command(flatten)]
    pub unlock: UnlockArgs,
    /// When the passphrase does not fit, tell why: try the mistakes that people make, and look at the key material
    #[arg(
        long,
        conflicts_with = "volume_key_file",
        long_help = "When the passphrase does not fit, tell why: try the mistakes that people make, and look at the key \
            material.\n\nNewlines, blanks, Caps Lock, keyboards of other countries, code pages, UTF-16, accents, \
            hexadecimal digits, base64, backslashes, quotes and others are tried one at a time and two at a time, the \
            likelier first. Each guess costs a key derivation for each keyslot."
    )]
    pub explain: bool,
    /// Make guesses for so many seconds
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 600,
        requires = "explain"
    )]
    pub explain_time: u64,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Whether the image may be in use.
    #[command(flatten)]
    pub busy: BusyArgs,
}

/// `key list IMG`.
#[derive(Args, Debug)]
pub struct KeyListArgs {
    /// The container.
    #[command(flatten)]
    pub image: ImageArgs,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Whether the image may be in use.
    #[command(flatten)]
    pub busy: BusyArgs,
}

/// `key export IMG`.
#[derive(Args, Debug)]
pub struct KeyExportArgs {
    /// The container.
    #[command(flatten)]
    pub image: ImageArgs,
    /// The new file; given twice: of a container that is being reencrypted the key before and the key after it
    #[arg(long, value_name = "OUT", value_hint = ValueHint::FilePath, required = true)]
    pub volume_key_file: Vec<PathBuf>,
    /// Where the key comes from that opens the container.
    #[command(flatten)]
    pub keys: OpenKeyArgs,
    /// Try this keyslot only, even one that is not tried unasked: an unbound one gives its own key
    #[arg(long, short = 'S', value_name = "N", help_heading = "LUKS")]
    pub key_slot: Option<u32>,
    /// What the header may ask for.
    #[command(flatten)]
    pub limits: LimitArgs,
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
