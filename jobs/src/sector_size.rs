//! Bytes that are encrypted as one: as asked for, or the most that the payload consists of and that what is in it can
//! live with.
//!
//! Linux gives the device behind a container sectors of that size, and mounts no file system whose blocks are smaller.

use dmcrypt::SectorSize;
use luks::Version;
use recognise::SectorLimit;

use crate::error::Error;
use crate::watch::Watch;

/// A sector size, and why it is that.
#[derive(Clone, Debug)]
pub struct SectorChoice {
    /// The size.
    pub size: SectorSize,
    /// Why, as reports say it.
    pub reason: String,
    /// Taken for a stream whose length is not known: where that ends within such a sector, zeros fill it.
    pub may_fill: bool,
}

/// From the largest to what every reader takes.
const SIZES: [SectorSize; 4] = [
    SectorSize::B4096,
    SectorSize::B2048,
    SectorSize::B1024,
    SectorSize::B512,
];

impl SectorChoice {
    /// For a new LUKS container. `known` is what was recognised in the payload.
    pub fn luks(
        version: Version,
        asked: Option<u32>,
        payload_bytes: Option<u64>,
        known: Option<&SectorLimit>,
    ) -> Result<Self, Error> {
        if let Some(bytes) = asked {
            return Self::asked(bytes);
        }
        if version == Version::Luks1 {
            return Ok(Self::small("LUKS1 has no others"));
        }
        let is_whole = |size: &SectorSize| {
            payload_bytes.is_none_or(|bytes| bytes.is_multiple_of(size.bytes() as u64))
        };
        match (known, payload_bytes) {
            (Some(limit), _) => {
                let may_be = |size: &SectorSize| size.bytes() as u64 <= u64::from(limit.bytes);
                let fits = SIZES.into_iter().filter(may_be);
                let size = fits.clone().find(is_whole).unwrap_or(SectorSize::B512);
                let reason = if fits.into_iter().next() == Some(size) {
                    limit.found.clone()
                } else {
                    not_whole(payload_bytes)
                };
                Ok(Self {
                    size,
                    reason,
                    may_fill: payload_bytes.is_none() && size != SectorSize::B512,
                })
            }
            (None, Some(_)) if is_whole(&SectorSize::B4096) => Ok(Self {
                size: SectorSize::B4096,
                reason: "nothing that was recognised needs smaller ones".to_owned(),
                may_fill: false,
            }),
            (None, Some(_)) => Ok(Self::small(not_whole(payload_bytes))),
            (None, None) => Ok(Self::small(
                "nothing was recognised in a stream whose length is not known",
            )),
        }
    }

    /// For a plain container.
    pub fn plain(asked: Option<u32>) -> Result<Self, Error> {
        match asked {
            Some(bytes) => Self::asked(bytes),
            None => Ok(Self::small("the default of plain containers")),
        }
    }

    /// For data that are encrypted already, in sectors of `old`.
    pub fn kept(asked: Option<u32>, old: SectorSize) -> Result<Self, Error> {
        match asked {
            Some(bytes) => Self::asked(bytes),
            None => Ok(Self {
                size: old,
                reason: "as before".to_owned(),
                may_fill: false,
            }),
        }
    }

    /// Refuses a size with which Linux cannot use what was recognised in the payload that messages call `name`, unless
    /// it is allowed.
    pub fn check(
        &self,
        name: &str,
        known: Option<&SectorLimit>,
        allow: bool,
        watch: &dyn Watch,
    ) -> Result<(), Error> {
        let bytes = u32::try_from(self.size.bytes()).unwrap_or(u32::MAX);
        match known {
            Some(limit) if limit.bytes < bytes && allow => {
                watch.warn(&format_args!(
                    "{name} holds {}: Linux cannot use that in sectors of {bytes} bytes",
                    limit.found
                ));
                Ok(())
            }
            Some(limit) if limit.bytes < bytes => Err(Error::SectorTooLarge {
                name: name.to_owned(),
                found: limit.found.clone(),
                bytes,
                limit: limit.bytes,
            }),
            _ => Ok(()),
        }
    }

    fn asked(bytes: u32) -> Result<Self, Error> {
        Ok(Self {
            size: SectorSize::new(bytes).ok_or(Error::SectorSize { bytes })?,
            reason: "as asked for".to_owned(),
            may_fill: false,
        })
    }

    fn small(reason: impl Into<String>) -> Self {
        Self {
            size: SectorSize::B512,
            reason: reason.into(),
            may_fill: false,
        }
    }
}

fn not_whole(payload_bytes: Option<u64>) -> String {
    let bytes = payload_bytes.unwrap_or_default();
    format!("{bytes} bytes are no whole number of larger ones")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(bytes: u32) -> SectorLimit {
        SectorLimit {
            bytes,
            found: format!("something with blocks of {bytes} bytes"),
        }
    }

    #[test]
    fn the_largest_that_payload_and_content_allow_is_taken() {
        let luks2 = |payload, known: Option<&SectorLimit>| {
            let chosen = SectorChoice::luks(Version::Luks2, None, payload, known).unwrap();
            (chosen.size.bytes(), chosen.reason, chosen.may_fill)
        };
        for (payload, known, size, why, may_fill) in [
            (Some(8192), None, 4096, "nothing", false),
            (Some(8192 + 512), None, 512, "8704 bytes are no", false),
            (Some(8192 + 2048), None, 512, "10240 bytes are no", false),
            (None, None, 512, "length is not known", false),
            (Some(8192), Some(512), 512, "blocks of 512", false),
            (Some(8192), Some(1024), 1024, "blocks of 1024", false),
            (Some(8192), Some(2048), 2048, "blocks of 2048", false),
            (Some(8192), Some(4096), 4096, "blocks of 4096", false),
            (Some(8192 + 2048), Some(4096), 2048, "10240 bytes", false),
            (Some(8192 + 512), Some(4096), 512, "8704 bytes", false),
            (None, Some(512), 512, "blocks of 512", false),
            (None, Some(1024), 1024, "blocks of 1024", true),
            (None, Some(4096), 4096, "blocks of 4096", true),
        ] {
            let known = known.map(limit);
            let (chosen, reason, fills) = luks2(payload, known.as_ref());
            assert_eq!((chosen, fills), (size, may_fill), "{payload:?} {known:?}");
            assert!(reason.contains(why), "{reason}");
        }
        let luks1 = SectorChoice::luks(Version::Luks1, None, Some(8192), Some(&limit(4096)));
        assert_eq!(luks1.unwrap().size, SectorSize::B512);
        assert_eq!(SectorChoice::plain(None).unwrap().size, SectorSize::B512);
    }

    #[test]
    fn what_is_asked_for_is_held_against_the_content() {
        for (asked, known, fits) in [
            (4096, Some(512), false),
            (1024, Some(512), false),
            (512, Some(512), true),
            (2048, Some(4096), true),
            (4096, None, true),
        ] {
            let known = known.map(limit);
            let chosen = SectorChoice::plain(Some(asked)).unwrap();
            let checked = chosen.check("raw", known.as_ref(), false, &());
            assert_eq!(checked.is_ok(), fits, "{asked} {known:?}");
            assert!(chosen.check("raw", known.as_ref(), true, &()).is_ok());
        }
        assert!(SectorChoice::plain(Some(4095)).is_err());
    }
}
