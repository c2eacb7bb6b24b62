//! Options that say where key material comes from. None takes a secret as its value.

use std::ffi::OsString;
use std::path::Path;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, ValueEnum, ValueHint};
use jobs::secret::stored::Reference;

use super::number;

/// The value of `--key-file` and `--new-keyfile`: a path, `-`, or `credential:NAME` for a file in the folder that systemd
/// names in `$CREDENTIALS_DIRECTORY`.
pub(super) fn key_file() -> impl TypedValueParser<Value = OsString> {
    OsStringValueParser::new().try_map(|typed| {
        let Some(name) = typed
            .to_str()
            .and_then(|text| text.strip_prefix("credential:"))
        else {
            return Ok(typed);
        };
        if name.is_empty() || name.contains('/') {
            return Err("a credential has a name without a slash".to_owned());
        }
        match std::env::var_os("CREDENTIALS_DIRECTORY") {
            Some(folder) => Ok(Path::new(&folder).join(name).into_os_string()),
            None => Err("there are no credentials: $CREDENTIALS_DIRECTORY is not set".to_owned()),
        }
    })
}

/// The value of `--secret` and `--new-secret`.
pub(super) fn secret() -> impl TypedValueParser<Value = Reference> {
    OsStringValueParser::new().try_map(|typed| Reference::parse(&typed))
}

/// `--key-encoding`: how the bytes that are read spell the key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum KeyEncoding {
    /// As they are
    Raw,
    /// Hexadecimal digits
    Hex,
    /// Base64 (RFC 4648)
    Base64,
}

/// `--key-format`: what becomes of the key before it is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum KeyFormat {
    /// It is used as it is
    AsIs,
    /// Its lower-case hexadecimal digits are used, as OpenStack does
    Openstack,
    /// The same, but a byte below 16 gives one digit, as older OpenStack did
    OpenstackMangled,
    /// The first of these three that opens a LUKS container, within the limits of one unlock, which one is said
    Auto,
}

/// The key that opens a container, or is to open a new one.
#[derive(Args, Debug)]
#[command(next_help_heading = "Key")]
pub struct KeyArgs {
    /// Read the key from a file, newlines and all; `-` is standard input, credential:NAME what systemd passed on
    #[arg(long, short = 'd', value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = key_file())]
    pub key_file: Option<OsString>,
    /// Read the key from a file descriptor that the caller opened
    #[arg(long, value_name = "N", conflicts_with = "key_file")]
    pub key_fd: Option<u32>,
    /// Fetch the key from where it is kept: barbican:UUID, the URL of a secret, vault:PATH, json:FILE, fixed:FILE
    #[arg(long, value_name = "REF", value_parser = secret(), conflicts_with_all = ["key_file", "key_fd"])]
    pub secret: Option<Reference>,
    /// How it is read.
    #[command(flatten)]
    pub read: KeyReadArgs,
}

impl KeyArgs {
    /// Whether a key is given.
    pub fn is_given(&self) -> bool {
        self.key_file.is_some() || self.key_fd.is_some() || self.secret.is_some()
    }
}

/// What opens a container: a key, or the two of a reencryption that is under way.
#[derive(Args, Debug)]
#[command(next_help_heading = "Key")]
pub struct OpenKeyArgs {
    /// Read the key from a file, newlines and all; `-` is standard input, credential:NAME what systemd passed on; given
    /// twice: both keys of a container that is being reencrypted
    #[arg(long, short = 'd', value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = key_file())]
    pub key_file: Vec<OsString>,
    /// Read the key from a file descriptor that the caller opened; given twice as --key-file
    #[arg(long, value_name = "N", conflicts_with = "key_file")]
    pub key_fd: Vec<u32>,
    /// Fetch the key from where it is kept: barbican:UUID, the URL of a secret, vault:PATH, json:FILE, fixed:FILE;
    /// given twice as --key-file
    #[arg(long, value_name = "REF", value_parser = secret(), conflicts_with_all = ["key_file", "key_fd"])]
    pub secret: Vec<Reference>,
    /// How it is read.
    #[command(flatten)]
    pub read: KeyReadArgs,
}

impl OpenKeyArgs {
    /// Whether a key is given.
    pub fn is_given(&self) -> bool {
        !self.key_file.is_empty() || !self.key_fd.is_empty() || !self.secret.is_empty()
    }
}

/// How much of a key file counts, and how it is spelled.
#[derive(Args, Debug)]
pub struct KeyReadArgs {
    /// Leave out so many bytes at the start of the key file
    #[arg(long, value_name = "SIZE", value_parser = number::keyfile_offset, default_value = "0", conflicts_with = "secret")]
    pub keyfile_offset: u64,
    /// Read exactly so many bytes of the key file
    #[arg(long, short = 'l', value_name = "SIZE", value_parser = number::keyfile_size, conflicts_with = "secret")]
    pub keyfile_size: Option<u64>,
    /// How the bytes that are read spell the key
    #[arg(long, value_enum, value_name = "ENCODING", default_value_t = KeyEncoding::Raw)]
    pub key_encoding: KeyEncoding,
    /// What becomes of the key before it is used [default: as-is; for a secret, what its type says]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub key_format: Option<KeyFormat>,
    /// Ask a server that is not on this machine for a secret without TLS: everybody on the way can read it
    #[arg(long)]
    pub insecure_secret: bool,
}
