//! How large a container becomes.

use recognise::{SectorLimit, largest_sector};
use serde::Serialize;

use crate::error::Error;
use crate::new_image::{self, ImageOptions};
use crate::new_luks::LuksOptions;
use crate::open;
use crate::place::Place;
use crate::qcow::{self, Qcow2};
use crate::sector_size::SectorChoice;
use crate::sizes::{Given, Sizes};
use crate::transfer::Work;
use crate::watch::Watch;

/// What is measured.
#[derive(Clone, Debug)]
pub enum Measure {
    /// A container with a header.
    Luks {
        /// What it is to be.
        wanted: Box<LuksOptions>,
        /// Its header lies in a file of its own.
        detached: bool,
        /// A qcow2 image is made around it.
        image: Option<ImageOptions>,
    },
    /// One without.
    Plain {
        /// Where its data start, in units of 512 bytes.
        offset_sectors: u64,
        /// Bytes that are encrypted as one.
        sector_bytes: Option<u32>,
    },
}

/// What becomes of it. Sizes are bytes.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Measured {
    /// `luks1`, `luks2` or `plain`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// All that is not data.
    pub header_bytes: u64,
    /// Where the payload starts.
    pub payload_offset: u64,
    /// What it holds.
    pub payload_bytes: u64,
    /// All of it; of a qcow2 image where no cluster is zeros.
    pub container_bytes: u64,
    /// A qcow2 image where all is zeros.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least_bytes: Option<u64>,
    /// Bytes that are encrypted as one.
    pub sector_size: u64,
    /// Why so many.
    pub sector_size_reason: String,
}

/// Works the sizes out, for a size that is given or for the image in `source`, which is read as `disk` says where it is a
/// qcow2 image. Nothing is written.
///
/// # Errors
///
/// What is wrong with the place or the options; [`Error::NoSize`].
pub fn measure(
    source: Option<&Place>,
    disk: Option<&Qcow2>,
    size: Option<Given>,
    what: &Measure,
    allow_any_sector_size: bool,
    watch: &dyn Watch,
) -> Result<Measured, Error> {
    let image = source
        .map(|source| Image::look(source, disk, watch))
        .transpose()?;
    let given = size.or(image.as_ref().map(|image| image.size));
    let given = given.ok_or(Error::NoSize)?;
    let known = image.as_ref().and_then(|image| image.sectors.as_ref());
    let check = |sectors: &SectorChoice| match &image {
        Some(image) => sectors.check(&image.name, known, allow_any_sector_size, watch),
        None => Ok(()),
    };
    match what {
        Measure::Plain {
            offset_sectors,
            sector_bytes,
        } => {
            let sectors = SectorChoice::plain(*sector_bytes)?;
            check(&sectors)?;
            plain(*offset_sectors, given, sectors)
        }
        Measure::Luks {
            wanted,
            detached,
            image,
        } => {
            let one = match given {
                Given::Container(_) => Some(new_image::WHOLE_SIZE),
                Given::Payload(_) => detached.then_some(crate::new_container::Places::HEADER),
            };
            if let (Some(_), Some(one)) = (image, one) {
                let other = new_image::QCOW2;
                return Err(Error::Conflict { one, other });
            }
            let sizes = Sizes::of_luks("measure", wanted, *detached, given, known)?;
            check(&sizes.sectors)?;
            let (made, bytes) = (sizes.new.options(), sizes.payload_bytes);
            let image = image.as_ref();
            let image = image.map(|image| image.check_luks("measure", made, &sizes.layout, bytes));
            let image = image.transpose()?;
            Ok(Measured {
                kind: wanted.kind(),
                header_bytes: sizes.layout.reserved_bytes,
                payload_offset: sizes.layout.data_offset,
                payload_bytes: sizes.payload_bytes,
                container_bytes: image.map_or(sizes.container_bytes(), |image| image.full),
                least_bytes: image.map(|image| image.empty),
                sector_size: sizes.new.options().sector_size.bytes() as u64,
                sector_size_reason: sizes.sectors.reason,
            })
        }
    }
}

/// The image that is to be encrypted.
struct Image {
    name: String,
    size: Given,
    sectors: Option<SectorLimit>,
}

impl Image {
    fn look(place: &Place, disk: Option<&Qcow2>, watch: &dyn Watch) -> Result<Self, Error> {
        if let Some(how) = disk {
            return Self::look_at_disk(place, how, watch);
        }
        // Nothing of it is kept: it does not matter who writes it meanwhile.
        let source = open::source(place, true, watch)?;
        let storage = source.seekable()?;
        let len = storage.len().map_err(|error| source.unreadable(error))?;
        let sectors = largest_sector(&*storage).map_err(|error| source.unreadable(error))?;
        Ok(Self {
            name: source.name,
            size: Given::Payload(len),
            sectors,
        })
    }

    fn look_at_disk(place: &Place, how: &Qcow2, watch: &dyn Watch) -> Result<Self, Error> {
        let opened = qcow::Opened::open(place, how, &[], true, watch)?;
        // What is encrypted tells nothing of what is in it.
        let sectors = if opened.is_encrypted() {
            None
        } else {
            let source = opened.plain_source(Work::default(), watch)?;
            let known = largest_sector(&*source.seekable()?);
            known.map_err(|error| source.unreadable(error))?
        };
        Ok(Self {
            name: opened.name().to_owned(),
            size: Given::Payload(opened.bytes()),
            sectors,
        })
    }
}

fn plain(offset_sectors: u64, given: Given, sectors: SectorChoice) -> Result<Measured, Error> {
    let offset = offset_sectors.saturating_mul(dmcrypt::SECTOR_BYTES);
    let sector_size = sectors.size.bytes() as u64;
    let payload_bytes = given.payload_bytes(offset, sector_size)?;
    Ok(Measured {
        kind: "plain",
        header_bytes: 0,
        payload_offset: offset,
        payload_bytes,
        // `Given::payload_bytes` has seen that the sum is a file's size.
        container_bytes: offset + payload_bytes,
        least_bytes: None,
        sector_size,
        sector_size_reason: sectors.reason,
    })
}
