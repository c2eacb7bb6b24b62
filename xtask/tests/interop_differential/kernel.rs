//! What LUKS2 headers that both accept make of the data: cryptsetup opens them under a real Linux kernel, whose plaintext
//! is compared with ours.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use dmcrypt::SECTOR_BYTES;
use luks::luks2::{self, Metadata, Segment, SegmentKind, Which};
use luks::{Error, Header, Unsupported};
use serde_json::Value;
use tempfile::TempDir;

use crate::bases::{self, Base};
use crate::case::Case;
use crate::{compare, ours};

/// How long a plaintext is, and its start.
type Plain = (u64, Vec<u8>);

/// Compared at the start of the plaintext.
const MOST_BYTES: u64 = 64 << 10;

/// What cryptsetup makes of a header otherwise than the specification: with segments changed so it gives the same to us.
const OTHERWISE: [(&str, &str, Change); 5] = [
    (
        "iv-tweak",
        "cryptsetup counts the IVs of a container from 0, whatever its iv_tweak says",
        |segment| segment["iv_tweak"] = "0".into(),
    ),
    (
        "other-segment",
        "a segment of a type that is not known, which cryptsetup opens as one of the type crypt",
        |segment| {
            segment["type"] = "crypt".into();
            segment["iv_tweak"] = "0".into();
            if segment.get("sector_size").is_none() {
                segment["sector_size"] = 512.into();
            }
        },
    ),
    (
        "fixed-size",
        "cryptsetup maps all of the storage behind the only segment, whatever size it has",
        |segment| segment["size"] = "dynamic".into(),
    ),
    (
        "16-bit-sector-size",
        "the kernel reads a sector size in 16 bits",
        |segment| {
            let bytes = segment["sector_size"].as_u64().unwrap_or_default();
            segment["sector_size"] = (bytes & 0xffff).into();
        },
    ),
    (
        "blank-before-cipher",
        "cryptsetup passes over blanks before the name of a cipher",
        |segment| {
            let text = segment["encryption"].as_str().unwrap_or_default();
            segment["encryption"] = text.trim_start().into();
        },
    ),
];

/// A segment's JSON is changed.
type Change = fn(&mut Value);

/// What only we open.
const ONLY_OURS: [(&str, &str, OnlyOurs); 4] = [
    (
        "no-data",
        "the data end where they begin: it wants a sector at least",
        |metadata, length, error| {
            metadata.data_offset() == Some(length) && error.contains("no remaining space for data")
        },
    ),
    (
        "name-alone",
        "the name of a cipher without a mode: it ends without a word",
        |metadata, _, error| {
            let mut segments = metadata.data_segments();
            error.is_empty()
                && segments.any(|segment| {
                    matches!(&segment.kind, SegmentKind::Crypt(crypt) if !crypt.text.contains('-'))
                })
        },
    ),
    (
        "data-in-header",
        "the data begin at 0, where the header lies: luksmith's commands refuse it as a detached header",
        |metadata, _, error| metadata.data_offset() == Some(0) && error.contains("detached"),
    ),
    (
        "dm-alignment",
        "larger sectors than 512 bytes that do not lie and end at multiples of their size: the kernel does not map them",
        |metadata, length, error| {
            let mut segments = metadata.data_segments();
            let is_odd = |segment: &Segment| match &segment.kind {
                SegmentKind::Crypt(crypt) => {
                    let bytes = u64::from(crypt.sector_size);
                    let is_whole = segment.offset.is_multiple_of(bytes)
                        && length.is_multiple_of(bytes)
                        && crypt.iv_tweak.is_multiple_of(bytes / SECTOR_BYTES);
                    !is_whole
                }
                _ => false,
            };
            segments.any(is_odd) && error.contains("Invalid argument")
        },
    ),
];

/// Whether that is why: the header, the length of its file, and what cryptsetup says.
type OnlyOurs = fn(&Metadata, u64, &str) -> bool;

/// What only the kernel opens.
const ONLY_THEIRS: (&str, &str) = (
    "short-serpent-key",
    "the kernel takes keys of Serpent of any length up to 32 bytes; those below 16 are not built",
);

/// Run in the guest, in the folder of the images. One boot serves for all.
const SCRIPT: &str = r#"
for image in image-*; do
  case=${image#image-}
  if cryptsetup open --readonly --disable-locks --disable-keyring --key-file "key-$case" "$image" data 2>"error-$case"; then
    blockdev --getsize64 /dev/mapper/data >"size-$case"
    dd if=/dev/mapper/data of="plain-$case" bs=64K count=1 2>/dev/null
    cryptsetup close data
  fi
done
"#;

#[derive(Default)]
struct Outcome {
    alike: u64,
    neither: u64,
    /// By entry of the lists.
    listed: BTreeMap<&'static str, u64>,
    unexplained: Vec<String>,
}

/// So many headers with an edit in their segments, and ours to open.
pub fn many(count: usize, seed: u64) {
    let bases = bases::whole(true);
    let place = TempDir::new().expect("a folder can be made");
    let cases: Vec<Case> = (0..)
        .map(|number| Case::whole(&bases, seed, number))
        .filter(|case| is_of_interest(case, &bases))
        .take(count)
        .collect();
    for (number, case) in cases.iter().enumerate() {
        let path = |name| place.path().join(format!("{name}-{number}"));
        case.write(&path("image"));
        fs::write(path("key"), bases[case.base].passphrase).expect("the folder can be written");
    }
    run(place.path());
    let mut outcome = Outcome::default();
    for (number, case) in cases.iter().enumerate() {
        judge(&bases[case.base], case, place.path(), number, &mut outcome);
    }
    println!(
        "cases: differential-kernel {} passed, {} failed ({} decrypted alike, {} by neither, {} on the list), seed {seed}",
        cases.len() - outcome.unexplained.len(),
        outcome.unexplained.len(),
        outcome.alike,
        outcome.neither,
        outcome.listed.values().sum::<u64>(),
    );
    let otherwise = OTHERWISE.map(|(name, reason, _)| (name, reason));
    let only_ours = ONLY_OURS.map(|(name, reason, _)| (name, reason));
    let all = otherwise.into_iter().chain(only_ours).chain([ONLY_THEIRS]);
    for (name, reason) in all {
        let count = outcome.listed.get(name).unwrap_or(&0);
        println!("  listed: {count} {name} {reason}");
    }
    assert!(outcome.alike > 0, "nothing was decrypted");
    assert!(
        outcome.unexplained.is_empty(),
        "{}",
        outcome.unexplained.join("\n")
    );
}

fn is_of_interest(case: &Case, bases: &[Base]) -> bool {
    case.length == bases[case.base].length
        && case.edits.iter().any(|edit| edit.contains("/segments/"))
        && ours::open(case).is_ok_and(|luks| {
            luks.warnings().is_empty()
                && compare::is_cheap(luks.header())
                && ours::unlock(&luks, bases[case.base].passphrase).is_ok()
        })
}

fn run(place: &Path) {
    let script = place.join("script");
    let text = format!("cd {}\n{SCRIPT}", place.display());
    fs::write(&script, text).expect("the folder can be written");
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/uml-run"))
        .arg(script)
        .env("UML_TIMEOUT", "3600")
        .output()
        .expect("a shell script starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn judge(base: &Base, case: &Case, place: &Path, number: usize, outcome: &mut Outcome) {
    let read = |name: &str| fs::read(place.join(format!("{name}-{number}")));
    let theirs = read("plain").ok().map(|plain| {
        let size = String::from_utf8(read("size").expect("it is written first"));
        let size = size.ok().and_then(|size| size.trim().parse().ok());
        (size.expect("a number"), plain)
    });
    let ours = plaintext(base, case.bytes.clone());
    let problem = match (&ours, theirs) {
        (Ok(ours), Some(theirs)) if *ours == theirs => return outcome.alike += 1,
        (Err(_), None) => return outcome.neither += 1,
        (_, Some(theirs)) => {
            if let Some(name) = otherwise(base, case, &theirs) {
                return *outcome.listed.entry(name).or_default() += 1;
            }
            if ours.as_ref().is_err_and(is_short_serpent_key) {
                return *outcome.listed.entry(ONLY_THEIRS.0).or_default() += 1;
            }
            let ours = ours.map(|(length, _)| length);
            format!("{ours:?} for us, {} bytes for the kernel", theirs.0)
        }
        (Ok(ours), None) => {
            let error = String::from_utf8(read("error").expect("a file for errors"));
            let error = error.expect("it is text");
            if let Some(name) = only_ours(case, &error) {
                return *outcome.listed.entry(name).or_default() += 1;
            }
            format!("only we open it, {} bytes: {error}", ours.0)
        }
    };
    outcome.unexplained.push(format!(
        "{}, {}: {problem}",
        base.name,
        case.edits.join("; ")
    ));
}

/// The entry by which cryptsetup gives that.
fn otherwise(base: &Base, case: &Case, theirs: &Plain) -> Option<&'static str> {
    let is_it = |change| {
        let changed = with_segments(case, change)?;
        Some(plaintext(base, changed).ok()? == *theirs)
    };
    let entry = OTHERWISE
        .iter()
        .find(|(_, _, change)| is_it(*change) == Some(true));
    entry.map(|(name, ..)| *name)
}

fn is_short_serpent_key(error: &Error) -> bool {
    matches!(error, Error::Unsupported(Unsupported::Cipher {
        source: dmcrypt::Error::KeySize { spec, bytes, .. }, ..
    }) if spec.starts_with("serpent-") && *bytes < 32)
}

/// The entry by which cryptsetup or the kernel does not open it.
fn only_ours(case: &Case, error: &str) -> Option<&'static str> {
    let luks = ours::open(case).ok()?;
    let Header::Luks2(header) = luks.header() else {
        return None;
    };
    let entry = ONLY_OURS
        .iter()
        .find(|(_, _, is)| is(&header.metadata, case.length, error));
    entry.map(|(name, ..)| *name)
}

/// The case with each of its segments for data changed.
fn with_segments(case: &Case, change: Change) -> Option<Vec<u8>> {
    let luks = ours::open(case).ok()?;
    let Header::Luks2(header) = luks.header() else {
        return None;
    };
    let mut raw = header.metadata.raw().clone();
    for segment in header.metadata.data_segments() {
        change(raw.get_mut("segments")?.get_mut(segment.id.to_string())?);
    }
    let header = luks2::Header {
        metadata: Metadata::from_raw(raw, header.binary.header_bytes).ok()?,
        ..header.clone()
    };
    let copy = usize::try_from(header.binary.header_bytes).ok()?;
    let mut image = case.bytes.clone();
    for (which, at) in [(Which::Primary, 0), (Which::Secondary, copy)] {
        let bytes = header.to_bytes(which, [0; 64]).ok()?;
        image
            .get_mut(at..)?
            .get_mut(..bytes.len())?
            .copy_from_slice(&bytes);
    }
    Some(image)
}

fn plaintext(base: &Base, image: Vec<u8>) -> Result<Plain, Error> {
    let volume = ours::volume(image, base.passphrase)?;
    let start = volume.len().min(MOST_BYTES);
    let mut plain = vec![0; usize::try_from(start).expect("it is small")];
    volume.read_at(0, &mut plain).expect("memory can be read");
    Ok((volume.len(), plain))
}
