//! Key material: where it comes from, and how many of its bytes count.
//!
//! The rules are cryptsetup's, so that a key file or a pipe that opens an image there opens it here:
//!
//! | input | what is read |
//! | --- | --- |
//! | terminal | one line without its newline, at most 512 bytes, up to a NUL; `--keyfile-size` is not used |
//! | standard input | the first line without its newline, byte by byte: the rest stays for whoever reads next |
//! | `--key-file -` | all of standard input, newlines and all |
//! | `--key-file FILE` | the whole file, newlines and all, at most 8 MiB |
//! | `--keyfile-size N` | exactly N bytes of the above; fewer are an error |
//!
//! A plain container differs (see [`crate::plain`]): there a key file is the key itself.

mod buffer;
mod encoding;
mod terminal;

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::Duration;

use dmcrypt::LockedBytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, SeekFrom};
use rustix::io::Errno;

use crate::args::{KeyArgs, KeyEncoding, KeyFormat};
use crate::exit::Exit;
use crate::output;

pub(crate) use buffer::SecretBuffer;

use jobs::inputs::MAX_KEY_BYTES as MAX_BYTES;

/// The most that is left out of a stream, which is by reading it.
const MAX_SKIPPED_BYTES: u64 = 4 << 30;

/// Where a key comes from and how it is read: [`KeyArgs`], understood.
pub struct KeyInput {
    origin: Origin,
    offset: u64,
    size: Option<u64>,
    encoding: KeyEncoding,
    format: KeyFormat,
}

#[derive(Debug)]
enum Origin {
    /// The terminal, or where there is none the first line of standard input.
    Ask { stdin_is_data: bool },
    /// All of standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

/// How a key is asked for on a terminal.
#[derive(Clone, Copy)]
pub struct Prompt<'a> {
    /// What is shown.
    pub text: &'a str,
    /// What is shown the second time, where a typing error would make a container that nobody can open.
    pub again: Option<&'a str>,
    /// How long the typing may take.
    pub timeout: Option<Duration>,
}

impl KeyInput {
    /// Understands the options. `stdin_is_data`: standard input is an image, so no key can come from it.
    pub fn new(args: &KeyArgs, stdin_is_data: bool) -> Result<Self, KeyError> {
        let origin = match (&args.key_file, args.key_fd) {
            (Some(file), _) if file == "-" => Origin::Stdin,
            (Some(file), _) => Origin::File(file.into()),
            (None, Some(fd)) => Origin::File(format!("/dev/fd/{fd}").into()),
            (None, None) => Origin::Ask { stdin_is_data },
        };
        if stdin_is_data && (matches!(origin, Origin::Stdin) || args.key_fd == Some(0)) {
            return Err(KeyError::StdinIsData);
        }
        Ok(Self {
            origin,
            offset: args.keyfile_offset,
            size: args.keyfile_size,
            encoding: args.key_encoding,
            format: args.key_format,
        })
    }

    /// Whether the key comes out of a named file: for a plain container it is the key itself then, not hashed.
    pub fn is_file(&self) -> bool {
        matches!(self.origin, Origin::File(_))
    }

    /// Whether the key is all of standard input.
    pub fn is_stdin(&self) -> bool {
        matches!(self.origin, Origin::Stdin)
    }

    /// Whether somebody types it, so that another one can be asked for.
    pub fn is_typed(&self) -> bool {
        match self.origin {
            Origin::Ask { stdin_is_data } => stdin_is_data || io::stdin().is_terminal(),
            Origin::Stdin => io::stdin().is_terminal(),
            Origin::File(_) => false,
        }
    }

    /// Whether `--keyfile-size` was given.
    pub fn has_size(&self) -> bool {
        self.size.is_some()
    }

    /// How messages name the input.
    pub fn name(&self) -> String {
        match &self.origin {
            Origin::Ask { .. } | Origin::Stdin => "standard input".to_owned(),
            Origin::File(path) => format!("key file {}", output::path(path)),
        }
    }

    /// Reads the key, asking as the verbs do: for the passphrase of `image`; `twice`, because a typing error would
    /// make a container that nobody can open. `exactly` as in [`Self::read`].
    pub fn read_for(
        &self,
        image: &str,
        twice: bool,
        exactly: Option<usize>,
    ) -> Result<LockedBytes, KeyError> {
        let prompt = Prompt {
            text: &format!("Passphrase for {image}: "),
            again: twice.then_some("The same again: "),
            timeout: None,
        };
        self.read(prompt, exactly)
    }

    /// Reads the key: asks for it, or takes it from where it is. `exactly`: so many bytes of a file or of all of
    /// standard input, whatever `--keyfile-size` says: a plain container's key itself.
    pub fn read(
        &self,
        prompt: Prompt<'_>,
        exactly: Option<usize>,
    ) -> Result<LockedBytes, KeyError> {
        match &self.origin {
            _ if self.is_typed() => self.decode(self.ask(prompt)?),
            Origin::Ask { .. } | Origin::Stdin => {
                if !self.jump(io::stdin().as_fd())? {
                    self.skip(&mut StandardInput)?;
                }
                self.read_on(&mut StandardInput, true, exactly)
            }
            Origin::File(path) => {
                let mut file = File::open(path).map_err(|source| KeyError::Opening {
                    name: self.name(),
                    source,
                })?;
                let is_stream = !file.metadata().is_ok_and(|metadata| metadata.is_file());
                if !self.jump(file.as_fd())? {
                    self.skip(&mut file)?;
                }
                self.read_on(&mut file, is_stream, exactly)
            }
        }
    }

    /// Tells of a file whose bytes are taken as they are, though they spell a key: only `key` of them are used, where
    /// nothing else would tell that this is another key.
    pub fn tell_spelled(&self, key: &[u8]) {
        let Origin::File(path) = &self.origin else {
            return;
        };
        let is_file = path.metadata().is_ok_and(|metadata| metadata.is_file());
        if self.encoding != KeyEncoding::Raw || !is_file {
            return;
        }
        let Ok(mut file) = File::open(path) else {
            return;
        };
        if !self.jump(file.as_fd()).unwrap_or(false) {
            return;
        }
        let Ok(all) = SecretBuffer::read_all(&mut file, MAX_BYTES) else {
            return;
        };
        if let Some((digits, option)) = encoding::spelled(&all, key.len()) {
            output::warn(format_args!(
                "{}: {} bytes where {} are used as they are, all of them {digits}: {option} takes those that they spell",
                self.name(),
                all.len(),
                key.len()
            ));
        }
    }

    /// Reads the key from what stands for its file or for standard input, if that is no terminal. `is_stream`: it is no
    /// regular file. `exactly` as in [`Self::read`].
    pub fn read_from(
        &self,
        input: &mut impl Read,
        is_stream: bool,
        exactly: Option<usize>,
    ) -> Result<LockedBytes, KeyError> {
        self.skip(input)?;
        self.read_on(input, is_stream, exactly)
    }

    fn read_on(
        &self,
        input: &mut impl Read,
        is_stream: bool,
        exactly: Option<usize>,
    ) -> Result<LockedBytes, KeyError> {
        self.decode(match self.origin {
            Origin::Ask { .. } => self.read_line(input)?,
            Origin::Stdin | Origin::File(_) => self.read_all(input, exactly, is_stream)?,
        })
    }

    fn decode(&self, bytes: LockedBytes) -> Result<LockedBytes, KeyError> {
        encoding::decode(bytes, self.encoding, self.format).map_err(|reason| KeyError::Encoding {
            name: self.name(),
            reason,
        })
    }

    fn ask(&self, prompt: Prompt<'_>) -> Result<LockedBytes, KeyError> {
        if self.offset != 0 {
            return Err(KeyError::OffsetOnTerminal);
        }
        let first = terminal::ask(prompt.text, prompt.timeout)?;
        if let Some(again) = prompt.again {
            let second = terminal::ask(again, prompt.timeout)?;
            if !first.ct_eq(&second) {
                return Err(KeyError::Differ);
            }
        }
        Ok(first)
    }

    /// The first line of standard input; the newline is taken but does not count.
    fn read_line(&self, input: &mut impl Read) -> Result<LockedBytes, KeyError> {
        let limit = self.size.unwrap_or(MAX_BYTES + 1);
        let line = SecretBuffer::read_line(input, limit)
            .map_err(|source| self.unreadable(source))?
            .ok_or_else(|| KeyError::Nothing { name: self.name() })?;
        let bytes = line.len() as u64;
        match self.size {
            Some(wanted) if bytes < wanted => Err(self.short(bytes, wanted)),
            None if bytes > MAX_BYTES => Err(KeyError::TooLong { name: self.name() }),
            _ => Ok(line.into_bytes()),
        }
    }

    /// Everything that a reader has, or exactly as much as is asked for.
    fn read_all(
        &self,
        input: &mut impl Read,
        exactly: Option<usize>,
        is_stream: bool,
    ) -> Result<LockedBytes, KeyError> {
        // A spelled key is longer than its bytes: all of it is read, and cut once it is understood.
        let cut = exactly
            .filter(|_| self.encoding == KeyEncoding::Raw)
            .map(|bytes| bytes as u64);
        let wanted = cut.or(self.size.filter(|_| exactly.is_none()));
        let limit = wanted.unwrap_or(MAX_BYTES + 1);
        let all = SecretBuffer::read_all(input, limit).map_err(|source| self.unreadable(source))?;
        // A file may be empty, a stream that gives nothing is none; of a key itself its bytes are missing.
        let gives_nothing = all.is_empty() && is_stream && cut.is_none();
        let bytes = all.len() as u64;
        match wanted {
            None | Some(1..) if gives_nothing => Err(KeyError::Nothing { name: self.name() }),
            Some(wanted) if bytes < wanted => Err(self.short(bytes, wanted)),
            None if bytes > MAX_BYTES => Err(KeyError::TooLong { name: self.name() }),
            _ => Ok(all.into_bytes()),
        }
    }

    /// All that the input has, where `read` is only a part of it: the whole file, or what is there behind the first line
    /// of standard input. Nothing where it cannot be had, or is no more.
    pub fn whole(&self, read: &[u8]) -> Option<LockedBytes> {
        if self.encoding != KeyEncoding::Raw || self.format != KeyFormat::AsIs {
            return None;
        }
        let whole = match &self.origin {
            Origin::File(path) if self.offset != 0 || self.size.is_some() => {
                let file = File::open(path).ok()?;
                let is_file = file.metadata().ok()?.is_file();
                is_file.then(|| read_at_most(file, MAX_BYTES).ok())??
            }
            Origin::Ask { stdin_is_data } if !stdin_is_data && !io::stdin().is_terminal() => {
                let mut whole = SecretBuffer::new();
                whole.extend(read);
                whole.extend(b"\n");
                whole.extend(&read_at_most(WhatIsThere, MAX_BYTES).ok()?);
                whole.into_bytes()
            }
            _ => return None,
        };
        (whole.len() > read.len() + 1).then_some(whole)
    }

    /// Leaves out `--keyfile-offset` bytes of what can be read at any place; `false` for a pipe.
    fn jump(&self, file: BorrowedFd<'_>) -> Result<bool, KeyError> {
        if self.offset == 0 {
            return Ok(true);
        }
        let seek = |to| rustix::fs::seek(file, to);
        let failed = |error: Errno| self.unreadable(error.into());
        let start = match seek(SeekFrom::Current(0)) {
            Err(Errno::SPIPE) => return Ok(false),
            start => start.map_err(failed)?,
        };
        let kind = FileType::from_raw_mode(rustix::fs::fstat(file).map_err(failed)?.st_mode);
        if matches!(kind, FileType::RegularFile | FileType::BlockDevice) {
            let end = seek(SeekFrom::End(0)).map_err(failed)?;
            let bytes = end.saturating_sub(start);
            if bytes < self.offset {
                return Err(KeyError::OffsetBeyondEnd {
                    name: self.name(),
                    offset: self.offset,
                    bytes,
                });
            }
        }
        seek(SeekFrom::Start(start.saturating_add(self.offset))).map_err(failed)?;
        Ok(true)
    }

    /// Leaves out `--keyfile-offset` bytes, by reading: a pipe cannot seek.
    fn skip(&self, input: &mut impl Read) -> Result<(), KeyError> {
        if self.offset > MAX_SKIPPED_BYTES {
            return Err(KeyError::OffsetInStream {
                name: self.name(),
                offset: self.offset,
            });
        }
        let skipped = io::copy(&mut input.take(self.offset), &mut io::sink())
            .map_err(|source| self.unreadable(source))?;
        if skipped < self.offset {
            return Err(KeyError::OffsetBeyondEnd {
                name: self.name(),
                offset: self.offset,
                bytes: skipped,
            });
        }
        Ok(())
    }

    fn unreadable(&self, source: io::Error) -> KeyError {
        KeyError::Unreadable {
            name: self.name(),
            source,
        }
    }

    fn short(&self, bytes: u64, wanted: u64) -> KeyError {
        KeyError::Short {
            name: self.name(),
            bytes,
            wanted,
        }
    }
}

/// Throws away what somebody typed on the terminal after a passphrase was asked for there: where that ends in failure,
/// it is another try, and the shell would run it and keep it in its history.
pub fn forget_what_was_typed() {
    terminal::forget_what_was_typed();
}

/// All that a reader has, but no more than so many bytes.
///
/// # Errors
///
/// Those of the reader.
pub fn read_at_most(mut input: impl Read, most: u64) -> io::Result<LockedBytes> {
    SecretBuffer::read_all(&mut input, most).map(SecretBuffer::into_bytes)
}

/// Standard input without a buffer: what is not read stays in the pipe.
struct StandardInput;

impl Read for StandardInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::io::read(io::stdin().as_fd(), &mut *buffer) {
                Err(Errno::INTR) => {}
                outcome => return outcome.map_err(Into::into),
            }
        }
    }
}

/// Standard input as far as it need not be waited for.
struct WhatIsThere;

impl Read for WhatIsThere {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let stdin = io::stdin();
        let mut polled = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut polled, Some(&Timespec::default()))? {
            0 => Ok(0),
            _ => StandardInput.read(buffer),
        }
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be opened.
    #[error("cannot read {name}: {source}")]
    Opening {
        /// The input.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The file or the pipe cannot be read.
    #[error("cannot read {name}: {source}")]
    Unreadable {
        /// The input.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// There was not one byte to read.
    #[error("{name}: nothing to read, not even an empty line")]
    Nothing {
        /// The input.
        name: String,
    },
    /// The input is larger than any key is.
    #[error("{name}: more than 8388608 bytes")]
    TooLong {
        /// The input.
        name: String,
    },
    /// Fewer bytes than were asked for.
    #[error("{name}: {bytes} bytes where {wanted} are needed")]
    Short {
        /// The input.
        name: String,
        /// How many there are.
        bytes: u64,
        /// How many were asked for.
        wanted: u64,
    },
    /// `--keyfile-offset` lies behind the end.
    #[error("{name}: offset {offset} is beyond its {bytes} bytes")]
    OffsetBeyondEnd {
        /// The input.
        name: String,
        /// The offset asked for.
        offset: u64,
        /// How many bytes there are.
        bytes: u64,
    },
    /// `--keyfile-offset` lies further in a stream than anybody waits for.
    #[error("{name}: offset {offset} is beyond 4294967296 bytes, so many as are read of a stream")]
    OffsetInStream {
        /// The input.
        name: String,
        /// The offset asked for.
        offset: u64,
    },
    /// A typed passphrase has no offset.
    #[error("--keyfile-offset with a passphrase that is typed")]
    OffsetOnTerminal,
    /// The bytes are no hexadecimal digits, or no base64.
    #[error("{name}: {reason}")]
    Encoding {
        /// The input.
        name: String,
        /// What is wrong with them.
        reason: String,
    },
    /// Standard input was to be image and key at once.
    #[error("standard input is the image, so no key can be read from it")]
    StdinIsData,
    /// Nobody can be asked.
    #[error("no terminal to ask for the passphrase: {0}")]
    NoTerminal(io::Error),
    /// A typed passphrase is longer than a terminal line may be.
    #[error("the passphrase is longer than 512 bytes")]
    LineTooLong,
    /// The terminal was closed, or its end of file was typed, before a passphrase.
    #[error("no passphrase was typed")]
    Aborted,
    /// Nobody typed anything for as long as was allowed.
    #[error("no passphrase was typed in time")]
    TimedOut,
    /// The new passphrase was typed in two ways.
    #[error("the two passphrases are not the same")]
    Differ,
}

impl KeyError {
    /// How the program ends.
    pub fn exit(&self) -> Exit {
        Exit::Wrong
    }

    /// What to do.
    pub fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::TooLong { .. } => "--keyfile-size N reads the first N bytes",
            Self::StdinIsData | Self::NoTerminal(_) => {
                "give the key with --key-file FILE or --key-fd N"
            }
            Self::LineTooLong => "put it into a file and use --key-file FILE",
            Self::Nothing { .. } => "an empty passphrase is an empty line",
            _ => return None,
        };
        Some(advice.to_owned())
    }
}
