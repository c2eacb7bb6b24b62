//! What is in a container: what its header says, what is weak or wrong with it, and where everything lies.

pub mod disk;
mod drawing;
mod gather;
pub mod halfway;
pub(crate) mod left;
mod map;
pub mod report;
mod warnings;

use std::time::Duration;

use luks::{KdfLimits, Luks};

pub use self::drawing::svg;
use self::halfway::Halfway;
pub use self::report::Report;
use crate::error::Error;
use crate::open;
use crate::place::Place;
use crate::policy::{self, Policies};
use crate::source::Source;
use crate::unlock::Unlock;
use crate::watch::Watch;

/// How a container is inspected.
#[derive(Clone, Debug, Default)]
pub struct InspectOptions {
    /// Its data lie here, where they do not lie behind the header.
    pub data: Option<Place>,
    /// What the header must look like.
    pub policies: Policies,
    /// Time that one keyslot may take, as in [`Unlock::max_time`]: it is said which ask for more.
    pub max_time: Option<Duration>,
    /// Memory that one keyslot may take, as in [`Unlock::max_memory_kib`].
    pub max_memory_kib: Option<u64>,
    /// It may be read even while somebody else may be writing it.
    pub allow_in_use: bool,
}

/// The policy that only one header fulfils.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Template {
    /// How messages name the container.
    pub image: String,
    /// The policy as text; none while one of the header's copies is not used.
    pub policy: Option<String>,
    /// What is wrong with the header, and could be passed over.
    pub problems: Vec<String>,
}

/// Inspects. Nothing is unlocked and nothing is written.
///
/// # Errors
///
/// What is wrong with the place or the policies; a header that cannot be read.
pub fn inspect(
    place: &Place,
    options: &InspectOptions,
    watch: &dyn Watch,
) -> Result<Report, Error> {
    let (source, luks, image_bytes) = open(place, options, watch)?;
    let limits = Unlock {
        max_time: options.max_time,
        max_memory_kib: options.max_memory_kib,
        ..Unlock::default()
    };
    let mut report = report(source.name.clone(), &luks, image_bytes, &limits.limits());
    report.data = open::data(options.data.as_ref(), options.allow_in_use, watch)?;
    if let Some(data) = &report.data {
        report.reencryption =
            Halfway::of(&luks, &report.image, Some(&data.image), Some(data.bytes));
    }
    let data = report.data.as_ref().map(|data| data.image.as_str());
    report
        .warnings
        .extend(left::notes(&luks, &report.image, data));
    Ok(report)
}

/// Writes a policy for what the header is now.
///
/// # Errors
///
/// Those of [`inspect`].
pub fn template(
    place: &Place,
    options: &InspectOptions,
    watch: &dyn Watch,
) -> Result<Template, Error> {
    let (source, luks, image_bytes) = open(place, options, watch)?;
    Ok(Template {
        policy: policy::template(&luks, image_bytes),
        problems: luks.warnings().iter().map(ToString::to_string).collect(),
        image: source.name,
    })
}

/// What the header of `luks` says, which messages call `image`; it was read from `image_bytes`. `limits` are those that
/// an unlock would have.
pub fn report(image: String, luks: &Luks, image_bytes: u64, limits: &KdfLimits) -> Report {
    let mut report = gather::gathered(luks.header(), limits);
    report.image = image;
    report.image_bytes = image_bytes;
    // A detached header lies in an image of another size.
    let data_bytes = luks.header().data_offset().filter(|start| *start > 0);
    let data_bytes = data_bytes.map(|_| image_bytes);
    report.reencryption = Halfway::of(luks, &report.image, None, data_bytes);
    report.warnings = warnings::of(&report, luks);
    report.map = map::regions(&report);
    report
}

fn open(
    place: &Place,
    options: &InspectOptions,
    watch: &dyn Watch,
) -> Result<(Source, Luks, u64), Error> {
    let source = open::source(place, options.allow_in_use, watch)?;
    let storage = source.seekable()?;
    let image_bytes = storage.len().map_err(|error| source.unreadable(error))?;
    let luks = Luks::open(storage.clone())
        .map_err(|error| Error::of_image(&source.name, error, &*storage))?;
    let policies = options.policies.read()?;
    policy::check(&policies, &luks, &source.name)?;
    policy::check_data(&policies, &luks, &source.name, Some(image_bytes))?;
    Ok((source, luks, image_bytes))
}
