//! Mappings: made, told of and taken away, by the ioctls of `/dev/mapper/control`.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use dmcrypt::LockedBytes;
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::Error;
use crate::name::{Identifier, Name};
use crate::node;
use crate::request::{Request, command, flag, to_usize, u32_at, u64_at, until_nul};
use crate::table::{Key, Table, key_message};

/// What udev's rules are told of events that have no cookie: they come from who has made the device, and are no guess.
/// (`DM_UDEV_PRIMARY_SOURCE_FLAG`, in the upper half.)
const UDEV_PRIMARY_SOURCE: u32 = 0x0040 << 16;

/// The node by which everything is asked.
const CONTROL: &str = "/dev/mapper/control";
/// Its number where `/proc/misc` does not tell it: the kernel loads device-mapper when it is opened.
const CONTROL_MAJOR: u32 = 10;
const CONTROL_MINOR: u32 = 236;

/// Bytes of `struct dm_target_spec`.
const TARGET_BYTES: usize = 40;
/// Where in it the type stands.
const TARGET_TYPE: usize = 24;
const TARGET_TYPE_BYTES: usize = 16;
/// What texts behind it are filled up to.
const ALIGNMENT: usize = 8;

/// Device-mapper, open.
pub struct Control {
    file: File,
}

/// What device-mapper tells of a mapping beside its table.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the kernel"
)]
pub struct State {
    /// What it is called.
    pub name: Name,
    /// What it was made of.
    pub identifier: Identifier,
    /// The number of its device.
    pub device: u64,
    /// How often it is open.
    pub open_count: u32,
    /// It maps something.
    pub has_table: bool,
    /// It has a table that is not in use yet.
    pub has_new_table: bool,
    /// What is written waits.
    pub is_suspended: bool,
    /// Nothing can be written.
    pub is_read_only: bool,
    /// It goes when nobody has it open any more.
    pub is_deferred: bool,
}

/// One line of a table, of whatever target.
pub struct Target {
    /// Its type: `crypt`, `linear`.
    pub kind: String,
    /// Where in the mapping it starts, in units of 512 bytes.
    pub start_sectors: u64,
    /// How long it is, in units of 512 bytes.
    pub length_sectors: u64,
    /// What else stands in it: a key, maybe.
    pub text: LockedBytes,
}

impl Control {
    /// Opens it. The node is made where nobody has made it.
    ///
    /// # Errors
    ///
    /// [`Error::NoDeviceMapper`], [`Error::NotPermitted`].
    pub fn open() -> Result<Self, Error> {
        let path = Path::new(CONTROL);
        let opened = open(path).or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                return Err(error);
            }
            node::make(path, FileType::CharacterDevice, control_number())
                .and_then(|()| open(path).inspect_err(|_| drop(fs::remove_file(path))))
        });
        let file = opened.map_err(refused)?;
        Ok(Self { file })
    }

    /// The version of the kernel's target of this type, which it loads where it must; none where it has none.
    ///
    /// # Errors
    ///
    /// [`Error::Mapping`].
    pub fn target_version(&self, kind: &str) -> Result<Option<[u32; 3]>, Error> {
        let mut request = Request::new(1 << 10).named(kind.as_bytes());
        match request.ask(&self.file, command::GET_TARGET_VERSION) {
            // Before it stands where the next one starts (`struct dm_target_versions`).
            Ok(()) => {
                let number = |index: usize| u32_at(request.answer(), 4 + 4 * index).unwrap_or(0);
                Ok(Some([0, 1, 2].map(number)))
            }
            Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => Ok(None),
            Err(error) => Err(failed("find the target", kind.to_owned(), error)),
        }
    }

    /// What is said of a mapping; `None` where there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Mapping`].
    pub fn state(&self, name: &Name) -> Result<Option<State>, Error> {
        let mut request = Request::new(0).named(name.as_bytes());
        let answer = request.ask(&self.file, command::DEV_STATUS);
        found(answer.map(|()| State::of(&request)), name)
    }

    /// The same with the table that is in use.
    ///
    /// # Errors
    ///
    /// [`Error::Mapping`].
    pub fn table(&self, name: &Name) -> Result<Option<(State, Vec<Target>)>, Error> {
        let answer = Request::ask_with_room(&self.file, command::TABLE_STATUS, |room| {
            Request::new(room)
                .named(name.as_bytes())
                .with_flags(flag::STATUS_TABLE | flag::SECURE_DATA)
        });
        found(
            answer.map(|request| (State::of(&request), targets(&request))),
            name,
        )
    }

    /// Every mapping that there is.
    ///
    /// # Errors
    ///
    /// [`Error::Mapping`].
    pub fn names(&self) -> Result<Vec<Name>, Error> {
        let request = Request::ask_with_room(&self.file, command::LIST_DEVICES, Request::new)
            .map_err(|error| failed("list", "mappings".to_owned(), error))?;
        Ok(names(request.answer()))
    }

    /// The numbers of the devices that a mapping is made of.
    ///
    /// # Errors
    ///
    /// [`Error::Mapping`].
    pub fn devices(&self, name: &Name) -> Result<Vec<u64>, Error> {
        let request = Request::ask_with_room(&self.file, command::TABLE_DEPS, |room| {
            Request::new(room).named(name.as_bytes())
        })
        .map_err(|error| failed("tell the devices of", name.to_string(), error))?;
        Ok(devices(request.answer()))
    }

    /// Makes a mapping without a table.
    ///
    /// # Errors
    ///
    /// [`Error::Mapping`]: [`Error::is_busy`] where there is one of this name or identifier.
    pub fn create(&self, name: &Name, identifier: &Identifier) -> Result<State, Error> {
        let request = Request::new(0)
            .named(name.as_bytes())
            .with_uuid(identifier.as_bytes());
        self.ask(request, command::DEV_CREATE, "make", name)
    }

    /// Loads a table, which is not in use before [`Self::resume`].
    ///
    /// # Errors
    ///
    /// [`Error::Mapping`]: [`Error::is_busy`] where somebody else has the device for himself.
    pub fn load(&self, name: &Name, table: &Table, is_read_only: bool) -> Result<State, Error> {
        let text = table.text();
        let bytes = (TARGET_BYTES + text.len() + 1).next_multiple_of(ALIGNMENT);
        let read_only = if is_read_only { flag::READ_ONLY } else { 0 };
        let mut request = Request::new(bytes)
            .named(name.as_bytes())
            .with_flags(flag::SECURE_DATA | read_only)
            .with_targets(1);
        let data = request.data();
        data[8..16].copy_from_slice(&table.length_sectors.to_ne_bytes());
        let next = u32::try_from(bytes).expect("a line is short");
        data[20..24].copy_from_slice(&next.to_ne_bytes());
        data[TARGET_TYPE..TARGET_TYPE + 5].copy_from_slice(b"crypt");
        data[TARGET_BYTES..TARGET_BYTES + text.len()].copy_from_slice(text);
        self.ask(request, command::TABLE_LOAD, "load the table of", name)
    }

    /// Forgets a table that was loaded and is not in use.
    ///
    /// # Errors
    ///
    /// [`Error::Mapping`].
    pub fn clear(&self, name: &Name) -> Result<(), Error> {
        let request = Request::new(0).named(name.as_bytes());
        let forgotten = self.ask(
            request,
            command::TABLE_CLEAR,
            "forget the new table of",
            name,
        );
        forgotten.map(drop)
    }

    /// Has the table that was loaded last, and what waits, go on.
    ///
    /// # Errors
    ///
    /// [`Error::Mapping`].
    pub fn resume(&self, name: &Name) -> Result<State, Error> {
        let request = Request::new(0)
            .named(name.as_bytes())
            .with_event(UDEV_PRIMARY_SOURCE);
        self.ask(request, command::DEV_SUSPEND, "resume", name)
    }

    /// Has everything wait, with what is under way written: the file system above is frozen.
    ///
    /// # Errors
    ///
    /// [`Error::Mapping`].
    pub fn suspend(&self, name: &Name) -> Result<State, Error> {
        let request = Request::new(0)
            .named(name.as_bytes())
            .with_flags(flag::SUSPEND);
        self.ask(request, command::DEV_SUSPEND, "suspend", name)
    }

    /// Makes a suspended mapping forget its key.
    ///
    /// # Errors
    ///
    /// [`Error::Mapping`].
    pub fn wipe_key(&self, name: &Name) -> Result<(), Error> {
        self.message(name, b"key wipe", "wipe the key of")
    }

    /// Gives a suspended mapping its key.
    ///
    /// # Errors
    ///
    /// [`Error::Mapping`].
    pub fn set_key(&self, name: &Name, key: &Key<'_>) -> Result<(), Error> {
        self.message(name, &key_message(key), "set the key of")
    }

    /// Takes back that a mapping goes when nobody has it open any more.
    ///
    /// # Errors
    ///
    /// [`Error::Mapping`].
    pub fn cancel_deferred(&self, name: &Name) -> Result<(), Error> {
        self.message(name, b"@cancel_deferred_remove", "keep")
    }

    /// Takes a mapping away; where somebody has it open, once nobody has, if `is_deferred`.
    ///
    /// # Errors
    ///
    /// [`Error::Mapping`]: [`Error::is_busy`] where somebody has it open.
    pub fn remove(&self, name: &Name, is_deferred: bool) -> Result<State, Error> {
        let deferred = if is_deferred {
            flag::DEFERRED_REMOVE
        } else {
            0
        };
        let request = Request::new(0)
            .named(name.as_bytes())
            .with_flags(deferred)
            .with_event(UDEV_PRIMARY_SOURCE);
        self.ask(request, command::DEV_REMOVE, "remove", name)
    }

    fn message(&self, name: &Name, text: &[u8], what: &'static str) -> Result<(), Error> {
        // A sector that no message of these has a use for, then the text and its NUL.
        let bytes = (8 + text.len() + 1).next_multiple_of(ALIGNMENT);
        let mut request = Request::new(bytes)
            .named(name.as_bytes())
            .with_flags(flag::SECURE_DATA);
        request.data()[8..8 + text.len()].copy_from_slice(text);
        self.ask(request, command::TARGET_MSG, what, name).map(drop)
    }

    fn ask(
        &self,
        mut request: Request,
        command: u32,
        what: &'static str,
        name: &Name,
    ) -> Result<State, Error> {
        match request.ask(&self.file, command) {
            Ok(()) => Ok(State::of(&request)),
            Err(error) => Err(failed(what, name.to_string(), error)),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

fn refused(error: io::Error) -> Error {
    match Errno::from_io_error(&error) {
        Some(Errno::ACCESS | Errno::PERM) => Error::NotPermitted(error),
        _ => Error::NoDeviceMapper(error),
    }
}

fn failed(what: &'static str, name: String, source: io::Error) -> Error {
    match refused(source) {
        // Root in a container may open it and ask nothing.
        refused @ Error::NotPermitted(_) => refused,
        Error::NoDeviceMapper(source) => Error::Mapping { what, name, source },
        other => other,
    }
}

fn found<T>(answer: io::Result<T>, name: &Name) -> Result<Option<T>, Error> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NXIO) => Ok(None),
        Err(error) => Err(failed("tell of", name.to_string(), error)),
    }
}

/// `236 device-mapper` in the table of the small devices.
fn control_number() -> u64 {
    let table = fs::read_to_string("/proc/misc").unwrap_or_default();
    let minor = table.lines().find_map(|line| {
        let (minor, name) = line.trim().split_once(' ')?;
        (name == "device-mapper").then(|| minor.parse().ok())?
    });
    rustix::fs::makedev(CONTROL_MAJOR, minor.unwrap_or(CONTROL_MINOR))
}

impl State {
    fn of(request: &Request) -> Self {
        let has = |flag| request.flags() & flag != 0;
        Self {
            name: Name::told(request.name()),
            identifier: Identifier::told(request.uuid()),
            device: request.device(),
            open_count: request.open_count(),
            has_table: has(flag::ACTIVE_PRESENT),
            has_new_table: has(flag::INACTIVE_PRESENT),
            is_suspended: has(flag::SUSPEND),
            is_read_only: has(flag::READ_ONLY),
            is_deferred: has(flag::DEFERRED_REMOVE),
        }
    }
}

fn targets(request: &Request) -> Vec<Target> {
    targets_in(request.answer(), request.target_count())
}

fn targets_in(answer: &[u8], count: u32) -> Vec<Target> {
    let mut targets = Vec::new();
    let mut at = 0;
    for _ in 0..count {
        let Some(target) = answer.get(at..).and_then(Target::parse) else {
            break;
        };
        targets.push(target);
        // Counted from the first one, unlike in a question.
        match u32_at(answer, at + 20).map(to_usize) {
            Some(next) if next > at => at = next,
            _ => break,
        }
    }
    targets
}

impl Target {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let kind = bytes.get(TARGET_TYPE..TARGET_TYPE + TARGET_TYPE_BYTES)?;
        Some(Self {
            kind: String::from_utf8_lossy(until_nul(kind)).into_owned(),
            start_sectors: u64_at(bytes, 0)?,
            length_sectors: u64_at(bytes, 8)?,
            text: LockedBytes::copy_of(until_nul(bytes.get(TARGET_BYTES..)?)),
        })
    }
}

/// `struct dm_name_list`: the device's number, how far the next one is away, the name.
fn names(answer: &[u8]) -> Vec<Name> {
    let mut names = Vec::new();
    let mut rest = answer;
    while let (Some(device), Some(next), Some(name)) =
        (u64_at(rest, 0), u32_at(rest, 8), rest.get(12..))
    {
        // Where there is none the kernel tells of one without a number.
        if device != 0 {
            names.push(Name::told(until_nul(name)));
        }
        match rest.get(to_usize(next)..) {
            Some(behind) if next != 0 => rest = behind,
            _ => break,
        }
    }
    names
}

/// `struct dm_target_deps`: how many, and their numbers.
fn devices(answer: &[u8]) -> Vec<u64> {
    let count = u32_at(answer, 0).map_or(0, to_usize);
    (0..count)
        .map_while(|index| u64_at(answer, index.checked_mul(8)?.checked_add(8)?))
        .map(crate::request::device_number)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(length: u64, next: u32, kind: &str, text: &str) -> Vec<u8> {
        let mut bytes = vec![0; TARGET_BYTES];
        bytes[8..16].copy_from_slice(&length.to_ne_bytes());
        bytes[20..24].copy_from_slice(&next.to_ne_bytes());
        bytes[TARGET_TYPE..TARGET_TYPE + kind.len()].copy_from_slice(kind.as_bytes());
        bytes.extend(text.bytes());
        bytes.resize(bytes.len().next_multiple_of(8) + 8, 0);
        bytes
    }

    #[test]
    fn answers_are_taken_apart_whatever_they_say() {
        let mut answer = target(8, 0, "crypt", "aes 00 0 7:0 0");
        let next = u32::try_from(answer.len()).expect("short");
        answer[20..24].copy_from_slice(&next.to_ne_bytes());
        answer.extend(target(16, 0, "linear", "7:0 0"));
        let told = targets_in(&answer, 2);
        let kinds: Vec<_> = told.iter().map(|it| it.kind.as_str()).collect();
        assert_eq!(kinds, ["crypt", "linear"]);
        assert_eq!(&told[0].text[..], b"aes 00 0 7:0 0");
        assert_eq!(told[1].length_sectors, 16);
        for end in 0..answer.len() {
            assert!(targets_in(&answer[..end], u32::MAX).len() <= 2);
        }

        let mut list = Vec::new();
        for (device, next, name) in [(0x0700_u64, 24_u32, "one"), (0x0701, 0, "two")] {
            let mut entry = [
                &device.to_ne_bytes()[..],
                &next.to_ne_bytes(),
                name.as_bytes(),
            ]
            .concat();
            entry.resize(24, 0);
            list.extend(entry);
        }
        let told: Vec<_> = names(&list).iter().map(Name::to_string).collect();
        assert_eq!(told, ["one", "two"]);
        assert!(names(&[0; 24]).is_empty());
        list[8..12].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(names(&list).len(), 1);

        let mut deps = [1_u32.to_ne_bytes(), [0; 4]].concat();
        deps.extend(0x0705_u64.to_ne_bytes());
        assert_eq!(devices(&deps), [rustix::fs::makedev(7, 5)]);
        deps[..4].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(devices(&deps).len(), 1);
        assert!(devices(&[]).is_empty());
    }
}
