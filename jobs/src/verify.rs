//! Is a container sound, as far as can be seen?

mod areas;
pub mod disk;

use luks::luks2::SegmentSize;
use luks::reencryption::{self, State};
use luks::verify::{Role, Stretch};
use luks::{Header, Luks, SealProblem, Unfinished, Unlocked};
use serde::{Serialize, Serializer};

pub use self::areas::Area;
use crate::error::Error;
use crate::inspect::halfway::Halfway;
use crate::inspect::left;
use crate::open;
use crate::place::Place;
use crate::policy::{self, Policies};
use crate::secret::Secrets;
use crate::unlock::{self, Unlock};
use crate::watch::Watch;

/// How a container is verified.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// Its data lie here, where they do not lie behind the header.
    pub data: Option<Place>,
    /// What the header must look like.
    pub policies: Policies,
    /// There is a key to be checked, and this is how it unlocks.
    pub key: Option<Unlock>,
    /// It may be read even while somebody else may be writing it.
    pub allow_in_use: bool,
}

/// What was found.
#[derive(Debug, Serialize)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is found by itself")]
pub struct Verified {
    /// How messages name the container.
    pub image: String,
    /// `luks1` or `luks2`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Nothing is wrong with it.
    pub sound: bool,
    /// What is wrong with it.
    pub problems: Vec<String>,
    /// What is worth knowing, and may be as it should. Texts of the header may be in it.
    pub notes: Vec<String>,
    /// What lies in the keyslots area.
    pub areas: Vec<Area>,
    /// The keyslot that the key opens, none for the volume key itself, or why it opens nothing; where one was to be
    /// checked. Either way the volume key matches its digest.
    #[serde(serialize_with = "key_members")]
    pub key: Option<Result<Option<u32>, Error>>,
    /// LUKS2: how often the header was changed.
    #[serde(skip)]
    pub epoch: Option<u64>,
    /// Every copy that the header has is used.
    #[serde(skip)]
    pub all_copies: bool,
    /// The header asks for something that is not built.
    #[serde(skip)]
    pub nothing_opens: bool,
    /// All of the data is encrypted.
    #[serde(skip)]
    pub encrypted: bool,
}

/// Verifies. Nothing is written; a key is checked where `options` say so, and asked for after all else.
///
/// # Errors
///
/// What is wrong with the place or the policies; a header that cannot be read. A container that is not sound, or a key
/// that opens nothing, is no error.
pub fn verify(
    place: &Place,
    options: &VerifyOptions,
    secrets: &dyn Secrets,
    watch: &dyn Watch,
) -> Result<Verified, Error> {
    let source = open::source(place, options.allow_in_use, watch)?;
    let storage = source.seekable()?;
    let image_bytes = storage.len().map_err(|error| source.unreadable(error))?;
    let luks = Luks::open(storage.clone())
        .map_err(|error| Error::of_image(&source.name, error, &*storage))?;
    let policies = options.policies.read()?;
    policy::check(&policies, &luks, &source.name)?;
    policy::check_data(&policies, &luks, &source.name, Some(image_bytes))?;
    let stretches = luks::verify::examine(&**luks.storage(), luks.header())
        .map_err(|error| Error::luks(&source.name, error))?;

    let mut findings = Findings::default();
    let data = open::data(options.data.as_ref(), options.allow_in_use, watch)?;
    findings.header(&luks, image_bytes, data.as_ref().map(|data| data.bytes));
    let data_name = data.as_ref().map(|data| data.image.as_str());
    findings
        .notes
        .extend(reencryption(&luks, &source.name, data_name));
    findings
        .notes
        .extend(left::notes(&luks, &source.name, data_name));
    for stretch in &stretches {
        areas::judge(stretch, &mut findings);
    }
    findings.cut_off(luks.header(), &stretches, image_bytes);
    let key = options.key.as_ref().map(|how| {
        let unlocked = unlock::unlock_as_given(&luks, &source.name, secrets, how, watch)?;
        findings.proof(&luks, &unlocked);
        Ok(unlocked.keyslot())
    });
    findings.seal(&luks);
    let (kind, epoch) = match luks.header() {
        Header::Luks1(_) => ("luks1", None),
        Header::Luks2(header) => ("luks2", Some(header.binary.epoch)),
    };
    Ok(Verified {
        image: source.name,
        kind,
        sound: findings.problems.is_empty(),
        problems: findings.problems,
        notes: findings.notes,
        areas: stretches.iter().map(Area::from).collect(),
        key,
        epoch,
        all_copies: luks.warnings().is_empty(),
        nothing_opens: findings.nothing_opens,
        encrypted: luks.check_encrypted().is_ok(),
    })
}

/// What a key opens, for programs.
#[derive(Serialize)]
#[serde(untagged)]
enum Key {
    Opens { fits: bool, keyslot: Option<u32> },
    Fails { fits: bool, error: String },
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn key_members<S: Serializer>(
    key: &Option<Result<Option<u32>, Error>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let key = key.as_ref().map(|outcome| match outcome {
        Ok(keyslot) => Key::Opens {
            fits: true,
            keyslot: *keyslot,
        },
        Err(error) => Key::Fails {
            fits: false,
            error: error.to_string(),
        },
    });
    key.serialize(serializer)
}

/// That one is under way, and how far it is.
fn reencryption(luks: &Luks, image: &str, data: Option<&str>) -> Option<String> {
    let Header::Luks2(header) = luks.header() else {
        return None;
    };
    let state = header.metadata.reencryption.as_deref()?;
    let slot = &state.slot;
    let how_far = match reencryption::state(&header.metadata) {
        _ if state.is_finished() => "all data is done, and its traces are left",
        State::NeedsRecovery => "a crash left a zone half written",
        State::NoDigest => "no digest proves its state",
        _ => "it can go on",
    };
    let way = match Halfway::of(luks, image, data, None)?.finished_by {
        Some(command) => format!("; {command} finishes it"),
        None => String::new(),
    };
    Some(format!(
        "a reencryption is in progress ({}, {}, resilience {}): {how_far}{way}",
        slot.mode,
        slot.direction,
        slot.resilience.name()
    ))
}

#[derive(Default)]
struct Findings {
    problems: Vec<String>,
    notes: Vec<String>,
    nothing_opens: bool,
}

impl Findings {
    fn header(&mut self, luks: &Luks, image_bytes: u64, elsewhere_bytes: Option<u64>) {
        self.problems
            .extend(luks.warnings().iter().map(ToString::to_string));
        if let Err(error) = luks.check_encrypted() {
            self.notes.push(format!("warning: {error}"));
        }
        let unsupported = luks::verify::unsupported(luks.header());
        self.nothing_opens = !unsupported.is_empty();
        self.problems.extend(
            unsupported
                .iter()
                .map(|unsupported| format!("{unsupported}: nothing opens it")),
        );
        let is_alone = elsewhere_bytes.is_none();
        let image_bytes = elsewhere_bytes.unwrap_or(image_bytes);
        match luks.header().data_offset() {
            // A header alone, and the data is at the start of another file.
            Some(0) if is_alone => {}
            Some(start) if start >= image_bytes && start != 0 => self.notes.push(format!(
                "data would start at {start}, and the image ends at {image_bytes}: a header alone, or the data is cut off"
            )),
            Some(_) => self.segments(luks, image_bytes),
            None => {}
        }
    }

    /// What both keys say of a reencryption that is under way.
    fn proof(&mut self, luks: &Luks, unlocked: &Unlocked) {
        let Header::Luks2(header) = luks.header() else {
            return;
        };
        if header.metadata.reencryption.is_none() {
            return;
        }
        match unlocked.check_reencryption() {
            Ok(()) => self
                .notes
                .push("the digest of the reencryption fits its state".into()),
            Err(error @ luks::Error::Unfinished(Unfinished::Key { .. })) => {
                self.notes.push(format!("not proven: {error}"));
            }
            Err(error) => self.problems.push(error.to_string()),
        }
    }

    /// What the key says of the seal, or that none has said anything.
    fn seal(&mut self, luks: &Luks) {
        match luks.checked_seal() {
            Some(Ok(())) => self
                .notes
                .push("the seal is right: nobody without the key has changed the header".into()),
            Some(Err(problem)) => self.problems.push(problem.to_string()),
            None if luks.is_sealed() => self.notes.push(
                "the header is sealed, and only a key tells whether its seal is right".into(),
            ),
            None if luks.is_seal_required() && !luks.is_seal_right() => {
                self.problems.push(SealProblem::Missing.to_string());
            }
            None => {}
        }
    }

    /// The padding of the last area may be all that is missing.
    fn cut_off(&mut self, header: &Header, stretches: &[Stretch], image_bytes: u64) {
        let Header::Luks2(header) = header else {
            return;
        };
        let end = header.metadata.keyslots_area().end;
        let is_said = stretches
            .iter()
            .any(|stretch| stretch.content.missing_bytes > 0);
        if end > image_bytes && !is_said {
            self.problems.push(format!(
                "the keyslots area ends at {end}, beyond the end of the image at {image_bytes}"
            ));
        }
    }

    /// Only LUKS2 says how long its data is, and that rarely.
    fn segments(&mut self, luks: &Luks, image_bytes: u64) {
        let Header::Luks2(header) = luks.header() else {
            return;
        };
        for segment in header.metadata.data_segments() {
            if let SegmentSize::Bytes(bytes) = segment.size
                && segment.offset.saturating_add(bytes) > image_bytes
            {
                self.problems.push(format!(
                    "segment {}: {bytes} bytes at {} do not fit the image's {image_bytes}",
                    segment.id, segment.offset
                ));
            }
        }
    }
}

impl Findings {
    fn problem(&mut self, role: Role, what: &str) {
        self.problems.push(format!("{}: {what}", areas::name(role)));
    }

    fn note(&mut self, role: Role, what: &str) {
        self.notes.push(format!("{}: {what}", areas::name(role)));
    }
}
