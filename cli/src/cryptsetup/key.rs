//! Passphrases and keys: which options say where they come from, and how they are asked for.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Duration;

use devmapper::keyring::read_user_key;
use dmcrypt::{LockedBytes, Passphrase, VolumeKey};
use jobs::key_source::{self, KeyError};
use jobs::new_keyslot::NewKeyslot;
use jobs::new_luks::{Cost, Kdf, KeyslotCipher};
use jobs::unlock::Unlock;
use luks::luks2::Priority;
use luks::{Header, KeyslotOptions, UnlockOptions};

use super::failure::Failure;
use super::session::{Session, source};
use crate::output;
use crate::passphrase::{KeyInput, PassphraseError, Prompt};
use crate::unlock;
use crate::watch::Warner;

/// How many times a passphrase may be typed unless said.
const TRIES: u32 = 3;

/// A key file, `-`, the terminal or a key of the kernel's, and how much of it counts.
pub(super) struct Place {
    input: Input,
    /// Whether the terminal or standard input gives it.
    pub(super) is_asked: bool,
}

enum Input {
    Given(KeyInput),
    /// The description of a key of type `user`.
    Kernel(String),
}

impl Session {
    /// Where the key comes from that opens the container: `--key-file`, or an operand that stands for it, or the key of
    /// the kernel's that `--key-description` names.
    pub(super) fn key(&self, operand: Option<&OsString>) -> Result<Place, Failure> {
        if let Some(description) = self.given.string("key-description") {
            return Ok(of_kernel(description));
        }
        let file = self
            .given
            .text("key-file")
            .or(operand.map(OsString::as_os_str));
        place(
            file,
            self.given.number("keyfile-offset"),
            self.given.number("keyfile-size"),
        )
    }

    /// Where the new key comes from.
    pub(super) fn new_key(&self, file: Option<&OsStr>) -> Result<Place, Failure> {
        if let Some(description) = self.given.string("new-key-description") {
            return Ok(of_kernel(description));
        }
        place(
            file,
            self.given.number("new-keyfile-offset"),
            self.given.number("new-keyfile-size"),
        )
    }

    /// Asks for a passphrase that there is, or takes it from where it is.
    pub(super) fn ask(&self, place: &Place, prompt: &str) -> Result<Passphrase, Failure> {
        Ok(self.read_key(place, prompt, false)?)
    }

    /// The same, or nothing where the input ends before it begins; that is told.
    pub(super) fn ask_unless_ended(
        &self,
        place: &Place,
        prompt: &str,
    ) -> Result<Option<Passphrase>, Failure> {
        match self.read_key(place, prompt, false) {
            Ok(passphrase) => Ok(Some(passphrase)),
            // Of a stream that is closed nobody has said that it ends.
            Err(nothing @ PassphraseError::Source(KeyError::Nothing { .. }))
                if !volume::closed_at_start()[0] =>
            {
                Failure::from(nothing).print();
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Asks for a new passphrase, twice where somebody types.
    pub(super) fn ask_new(&self, place: &Place, prompt: &str) -> Result<Passphrase, Failure> {
        Ok(self.read_key(place, prompt, !self.is_batch())?)
    }

    /// A secret that jobs ask for: only a new one is typed twice.
    pub(super) fn read_secret(
        &self,
        place: &Place,
        prompt: &str,
        is_new: bool,
    ) -> Result<LockedBytes, Failure> {
        let again = is_new && (!self.is_batch() || self.given.has("verify-passphrase"));
        Ok(self.read_locked(place, prompt, again, None)?)
    }

    /// How often a passphrase may be typed.
    pub(super) fn tries(&self, place: &Place) -> u32 {
        if place.is_asked && io::stdin().is_terminal() {
            self.given.small("tries").unwrap_or(TRIES)
        } else {
            1
        }
    }

    /// A secret that there is, typed twice where that is wanted; `exactly` so many bytes where they are the key itself.
    pub(super) fn read_given(
        &self,
        place: &Place,
        prompt: &str,
        exactly: Option<usize>,
    ) -> Result<LockedBytes, Failure> {
        Ok(self.read_checked(place, prompt, false, exactly)?)
    }

    fn read_key(
        &self,
        place: &Place,
        prompt: &str,
        twice: bool,
    ) -> Result<Passphrase, PassphraseError> {
        let locked = self.read_checked(place, prompt, twice, None)?;
        Ok(Passphrase::from_locked(locked))
    }

    fn read_checked(
        &self,
        place: &Place,
        prompt: &str,
        twice: bool,
        exactly: Option<usize>,
    ) -> Result<LockedBytes, PassphraseError> {
        let wanted = self.given.has("verify-passphrase");
        if wanted && place.is_asked && !io::stdin().is_terminal() {
            output::aside(format_args!(
                "Can't do passphrase verification on non-tty inputs."
            ));
        }
        self.read_locked(place, prompt, twice || wanted, exactly)
    }

    fn read_locked(
        &self,
        place: &Place,
        prompt: &str,
        twice: bool,
        exactly: Option<usize>,
    ) -> Result<LockedBytes, PassphraseError> {
        let input = match &place.input {
            Input::Given(input) => input,
            Input::Kernel(description) => {
                let key = user_key(description)
                    .filter(|key| exactly.is_none_or(|bytes| key.len() == bytes));
                return key.ok_or(PassphraseError::NoKernelKey);
            }
        };
        let prompt = Prompt {
            text: prompt,
            again: twice.then_some("Verify passphrase: "),
            timeout: self
                .given
                .number("timeout")
                .filter(|seconds| *seconds != 0)
                .map(Duration::from_secs),
        };
        input.read(prompt, exactly)
    }

    /// Does `attempt` with passphrases that are asked for until one fits or nobody is left to type another one.
    pub(super) fn try_passphrases<T>(
        &self,
        place: &Place,
        prompt: &str,
        mut attempt: impl FnMut(&Passphrase) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let tries = self.tries(place);
        let mut tried = 0;
        loop {
            let outcome = attempt(&self.ask(place, prompt)?);
            tried += 1;
            match outcome {
                Err(failure) if failure.exit == crate::Exit::NoKeyFits && tried < tries => {
                    failure.print();
                }
                outcome => return outcome,
            }
        }
    }

    /// `--key-slot`.
    pub(super) fn keyslot(&self) -> Option<u32> {
        let keyslot = self.given.signed("key-slot")?;
        u32::try_from(keyslot).ok()
    }

    /// What a new keyslot is to be; its key derivation is measured unless its cost is given.
    pub(super) fn keyslot_options(
        &self,
        header: &Header,
        keyslot: Option<u32>,
    ) -> Result<KeyslotOptions<'static>, Failure> {
        if self.given.has("keyslot-cipher") && matches!(header, Header::Luks1(_)) {
            return Err(Failure::wrong(
                "Keyslot encryption parameters can be set only for LUKS2 device.",
            ));
        }
        let is_luks1 = matches!(header, Header::Luks1(_));
        let wanted = NewKeyslot {
            cost: self.costs(is_luks1)?,
            // LUKS1 has one hash for all.
            hash: self.given.string("hash").filter(|_| !is_luks1),
            cipher: self.keyslot_cipher(),
        };
        let options = wanted.options(header, &self.device(), &Warner)?;
        Ok(KeyslotOptions {
            keyslot,
            priority: Priority::Normal,
            ..options
        })
    }

    /// How a new keyslot's area is encrypted, where that is said.
    pub(super) fn keyslot_cipher(&self) -> Option<KeyslotCipher> {
        Some(KeyslotCipher {
            cipher: self.given.string("keyslot-cipher")?,
            key_bits: self.given.small("keyslot-key-size")?,
        })
    }

    /// What a new keyslot costs to guess, checked.
    pub(super) fn costs(&self, is_luks1: bool) -> Result<Cost, Failure> {
        let refused =
            |message: String| Err(Failure::wrong(message).and("Failed to set pbkdf parameters."));
        let (pbkdf, name) = match self.given.string("pbkdf").as_deref() {
            Some("pbkdf2") => (Kdf::Pbkdf2, "pbkdf2"),
            Some("argon2i") => (Kdf::Argon2i, "argon2i"),
            None if is_luks1 => (Kdf::Pbkdf2, "pbkdf2"),
            _ => (Kdf::Argon2id, "argon2id"),
        };
        if let Some(hash) = self.given.string("hash")
            && dmcrypt::HashAlgorithm::parse(&hash).is_err()
        {
            return refused(format!(
                "Requested hash {} is not supported.",
                output::escape(&hash)
            ));
        }
        if is_luks1 && pbkdf != Kdf::Pbkdf2 {
            return refused("Requested PBKDF type is not supported for LUKS1.".to_owned());
        }
        let least = match pbkdf {
            Kdf::Pbkdf2 => luks::defaults::PBKDF2_MIN_ITERATIONS,
            Kdf::Argon2i | Kdf::Argon2id => luks::defaults::ARGON2_MIN_TIME,
        };
        let forced = self.given.small("pbkdf-force-iterations");
        if forced.is_some_and(|iterations| iterations < least) {
            return refused(format!(
                "Forced iteration count is too low for {name} (minimum is {least})."
            ));
        }
        // PBKDF2 has neither, and 0 is not said.
        let of_argon2 = |option| {
            let number = self.given.small(option);
            number.filter(|number| pbkdf != Kdf::Pbkdf2 && *number != 0)
        };
        let memory = of_argon2("pbkdf-memory");
        let (low, high) = (
            luks::defaults::ARGON2_MIN_MEMORY_KIB,
            luks::defaults::ARGON2_MAX_MEMORY_KIB,
        );
        if memory.is_some_and(|kib| kib < low) {
            return refused(format!(
                "Forced memory cost is too low for {name} (minimum is {low} kilobytes)."
            ));
        }
        if memory.is_some_and(|kib| kib > high) {
            return refused(format!(
                "Requested maximum PBKDF memory cost is too high (maximum is {high} kilobytes)."
            ));
        }
        let most = luks::defaults::ARGON2_MAX_LANES;
        let lanes = of_argon2("pbkdf-parallel");
        if lanes.is_some_and(|lanes| lanes > most) {
            return refused(format!(
                "Requested maximum PBKDF parallel cost is too high (maximum is {most})."
            ));
        }
        // What is measured uses no more than there are.
        let lanes = lanes.map(|lanes| match forced {
            Some(_) => lanes,
            None => lanes.min(jobs::limits::calibration_lanes()),
        });
        let iter_time = self.given.number("iter-time").filter(|ms| *ms != 0);
        Ok(Cost {
            kdf: Some(pbkdf),
            time: iter_time.map(Duration::from_millis),
            memory_kib: memory,
            lanes,
            iterations: forced,
        })
    }
}

/// Which keyslot is tried, and what it may ask for.
pub(super) fn unlocking(keyslot: Option<u32>) -> Result<UnlockOptions<'static>, Failure> {
    let how = Unlock {
        keyslot,
        ..unlock::unless_typed()?
    };
    Ok(UnlockOptions {
        // As cryptsetup does it; the danger is told where the header is read.
        null_cipher: true,
        ..unlock::in_terms_of_luks(&how)
    })
}

/// The same for a volume key of as many bytes as the header or `--key-size` says.
pub(super) fn unlocking_with(bytes: usize) -> Result<UnlockOptions<'static>, Failure> {
    Ok(UnlockOptions {
        volume_key_bytes: Some(bytes),
        ..unlocking(None)?
    })
}

fn place(file: Option<&OsStr>, offset: Option<u64>, size: Option<u64>) -> Result<Place, Failure> {
    let source = source(file, offset, size);
    Ok(Place {
        input: Input::Given(KeyInput::new(source, false)?),
        is_asked: file.is_none_or(|file| file == "-"),
    })
}

fn of_kernel(description: String) -> Place {
    Place {
        input: Input::Kernel(description),
        is_asked: false,
    }
}

/// The key of the kernel's that has this description, with or without its type before it. Where there is none, or the
/// kernel keeps no keys, it gives nothing.
fn user_key(description: &str) -> Option<LockedBytes> {
    let description = description.strip_prefix("%user:").unwrap_or(description);
    read_user_key(description).ok().flatten()
}

/// Whether the volume key itself is given.
pub(super) fn is_volume_key_given(session: &Session) -> bool {
    session.given.has("volume-key-file") || session.given.has("volume-key-keyring")
}

/// The volume key that is given, of as many bytes as `--key-size` says, or the header.
pub(super) fn read_key_of_data(
    session: &Session,
    header: &Header,
) -> Result<Option<VolumeKey>, Failure> {
    given_volume_key(session, || bytes_of_volume_key(session, header))
}

/// How large it is.
pub(super) fn bytes_of_volume_key(session: &Session, header: &Header) -> Result<usize, Failure> {
    known(key_bytes(session).or(header.volume_key_bytes()))
}

/// The same where the header's word counts.
pub(super) fn read_key_of_header(
    session: &Session,
    header: &Header,
) -> Result<Option<VolumeKey>, Failure> {
    given_volume_key(session, || {
        known(header.volume_key_bytes().or(key_bytes(session)))
    })
}

/// The volume key of `--volume-key-file` or `--volume-key-keyring`. Of a file as much counts as is wanted.
fn given_volume_key(
    session: &Session,
    bytes: impl FnOnce() -> Result<usize, Failure>,
) -> Result<Option<VolumeKey>, Failure> {
    if let Some(path) = session.given.text("volume-key-file") {
        return read_volume_key(path, bytes()?).map(Some);
    }
    match session.given.string("volume-key-keyring") {
        Some(description) => key_of_keyring(&description).map(Some),
        None => Ok(None),
    }
}

/// The volume key that a key of the kernel's is.
pub(super) fn key_of_keyring(description: &str) -> Result<VolumeKey, Failure> {
    let found = user_key(description)
        .ok_or_else(|| Failure::wrong("Failed to read volume key candidate from keyring."))?;
    let mut key = VolumeKey::zeroed(found.len());
    key.expose_mut().copy_from_slice(&found);
    Ok(key)
}

fn key_bytes(session: &Session) -> Option<usize> {
    let given = session.given.small("key-size").filter(|bits| *bits != 0);
    given.map(|bits| bits as usize / 8)
}

fn known(bytes: Option<usize>) -> Result<usize, Failure> {
    bytes.ok_or_else(|| {
        Failure::wrong(
            "Cannot determine volume key size for LUKS without keyslots, please use --key-size option.",
        )
    })
}

/// Reads a volume key of so many bytes; what follows them in the file is left out.
pub(super) fn read_volume_key(path: &OsStr, bytes: usize) -> Result<VolumeKey, Failure> {
    let path = Path::new(path);
    let key = key_source::read_volume_key(path).map_err(|_| Failure::volume_key(path))?;
    if key.len() < bytes {
        return Err(Failure::wrong(format!(
            "Cannot read {bytes} bytes from keyfile {}.",
            output::path(path)
        )));
    }
    let mut cut = VolumeKey::zeroed(bytes);
    cut.expose_mut().copy_from_slice(&key.expose()[..bytes]);
    Ok(cut)
}
