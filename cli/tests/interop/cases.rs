use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{PROGRAM, Place, check_all};

/// Every folder of `folder` with a `run.sh`, by the name of the folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().join("run.sh").is_file())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A case that the machine cannot judge has shown nothing: it fails as one that comes out wrong.
fn run(table: &str, folder: &Path, names: &[String]) {
    check_all(table, names, |name| {
        let script = folder.join(name).join("run.sh");
        let output = Place::new().run(Command::new("bash").arg(&script).arg(PROGRAM));
        assert!(
            output.status.success(),
            "{name}: {}, {}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    });
}

#[test]
fn every_reported_condition_comes_out_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../test-vectors/cases");
    let names = names(&folder);
    assert!(names.len() >= 30, "{names:?}");
    run("reported conditions", &folder, &names);
}

#[test]
fn conditions_that_others_keep_come_out_as_expected() {
    let Some(folder) = std::env::var_os("LUKSMITH_CONFORMANCE") else {
        println!("LUKSMITH_CONFORMANCE is not set: conditions that others keep are left out");
        return;
    };
    let folder = PathBuf::from(folder).join("cases");
    run("conditions of others", &folder, &names(&folder));
}
