//! LUKS1 by qemu-img: which headers it takes, and what it decrypts.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use luks::{Error, Header, luks1};
use tempfile::TempDir;

use crate::bases::{self, Base};
use crate::case::Case;
use crate::{compare, ours};

/// Larger files are not decrypted: their data is a hole.
const MOST_BYTES: u64 = 16 << 20;

#[derive(Default)]
struct Outcome {
    accepted: u64,
    refused: u64,
    only_ours: u64,
    only_theirs: u64,
    decrypted: u64,
    unexplained: Vec<String>,
}

pub fn many(count: u64, seed: u64) {
    let bases = bases::whole(false);
    let place = TempDir::new().expect("a folder can be made");
    let mut outcome = Outcome::default();
    for number in 0..count {
        // Each with its key material and data.
        let case = Case::whole(&bases, seed, number);
        judge(&bases[case.base], &case, place.path(), &mut outcome);
    }
    println!(
        "cases: differential-qemu {} passed, {} failed ({} accepted by both, {} refused by both, {} only by us, {} only by qemu-img; {} decrypted alike), seed {seed}",
        count - u64::try_from(outcome.unexplained.len()).expect("lengths are numbers"),
        outcome.unexplained.len(),
        outcome.accepted,
        outcome.refused,
        outcome.only_ours,
        outcome.only_theirs,
        outcome.decrypted,
    );
    assert!(outcome.decrypted > 0, "nothing was decrypted");
    assert!(
        outcome.unexplained.is_empty(),
        "{}",
        outcome.unexplained.join("\n")
    );
}

fn judge(base: &Base, case: &Case, place: &Path, outcome: &mut Outcome) {
    let path = place.join("image");
    case.write(&path);
    let info = run(Command::new("qemu-img")
        .args(["info", "--output=json", "-f", "luks"])
        .arg(&path));
    let luks = ours::open(case);
    match (&luks, info.status.success()) {
        (Err(_), false) => outcome.refused += 1,
        // Counted, not explained: it knows fewer ciphers, hashes and key sizes.
        (Ok(_), false) => outcome.only_ours += 1,
        // Its states and areas are its own affair: all that we refuse here, the lists against libcryptsetup have too.
        (Err(error), true) => {
            outcome.only_theirs += 1;
            if crate::expected::refused(error).is_none() && !is_geometry(error) {
                outcome
                    .unexplained
                    .push(describe(base, case, &format!("we refuse it: {error:?}")));
            }
        }
        (Ok(luks), true) => {
            outcome.accepted += 1;
            let Header::Luks1(header) = luks.header() else {
                unreachable!("bases are LUKS1")
            };
            let said: serde_json::Value =
                serde_json::from_slice(&info.stdout).expect("it prints JSON");
            let problem = differing(header, &said["format-specific"]["data"]);
            if let Some(problem) = problem {
                outcome.unexplained.push(describe(base, case, &problem));
            } else if compare::is_cheap(luks.header()) && case.length <= MOST_BYTES {
                decrypt(base, case, place, outcome);
            }
        }
    }
}

/// Places of key material: cryptsetup refuses the same, as the comparison with it shows.
fn is_geometry(error: &Error) -> bool {
    use luks::Corrupt;
    matches!(
        error,
        Error::Corrupt(
            Corrupt::AreaInHeader { .. }
                | Corrupt::AreaInData { .. }
                | Corrupt::AreaOverlap { .. }
                | Corrupt::KeyBytes(_)
        )
    )
}

fn differing(header: &luks1::Header, said: &serde_json::Value) -> Option<String> {
    let mut problems = Vec::new();
    let mut check = |name: &str, ours: serde_json::Value, theirs: &serde_json::Value| {
        if ours != *theirs {
            problems.push(format!("{name}: {ours} for us, {theirs} for qemu-img"));
        }
    };
    check("uuid", header.uuid.clone().into(), &said["uuid"]);
    check(
        "payload-offset",
        header.data_offset().into(),
        &said["payload-offset"],
    );
    check(
        "master-key-iters",
        header.mk_digest_iterations.into(),
        &said["master-key-iters"],
    );
    for (index, slot) in header.keyslots.iter().enumerate() {
        let theirs = &said["slots"][index];
        check("active", slot.active.into(), &theirs["active"]);
        check(
            "key-offset",
            slot.area_offset().into(),
            &theirs["key-offset"],
        );
        if slot.active {
            check("iters", slot.iterations.into(), &theirs["iters"]);
        }
    }
    (!problems.is_empty()).then(|| problems.join("; "))
}

/// Whether both give the same plaintext by the passphrase, or neither any.
fn decrypt(base: &Base, case: &Case, place: &Path, outcome: &mut Outcome) {
    fs::write(place.join("key"), base.passphrase).expect("the folder can be written");
    let plain = place.join("plain");
    let _ = fs::remove_file(&plain);
    let object = format!("secret,id=key,file={}", place.join("key").display());
    let source = format!(
        "driver=luks,key-secret=key,file.filename={}",
        place.join("image").display()
    );
    let converted = run(Command::new("qemu-img")
        .args([
            "convert",
            "--object",
            &object,
            "--image-opts",
            &source,
            "-O",
            "raw",
        ])
        .arg(&plain));
    let theirs = converted
        .status
        .success()
        .then(|| fs::read(&plain).expect("it was written"));
    match (plaintext(base, case), theirs) {
        (Ok(ours), Some(theirs)) if ours == whole_sectors(&theirs, case) => outcome.decrypted += 1,
        (Ok(ours), Some(theirs)) => {
            let problem = format!(
                "{} and {} bytes of plaintext differ",
                ours.len(),
                theirs.len()
            );
            outcome.unexplained.push(describe(base, case, &problem));
        }
        (Err(_), None) => {}
        (Ok(_), None) => outcome.only_ours += 1,
        (Err(error), Some(_)) => {
            let problem = format!("only qemu-img decrypts it: {error:?}");
            outcome.unexplained.push(describe(base, case, &problem));
        }
    }
}

/// Without the last sector where the file has only a part of it, which qemu-img fills up.
fn whole_sectors<'a>(plain: &'a [u8], case: &Case) -> &'a [u8] {
    const SECTOR_BYTES: usize = 512;
    if case
        .length
        .is_multiple_of(SECTOR_BYTES.try_into().expect("it is small"))
    {
        return plain;
    }
    &plain[..plain.len().saturating_sub(SECTOR_BYTES)]
}

fn plaintext(base: &Base, case: &Case) -> Result<Vec<u8>, Error> {
    let mut bytes = case.bytes.clone();
    bytes.resize(usize::try_from(case.length).expect("it is small"), 0);
    let volume = ours::volume(bytes, base.passphrase)?;
    let mut plain = vec![0; usize::try_from(volume.len()).expect("it is small")];
    volume.read_at(0, &mut plain).expect("memory can be read");
    Ok(plain)
}

fn describe(base: &Base, case: &Case, problem: &str) -> String {
    format!("{}, {}: {problem}", base.name, case.edits.join("; "))
}

fn run(command: &mut Command) -> Output {
    command.output().expect("qemu-img is there")
}
