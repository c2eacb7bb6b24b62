//! What is in a qcow2 image: what its header says, what it refers to, and the LUKS header inside.

use qcow2::{Compression, Image};
use serde::Serialize;
use volume::Storage as _;

use super::{InspectOptions, Report, report};
use crate::error::Error;
use crate::open;
use crate::place::Place;
use crate::policy;
use crate::qcow::{self, image_error};
use crate::unlock::Unlock;
use crate::watch::Watch;

/// What a qcow2 image says. Sizes and offsets are bytes; texts are as the image has them.
#[derive(Debug, Serialize)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is a mark by itself")]
pub struct DiskReport {
    /// The image, as the user named it.
    pub image: String,
    /// `qcow2`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// 2 or 3.
    pub version: u32,
    /// Size of the file.
    pub image_bytes: u64,
    /// Size of the disk.
    pub disk_bytes: u64,
    /// Size of a cluster.
    pub cluster_bytes: u64,
    /// Where the clusters of the disk are; none where the tables lead in circles.
    pub clusters: Option<Clusters>,
    /// Bits of a refcount.
    pub refcount_bits: u32,
    /// `deflate` or `zstd`.
    pub compression: &'static str,
    /// L2 entries have a bitmap of subclusters.
    pub extended_l2: bool,
    /// Refcounts may be written late.
    pub lazy_refcounts: bool,
    /// It was not closed.
    pub dirty: bool,
    /// A program has found it damaged.
    pub corrupt: bool,
    /// The file below it that it refers to.
    pub backing_file: Option<String>,
    /// The format of that, where it is said.
    pub backing_format: Option<String>,
    /// The file that has the clusters; it may be empty, where it is not named.
    pub data_file: Option<String>,
    /// That file is the disk as it is.
    pub data_file_raw: bool,
    /// States of the disk that are kept.
    pub snapshots: Vec<Snapshot>,
    /// Where the LUKS header lies.
    pub luks_offset: Option<u64>,
    /// What it says; its offsets count from there.
    pub luks: Option<Report>,
    /// What is wrong and could be passed over.
    pub warnings: Vec<String>,
}

/// How many clusters of the disk are where.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Clusters {
    /// All of them.
    pub total: u64,
    /// In the file as they are.
    pub data: u64,
    /// Compressed.
    pub compressed: u64,
    /// Zeros, by a mark.
    pub zeros: u64,
    /// Not there: as the backing file has them, or zeros.
    pub absent: u64,
}

impl From<qcow2::check::Clusters> for Clusters {
    fn from(found: qcow2::check::Clusters) -> Self {
        Self {
            total: found.total,
            data: found.data,
            compressed: found.compressed,
            zeros: found.zeros,
            absent: found.absent,
        }
    }
}

/// A state of the disk that is kept.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// Its number, which is text.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Size of the disk.
    pub disk_bytes: u64,
}

/// Inspects a qcow2 image. Nothing that it refers to is opened.
///
/// # Errors
///
/// What is wrong with the place or the policies; a header that cannot be read.
pub fn inspect(
    place: &Place,
    options: &InspectOptions,
    watch: &dyn Watch,
) -> Result<DiskReport, Error> {
    if options.data.is_some() {
        return Err(Error::Conflict {
            one: crate::new_container::Places::HEADER,
            other: qcow::IMAGE,
        });
    }
    let source = open::source(place, options.allow_in_use, watch)?;
    let storage = source.seekable()?;
    let image_bytes = storage.len().map_err(|error| source.unreadable(error))?;
    let image = Image::open(storage).map_err(|error| image_error(&source.name, error))?;
    let policies = options.policies.read()?;
    let limits = Unlock {
        max_time: options.max_time,
        max_memory_kib: options.max_memory_kib,
        ..Unlock::default()
    };
    let mut warnings = qcow::marks(image.header());
    let window = image.luks_header();
    let window = window.map_err(|error| image_error(&source.name, error))?;
    let luks = window.map(|window| -> Result<_, Error> {
        let bytes = window.len().map_err(|error| source.unreadable(error))?;
        let luks = qcow::open_luks(&source.name, window)?;
        policy::check(&policies, &luks, &source.name)?;
        warnings.extend(luks.warnings().iter().map(ToString::to_string));
        Ok(report(source.name.clone(), &luks, bytes, &limits.limits()))
    });
    let luks = luks.transpose()?;
    let clusters = image.clusters().map_err(|error| source.unreadable(error))?;
    let header = image.header();
    Ok(DiskReport {
        kind: "qcow2",
        version: header.version,
        image_bytes,
        disk_bytes: header.size,
        cluster_bytes: header.cluster_bytes(),
        clusters: clusters.map(Clusters::from),
        refcount_bits: 1 << header.refcount_order,
        compression: match header.compression {
            Compression::Deflate => "deflate",
            Compression::Zstd => "zstd",
        },
        extended_l2: header.has_extended_l2,
        lazy_refcounts: header.compatible & LAZY != 0,
        dirty: header.is_dirty,
        corrupt: header.is_corrupt,
        backing_file: header.backing_file.clone(),
        backing_format: header.backing_format.clone(),
        data_file: header.data_file.clone(),
        data_file_raw: header.data_file.is_some() && header.autoclear & RAW_DATA != 0,
        snapshots: image
            .snapshots()
            .iter()
            .map(|snapshot| Snapshot {
                id: snapshot.id.clone(),
                name: snapshot.name.clone(),
                disk_bytes: snapshot.size,
            })
            .collect(),
        luks_offset: luks.as_ref().and(match &header.crypt {
            qcow2::Crypt::Luks(range) => Some(range.start),
            qcow2::Crypt::None => None,
        }),
        luks,
        warnings,
        image: source.name,
    })
}

const LAZY: u64 = 1;
const RAW_DATA: u64 = 2;
