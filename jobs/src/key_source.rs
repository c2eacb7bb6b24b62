//! Key material without a terminal: where it comes from, and how many of its bytes count.
//!
//! The rules are cryptsetup's, so that a key file or a pipe that opens an image there opens it here:
//!
//! | [`KeyFrom`] | what is read |
//! | --- | --- |
//! | `FirstLine` | of standard input the first line without its newline, byte by byte: the rest stays for whoever reads next |
//! | `Standard` | all of standard input, newlines and all |
//! | `File`, `Descriptor` | all of it, newlines and all, at most 8 MiB |
//! | `Secret` | all of it, from where it is kept: [`crate::secret::stored`] |
//!
//! Of each a [`KeySource::size`] reads exactly so many bytes; fewer are an error. A plain container differs (see
//! [`crate::plain`]): there a key file is the key itself.
//!
//! ```
//! use jobs::key_source::{KeyEncoding, KeyFiles, KeyFrom, KeySource};
//! use jobs::{Asked, Secrets};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("key");
//! std::fs::write(&path, "# 2026\n636f7272656374\n")?;
//! // What a job takes for the secrets of a container.
//! let keys = KeyFiles::from(KeySource {
//!     from: KeyFrom::File(path),
//!     offset: 7,
//!     encoding: KeyEncoding::Hex,
//!     ..KeySource::default()
//! });
//! let passphrase = keys.passphrase(&Asked::of("disk.img"))?;
//! assert_eq!(*passphrase, *b"correct");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod encoding;
mod error;
mod standard;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use dmcrypt::{LockedBytes, VolumeKey};
use rustix::fs::{FileType, SeekFrom};
use rustix::io::Errno;
use standard::WhatIsThere;

use crate::error::SecretError;
use crate::secret::stored::{Stored, StoredSecret};
use crate::secret::{Asked, AskedOther, Form, Secrets};
use crate::secret_buffer::SecretBuffer;
use crate::text;

pub use crate::key_format::{KeyFormat, formatted};
pub use encoding::KeyEncoding;
pub use error::KeyError;
pub use standard::StandardInput;

/// The most that is read of a key where no size is asked for, in bytes; cryptsetup's limit.
pub const MAX_KEY_BYTES: u64 = 8 << 20;

/// The largest key of any cipher (loop-AES's 65 keys), in bytes.
pub const MAX_VOLUME_KEY_BYTES: usize = 4096;

/// The most that is left out of a stream, which is by reading it.
const MAX_SKIPPED_BYTES: u64 = 4 << 30;

/// Where a key comes from and how it is read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KeySource {
    /// What is read.
    pub from: KeyFrom,
    /// So many bytes at its start are left out.
    pub offset: u64,
    /// Exactly so many bytes are read.
    pub size: Option<u64>,
    /// How the bytes that are read spell the key.
    pub encoding: KeyEncoding,
    /// What becomes of the key before it is used.
    pub format: KeyFormat,
}

/// What a key is read from.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum KeyFrom {
    /// The first line of standard input.
    #[default]
    FirstLine,
    /// All of standard input.
    Standard,
    /// A file.
    File(PathBuf),
    /// A descriptor that is open.
    Descriptor(u32),
    /// A secret that is kept elsewhere.
    Secret(StoredSecret),
}

/// A secret that is used in another way than its type says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Overridden<'a> {
    /// The secret.
    pub name: &'a str,
    /// What its type says.
    pub usual: KeyFormat,
    /// What was said.
    pub said: KeyFormat,
}

impl KeyFrom {
    /// The file that opens what it is, where there is one.
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            Self::FirstLine | Self::Standard | Self::Secret(_) => None,
            Self::File(path) => Some(path.clone()),
            Self::Descriptor(number) => Some(format!("/dev/fd/{number}").into()),
        }
    }
}

impl KeySource {
    /// Refuses to read all of standard input where that is an image.
    pub fn check_beside(&self, stdin_is_data: bool) -> Result<(), KeyError> {
        let is_standard = matches!(self.from, KeyFrom::Standard | KeyFrom::Descriptor(0));
        if stdin_is_data && is_standard {
            return Err(KeyError::StdinIsData);
        }
        Ok(())
    }

    /// Whether the key comes out of a named file: for a plain container it is the key itself then, not hashed.
    pub fn is_file(&self) -> bool {
        matches!(self.from, KeyFrom::File(_) | KeyFrom::Descriptor(_))
    }

    /// Whether it has one key, however often it is read: not one in each line.
    pub fn is_one(&self) -> bool {
        !matches!(self.from, KeyFrom::FirstLine)
    }

    /// How messages name it.
    pub fn name(&self) -> String {
        match (&self.from, self.from.path()) {
            (KeyFrom::Secret(secret), _) => secret.reference.to_string(),
            (_, None) => "standard input".to_owned(),
            (_, Some(path)) => format!("key file {}", text::path(&path)),
        }
    }

    /// Reads the key. `exactly`: so many bytes of a file or of all of standard input, whatever the size says: a plain
    /// container's key itself.
    pub fn read(&self, exactly: Option<usize>) -> Result<LockedBytes, KeyError> {
        self.read_telling(exactly, &|_| ())
    }

    /// The same; `tell` is called where a format was said that is not the one of a secret's type.
    pub fn read_telling(
        &self,
        exactly: Option<usize>,
        tell: &dyn Fn(Overridden<'_>),
    ) -> Result<LockedBytes, KeyError> {
        if let KeyFrom::Secret(secret) = &self.from {
            return self.of_secret(&secret.fetch()?, exactly, tell);
        }
        let Some(path) = self.from.path() else {
            if !self.jump(io::stdin().as_fd())? {
                self.skip(&mut StandardInput)?;
            }
            return self.read_on(&mut StandardInput, true, exactly);
        };
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

    /// Reads the key from what stands for its file or for standard input. `is_stream`: it is no regular file. `exactly`
    /// as in [`Self::read`].
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
        self.decoded(match self.from {
            KeyFrom::FirstLine => self.read_line(input)?,
            _ => self.read_all(input, exactly, is_stream)?,
        })
    }

    /// The key that bytes spell, wherever they come from.
    pub fn decoded(&self, bytes: LockedBytes) -> Result<LockedBytes, KeyError> {
        encoding::decode(bytes, self.encoding, self.format).map_err(|reason| KeyError::Encoding {
            name: self.name(),
            reason,
        })
    }

    /// The key that a secret is kept for.
    fn of_secret(
        &self,
        secret: &Stored,
        exactly: Option<usize>,
        tell: &dyn Fn(Overridden<'_>),
    ) -> Result<LockedBytes, KeyError> {
        let usual = if secret.is_passphrase {
            KeyFormat::AsIs
        } else {
            KeyFormat::Openstack
        };
        let format = match self.format {
            KeyFormat::Usual => usual,
            KeyFormat::Auto => KeyFormat::Auto,
            said => {
                if said != usual {
                    let name = &self.name();
                    tell(Overridden { name, usual, said });
                }
                said
            }
        };
        let is_text = secret.is_passphrase && format == KeyFormat::AsIs;
        if is_text && self.encoding == KeyEncoding::Raw && str::from_utf8(&secret.bytes).is_err() {
            return Err(KeyError::Encoding {
                name: self.name(),
                reason: "a passphrase that is not UTF-8".to_owned(),
            });
        }
        let bytes = LockedBytes::copy_of(&secret.bytes);
        let source = Self {
            format,
            ..self.clone()
        };
        let key = source.decoded(bytes)?;
        match exactly {
            Some(wanted) if key.len() < wanted => Err(self.short(key.len() as u64, wanted as u64)),
            Some(wanted) => Ok(LockedBytes::copy_of(&key[..wanted])),
            None => Ok(key),
        }
    }

    /// What `read` may be, where it is not said which; those that are the same stand there once.
    pub fn forms(&self, read: &LockedBytes) -> Vec<Form> {
        let mut forms: Vec<Form> = Vec::new();
        if self.format == KeyFormat::Auto {
            for format in KeyFormat::TRIED {
                let passphrase = formatted(read, format);
                if !forms.iter().any(|form| form.passphrase.ct_eq(&passphrase)) {
                    forms.push(Form { passphrase, format });
                }
            }
        }
        forms
    }

    /// Refuses to make something new of a key of which it is not said what becomes of it.
    pub fn check_new(&self) -> Result<(), KeyError> {
        match self.format {
            KeyFormat::Auto => Err(KeyError::OpenFormat { name: self.name() }),
            _ => Ok(()),
        }
    }

    /// What a file spells whose bytes are taken as they are, and how many those are: only the `key` is used of them,
    /// where nothing else would tell that this is another key.
    pub fn spelled(&self, key: &[u8]) -> Option<(usize, KeyEncoding)> {
        let path = self.from.path()?;
        let is_file = path.metadata().is_ok_and(|metadata| metadata.is_file());
        if self.encoding != KeyEncoding::Raw || !is_file {
            return None;
        }
        let mut file = File::open(path).ok()?;
        if !self.jump(file.as_fd()).unwrap_or(false) {
            return None;
        }
        let all = SecretBuffer::read_all(&mut file, MAX_KEY_BYTES).ok()?;
        Some((all.len(), encoding::spelled(&all, key.len())?))
    }

    /// All that there is, where `read` is only a part of it: the whole file, or what is there behind the first line of
    /// standard input, which is read now. Nothing where it cannot be had, or is no more.
    pub fn whole(&self, read: &[u8]) -> Option<LockedBytes> {
        let is_as_it_is = matches!(
            self.format,
            KeyFormat::Usual | KeyFormat::AsIs | KeyFormat::Auto
        );
        if self.encoding != KeyEncoding::Raw || !is_as_it_is {
            return None;
        }
        let whole = match self.from.path() {
            Some(path) if self.offset != 0 || self.size.is_some() => {
                let mut file = File::open(path).ok()?;
                let is_file = file.metadata().ok()?.is_file();
                is_file.then(|| SecretBuffer::read_all(&mut file, MAX_KEY_BYTES).ok())??
            }
            None if self.from == KeyFrom::FirstLine => {
                let mut whole = SecretBuffer::new();
                whole.extend(read);
                whole.extend(b"\n");
                whole.extend(&SecretBuffer::read_all(&mut WhatIsThere, MAX_KEY_BYTES).ok()?);
                whole
            }
            _ => return None,
        };
        (whole.len() > read.len() + 1).then(|| whole.into_bytes())
    }

    /// The first line; the newline is taken but does not count.
    fn read_line(&self, input: &mut impl Read) -> Result<LockedBytes, KeyError> {
        let limit = self.size.unwrap_or(MAX_KEY_BYTES + 1);
        let line = SecretBuffer::read_line(input, limit)
            .map_err(|source| self.unreadable(source))?
            .ok_or_else(|| KeyError::Nothing { name: self.name() })?;
        let bytes = line.len() as u64;
        match self.size {
            Some(wanted) if bytes < wanted => Err(self.short(bytes, wanted)),
            None if bytes > MAX_KEY_BYTES => Err(KeyError::TooLong { name: self.name() }),
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
        let limit = wanted.unwrap_or(MAX_KEY_BYTES + 1);
        let all = SecretBuffer::read_all(input, limit).map_err(|source| self.unreadable(source))?;
        // A file may be empty, a stream that gives nothing is none; of a key itself its bytes are missing.
        let gives_nothing = all.is_empty() && is_stream && cut.is_none();
        let bytes = all.len() as u64;
        match wanted {
            None | Some(1..) if gives_nothing => Err(KeyError::Nothing { name: self.name() }),
            Some(wanted) if bytes < wanted => Err(self.short(bytes, wanted)),
            None if bytes > MAX_KEY_BYTES => Err(KeyError::TooLong { name: self.name() }),
            _ => Ok(all.into_bytes()),
        }
    }

    /// Leaves the offset out of what can be read at any place; `false` for a pipe.
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

    /// Leaves the offset out by reading: a pipe cannot seek.
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

/// The raw bytes of a volume key, one more where there are more than any has.
pub fn read_volume_key(path: &Path) -> Result<VolumeKey, KeyError> {
    let name = format!("volume key file {}", text::path(path));
    let unreadable = |source| KeyError::Unreadable {
        name: name.clone(),
        source,
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let bytes = SecretBuffer::read_all(&mut file, MAX_VOLUME_KEY_BYTES as u64 + 1)
        .map_err(unreadable)?
        .into_bytes();
    if bytes.is_empty() {
        return Err(KeyError::Nothing { name });
    }
    Ok(VolumeKey::from_locked(bytes))
}

/// The secrets of a job that nobody types.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KeyFiles {
    /// Where the passphrase comes from, or of a plain container the key itself.
    pub key: KeySource,
    /// A file that has the volume key: to open a container instead of a passphrase, or to be the key of a new one.
    pub volume_key: Option<PathBuf>,
    /// Where the passphrase of the other key comes from, where a reencryption is under way.
    pub other_key: Option<KeySource>,
    /// A file that has the other volume key.
    pub other_volume_key: Option<PathBuf>,
}

impl From<KeySource> for KeyFiles {
    fn from(key: KeySource) -> Self {
        Self {
            key,
            ..Self::default()
        }
    }
}

impl Secrets for KeyFiles {
    fn is_one(&self) -> bool {
        self.key.is_one()
    }

    fn passphrase(&self, asked: &Asked<'_>) -> Result<LockedBytes, SecretError> {
        if asked.is_new {
            self.key.check_new()?;
        }
        Ok(self.key.read(asked.exactly)?)
    }

    fn forms(&self, given: &LockedBytes) -> Vec<Form> {
        self.key.forms(given)
    }

    fn name(&self) -> String {
        self.key.name()
    }

    fn whole(&self, read: &LockedBytes) -> Option<LockedBytes> {
        self.key.whole(read)
    }

    fn volume_key(&self) -> Result<Option<VolumeKey>, SecretError> {
        let key = self.volume_key.as_deref().map(read_volume_key);
        Ok(key.transpose()?)
    }

    fn other_passphrase(&self, asked: &AskedOther<'_>) -> Result<Option<LockedBytes>, SecretError> {
        let other = self.other_key.as_ref().filter(|_| asked.attempt == 0);
        Ok(other.map(|key| key.read(None)).transpose()?)
    }

    fn other_volume_key(&self, attempt: u32) -> Result<Option<VolumeKey>, SecretError> {
        let other = self.other_volume_key.as_deref().filter(|_| attempt == 0);
        Ok(other.map(read_volume_key).transpose()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_the_secrets_of_a_job() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("key");
        std::fs::write(&path, "0a0B\n").unwrap();
        let mut files = KeyFiles {
            key: KeySource {
                from: KeyFrom::File(path.clone()),
                ..KeySource::default()
            },
            ..KeyFiles::default()
        };
        let asked = Asked::of("image");
        let read = |files: &KeyFiles, asked| files.passphrase(asked).map(|key| key.to_vec());
        assert_eq!(files.name(), format!("key file {}", text::path(&path)));
        assert_eq!(read(&files, &asked).unwrap(), b"0a0B\n");
        let itself = Asked {
            exactly: Some(3),
            ..asked
        };
        assert_eq!(read(&files, &itself).unwrap(), b"0a0");
        assert!(files.volume_key().unwrap().is_none());

        files.key.encoding = KeyEncoding::Hex;
        assert_eq!(read(&files, &asked).unwrap(), [10, 11]);
        files.key.size = Some(6);
        let error = read(&files, &asked).unwrap_err();
        assert!(
            error.to_string().ends_with("5 bytes where 6 are needed"),
            "{error}"
        );
        assert!(error.get_ref().is::<KeyError>());

        files.volume_key = Some(path);
        let key = files.volume_key().unwrap().unwrap();
        assert_eq!(key.expose(), b"0a0B\n");
    }

    #[test]
    fn an_image_and_a_key_are_not_both_standard_input() {
        for (from, is_refused) in [
            (KeyFrom::FirstLine, false),
            (KeyFrom::Standard, true),
            (KeyFrom::Descriptor(0), true),
            (KeyFrom::Descriptor(3), false),
            (KeyFrom::File("-".into()), false),
        ] {
            let source = KeySource {
                from,
                ..KeySource::default()
            };
            assert_eq!(source.check_beside(true).is_err(), is_refused, "{source:?}");
            assert!(source.check_beside(false).is_ok());
        }
    }
}
