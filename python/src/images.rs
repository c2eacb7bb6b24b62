//! Images that are made: `format`, `encrypt`, `decrypt`, `clone`; how large they become: `measure`.

use std::num::NonZeroUsize;

use jobs::clone::{CloneOptions, NewKeys, Original, Weaker, clone as clone_image};
use jobs::create::{CreateOptions, create};
use jobs::decrypt::{DecryptOptions, decrypt as decrypt_image};
use jobs::destination::Overwrite;
use jobs::encrypt::{EncryptOptions, Format, encrypt as encrypt_image};
use jobs::measure::{Measure, measure as measure_image};
use jobs::sizes::Given as Size;
use jobs::transfer::Work;
use jobs::{Allow, Place};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::argument;
use crate::job;
use crate::options::{Costs, NewContainer, Unlocking};
use crate::secret::{Given, Passphrase};

type Any<'a, 'py> = &'a Bound<'py, PyAny>;

/// What is common to whatever writes an image.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
#[expect(clippy::struct_excessive_bools, reason = "each is a wish by itself")]
struct Written<'py> {
    header: Option<Bound<'py, PyAny>>,
    force: bool,
    dry_run: bool,
    threads: Option<NonZeroUsize>,
    allow_in_use: bool,
    allow_weak: bool,
}

impl Written<'_> {
    fn overwrite(&self) -> Overwrite {
        Overwrite {
            files: self.force,
            devices: self.force,
        }
    }

    fn work(&self) -> Work {
        Work {
            threads: self.threads,
            ..Work::default()
        }
    }

    fn allow(&self) -> Allow {
        Allow {
            in_use: self.allow_in_use,
            empty_passphrase: self.allow_weak,
            weak_cipher: self.allow_weak,
            ..Allow::default()
        }
    }

    /// Where a header is written.
    fn new_header(&self) -> PyResult<Option<Place>> {
        let path = self.header.as_ref().map(argument::path).transpose()?;
        Ok(path.map(Place::Path))
    }
}

/// The size that is asked for.
fn size(payload: Option<u64>, container: Option<u64>) -> PyResult<Option<Size>> {
    match (payload, container) {
        (Some(_), Some(_)) => Err(PyValueError::new_err(
            "size and container_size exclude each other",
        )),
        (Some(bytes), None) => Ok(Some(Size::Payload(bytes))),
        (None, Some(bytes)) => Ok(Some(Size::Container(bytes))),
        (None, None) => Ok(None),
    }
}

/// Of units of 512 bytes.
fn sectors(bytes: Option<u64>) -> PyResult<Option<u64>> {
    match bytes {
        Some(bytes) if !bytes.is_multiple_of(512) => Err(PyValueError::new_err(format!(
            "a size of {bytes} bytes is no multiple of 512"
        ))),
        bytes => Ok(bytes.map(|bytes| bytes / 512)),
    }
}

/// Makes an empty container.
#[pyfunction]
pub(crate) fn format<'py>(
    destination: Any<'_, 'py>,
    passphrase: Any<'_, 'py>,
    volume_key: Option<Any<'_, 'py>>,
    options: Any<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = destination.py();
    let place = Place::Path(argument::path(destination)?);
    let written: Written<'_> = options.extract()?;
    let new: NewContainer = options.extract()?;
    let options = CreateOptions {
        format: new.luks(options.extract()?)?,
        header: written.new_header()?,
        size: size(
            options.get_item("size")?.extract()?,
            options.get_item("container_size")?.extract()?,
        )?,
        overwrite: written.overwrite(),
        dry_run: written.dry_run,
        allow: written.allow(),
        ..CreateOptions::default()
    };
    let secrets = Given::parse(Some(passphrase), volume_key)?;
    let report = job::run(py, None, |watch, asker| {
        create(&place, &options, &secrets.with(asker), watch)
    })?;
    job::document(py, "create", &report)
}

/// Encrypts a raw image.
#[pyfunction]
pub(crate) fn encrypt<'py>(
    source: Any<'_, 'py>,
    destination: Any<'_, 'py>,
    passphrase: Any<'_, 'py>,
    volume_key: Option<Any<'_, 'py>>,
    options: Any<'_, 'py>,
    progress: Option<Any<'_, 'py>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = source.py();
    let (source, place) = (
        argument::source(source)?,
        Place::Path(argument::path(destination)?),
    );
    let written: Written<'_> = options.extract()?;
    let new: NewContainer = options.extract()?;
    let options = EncryptOptions {
        format: Format::Luks(new.luks(options.extract()?)?),
        header: written.new_header()?,
        size_sectors: sectors(options.get_item("size")?.extract()?)?,
        keep_holes: options.get_item("keep_holes")?.extract()?,
        pad: options.get_item("pad")?.extract()?,
        work: written.work(),
        overwrite: written.overwrite(),
        dry_run: written.dry_run,
        allow: Allow {
            any_source: options.get_item("allow_any_source")?.extract()?,
            ..written.allow()
        },
        ..EncryptOptions::default()
    };
    let secrets = Given::parse(Some(passphrase), volume_key)?;
    let report = job::run(py, progress, |watch, asker| {
        encrypt_image(&source, &place, &options, &secrets.with(asker), watch)
    })?;
    job::document(py, "encrypt", &report)
}

/// Decrypts a container.
#[pyfunction]
pub(crate) fn decrypt<'py>(
    source: Any<'_, 'py>,
    destination: Any<'_, 'py>,
    passphrase: Option<Any<'_, 'py>>,
    volume_key: Option<Any<'_, 'py>>,
    options: Any<'_, 'py>,
    progress: Option<Any<'_, 'py>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = source.py();
    let (source, place) = (
        argument::source(source)?,
        Place::Path(argument::path(destination)?),
    );
    let written: Written<'_> = options.extract()?;
    let unlocking: Unlocking = options.extract()?;
    let header = written.header.as_ref();
    let options = DecryptOptions {
        header: header.map(argument::source).transpose()?,
        size_sectors: sectors(options.get_item("size")?.extract()?)?,
        policies: argument::policies_of(options)?,
        unlock: unlocking.into(),
        work: written.work(),
        overwrite: written.overwrite(),
        dry_run: written.dry_run,
        allow_in_use: written.allow_in_use,
        ..DecryptOptions::default()
    };
    let secrets = Given::parse(passphrase, volume_key)?;
    let report = job::run(py, progress, |watch, asker| {
        decrypt_image(&source, &place, &options, &secrets.with(asker), watch)
    })?;
    job::document(py, "decrypt", &report)
}

/// Copies a container, or a raw image, under a volume key of its own.
#[pyfunction]
pub(crate) fn clone<'py>(
    source: Any<'_, 'py>,
    destination: Any<'_, 'py>,
    passphrase: Option<Any<'_, 'py>>,
    new_passphrase: Option<Any<'_, 'py>>,
    volume_key: Option<Any<'_, 'py>>,
    options: Any<'_, 'py>,
    progress: Option<Any<'_, 'py>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = source.py();
    let (source, place) = (
        argument::source(source)?,
        Place::Path(argument::path(destination)?),
    );
    let written: Written<'_> = options.extract()?;
    let unlocking: Unlocking = options.extract()?;
    let new: NewContainer = options.extract()?;
    let is_raw: bool = options.get_item("raw")?.extract()?;
    let header = written.header.as_ref();
    let allow_weaker: bool = options.get_item("allow_weaker")?.extract()?;
    let options = CloneOptions {
        original: if is_raw {
            Original::Raw
        } else {
            Original::Luks(None)
        },
        header: header.map(argument::source).transpose()?,
        policies: argument::policies_of(options)?,
        unlock: unlocking.into(),
        version: new.version()?,
        format: new.luks(options.extract()?)?,
        size: size(
            options.get_item("size")?.extract()?,
            options.get_item("container_size")?.extract()?,
        )?,
        keys: NewKeys {
            keep_passphrase: new_passphrase.is_none(),
            passphrase: new_passphrase.is_some(),
            ..NewKeys::default()
        },
        keep_holes: options.get_item("keep_holes")?.extract()?,
        work: written.work(),
        overwrite: written.overwrite(),
        dry_run: written.dry_run,
        allow: written.allow(),
        weaker: Weaker {
            smaller_key: allow_weaker,
            cheaper_kdf: allow_weaker,
            cut: false,
        },
        ..CloneOptions::default()
    };
    let new_passphrase = new_passphrase.map(Passphrase::of).transpose()?;
    let secrets = Given::parse(passphrase, volume_key)?.and_new(new_passphrase);
    let report = job::run(py, progress, |watch, asker| {
        let mut outcome = clone_image(&source, &place, &options, &secrets.with(asker), watch)?;
        match outcome.failed.pop() {
            Some(error) => Err(error),
            None => Ok(outcome.report),
        }
    })?;
    job::document(py, "clone", &report)
}

/// How large a container becomes.
#[pyfunction]
pub(crate) fn measure<'py>(
    source: Option<Any<'_, 'py>>,
    options: Any<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = options.py();
    let source = source.map(argument::source).transpose()?;
    let given = size(
        options.get_item("size")?.extract()?,
        options.get_item("container_size")?.extract()?,
    )?;
    let new: NewContainer = options.extract()?;
    let what = Measure::Luks {
        wanted: Box::new(new.luks(options.extract::<Costs>()?)?),
        detached: options.get_item("detached")?.extract()?,
        image: None,
    };
    let measured = job::run(py, None, |watch, _| {
        measure_image(source.as_ref(), None, given, &what, false, watch)
    })?;
    job::document(py, "measure", &measured)
}
