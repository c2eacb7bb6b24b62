//! `clone SRC DST`: a copy with a volume key of its own.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;

use dmcrypt::{LockedBytes, Passphrase, VolumeKey};
use jobs::clone::{
    CloneOptions, Cloned, NewKeys, Original, Outcome, Pattern, Recovery, Series, Weaker, clone,
};
use jobs::inputs::Inputs;
use jobs::key_source::KeyFormat;
use jobs::new_luks::{Cost, LuksOptions};
use jobs::secret::Form;
use jobs::{Asked, AskedOther, Blame, Place, SecretError, Secrets};
use luks::Version;

use super::check_stdout;
use super::key::new;
use crate::args::{
    CloneArgs, ContainerArgs, ContainerType, Holes, LuksType, SourceFormat, SourceType,
};
use crate::error::{self, Error};
use crate::inputs::InputsOf as _;
use crate::losses;
use crate::options;
use crate::output;
use crate::passphrase::KeyInput;
use crate::report::Said as _;
use crate::secrets::Keys;
use crate::unlock;
use crate::watch::Teller;

/// Clones.
pub fn run(args: &CloneArgs) -> Result<(), Error> {
    let say = args.result.output;
    check_stdout(&args.destination, say)?;
    let prints_key = args.opens.recovery_key.as_deref() == Some(Path::new("-"));
    if prints_key && say.json {
        return Err(Error::Conflict {
            one: "--json",
            other: "--recovery-key -",
        });
    }
    let keys = KeyInput::to_open(&args.keys, args.source == Place::Standard)?;
    let (files, descriptors) = (&args.keys.key_file, &args.keys.key_fd);
    let new = new::input_beside(files, descriptors, &args.keys.read, &args.new_key)?;
    let image = options::encrypted_image(&args.to, Some(&args.destination), args.plain.compat)?;
    let options = CloneOptions {
        image,
        original: original(args, &keys)?,
        header: args.header.header.clone().map(Place::Path),
        policies: (&args.policy.policy[..]).into(),
        unlock: unlock::how(&args.unlock)?,
        version: args.container.kind.map(|kind| match kind {
            LuksType::Luks1 => Version::Luks1,
            LuksType::Luks2 => Version::Luks2,
        }),
        format: LuksOptions {
            cipher: args.container.cipher.clone(),
            key_bits: args.container.key_size,
            hash: args.container.hash.clone(),
            sector_bytes: args.container.sector_size,
            offset_sectors: args.container.offset,
            cost: Cost::from(&args.cost),
            ..options::header(&args.format)
        },
        new_header: args.container.new_header.clone().map(Place::Path),
        size: options::size(&args.size),
        keys: NewKeys {
            keep_passphrase: args.opens.keep_passphrase,
            passphrase: args.new_key.is_given(),
            recovery: recovery(args),
        },
        series: series(args)?,
        keep_holes: args.holes == Holes::Keep,
        bad_places: (&args.bad_places).into(),
        work: (&args.work).into(),
        overwrite: (&args.result).into(),
        dry_run: args.result.dry.run,
        allow: options::allow(&args.busy, &args.any, &args.sectors, &args.weak),
        weaker: Weaker {
            smaller_key: args.weaker.allow_smaller_key,
            cheaper_kdf: args.weaker.allow_cheaper_kdf,
            cut: args.weaker.allow_cut,
        },
        inputs: Inputs::none()
            .open_keys(&args.keys, &args.unlock)?
            .backing_keys(&args.below)
            .new_keys(&args.new_key)
            .policies(&args.policy),
    };
    let below = options::backing_keys(&args.below, &args.keys.read)?;
    let secrets = CloneKeys {
        source: Keys::to_unlock(&keys, &args.unlock).with_backing_keys(&below),
        new: Keys::for_new_keyslot(&new, say),
    };
    let teller = Teller::new("clone", &args.work, say);
    let outcome = clone(&args.source, &args.destination, &options, &secrets, &teller)?;
    let blame = outcome.blame();
    let Outcome { report, failed } = outcome;
    report.print("clone", &args.work, say)?;
    if let Some(blame) = blame {
        return Err(some_failed(blame, failed, &report.clones));
    }
    losses::of_report(&report.report)
}

/// Says why they are not there, and ends as they did where all ended alike.
fn some_failed(blame: Blame, failed: Vec<jobs::Error>, clones: &[Cloned]) -> Error {
    let errors: Vec<_> = failed.into_iter().map(Error::from).collect();
    for error in &errors {
        output::warn(error);
    }
    let first = errors.into_iter().next();
    Error::NotAll {
        failed: clones.iter().filter(|one| one.error.is_some()).count(),
        count: clones.len(),
        exit: blame.into(),
        first: first.map(Box::new),
    }
}

/// What SRC is.
fn original(args: &CloneArgs, keys: &KeyInput) -> Result<Original, Error> {
    let from = &args.from;
    let disk = options::disk(args.format_of.from, &args.format_of.disk)?;
    let source_type = match args.format_of.from {
        Some(SourceFormat::Raw) => Some(SourceType::Raw),
        _ => from.source_type,
    };
    let kind = match (source_type, disk) {
        (_, Some(disk)) => Original::Qcow2(disk),
        (Some(SourceType::Plain), _) => {
            if let Some(one) = header_options(args) {
                return Err(Error::Conflict {
                    one,
                    other: "a plain container",
                });
            }
            let container = ContainerArgs {
                kind: Some(ContainerType::Plain),
                cipher: from.source_cipher.clone(),
                key_size: from.source_key_size,
                hash: from.source_hash.clone(),
                sector_size: from.source_sector_size,
                offset: from.source_offset,
            };
            let plain = options::plain(&container, &args.plain, keys.source())?;
            return Ok(Original::Plain(plain));
        }
        (Some(SourceType::Luks1), _) => Original::Luks(Some(Version::Luks1)),
        (Some(SourceType::Luks2), _) => Original::Luks(Some(Version::Luks2)),
        (None, _) => Original::Luks(None),
        (Some(SourceType::Raw), _) => {
            let key = args.keys.key_file.first().map(|_| "--key-file");
            let key = key.or(args.keys.key_fd.first().map(|_| "--key-fd"));
            let key = key.or(args.keys.secret.first().map(|_| "--secret"));
            if let Some(one) = header_options(args).or(key) {
                return Err(Error::Conflict {
                    one,
                    other: "a raw image",
                });
            }
            Original::Raw
        }
    };
    let given = [
        ("--source-cipher", from.source_cipher.is_some()),
        ("--source-key-size", from.source_key_size.is_some()),
        ("--source-hash", from.source_hash.is_some()),
        ("--source-sector-size", from.source_sector_size.is_some()),
        ("--source-offset", from.source_offset.is_some()),
    ];
    let given = given.iter().find(|(_, is_given)| *is_given);
    match given
        .map(|(option, _)| *option)
        .or(args.plain.given_of_plain())
    {
        Some(one) => Err(Error::Conflict {
            one,
            other: "a source that is not plain",
        }),
        None => Ok(kind),
    }
}

/// An option that is about the header of SRC.
fn header_options(args: &CloneArgs) -> Option<&'static str> {
    let header = args.header.header.as_ref().map(|_| "--header");
    let policy = args.policy.policy.first().map(|_| "--policy");
    let keep = args.opens.keep_passphrase.then_some("--keep-passphrase");
    args.unlock.given().or(header).or(policy).or(keep)
}

fn recovery(args: &CloneArgs) -> Recovery {
    match (&args.opens.recovery_key, &args.opens.recovery_key_dir) {
        (Some(path), _) if path == Path::new("-") => Recovery::Caller,
        (Some(path), _) => Recovery::File(path.clone()),
        (None, Some(folder)) => Recovery::Folder(folder.clone()),
        (None, None) => Recovery::None,
    }
}

fn series(args: &CloneArgs) -> Result<Option<Series>, Error> {
    let (Some(count), Some(pattern)) = (args.series.count, &args.series.name_pattern) else {
        return Ok(None);
    };
    Ok(Some(Series {
        count,
        pattern: Pattern::parse(pattern).map_err(jobs::Error::from)?,
        manifest: args.series.manifest.clone(),
    }))
}

/// What opens SRC, what is to open DST, and who takes a recovery key.
struct CloneKeys<'a> {
    source: Keys<'a>,
    new: Keys<'a>,
}

impl Secrets for CloneKeys<'_> {
    fn passphrase(&self, asked: &Asked<'_>) -> Result<LockedBytes, SecretError> {
        if !asked.is_new {
            return self.source.passphrase(asked);
        }
        self.new.passphrase(asked)
    }

    fn name(&self) -> String {
        self.new.name()
    }

    fn volume_key(&self) -> Result<Option<VolumeKey>, SecretError> {
        self.source.volume_key()
    }

    fn other_passphrase(&self, asked: &AskedOther<'_>) -> Result<Option<LockedBytes>, SecretError> {
        self.source.other_passphrase(asked)
    }

    fn other_volume_key(&self, attempt: u32) -> Result<Option<VolumeKey>, SecretError> {
        self.source.other_volume_key(attempt)
    }

    fn forms(&self, given: &LockedBytes) -> Vec<Form> {
        self.source.forms(given)
    }

    fn fitted(&self, image: &str, format: KeyFormat) {
        self.source.fitted(image, format);
    }

    fn tries(&self) -> u32 {
        self.source.tries()
    }

    fn did_not_fit(&self, error: &jobs::Error) {
        error::tell(error);
    }

    /// Past every buffer.
    fn keep_recovery_key(&self, image: &str, key: &Passphrase) -> Result<(), SecretError> {
        let mut line = LockedBytes::zeroed(key.len() + 1);
        line[..key.len()].copy_from_slice(key.expose());
        line[key.len()] = b'\n';
        let written = io::stdout()
            .as_fd()
            .try_clone_to_owned()
            .and_then(|stdout| File::from(stdout).write_all(&line));
        written.map_err(|error| {
            let said = format!("cannot print the recovery key of {image}: {error}");
            SecretError::new(Blame::Request, said)
        })
    }
}
