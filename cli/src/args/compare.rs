//! What `compare` takes: two images, and for each a key.

use std::ffi::OsString;

use clap::{Args, ValueHint};

use super::{
    KeyArgs, KeyEncoding, KeyFormat, LimitArgs, Operand, PolicyArgs, UnlockArgs, WorkArgs, operand,
};

/// `compare A B`.
#[derive(Args, Debug)]
pub struct CompareArgs {
    /// One image: raw, or a LUKS container
    #[arg(value_name = "A", value_hint = ValueHint::FilePath, value_parser = operand())]
    pub a: Operand,
    /// The other
    #[arg(value_name = "B", value_hint = ValueHint::FilePath, value_parser = operand())]
    pub b: Operand,
    /// How the containers are unlocked.
    #[command(flatten)]
    pub keys: KeyPairArgs,
    /// What the header must look like.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// How the work is done.
    #[command(flatten)]
    pub work: WorkArgs,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Read the images even while another program may be writing them
    #[arg(long)]
    pub force: bool,
}

/// The keys of two containers: what stands once is for both.
#[derive(Args, Debug)]
#[command(next_help_heading = "Keys")]
pub struct KeyPairArgs {
    /// Read the key from a file, newlines and all; given twice: first for A, then for B
    #[arg(long, short = 'd', value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub key_file: Vec<OsString>,
    /// Try this keyslot only; given twice: first for A, then for B
    #[arg(long, short = 'S', value_name = "N")]
    pub key_slot: Vec<u32>,
    /// Leave out so many bytes at the start of the key files
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub keyfile_offset: u64,
    /// Read exactly so many bytes of each
    #[arg(long, short = 'l', value_name = "BYTES")]
    pub keyfile_size: Option<u64>,
    /// How the bytes that are read spell the key
    #[arg(long, value_enum, value_name = "ENCODING", default_value_t = KeyEncoding::Raw)]
    pub key_encoding: KeyEncoding,
    /// What becomes of the key before it is used
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = KeyFormat::AsIs)]
    pub key_format: KeyFormat,
    /// What the headers may ask for.
    #[command(flatten)]
    pub limits: LimitArgs,
}

impl KeyPairArgs {
    /// The key of one image: `index` is 0 for A and 1 for B.
    pub fn key(&self, index: usize) -> KeyArgs {
        KeyArgs {
            key_file: of(&self.key_file, index),
            key_fd: None,
            keyfile_offset: self.keyfile_offset,
            keyfile_size: self.keyfile_size,
            key_encoding: self.key_encoding,
            key_format: self.key_format,
        }
    }

    /// How one image is unlocked: `index` is 0 for A and 1 for B.
    pub fn unlock(&self, index: usize) -> UnlockArgs {
        UnlockArgs {
            key_slot: of(&self.key_slot, index),
            volume_key_file: None,
            limits: LimitArgs {
                max_kdf_time: self.limits.max_kdf_time,
                max_kdf_memory: self.limits.max_kdf_memory,
                allow_null_cipher: self.limits.allow_null_cipher,
            },
        }
    }
}

fn of<T: Clone>(values: &[T], index: usize) -> Option<T> {
    values.get(index).or(values.first()).cloned()
}
