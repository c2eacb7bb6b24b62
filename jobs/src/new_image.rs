//! A new qcow2 image: what is said of one, what QEMU can open of what may be inside, and how it is read back.

use std::io;
use std::sync::Arc;

use dmcrypt::{SECTOR_BYTES, SectorCipher};
use luks::{FormatOptions, Layout, Unlocked, Version};
use qcow2::{Compat, FileBytes, Image, NewImage, Writer};
use volume::{Mapping, Segment, SegmentKind, Storage};

use crate::destination::{Bytes, Destination, Target};
use crate::error::{Error, ImageError};

/// What it is in an [`Error::Conflict`].
pub const QCOW2: &str = "a qcow2 image";
/// What [`Given::Container`](crate::sizes::Given::Container) is in one.
pub const WHOLE_SIZE: &str = "the size of a whole container";

/// How a new qcow2 image is made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ImageOptions {
    /// Which of QEMU's versions can read it.
    pub compat: Compat,
    /// Bytes of a cluster; 64 KiB unless said.
    pub cluster_bytes: Option<u64>,
}

/// Refuses what cannot be around a disk in `target`, where `header` is what a message calls a header in another place, if there is one.
pub(crate) fn check_target(target: &Target, header: Option<&'static str>) -> Result<(), Error> {
    let conflict = |one| {
        let other = QCOW2;
        Err(Error::Conflict { one, other })
    };
    if let Some(header) = header {
        return conflict(header);
    }
    // The header is written last.
    if target.is_stream() {
        return conflict("a pipe");
    }
    Ok(())
}

impl ImageOptions {
    /// Refuses a container that QEMU would not open, and an image around it that it would not. Says how large the file
    /// of an image with `payload_bytes` bytes becomes.
    pub(crate) fn check_luks(
        &self,
        name: &str,
        made: &FormatOptions,
        layout: &Layout,
        payload_bytes: u64,
    ) -> Result<FileBytes, Error> {
        if made.version != Version::Luks1 {
            return Err(ImageError::Luks2.into());
        }
        check_for_qemu(made)?;
        self.measure(name, payload_bytes, Some(layout))
    }

    /// How large the file of an image becomes, with a LUKS header or without.
    pub(crate) fn measure(
        &self,
        name: &str,
        bytes: u64,
        layout: Option<&Layout>,
    ) -> Result<FileBytes, Error> {
        let measured = self.wanted(bytes, layout).measure();
        measured.map_err(|error| image_error(name, error))
    }

    /// Makes an image of what will be written to `destination`: so many bytes, encrypted by `cipher` behind the header
    /// that `layout` tells of, or not. Its storage is the plaintext from then on.
    pub(crate) fn begin(
        &self,
        destination: Destination,
        bytes: u64,
        luks: Option<(&Layout, Arc<dyn SectorCipher>)>,
    ) -> Result<Destination, Error> {
        let name = destination.name.clone();
        let storage = destination.held_storage();
        let storage = storage.ok_or(Error::Conflict {
            one: "a pipe",
            other: QCOW2,
        })?;
        let (layout, cipher) = luks.unzip();
        let wanted = self.wanted(bytes, layout);
        let writer = Writer::begin(storage, &wanted, cipher);
        let writer = writer.map_err(|error| image_error(&name, error))?;
        Ok(Destination {
            name,
            bytes: Bytes::Image(Arc::new(writer), Box::new(destination)),
        })
    }

    fn wanted(&self, bytes: u64, layout: Option<&Layout>) -> NewImage {
        NewImage {
            cluster_bytes: self.cluster_bytes.unwrap_or(NewImage::CLUSTER_BYTES),
            compat: self.compat,
            // A header that is cut out of the image is one whose data would follow it.
            luks_bytes: layout.map(|layout| layout.data_offset),
            ..NewImage::new(bytes)
        }
    }
}

fn image_error(name: &str, error: qcow2::Error) -> Error {
    let name = name.to_owned();
    ImageError::Make { name, error }.into()
}

/// All of a disk that encrypts itself, or is not encrypted.
pub(crate) fn all_of(bytes: u64) -> Mapping {
    let segment = Segment {
        length: bytes,
        storage_offset: 0,
        elsewhere: None,
        kind: SegmentKind::Linear,
    };
    Mapping::new(vec![segment]).expect("a disk has whole sectors")
}

/// The cipher of a container's data.
pub(crate) fn cipher_of(mapping: &Mapping) -> Option<Arc<dyn SectorCipher>> {
    match &mapping.segments().next()?.kind {
        SegmentKind::Crypt { cipher, .. } => Some(Arc::clone(cipher)),
        _ => None,
    }
}

/// What was written, to be read back.
pub enum Written {
    /// A container, or its data.
    Container(Arc<dyn Storage>),
    /// A finished qcow2 image.
    Image(Arc<dyn Storage>),
}

impl Written {
    /// The header that lies in it.
    pub(crate) fn header(&self) -> io::Result<Arc<dyn Storage>> {
        match self {
            Self::Container(storage) => Ok(Arc::clone(storage)),
            Self::Image(file) => {
                let image = Image::open(Arc::clone(file)).map_err(io::Error::other)?;
                let window = image.luks_header().map_err(io::Error::other)?;
                let window = window.ok_or_else(|| io::Error::other("it has no LUKS header"))?;
                Ok(Arc::new(window))
            }
        }
    }

    /// Its plaintext, and the size of its sectors.
    pub(crate) fn plaintext(
        &self,
        name: &str,
        unlocked: &Unlocked,
    ) -> Result<(Arc<dyn Storage>, u64), Error> {
        let file = match self {
            Self::Container(storage) => {
                let volume = unlocked.volume(Arc::clone(storage));
                let volume = volume.map_err(|error| Error::luks(name, error))?;
                let sector = volume.sector_size() as u64;
                return Ok((Arc::new(volume), sector));
            }
            Self::Image(file) => Arc::clone(file),
        };
        let view = || -> Result<_, qcow2::Error> {
            let image = Image::open(file)?;
            let mapping = unlocked.mapping(u64::from(u32::MAX));
            let layer = qcow2::Layer {
                cipher: mapping.ok().as_ref().and_then(cipher_of),
                ..qcow2::Layer::default()
            };
            image.view(None, layer)
        };
        let view = view().map_err(|error| image_error(name, error))?;
        Ok((Arc::new(view), SECTOR_BYTES))
    }
}

/// Refuses what QEMU's LUKS driver does not know.
fn check_for_qemu(made: &FormatOptions) -> Result<(), ImageError> {
    let lacks = |what: String| Err(ImageError::QemuLacks { what });
    let cipher = &made.cipher;
    let (name, bits) = (cipher.cipher(), made.key_bytes * 8);
    let is_known = match (name, cipher.mode()) {
        ("aes" | "serpent" | "twofish", "cbc" | "xts" | "ctr") | ("cast5", "cbc" | "ctr") => true,
        // It looks for an IV behind the mode, where cryptsetup has none.
        _ => false,
    };
    let iv = cipher.iv().unwrap_or_default();
    let iv_is_known = match iv.split_once(':') {
        None => matches!(iv, "plain" | "plain64"),
        Some((iv, hash)) => iv == "essiv" && HASHES.contains(&hash),
    };
    if !is_known || !iv_is_known || cipher.key_count() != 1 {
        return lacks(format!("the cipher {cipher}"));
    }
    let is_cast5 = name == "cast5";
    // Of other keys the keyslots are no whole sectors, which QEMU relies on.
    if !made.key_bytes.is_multiple_of(16) || (is_cast5 && bits != 128) {
        return lacks(format!("{cipher} with a key of {bits} bits"));
    }
    let hash = made.hash.name();
    if !HASHES.contains(&hash) {
        return lacks(format!("the hash {hash}"));
    }
    Ok(())
}

const HASHES: &[&str] = &[
    "md5",
    "sha1",
    "sha224",
    "sha256",
    "sha384",
    "sha512",
    "ripemd160",
];
