//! A qcow2 image to a raw one, whether LUKS is in it or not.

use super::{Container, DecryptOptions};
use crate::data_facts::DataFacts;
use crate::error::{Error, SourceError};
use crate::losses::Losses;
use crate::new_container::Places;
use crate::open;
use crate::payload::{self, Ciphertext};
use crate::place::Place;
use crate::qcow::{self, Opened, Qcow2};
use crate::report::Report;
use crate::secret::Secrets;
use crate::text;
use crate::transfer::Transfer;
use crate::watch::Watch;

/// Copies the plaintext of the disk.
pub(super) fn decrypt(
    place: &Place,
    destination: &Place,
    how: &Qcow2,
    options: &DecryptOptions,
    secrets: &dyn Secrets,
    watch: &dyn Watch,
) -> Result<Report, Error> {
    let conflict = |one| Error::Conflict {
        one,
        other: qcow::IMAGE,
    };
    match options.container {
        Container::Luks(None) => {}
        _ => return Err(conflict("a type of container")),
    }
    if options.header.is_some() {
        return Err(conflict(Places::HEADER));
    }
    let policies = options.policies.read()?;
    let opened = Opened::open(place, how, &policies, options.allow_in_use, watch)?;
    let inputs = opened.inputs(options.inputs.clone());
    let target = open::target(destination, options.overwrite, &inputs)?;
    Losses::check(&options.bad_places, false)?;
    let bytes = match payload::wanted_bytes(options.size_sectors) {
        Some(needed) if needed > opened.bytes() => {
            return Err(SourceError::TooSmall {
                name: opened.name().to_owned(),
                bytes: opened.bytes(),
                needed,
            }
            .into());
        }
        wanted => wanted.unwrap_or(opened.bytes()),
    };
    super::check_target(options, &target, Some(bytes))?;
    let mut report = report(&opened, target.name.clone(), bytes)?;
    if options.dry_run {
        report.dry_run = true;
        return Ok(report);
    }

    watch.planned(&report);
    let disk = opened.unlock(secrets, &options.unlock, watch)?;
    report.keyslot = disk.keyslot;
    report.key_bits = disk.key_bits;
    opened.bypass_page_cache(options.work)?;
    let losses = Losses::begin(&options.bad_places)?;
    let destination = super::create(options, target, Some(bytes))?;
    let transfer = Transfer {
        source: opened.name(),
        destination: &report.destination,
        losses: &losses,
        bytes: Some(bytes),
        // What an image does not have is zeros.
        keep_holes: options.image.is_some(),
        pad_to: None,
        work: options.work,
        watch,
    };
    let disk = Ciphertext::Disk(&*disk.storage, bytes);
    let copied = payload::decrypt(disk, &destination, &transfer)?;
    losses.write_map(copied.bytes)?;
    destination.commit()?;
    losses.keep()?;
    Ok(report.with_lost(losses.list()))
}

fn report(opened: &Opened, destination: String, bytes: u64) -> Result<Report, Error> {
    let facts = opened.luks().map(|luks| DataFacts::of(luks.header()));
    let cipher = facts.as_ref().map(DataFacts::ciphers);
    Ok(Report {
        dry_run: false,
        source: Some(opened.name().to_owned()),
        destination,
        header: None,
        kind: "qcow2",
        cipher: text::escape(cipher.as_deref().unwrap_or("none")),
        key_bits: facts.map_or(0, |facts| facts.key_bits),
        sector_size: dmcrypt::SECTOR_BYTES,
        sector_size_reason: None,
        format: None,
        payload_offset: 0,
        payload_bytes: Some(bytes),
        container_bytes: opened.source().len()?,
        keyslot: None,
        lost: None,
    })
}
