//! Everything that ends a command early, and with which exit code.

use std::io::{self, Write};
use std::ops::RangeInclusive;

use clap::builder::styling::{AnsiColor, Style};
use luks::kdf::Excess;
use volume::Storage;

use crate::advice;
use crate::change::ChangeError;
use crate::change::named::is_exchanged;
use crate::descriptors::Closed;
use crate::destination::DestinationError;
use crate::exit::Exit;
use crate::output::{self, OutputError};
use crate::passphrase::KeyError;
use crate::plain::PlainError;
use crate::policy::PolicyError;
use crate::source::SourceError;
use crate::transfer::TransferError;
use jobs::instead::{Instead, quoted};

/// Why a command ended early. Each kind knows its exit code and, where something can be done about it, what.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The destination.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// The image whose header is to be changed.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The key or passphrase.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The new key or passphrase, where there are two.
    #[error(transparent)]
    NewKey(KeyError),
    /// The options of a plain container.
    #[error(transparent)]
    Plain(#[from] PlainError),
    /// A cipher or hash that is none, is not built, or does not take the key.
    #[error(transparent)]
    Cipher(#[from] dmcrypt::Error),
    /// A descriptor that the command line names.
    #[error(transparent)]
    Descriptor(#[from] Closed),
    /// The policy that a header is to be held to.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The copy of the payload.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// The LUKS container.
    #[error("{name}: {error}")]
    Luks {
        /// The container.
        name: String,
        /// What is wrong with it.
        #[source]
        error: Box<luks::Error>,
    },
    /// No LUKS container, in an image that can be looked at.
    #[error("{name}: {}{instead}", luks::Error::NotLuks)]
    NotLuks {
        /// The image.
        name: String,
        /// What it is.
        instead: Box<Instead>,
    },
    /// Two options, or an option and an operand, that exclude each other.
    #[error("{one} does not go with {other}")]
    Conflict {
        /// One of them.
        one: &'static str,
        /// The other.
        other: &'static str,
    },
    /// An option that may stand twice stands more often.
    #[error("{option} stands {times} times, for two images")]
    TooOften {
        /// The option.
        option: &'static str,
        /// How often it stands.
        times: usize,
    },
    /// An image cannot be compared to its end.
    #[error("{name}: cannot read at byte {offset}: {source}")]
    Compare {
        /// The image.
        name: String,
        /// Where in its plaintext.
        offset: u64,
        /// The system's reason.
        source: io::Error,
    },
    /// Parts of an image could not be read, and the job went on without them.
    #[error("{source_name}: {bytes} bytes in {places} places cannot be read: {result}")]
    Lost {
        /// The image.
        source_name: String,
        /// How much is lost.
        bytes: u64,
        /// In how many runs.
        places: usize,
        /// What there is instead.
        result: String,
    },
    /// `--direct` on a file system that has no such access.
    #[error("cannot move data of {name} past the page cache: {source}")]
    Direct {
        /// The image.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A container that `verify` found wrong.
    #[error("{name} is not sound: {}", .problems.join("; "))]
    NotSound {
        /// The container.
        name: String,
        /// Each thing that is wrong.
        problems: Vec<String>,
    },
    /// `--type` says something else than the header.
    #[error("{name} is {found}, which is not the type asked for")]
    OtherType {
        /// The container.
        name: String,
        /// What it is.
        found: &'static str,
    },
    /// A header whose data are in another file, taken for a container.
    #[error("{name} is a detached header: its data lie in another file")]
    Detached {
        /// The header.
        name: String,
    },
    /// A new container whose size nobody said.
    #[error("no size is given")]
    NoSize,
    /// A payload that is no whole number of sectors.
    #[error("a payload of {bytes} bytes is no multiple of the sector size {sector_bytes}")]
    PayloadSize {
        /// The size asked for.
        bytes: u64,
        /// The sector size.
        sector_bytes: u64,
    },
    /// A container that has no room for its header.
    #[error("a container of {bytes} bytes has no room for its header, which needs {needed}")]
    ContainerSize {
        /// The size asked for.
        bytes: u64,
        /// What the header needs.
        needed: u64,
    },
    /// A payload that ends where no file can end.
    #[error("a payload of {bytes} bytes at {offset} ends beyond 2^63 bytes, where no file does")]
    BeyondFiles {
        /// Size of the payload.
        bytes: u64,
        /// Where it starts.
        offset: u64,
    },
    /// `--size` ends within a sector.
    #[error("size of {bytes} bytes: {source}")]
    Size {
        /// The size asked for.
        bytes: u64,
        /// What does not fit.
        source: volume::Error,
    },
    /// A cipher that encrypts nothing, in a container that somebody reads.
    #[error("the null cipher encrypts nothing")]
    NullCipher,
    /// A cipher that no new container should have, and nobody allowed it.
    #[error("{cipher}: {risk}")]
    RiskyCipher {
        /// The specification.
        cipher: String,
        /// What is wrong with it.
        risk: &'static str,
    },
    /// The passphrase does not fit as it was given, and mistakes that people make explain it.
    #[error("{name}: no key fits: not this passphrase, but {mistakes} it opens keyslot {keyslot}")]
    Explained {
        /// The container.
        name: String,
        /// The keyslot that it opens then.
        keyslot: u32,
        /// What was done to it.
        mistakes: String,
    },
    /// No keyslot that could be tried has its key material any more.
    #[error("{name}: {what}")]
    Overwritten {
        /// The container.
        name: String,
        /// Which, and where.
        what: String,
    },
    /// A key size that is no number of bytes.
    #[error("a key size of {bits} bits is no whole number of bytes")]
    KeyBits {
        /// The size asked for.
        bits: u32,
    },
    /// A key derivation that nobody would wait for.
    #[error(
        "{kdf} takes longer than {minutes} minutes on most machines, which nobody would wait for"
    )]
    KdfTooCostly {
        /// The key derivation with its costs.
        kdf: String,
        /// The longest time.
        minutes: u64,
    },
    /// A sector size that dm-crypt does not have.
    #[error("sector size {bytes} is none of 512, 1024, 2048 and 4096")]
    SectorSize {
        /// The size asked for.
        bytes: u32,
    },
    /// A limit that the environment sets, and that is none.
    #[error(
        "{name} is \"{value}\", which is no number of {unit} from {} to {}",
        .range.start(),
        .range.end()
    )]
    Environment {
        /// The variable.
        name: &'static str,
        /// What it is set to.
        value: String,
        /// What it counts.
        unit: &'static str,
        /// What it may be.
        range: RangeInclusive<u64>,
    },
    /// Sectors in which Linux cannot use what is in the image.
    #[error("{name} holds {found}: Linux cannot use that in sectors of {bytes} bytes")]
    SectorTooLarge {
        /// The image.
        name: String,
        /// What is in it.
        found: String,
        /// The sector size asked for.
        bytes: u32,
        /// The largest that would do.
        limit: u32,
    },
    /// A generated file cannot be written.
    #[error("cannot write {name}: {source}")]
    Generate {
        /// Which.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A result cannot be printed.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// One of the standard streams was closed when the program was started.
    #[error("{name} is closed")]
    ClosedStream {
        /// Which.
        name: &'static str,
    },
    /// The system has no random bytes to give.
    #[error("the system gives no random bytes")]
    NoRandomBytes,
    /// Signals cannot be taken.
    #[error("cannot handle signals: {0}")]
    Signals(#[source] io::Error),
}

impl Error {
    /// What is wrong with the container that messages call `name`.
    pub fn luks(name: &str, error: luks::Error) -> Self {
        Self::Luks {
            name: name.to_owned(),
            error: Box::new(error),
        }
    }

    /// The same of a container whose bytes are in `storage`: where it is none, that is looked at.
    pub fn of_image(name: &str, error: luks::Error, storage: &dyn Storage) -> Self {
        match error {
            luks::Error::NotLuks => Self::NotLuks {
                name: name.to_owned(),
                instead: Box::new(Instead::look(storage)),
            },
            error => Self::luks(name, error),
        }
    }

    /// Prints it on standard error: first what is wrong, then, where there is one, a line that says what to do; or for
    /// programs all of that as one line of JSON. `verb` ends with `exit`.
    pub fn report(&self, verb: &str, exit: Exit) {
        let advice = self
            .advice()
            .and_then(|advice| advice::fitting(&advice, verb));
        if output::speaks_json() {
            output::error(verb, exit, &self.to_string(), advice.as_deref());
            return;
        }
        self.tell();
        if let Some(advice) = advice {
            output::done(advice);
        }
    }

    /// Prints on standard error what is wrong, for people, where it is not the end yet.
    pub fn tell(&self) {
        const RED: Style = AnsiColor::Red.on_default().bold();
        let what = output::escape(&self.to_string());
        let _ = writeln!(anstream::stderr().lock(), "{RED}luksmith:{RED:#} {what}");
    }

    /// How the program ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Source(error) => error.exit(),
            Self::Destination(error) => error.exit(),
            Self::Change(error) => error.exit(),
            Self::Key(error) | Self::NewKey(error) => error.exit(),
            Self::Plain(error) => error.exit(),
            Self::Transfer(error) => error.exit(),
            Self::Luks { error, .. } => luks_exit(error),
            Self::Explained { .. } => Exit::NoKeyFits,
            Self::OtherType { .. }
            | Self::Compare { .. }
            | Self::Lost { .. }
            | Self::NotSound { .. }
            | Self::Overwritten { .. }
            | Self::NotLuks { .. }
            | Self::Detached { .. } => Exit::BadImage,
            Self::Descriptor(_)
            | Self::Conflict { .. }
            | Self::TooOften { .. }
            | Self::NoSize
            | Self::PayloadSize { .. }
            | Self::ContainerSize { .. }
            | Self::BeyondFiles { .. }
            | Self::Size { .. }
            | Self::KeyBits { .. }
            | Self::Cipher(_)
            | Self::Policy(_)
            | Self::NullCipher
            | Self::RiskyCipher { .. }
            | Self::SectorSize { .. }
            | Self::Environment { .. }
            | Self::SectorTooLarge { .. }
            | Self::KdfTooCostly { .. }
            | Self::Generate { .. }
            | Self::Output(_)
            | Self::Direct { .. }
            | Self::ClosedStream { .. }
            | Self::NoRandomBytes
            | Self::Signals(_) => Exit::Wrong,
        }
    }

    /// What to do about it, where something can be done.
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Source(error) => error.advice(),
            Self::Destination(error) => error.advice(),
            Self::Change(error) => error.advice(),
            Self::Key(error) => error.advice(),
            // The options of the other key are called the same but for the word.
            Self::NewKey(error) => error.advice().map(|advice| {
                advice
                    .replace("--key-file", "--new-keyfile")
                    .replace("--key-fd", "--new-key-fd")
                    .replace("--keyfile-", "--new-keyfile-")
            }),
            Self::Plain(error) => error.advice(),
            Self::Transfer(error) => error.advice(),
            Self::Policy(error) => error.advice(),
            Self::Luks { error, .. } => luks_advice(error),
            Self::NotLuks { name, instead } => instead_advice(instead, name),
            Self::Cipher(error) => key_size_advice(error),
            Self::NullCipher => Some("--allow-unencrypted reads it all the same".to_owned()),
            Self::RiskyCipher { .. } => {
                Some("--allow-weak-cipher makes such a container".to_owned())
            }
            Self::Detached { name } => Some(format!(
                "decrypt DATA --header {name} reads the file with the data"
            )),
            Self::SectorTooLarge { limit, .. } => Some(format!(
                "--sector-size {limit} can be used, and is taken where none is given; --allow-any-sector-size makes such a \
                 container"
            )),
            Self::KdfTooCostly { .. } => Some(
                "give --pbkdf-force-iterations a smaller number, or --iter-time the milliseconds that it may take"
                    .to_owned(),
            ),
            Self::Direct { .. } => Some("leave --direct out".to_owned()),
            Self::ClosedStream { .. } => {
                Some("open it on /dev/null where it is not wanted".to_owned())
            }
            Self::Overwritten { .. } => Some(
                "header restore brings it back where there is a backup of the header from before"
                    .to_owned(),
            ),
            Self::NoSize => Some("give --payload-size SIZE or --container-size SIZE".to_owned()),
            Self::Descriptor(_)
            | Self::Conflict { .. }
            | Self::TooOften { .. }
            | Self::Compare { .. }
            | Self::Lost { .. }
            | Self::NotSound { .. }
            | Self::OtherType { .. }
            | Self::PayloadSize { .. }
            | Self::ContainerSize { .. }
            | Self::BeyondFiles { .. }
            | Self::Size { .. }
            | Self::Explained { .. }
            | Self::KeyBits { .. }
            | Self::SectorSize { .. }
            | Self::Environment { .. }
            | Self::Generate { .. }
            | Self::Output(_)
            | Self::NoRandomBytes
            | Self::Signals(_) => None,
        }
    }
}

/// What to do with the image that messages call `name`, which is no LUKS container.
fn instead_advice(instead: &Instead, name: &str) -> Option<String> {
    if !instead.looks_random() {
        return instead.way(name);
    }
    Some(format!(
        "it looks random, as a plain container does, which has no header (decrypt --type plain reads one, given its \
         cipher and key size), or the data of a detached header (decrypt --header FILE {})",
        quoted(name)
    ))
}

fn luks_exit(error: &luks::Error) -> Exit {
    match error {
        luks::Error::Io { source, .. } if is_exchanged(source) => Exit::ExistsOrBusy,
        luks::Error::NoKeyFits { .. } => Exit::NoKeyFits,
        luks::Error::OutOfMemory { .. } => Exit::OutOfMemory,
        luks::Error::Busy | luks::Error::Changed => Exit::ExistsOrBusy,
        luks::Error::NoUsableKeyslot(_)
        | luks::Error::LastKeyslot { .. }
        | luks::Error::Cancelled
        | luks::Error::InvalidOption(_)
        | luks::Error::Random(_) => Exit::Wrong,
        _ => Exit::BadImage,
    }
}

fn luks_advice(error: &luks::Error) -> Option<String> {
    let advice = match error {
        luks::Error::InvalidOption(luks::InvalidOption::Cipher(error)) => {
            return key_size_advice(error);
        }
        luks::Error::TooCostly { refused } => {
            return Some(cost_advice(refused.iter().map(|(_, excess)| excess)));
        }
        luks::Error::NullCipher { .. } => "--allow-unencrypted reads it all the same",
        luks::Error::InvalidOption(luks::InvalidOption::VolumeKeyTail { .. }) => {
            "--volume-key-size BITS says which it is"
        }
        luks::Error::Linear { .. } => {
            "whoever wrote the header chose what is read there; --allow-unencrypted reads it all the same"
        }
        luks::Error::Corrupt(luks::Corrupt::EpochEnd { .. }) => {
            "header repair begins to count anew"
        }
        luks::Error::NeedsRecovery { .. } => {
            "let the program that began the reencryption finish it"
        }
        luks::Error::NoUsableKeyslot(_) => "--key-slot N tries a keyslot that is not tried unasked",
        luks::Error::Overwritten { .. } => {
            "header repair writes that copy anew, --force with it over whatever is there now"
        }
        luks::Error::Refused(luks::Refused::BackupDiffers(_)) => {
            "--force restores it all the same; is it the backup of this container?"
        }
        luks::Error::Refused(luks::Refused::BackupShort { .. }) => {
            "--force restores what it has; decrypt IMG --header BACKUP reads the data with it and writes nothing"
        }
        luks::Error::Refused(luks::Refused::BackupInReencryption(_)) => {
            "--force restores it all the same, if nothing was reencrypted since"
        }
        luks::Error::Refused(luks::Refused::BackupDamaged(_)) => {
            "--force restores it with both copies made from the sound one"
        }
        luks::Error::Refused(luks::Refused::Conversion {
            obstacle: luks::ConversionObstacle::NoRoomToMove { .. },
            ..
        }) => "remove a keyslot first; its place is needed",
        luks::Error::Refused(luks::Refused::Foreign { .. }) => "--force repairs it all the same",
        luks::Error::Refused(luks::Refused::Shifted { at, place }) => {
            return Some(shift_advice(*at, *place));
        }
        luks::Error::Refused(luks::Refused::Unproven { is_whole: true, .. }) => {
            "--force writes both header copies from it; copy the image's first MiB elsewhere before"
        }
        luks::Error::Refused(luks::Refused::Unproven { .. }) => {
            "header restore brings a backup back; without one keep the image as it is, its data are still there"
        }
        luks::Error::OutOfMemory { .. } => {
            "free some memory, or open the container on a larger machine"
        }
        _ => return None,
    };
    Some(advice.to_owned())
}

/// Keys have bytes, and their option counts bits.
fn key_size_advice(error: &dmcrypt::Error) -> Option<String> {
    let dmcrypt::Error::KeySize { expected, .. } = error else {
        return None;
    };
    let word = |word: &str| {
        let digits = word.trim_end_matches(',');
        digits.parse::<u64>().map_or_else(
            |_| word.to_owned(),
            |bytes| format!("{}{}", bytes * 8, &word[digits.len()..]),
        )
    };
    let bits: Vec<_> = expected.split(' ').map(word).collect();
    Some(format!("--key-size is in bits: {}", bits.join(" ")))
}

/// How everything gets back to its place.
fn shift_advice(at: u64, place: u64) -> String {
    let bytes = at.abs_diff(place);
    let way = if at < place {
        format!(
            "head -c {at} IMG, {bytes} zeros and tail -c +{} IMG",
            at + 1
        )
    } else {
        format!("head -c {place} IMG and tail -c +{} IMG", at + 1)
    };
    format!(
        "{way}, one behind the other, make a copy in which all is at its place, for header repair"
    )
}

/// What would allow each kind of excess that there is, each kind once.
fn cost_advice<'a>(excesses: impl Iterator<Item = &'a Excess>) -> String {
    let mut ways: Vec<&str> = Vec::new();
    for excess in excesses {
        let way = match excess {
            Excess::Memory { .. } => {
                "--max-kdf-memory KIB allows more memory, if you trust the image"
            }
            Excess::Work { .. } => "--max-kdf-time MS allows more time, if you trust the image",
            Excess::Total { .. } => {
                "--key-slot N tries one keyslot alone; --max-kdf-time MS allows more time"
            }
            Excess::Lanes { .. } => "no option allows more lanes: cryptsetup writes no more than 4",
        };
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    ways.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_about_costs_is_about_what_is_exceeded() {
        let lanes = Excess::Lanes {
            need: 1000,
            limit: 4,
        };
        let memory = Excess::Memory {
            need_kib: 2,
            limit_kib: 1,
        };
        let work = Excess::Work { times: 3 };
        assert_eq!(
            cost_advice([&lanes].into_iter()),
            "no option allows more lanes: cryptsetup writes no more than 4"
        );
        let both = cost_advice([&memory, &work, &memory].into_iter());
        assert_eq!(both.matches("--max-kdf-memory").count(), 1);
        assert_eq!(both.matches("--max-kdf-time").count(), 1);
        assert!(cost_advice([&Excess::Total { slots: 10 }].into_iter()).contains("--key-slot"));
    }
}
