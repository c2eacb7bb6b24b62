//! One clone or many: the source is read once for each group of them.

mod sum;

use std::ops::Range;
use std::path::Path;

use dmcrypt::Passphrase;
use rustix::fs::statvfs;
use volume::{Branch, Sink, Volume};

use super::manifest::Manifest;
use super::plaintext::Plaintext;
use super::proof::prove;
use super::recovery::{Recovery, hand_over};
use super::{CloneOptions, CloneReport, Cloned, Format, Keys, Outcome, Way};
use crate::error::{ChangeError, CloneError, Error, TransferError};
use crate::inputs::Inputs;
use crate::losses::{BadPlaces, Losses, Lost, joined};
use crate::new_container::{self, Sealed, Unfinished};
use crate::new_image;
use crate::payload;
use crate::place::Place;
use crate::report::Report;
use crate::secret::Secrets;
use crate::text;
use crate::transfer::{Transfer, bypass_page_cache};
use crate::watch::Watch;

/// The most clones of one run.
pub const MOST: u64 = 100_000;
/// Clones of one reading. Each needs some descriptors, and up to a MiB for its keyslots.
const GROUP: usize = 16;

/// Where clones go.
pub(super) struct Places {
    /// One, as it was checked; of many each is checked in its turn.
    one: Option<new_container::Places>,
    place: Place,
    names: Vec<String>,
}

impl Places {
    /// Finds out whether they may be written. Of many it is enough that one of them may.
    pub(super) fn check(
        destination: &Place,
        options: &CloneOptions,
        inputs: &Inputs,
    ) -> Result<Self, Error> {
        let Some(series) = &options.series else {
            let header = options.new_header.as_ref();
            let one = new_container::Places::check(destination, header, options.overwrite, inputs)?;
            if options.image.is_some() {
                if header.is_some() {
                    return Err(Error::Conflict {
                        one: super::NEW_HEADER,
                        other: new_image::QCOW2,
                    });
                }
                new_image::check_target(&one.data, None)?;
            }
            if one.data.is_stream() {
                // What is written is read back.
                return Err(Error::Conflict {
                    one: "clone",
                    other: "a pipe",
                });
            }
            if let Recovery::File(path) = &options.keys.recovery {
                refuse_existing(path)?;
            }
            return Ok(Self {
                names: vec![destination.destination_name()],
                one: Some(one),
                place: destination.clone(),
            });
        };
        if !(1..=MOST).contains(&series.count) {
            let count = series.count;
            return Err(CloneError::Count { count, most: MOST }.into());
        }
        let Place::Path(folder) = destination else {
            let name = destination.destination_name();
            return Err(CloneError::NoFolder { name }.into());
        };
        if !folder.is_dir() {
            let name = text::path(folder);
            return Err(CloneError::NoFolder { name }.into());
        }
        for (one, is_given) in [
            (super::NEW_HEADER, options.new_header.is_some()),
            (super::UUID, options.format.uuid.is_some()),
            (
                super::RECOVERY,
                matches!(options.keys.recovery, Recovery::File(_)),
            ),
            (BadPlaces::MAP, options.bad_places.map.is_some()),
        ] {
            if is_given {
                return Err(Error::Conflict {
                    one,
                    other: super::SERIES,
                });
            }
        }
        if let Some(path) = &series.manifest {
            refuse_existing(path)?;
        }
        let names = (1..=series.count).map(|index| series.pattern.name(index));
        let places = Self {
            names: names.collect(),
            one: None,
            place: destination.clone(),
        };
        // Nothing is asked where nothing could come of it.
        let mut first = None;
        for index in 0..places.names.len() {
            match places.check_one(index, options, inputs) {
                Ok(_) => return Ok(places),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.expect("there is at least one"))
    }

    fn check_one(
        &self,
        index: usize,
        options: &CloneOptions,
        inputs: &Inputs,
    ) -> Result<new_container::Places, Error> {
        let place = self.place_of(index);
        new_container::Places::check(&place, None, options.overwrite, inputs)
    }

    fn place_of(&self, index: usize) -> Place {
        match (&self.place, &self.one) {
            (Place::Path(folder), None) => Place::Path(folder.join(&self.names[index])),
            (place, _) => place.clone(),
        }
    }

    /// The folder, or the only one.
    pub(super) fn name(&self) -> String {
        self.place.destination_name()
    }

    /// How messages call the first one.
    pub(super) fn first_name(&self) -> String {
        self.place_of(0).destination_name()
    }

    /// What would be made.
    pub(super) fn planned(&self) -> Vec<Cloned> {
        self.names
            .iter()
            .map(|name| Cloned::named(name.clone()))
            .collect()
    }

    /// Bytes that are free where they go, where that is known.
    fn free(&self) -> Option<u64> {
        let Place::Path(path) = &self.place else {
            return None;
        };
        let found = statvfs(path).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }
}

fn refuse_existing(path: &Path) -> Result<(), Error> {
    if path.symlink_metadata().is_ok() {
        let name = text::path(path);
        return Err(ChangeError::Exists { name }.into());
    }
    Ok(())
}

/// All that does not change.
pub(super) struct Making<'a> {
    pub(super) options: &'a CloneOptions,
    pub(super) source: &'a str,
    pub(super) inputs: &'a Inputs,
    pub(super) plaintext: &'a Plaintext,
    pub(super) format: &'a Format,
    pub(super) keys: &'a Keys,
    pub(super) secrets: &'a dyn Secrets,
    pub(super) watch: &'a dyn Watch,
}

/// A clone that is proven, and has no name yet.
struct Proven {
    cloned: Cloned,
    /// How messages name it.
    name: String,
    sealed: Sealed,
    recovery: Option<Passphrase>,
}

/// What came of each of a group, and what of the source was lost.
struct Group {
    made: Vec<Result<Proven, Error>>,
    lost: Option<Vec<Lost>>,
}

/// A clone whose areas are written.
struct Begun {
    index: usize,
    name: String,
    unfinished: Unfinished,
    ways: Vec<Way>,
    recovery: Option<Passphrase>,
}

impl Making<'_> {
    /// Makes them.
    pub(super) fn all(
        &self,
        mut places: Places,
        report: Report,
        source_type: &'static str,
    ) -> Result<Outcome, Error> {
        let series = self.options.series.as_ref();
        let manifest = series.and_then(|series| series.manifest.as_ref());
        let mut told = Told {
            manifest: manifest.map(|path| Manifest::create(path)).transpose()?,
            clones: Vec::with_capacity(places.names.len()),
            failed: Vec::new(),
        };
        let (mut lost, mut bytes) = (None, None);
        let count = places.names.len();
        while told.clones.len() < count {
            let next = told.clones.len();
            let group = next..count.min(next + self.group(&places));
            let group = match self.group_of(&mut places, group) {
                Ok(group) => group,
                Err(error) if series.is_none() || matches!(error, Error::Cancelled) => {
                    return Err(error);
                }
                // No other one could be made either.
                Err(error) => {
                    told.end(error, &places.names[next..])?;
                    break;
                }
            };
            for (index, one) in (next..).zip(group.made) {
                bytes = one.as_ref().map_or(bytes, |proven| proven.sealed.bytes());
                match one.and_then(|proven| self.name(proven)) {
                    Ok(cloned) => told.made(Cloned {
                        lost: series
                            .and(group.lost.clone())
                            .filter(|lost| !lost.is_empty()),
                        ..cloned
                    })?,
                    // The only one is the whole job.
                    Err(error) if series.is_none() => return Err(error),
                    Err(error) => told.failed(error, &places.names[index])?,
                }
            }
            lost = joined(lost, group.lost);
        }
        Ok(Outcome {
            report: CloneReport {
                report: match self.options.image {
                    Some(_) => report.in_qcow2(bytes).with_lost(lost),
                    None => report.with_lost(lost),
                },
                source_type,
                clones: told.clones,
            },
            failed: told.failed,
        })
    }

    /// How many of the next ones have room.
    fn group(&self, places: &Places) -> usize {
        if places.one.is_some() || self.options.keep_holes || self.options.image.is_some() {
            return GROUP;
        }
        let bytes = self.format.container_bytes().max(1);
        let fit = places.free().map_or(u64::MAX, |free| free / bytes);
        // One that does not fit is refused alone.
        usize::try_from(fit).unwrap_or(GROUP).clamp(1, GROUP)
    }

    /// Makes the clones of one reading, as far as their names.
    fn group_of(&self, places: &mut Places, group: Range<usize>) -> Result<Group, Error> {
        let mut made: Vec<Option<Result<Proven, Error>>> = Vec::new();
        made.resize_with(group.len(), || None);
        let mut begun = Vec::new();
        for index in group.clone() {
            match self.begin(places, index) {
                Ok(one) => begun.push(one),
                Err(Error::Cancelled) => return Err(Error::Cancelled),
                Err(error) => made[index - group.start] = Some(Err(error)),
            }
        }
        let losses = Losses::begin(&self.options.bad_places)?;
        let copied = if begun.is_empty() {
            Vec::new()
        } else {
            self.copy(&begun, &losses)?
        };
        for (one, error) in begun.into_iter().zip(copied) {
            let index = one.index - group.start;
            made[index] = Some(match error {
                Some(error) => Err(Error::from(TransferError {
                    source_name: self.source.to_owned(),
                    destination: one.name,
                    error,
                })),
                None => self.prove(one, places),
            });
        }
        let mut made: Vec<_> = made
            .into_iter()
            .map(|one| one.expect("each was begun or failed"))
            .collect();
        let series = self.options.series.as_ref();
        if series.is_some_and(|series| series.manifest.is_some()) {
            sum::add(&mut made, self.options.work.threads(), self.watch)?;
        }
        losses.keep()?;
        Ok(Group {
            made,
            lost: losses.list(),
        })
    }

    /// Makes keys and header in memory, and writes the areas.
    fn begin(&self, places: &mut Places, index: usize) -> Result<Begun, Error> {
        let target = match places.one.take() {
            Some(one) => one,
            None => places.check_one(index, self.options, self.inputs)?,
        };
        let name = target.data.name.clone();
        let needed = self.format.least_bytes;
        target.data.check_room(needed)?;
        if let Some(header) = &target.header {
            header.check_room(self.format.layout.reserved_bytes)?;
        }
        if self.options.series.is_some()
            && !self.options.keep_holes
            && self.options.image.is_none()
            && let Some(free) = places.free().filter(|free| *free < needed)
        {
            return Err(CloneError::NoRoom { name, needed, free }.into());
        }
        let recovery_path = self.options.keys.recovery.path(&places.names[index]);
        if let Some(path) = &recovery_path {
            refuse_existing(path)?;
        }
        let recovery = self.options.keys.recovery.generate()?;
        let passphrases = self.keys.with(recovery.as_ref());
        let (container, ways) = self.format.prepare(&name, &passphrases, self.watch)?;
        let payload = Some(self.format.payload_bytes);
        let image = self.options.image.as_ref();
        let unfinished = Unfinished::begin(container, payload, target, image)?;
        bypass_page_cache(self.options.work, &name, unfinished.data.file())?;
        Ok(Begun {
            index,
            name,
            unfinished,
            ways,
            recovery,
        })
    }

    /// Copies the plaintext into each, out of one buffer; what went wrong with each.
    fn copy(
        &self,
        begun: &[Begun],
        losses: &Losses,
    ) -> Result<Vec<Option<volume::CopyError>>, Error> {
        let branches: Vec<Branch> = begun
            .iter()
            .map(|one| {
                let storage = one.unfinished.data.storage();
                let storage = storage.expect("streams were refused");
                Branch::new(Volume::new(storage, one.unfinished.mapping.clone()))
            })
            .collect();
        let name = match begun {
            [one] => one.name.clone(),
            many => format!("{} clones", many.len()),
        };
        let transfer = Transfer {
            source: self.source,
            destination: &name,
            bytes: Some(self.plaintext.len()),
            // What an image does not have is zeros.
            keep_holes: self.options.keep_holes || self.options.image.is_some(),
            pad_to: None,
            losses,
            work: self.options.work,
            watch: self.watch,
        };
        let source = volume::Source::Storage {
            storage: self.plaintext,
            offset: 0,
            len: self.plaintext.len(),
        };
        match transfer.run(source, Sink::Branches(&branches)) {
            Ok(copied) => losses.write_map(copied.bytes)?,
            Err(error) if matches!(error.error, volume::CopyError::NoBranchLeft) => {}
            Err(error) => return Err(error.into()),
        }
        let errors = branches.into_iter().map(|branch| branch.into_parts().1);
        Ok(errors.collect())
    }

    /// Writes the header and proves it.
    fn prove(&self, one: Begun, places: &Places) -> Result<Proven, Error> {
        let Begun {
            index,
            name,
            unfinished,
            ways,
            recovery,
        } = one;
        let end = unfinished.mapping.storage_end(self.format.payload_bytes);
        if self.options.image.is_none() {
            payload::reach(&unfinished.data, end.max(self.format.container_bytes()))?;
        }
        let passphrases = self.keys.with(recovery.as_ref());
        let opened = ways.iter().zip(&passphrases);
        let opened: Vec<_> = opened
            .map(|(way, (_, passphrase))| (way.keyslot, *passphrase))
            .collect();
        let recovery_path = self.options.keys.recovery.path(&places.names[index]);
        let mut cloned = Cloned {
            recovery_key_file: recovery_path.map(|path| text::path(&path)),
            ..Cloned::named(places.names[index].clone())
        };
        let sealed = unfinished.seal(|header, data| {
            let keeps_holes = self.options.keep_holes;
            let (plaintext, watch) = (self.plaintext, self.watch);
            let proven = prove(&name, header, &data, &opened, plaintext, keeps_holes, watch)?;
            cloned.uuid = Some(proven.uuid);
            cloned.fingerprint = proven
                .fingerprint
                .map(|fingerprint| fingerprint.to_string());
            Ok(())
        })?;
        cloned.keyslots = ways;
        Ok(Proven {
            cloned,
            name,
            sealed,
            recovery,
        })
    }

    /// Keeps the recovery key and gives the name, of which there are both or none.
    fn name(&self, proven: Proven) -> Result<Cloned, Error> {
        let path = self.options.keys.recovery.path(&proven.cloned.name);
        let along = match &proven.recovery {
            Some(key) => hand_over(path.as_deref(), &proven.name, key, self.secrets)?,
            None => None,
        };
        proven.sealed.name(along)?;
        Ok(proven.cloned)
    }
}

/// What is known of clones, in their order.
struct Told {
    manifest: Option<Manifest>,
    clones: Vec<Cloned>,
    failed: Vec<Error>,
}

impl Told {
    fn made(&mut self, cloned: Cloned) -> Result<(), Error> {
        if let Some(manifest) = &mut self.manifest {
            manifest.add(&cloned)?;
        }
        self.clones.push(cloned);
        Ok(())
    }

    fn failed(&mut self, error: Error, name: &str) -> Result<(), Error> {
        self.end(error, &[name.to_owned()])
    }

    /// None of these is made, for one reason.
    fn end(&mut self, error: Error, names: &[String]) -> Result<(), Error> {
        let reason = error.to_string();
        self.failed.push(error);
        for name in names {
            self.made(Cloned {
                error: Some(reason.clone()),
                ..Cloned::named(name.clone())
            })?;
        }
        Ok(())
    }
}

impl Cloned {
    fn named(name: String) -> Self {
        Self {
            name,
            uuid: None,
            fingerprint: None,
            sha256: None,
            keyslots: Vec::new(),
            recovery_key_file: None,
            lost: None,
            error: None,
        }
    }
}
