//! Both copies of a LUKS2 header.

use volume::Storage;

use super::foreign::Change;
use super::left;
use super::pieces::{JsonOf, Pieces, Proven};
use super::{Join, Proof, Repair, RepairOptions};
use crate::error::{Corrupt, Error, Refused};
use crate::luks2::{BinaryHeader, Header, METADATA_SIZES, Metadata, Which};
use crate::number::to_u64;
use crate::random::Random;
use crate::store::{self, Copies, Fault, Found, commit};

/// What a disk writes all of or nothing.
const SECTOR_BYTES: usize = 512;
/// What a new container has.
const FIRST_EPOCH: u64 = 1;

pub(super) fn repair(
    storage: &dyn Storage,
    options: RepairOptions,
    random: &mut dyn Random,
) -> Result<Repair, Error> {
    match store::read_locked(storage) {
        Ok(Found::Luks1(_)) => Err(Error::Changed),
        Ok(Found::Luks1Partly(_, corrupt)) => Err(corrupt.into()),
        Ok(Found::Luks2(copies @ Copies::Both(_))) => match copies.header().binary.check_epoch() {
            Ok(()) => Ok(Repair::Nothing),
            Err(end) => {
                count_anew(storage, &copies, random)?;
                Ok(Repair::Epoch(end))
            }
        },
        Ok(Found::Luks2(Copies::PrimaryOnly(header, fault))) => {
            one_copy(storage, options, &header, Which::Secondary, fault, random)
        }
        Ok(Found::Luks2(Copies::SecondaryOnly(header, fault))) => {
            one_copy(storage, options, &header, Which::Primary, fault, random)
        }
        Err(error @ (Error::NotLuks | Error::Corrupt(_) | Error::Unsupported(_))) => {
            no_copy(storage, options, error, random)
        }
        Err(error) => Err(error),
    }
}

/// The same header with the first epoch. While only one copy has it, the other one counts, which says the same.
fn count_anew(
    storage: &dyn Storage,
    copies: &Copies<Header>,
    random: &mut dyn Random,
) -> Result<(), Error> {
    let mut header = copies.header().clone();
    header.binary.epoch = FIRST_EPOCH;
    commit::luks2(storage, copies, &header, random)
}

/// One copy is sound; `which` is the other one.
fn one_copy(
    storage: &dyn Storage,
    options: RepairOptions,
    good: &Header,
    which: Which,
    fault: Fault,
    random: &mut dyn Random,
) -> Result<Repair, Error> {
    match &fault {
        Fault::Unsupported(unsupported) => return Err(unsupported.clone().into()),
        Fault::Corrupt(corrupt @ Corrupt::Truncated { .. }) => {
            return Err(Refused::Irreparable(corrupt.clone()).into());
        }
        Fault::Corrupt(_) | Fault::Older { .. } => {}
    }
    if which == Which::Secondary {
        left::refuse_shifted(storage, &good.binary.uuid)?;
    }
    let size = good.binary.header_bytes;
    let pieces = Pieces::read(storage, size)?.ok_or_else(|| truncated(storage, size))?;
    let proven = match fault {
        // It is sound already.
        Fault::Older { .. } => None,
        _ => pieces.prove(which),
    };
    let job = Job {
        storage,
        pieces: &pieces,
        // A copy that was sound has nothing of anybody else.
        may_overwrite: options.overwrite_foreign || matches!(fault, Fault::Older { .. }),
    };
    match proven {
        Some(proven) if proven.header.says_the_same_as(good) => {
            job.write(&[(which, proven.bytes)], &good.binary.uuid)?;
        }
        // The sound one was the older, and what counted is proven.
        Some(proven) if proven.header.binary.epoch > good.binary.epoch => {
            let join = joined(&pieces, which, &proven);
            let other = from(&proven.header, which.other(), random)?;
            job.write(
                &[(which, proven.bytes), (which.other(), other)],
                &proven.header.binary.uuid,
            )?;
            end_of_epochs(storage, &proven.header, random)?;
            return Ok(Repair::Joined(join));
        }
        Some(proven) if proven.header.binary.epoch == good.binary.epoch => {
            let epoch = good.binary.epoch;
            return Err(Corrupt::CopiesDiffer { epoch }.into());
        }
        _ => job.write(&[(which, from(good, which, random)?)], &good.binary.uuid)?,
    }
    end_of_epochs(storage, good, random)?;
    Ok(Repair::Copy { which, fault })
}

fn truncated(storage: &dyn Storage, size: u64) -> Error {
    match storage.len() {
        Ok(have) => Refused::Irreparable(Corrupt::Truncated {
            object: "the header copy".into(),
            need: size.saturating_mul(2),
            have,
        })
        .into(),
        Err(error) => Error::io("find the size of the container")(error),
    }
}

/// No copy is sound.
fn no_copy(
    storage: &dyn Storage,
    options: RepairOptions,
    error: Error,
    random: &mut dyn Random,
) -> Result<Repair, Error> {
    if is_another_format(storage)? {
        return Err(error);
    }
    let mut all = Vec::new();
    for size in METADATA_SIZES {
        all.extend(Pieces::read(storage, size)?);
    }
    // The binary header at byte 0 fits one size alone; the others may have remained of an older container.
    for which in [Which::Primary, Which::Secondary] {
        for pieces in &all {
            if let Some(proven) = pieces.prove(which) {
                return join_proven(storage, options, pieces, which, proven, random);
            }
        }
    }
    for pieces in &all {
        if let Some((json_of, metadata)) = by_rules(pieces) {
            let binary = shown_texts(pieces);
            let join = Join {
                binary: binary
                    .as_ref()
                    .map(|(which, _)| (*which, pieces.place(*which))),
                binary_mended: false,
                json: vec![json_place(pieces, json_of)],
                proof: Proof::Rules,
            };
            if !options.overwrite_foreign {
                let what = left::whole_metadata(&join, &metadata);
                return Err(Refused::Unproven {
                    what: what.into(),
                    is_whole: true,
                }
                .into());
            }
            let binary = match binary {
                Some((_, binary)) => binary,
                None => new_texts(pieces, random)?,
            };
            let header = Header { binary, metadata };
            // The copy goes last whose metadata are the only ones.
            let mut copies = Vec::with_capacity(2);
            for which in [json_of.other(), json_of] {
                copies.push((which, from(&header, which, random)?));
            }
            let job = Job {
                storage,
                pieces,
                may_overwrite: true,
            };
            job.write(&copies, &header.binary.uuid)?;
            return Ok(Repair::Joined(join));
        }
    }
    match left::describe(storage, &all)? {
        Some(what) => Err(Refused::Unproven {
            what: what.into(),
            is_whole: false,
        }
        .into()),
        None => Err(error),
    }
}

/// Whether another format of encryption is at byte 0: librbd writes its own mark into the LUKS header of a clone, whose
/// data are not all there.
fn is_another_format(storage: &dyn Storage) -> Result<bool, Error> {
    let marks = recognise::within(storage, 0..to_u64(BinaryHeader::BYTES))
        .map_err(Error::io("look for what else is there"))?;
    let is_at_start = |found: &recognise::Found| {
        found.offset == 0 && found.content.class() == recognise::Class::Encrypted
    };
    Ok(marks.iter().any(is_at_start))
}

fn join_proven(
    storage: &dyn Storage,
    options: RepairOptions,
    pieces: &Pieces,
    which: Which,
    proven: Proven,
    random: &mut dyn Random,
) -> Result<Repair, Error> {
    left::refuse_shifted(storage, &proven.header.binary.uuid)?;
    let (first, counts, other) = match pieces.prove(which.other()) {
        Some(other) if other.header.binary.epoch > proven.header.binary.epoch => {
            (which.other(), other, Some(proven))
        }
        other => (which, proven, other),
    };
    let second = match other {
        Some(other) if other.header.says_the_same_as(&counts.header) => other.bytes,
        Some(other) if other.header.binary.epoch == counts.header.binary.epoch => {
            let epoch = other.header.binary.epoch;
            return Err(Corrupt::CopiesDiffer { epoch }.into());
        }
        _ => from(&counts.header, first.other(), random)?,
    };
    let join = joined(pieces, first, &counts);
    let job = Job {
        storage,
        pieces,
        may_overwrite: options.overwrite_foreign,
    };
    // What proves it is made whole first: until then it is left as it is, but for what is known anyway.
    job.write(
        &[(first, counts.bytes), (first.other(), second)],
        &counts.header.binary.uuid,
    )?;
    end_of_epochs(storage, &counts.header, random)?;
    Ok(Repair::Joined(join))
}

fn joined(pieces: &Pieces, which: Which, proven: &Proven) -> Join {
    let json = match proven.json {
        JsonOf::Own => vec![json_place(pieces, which)],
        JsonOf::Other => vec![json_place(pieces, which.other())],
        JsonOf::Both => [Which::Primary, Which::Secondary]
            .map(|which| json_place(pieces, which))
            .to_vec(),
    };
    Join {
        binary: Some((which, pieces.place(which))),
        binary_mended: proven.binary_mended,
        json,
        proof: Proof::Checksum,
    }
}

fn json_place(pieces: &Pieces, which: Which) -> u64 {
    pieces
        .place(which)
        .saturating_add(to_u64(BinaryHeader::BYTES))
}

fn end_of_epochs(
    storage: &dyn Storage,
    header: &Header,
    random: &mut dyn Random,
) -> Result<(), Error> {
    if header.binary.check_epoch().is_ok() {
        return Ok(());
    }
    count_anew(storage, &Copies::Both(header.clone()), random)
}

/// The copy for this place with a salt of its own.
fn from(header: &Header, which: Which, random: &mut dyn Random) -> Result<Vec<u8>, Error> {
    let mut salt = [0; BinaryHeader::SALT_BYTES];
    random.fill(&mut salt)?;
    Ok(header.to_bytes(which, salt)?)
}

/// Metadata that are whole where both checksums are lost. A checksum that is there and does not fit says that they are
/// others than they were.
fn by_rules(pieces: &Pieces) -> Option<(Which, Metadata)> {
    let both = [Which::Primary, Which::Secondary];
    if both.into_iter().any(|which| {
        let binary = pieces.binary(which);
        BinaryHeader::has_magic(which, binary) && BinaryHeader::holds_checksum(binary)
    }) {
        return None;
    }
    both.into_iter()
        .find_map(|which| Some((which, pieces.whole_json(which)?)))
}

/// The texts of a binary header whose checksum is lost.
fn shown_texts(pieces: &Pieces) -> Option<(Which, BinaryHeader)> {
    let both = [Which::Primary, Which::Secondary];
    both.into_iter().find_map(|which| {
        let place = pieces.place(which);
        let binary = BinaryHeader::parse(which, place, pieces.binary(which)).ok()?;
        (binary.header_bytes == pieces.size()).then_some((which, binary))
    })
}

fn new_texts(pieces: &Pieces, random: &mut dyn Random) -> Result<BinaryHeader, Error> {
    let mut bytes = [0; 16];
    random.fill(&mut bytes)?;
    Ok(BinaryHeader {
        header_bytes: pieces.size(),
        epoch: FIRST_EPOCH,
        label: String::new(),
        uuid: uuid::Builder::from_random_bytes(bytes)
            .into_uuid()
            .to_string(),
        subsystem: String::new(),
    })
}

/// Copies to be written one after the other.
struct Job<'a> {
    storage: &'a dyn Storage,
    pieces: &'a Pieces,
    may_overwrite: bool,
}

impl Job<'_> {
    /// Looks at all that would be overwritten, then writes what differs: of each copy the sector with its checksum last,
    /// and a sync before the next copy.
    fn write(&self, copies: &[(Which, Vec<u8>)], uuid: &str) -> Result<(), Error> {
        let differing = || {
            let copies = copies.iter();
            copies.filter(|(which, bytes)| !self.pieces.holds(*which, bytes))
        };
        if !self.may_overwrite {
            for (which, new) in differing() {
                let change = Change {
                    which: *which,
                    at: self.pieces.place(*which),
                    old: self.pieces.copy(*which),
                    new,
                    uuid,
                };
                if let Some(what) = change.foreign(self.storage)? {
                    return Err(Refused::Foreign { what: what.into() }.into());
                }
            }
        }
        for (which, bytes) in differing() {
            let sectors = (0..bytes.len()).step_by(SECTOR_BYTES).skip(1).chain([0]);
            for start in sectors {
                let sector = &bytes[start..start.saturating_add(SECTOR_BYTES)];
                if !self.pieces.holds_sector(*which, start, sector) {
                    let at = self.pieces.place(*which).saturating_add(to_u64(start));
                    self.storage
                        .write_at(at, sector)
                        .map_err(Error::io("write the header copy"))?;
                }
            }
            self.storage
                .sync()
                .map_err(Error::io("write the header copy through to the disk"))?;
        }
        Ok(())
    }
}
