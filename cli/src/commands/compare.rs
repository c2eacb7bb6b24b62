//! `compare A B`: do two images hold the same plaintext?

mod first_difference;

use std::fmt::Write as _;
use std::sync::Arc;

use dmcrypt::Passphrase;
use luks::{Header, Luks, Policy};
use serde_json::{Value, json};
use volume::{FileStorage, ImageLock, Storage, Volume};

use self::first_difference::first_difference;
use crate::args::{CompareArgs, Operand};
use crate::error::Error;
use crate::exit::Exit;
use crate::losses::{Losses, Lost};
use crate::output;
use crate::passphrase::KeyInput;
use crate::policy;
use crate::source::{Bytes, Source};
use crate::transfer::bypass_page_cache;
use crate::unlock;

/// Compares: [`Exit::Done`] where they hold the same, [`Exit::Wrong`] where they do not. Nothing is written.
pub fn run(args: &CompareArgs) -> Result<Exit, Error> {
    for (option, times) in [
        ("--key-file", args.keys.key_file.len()),
        ("--key-slot", args.keys.key_slot.len()),
        ("--key-fd", args.keys.key_fd.len()),
        ("--volume-key-file", args.keys.volume_key_file.len()),
        ("--header", args.header.len()),
    ] {
        if times > 2 {
            return Err(Error::TooOften { option, times });
        }
    }
    let policies = policy::read(&args.policy)?;
    let a = Image::open(&args.a, 0, args, &policies)?;
    let b = Image::open(&args.b, 1, args, &policies)?;
    check_keys(args, &a, &b)?;
    Losses::check(&args.bad_places, false)?;
    let [a, b] = unlocked(args, [a, b])?;

    let losses = Losses::begin(&args.bad_places)?;
    let difference = Difference {
        first: first_difference(&a, &b, &args.work, args.output, &losses)?,
        lost: losses.list(),
        a_bytes: a.plaintext.len(),
        b_bytes: b.plaintext.len(),
    };
    if args.output.json {
        output::json("compare", difference.members(&a, &b))?;
    } else {
        output::text(&difference.text(&a.name, &b.name))?;
    }
    losses.write_map(difference.a_bytes.min(difference.b_bytes))?;
    losses.keep()?;
    if !difference.is_none() {
        return Ok(Exit::Wrong);
    }
    let both = format!("{} and {}", a.name, b.name);
    losses.say(&both, "it is not compared; all the rest is the same")?;
    Ok(Exit::Done)
}

/// An image as it lies there.
struct Image {
    source: Source,
    storage: Arc<FileStorage>,
    /// Its size in bytes.
    bytes: u64,
    /// Its header; without one it is raw.
    luks: Option<Luks>,
    /// Where that lies, if not in it.
    header: Option<Source>,
}

impl Image {
    fn open(
        operand: &Operand,
        index: usize,
        args: &CompareArgs,
        policies: &[Policy],
    ) -> Result<Self, Error> {
        let source = Source::open(operand, args.busy.read_in_use)?;
        let storage = source.seekable()?;
        let bytes = storage.len().map_err(|error| source.unreadable(error))?;
        bypass_page_cache(&args.work, &source.name, Some(&storage))?;
        let header = match args.header(index) {
            Some(path) => Some(Source::open(
                &Operand::Path(path.clone()),
                args.busy.read_in_use,
            )?),
            None => None,
        };
        let (name, header_storage) = match &header {
            Some(header) => (&header.name, header.seekable()?),
            None => (&source.name, Arc::clone(&storage)),
        };
        let luks = match unlock::open_under(name, header_storage, policies) {
            Ok(luks) => {
                policy::check_data(policies, &luks, &source.name, Some(bytes))?;
                Some(luks)
            }
            Err(error) if header.is_some() => return Err(error),
            Err(Error::NotLuks { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            source,
            storage,
            bytes,
            luks,
            header,
        })
    }
}

/// What an image holds.
struct Opened {
    name: String,
    /// `raw`, `luks1` or `luks2`.
    kind: &'static str,
    keyslot: Option<u32>,
    plaintext: Plaintext,
    /// Keeps writers away.
    _lock: Option<ImageLock>,
}

/// Bytes that can be read anywhere.
enum Plaintext {
    /// As they lie in a file or on a device of so many bytes, holes and all.
    Raw(Arc<FileStorage>, u64),
    /// Decrypted; a hole in ciphertext is noise.
    Volume(Box<Volume>),
}

impl Plaintext {
    fn len(&self) -> u64 {
        match self {
            Self::Raw(_, bytes) => *bytes,
            Self::Volume(volume) => volume.len(),
        }
    }
}

/// A key that nothing takes is a mistake.
fn check_keys(args: &CompareArgs, a: &Image, b: &Image) -> Result<(), Error> {
    let containers = usize::from(a.luks.is_some()) + usize::from(b.luks.is_some());
    for (option, times) in [
        ("--key-file", args.keys.key_file.len()),
        ("--key-slot", args.keys.key_slot.len()),
        ("--key-fd", args.keys.key_fd.len()),
        ("--volume-key-file", args.keys.volume_key_file.len()),
        ("--policy", args.policy.policy.len()),
    ] {
        if times > 0 && containers == 0 {
            return Err(Error::Conflict {
                one: option,
                other: "two raw images",
            });
        }
    }
    Ok(())
}

/// Unlocks what is a container. One key file for both is read once: it may be a pipe.
fn unlocked(args: &CompareArgs, images: [Image; 2]) -> Result<[Opened; 2], Error> {
    let mut shared: Option<Passphrase> = None;
    let mut opened = Vec::with_capacity(2);
    for (index, image) in images.into_iter().enumerate() {
        let name = image.source.name.clone();
        let Some(luks) = &image.luks else {
            opened.push(Opened {
                name,
                kind: "raw",
                keyslot: None,
                plaintext: Plaintext::Raw(image.storage, image.bytes),
                _lock: lock_of(image.source),
            });
            continue;
        };
        if image.header.is_none() {
            unlock::check_attached(luks, &name)?;
        }
        let unlock = args.keys.unlock(index);
        let options = unlock::options(&unlock)?;
        let failed = |error| Error::luks(&name, error);
        let unlocked = if let Some(path) = &unlock.volume_key_file {
            let key = unlock::read_volume_key(path)?;
            luks.unlock_with_volume_key(key, &options).map_err(failed)?
        } else if let Some(secret) = shared.take() {
            let unlocked = luks.unlock(&secret, &options).map_err(failed)?;
            shared = Some(secret);
            unlocked
        } else {
            let keys = KeyInput::new(&args.keys.key(index), false)?;
            let tries = args.keys.limits.tries;
            let (unlocked, secret) = unlock::with_passphrase(&name, &keys, tries, |secret| {
                luks.unlock(secret, &options)
            })?;
            if args.keys.key_file.len() + args.keys.key_fd.len() == 1 {
                shared = Some(secret);
            }
            unlocked
        };
        let left_over = unlocked.leftover_bytes(image.bytes);
        if left_over > 0 {
            output::warn(format_args!(
                "{name}: the last {left_over} bytes are no whole sector and are left out"
            ));
        }
        let storage = Arc::clone(&image.storage) as Arc<dyn Storage>;
        opened.push(Opened {
            kind: match luks.header() {
                Header::Luks1(_) => "luks1",
                Header::Luks2(_) => "luks2",
            },
            keyslot: unlocked.keyslot(),
            plaintext: Plaintext::Volume(Box::new(unlocked.volume(storage).map_err(failed)?)),
            name,
            _lock: lock_of(image.source),
        });
    }
    let mut opened = opened.into_iter();
    let mut next = || opened.next().expect("two images went in");
    Ok([next(), next()])
}

fn lock_of(source: Source) -> Option<ImageLock> {
    match source.bytes {
        Bytes::Image(_, lock) => lock,
        Bytes::Stream(_) => None,
    }
}

/// How two plaintexts differ.
struct Difference {
    /// The first byte at which they do, where that is before the end of both.
    first: Option<u64>,
    a_bytes: u64,
    b_bytes: u64,
    /// What cannot be read of one or of both, and is not compared.
    lost: Option<Vec<Lost>>,
}

impl Difference {
    fn is_none(&self) -> bool {
        self.first().is_none()
    }

    /// The first byte that is not the same in both: that one has and the other has not, too.
    fn first(&self) -> Option<u64> {
        let lengths_differ = self.a_bytes != self.b_bytes;
        self.first
            .or(lengths_differ.then_some(self.a_bytes.min(self.b_bytes)))
    }

    fn text(&self, a: &str, b: &str) -> String {
        let Some(first) = self.first() else {
            let lost = self.lost.iter().flatten().map(|lost| lost.length);
            return match lost.sum::<u64>() {
                0 => format!("{a} and {b} hold the same {} bytes\n", self.a_bytes),
                lost => format!(
                    "{a} and {b} hold the same {} bytes, as far as both can be read: {lost} are not compared\n",
                    self.a_bytes
                ),
            };
        };
        let mut text = String::new();
        let _ = match self.first {
            Some(_) => writeln!(text, "{a} and {b} differ, first at byte {first}"),
            None => writeln!(
                text,
                "{a} and {b} are the same up to byte {first}, where one of them ends"
            ),
        };
        let (longer, by) = if self.a_bytes > self.b_bytes {
            (a, self.a_bytes - self.b_bytes)
        } else {
            (b, self.b_bytes - self.a_bytes)
        };
        if by > 0 {
            let _ = writeln!(
                text,
                "{longer} is longer by {by} bytes: {a} has {}, {b} has {}",
                self.a_bytes, self.b_bytes
            );
        }
        text
    }

    fn members(&self, a: &Opened, b: &Opened) -> Value {
        let image = |image: &Opened| {
            json!({
                "image": image.name,
                "type": image.kind,
                "keyslot": image.keyslot,
                "bytes": image.plaintext.len(),
            })
        };
        let mut members = json!({
            "same": self.is_none(),
            "first_difference": self.first(),
            "length_difference": self.a_bytes.abs_diff(self.b_bytes),
            "a": image(a),
            "b": image(b),
        });
        if let Some(lost) = &self.lost {
            members["lost"] = json!(lost);
        }
        members
    }
}
