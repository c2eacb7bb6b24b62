//! Where it is served: sockets, and who may reach them.

use std::env;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::net::{AddressFamily, sockopt};
use rustix::process::{geteuid, getpid, umask};
use serve::nbd::Listener;

use super::ServeError;
use crate::args::ServerArgs;
use crate::output;

/// Where it is to be served: checked as far as that is done without a listener.
pub(super) enum Place {
    /// A path that is free, absolute.
    Socket(PathBuf),
    /// The same in a folder of its own, which goes with it.
    Private(PathBuf),
    /// Addresses of one name.
    Address(Vec<SocketAddr>),
    /// What another program has opened, so many descriptors from the third on.
    Passed(u32),
}

/// Listeners, and what goes with them.
pub(super) struct Listening {
    pub(super) listeners: Vec<Listener>,
    /// How clients name it, where that is known.
    pub(super) uri: Option<String>,
    pub(super) socket: Option<PathBuf>,
    _leavings: Leavings,
}

/// The first descriptor that another program passes on.
const FIRST_PASSED: u32 = 3;
/// It would be a strange program that opens more.
const MOST_PASSED: u32 = 64;

impl Place {
    /// What the options and the environment say.
    pub(super) fn of(args: &ServerArgs) -> Result<Self, ServeError> {
        if let Some(count) = passed()? {
            let other = args.socket.as_ref().map(|_| "--socket");
            let other = other.or(args.listen.as_ref().map(|_| "--listen"));
            return match other {
                None => Ok(Self::Passed(count)),
                Some(option) => Err(ServeError::Passed(format!(
                    "there are sockets already, and {option} wants another one"
                ))),
            };
        }
        if let Some(path) = &args.socket {
            let path = absolute(path)?;
            check_path(&path)?;
            return Ok(Self::Socket(path));
        }
        if let Some(address) = &args.listen {
            return address_of(address, args.insecure || args.tls_certificates.is_some());
        }
        if args.run.is_some() {
            return Ok(Self::Private(private_folder()));
        }
        Err(ServeError::Nowhere)
    }

    /// Whether others wait for this very process.
    pub(super) fn is_passed(&self) -> bool {
        matches!(self, Self::Passed(_))
    }

    /// Whether other machines may reach it.
    pub(super) fn is_far(&self) -> bool {
        matches!(self, Self::Address(addresses) if addresses.iter().any(is_far))
    }

    /// Listens; with TLS it has another name.
    pub(super) fn listen(self, is_tls: bool) -> Result<Listening, ServeError> {
        let scheme = if is_tls { "nbds" } else { "nbd" };
        match self {
            Self::Socket(path) => {
                check_path(&path)?;
                let leavings = Leavings::default();
                socket_at(path, scheme, leavings)
            }
            Self::Private(folder) => {
                let failed = |source| ServeError::Listen {
                    place: output::path(&folder),
                    source,
                };
                make_folder(&folder).map_err(failed)?;
                let path = folder.join("socket");
                let leavings = Leavings {
                    socket: None,
                    folder: Some(folder),
                };
                socket_at(path, scheme, leavings)
            }
            Self::Address(addresses) => {
                let listener = TcpListener::bind(&addresses[..]);
                let local = listener
                    .and_then(|listener| Ok((listener.local_addr()?, listener)))
                    .map_err(|source| ServeError::Listen {
                        place: addresses
                            .first()
                            .map(ToString::to_string)
                            .unwrap_or_default(),
                        source,
                    });
                let (address, listener) = local?;
                Ok(Listening {
                    listeners: vec![Listener::Tcp(listener)],
                    uri: Some(format!("{scheme}://{address}")),
                    socket: None,
                    _leavings: Leavings::default(),
                })
            }
            Self::Passed(count) => {
                let taken = (FIRST_PASSED..FIRST_PASSED + count).map(take);
                Ok(Listening {
                    listeners: taken.collect::<Result<_, _>>()?,
                    uri: None,
                    socket: None,
                    _leavings: Leavings::default(),
                })
            }
        }
    }
}

/// In a folder like /tmp nobody removes what is another's.
const STICKY: u32 = 0o1000;
const OF_OTHERS: u32 = 0o022;

/// What is removed in the end.
#[derive(Default)]
struct Leavings {
    /// A socket, with its device and number: another one in its place is not ours.
    socket: Option<(PathBuf, u64, u64)>,
    folder: Option<PathBuf>,
}

impl Drop for Leavings {
    fn drop(&mut self) {
        if let Some((path, device, number)) = &self.socket
            && let Ok(there) = fs::symlink_metadata(path)
            && (there.dev(), there.ino()) == (*device, *number)
        {
            let _ = fs::remove_file(path);
        }
        if let Some(folder) = &self.folder {
            let _ = fs::remove_dir(folder);
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, ServeError> {
    std::path::absolute(path).map_err(|source| ServeError::Listen {
        place: output::path(path),
        source,
    })
}

/// Refuses a path whose folder others can change, or at which something is; a socket of ours at which nobody listens is
/// what a crash has left, and goes.
fn check_path(path: &Path) -> Result<(), ServeError> {
    let name = || output::path(path);
    let failed = |source| ServeError::Listen {
        place: name(),
        source,
    };
    let folder = path.parent().unwrap_or(Path::new("/"));
    let metadata = folder.metadata().map_err(failed)?;
    let us = geteuid().as_raw();
    let owner = metadata.uid();
    if owner != us && owner != 0 {
        return Err(ServeError::Folder {
            folder: output::path(folder),
            why: format!("it belongs to user {owner}"),
        });
    }
    if metadata.mode() & OF_OTHERS != 0 && metadata.mode() & STICKY == 0 {
        return Err(ServeError::Folder {
            folder: output::path(folder),
            why: format!(
                "others may write to it (mode {:04o})",
                metadata.mode() & 0o7777
            ),
        });
    }
    let there = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        there => there.map_err(failed)?,
    };
    if !there.file_type().is_socket() {
        return Err(ServeError::Exists { path: name() });
    }
    if there.uid() != us {
        let owner = there.uid();
        return Err(ServeError::OfAnother {
            path: name(),
            owner,
        });
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        _ => Err(ServeError::Served { path: name() }),
    }
}

fn socket_at(path: PathBuf, scheme: &str, mut leavings: Leavings) -> Result<Listening, ServeError> {
    let failed = |source| ServeError::Listen {
        place: output::path(&path),
        source,
    };
    // From its first moment on nobody else connects.
    let before = umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(&path);
    umask(before);
    let listener = listener.map_err(failed)?;
    let ours = fs::symlink_metadata(&path).map_err(failed)?;
    leavings.socket = Some((path.clone(), ours.dev(), ours.ino()));
    Ok(Listening {
        listeners: vec![Listener::Unix(listener)],
        uri: Some(uri_of(scheme, &path)),
        socket: Some(path),
        _leavings: leavings,
    })
}

/// The URI of a socket, spelled as the specification of NBD's URIs has it.
fn uri_of(scheme: &str, path: &Path) -> String {
    let mut uri = format!("{scheme}+unix:///?socket=");
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

fn address_of(text: &str, may_be_far: bool) -> Result<Place, ServeError> {
    let named = || output::escape(text);
    let found = text
        .to_socket_addrs()
        .map_err(|source| ServeError::Listen {
            place: named(),
            source,
        })?;
    let addresses: Vec<_> = found.collect();
    let other = addresses.iter().find(|address| is_far(address));
    match other {
        Some(address) if !may_be_far => Err(ServeError::InTheClear {
            address: address.to_string(),
        }),
        _ if addresses.is_empty() => Err(ServeError::Listen {
            place: named(),
            source: io::ErrorKind::AddrNotAvailable.into(),
        }),
        _ => Ok(Place::Address(addresses)),
    }
}

/// Others than this machine reach it.
fn is_far(address: &SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

/// A folder that nobody else has.
fn private_folder() -> PathBuf {
    let runtime = env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty());
    let base = runtime.map_or_else(env::temp_dir, PathBuf::from);
    let number = getpid().as_raw_nonzero();
    base.join(format!("luksmith-serve-{number}"))
}

fn make_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o700).create(folder)
}

/// How many sockets another program has opened for this process, if any.
fn passed() -> Result<Option<u32>, ServeError> {
    let (Some(count), Some(process)) = (env::var_os("LISTEN_FDS"), env::var_os("LISTEN_PID"))
    else {
        return Ok(None);
    };
    let number = |text: &OsStr| text.to_str().and_then(|text| text.parse::<u32>().ok());
    let own = u32::try_from(getpid().as_raw_nonzero().get()).ok();
    // What was meant for a parent is no affair of its child.
    if number(&process) != own {
        return Ok(None);
    }
    match number(&count) {
        Some(count) if (1..=MOST_PASSED).contains(&count) => Ok(Some(count)),
        _ => Err(ServeError::Passed(format!(
            "LISTEN_FDS is \"{}\"",
            output::escape(&count.to_string_lossy())
        ))),
    }
}

fn take(number: u32) -> Result<Listener, ServeError> {
    let wrong =
        |what: &dyn std::fmt::Display| ServeError::Passed(format!("descriptor {number}: {what}"));
    let descriptor: OwnedFd =
        volume::duplicate_descriptor(number).map_err(|error| wrong(&error))?;
    let listens = sockopt::socket_acceptconn(&descriptor).map_err(|error| wrong(&error))?;
    if !listens {
        return Err(wrong(&"it does not listen"));
    }
    let family = sockopt::socket_domain(&descriptor).map_err(|error| wrong(&error))?;
    if family == AddressFamily::UNIX {
        Ok(Listener::Unix(descriptor.into()))
    } else if family == AddressFamily::INET || family == AddressFamily::INET6 {
        Ok(Listener::Tcp(descriptor.into()))
    } else {
        Err(wrong(&"neither a Unix socket nor one of TCP"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_spelled_in_uris() {
        for (path, uri) in [
            ("/run/a-b_c.sock", "nbd+unix:///?socket=/run/a-b_c.sock"),
            ("/t/ä b&c%", "nbd+unix:///?socket=/t/%C3%A4%20b%26c%25"),
        ] {
            assert_eq!(uri_of("nbd", Path::new(path)), uri);
        }
    }

    #[test]
    fn only_loopback_is_in_the_clear() {
        for (text, is_fine) in [
            ("127.0.0.1:0", true),
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("192.0.2.1:1", false),
            ("[::ffff:192.0.2.1]:1", false),
        ] {
            assert_eq!(address_of(text, false).is_ok(), is_fine, "{text}");
            assert!(address_of(text, true).is_ok(), "{text}");
        }
        for text in ["", "127.0.0.1", "127.0.0.1:x", ":1:", "127.0.0.1:65536"] {
            assert!(address_of(text, true).is_err(), "{text}");
        }
    }
}
