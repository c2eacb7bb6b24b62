//! What can be done about an error, as options of the verbs and programs of others.

use std::io;
use std::path::Path;

use jobs::block;
use jobs::error::{
    ChangeError, CloneError, DestinationError, ImageError, InPlaceError, MappingError, Meant,
    PlainError, PolicyError, QcowError, SourceError, TransferError,
};
use jobs::in_place::header_file;
use jobs::instead::{Instead, quoted};
use jobs::key_source::KeyError;
use jobs::policy::{BUILTIN, BUILTINS};
use luks::SealProblem;
use luks::kdf::Excess;
use recognise::Class;
use volume::{CopyError, is_bad_place};

use crate::commands::in_place::resume_command;
use crate::error::{Error, mount_advice};
use crate::output;
use crate::passphrase::PassphraseError;

/// What to do about it, where something can be done.
pub(super) fn of(error: &Error) -> Option<String> {
    let advice = match error {
        Error::Job(error) => return of_job(error),
        Error::Key(error) => of_passphrase(error)?,
        // The options of the other key are called the same but for the word.
        Error::NewKey(error) => {
            return of_passphrase(error).map(|advice| {
                advice
                    .replace("--key-file", "--new-keyfile")
                    .replace("--key-fd", "--new-key-fd")
                    .replace("--keyfile-", "--new-keyfile-")
            });
        }
        Error::NeedsAnswer { .. } => "-q (--batch-mode) says yes to it",
        Error::NotAll { first, .. } => return of(first.as_ref()?),
        Error::Conflict {
            one,
            other: "--count",
        } => of_many(one)?,
        Error::Serve(error) => error.advice()?,
        Error::Mount(error) => return mount_advice(error),
        Error::ClosedStream { .. } => "open it on /dev/null where it is not wanted",
        Error::Overwritten { .. } => {
            "header restore brings it back where there is a backup of the header from before"
        }
        _ => return None,
    };
    Some(advice.to_owned())
}

/// Why an option is not for many clones.
fn of_many(option: &str) -> Option<&'static str> {
    Some(match option {
        "--uuid" => "leave it out: each clone gets a UUID of its own, and --manifest FILE tells it",
        "--new-header" => {
            "leave it out: one file is the header of one clone, and with --count each has its own inside"
        }
        "--recovery-key" => "--recovery-key-dir DIR takes a key of each",
        "--error-map" => {
            "leave it out: SRC may be read more than once, and --manifest FILE tells for each clone what it lacks"
        }
        _ => return None,
    })
}

fn of_passphrase(error: &PassphraseError) -> Option<&'static str> {
    match error {
        PassphraseError::Source(error) => of_key(error),
        PassphraseError::NoTerminal(_) => Some(GIVE_KEY),
        PassphraseError::LineTooLong => Some("put it into a file and use --key-file FILE"),
        _ => None,
    }
}

fn of_key(error: &KeyError) -> Option<&'static str> {
    match error {
        KeyError::TooLong { .. } => Some("--keyfile-size N reads the first N bytes"),
        KeyError::StdinIsData => Some(GIVE_KEY),
        KeyError::OpenFormat { .. } => Some(SAY_FORMAT),
        KeyError::Nothing { .. } => Some("an empty passphrase is an empty line"),
        _ => None,
    }
}

const SAY_FORMAT: &str = "say it with --key-format";
const GIVE_KEY: &str = "give the key with --key-file FILE or --key-fd N";

fn of_job(error: &jobs::Error) -> Option<String> {
    let advice = match error {
        jobs::Error::Source(error) => return source(error),
        jobs::Error::Destination(error) => return destination(error),
        jobs::Error::Qcow(error) => return qcow(error),
        jobs::Error::Change(error) => return change(error),
        jobs::Error::Transfer(error) => return transfer(error),
        jobs::Error::Policy(error) => return policy(error),
        jobs::Error::Plain(PlainError::OpenFormat) => SAY_FORMAT,
        jobs::Error::Plain(PlainError::Missing { what }) => {
            let option = match *what {
                PlainError::CIPHER => "--cipher",
                PlainError::KEY_SIZE => "--key-size",
                _ => "--hash",
            };
            return Some(format!(
                "give it with {option}, or take cryptsetup's defaults with --compat 2.6 or --compat 2.7"
            ));
        }
        jobs::Error::Luks { error, .. } => return of_luks(error),
        jobs::Error::NotLuks { name, instead } => {
            if let Some(way) = of_header_beside(name) {
                return Some(way);
            }
            let raw = "--source-type raw makes a container of a raw image".to_owned();
            return Some(match of_instead(instead, name) {
                Some(way) => format!("{way}; {raw}"),
                None => raw,
            });
        }
        jobs::Error::Clone(error) => return clone(error),
        jobs::Error::Image(error) => return new_image(error),
        jobs::Error::Mapping(error) => return mapping(error),
        jobs::Error::InPlace(error) => return in_place(error),
        jobs::Error::Cipher(error) => return of_key_size(error),
        jobs::Error::Secret(error) => {
            let error = error.get_ref();
            if let Some(error) = error.downcast_ref::<Error>() {
                return of(error);
            }
            match error.downcast_ref::<PassphraseError>() {
                Some(error) => of_passphrase(error)?,
                None => of_key(error.downcast_ref()?)?,
            }
        }
        jobs::Error::Detached { name } => {
            return Some(format!(
                "decrypt DATA --header {name} reads the file with the data"
            ));
        }
        jobs::Error::SectorTooLarge { limit, .. } => {
            return Some(format!(
                "--sector-size {limit} can be used, and is taken where none is given; --allow-any-sector-size makes such a \
                 container"
            ));
        }
        jobs::Error::NullCipher => "--allow-unencrypted reads it all the same",
        jobs::Error::RiskyCipher { .. } => "--allow-weak-cipher makes such a container",
        jobs::Error::EmptyPassphrase { .. } => {
            "--allow-empty-passphrase makes one that opens with an empty passphrase"
        }
        jobs::Error::KdfTooCostly { .. } => {
            "give --pbkdf-force-iterations a smaller number, or --iter-time the milliseconds that it may take"
        }
        jobs::Error::Direct { .. } => "leave --direct out",
        jobs::Error::NoSize => "give --payload-size SIZE or --container-size SIZE",
        _ => return None,
    };
    Some(advice.to_owned())
}

fn clone(error: &CloneError) -> Option<String> {
    let advice = match error {
        CloneError::SmallerKey { .. } => "--allow-smaller-key makes such a clone",
        CloneError::WeakerCipher { .. } => "--allow-weak-cipher makes such a clone",
        CloneError::CheaperKdf { .. } => "--allow-cheaper-kdf makes such a clone",
        CloneError::Cut { .. } => "--allow-cut cuts them off",
        CloneError::Pattern { .. } => "dev-{index:04}.luks is one",
        CloneError::NoFolder { .. } => "make it first; with --count DST is the folder for all",
        CloneError::NoRoom { .. } => "make room, or choose another place for the destination",
        _ => return None,
    };
    Some(advice.to_owned())
}

fn mapping(error: &MappingError) -> Option<String> {
    let advice = match error {
        MappingError::NoDeviceMapper { .. } | MappingError::NoDmCrypt => {
            "decrypt IMG DST copies the plaintext into a file, with no help of the kernel"
        }
        MappingError::NotPermitted { .. } => {
            "root may; decrypt IMG DST copies the plaintext into a file, as any user"
        }
        MappingError::Active { .. } => "choose another name; close NAME ends it",
        MappingError::NoTable { .. } => "close NAME takes it away",
        MappingError::InUse { .. } => {
            return Some(format!("{}; --shared maps it all the same", block::RELEASE));
        }
        MappingError::Held { .. } => {
            "unmount it first; --deferred has it go when nobody uses it any more"
        }
        MappingError::Foreign { .. } => "dmsetup remove takes it away",
        MappingError::NotSuspended { .. } => "status NAME tells what it is",
        MappingError::Suspended { .. } => "mapping resume NAME gives it its key again",
        MappingError::OtherHeader { .. } => "--header FILE says which header it is",
        MappingError::Keyring { .. } => "--disable-keyring gives it the key in the table",
        _ => return None,
    };
    Some(advice.to_owned())
}

fn in_place(error: &InPlaceError) -> Option<String> {
    let advice = match error {
        InPlaceError::UnderWay { name, header } | InPlaceError::Stopped { name, header, .. } => {
            return Some(goes_on(name, header.as_deref()));
        }
        InPlaceError::HeaderBeside { name, header } => return Some(goes_on(name, Some(header))),
        InPlaceError::HeaderOfAnother { .. } => "--header FILE says which header it is",
        InPlaceError::NoKeyLeft { .. } => {
            "the data are plaintext already, and the header file may be removed; a volume key proves it: --volume-key-file"
        }
        InPlaceError::OneKey { .. } => {
            "--key-slot N keeps that one and drops the others; without --key-file and --key-fd each passphrase is asked for"
        }
        InPlaceError::Rest { .. } => "--force lets them",
        InPlaceError::CannotGrow { .. } => {
            "--reduce-device-size SIZE gives up its last bytes; --header FILE puts the header elsewhere"
        }
        InPlaceError::NoRoom { .. } => "make room on it",
        InPlaceError::Limit { .. } => "raise the limit: ulimit -f unlimited",
        InPlaceError::CryptsetupHas { .. } => "wait for it, or stop it",
        InPlaceError::Broken {
            name,
            header,
            error,
        } => {
            let way = goes_on(name, header.as_deref());
            let is_full = matches!(&**error, luks::Error::Io { source, .. }
                if source.kind() == io::ErrorKind::StorageFull);
            return Some(if is_full {
                format!("make room on it; {way}")
            } else {
                format!(
                    "first drop the page cache (echo 1 >/proc/sys/vm/drop_caches as root) or reboot, since it may hold \
                     what the disk does not; {way}"
                )
            });
        }
        _ => return None,
    };
    Some(advice.to_owned())
}

/// What to do with an image that has no header, and a job in place that has left it in the file beside.
fn of_header_beside(name: &str) -> Option<String> {
    let beside = header_file::beside(Path::new(name), false);
    beside.is_file().then(|| {
        let header = output::path(&beside);
        let way = if header_file::is_of_detached(&beside) {
            goes_on("IMG", Some(name))
        } else {
            goes_on(name, None)
        };
        format!("its header is in {header}: {way}")
    })
}

fn goes_on(name: &str, header: Option<&str>) -> String {
    format!("{} goes on", resume_command(name, header))
}

fn source(error: &SourceError) -> Option<String> {
    let advice = match error {
        SourceError::Busy { .. } => {
            "stop the other process, or read a state that may be torn with --read-in-use"
        }
        SourceError::NotRaw { content, .. } if content.class() == Class::Image => {
            return Some(raw_image_of(content.name()));
        }
        SourceError::NotRaw {
            meant: Meant::Plain,
            ..
        } => "leave --type plain out to open it; --allow-any-source decrypts its bytes as they are",
        SourceError::NotRaw { .. } => "--allow-any-source encrypts its bytes as they are",
        SourceError::Read { source, .. } if is_bad_place(source) => GO_ON,
        SourceError::Empty { .. } => "--allow-empty makes a container all the same",
        SourceError::PartialSector { .. } => "--pad fills the last sector with zeros",
        _ => return None,
    };
    Some(advice.to_owned())
}

fn destination(error: &DestinationError) -> Option<String> {
    let advice = match error {
        DestinationError::Exists {
            replaceable: true, ..
        } => "--force replaces it once the new one is complete",
        DestinationError::TwoExist { .. } => {
            "remove one of them, or name a header that does not exist yet"
        }
        DestinationError::Symlink { name } if name == "/dev/stdout" => "`-` is standard output",
        DestinationError::Symlink { .. } => "name the file itself",
        DestinationError::Terminal { .. } => "redirect it, or name a file",
        DestinationError::DeviceHolds { .. } => "--overwrite-device writes over it",
        DestinationError::InUse { .. } => block::RELEASE,
        _ => return None,
    };
    Some(advice.to_owned())
}

fn transfer(error: &TransferError) -> Option<String> {
    match &error.error {
        CopyError::PartialSector { .. } => {
            Some("--pad fills the last sector with zeros".to_owned())
        }
        CopyError::Write { error, .. } if error.kind() == io::ErrorKind::StorageFull => {
            Some("make room, or choose another place for the destination".to_owned())
        }
        CopyError::Read { error, .. } if is_bad_place(error) => Some(GO_ON.to_owned()),
        _ => None,
    }
}

const GO_ON: &str = "--on-read-error zero goes on, with zeros for what cannot be read";

fn policy(error: &PolicyError) -> Option<String> {
    match error {
        PolicyError::Unknown { .. } => {
            let names: Vec<_> = BUILTINS
                .iter()
                .map(|(name, _)| format!("{BUILTIN}{name}"))
                .collect();
            Some(format!("there is {}", names.join(", ")))
        }
        PolicyError::Wrong { .. } => {
            Some("inspect IMG --policy-template writes one that is right".to_owned())
        }
        _ => None,
    }
}

fn change(error: &ChangeError) -> Option<String> {
    let advice = match error {
        ChangeError::Busy { .. } => "stop the other process",
        ChangeError::InUse { .. } => block::RELEASE,
        ChangeError::Exists { .. } => "name a file that does not exist yet",
        ChangeError::HoldsData { .. } => {
            "--force writes over them: is it the container that the backup was made of?"
        }
        ChangeError::HoldsSomethingElse { .. } => "--force overwrites it",
        _ => return None,
    };
    Some(advice.to_owned())
}

/// What becomes of a source that has a format of its own.
fn raw_image_of(content: &str) -> String {
    let other = "make a raw image of it (qemu-img convert -O raw), or take its bytes as they are with --allow-any-source";
    if content == QCOW2 {
        format!("{FROM_QCOW2}; {other}")
    } else {
        other.to_owned()
    }
}

const QCOW2: &str = "a qcow2 image";
const FROM_QCOW2: &str = "--from qcow2 reads the disk in it";

fn new_image(error: &ImageError) -> Option<String> {
    let advice = match error {
        ImageError::Luks2 => {
            "--type luks1 makes one; --to luks makes a container whatever its name is"
        }
        ImageError::QemuLacks { .. } => "--to luks makes a container, which is not for QEMU",
        ImageError::SizeUnknown { .. } => "--size SECTORS gives it",
        _ => return None,
    };
    Some(advice.to_owned())
}

fn qcow(error: &QcowError) -> Option<String> {
    let advice = match error {
        QcowError::NotAllowed { .. } => {
            "--allow-backing reads it too, where the image and what lies beside it can be trusted"
        }
        QcowError::Encrypted { .. } => "clone --from qcow2 makes a container of what is encrypted",
        QcowError::Refers { reason, .. } if reason.contains("its format is not said") => {
            "qemu-img rebase -u -F FORMAT says it"
        }
        QcowError::Image { error, .. } => match **error {
            qcow2::Error::NoSnapshot(_) => "inspect IMG --from qcow2 lists them",
            qcow2::Error::Magic => "leave --from qcow2 out",
            _ => return None,
        },
        _ => return None,
    };
    Some(advice.to_owned())
}

/// What to do with the image that messages call `name`, which is no LUKS container.
fn of_instead(instead: &Instead, name: &str) -> Option<String> {
    if instead.content_name() == Some(QCOW2) {
        let way = instead.way(name)?;
        return Some(format!("{FROM_QCOW2}; {way}"));
    }
    if !instead.looks_random() {
        return instead.way(name);
    }
    Some(format!(
        "it looks random, as a plain container does, which has no header (decrypt --type plain reads one, given its \
         cipher and key size), or the data of a detached header (decrypt --header FILE {})",
        quoted(name)
    ))
}

/// A header that somebody has changed is not to be used; who knows that it was himself seals it anew.
fn of_seal(problem: &SealProblem) -> Option<&'static str> {
    Some(match problem {
        SealProblem::Missing => {
            "who knows that nobody else has changed the header seals it by header seal IMG"
        }
        SealProblem::Broken | SealProblem::Malformed(_) => {
            "a backup of the header brings back what was sealed; who has made the change himself seals it anew by header \
             seal IMG; --drop-seal changes it and takes the seal out of it"
        }
        SealProblem::Luks1 => "--seal FILE keeps it in a file",
        SealProblem::Copies => "header repair IMG mends it",
        _ => return None,
    })
}

fn of_luks(error: &luks::Error) -> Option<String> {
    let advice = match error {
        luks::Error::InvalidOption(luks::InvalidOption::Cipher(error)) => {
            return of_key_size(error);
        }
        luks::Error::TooCostly { refused } => {
            return Some(cost_advice(refused.iter().map(|(_, excess)| excess)))
                .filter(|advice| !advice.is_empty());
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
        luks::Error::NeedsRecovery { .. } => "luksmith resume IMG finishes it",
        luks::Error::Unfinished(error) => match error {
            luks::Unfinished::Key { .. } => {
                "a second --key-file, or a second --volume-key-file, gives the other key; a second line of standard input does"
            }
            luks::Unfinished::NoDigest => {
                "resume --force goes on with it: only who knows that nobody changed the image should"
            }
            luks::Unfinished::Stream => "copy it into a file first",
            luks::Unfinished::Digest => {
                "let nothing finish it; what is to be trusted is a backup of the header from before"
            }
            _ => "what was written there has to come from a backup of the data",
        },
        luks::Error::Sealed => {
            "give the key with --key-file FILE; --drop-seal takes the seal out of the header"
        }
        luks::Error::Seal(problem) => of_seal(problem)?,
        luks::Error::InvalidOption(luks::InvalidOption::Reencryption(
            luks::ReencryptionObstacle::Sealed,
        )) => {
            "header unseal IMG takes the seal out of it, and header seal IMG makes one afterwards"
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
fn of_key_size(error: &dmcrypt::Error) -> Option<String> {
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
            _ => continue,
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
