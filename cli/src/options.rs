//! What was typed, in the terms of the jobs.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use jobs::Allow;
use jobs::Place;
use jobs::destination::Overwrite;
use jobs::error::PlainError;
use jobs::key_source::{self, KeyFrom, KeySource};
use jobs::losses::BadPlaces;
use jobs::new_image::ImageOptions;
use jobs::new_luks::{Cost, Kdf, KeyslotCipher, LuksOptions};
use jobs::plain::{Age, Plain, PlainKey, PlainWanted};
use jobs::qcow::Qcow2;
use jobs::secret::stored::Reference;
use jobs::sizes::Given;
use jobs::transfer::Work;
use luks::Version;

use crate::args::{
    AnySectorArgs, AnySourceArgs, BackingKeyArgs, BadPlacesArgs, BusyArgs, Compat, ContainerArgs,
    CostArgs, DestinationFormat, DiskArgs, FormatArgs, KeyArgs, KeyEncoding, KeyFormat,
    KeyPairArgs, KeyReadArgs, KeyslotCipherArgs, NewHeaderArgs, NewKeyFileArgs, OnReadError,
    OpenKeyArgs, OpenPlainArgs, Pbkdf, PlainArgs, ResultArgs, SizeArgs, SourceFormat, ToArgs,
    WeakArgs, WorkArgs, for_one, others,
};
use crate::error::Error;
use crate::key_managers;
use crate::output;
use crate::passphrase::KeyInput;

/// The qcow2 image that is to be made: where that is said, or the name says it.
pub fn image(
    to: &ToArgs,
    destination: Option<&Place>,
    compat: Option<Compat>,
) -> Result<Option<ImageOptions>, Error> {
    let is_named = match destination {
        Some(Place::Path(path)) => path.extension().is_some_and(|end| end == "qcow2"),
        _ => false,
    };
    let is_image = match to.to {
        Some(format) => format == DestinationFormat::Qcow2,
        None => is_named,
    };
    let of_image = compat.filter(|compat| !compat.is_of_plain());
    if is_image {
        return Ok(Some(ImageOptions {
            compat: match of_image {
                Some(Compat::Qemu0_10) => qcow2::Compat::V0_10,
                _ => qcow2::Compat::V1_1,
            },
            cluster_bytes: to.cluster_size,
        }));
    }
    let cluster = to.cluster_size.map(|_| "--cluster-size");
    match cluster.or(of_image.map(|_| "--compat 0.10 and 1.1")) {
        Some(one) => Err(Error::Conflict {
            one,
            other: "what is no qcow2 image",
        }),
        None => Ok(None),
    }
}

/// The same of what is always encrypted, and where nothing is said of a plain container.
pub fn encrypted_image(
    to: &ToArgs,
    destination: Option<&Place>,
    compat: Option<Compat>,
) -> Result<Option<ImageOptions>, Error> {
    if to.to == Some(DestinationFormat::Raw) {
        return Err(Error::Conflict {
            one: "--to raw",
            other: "a verb that encrypts",
        });
    }
    image(to, destination, compat)
}

/// Refuses what says something of qcow2 images alone.
pub fn check_age(compat: Option<Compat>) -> Result<(), Error> {
    match compat.filter(|compat| !compat.is_of_plain()) {
        Some(_) => Err(Error::Conflict {
            one: "--compat 0.10 and 1.1",
            other: "what is no qcow2 image",
        }),
        None => Ok(()),
    }
}

/// Refuses what says something of plain containers alone.
pub fn check_compat(compat: Option<Compat>) -> Result<(), Error> {
    match compat.filter(|compat| compat.is_of_plain()) {
        Some(_) => Err(Error::Conflict {
            one: "--compat 2.6 and 2.7",
            other: "what is no plain container",
        }),
        None => Ok(()),
    }
}

/// A new LUKS container.
pub fn luks(version: Version, container: &ContainerArgs, format: &FormatArgs) -> LuksOptions {
    LuksOptions {
        version,
        cipher: container.cipher.clone(),
        key_bits: container.key_size,
        hash: container.hash.clone(),
        sector_bytes: container.sector_size,
        offset_sectors: container.offset,
        align_sectors: None,
        cost: Cost::from(&format.cost),
        keyslot: format.key_slot,
        ..header(&format.header)
    }
}

/// What its header says.
pub fn header(args: &NewHeaderArgs) -> LuksOptions {
    LuksOptions {
        uuid: args.uuid.clone(),
        label: args.label.clone(),
        subsystem: args.subsystem.clone(),
        metadata_bytes: args.luks2_metadata_size,
        keyslots_bytes: args.luks2_keyslots_size,
        keyslot_cipher: keyslot_cipher(&args.keyslot_cipher),
        ..LuksOptions::default()
    }
}

/// A plain container; what is not used of the options is told.
pub fn plain(
    container: &ContainerArgs,
    plain: &PlainArgs,
    key: &KeySource,
) -> Result<Plain, PlainError> {
    let wanted = PlainWanted {
        cipher: container.cipher.clone(),
        key_bits: container.key_size,
        hash: container.hash.clone(),
        sector_bytes: container.sector_size,
        offset_sectors: container.offset.unwrap_or(0),
        ..plain_wanted(plain)
    };
    understood(&wanted, key)
}

/// The same of one that is to be opened.
pub fn plain_to_open(
    layout: &OpenPlainArgs,
    plain: &PlainArgs,
    key: &KeySource,
) -> Result<Plain, PlainError> {
    let wanted = PlainWanted {
        cipher: layout.cipher.clone(),
        key_bits: layout.key_size,
        hash: layout.hash.clone(),
        sector_bytes: layout.sector_size,
        offset_sectors: layout.offset.unwrap_or(0),
        ..plain_wanted(plain)
    };
    understood(&wanted, key)
}

fn plain_wanted(args: &PlainArgs) -> PlainWanted {
    PlainWanted {
        skip_sectors: args.skip.unwrap_or(0),
        iv_large_sectors: args.iv_large_sectors,
        defaults: args.compat.and_then(|compat| match compat {
            Compat::V2_6 => Some(Age::V2_6),
            Compat::V2_7 => Some(Age::V2_7),
            Compat::Qemu0_10 | Compat::Qemu1_1 => None,
        }),
        ..PlainWanted::default()
    }
}

fn understood(wanted: &PlainWanted, key: &KeySource) -> Result<Plain, PlainError> {
    let plain = wanted.understood(key)?;
    if key.is_file() && wanted.hash.is_some() {
        output::warn("--hash is not used: a plain container's key file is the key itself");
    }
    let takes_size = matches!(plain.key, PlainKey::Hashed { exactly: false, .. });
    if key.size.is_some() && !takes_size {
        output::warn("--keyfile-size is not used: as much is read as the key has");
    }
    Ok(plain)
}

/// How a source is read, where it is said to be a qcow2 image.
pub fn disk(from: Option<SourceFormat>, args: &DiskArgs) -> Result<Option<Qcow2>, Error> {
    if from == Some(SourceFormat::Qcow2) {
        return Ok(Some(Qcow2 {
            snapshot: args.snapshot.clone(),
            follow: args.allow_backing,
        }));
    }
    let given = [
        ("--snapshot", args.snapshot.is_some()),
        ("--allow-backing", args.allow_backing),
    ];
    match given.iter().find(|(_, is_given)| *is_given) {
        Some((one, _)) => Err(Error::Conflict {
            one,
            other: "a source that is not said to be qcow2",
        }),
        None => Ok(None),
    }
}

/// Refuses another format than LUKS where `other` is what knows no other one.
pub fn only_luks(from: Option<SourceFormat>, other: &'static str) -> Result<(), Error> {
    let one = match from {
        Some(SourceFormat::Raw) => "--from raw",
        Some(SourceFormat::Qcow2) => "--from qcow2",
        Some(SourceFormat::Luks) | None => return Ok(()),
    };
    Err(Error::Conflict { one, other })
}

/// Refuses another format than raw where `other` is what knows no other one.
pub fn only_raw(from: Option<SourceFormat>, other: &'static str) -> Result<(), Error> {
    let one = match from {
        Some(SourceFormat::Luks) => "--from luks",
        Some(SourceFormat::Qcow2) => "--from qcow2",
        Some(SourceFormat::Raw) | None => return Ok(()),
    };
    Err(Error::Conflict { one, other })
}

/// Where the keys come from that open what is below an image, the nearest first.
pub fn backing_keys(args: &BackingKeyArgs, read: &KeyReadArgs) -> Result<Vec<KeyInput>, Error> {
    let files = args.backing_key_file.iter();
    files
        .map(|file| Ok(KeyInput::new(key(key_from(Some(file), None), read), false)?))
        .collect()
}

/// How the area of a keyslot is encrypted, where that is said.
pub fn keyslot_cipher(args: &KeyslotCipherArgs) -> Option<KeyslotCipher> {
    Some(KeyslotCipher {
        cipher: args.keyslot_cipher.clone()?,
        key_bits: args.keyslot_key_size?,
    })
}

/// Which of the sizes was given.
pub fn size(args: &SizeArgs) -> Option<Given> {
    let payload = args.payload_size.map(Given::Payload);
    payload.or(args.container_size.map(Given::Container))
}

/// Where a new key comes from, but for how it is spelled.
pub fn new_key(args: &NewKeyFileArgs, in_the_clear: bool) -> KeySource {
    let from = match &args.new_secret {
        Some(reference) => KeyFrom::Secret(key_managers::secret(reference, in_the_clear)),
        None => key_from(args.new_keyfile.as_deref(), args.new_key_fd),
    };
    KeySource {
        from,
        offset: args.new_keyfile_offset,
        size: args.new_keyfile_size,
        ..KeySource::default()
    }
}

/// What a key is read from: a file, where `-` is standard input, or a descriptor.
pub fn key_from(file: Option<&OsStr>, descriptor: Option<u32>) -> KeyFrom {
    match (file, descriptor) {
        (Some(file), _) if file == "-" => KeyFrom::Standard,
        (Some(file), _) => KeyFrom::File(file.into()),
        (None, Some(descriptor)) => KeyFrom::Descriptor(descriptor),
        (None, None) => KeyFrom::FirstLine,
    }
}

impl From<&KeyArgs> for KeySource {
    fn from(args: &KeyArgs) -> Self {
        let from = match &args.secret {
            Some(reference) => kept(reference, &args.read),
            None => key_from(args.key_file.as_deref(), args.key_fd),
        };
        key(from, &args.read)
    }
}

/// Where the key of one of two images comes from, and where that of another one may: `index` is 0 for A and 1 for B.
pub fn keys_of_pair(args: &KeyPairArgs, index: usize) -> (KeySource, Vec<KeySource>) {
    let file = for_one(&args.key_file, index).map(OsString::as_os_str);
    let descriptor = for_one(&args.key_fd, index).copied();
    let secret = for_one(&args.secret, index).map(|reference| kept(reference, &args.read));
    let other_files = others(&args.key_file, index).map(|file| key_from(Some(file), None));
    let other_descriptors =
        others(&args.key_fd, index).map(|descriptor| key_from(None, Some(*descriptor)));
    let other_secrets = others(&args.secret, index).map(|reference| kept(reference, &args.read));
    (
        key(
            secret.unwrap_or_else(|| key_from(file, descriptor)),
            &args.read,
        ),
        other_files
            .chain(other_descriptors)
            .chain(other_secrets)
            .map(|from| key(from, &args.read))
            .collect(),
    )
}

/// Where the key of a container comes from, and where that of the other key of a reencryption does.
pub fn keys_to_open(args: &OpenKeyArgs) -> Result<(KeySource, Vec<KeySource>), Error> {
    at_most_two("--key-file", args.key_file.len())?;
    at_most_two("--key-fd", args.key_fd.len())?;
    at_most_two("--secret", args.secret.len())?;
    let files = args
        .key_file
        .iter()
        .map(|file| key_from(Some(file.as_os_str()), None));
    let descriptors = args.key_fd.iter().map(|fd| key_from(None, Some(*fd)));
    let secrets = args
        .secret
        .iter()
        .map(|reference| kept(reference, &args.read));
    let mut sources: Vec<_> = files
        .chain(descriptors)
        .chain(secrets)
        .map(|from| key(from, &args.read))
        .collect();
    if sources.is_empty() {
        return Ok((key(KeyFrom::FirstLine, &args.read), sources));
    }
    let first = sources.remove(0);
    Ok((first, sources))
}

impl KeyInput {
    /// What opens a container, as the options say.
    pub fn to_open(args: &OpenKeyArgs, stdin_is_data: bool) -> Result<Self, Error> {
        Ok(Self::with_others(keys_to_open(args)?, stdin_is_data)?)
    }
}

/// There are two keys of a reencryption.
pub fn at_most_two(option: &'static str, times: usize) -> Result<(), Error> {
    if times > 2 {
        return Err(Error::TooOften {
            option,
            times,
            most: 2,
        });
    }
    Ok(())
}

fn key(from: KeyFrom, args: &KeyReadArgs) -> KeySource {
    KeySource {
        from,
        offset: args.keyfile_offset,
        size: args.keyfile_size,
        encoding: args.key_encoding.into(),
        format: args.key_format.map(Into::into).unwrap_or_default(),
    }
}

/// A secret that is kept elsewhere.
fn kept(reference: &Reference, args: &KeyReadArgs) -> KeyFrom {
    KeyFrom::Secret(key_managers::secret(reference, args.insecure_secret))
}

impl From<KeyEncoding> for key_source::KeyEncoding {
    fn from(typed: KeyEncoding) -> Self {
        match typed {
            KeyEncoding::Raw => Self::Raw,
            KeyEncoding::Hex => Self::Hex,
            KeyEncoding::Base64 => Self::Base64,
        }
    }
}

impl From<KeyFormat> for key_source::KeyFormat {
    fn from(typed: KeyFormat) -> Self {
        match typed {
            KeyFormat::AsIs => Self::AsIs,
            KeyFormat::Openstack => Self::Openstack,
            KeyFormat::OpenstackMangled => Self::OpenstackMangled,
            KeyFormat::Auto => Self::Auto,
        }
    }
}

impl From<&CostArgs> for Cost {
    fn from(args: &CostArgs) -> Self {
        Self {
            kdf: args.pbkdf.map(|pbkdf| match pbkdf {
                Pbkdf::Pbkdf2 => Kdf::Pbkdf2,
                Pbkdf::Argon2i => Kdf::Argon2i,
                Pbkdf::Argon2id => Kdf::Argon2id,
            }),
            time: args.iter_time.map(Duration::from_millis),
            memory_kib: args.pbkdf_memory,
            lanes: args.pbkdf_parallel,
            iterations: args.pbkdf_force_iterations,
        }
    }
}

/// What may be odd about a source, and weak about a container.
pub fn allow(
    busy: &BusyArgs,
    any: &AnySourceArgs,
    sectors: &AnySectorArgs,
    weak: &WeakArgs,
) -> Allow {
    Allow {
        in_use: busy.read_in_use,
        any_source: any.allow_any_source,
        any_sector_size: sectors.allow_any_sector_size,
        empty_passphrase: weak.allow_empty_passphrase,
        weak_cipher: weak.allow_weak_cipher,
        equal_xts_halves: false,
    }
}

impl From<&ResultArgs> for Overwrite {
    fn from(args: &ResultArgs) -> Self {
        Self {
            files: args.force,
            devices: args.overwrite_device,
        }
    }
}

impl From<&BadPlacesArgs> for BadPlaces {
    fn from(args: &BadPlacesArgs) -> Self {
        Self {
            go_on: args.on_read_error == OnReadError::Zero,
            map: args.error_map.clone(),
        }
    }
}

impl From<&WorkArgs> for Work {
    fn from(args: &WorkArgs) -> Self {
        Self {
            threads: args.threads,
            direct: args.direct,
        }
    }
}
