//! What the user typed: the definitions of verbs and options, and nothing of what they mean.
//!
//! Help, man pages and completions are generated from these. Options that several verbs share are groups in
//! [`keys`], [`container`] and [`work`].

pub mod alone;
pub mod bad_places;
pub mod benchmark;
pub mod clone;
pub mod compare;
pub mod container;
pub mod from;
pub mod header;
pub mod image;
pub mod in_place;
pub mod key;
pub mod keys;
pub mod luks;
pub mod mapping;
pub mod mount;
pub mod number;
pub mod openstack;
pub mod seal;
pub mod serve;
pub mod size;
pub mod to;
pub mod token;
pub mod verify;
pub mod work;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueHint};
use jobs::Place;

pub use bad_places::{BadPlacesArgs, OnReadError};
pub use benchmark::BenchmarkArgs;
pub use clone::{CloneArgs, LuksType, SourceType};
pub use compare::{CompareArgs, KeyPairArgs, for_one, others};
pub use container::{Compat, CompatArgs, ContainerArgs, ContainerType, PlainArgs, SizeArgs};
pub use from::{BackingKeyArgs, DiskArgs, FromArgs, SourceFormat};
pub use header::{
    ChangeArgs, HeaderBackupArgs, HeaderConfigArgs, HeaderConvertArgs, HeaderEraseArgs,
    HeaderRepairArgs, HeaderRestoreArgs, HeaderSealArgs, HeaderUnsealArgs, HeaderVerb,
    PersistentFlag,
};
pub use image::ImageArgs;
pub use in_place::{
    DecryptInPlaceArgs, EncryptInPlaceArgs, InitArgs, ReencryptArgs, Resilience, ResumeArgs,
    ZonesArgs, only_in_place,
};
pub use key::{
    KeyAddArgs, KeyChangeArgs, KeyExportArgs, KeyListArgs, KeyPriority, KeyRemoveArgs, KeyTestArgs,
    KeyUnmangleArgs, KeyVerb, NewKeyArgs, NewKeyFileArgs,
};
pub use keys::{KeyArgs, KeyEncoding, KeyFormat, KeyReadArgs, OpenKeyArgs};
pub use luks::{
    CostArgs, FormatArgs, HeaderArgs, KeyslotCipherArgs, LimitArgs, MAX_KDF_TIME, NewHeaderArgs,
    Pbkdf, PolicyArgs, UnlockArgs,
};
pub use mapping::{
    CloseArgs, MappingHeaderArgs, MappingRefreshArgs, MappingResizeArgs, MappingResumeArgs,
    MappingSuspendArgs, MappingVerb, OpenArgs, OpenPlainArgs, OpenType, StatusArgs, TreatArgs,
    UdevArgs,
};
pub use mount::{MountArgs, MountedArgs, UmountArgs};
pub use openstack::{Backend, CinderArgs, GlancePropsArgs, ProbeArgs};
pub use seal::{SealArgs, SealKeyArgs};
pub use serve::{ServeArgs, ServedArgs, ServerArgs, StayArgs};
pub use to::{DestinationFormat, ToArgs};
pub use token::{
    TokenAddArgs, TokenAssignArgs, TokenExportArgs, TokenImportArgs, TokenListArgs,
    TokenRemoveArgs, TokenVerb,
};
pub use verify::VerifyArgs;
pub use work::{
    AnySectorArgs, AnySourceArgs, BusyArgs, DryArgs, Holes, OddSourceArgs, OutputArgs, ResultArgs,
    WeakArgs, WorkArgs,
};

/// LUKS1, LUKS2 and plain dm-crypt images in userspace: no root, no device-mapper, no cryptsetup.
#[derive(Debug, Parser)]
#[command(
    name = "luksmith",
    version,
    disable_help_subcommand = true,
    max_term_width = 120
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Encrypt a raw image into a new container
    Encrypt(EncryptArgs),
    /// Decrypt a container into a raw image
    Decrypt(DecryptArgs),
    /// Copy a container or a raw image into a container with a volume key of its own
    #[command(long_about = clone::ABOUT)]
    Clone(Box<CloneArgs>),
    /// Give a container another volume key, cipher or sector size in its own place
    #[command(long_about = in_place::REENCRYPT)]
    Reencrypt(Box<ReencryptArgs>),
    /// Finish what was begun in place
    #[command(long_about = in_place::RESUME)]
    Resume(Box<ResumeArgs>),
    /// Serve the plaintext of a container over NBD
    #[command(long_about = serve::ABOUT)]
    Serve(Box<ServeArgs>),
    /// Show the plaintext of a container as a file
    #[command(long_about = mount::ABOUT)]
    Mount(Box<MountArgs>),
    /// End such a mount
    #[command(long_about = mount::UMOUNT)]
    Umount(UmountArgs),
    /// Make an empty container
    Create(CreateArgs),
    /// Show what is in a LUKS container
    Inspect(InspectArgs),
    /// Tell whether a LUKS container is sound
    Verify(VerifyArgs),
    /// Tell whether two images hold the same plaintext
    Compare(CompareArgs),
    /// Tell how large a container becomes
    Measure(MeasureArgs),
    /// Find out how a plain volume of an old cloud was made
    #[command(long_about = openstack::PROBE)]
    Probe(Box<ProbeArgs>),
    /// Print the properties by which Glance knows an encrypted image
    #[command(
        name = "glance-props",
        long_about = "Print the properties by which Glance knows an encrypted image, as JSON.\n\n\
        Encrypted images of OpenStack are LUKS1, or qcow2 with LUKS1 inside (--from qcow2). Nothing is unlocked: that the \
        secret opens the image is for `key test --secret` to tell."
    )]
    GlanceProps(Box<GlancePropsArgs>),
    /// Have the kernel map a container as a block device
    #[command(long_about = mapping::OPEN)]
    Open(Box<OpenArgs>),
    /// End a mapping of the kernel
    #[command(long_about = mapping::CLOSE)]
    Close(CloseArgs),
    /// Show mappings of the kernel
    Status(StatusArgs),
    /// Resize, suspend, resume or refresh a mapping of the kernel
    #[command(subcommand)]
    Mapping(MappingVerb),
    /// Work with the keyslots of a LUKS container
    #[command(subcommand)]
    Key(KeyVerb),
    /// Back up, restore, repair, erase or change the header of a LUKS container
    #[command(subcommand)]
    Header(HeaderVerb),
    /// Work with the tokens of a LUKS2 container
    #[command(subcommand)]
    Token(TokenVerb),
    /// Measure ciphers and key derivations on this machine
    Benchmark(BenchmarkArgs),
    /// cryptsetup's own command line: its actions, options, prompts, texts and exit codes
    ///
    /// Scripts that call cryptsetup take luksmith in its place through a link of that name:
    /// `ln -s "$(command -v luksmith)" /usr/local/bin/cryptsetup`. Actions that need a mapping of the kernel say what
    /// there is instead.
    #[command(disable_help_flag = true)]
    Cryptsetup(CryptsetupArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Write the manual pages into a directory
    Man(ManArgs),
}

/// `cryptsetup [WORD]...`. The words are understood by a parser of their own, which takes them before these
/// definitions are asked; they are here for help, man page and completions.
#[derive(Args, Debug)]
pub struct CryptsetupArgs {
    /// An action, its operands and options: `luksmith cryptsetup --help` lists them, cryptsetup's manual pages describe
    /// them
    #[arg(value_name = "WORD", trailing_var_arg = true, allow_hyphen_values = true, value_hint = ValueHint::FilePath)]
    pub words: Vec<OsString>,
}

/// `encrypt SRC DST`.
#[derive(Args, Debug)]
pub struct EncryptArgs {
    /// The raw image; `-` is standard input
    #[arg(value_name = "SRC", value_hint = ValueHint::FilePath, value_parser = operand())]
    pub source: Place,
    /// The new container: a file that does not exist yet, a block device, or `-` for standard output
    #[arg(value_name = "DST", value_hint = ValueHint::FilePath, value_parser = operand(),
        required_unless_present = "in_place")]
    pub destination: Option<Place>,
    /// Whether there is no other image.
    #[command(flatten)]
    pub in_place: EncryptInPlaceArgs,
    /// What the source is.
    #[command(flatten)]
    pub from: FromArgs,
    /// How the container is encrypted.
    #[command(flatten)]
    pub container: ContainerArgs,
    /// The same as a volume type of Cinder's has it.
    #[command(flatten)]
    pub cinder: CinderArgs,
    /// What is made.
    #[command(flatten)]
    pub to: ToArgs,
    /// How much plaintext there is, in sectors of 512 bytes
    #[arg(long, short = 'b', value_name = "SECTORS")]
    pub size: Option<u64>,
    /// What only a plain container has.
    #[command(flatten)]
    pub plain: PlainArgs,
    /// What a new LUKS container is to be.
    #[command(flatten)]
    pub format: FormatArgs,
    /// Where the header goes.
    #[command(flatten)]
    pub header: HeaderArgs,
    /// Where the key comes from.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// What becomes of the source's holes: `keep` leaves them unwritten, so that they read as noise and show
    /// which parts of the image are empty
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = Holes::Encrypt)]
    pub holes: Holes,
    /// Fill the last sector with zeros when the source does not end on a sector
    #[arg(long)]
    pub pad: bool,
    /// What becomes of what cannot be read.
    #[command(flatten)]
    pub bad_places: BadPlacesArgs,
    /// How the payload is copied.
    #[command(flatten)]
    pub work: WorkArgs,
    /// Whether the source may be in use.
    #[command(flatten)]
    pub busy: BusyArgs,
    /// What the source may be.
    #[command(flatten)]
    pub odd: OddSourceArgs,
    /// What may make the container weak.
    #[command(flatten)]
    pub weak: WeakArgs,
    /// What is said, and what is overwritten.
    #[command(flatten)]
    pub result: ResultArgs,
}

/// `decrypt SRC DST`.
#[derive(Args, Debug)]
pub struct DecryptArgs {
    /// The container; `-` is standard input
    #[arg(value_name = "SRC", value_hint = ValueHint::FilePath, value_parser = operand())]
    pub source: Place,
    /// The raw image: a file that does not exist yet, a block device, or `-` for standard output
    #[arg(value_name = "DST", value_hint = ValueHint::FilePath, value_parser = operand(),
        required_unless_present = "in_place")]
    pub destination: Option<Place>,
    /// Whether there is no other image.
    #[command(flatten)]
    pub in_place: DecryptInPlaceArgs,
    /// What the source is.
    #[command(flatten)]
    pub from: FromArgs,
    /// How the container is encrypted.
    #[command(flatten)]
    pub container: ContainerArgs,
    /// What is made.
    #[command(flatten)]
    pub to: ToArgs,
    /// How much plaintext there is, in sectors of 512 bytes
    #[arg(long, short = 'b', value_name = "SECTORS")]
    pub size: Option<u64>,
    /// What only a plain container has.
    #[command(flatten)]
    pub plain: PlainArgs,
    /// Where the key comes from.
    #[command(flatten)]
    pub keys: OpenKeyArgs,
    /// Where the keys come from of what is below it.
    #[command(flatten)]
    pub below: BackingKeyArgs,
    /// How a LUKS container is unlocked.
    #[command(flatten)]
    pub unlock: UnlockArgs,
    /// What the header must look like.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// Where its header is.
    #[command(flatten)]
    pub header: HeaderArgs,
    /// What becomes of what cannot be read.
    #[command(flatten)]
    pub bad_places: BadPlacesArgs,
    /// How the payload is copied.
    #[command(flatten)]
    pub work: WorkArgs,
    /// Whether the source may be in use.
    #[command(flatten)]
    pub busy: BusyArgs,
    /// What the source may be.
    #[command(flatten)]
    pub any: AnySourceArgs,
    /// What is said, and what is overwritten.
    #[command(flatten)]
    pub result: ResultArgs,
}

/// `create DST`.
#[derive(Args, Debug)]
pub struct CreateArgs {
    /// The new container: a file that does not exist yet, or a block device
    #[arg(value_name = "DST", value_hint = ValueHint::FilePath, value_parser = operand())]
    pub destination: Place,
    /// How the container is encrypted.
    #[command(flatten)]
    pub container: ContainerArgs,
    /// The same as a volume type of Cinder's has it.
    #[command(flatten)]
    pub cinder: CinderArgs,
    /// What is made.
    #[command(flatten)]
    pub to: ToArgs,
    /// Who can read it.
    #[command(flatten)]
    pub compat: CompatArgs,
    /// How large it becomes; a device is as large as it is.
    #[command(flatten)]
    pub size: SizeArgs,
    /// What it is to be.
    #[command(flatten)]
    pub format: FormatArgs,
    /// Where the header goes.
    #[command(flatten)]
    pub header: HeaderArgs,
    /// Where the key comes from.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// What may make the container weak.
    #[command(flatten)]
    pub weak: WeakArgs,
    /// What is said, and what is overwritten.
    #[command(flatten)]
    pub result: ResultArgs,
}

/// `measure [SRC]`.
#[derive(Args, Debug)]
pub struct MeasureArgs {
    /// The raw image that is to be encrypted; without it a size is needed
    #[arg(value_name = "SRC", value_hint = ValueHint::FilePath, value_parser = operand(),
        conflicts_with_all = ["payload_size", "container_size"])]
    pub source: Option<Place>,
    /// What it is.
    #[command(flatten)]
    pub from: FromArgs,
    /// How the container is encrypted.
    #[command(flatten)]
    pub container: ContainerArgs,
    /// The same as a volume type of Cinder's has it.
    #[command(flatten)]
    pub cinder: CinderArgs,
    /// What is made.
    #[command(flatten)]
    pub to: ToArgs,
    /// Who can read it.
    #[command(flatten)]
    pub compat: CompatArgs,
    /// One of the two sizes.
    #[command(flatten)]
    pub size: SizeArgs,
    /// What it is to be.
    #[command(flatten)]
    pub format: FormatArgs,
    /// The header lies in a file of its own
    #[arg(long)]
    pub detached: bool,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
    /// What is in the image.
    #[command(flatten)]
    pub sectors: AnySectorArgs,
}

/// `inspect IMG`.
#[derive(Args, Debug)]
pub struct InspectArgs {
    /// The container.
    #[command(flatten)]
    pub image: ImageArgs,
    /// What is read; an image is read as qcow2 only if that is said here, whatever its name and its first bytes are
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Source")]
    pub from: Option<SourceFormat>,
    /// Draw where everything lies instead: a list with bars, or an SVG drawing
    #[arg(long, value_enum, value_name = "FORMAT", conflicts_with = "json")]
    pub map: Option<MapFormat>,
    /// Print the policy that only this header fulfils, as TOML for --policy
    #[arg(long, conflicts_with_all = ["json", "map"])]
    pub policy_template: bool,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Whether the image may be in use.
    #[command(flatten)]
    pub busy: BusyArgs,
}

/// `inspect --map`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum MapFormat {
    /// Offsets, sizes and bars
    Text,
    /// A drawing
    Svg,
}

/// `completions SHELL`.
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// The shell that shall complete
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: clap_complete::Shell,
}

/// `man DIR`.
#[derive(Args, Debug)]
pub struct ManArgs {
    /// The directory, which is made where there is none; pages that are there already are replaced
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub directory: PathBuf,
    /// Whether anything is written.
    #[command(flatten)]
    pub dry: DryArgs,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
}

pub(crate) fn operand() -> impl TypedValueParser<Value = Place> {
    OsStringValueParser::new().map(Place::from)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definitions_are_consistent() {
        Cli::command().debug_assert();
    }
}
