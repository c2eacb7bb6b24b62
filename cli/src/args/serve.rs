//! What `serve` takes.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{
    AnySourceArgs, BackingKeyArgs, BusyArgs, ContainerArgs, FromArgs, HeaderArgs, OpenKeyArgs,
    OutputArgs, Place, PlainArgs, PolicyArgs, UnlockArgs, operand,
};

/// The long help of the verb.
pub const ABOUT: &str = "\
Serve the plaintext of a container over NBD, for reading and writing, without root

QEMU, nbdcopy, nbdinfo, nbdfuse and the kernel's nbd-client attach to it. It goes to the background once it is ready, and \
ends with SIGTERM: what is at work is answered, and what was written is on the disk. The image is locked all the while. \
Sockets that systemd or nbdinfo hand over ($LISTEN_FDS) are taken as they are.";

/// `serve IMG`.
#[derive(Args, Debug)]
pub struct ServeArgs {
    /// What is served.
    #[command(flatten)]
    pub served: ServedArgs,
    /// Where and how it is served.
    #[command(flatten)]
    pub server: ServerArgs,
    /// How long, and from where.
    #[command(flatten)]
    pub stay: StayArgs,
}

/// A container that is opened and stays open.
#[derive(Args, Debug)]
pub struct ServedArgs {
    /// The container
    #[arg(value_name = "IMG", value_hint = ValueHint::FilePath, value_parser = operand())]
    pub image: Place,
    /// What it is.
    #[command(flatten)]
    pub from: FromArgs,
    /// How the container is encrypted.
    #[command(flatten)]
    pub container: ContainerArgs,
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
    /// Whether the image may be in use.
    #[command(flatten)]
    pub busy: BusyArgs,
    /// What the image may be.
    #[command(flatten)]
    pub any: AnySourceArgs,
    /// What is said and asked.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Where and how something is served.
#[derive(Args, Debug)]
#[command(next_help_heading = "Server")]
pub struct ServerArgs {
    /// Serve at this Unix socket, which only its owner reaches; its folder must be one that nobody else can change
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub socket: Option<PathBuf>,
    /// Serve at this address and port: a loopback address, or any other with --tls-certificates or --insecure; port 0 is any that is free
    #[arg(long, value_name = "ADDR:PORT", conflicts_with = "socket")]
    pub listen: Option<String>,
    /// Let everybody who reaches the address of --listen read and change the plaintext, and everybody between see it
    #[arg(long)]
    pub insecure: bool,
    /// Serve by TLS alone, as DIR/server-cert.pem with the key DIR/server-key.pem
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "insecure")]
    pub tls_certificates: Option<PathBuf>,
    /// Serve only clients with a certificate that DIR/ca-cert.pem has signed, and that DIR/ca-crl.pem, where it is there,
    /// does not revoke
    #[arg(long, requires = "tls_certificates")]
    pub tls_verify_peer: bool,
    /// Let what clients do not need any more go from the container, which shows which parts of it are in use
    #[arg(long)]
    pub allow_discards: bool,
    /// Serve until CMD ends, which a shell runs with the variables $uri and $unixsocket; its exit status is this one's.
    /// Without --socket and --listen it is a socket of its own
    #[arg(long, value_name = "CMD")]
    pub run: Option<OsString>,
}

/// How long a process stays that others reach, and from where it is watched.
#[derive(Args, Debug)]
#[command(next_help_heading = "Server")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of the command line"
)]
pub struct StayArgs {
    /// Serve for reading only
    #[arg(long)]
    pub read_only: bool,
    /// Stay in the foreground, and log on standard error
    #[arg(long)]
    pub foreground: bool,
    /// Stay in the foreground, and end when the parent process does
    #[arg(long)]
    pub exit_with_parent: bool,
    /// Write the process's number into this file once it is ready
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub pid_file: Option<PathBuf>,
    /// The process in the background, which has its keys and says when it is ready through its standard streams.
    #[arg(long, hide = true)]
    pub in_background: bool,
}
