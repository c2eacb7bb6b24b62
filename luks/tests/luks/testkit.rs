use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::fs;

use luks::{Corrupt, Error, Fault, Header, Luks, Warning};

use crate::common::{open, test_vectors, unlock, unxz};

#[expect(dead_code, reason = "the generator writes cases too")]
#[path = "../../../xtask/src/testkit/case.rs"]
mod case;

use case::Case;

/// Every case by the exact kind of its error, and every file by the index.
#[test]
fn the_testkit_is_judged_as_its_index_says() {
    let kit = test_vectors().join("testkit");
    let index: toml::Table = fs::read_to_string(kit.join("index.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let passphrase = index["passphrase"].as_str().unwrap();
    let mut bases = BTreeMap::new();
    let mut files = BTreeSet::new();
    for group in fs::read_dir(kit.join("cases")).unwrap() {
        for file in fs::read_dir(group.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let name = path.strip_prefix(&kit).unwrap().to_str().unwrap();
            files.insert(name.to_owned());
        }
    }
    let mut failures = Vec::new();
    let mut passed = 0;
    for entry in index["case"].as_array().unwrap() {
        let text = |name: &str| entry.get(name).and_then(toml::Value::as_str);
        let file = text("file").unwrap();
        assert!(files.remove(file), "{file} is listed twice or is not there");
        let case = Case::parse(&fs::read_to_string(kit.join(file)).unwrap()).unwrap();
        let listed = (text("verdict"), text("kind"));
        assert_eq!(
            listed,
            (Some(case.verdict.as_str()), case.kind.as_deref()),
            "{file}"
        );
        let base = bases
            .entry(case.base.clone())
            .or_insert_with(|| unxz(&kit.join(format!("bases/{}.img.xz", case.base))));
        let luksmith = text("luksmith").unwrap();
        let judged = if luksmith == case.meant() {
            judge(&case, base, passphrase)
        } else {
            assert!(text("why").is_some(), "{file} differs, and nobody says why");
            judge_otherwise(&case, base, passphrase, luksmith, text("luksmith-kind"))
        };
        match judged {
            Ok(()) => passed += 1,
            Err(problem) => failures.push(format!("{file}: {problem}")),
        }
    }
    println!("cases: testkit {passed} passed, {} failed", failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(files.is_empty(), "not in the index: {files:?}");
    assert!(passed >= 1000, "{passed}");
}

/// As the case is meant.
fn judge(case: &Case, base: &[u8], passphrase: &str) -> Result<(), String> {
    let image = case.image(base);
    let (storage, luks) = match open(image.clone()) {
        Ok(opened) => opened,
        Err(error) if case.verdict == "invalid" => return is_kind(case, &error),
        Err(error) => return Err(format!("refused: {error}")),
    };
    if case.verdict == "invalid" {
        return Err("accepted".into());
    }
    copies(case, &luks)?;
    let opened = unlock(&luks, passphrase.as_bytes());
    if storage.snapshot() != image {
        return Err("it was changed by reading it".into());
    }
    match opened {
        Ok(_) if case.opens => Ok(()),
        Ok(_) => Err("opened".into()),
        Err(error) if case.opens => Err(format!("not opened: {error}")),
        // The kind is that of the other copy.
        Err(_) if case.verdict == "recoverable" => Ok(()),
        Err(error) => is_kind(case, &error),
    }
}

/// Where the index says that we differ: that is what we do, and with which error.
fn judge_otherwise(
    case: &Case,
    base: &[u8],
    passphrase: &str,
    luksmith: &str,
    kind: Option<&str>,
) -> Result<(), String> {
    let found = match open(case.image(base)) {
        Ok((_, luks)) => match unlock(&luks, passphrase.as_bytes()) {
            Ok(_) => "opens",
            Err(_) => "loads",
        },
        Err(error) => {
            let found = kind_of(&error).0;
            if kind != Some(found.as_str()) {
                return Err(format!("{found}, listed {kind:?}: {error}"));
            }
            "refuses"
        }
    };
    if found == luksmith {
        Ok(())
    } else {
        Err(format!("{found}, listed {luksmith}"))
    }
}

/// Which copy counts, and what is said of the other.
fn copies(case: &Case, luks: &Luks) -> Result<(), String> {
    let warned = luks.warnings().iter().find_map(|warning| match warning {
        Warning::Primary(fault) => Some(("secondary", fault_kind(fault))),
        Warning::Secondary(fault) => Some(("primary", fault_kind(fault))),
        Warning::Epoch(_) | Warning::Unprotected => None,
        other => panic!("no image of the kit is unreadable: {other}"),
    });
    let meant = case.uses.as_deref().zip(case.kind.clone());
    if warned != meant {
        return Err(format!("uses {warned:?}, meant {meant:?}"));
    }
    match (luks.header(), case.epoch) {
        (Header::Luks2(header), Some(epoch)) if header.binary.epoch != epoch => {
            Err(format!("epoch {}, meant {epoch}", header.binary.epoch))
        }
        _ => Ok(()),
    }
}

fn is_kind(case: &Case, error: &Error) -> Result<(), String> {
    let (kind, path) = kind_of(error);
    if Some(&kind) != case.kind.as_ref() {
        return Err(format!("{kind}, meant {:?}: {error}", case.kind));
    }
    if case.path.is_some() && case.path != path {
        return Err(format!("{kind} at {path:?}, meant {:?}", case.path));
    }
    Ok(())
}

/// The name of an error in the kit, and the JSON member that it is about.
fn kind_of(error: &Error) -> (String, Option<String>) {
    match error {
        Error::Corrupt(corrupt) => corrupt_kind(corrupt),
        Error::Unsupported(unsupported) => (format!("Unsupported.{}", variant(unsupported)), None),
        other => (variant(other), None),
    }
}

fn corrupt_kind(corrupt: &Corrupt) -> (String, Option<String>) {
    match corrupt {
        Corrupt::Member { path, problem } => (
            format!("Member.{}", variant(problem)),
            Some(path.as_raw().to_owned()),
        ),
        Corrupt::DanglingReference { path, .. } => {
            (variant(corrupt), Some(path.as_raw().to_owned()))
        }
        Corrupt::BothCopies { primary, secondary } => {
            let (primary, secondary) = (corrupt_kind(primary).0, corrupt_kind(secondary).0);
            (format!("BothCopies({primary}, {secondary})"), None)
        }
        other => (variant(other), None),
    }
}

fn fault_kind(fault: &Fault) -> String {
    match fault {
        Fault::Corrupt(corrupt) => corrupt_kind(corrupt).0,
        Fault::Unsupported(unsupported) => format!("Unsupported.{}", variant(unsupported)),
        other => variant(other),
    }
}

/// The name of an enum's variant.
fn variant(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    let end = text.find(|letter: char| !letter.is_ascii_alphanumeric());
    text[..end.unwrap_or(text.len())].to_owned()
}
