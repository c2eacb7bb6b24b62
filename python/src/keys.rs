//! The keyslots of a container, and whether it is sound.

use jobs::change::ChangeOptions;
use jobs::confirm::{Confirm, Loss, Question};
use jobs::error::Unconfirmed;
use jobs::key::add::{AddOptions, add};
use jobs::key::change::{ChangeKeyOptions, change};
use jobs::key::remove::{RemoveOptions, remove};
use jobs::key::test::{TestOptions, test};
use jobs::verify::{VerifyOptions, verify as verify_image};
use pyo3::prelude::*;

use crate::argument;
use crate::job;
use crate::options::{Costs, Unlocking};
use crate::secret::{Given, Passphrase};

type Any<'a, 'py> = &'a Bound<'py, PyAny>;

/// What every change takes.
fn change_options(options: Any<'_, '_>) -> PyResult<ChangeOptions> {
    let backup = options.get_item("backup")?;
    Ok(ChangeOptions {
        policies: argument::policies_of(options)?,
        backup: (!backup.is_none())
            .then(|| argument::path(&backup))
            .transpose()?,
        dry_run: options.get_item("dry_run")?.extract()?,
        ..ChangeOptions::default()
    })
}

/// One more passphrase.
#[pyfunction]
pub(crate) fn add_key<'py>(
    image: Any<'_, 'py>,
    passphrase: Option<Any<'_, 'py>>,
    new_passphrase: Any<'_, 'py>,
    volume_key: Option<Any<'_, 'py>>,
    options: Any<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = image.py();
    let place = argument::changed(image)?;
    let options = AddOptions {
        change: change_options(options)?,
        unlock: options.extract::<Unlocking>()?.into(),
        new: options.extract::<Costs>()?.keyslot()?,
        keyslot: options.get_item("new_key_slot")?.extract()?,
        ..AddOptions::default()
    };
    let new = Passphrase::of(new_passphrase)?;
    let secrets = Given::parse(passphrase, volume_key)?.and_new(Some(new));
    let added = job::run(py, None, |watch, asker| {
        let secrets = secrets.with(asker);
        add(&place, &options, &secrets, &secrets, watch)
    })?;
    job::document(py, "key add", &added)
}

/// Another passphrase in place of one.
#[pyfunction]
pub(crate) fn change_key<'py>(
    image: Any<'_, 'py>,
    passphrase: Option<Any<'_, 'py>>,
    new_passphrase: Any<'_, 'py>,
    volume_key: Option<Any<'_, 'py>>,
    options: Any<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = image.py();
    let place = argument::changed(image)?;
    let options = ChangeKeyOptions {
        change: change_options(options)?,
        unlock: options.extract::<Unlocking>()?.into(),
        new: options.extract::<Costs>()?.keyslot()?,
        ..ChangeKeyOptions::default()
    };
    let new = Passphrase::of(new_passphrase)?;
    let secrets = Given::parse(passphrase, volume_key)?.and_new(Some(new));
    let changed = job::run(py, None, |watch, asker| {
        let secrets = secrets.with(asker);
        change(&place, &options, &secrets, &secrets, watch)
    })?;
    job::document(py, "key change", &changed)
}

/// A passphrase less.
#[pyfunction]
pub(crate) fn remove_key<'py>(
    image: Any<'_, 'py>,
    passphrase: Option<Any<'_, 'py>>,
    volume_key: Option<Any<'_, 'py>>,
    options: Any<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = image.py();
    let place = argument::changed(image)?;
    let may_be_last = MayBeLast(options.get_item("allow_last")?.extract()?);
    let options = RemoveOptions {
        change: change_options(options)?,
        unlock: options.extract::<Unlocking>()?.into(),
        unasked: passphrase.is_none() && volume_key.is_none(),
    };
    let secrets = Given::parse(passphrase, volume_key)?;
    let removed = job::run(py, None, |watch, asker| {
        remove(&place, &options, &secrets.with(asker), &may_be_last, watch)
    })?;
    job::document(py, "key remove", &removed)
}

/// Whether the last keyslot may go.
struct MayBeLast(bool);

impl Confirm for MayBeLast {
    fn confirm(&self, question: &Question<'_>) -> Result<(), Unconfirmed> {
        match question.loss {
            Loss::LastKeyslot(keyslot) if !self.0 => Err(Unconfirmed::new(format!(
                "{}: keyslot {keyslot} is the last one: without it nobody can open the container",
                question.image
            ))),
            _ => Ok(()),
        }
    }
}

/// Whether a key opens a container.
#[pyfunction]
pub(crate) fn test_key<'py>(
    source: Any<'_, 'py>,
    passphrase: Option<Any<'_, 'py>>,
    volume_key: Option<Any<'_, 'py>>,
    options: Any<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = source.py();
    let place = argument::source(source)?;
    let options = TestOptions {
        policies: argument::policies_of(options)?,
        unlock: options.extract::<Unlocking>()?.into(),
        allow_in_use: options.get_item("allow_in_use")?.extract()?,
        ..TestOptions::default()
    };
    let secrets = Given::parse(passphrase, volume_key)?;
    let tested = job::run(py, None, |watch, asker| {
        test(&place, &options, &secrets.with(asker), watch)
    })?;
    job::document(py, "key test", &tested)
}

/// Whether a container is sound.
#[pyfunction]
pub(crate) fn verify<'py>(
    source: Any<'_, 'py>,
    passphrase: Option<Any<'_, 'py>>,
    volume_key: Option<Any<'_, 'py>>,
    options: Any<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = source.py();
    let place = argument::source(source)?;
    let data = options.get_item("data")?;
    let has_key = passphrase.is_some() || volume_key.is_some();
    let unlocking: Unlocking = options.extract()?;
    let options = VerifyOptions {
        data: (!data.is_none())
            .then(|| argument::source(&data))
            .transpose()?,
        policies: argument::policies_of(options)?,
        key: has_key.then(|| unlocking.into()),
        allow_in_use: options.get_item("allow_in_use")?.extract()?,
    };
    let secrets = Given::parse(passphrase, volume_key)?;
    let verified = job::run(py, None, |watch, asker| {
        verify_image(&place, &options, &secrets.with(asker), watch)
    })?;
    job::document(py, "verify", &verified)
}
