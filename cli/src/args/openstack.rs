//! What `OpenStack` calls things.

use std::ffi::OsStr;

use clap::{Args, ValueEnum, ValueHint};
use jobs::Place;
use jobs::openstack::cinder::CinderType;
use jobs::openstack::glance::KeyDeletion;
use jobs::secret::stored::Reference;

use super::{BusyArgs, ImageArgs, KeyArgs, OutputArgs, SourceFormat, number, operand};

/// What a container is to be as a volume type of Cinder's has it.
#[derive(Args, Debug)]
#[command(next_help_heading = "Container")]
pub struct CinderArgs {
    /// Cipher and key size as a volume type of Cinder's has them: aes-xts-plain64,256
    #[arg(
        long,
        value_name = "CIPHER,KEYSIZE",
        requires = "backend",
        conflicts_with_all = ["cipher", "key_size"]
    )]
    pub cinder_type: Option<CinderType>,
    /// Who would encrypt a volume of that type: cryptsetup counts both halves of a key for XTS, qemu one of them
    #[arg(long, value_enum, value_name = "WHO", requires = "cinder_type")]
    pub backend: Option<Backend>,
}

/// `--backend`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Backend {
    /// os-brick and Nova: iSCSI, Fibre Channel, LVM
    Cryptsetup,
    /// Cinder itself: Ceph (RBD), NFS and other files; LUKS1, its payload where QEMU puts it
    Qemu,
}

/// `--deletion-policy`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum DeletionPolicy {
    /// The key stays when the image is deleted
    #[value(name = "do_not_delete")]
    DoNotDelete,
    /// It is deleted too
    #[value(name = "on_image_deletion")]
    OnImageDeletion,
}

impl From<DeletionPolicy> for KeyDeletion {
    fn from(typed: DeletionPolicy) -> Self {
        match typed {
            DeletionPolicy::DoNotDelete => Self::DoNotDelete,
            DeletionPolicy::OnImageDeletion => Self::OnImageDeletion,
        }
    }
}

/// `glance-props IMG`.
#[derive(Args, Debug)]
pub struct GlancePropsArgs {
    /// The container.
    #[command(flatten)]
    pub image: ImageArgs,
    /// What is read; an image is read as qcow2 only if that is said here, whatever its name and its first bytes are
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Source")]
    pub from: Option<SourceFormat>,
    /// The secret in Barbican that opens it: its UUID, barbican:UUID or its URL
    #[arg(long, value_name = "UUID", value_parser = key_id)]
    pub key_id: String,
    /// What becomes of that secret when the image is deleted
    #[arg(
        long,
        value_enum,
        value_name = "POLICY",
        default_value = "do_not_delete"
    )]
    pub deletion_policy: DeletionPolicy,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Whether the image may be in use.
    #[command(flatten)]
    pub busy: BusyArgs,
}

/// `probe IMG`.
#[derive(Args, Debug)]
pub struct ProbeArgs {
    /// The plain volume
    #[arg(value_name = "IMG", value_hint = ValueHint::FilePath, value_parser = operand())]
    pub image: Place,
    /// Where the key comes from.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// The cipher, as in cryptsetup: aes-xts-plain64 [default: each of cryptsetup's defaults]
    #[arg(long, short = 'c', value_name = "SPEC", help_heading = "Container")]
    pub cipher: Option<String>,
    /// Size of the key, in bits [default: 256]
    #[arg(long, short = 's', value_name = "BITS", value_parser = number::key_bits(), help_heading = "Container")]
    pub key_size: Option<u32>,
    /// The hash that makes a key of a passphrase: sha256, sha256:20 or plain [default: each of the usual ones]
    #[arg(long, value_name = "HASH", help_heading = "Container")]
    pub hash: Option<String>,
    /// Bytes that are encrypted as one: 512, 1024, 2048 or 4096 [default: 512]
    #[arg(long, value_name = "BYTES", help_heading = "Container")]
    pub sector_size: Option<u32>,
    /// Where encrypted data starts in the container, in sectors of 512 bytes
    #[arg(long, short = 'o', value_name = "SECTORS", help_heading = "Container")]
    pub offset: Option<u64>,
    /// The IV number of the first sector, in sectors of 512 bytes
    #[arg(
        long,
        short = 'p',
        value_name = "SECTORS",
        help_heading = "Plain containers"
    )]
    pub skip: Option<u64>,
    /// Count IVs in encryption sectors, not in sectors of 512 bytes
    #[arg(long, help_heading = "Plain containers")]
    pub iv_large_sectors: bool,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Whether the image may be in use.
    #[command(flatten)]
    pub busy: BusyArgs,
}

/// What is said of probing.
pub const PROBE: &str = "Find out how a plain volume of an old cloud was made.\n\n\
    Nothing in a plain volume says how it is encrypted. cryptsetup before 2.7 hashed passphrases by ripemd160, and does by \
    sha256 since; the passphrase of a key is its hexadecimal digits, and once was the wrong ones. Each hash (ripemd160, \
    sha256, sha1, sha512, none), each form of the key and each default cipher is tried, and what makes a file system, a \
    partition table, swap space or LUKS of the volume is printed as the command that decrypts it. What is known is given: \
    --cipher, --key-size, --hash, --key-format.";

/// The UUID of a secret, however it is written.
fn key_id(typed: &str) -> Result<String, String> {
    let is_reference = typed.contains(':');
    let reference = if is_reference {
        Reference::parse(OsStr::new(typed))?
    } else {
        Reference::parse(OsStr::new(&format!("barbican:{typed}")))?
    };
    match reference {
        Reference::Barbican(id) => Ok(id),
        _ => Err("not the UUID of a secret, barbican:UUID or the URL of a secret".to_owned()),
    }
}
