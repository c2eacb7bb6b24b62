//! The disk in a qcow2 image, opened to be served.

use std::sync::Arc;

use super::{Image, Plaintext, ServeOptions, Served, ServedReport, unreadable, view};
use crate::data_facts::DataFacts;
use crate::decrypt::Container;
use crate::error::{Error, SourceError};
use crate::new_container::Places;
use crate::payload;
use crate::place::Place;
use crate::qcow::{self, Opened, Qcow2};
use crate::secret::Secrets;
use crate::text;
use crate::watch::Watch;

/// Opens it. What cannot be written in its place is only read, which is told.
pub(super) fn open(
    place: &Place,
    how: &Qcow2,
    options: &ServeOptions,
    secrets: &dyn Secrets,
    watch: &dyn Watch,
) -> Result<Served, Error> {
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
    let opened = if options.read_only {
        Opened::open(place, how, &policies, options.allow_in_use, watch)?
    } else {
        let mut inputs = options.inputs.clone();
        for policy in &options.policies.files {
            inputs = inputs.path("the policy", Some(policy));
        }
        Opened::open_to_write(place, how, &policies, &inputs, watch)?
    };
    let name = opened.name().to_owned();
    let disk = opened.unlock(secrets, &options.unlock, watch)?;
    let own = disk.storage.len();
    let own = own.map_err(|source| unreadable(&name, source))?;
    let payload_bytes = payload::wanted_bytes(options.size_sectors).unwrap_or(own);
    let storage = view(Arc::clone(&disk.storage), own, payload_bytes);
    let storage = storage.ok_or_else(|| SourceError::TooSmall {
        name: name.clone(),
        bytes: own,
        needed: payload_bytes,
    })?;
    let facts = opened.luks().map(|luks| DataFacts::of(luks.header()));
    let cipher = facts.as_ref().map(DataFacts::ciphers);
    let report = ServedReport {
        image: name,
        header: None,
        kind: "qcow2",
        cipher: text::escape(cipher.as_deref().unwrap_or("none")),
        key_bits: disk.key_bits,
        sector_size: dmcrypt::SECTOR_BYTES,
        payload_bytes,
        read_only: options.read_only || !disk.is_written,
    };
    let (plaintext, is_read_only) = (disk.storage, !disk.is_written);
    let make = move || {
        Ok(Plaintext {
            storage: Arc::clone(&plaintext),
            is_read_only,
        })
    };
    Ok(Served {
        report,
        storage,
        payload_offset: 0,
        first_iv_sector: 0,
        keyslot: disk.keyslot,
        make: Box::new(make),
        keys: disk.keys,
        _held: (Image::Disk(Box::new(opened)), None),
    })
}
