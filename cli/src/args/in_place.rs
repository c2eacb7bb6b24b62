//! `resume IMG`, `reencrypt IMG`, and what `encrypt` and `decrypt` take where they change an image in place.

use clap::{Args, ValueEnum};

use super::container::first_given;
use super::{
    AnySectorArgs, ChangeArgs, CostArgs, DryArgs, ImageArgs, KeyArgs, KeyslotCipherArgs, LimitArgs,
    OpenKeyArgs, OutputArgs, UnlockArgs, WorkArgs, number, size,
};

/// What is said of `resume`.
pub(super) const RESUME: &str = "Finish what a crash, a signal or --init-only has left of an image that is encrypted, \
decrypted or reencrypted in place, by luksmith or by cryptsetup.\n\n\
What was half written is recovered first, and then the rest is done. Nothing is written where the header does not prove \
with both keys what is to be done. A passphrase that opens one of two keys only has another one asked for. Where a sync to \
the disk has failed, drop the page cache (or reboot) first: what is read there may not be what is on the disk.";

/// What is said of `reencrypt`.
pub(super) const REENCRYPT: &str = "Give a LUKS2 container a new volume key in its own place, or another cipher or sector \
size.\n\n\
The passphrase of each keyslot is asked for, by its number: with no terminal they are lines of standard input. With \
--key-slot one is kept, and the others go. A signal (SIGINT, SIGTERM) ends it between two commits; `resume` goes on then, \
and after a crash. Nobody else may write the image meanwhile.\n\n\
Checksums take a disk at its word that a block (a sector of the container) is written whole or not at all. Where that does \
not hold, as on some flash storage without a battery, take --resilience journal.";

const ENCRYPT: &str = "Change SRC where it is: there is no DST, and `resume` goes on after a signal or a crash.\n\n\
The header goes to the start of SRC, for which a file grows, or to the new file of --header. Until SRC has its header it is \
in SRC.luks-header. Nobody else may write SRC meanwhile.";
const DECRYPT: &str = "Change SRC where it is: there is no DST, and `resume` goes on after a signal or a crash.\n\n\
A header in SRC goes to the new file of --header, SRC.luks-header unless said, until all is decrypted; a detached one is in \
the file of --header. That file is removed at the end. Nobody else may write SRC meanwhile.";

/// `--resilience`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Resilience {
    /// Hashes of what was there protect what is being written
    Checksum,
    /// A copy of what was there does, whatever the disk tears
    Journal,
    /// Nothing does: a crash may lose it
    None,
}

/// How data are changed in place.
#[derive(Args, Debug)]
#[command(next_help_heading = "In place")]
pub struct ZonesArgs {
    /// What protects the data that are being written against a crash: checksum, journal or none [default: checksum, or what
    /// was begun with]. Where data are moved by a header's place, that protects them
    #[arg(long, value_enum, value_name = "WHAT", hide_possible_values = true)]
    pub resilience: Option<Resilience>,
    /// The hash of the checksums [default: sha256]
    #[arg(long, value_name = "HASH")]
    pub resilience_hash: Option<String>,
    /// Write at most so many bytes between two commits
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub hotzone_size: Option<u64>,
}

impl ZonesArgs {
    /// An option that was given.
    pub fn given(&self) -> Option<&'static str> {
        first_given(&[
            ("--resilience", self.resilience.is_some()),
            ("--resilience-hash", self.resilience_hash.is_some()),
            ("--hotzone-size", self.hotzone_size.is_some()),
        ])
    }
}

/// `--init-only`.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "In place")]
pub struct InitArgs {
    /// Write what is needed to begin, and leave the data to `resume`
    #[arg(long)]
    pub init_only: bool,
}

/// `encrypt --in-place`.
#[derive(Args, Debug)]
#[command(next_help_heading = "In place")]
pub struct EncryptInPlaceArgs {
    /// Change SRC where it is: there is no DST, and `resume` goes on after a signal or a crash
    #[arg(long, long_help = ENCRYPT, conflicts_with_all = ["destination", "size", "holes", "pad", "on_read_error", "error_map", "read_in_use",
        "allow_empty", "force", "overwrite_device"])]
    pub in_place: bool,
    /// Give up the last SIZE bytes of SRC: half of them are the header's at the end, all with `--type luks1`. A block device
    /// needs that
    #[arg(long, value_name = "SIZE", value_parser = size::parse, requires = "in_place", conflicts_with = "header")]
    pub reduce_device_size: Option<u64>,
    /// How it is done.
    #[command(flatten)]
    pub zones: ZonesArgs,
    /// Whether it is only begun.
    #[command(flatten)]
    pub init: InitArgs,
}

/// `decrypt --in-place`.
#[derive(Args, Debug)]
#[command(next_help_heading = "In place")]
pub struct DecryptInPlaceArgs {
    /// Change SRC where it is: there is no DST, and `resume` goes on after a signal or a crash
    #[arg(long, long_help = DECRYPT, conflicts_with_all = ["destination", "size", "on_read_error", "error_map", "read_in_use",
        "allow_any_source", "force", "overwrite_device"])]
    pub in_place: bool,
    /// How it is done.
    #[command(flatten)]
    pub zones: ZonesArgs,
    /// Whether it is only begun.
    #[command(flatten)]
    pub init: InitArgs,
}

/// An option that means nothing to a job that makes a new image.
pub fn only_in_place(zones: &ZonesArgs, init: InitArgs) -> Option<&'static str> {
    zones
        .given()
        .or(first_given(&[("--init-only", init.init_only)]))
}

/// `resume IMG`.
#[derive(Args, Debug)]
pub struct ResumeArgs {
    /// The container.
    #[command(flatten)]
    pub image: ImageArgs,
    /// Where the key comes from.
    #[command(flatten)]
    pub keys: OpenKeyArgs,
    /// How the container is unlocked.
    #[command(flatten)]
    pub unlock: UnlockArgs,
    /// How it is gone on with.
    #[command(flatten)]
    pub zones: ZonesArgs,
    /// Finish only what a crash left half written
    #[arg(long, help_heading = "In place")]
    pub recover_only: bool,
    /// Go on with what no digest proves, as cryptsetup before 2.4 left it, once it is said and asked what that does to the
    /// data: whoever could write the image can have chosen it
    #[arg(long, help_heading = "Allow")]
    pub force: bool,
    /// How the work is done.
    #[command(flatten)]
    pub work: WorkArgs,
    /// Whether anything is written.
    #[command(flatten)]
    pub dry: DryArgs,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `reencrypt IMG`.
#[derive(Args, Debug)]
pub struct ReencryptArgs {
    /// The container.
    #[command(flatten)]
    pub image: ImageArgs,
    /// Where the keys come from.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// Keep this keyslot, and drop the others
    #[arg(long, short = 'S', value_name = "N", help_heading = "LUKS")]
    pub key_slot: Option<u32>,
    /// What the header may ask for.
    #[command(flatten)]
    pub limits: LimitArgs,
    /// The new cipher, as in cryptsetup: aes-xts-plain64 [default: the old one]
    #[arg(
        long,
        short = 'c',
        value_name = "SPEC",
        help_heading = "New encryption"
    )]
    pub cipher: Option<String>,
    /// Size of the new key, in bits [default: that of the old one]
    #[arg(long, short = 's', value_name = "BITS", value_parser = number::key_bits(), help_heading = "New encryption")]
    pub key_size: Option<u32>,
    /// Bytes that are encrypted as one: 512, 1024, 2048 or 4096 [default: as before]
    #[arg(long, value_name = "BYTES", help_heading = "New encryption")]
    pub sector_size: Option<u32>,
    /// Keep the volume key and the keyslots: cipher or sector size change; in LUKS1 the header alone, with --hash or another cost
    #[arg(long, help_heading = "New encryption", conflicts_with_all = ["key_size", "keyslot_cipher"])]
    pub keep_key: bool,
    /// What the new keyslots cost to guess.
    #[command(flatten)]
    pub cost: CostArgs,
    /// The hash of PBKDF2 and of the keyslots' areas [default: sha256]
    #[arg(long, value_name = "HASH", help_heading = "Key derivation")]
    pub hash: Option<String>,
    /// How the new keyslots' areas are encrypted.
    #[command(flatten)]
    pub keyslot_cipher: KeyslotCipherArgs,
    /// How it is done.
    #[command(flatten)]
    pub zones: ZonesArgs,
    /// Whether it is only begun.
    #[command(flatten)]
    pub init: InitArgs,
    /// Do only so many bytes of the data; what lies behind them becomes noise, so that --force is needed
    #[arg(long, value_name = "SIZE", value_parser = size::parse, help_heading = "In place")]
    pub device_size: Option<u64>,
    /// How the work is done.
    #[command(flatten)]
    pub work: WorkArgs,
    /// What is in the data.
    #[command(flatten)]
    pub sectors: AnySectorArgs,
    /// Use a cipher that protects little or nothing, or encrypt more under one key than it is good for
    #[arg(long, help_heading = "Allow")]
    pub allow_weak_cipher: bool,
    /// Let what lies behind --device-size become noise
    #[arg(long, help_heading = "Allow", requires = "device_size")]
    pub force: bool,
    /// What every change takes.
    #[command(flatten)]
    pub change: ChangeArgs,
}
