//! Options of LUKS containers.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::SealArgs;
use super::container::first_given;
use super::{number, size};

/// How an existing container is unlocked.
#[derive(Args, Debug)]
#[command(next_help_heading = "LUKS")]
pub struct UnlockArgs {
    /// Try this keyslot only, even one that is not tried unasked
    #[arg(long, short = 'S', value_name = "N")]
    pub key_slot: Option<u32>,
    /// The volume key itself instead of a passphrase; given twice: both of a container that is being reencrypted
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["key_file", "key_fd", "secret", "key_slot"])]
    pub volume_key_file: Vec<PathBuf>,
    /// What the header may ask for.
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// What a header may ask for, and how often somebody is asked for the passphrase.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "LUKS")]
pub struct LimitArgs {
    /// Time that one keyslot may take, in milliseconds; all together may take ten times that [default:
    /// `LUKSMITH_MAX_KDF_TIME`, or 60000]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(MAX_KDF_TIME))]
    pub max_kdf_time: Option<u64>,
    /// Memory that one keyslot may take, in KiB [default: `LUKSMITH_MAX_KDF_MEMORY`, or half of what there is but at most
    /// 4 GiB, and 1 GiB as long as that is free]
    #[arg(long, value_name = "KIB")]
    pub max_kdf_memory: Option<u64>,
    /// How often a passphrase may be typed that does not fit
    #[arg(long, short = 'T', value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub tries: u32,
    /// Size of a given volume key in bits, where no keyslot tells it
    #[arg(long, value_name = "BITS")]
    pub volume_key_size: Option<u32>,
    /// Read what nothing encrypted: under a null cipher, or in a linear segment of LUKS2
    #[arg(long, visible_alias = "allow-null-cipher")]
    pub allow_unencrypted: bool,
    /// What its seal must be.
    #[command(flatten)]
    pub seal: SealArgs,
}

/// The milliseconds that `--max-kdf-time` may say.
pub const MAX_KDF_TIME: RangeInclusive<u64> = 1..=1 << 40;

/// `--policy`.
#[derive(Args, Debug)]
#[command(next_help_heading = "LUKS")]
pub struct PolicyArgs {
    /// What the header must look like, or it is refused: a TOML file as `inspect --policy-template` writes it, or
    /// builtin:confidential-vm; given more than once, each of them holds
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub policy: Vec<PathBuf>,
}

/// `--pbkdf`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Pbkdf {
    /// PBKDF2, the only one that LUKS1 has
    Pbkdf2,
    /// Argon2i
    Argon2i,
    /// Argon2id, the default of LUKS2
    Argon2id,
}

/// What a new keyslot costs to guess.
#[derive(Args, Debug)]
#[command(next_help_heading = "Key derivation")]
pub struct CostArgs {
    /// Key derivation
    #[arg(long, value_enum, value_name = "KDF")]
    pub pbkdf: Option<Pbkdf>,
    /// Time that unlocking shall take on this machine, in milliseconds [default: 2000]
    #[arg(
        long,
        short = 'i',
        value_name = "MS",
        value_parser = number::iter_time(),
        conflicts_with = "pbkdf_force_iterations"
    )]
    pub iter_time: Option<u64>,
    /// Most memory of Argon2, in KiB [default: 1 GiB or half of what there is]
    #[arg(long, value_name = "KIB", value_parser = number::kdf_memory())]
    pub pbkdf_memory: Option<u32>,
    /// Lanes of Argon2 [default: one per processor, 4 at most]
    #[arg(long, value_name = "N", value_parser = number::kdf_lanes())]
    pub pbkdf_parallel: Option<u32>,
    /// Iterations of PBKDF2 or passes of Argon2, without measuring anything
    #[arg(long, value_name = "N")]
    pub pbkdf_force_iterations: Option<u32>,
}

/// How a new keyslot's area is encrypted.
#[derive(Args, Debug, Default)]
pub struct KeyslotCipherArgs {
    /// Cipher of the keyslot's area (LUKS2) [default: the data's]
    #[arg(long, value_name = "SPEC", requires = "keyslot_key_size")]
    pub keyslot_cipher: Option<String>,
    /// Size of the key of that cipher, in bits
    #[arg(long, value_name = "BITS", value_parser = number::key_bits(), requires = "keyslot_cipher")]
    pub keyslot_key_size: Option<u32>,
}

/// What a new LUKS container is to be.
#[derive(Args, Debug)]
#[command(next_help_heading = "New LUKS container")]
pub struct FormatArgs {
    /// What it costs to guess its passphrase.
    #[command(flatten)]
    pub cost: CostArgs,
    /// The keyslot to use
    #[arg(long, short = 'S', value_name = "N")]
    pub key_slot: Option<u32>,
    /// The volume key itself [default: a random one]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub volume_key_file: Option<PathBuf>,
    /// What its header says.
    #[command(flatten)]
    pub header: NewHeaderArgs,
}

/// What the header of a new LUKS container says.
#[derive(Args, Debug)]
#[command(next_help_heading = "New LUKS container")]
pub struct NewHeaderArgs {
    /// UUID of the container [default: a random one]
    #[arg(long, value_name = "UUID")]
    pub uuid: Option<String>,
    /// Label (LUKS2)
    #[arg(long, value_name = "TEXT")]
    pub label: Option<String>,
    /// Second label (LUKS2)
    #[arg(long, value_name = "TEXT")]
    pub subsystem: Option<String>,
    /// Size of one header copy (LUKS2): 16K, 32K, 64K, 128K, 256K, 512K, 1M, 2M or 4M
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub luks2_metadata_size: Option<u64>,
    /// Size of the keyslots area (LUKS2), a multiple of 4096
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub luks2_keyslots_size: Option<u64>,
    /// How its keyslot's area is encrypted.
    #[command(flatten)]
    pub keyslot_cipher: KeyslotCipherArgs,
}

/// `--header`.
#[derive(Args, Debug)]
#[command(next_help_heading = "LUKS")]
pub struct HeaderArgs {
    /// The header lies in this file, and the container holds data only
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub header: Option<PathBuf>,
}

impl UnlockArgs {
    /// An option that was given.
    pub fn given(&self) -> Option<&'static str> {
        first_given(&[
            ("--key-slot", self.key_slot.is_some()),
            ("--volume-key-file", !self.volume_key_file.is_empty()),
            ("--max-kdf-memory", self.limits.max_kdf_memory.is_some()),
        ])
        .or(self.limits.seal.given())
    }
}

impl FormatArgs {
    /// An option that was given.
    pub fn given(&self) -> Option<&'static str> {
        first_given(&[
            ("--pbkdf", self.cost.pbkdf.is_some()),
            ("--iter-time", self.cost.iter_time.is_some()),
            ("--pbkdf-memory", self.cost.pbkdf_memory.is_some()),
            ("--pbkdf-parallel", self.cost.pbkdf_parallel.is_some()),
            (
                "--pbkdf-force-iterations",
                self.cost.pbkdf_force_iterations.is_some(),
            ),
            ("--key-slot", self.key_slot.is_some()),
            ("--volume-key-file", self.volume_key_file.is_some()),
            ("--uuid", self.header.uuid.is_some()),
            ("--label", self.header.label.is_some()),
            ("--subsystem", self.header.subsystem.is_some()),
            (
                "--luks2-metadata-size",
                self.header.luks2_metadata_size.is_some(),
            ),
            (
                "--luks2-keyslots-size",
                self.header.luks2_keyslots_size.is_some(),
            ),
            (
                "--keyslot-cipher",
                self.header.keyslot_cipher.keyslot_cipher.is_some(),
            ),
        ])
    }
}
