//! One run of an action: what was typed, and what is said and asked on the way.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;

use jobs::Place;
use jobs::block::Claim;
use jobs::change::Target;
use jobs::inputs::Inputs;
use jobs::key_source::{KeySource, StandardInput};
use jobs::open;
use jobs::secret_buffer::SecretBuffer;
use luks::{Header, Luks, Unlocked, Warning};
use recognise::{Found, look};
use volume::{Access, FileStorage, Storage};

use super::failure::Failure;
use super::parse::Given;
use crate::exit::Exit;
use crate::options;
use crate::output;

/// What was typed, understood.
pub(super) struct Session {
    pub(super) given: Given,
    /// What `--type` says, or an older spelling of the action.
    pub(super) kind: Option<String>,
    /// What is to be done with a token.
    pub(super) verb: Option<OsString>,
    /// Those behind the action and the verb.
    pub(super) operands: Vec<OsString>,
    /// All words as they were typed.
    pub(super) words: Vec<OsString>,
}

impl Session {
    /// Prints a line for who wants to know more.
    pub(super) fn tell(&self, line: impl AsRef<str>) -> Result<(), Failure> {
        if self.is_verbose() {
            say(line)?;
        }
        Ok(())
    }

    /// Tells which keyslot a passphrase opened.
    pub(super) fn tell_unlocked(&self, unlocked: &Unlocked) -> Result<(), Failure> {
        match unlocked.keyslot() {
            Some(keyslot) => self.tell(format!("Key slot {keyslot} unlocked.")),
            None => Ok(()),
        }
    }

    /// `-v`, or more.
    pub(super) fn is_verbose(&self) -> bool {
        ["verbose", "debug", "debug-json"]
            .iter()
            .any(|option| self.given.has(option))
    }

    /// Ask nothing.
    pub(super) fn is_batch(&self) -> bool {
        self.given.has("batch-mode")
    }

    /// The device, or the file that has its header.
    pub(super) fn header_path(&self) -> PathBuf {
        self.given
            .text("header")
            .map_or_else(|| self.device_path(), PathBuf::from)
    }

    /// The operand that names the device.
    pub(super) fn device_path(&self) -> PathBuf {
        self.operands
            .first()
            .expect("the action has this operand")
            .into()
    }

    /// How messages name the device.
    pub(super) fn device(&self) -> String {
        output::path(&self.device_path())
    }

    /// Whether `--type` lets this header be worked on.
    pub(super) fn allows(&self, header: &Header) -> bool {
        let is = match header {
            Header::Luks1(_) => "luks1",
            Header::Luks2(_) => "luks2",
        };
        match self.kind.as_deref() {
            None | Some("luks") => true,
            Some(wanted) => wanted == is,
        }
    }

    /// Reads the header, to be looked at only.
    pub(super) fn read(&self) -> Result<Luks, Failure> {
        let name = output::path(&self.header_path());
        let luks = open_for_reading(&self.header_path())
            .and_then(|storage| container_in(&name, &storage))?;
        self.checked(luks)
    }

    /// Opens the image whose header is to be changed.
    pub(super) fn target(&self, claim: Claim) -> Result<Target, Failure> {
        let path = Place::Path(self.header_path());
        Ok(open::changed(&path, false, claim, &self.inputs())?)
    }

    /// What the action reads beside the device.
    pub(super) fn inputs(&self) -> Inputs {
        let number = |of: &str, what| self.given.number(&format!("{of}-{what}"));
        let key = |inputs: Inputs, what, file: Option<&OsStr>, of| match file {
            Some(file) => inputs.key(
                what,
                &source(Some(file), number(of, "offset"), number(of, "size")),
            ),
            None => inputs,
        };
        let inputs = key(
            Inputs::none(),
            "the key file",
            self.given.text("key-file"),
            "keyfile",
        );
        let inputs = key(
            inputs,
            "the new key file",
            self.given.text("new-keyfile"),
            "new-keyfile",
        );
        let second = self.operands.get(1).map(OsString::as_os_str);
        let inputs = key(inputs, "the key file", second, "keyfile");
        let backup = self.given.text("header-backup-file");
        let json = self.given.text("json-file").filter(|file| *file != "-");
        inputs
            .path("the volume key file", self.given.text("volume-key-file"))
            .path(
                "the new volume key file",
                self.given.text("new-volume-key-file"),
            )
            .path("the backup", backup)
            .path("the token file", json)
    }

    /// Reads the header, to be changed.
    pub(super) fn read_for_change(&self, target: &Target) -> Result<Luks, Failure> {
        let luks = container_in(&target.name, &target.storage)?;
        self.changeable(luks, target)
    }

    /// The same where only LUKS2 will do.
    pub(super) fn read_luks2_for_change(&self, target: &Target) -> Result<Luks, Failure> {
        match Luks::open(target.storage.clone()) {
            Ok(luks) if matches!(luks.header(), Header::Luks2(_)) => {
                check_unambiguous(&luks, &*target.storage)?;
                self.changeable(luks, target)
            }
            Ok(_) => Err(Failure::not_luks2(&target.name)),
            Err(luks::Error::NotLuks) => {
                Err(Failure::not_luks2(&target.name).and_instead(&target.name, &*target.storage))
            }
            Err(error) => Err(Failure::luks(&target.name, error)),
        }
    }

    fn changeable(&self, luks: Luks, target: &Target) -> Result<Luks, Failure> {
        let luks = self.checked(luks)?;
        luks.check_change()
            .map_err(|error| Failure::luks(&target.name, error))?;
        Ok(luks)
    }

    fn checked(&self, luks: Luks) -> Result<Luks, Failure> {
        if !self.allows(luks.header()) {
            return Err(Failure::not_luks(&output::path(&self.header_path())));
        }
        for warning in luks.warnings() {
            output::aside(match warning {
                Warning::Primary(fault) | Warning::Secondary(fault) => format!(
                    "WARNING: one of the two headers is not used ({fault}). Action repair writes it anew."
                ),
                Warning::Epoch(_) => {
                    format!("WARNING: {warning}. Action repair begins to count anew.")
                }
                other => format!("WARNING: {other}."),
            });
        }
        if let Err(error) = luks.check_encrypted() {
            output::aside(format_args!("WARNING: {error}."));
        }
        Ok(luks)
    }

    /// Asks whether to go on, where somebody is there to be asked; anything but YES is `declined`.
    pub(super) fn confirm(
        &self,
        question: &str,
        declined: impl FnOnce() -> Failure,
    ) -> Result<(), Failure> {
        if self.is_batch() || !io::stdin().is_terminal() {
            return Ok(());
        }
        output::text(&format!(
            "\nWARNING!\n========\n{question}\n\nAre you sure? (Type 'yes' in capital letters): "
        ))?;
        if typed_line()? == "YES" {
            Ok(())
        } else {
            Err(declined())
        }
    }
}

/// The container in `storage`.
pub(super) fn container_in(name: &str, storage: &Arc<dyn Storage>) -> Result<Luks, Failure> {
    let luks = Luks::open(Arc::clone(storage))
        .map_err(|error| Failure::of_image(name, error, &**storage))?;
    check_unambiguous(&luks, &**storage)?;
    Ok(luks)
}

/// Refuses a second header where something else stands in place of the first one: it may be all that is left of a
/// container, and what is there now is somebody else's.
pub(super) fn check_unambiguous(luks: &Luks, storage: &dyn Storage) -> Result<(), Failure> {
    let is_lost = |warning: &Warning| matches!(warning, Warning::Primary(_));
    let is_other = |found: &Found| found.content.type_name() != "crypto_LUKS";
    if luks.warnings().iter().any(is_lost)
        && look(storage).is_ok_and(|found| found.iter().any(is_other))
    {
        return Err(Failure::wrong(
            "Device contains ambiguous signatures, cannot auto-recover LUKS2.",
        )
        .and("Action repair says what stands there."));
    }
    Ok(())
}

/// Prints a line of the result.
pub(super) fn say(line: impl AsRef<str>) -> Result<(), Failure> {
    Ok(output::text(&format!("{}\n", line.as_ref()))?)
}

/// Opens a file or a device for reading.
pub(super) fn open_for_reading(path: &std::path::Path) -> Result<Arc<dyn Storage>, Failure> {
    let name = output::path(path);
    let kind = path.metadata().map_err(|_| Failure::missing(&name))?;
    let kind = kind.file_type();
    if !kind.is_file() && !std::os::unix::fs::FileTypeExt::is_block_device(&kind) {
        return Err(Failure::new(
            Exit::BadImage,
            format!("Device {name} is not compatible."),
        ));
    }
    let storage = FileStorage::open(path, Access::Read).map_err(|_| Failure::missing(&name))?;
    Ok(Arc::new(storage))
}

/// A line of the terminal that standard input is, byte by byte: what follows stays there.
fn typed_line() -> Result<String, Failure> {
    let line = SecretBuffer::read_line(&mut StandardInput, u64::MAX)
        .map_err(|_| Failure::wrong("Error reading response from terminal."))?;
    let line = line.unwrap_or_default();
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// A file of a key, and how much of it counts.
pub(super) fn source(file: Option<&OsStr>, offset: Option<u64>, size: Option<u64>) -> KeySource {
    KeySource {
        from: options::key_from(file, None),
        offset: offset.unwrap_or(0),
        size: size.filter(|size| *size != 0),
        ..KeySource::default()
    }
}
