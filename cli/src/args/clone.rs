//! `clone SRC DST`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::{
    AnySectorArgs, AnySourceArgs, BackingKeyArgs, BadPlacesArgs, BusyArgs, CostArgs, FromArgs,
    HeaderArgs, Holes, NewHeaderArgs, NewKeyFileArgs, OpenKeyArgs, Place, PlainArgs, PolicyArgs,
    ResultArgs, SizeArgs, ToArgs, UnlockArgs, WeakArgs, WorkArgs, number, operand,
};

/// What it does, at length.
pub(super) const ABOUT: &str = "Copy a container or a raw image into a container with a volume key of its own.\n\n\
    The volume key, the UUID and all salts are new, the plaintext is the same: it is decrypted and encrypted in one pass, \
    and is nowhere but in memory. Cipher, key size, sector size and the costs of the key derivation are those of SRC, and \
    nothing that would be weaker is made unless it is allowed.\n\n\
    What opens DST is a new passphrase, which is asked for after that of SRC (with no terminal they are two lines of \
    standard input), or what --new-keyfile, --new-key-fd, --keep-passphrase and --recovery-key say: each that is given is \
    a keyslot. Before DST has its name its header is read back, unlocked with each of them, and its data are held against \
    those of SRC.";

/// `--type`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum LuksType {
    /// LUKS1
    Luks1,
    /// LUKS2
    Luks2,
}

/// `--source-type`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum SourceType {
    /// LUKS1
    Luks1,
    /// LUKS2
    Luks2,
    /// Encrypted, without a header: --source-cipher, --source-key-size and --source-hash say how
    Plain,
    /// Not encrypted
    Raw,
}

/// `clone SRC DST`.
#[derive(Args, Debug)]
pub struct CloneArgs {
    /// The container, or with --source-type raw the raw image: a file or a block device
    #[arg(value_name = "SRC", value_hint = ValueHint::FilePath, value_parser = operand())]
    pub source: Place,
    /// The new container: a file that does not exist yet or a block device; with --count the folder for all of them
    #[arg(value_name = "DST", value_hint = ValueHint::FilePath, value_parser = operand())]
    pub destination: Place,
    /// What DST is to be.
    #[command(flatten)]
    pub container: CloneContainerArgs,
    /// What is made.
    #[command(flatten)]
    pub to: ToArgs,
    /// How large it becomes.
    #[command(flatten)]
    pub size: SizeArgs,
    /// What it costs to guess its passphrase.
    #[command(flatten)]
    pub cost: CostArgs,
    /// What its header says.
    #[command(flatten)]
    pub format: NewHeaderArgs,
    /// What SRC is.
    #[command(flatten)]
    pub from: CloneSourceArgs,
    /// Its format.
    #[command(flatten)]
    pub format_of: FromArgs,
    /// What only a plain container has.
    #[command(flatten)]
    pub plain: PlainArgs,
    /// Where the key of SRC comes from.
    #[command(flatten)]
    pub keys: OpenKeyArgs,
    /// Where the keys come from of what is below it.
    #[command(flatten)]
    pub below: BackingKeyArgs,
    /// How SRC is unlocked.
    #[command(flatten)]
    pub unlock: UnlockArgs,
    /// What the header of SRC must look like.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// Where the header of SRC is.
    #[command(flatten)]
    pub header: HeaderArgs,
    /// Where a new key comes from.
    #[command(flatten)]
    pub new_key: NewKeyFileArgs,
    /// What else opens DST.
    #[command(flatten)]
    pub opens: CloneKeyArgs,
    /// Many clones.
    #[command(flatten)]
    pub series: SeriesArgs,
    /// What becomes of holes: `keep` leaves them unwritten, so that they read as noise and show which parts are empty;
    /// those of a raw image, and of a container what was never written in it
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = Holes::Encrypt)]
    pub holes: Holes,
    /// What becomes of what cannot be read.
    #[command(flatten)]
    pub bad_places: BadPlacesArgs,
    /// How the payload is copied.
    #[command(flatten)]
    pub work: WorkArgs,
    /// Whether SRC may be in use.
    #[command(flatten)]
    pub busy: BusyArgs,
    /// What SRC may be.
    #[command(flatten)]
    pub any: AnySourceArgs,
    /// What is in it.
    #[command(flatten)]
    pub sectors: AnySectorArgs,
    /// What may make DST weak.
    #[command(flatten)]
    pub weak: WeakArgs,
    /// What may make it weaker than SRC.
    #[command(flatten)]
    pub weaker: WeakerArgs,
    /// What is said, and what is overwritten.
    #[command(flatten)]
    pub result: ResultArgs,
}

/// What a clone is to be.
#[derive(Args, Debug)]
#[command(next_help_heading = "Container")]
pub struct CloneContainerArgs {
    /// What kind of container DST becomes [default: that of SRC; luks2 where that is not LUKS]
    #[arg(long = "type", short = 'M', value_enum, value_name = "TYPE")]
    pub kind: Option<LuksType>,
    /// The cipher of DST, as in cryptsetup [default: that of SRC]
    #[arg(long, short = 'c', value_name = "SPEC")]
    pub cipher: Option<String>,
    /// Size of its key, in bits [default: that of SRC]
    #[arg(long, short = 's', value_name = "BITS", value_parser = number::key_bits())]
    pub key_size: Option<u32>,
    /// The hash of its key derivation and digest [default: that of SRC]
    #[arg(long, value_name = "HASH")]
    pub hash: Option<String>,
    /// Bytes that are encrypted as one in DST: 512, 1024, 2048 or 4096 [default: those of SRC]
    #[arg(long, value_name = "BYTES")]
    pub sector_size: Option<u32>,
    /// Where encrypted data starts in the container, in sectors of 512 bytes
    #[arg(long, short = 'o', value_name = "SECTORS")]
    pub offset: Option<u64>,
    /// The header of DST goes into this new file, and DST holds data only
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub new_header: Option<PathBuf>,
}

/// What the source of a clone is.
#[derive(Args, Debug)]
#[command(next_help_heading = "Source")]
pub struct CloneSourceArgs {
    /// What SRC is [default: what its header says]
    #[arg(long, value_enum, value_name = "TYPE", conflicts_with = "from")]
    pub source_type: Option<SourceType>,
    /// The cipher of a plain SRC
    #[arg(long, value_name = "SPEC")]
    pub source_cipher: Option<String>,
    /// Size of the key of a plain SRC, in bits
    #[arg(long, value_name = "BITS", value_parser = number::key_bits())]
    pub source_key_size: Option<u32>,
    /// The hash that makes the key of a plain SRC of a passphrase, also sha256:20 or plain
    #[arg(long, value_name = "HASH")]
    pub source_hash: Option<String>,
    /// Bytes that are encrypted as one in a plain SRC [default: 512]
    #[arg(long, value_name = "BYTES")]
    pub source_sector_size: Option<u32>,
    /// Where encrypted data starts in a plain SRC, in sectors of 512 bytes
    #[arg(long, value_name = "SECTORS")]
    pub source_offset: Option<u64>,
}

/// What opens a clone, beside a new key.
#[derive(Args, Debug)]
#[command(next_help_heading = "New key")]
pub struct CloneKeyArgs {
    /// The passphrase of SRC opens DST as well, by a salt of its own
    #[arg(long, conflicts_with = "volume_key_file")]
    pub keep_passphrase: bool,
    /// Make a recovery key of 256 bits, as systemd writes them, into this new file that only its owner can read; `-` prints
    /// it on standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "recovery_key_dir")]
    pub recovery_key: Option<PathBuf>,
    /// Make a recovery key for each of many clones, in this folder: the clone's name and .recovery
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, requires = "count")]
    pub recovery_key_dir: Option<PathBuf>,
}

/// Many clones of one source.
#[derive(Args, Debug)]
#[command(next_help_heading = "Many")]
pub struct SeriesArgs {
    /// Make so many clones, each with keys of its own, and read SRC as seldom as memory and room allow
    #[arg(long, value_name = "N", requires = "name_pattern")]
    pub count: Option<u64>,
    /// Their names in the folder DST: `dev-{index:04}.luks` is dev-0001.luks and so on
    #[arg(long, value_name = "PATTERN", requires = "count")]
    pub name_pattern: Option<String>,
    /// A new file that gets a line of JSON for each clone: name, UUID, fingerprint of the header, SHA-256, and by number
    /// what opens it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "count")]
    pub manifest: Option<PathBuf>,
}

/// What makes a clone weaker than its source, allowed one by one.
#[derive(Args, Debug)]
#[command(next_help_heading = "Allow")]
pub struct WeakerArgs {
    /// Make a clone whose key has fewer bits than that of SRC
    #[arg(long)]
    pub allow_smaller_key: bool,
    /// Make a clone whose passphrases are cheaper to guess than those of SRC
    #[arg(long)]
    pub allow_cheaper_kdf: bool,
    /// Cut off data that a smaller DST has no room for
    #[arg(long)]
    pub allow_cut: bool,
}
