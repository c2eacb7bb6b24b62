//! What `compare` takes: two images, and for each a key.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use jobs::secret::stored::Reference;

use super::keys::{key_file, secret};
use super::{
    BackingKeyArgs, BadPlacesArgs, BusyArgs, DiskArgs, KeyReadArgs, LimitArgs, OutputArgs, Place,
    PolicyArgs, SourceFormat, WorkArgs, operand,
};

/// `compare A B`.
#[derive(Args, Debug)]
pub struct CompareArgs {
    /// One image: raw, or a LUKS container
    #[arg(value_name = "A", value_hint = ValueHint::FilePath, value_parser = operand())]
    pub a: Place,
    /// The other
    #[arg(value_name = "B", value_hint = ValueHint::FilePath, value_parser = operand())]
    pub b: Place,
    /// What they are [default: a LUKS container where there is a header, else raw]; an image is read as qcow2 only if that
    /// is said here, whatever its name and its first bytes are; given twice: first for A, then for B
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Source")]
    pub from: Vec<SourceFormat>,
    /// What of a qcow2 image is read.
    #[command(flatten)]
    pub disk: DiskArgs,
    /// Where the keys come from of what is below it.
    #[command(flatten)]
    pub below: BackingKeyArgs,
    /// How the containers are unlocked.
    #[command(flatten)]
    pub keys: KeyPairArgs,
    /// The header lies in this file, and the container holds data only; it is that of B, and given twice: first that
    /// of A, then that of B
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "LUKS")]
    pub header: Vec<PathBuf>,
    /// What the header must look like.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// What becomes of what cannot be read.
    #[command(flatten)]
    pub bad_places: BadPlacesArgs,
    /// How the work is done.
    #[command(flatten)]
    pub work: WorkArgs,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Whether the images may be in use.
    #[command(flatten)]
    pub busy: BusyArgs,
}

/// The keys of two containers: what stands once is for both.
#[derive(Args, Debug)]
#[command(next_help_heading = "Keys")]
pub struct KeyPairArgs {
    /// Read the key from a file, newlines and all; given twice: first for A, then for B; the others, four at most, are
    /// tried where one of them is being reencrypted and under two keys
    #[arg(long, short = 'd', value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = key_file())]
    pub key_file: Vec<OsString>,
    /// Read the key from a file descriptor that the caller opened; given more than once as --key-file
    #[arg(long, value_name = "N", conflicts_with = "key_file")]
    pub key_fd: Vec<u32>,
    /// Fetch the key from where it is kept: barbican:UUID, the URL of a secret, vault:PATH, json:FILE, fixed:FILE;
    /// given more than once as --key-file
    #[arg(long, value_name = "REF", value_parser = secret(), conflicts_with_all = ["key_file", "key_fd"])]
    pub secret: Vec<Reference>,
    /// Try this keyslot only; given twice: first for A, then for B
    #[arg(long, short = 'S', value_name = "N")]
    pub key_slot: Vec<u32>,
    /// How it is read.
    #[command(flatten)]
    pub read: KeyReadArgs,
    /// The volume key itself instead of a passphrase; given more than once as --key-file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["key_file", "key_fd", "secret", "key_slot"])]
    pub volume_key_file: Vec<PathBuf>,
    /// What the headers may ask for.
    #[command(flatten)]
    pub limits: LimitArgs,
}

impl CompareArgs {
    /// Where the header of one image lies, if not in it: `index` is 0 for A and 1 for B.
    pub fn header(&self, index: usize) -> Option<&PathBuf> {
        match &self.header[..] {
            [only] => Some(only).filter(|_| index == 1),
            both => both.get(index),
        }
    }
}

/// The others, any of which may be of the other key of that image: the likeliest first.
pub fn others<T>(values: &[T], index: usize) -> impl Iterator<Item = &T> {
    let own = if index < values.len() { index } else { 0 };
    [index + 2, 1 - index, 3 - index]
        .into_iter()
        .filter(move |place| *place != own)
        .filter_map(|place| values.get(place))
}

/// What is typed for one of two images: `index` is 0 for A and 1 for B.
pub fn for_one<T>(values: &[T], index: usize) -> Option<&T> {
    values.get(index).or(values.first())
}
