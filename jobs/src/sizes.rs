//! How large a new container becomes, from one of the sizes that people know.

use dmcrypt::SectorSize;
use luks::Layout;
use recognise::SectorLimit;

use crate::error::Error;
use crate::new_luks::{LuksOptions, NewLuks};
use crate::sector_size::SectorChoice;

/// The size that is given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Given {
    /// Of the payload, in bytes.
    Payload(u64),
    /// Of the container with its header, in bytes.
    Container(u64),
}

impl Given {
    /// Bytes of payload behind `offset`: whole sectors, that end where a file can end.
    pub fn payload_bytes(self, offset: u64, sector_bytes: u64) -> Result<u64, Error> {
        let payload = match self {
            Self::Payload(bytes) if !bytes.is_multiple_of(sector_bytes) => {
                return Err(Error::PayloadSize {
                    bytes,
                    sector_bytes,
                });
            }
            Self::Payload(bytes) => bytes,
            Self::Container(bytes) => match bytes.checked_sub(offset) {
                Some(payload) => payload - payload % sector_bytes,
                None => {
                    return Err(Error::ContainerSize {
                        bytes,
                        needed: offset,
                    });
                }
            },
        };
        match offset.checked_add(payload) {
            Some(end) if end <= MAX_FILE_BYTES => Ok(payload),
            _ => Err(Error::BeyondFiles {
                bytes: payload,
                offset,
            }),
        }
    }
}

/// File offsets are signed.
const MAX_FILE_BYTES: u64 = i64::MAX as u64;

/// A new LUKS container and its sizes in bytes.
pub struct Sizes {
    /// The container to be made.
    pub new: NewLuks,
    /// Where its parts go.
    pub layout: Layout,
    /// What it holds.
    pub payload_bytes: u64,
    /// Its sectors.
    pub sectors: SectorChoice,
}

impl Sizes {
    /// Works them out. The payload and what was recognised in it decide on the sector size unless that is given.
    pub fn of_luks(
        name: &str,
        wanted: &LuksOptions,
        detached: bool,
        given: Given,
        known: Option<&SectorLimit>,
    ) -> Result<Self, Error> {
        let new = |sector_size| {
            let new = NewLuks::new(name, wanted, detached, sector_size)?;
            let layout = Layout::new(new.options());
            let layout = layout.map_err(|error| Error::luks(name, error.into()))?;
            Ok::<_, Error>((new, layout))
        };
        // Where data starts does not depend on the size of its sectors.
        let (small, layout) = new(SectorSize::B512)?;
        let sector_bytes = small.options().sector_size.bytes() as u64;
        let payload_bytes = given.payload_bytes(layout.data_offset, sector_bytes)?;
        let asked = wanted.sector_bytes;
        let sectors = SectorChoice::luks(wanted.version, asked, Some(payload_bytes), known)?;
        let (new, layout) = new(sectors.size)?;
        Ok(Self {
            new,
            layout,
            payload_bytes,
            sectors,
        })
    }

    /// Bytes of the container, or with a detached header of the data file.
    pub fn container_bytes(&self) -> u64 {
        // `Given::payload_bytes` has seen that the sum is a file's size.
        self.layout.data_offset + self.payload_bytes
    }
}
