//! Mounts and unmounts: by the system call where we may, else by fusermount3.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use rustix::process::{Pid, PidfdFlags, getegid, geteuid, pidfd_open};

use super::error::MountError;
use super::mounts::{KIND, Mount, escape_option, is_dead, mount_at, resolve};
use super::target::Target;

/// What the kernel speaks to us through.
const DEVICE: &str = "/dev/fuse";
const HELPER: &str = "fusermount3";
/// Where it may be besides the folders of $PATH.
const ELSEWHERE: [&str; 2] = ["/usr/bin/fusermount3", "/bin/fusermount3"];

/// What is mounted.
pub(super) struct What<'a> {
    pub(super) source: &'a OsStr,
    pub(super) read_only: bool,
    pub(super) allow_other: bool,
}

/// Whether the kernel speaks to us at all.
///
/// # Errors
///
/// That it does not.
pub fn check_device() -> Result<(), MountError> {
    match OpenOptions::new().read(true).write(true).open(DEVICE) {
        // fusermount3 has the right to.
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => {
            Err(MountError::NoDevice(error))
        }
        _ => Ok(()),
    }
}

/// What of ours is mounted at a path.
///
/// # Errors
///
/// That nothing is, or something else.
pub fn mount_of(target: &Path) -> Result<Mount, MountError> {
    let failed = |source| MountError::Target {
        target: target.to_owned(),
        source,
    };
    let resolved = resolve(target).map_err(failed)?;
    match mount_at(&resolved).map_err(failed)? {
        Some(mount) if mount.kind == KIND => Ok(mount),
        Some(mount) => Err(MountError::OfOthers {
            target: target.to_owned(),
            kind: mount.kind,
        }),
        None => Err(MountError::NotMounted {
            target: target.to_owned(),
        }),
    }
}

/// Whether somebody answers at a path where something of ours is mounted.
pub fn is_alive(target: &Path) -> bool {
    // What is remembered of a file says nothing of who tells it.
    let answered = rustix::fs::statvfs(target).map_err(io::Error::from);
    !answered.is_err_and(|error| is_dead(&error))
}

/// The process that answers at a path where something of ours is mounted: the number of the root says it.
pub fn server_of(target: &Path) -> Option<OwnedFd> {
    let number = fs::metadata(target).ok()?.ino();
    // Of another world of processes it is the number of somebody else.
    let words = fs::read(format!("/proc/{number}/cmdline")).ok()?;
    let is_one = words
        .split(|&byte| byte == 0)
        .any(|word| word == b"mount" || word == b"--in-background");
    let number = Pid::from_raw(i32::try_from(number).ok()?).filter(|_| is_one)?;
    pidfd_open(number, PidfdFlags::empty()).ok()
}

/// Mounts, and answers with what the kernel speaks to us through.
pub(super) fn mount(target: &Target, what: &What<'_>) -> Result<OwnedFd, MountError> {
    let device = OpenOptions::new().read(true).write(true).open(DEVICE);
    match device {
        Ok(device) => match directly(target, what, &device) {
            Ok(()) => Ok(device.into()),
            Err(Errno::PERM | Errno::ACCESS) => by_helper(target, what),
            Err(error) => Err(MountError::Refused {
                target: target.path().to_owned(),
                source: error.into(),
            }),
        },
        // It has the right to.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => by_helper(target, what),
        Err(error) => Err(MountError::NoDevice(error)),
    }
}

fn directly(target: &Target, what: &What<'_>, device: &impl AsRawFd) -> Result<(), Errno> {
    let kind = if target.is_folder() {
        FileType::Directory
    } else {
        FileType::RegularFile
    };
    let mut options = format!(
        "fd={},rootmode={:o},user_id={},group_id={},default_permissions",
        device.as_raw_fd(),
        kind.as_raw_mode(),
        geteuid().as_raw(),
        getegid().as_raw(),
    );
    if what.allow_other {
        options.push_str(",allow_other");
    }
    let options = CString::new(options).map_err(|_| Errno::INVAL)?;
    let mut flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    if what.read_only {
        flags |= MountFlags::RDONLY;
    }
    // By its descriptor, so that it is what was looked at.
    let place = rustix::fs::open(
        target.path(),
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let there = rustix::fs::fstat(&place)?;
    if (there.st_dev, there.st_ino) != target.identity() {
        return Err(Errno::STALE);
    }
    let place = format!("/proc/self/fd/{}", place.as_raw_fd());
    rustix::mount::mount(what.source, place, KIND, flags, &*options)
}

/// Has fusermount3 mount, which sends the descriptor through its standard input.
fn by_helper(target: &Target, what: &What<'_>) -> Result<OwnedFd, MountError> {
    let mut options = OsString::from("nosuid,nodev,noexec,default_permissions,subtype=luksmith,");
    options.push(if what.read_only { "ro" } else { "rw" });
    if what.allow_other {
        options.push(",allow_other");
    }
    options.push(",fsname=");
    options.push(escape_option(what.source));
    let failed = MountError::Session;
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let helper = start(|helper| {
        helper.arg("-o").arg(&options).arg("--").arg(target.path());
        helper.env("_FUSE_COMMFD", "0");
        Ok(helper.stdin(OwnedFd::from(theirs.try_clone()?)))
    })?;
    drop(theirs);
    let received = receive(&ours);
    let output = helper.wait_with_output().map_err(failed)?;
    match received {
        Ok(Some(device)) => Ok(device),
        Ok(None) => Err(MountError::Helper {
            said: said_by(&output),
        }),
        Err(error) => Err(failed(error)),
    }
}

/// The descriptor that comes through a socket; none where it ends without.
fn receive(socket: &UnixStream) -> io::Result<Option<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut bytes = [IoSliceMut::new(&mut byte)];
    rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(socket, &mut bytes, &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let descriptors = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    Ok(descriptors.flatten().next())
}

/// Starts fusermount3, wherever it is.
fn start(
    with: impl for<'a> Fn(&'a mut Command) -> io::Result<&'a mut Command>,
) -> Result<Child, MountError> {
    for program in [HELPER].iter().chain(&ELSEWHERE) {
        let mut helper = Command::new(program);
        helper
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        match with(&mut helper).and_then(Command::spawn) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            started => return started.map_err(MountError::Session),
        }
    }
    Err(MountError::NoHelper)
}

/// What it has said, without its own name before it.
fn said_by(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim();
    let said = said.strip_prefix("fusermount3: ").unwrap_or(said);
    if said.is_empty() {
        output.status.to_string()
    } else {
        said.to_owned()
    }
}

/// Unmounts what is mounted at a path. What is in use stays, unless it is `detached`: then nobody finds it any more, and
/// whoever has a file of it open keeps that.
///
/// # Errors
///
/// What the system says, above all that it is in use.
pub fn unmount(target: &Path, detached: bool) -> Result<(), MountError> {
    let failed = |source| MountError::Target {
        target: target.to_owned(),
        source,
    };
    let resolved = resolve(target).map_err(failed)?;
    if mount_at(&resolved).map_err(failed)?.is_none() {
        return Err(MountError::NotMounted {
            target: target.to_owned(),
        });
    }
    let mut flags = UnmountFlags::NOFOLLOW;
    if detached {
        flags |= UnmountFlags::DETACH;
    }
    let busy = || MountError::Busy {
        target: target.to_owned(),
    };
    match rustix::mount::unmount(&resolved, flags) {
        Ok(()) => return Ok(()),
        Err(Errno::PERM) => {}
        Err(Errno::BUSY) => return Err(busy()),
        Err(error) => return Err(failed(error.into())),
    }
    let helper = start(|helper| {
        helper.arg("-u");
        if detached {
            helper.arg("-z");
        }
        Ok(helper.arg("--").arg(&resolved))
    })?;
    let output = helper.wait_with_output().map_err(MountError::Session)?;
    if output.status.success() {
        return Ok(());
    }
    let said = said_by(&output);
    if said.contains("busy") {
        Err(busy())
    } else {
        Err(MountError::Helper { said })
    }
}
