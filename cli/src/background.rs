//! The background, without forking a process that has threads: this program is started anew. Its standard input has the
//! keys, its standard output says one line once it is ready.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::num::NonZeroUsize;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use dmcrypt::{LockedBytes, VolumeKey};
use jobs::{Asked, Blame, SecretError, Secrets};
use rustix::process::setsid;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use crate::descriptors;
use crate::error::ServeError;
use crate::exit::Exit;

/// The option that the process in the background is started with.
pub(crate) const OPTION: &str = "--in-background";
/// No key is longer.
const MAX_KEY_BYTES: usize = 4096;
/// A reencryption has two; images that lie on each other have one each.
const MAX_KEYS: usize = jobs::qcow::MOST_LAYERS;

/// What became of the process in the background.
pub(crate) enum Begun {
    /// It is ready, and has said this.
    Ready(Vec<u8>),
    /// It has ended, and said why.
    Ended(Exit),
}

/// Starts it with the command line of this process and these keys, and waits until it is ready or has ended.
pub(crate) fn begin(keys: &[LockedBytes]) -> Result<Begun, ServeError> {
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_else(|| OsString::from("luksmith"));
    let verb = words.next();
    let option = OsString::from(OPTION);
    begin_with(&name, verb.into_iter().chain([option]).chain(words), keys)
}

/// The same with these words behind the program's name.
pub(crate) fn begin_with(
    name: &OsStr,
    words: impl IntoIterator<Item = impl AsRef<OsStr>>,
    keys: &[LockedBytes],
) -> Result<Begun, ServeError> {
    let failed = ServeError::Background;
    let words: Vec<OsString> = words.into_iter().map(|word| word.as_ref().into()).collect();
    // A lock of the caller's would be held as long as that process lives, and a pipe would not end.
    descriptors::pass_on_named(&words);
    let mut child = Command::new("/proc/self/exe")
        .arg0(name)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let sent = child.stdin.take().map(|pipe| send(pipe.into(), keys));
    let mut line = Vec::new();
    if let Some(pipe) = child.stdout.take() {
        BufReader::new(pipe)
            .read_until(b'\n', &mut line)
            .map_err(failed)?;
    }
    if line.ends_with(b"\n") {
        return Ok(Begun::Ready(line));
    }
    let status = child.wait().map_err(failed)?;
    // That it does not take its keys is told by why it has ended.
    if let (true, Some(Err(error))) = (status.success(), sent) {
        return Err(failed(error));
    }
    let code = status.code();
    let exit = Exit::ALL
        .into_iter()
        .find(|exit| Some(i32::from(exit.code())) == code);
    match exit {
        Some(exit) if exit != Exit::Done => Ok(Begun::Ended(exit)),
        _ => Err(failed(io::Error::other(format!("it has ended: {status}")))),
    }
}

fn send(pipe: std::os::fd::OwnedFd, keys: &[LockedBytes]) -> io::Result<()> {
    let mut pipe = File::from(pipe);
    for key in keys {
        let length = u32::try_from(key.len()).map_err(io::Error::other)?;
        pipe.write_all(&length.to_be_bytes())?;
        pipe.write_all(key)?;
    }
    Ok(())
}

/// The keys that the parent has sent. They are only in locked memory.
pub(crate) struct Given(Vec<LockedBytes>);

impl Given {
    /// Reads standard input to its end. Not through the runtime, which keeps what it reads ahead.
    pub(crate) fn read() -> Result<Self, ServeError> {
        let failed = ServeError::Background;
        let stdin = std::os::fd::AsFd::as_fd(&io::stdin())
            .try_clone_to_owned()
            .map_err(failed)?;
        let mut pipe = File::from(stdin);
        let mut keys = Vec::new();
        loop {
            let mut length = [0; 4];
            match pipe.read(&mut length[..1]).map_err(failed)? {
                0 => return Ok(Self(keys)),
                _ => pipe.read_exact(&mut length[1..]).map_err(failed)?,
            }
            let length = u32::from_be_bytes(length) as usize;
            if length > MAX_KEY_BYTES || keys.len() == MAX_KEYS {
                return Err(failed(io::ErrorKind::InvalidData.into()));
            }
            let mut key = LockedBytes::zeroed(length);
            pipe.read_exact(&mut key).map_err(failed)?;
            keys.push(key);
        }
    }

    fn key(&self, index: usize) -> Option<&LockedBytes> {
        self.0.get(index)
    }
}

impl Secrets for Given {
    /// Of a plain container.
    fn passphrase(&self, _asked: &Asked<'_>) -> Result<LockedBytes, SecretError> {
        let key = self.key(0).map(|key| LockedBytes::copy_of(key));
        key.ok_or_else(|| SecretError::new(Blame::Request, "the parent process has sent no key"))
    }

    fn volume_key(&self) -> Result<Option<VolumeKey>, SecretError> {
        let key = self.key(0).map(|key| LockedBytes::copy_of(key));
        Ok(key.map(VolumeKey::from_locked))
    }

    fn volume_key_below(&self, below: usize) -> Result<Option<VolumeKey>, SecretError> {
        let key = self.key(below).map(|key| LockedBytes::copy_of(key));
        Ok(key.map(VolumeKey::from_locked))
    }

    fn other_volume_key(&self, attempt: u32) -> Result<Option<VolumeKey>, SecretError> {
        let key = self.key(1).filter(|_| attempt == 0);
        Ok(key.map(|key| VolumeKey::from_locked(LockedBytes::copy_of(key))))
    }
}

/// As many as there are processors: each has memory of its own. One of them may wait for the disk.
pub(crate) fn threads() -> NonZeroUsize {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    NonZeroUsize::new(processors.clamp(2, 16)).expect("it is not 0")
}

/// From now on nobody is there: no terminal, no folder, no streams.
pub(crate) fn detach() -> io::Result<()> {
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    setsid()?;
    std::env::set_current_dir(OsStr::new("/"))?;
    dup2_stdin(&null)?;
    dup2_stderr(&null)?;
    // What waits for the line of readiness goes on at its end.
    Ok(dup2_stdout(&null)?)
}
