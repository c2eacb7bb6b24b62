//! The files that lie on each other, opened from the image downwards.

use luks::{Luks, Policy};

use super::beside::{Beside, Refusal};
use super::{Kind, Layer, MOST_LAYERS, escaped, image_error, marks, open_luks};
use crate::error::{Error, QcowError};
use crate::inputs::Origin;
use crate::place::Place;
use crate::policy;
use crate::source::Source;
use crate::unlock;
use crate::watch::Watch;

const BACKING: &str = "the backing file";
const DATA: &str = "the data file";

pub(super) fn open(
    source: Source,
    place: &Place,
    follow: bool,
    policies: &[Policy],
    in_use: bool,
    watch: &dyn Watch,
) -> Result<Vec<Layer>, Error> {
    let mut chain = Chain {
        follow,
        policies,
        in_use,
        watch,
        layers: Vec::new(),
    };
    let folder = Beside::of(place).map_err(|error| source.unreadable(error))?;
    chain.image(source, folder)?;
    Ok(chain.layers)
}

struct Chain<'a> {
    follow: bool,
    policies: &'a [Policy],
    in_use: bool,
    watch: &'a dyn Watch,
    layers: Vec<Layer>,
}

impl Chain<'_> {
    /// A qcow2 image and all that it stands on.
    fn image(&mut self, mut source: Source, mut folder: Option<Beside>) -> Result<(), Error> {
        loop {
            let storage = source.seekable()?;
            let image = qcow2::Image::open(storage);
            let image = image.map_err(|error| image_error(&source.name, error))?;
            for what in marks(image.header()) {
                self.watch.warn(&format_args!("{}: {what}", source.name));
            }
            let window = image.luks_header();
            let window = window.map_err(|error| image_error(&source.name, error))?;
            let luks = window.map(|window| open_luks(&source.name, window));
            let luks = luks.transpose()?;
            if let Some(luks) = &luks {
                self.check(&source.name, luks)?;
            }
            let header = image.header().clone();
            let data = header.data_file.as_ref().map(|name| {
                let found = self.beside(&source, folder.as_ref(), DATA, name)?;
                self.check_cycle(&source, &found.0, DATA, name)?;
                Ok::<_, Error>(found.0)
            });
            let data = data.transpose()?;
            let kind = Kind::Qcow2 {
                image: Box::new(image),
                luks: luks.map(Box::new),
                data,
            };
            let name = source.name.clone();
            self.layers.push(Layer { source, kind });
            let Some(refers_to) = header.backing_file else {
                return Ok(());
            };
            let referring = &self.layers[self.layers.len() - 1].source;
            let refers = |reason: String| {
                Error::from(QcowError::Refers {
                    name: name.clone(),
                    what: BACKING,
                    refers_to: escaped(&refers_to),
                    reason,
                })
            };
            let (below, beside) = self.beside(referring, folder.as_ref(), BACKING, &refers_to)?;
            self.check_cycle(referring, &below, BACKING, &refers_to)?;
            if self.layers.len() == MOST_LAYERS {
                let reason = format!("that would be more than {MOST_LAYERS} images on each other");
                return Err(refers(reason));
            }
            match header.backing_format.as_deref() {
                Some("qcow2") => {
                    source = below;
                    folder = Some(beside);
                }
                Some("raw") => {
                    below.seekable()?;
                    self.layers.push(Layer {
                        source: below,
                        kind: Kind::Raw,
                    });
                    return Ok(());
                }
                Some("luks") => {
                    let storage = below.seekable()?;
                    let luks = unlock::open(&below.name, storage, self.policies, self.watch)?;
                    unlock::check_attached(&luks, &below.name)?;
                    policy::check_data(self.policies, &luks, &below.name, below.len()?)?;
                    self.layers.push(Layer {
                        source: below,
                        kind: Kind::Luks(Box::new(luks)),
                    });
                    return Ok(());
                }
                Some(other) => {
                    let other = escaped(other);
                    return Err(refers(format!(
                        "it is said to be {other}, which is not read"
                    )));
                }
                None => {
                    return Err(refers(
                        "its format is not said, and is not guessed".to_owned(),
                    ));
                }
            }
        }
    }

    fn check(&self, name: &str, luks: &Luks) -> Result<(), Error> {
        policy::check(self.policies, luks, name)?;
        for warning in luks.warnings() {
            self.watch.warn(&format_args!("{name}: {warning}"));
        }
        Ok(())
    }

    /// Opens a file that an image refers to.
    fn beside(
        &self,
        source: &Source,
        folder: Option<&Beside>,
        what: &'static str,
        refers_to: &str,
    ) -> Result<(Source, Beside), Error> {
        let name = source.name.clone();
        let refers = |reason: String| QcowError::Refers {
            name: name.clone(),
            what,
            refers_to: escaped(refers_to),
            reason,
        };
        if !self.follow {
            return Err(QcowError::NotAllowed {
                name,
                what,
                refers_to: escaped(refers_to),
            }
            .into());
        }
        match qcow2::image::check_name(what, refers_to) {
            Err(qcow2::Error::Name { reason, .. }) => return Err(refers(reason.to_owned()).into()),
            checked => checked.map_err(|error| image_error(&name, error))?,
        }
        let Some(folder) = folder else {
            return Err(refers("the image is no file, and has no folder".to_owned()).into());
        };
        let (file, beside, shown) = folder.open(refers_to).map_err(|refusal| match refusal {
            Refusal::Reason(reason) => refers(reason),
            Refusal::System(source) => QcowError::Beside {
                name: name.clone(),
                what,
                refers_to: escaped(refers_to),
                source,
            },
        })?;
        let found = Source::of_file(shown, file, self.in_use, self.watch)?;
        Ok((found, beside))
    }

    /// Refuses a file that is one of those that are open already.
    fn check_cycle(
        &self,
        referring: &Source,
        found: &Source,
        what: &'static str,
        refers_to: &str,
    ) -> Result<(), Error> {
        let all = self.layers.iter().flat_map(Layer::sources);
        let same = all
            .chain([referring])
            .find(|open| match (&open.origin, &found.origin) {
                (Some(Origin::Ground(one)), Some(Origin::Ground(other))) => one.is(other),
                _ => false,
            });
        let Some(same) = same else {
            return Ok(());
        };
        Err(QcowError::Refers {
            name: referring.name.clone(),
            what,
            refers_to: escaped(refers_to),
            reason: format!(
                "that is {} itself, and the images would go round in a circle",
                same.name
            ),
        }
        .into())
    }
}
