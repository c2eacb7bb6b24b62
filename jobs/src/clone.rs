//! A copy of a container, or of a raw image, with a volume key of its own: in one pass, decrypted and encrypted in the
//! same buffers, its plaintext nowhere but in memory. One, or many of one reading.
//!
//! Each clone is proven before it has a name: its header is read back, unlocked with each passphrase that it was given,
//! and what lies behind it is held against the source.

mod keys;
mod like;
mod manifest;
mod many;
mod original;
mod pattern;
mod plaintext;
mod proof;
mod recovery;

use dmcrypt::Passphrase;
use luks::{FormatOptions, KeyslotOptions, NewContainer, OsRandom, format, keyslots, tokens};
use luks::{Layout, Version};
use recognise::SectorLimit;
use serde::Serialize;

use self::keys::Keys;
use self::like::Likeness;
use self::original::Opened;
use crate::allow::Allow;
use crate::blame::Blame;
use crate::decrypt::Container;
use crate::destination::Overwrite;
use crate::error::Error;
use crate::inputs::Inputs;
use crate::limits;
use crate::losses::{BadPlaces, Losses, Lost};
use crate::new_container;
use crate::new_image::{self, ImageOptions};
use crate::new_luks::{self, LuksOptions};
use crate::place::Place;
use crate::plain::Plain;
use crate::policy::Policies;
use crate::qcow::Qcow2;
use crate::report::Report;
use crate::secret::Secrets;
use crate::sizes::{Given, Sizes};
use crate::transfer::Work;
use crate::unlock::Unlock;
use crate::watch::Watch;

pub use many::MOST;
pub use pattern::Pattern;
pub use recovery::{Recovery, generate as generate_recovery_key};

/// What a detached header is in an [`Error::Conflict`].
pub const HEADER: &str = "a header of the source";
/// What [`NewKeys::keep_passphrase`] is in one.
pub const KEEP: &str = "keeping the passphrase";

/// What [`CloneOptions::new_header`] is in one.
pub const NEW_HEADER: &str = "a header of the clone";
/// What [`LuksOptions::uuid`] is in one.
pub const UUID: &str = "a UUID that is given";
/// What [`Recovery::File`] is in one.
pub const RECOVERY: &str = "one file for recovery keys";
/// What [`CloneOptions::series`] is in one.
pub const SERIES: &str = "many clones";

/// What the source is.
#[derive(Clone, Debug)]
pub enum Original {
    /// What its header says; this version, where one is meant.
    Luks(Option<Version>),
    /// Encrypted, without a header.
    Plain(Plain),
    /// Not encrypted.
    Raw,
    /// A qcow2 image, encrypted or not.
    Qcow2(Qcow2),
}

impl Default for Original {
    fn default() -> Self {
        Self::Luks(None)
    }
}

impl From<Container> for Original {
    fn from(container: Container) -> Self {
        match container {
            Container::Luks(version) => Self::Luks(version),
            Container::Plain(plain) => Self::Plain(plain),
        }
    }
}

/// What opens a clone. Each is a keyslot of its own, in this order; without any it is a new passphrase.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NewKeys {
    /// The passphrase that opens the source, derived anew.
    pub keep_passphrase: bool,
    /// A new passphrase, which is asked for ([`Asked::is_new`](crate::secret::Asked::is_new)).
    pub passphrase: bool,
    /// A key that is made.
    pub recovery: Recovery,
}

impl NewKeys {
    /// How many keyslots that are.
    fn count(&self) -> u64 {
        let recovery = self.recovery != Recovery::None;
        u64::from(self.keep_passphrase) + u64::from(self.asks_for_new()) + u64::from(recovery)
    }

    /// Whether a new passphrase is asked for.
    fn asks_for_new(&self) -> bool {
        self.passphrase || !(self.keep_passphrase || self.recovery != Recovery::None)
    }
}

/// Many clones of one source. The destination is a folder then.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Series {
    /// How many.
    pub count: u64,
    /// Their names; the first has the index 1.
    pub pattern: Pattern,
    /// A new file that gets a line of JSON for each clone as soon as it is made, or has failed.
    pub manifest: Option<std::path::PathBuf>,
}

/// How a clone is made.
#[derive(Clone, Debug, Default)]
pub struct CloneOptions {
    /// What the source is.
    pub original: Original,
    /// The source's header lies here.
    pub header: Option<Place>,
    /// What the source's header must look like.
    pub policies: Policies,
    /// How the source is unlocked.
    pub unlock: Unlock,
    /// The clone's type; the source's unless said, and LUKS2 where that is not LUKS.
    pub version: Option<Version>,
    /// What the clone is to be; what is not said is as the source has it. The type stands in [`Self::version`].
    pub format: LuksOptions,
    /// The clone is a qcow2 image around the container, which is LUKS1 then.
    pub image: Option<ImageOptions>,
    /// The clone's header lies here, and the clone holds data only.
    pub new_header: Option<Place>,
    /// How large the clone becomes; its payload is the source's unless said.
    pub size: Option<Given>,
    /// What opens the clone.
    pub keys: NewKeys,
    /// Many clones, and not one.
    pub series: Option<Series>,
    /// Holes are left unwritten, so that they read as noise and show which parts are empty: those of a raw image, and of a
    /// container what was never written in it, which reads as other noise then.
    pub keep_holes: bool,
    /// What becomes of what cannot be read.
    pub bad_places: BadPlaces,
    /// How the payload is copied.
    pub work: Work,
    /// What may be written over.
    pub overwrite: Overwrite,
    /// Nothing is written.
    pub dry_run: bool,
    /// What is refused unless it is allowed.
    pub allow: Allow,
    /// How it may be weaker than the source.
    pub weaker: Weaker,
    /// What is read beside the source, and must not be written: key files.
    pub inputs: Inputs,
}

/// How a clone may be weaker, or less, than its source, which is refused otherwise.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Weaker {
    /// A key that is easier to guess.
    pub smaller_key: bool,
    /// A key derivation that costs less.
    pub cheaper_kdf: bool,
    /// Data are cut off that no room is left for.
    pub cut: bool,
}

/// What was made, or would be.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct CloneReport {
    /// What all clones have in common; the destination is the folder where there are many.
    #[serde(flatten)]
    pub report: Report,
    /// `luks1`, `luks2`, `plain`, `raw` or `qcow2`.
    pub source_type: &'static str,
    /// Each of them.
    pub clones: Vec<Cloned>,
}

/// One clone, or why there is none.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Cloned {
    /// Its name.
    pub name: String,
    /// Its UUID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// SHA-256 of its header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// SHA-256 of all of it, where a manifest is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// What opens it.
    pub keyslots: Vec<Way>,
    /// The file with its recovery key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_key_file: Option<String>,
    /// What of the source could not be read, and is zeros in it; of one of many, where there is such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<Vec<Lost>>,
    /// Why it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A keyslot, and what opens it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Way {
    /// Its number.
    pub keyslot: u32,
    /// Which of the passphrases.
    pub opened_by: OpenedBy,
}

/// What opens a keyslot of a clone.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OpenedBy {
    /// What opens the source.
    SourcePassphrase,
    /// A new one.
    NewPassphrase,
    /// One that was made.
    RecoveryKey,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// What there is.
    pub report: CloneReport,
    /// Why some of many are not there: a reason for each that failed by itself, and one for all that were not begun.
    pub failed: Vec<Error>,
}

impl Outcome {
    /// Whom it is to blame on that some are not there: what each is where all are alike, else the request.
    pub fn blame(&self) -> Option<Blame> {
        let mut blames = self.failed.iter().map(Error::blame);
        let first = blames.next()?;
        let is_one = blames.all(|blame| blame == first);
        Some(if is_one { first } else { Blame::Request })
    }
}

/// Clones the image at `source` into a new container at `destination`, which is there whole or not at all; or into many
/// of them, each of which is.
///
/// # Errors
///
/// What is wrong with a place, the options or a secret; what cannot be read or written. Of many clones one that cannot be
/// made is none of them, unless it is the only one.
pub fn clone(
    source: &Place,
    destination: &Place,
    options: &CloneOptions,
    secrets: &dyn Secrets,
    watch: &dyn Watch,
) -> Result<Outcome, Error> {
    let mut opened = Opened::open(source, options, watch)?;
    Losses::check(&options.bad_places, false)?;
    let inputs = opened.inputs(&options.inputs);
    let places = many::Places::check(destination, options, &inputs)?;
    let first = places.first_name();
    // As far as it is known without a key.
    let likeness = opened.likeness();
    let known = opened.known(options)?;
    let bytes = opened.payload_bytes()?;
    let planned = Planned::new(options, &opened, likeness, known, bytes, &first)?;
    planned.check(options, watch)?;
    planned.check_content(options, &opened, watch)?;
    let mut report = planned.report(options, &opened, places.name());
    if options.dry_run {
        report.dry_run = true;
        return Ok(Outcome {
            report: CloneReport {
                report,
                source_type: opened.kind(),
                clones: places.planned(),
            },
            failed: Vec::new(),
        });
    }

    watch.planned(&report);
    let unlocked = opened.unlock(options, secrets, watch)?;
    let known = opened.known_in(&unlocked.plaintext, options)?;
    let (likeness, bytes) = (unlocked.likeness, unlocked.plaintext.len());
    let planned = Planned::new(options, &opened, likeness, known, bytes, &first)?;
    // What no keyslot told before may be told now.
    planned.check(options, &())?;
    planned.check_content(options, &opened, watch)?;
    let plaintext = unlocked.plaintext.resized(planned.sizes.payload_bytes);
    if !options.weaker.cut {
        plaintext.check_cut(&opened.source.name)?;
    }
    let report = planned.report(options, &opened, places.name());
    let keys = Keys::ask(options, unlocked.passphrase, secrets, &first)?;
    let format = planned.measured(options, &opened.source.name, watch)?;
    let making = many::Making {
        options,
        source: &opened.source.name,
        inputs: &inputs,
        plaintext: &plaintext,
        format: &format,
        keys: &keys,
        secrets,
        watch,
    };
    let kind = opened.kind();
    let made = making.all(places, report, kind);
    // Until then nobody writes the source.
    drop(opened.header.take());
    made
}

/// Whether so many keyslots have room.
fn has_room(layout: &Layout, keyslots: u64) -> bool {
    layout.keyslots_bytes >= layout.area_bytes.saturating_mul(keyslots)
}

/// What a clone becomes.
struct Planned {
    sizes: Sizes,
    /// Bytes that are written at least.
    least_bytes: u64,
    likeness: Option<Likeness>,
    /// What is in the source that needs sectors of some size, as far as that is known.
    known: Option<SectorLimit>,
    /// Nothing is measured of the key derivation.
    is_cost_known: bool,
    /// Why the sectors are so large.
    reason: String,
    source: String,
}

impl Planned {
    fn new(
        options: &CloneOptions,
        opened: &Opened<'_>,
        likeness: Option<Likeness>,
        known: Option<SectorLimit>,
        bytes: u64,
        name: &str,
    ) -> Result<Self, Error> {
        let of_source = likeness.as_ref().map(Likeness::version);
        // QEMU knows no other one.
        let in_image = options.image.map(|_| Version::Luks1);
        let version = options.version.or(in_image).or(of_source);
        let version = version.unwrap_or(Version::Luks2);
        let wanted = LuksOptions {
            version,
            ..options.format.clone()
        };
        let filled = match &likeness {
            Some(likeness) => likeness.fill(&wanted),
            None => wanted.clone(),
        };
        let is_cost_known = filled.cost.iterations.is_some();
        let is_asked = wanted.sector_bytes.is_some();
        let is_like = !is_asked && filled.sector_bytes.is_some();
        let given = options.size.unwrap_or(Given::Payload(bytes));
        if options.image.is_some() && matches!(given, Given::Container(_)) {
            return Err(Error::Conflict {
                one: new_image::WHOLE_SIZE,
                other: new_image::QCOW2,
            });
        }
        let detached = options.new_header.is_some();
        let sizes =
            |wanted: &LuksOptions| Sizes::of_luks(name, wanted, detached, given, known.as_ref());
        let is_whole = !detached
            && options.header.is_none()
            && !matches!(options.original, Original::Qcow2(_));
        let like = likeness.as_ref().filter(|_| is_whole);
        let like = like.and_then(|likeness| likeness.place(&filled));
        let like = like.and_then(|placed| sizes(&placed).ok());
        let sizes = match like.filter(|sizes| has_room(&sizes.layout, options.keys.count())) {
            Some(sizes) => sizes,
            None => sizes(&filled)?,
        };
        let made = sizes.new.options();
        let image = options.image.as_ref();
        let image =
            image.map(|image| image.check_luks(name, made, &sizes.layout, sizes.payload_bytes));
        let least_bytes = match image.transpose()? {
            Some(measured) => measured.empty,
            None => sizes.container_bytes(),
        };
        let reason = if is_like {
            format!("those of {}", opened.source.name)
        } else {
            sizes.sectors.reason.clone()
        };
        Ok(Self {
            sizes,
            least_bytes,
            likeness,
            known,
            is_cost_known,
            reason,
            source: opened.source.name.clone(),
        })
    }

    /// Refuses what is weak, or weaker than the source.
    fn check(&self, options: &CloneOptions, watch: &dyn Watch) -> Result<(), Error> {
        let made = self.sizes.new.options();
        let weak = options.allow.weak_cipher;
        if let Some(likeness) = &self.likeness {
            likeness.check_cipher(&self.source, made, options)?;
            // What is measured is known later.
            if self.is_cost_known && !options.weaker.cheaper_kdf {
                likeness.check_kdf(&self.source, &made.kdf)?;
            }
        }
        new_container::check_cipher(&made.cipher, weak, watch)?;
        let unit = dmcrypt::SECTOR_BYTES;
        let bytes = Some(self.sizes.payload_bytes);
        new_container::check_amount(&made.cipher, unit, bytes, weak, watch)
    }

    /// Refuses sectors that Linux could not use what is in the source in.
    fn check_content(
        &self,
        options: &CloneOptions,
        opened: &Opened<'_>,
        watch: &dyn Watch,
    ) -> Result<(), Error> {
        // Those of the source are as good as they are there.
        if options.format.sector_bytes.is_none() && self.likeness.is_some() {
            return Ok(());
        }
        let (allow, known) = (options.allow.any_sector_size, self.known.as_ref());
        self.sizes
            .sectors
            .check(&opened.source.name, known, allow, watch)
    }

    fn report(&self, options: &CloneOptions, opened: &Opened<'_>, destination: String) -> Report {
        let made = self.sizes.new.options();
        let header = options.new_header.as_ref();
        let report = Report {
            source: Some(opened.source.name.clone()),
            header: header.map(Place::destination_name),
            sector_size_reason: Some(self.reason.clone()),
            keyslot: None,
            ..new_luks::report(made, &self.sizes.layout, destination)
        }
        .with_payload(Some(self.sizes.payload_bytes));
        match options.image {
            Some(_) => report.in_qcow2(None),
            None => report,
        }
    }

    /// Measures what guessing may cost, where that is not said.
    fn measured(
        self,
        options: &CloneOptions,
        source: &str,
        watch: &dyn Watch,
    ) -> Result<Format, Error> {
        let mut made = self.sizes.new.measured(watch);
        if let Some(likeness) = &self.likeness {
            likeness.fill_digest(&mut made);
            if !options.weaker.cheaper_kdf {
                likeness.check_kdf(source, &made.kdf)?;
            }
        }
        Ok(Format {
            least_bytes: self.least_bytes,
            options: made,
            layout: self.sizes.layout,
            payload_bytes: self.sizes.payload_bytes,
        })
    }
}

/// What each clone is made by.
struct Format {
    /// Bytes that are written at least.
    least_bytes: u64,
    options: FormatOptions,
    layout: Layout,
    payload_bytes: u64,
}

impl Format {
    /// Bytes of the container, or with a detached header of the data file.
    fn container_bytes(&self) -> u64 {
        self.layout.data_offset.saturating_add(self.payload_bytes)
    }

    /// Makes keys and header of one clone in memory, and a keyslot for each passphrase.
    fn prepare(
        &self,
        name: &str,
        passphrases: &[(OpenedBy, &Passphrase)],
        watch: &dyn Watch,
    ) -> Result<(NewContainer, Vec<Way>), Error> {
        let failed = |error| Error::luks(name, error);
        let cancel = || watch.is_cancelled();
        let options = &self.options;
        let ((by, first), others) = passphrases
            .split_first()
            .expect("without a passphrase a new one was asked for");
        let mut container =
            format::prepare(options, first, None, &mut OsRandom, &cancel).map_err(failed)?;
        let mut ways = vec![Way {
            keyslot: options.keyslot,
            opened_by: *by,
        }];
        for (by, passphrase) in others {
            let keyslot = KeyslotOptions {
                kdf: options.kdf.clone(),
                hash: options.hash,
                cipher: options.keyslot_cipher.clone(),
                threads: limits::processors(),
                cancel: &cancel,
                ..KeyslotOptions::default()
            };
            let made = keyslots::add_to_new(&mut container, passphrase, &keyslot, &mut OsRandom);
            ways.push(Way {
                keyslot: made.map_err(failed)?,
                opened_by: *by,
            });
        }
        let recovery = ways
            .iter()
            .find(|way| way.opened_by == OpenedBy::RecoveryKey);
        if let Some(way) = recovery.filter(|_| options.version == Version::Luks2) {
            let token = recovery::token(way.keyslot);
            tokens::add_to_new(&mut container, token, &mut OsRandom).map_err(failed)?;
        }
        Ok((container, ways))
    }
}
