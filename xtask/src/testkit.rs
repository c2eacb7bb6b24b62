//! `cargo xtask testkit`: makes the cases of `test-vectors/testkit/` out of its bases, and takes the verdicts of the
//! implementations by running them; or compares the files with what it would make.

mod base64;
mod binary;
mod case;
mod classes;
mod copies;
mod differences;
mod images;
mod index;
mod kit;
mod luks1;
mod luks1_names;
mod members;
mod numbers;
mod objects;
mod patches;
mod reencryption;
mod segments;
mod sizes;
mod syntax;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::workspace;
use case::Case;
use index::Measured;
use kit::Kit;

/// Columns of the index, in their order.
const IMPLEMENTATIONS: [&str; 3] = ["luksmith", "cryptsetup", "qemu-img"];

pub fn run(arguments: &[String]) -> Result<(), String> {
    let folder = workspace::root().join("test-vectors/testkit");
    match arguments {
        [] => make(&folder),
        [option] if option == "--check" => {
            println!(
                "testkit: {} cases are as their generator makes them",
                check(&folder)?
            );
            Ok(())
        }
        [other, ..] => Err(format!("testkit has no option {other}")),
    }
}

/// Compares the files with the generator, and the index with the files. Returns the number of cases.
pub fn check(folder: &Path) -> Result<usize, String> {
    let cases = cases(folder)?;
    let text = read(&folder.join("index.toml"))?;
    let index = index::parse(&text)?;
    let mut problems = Vec::new();
    for (file, case) in &cases {
        match fs::read_to_string(folder.join(file)) {
            Ok(text) if text == case.to_text() => {}
            Ok(_) => problems.push(format!("{file} is not as its generator makes it")),
            Err(error) => problems.push(format!("{file}: {error}")),
        }
    }
    let files = files(&folder.join("cases"))?;
    let made = cases.keys().cloned().collect::<BTreeSet<_>>();
    problems.extend(
        files
            .difference(&made)
            .map(|file| format!("{file} is made by nobody")),
    );
    match index::text(&cases, &index) {
        Ok(made) if made == text => {}
        Ok(_) => problems.push("index.toml is not as its generator makes it".into()),
        Err(error) => problems.push(error),
    }
    if problems.is_empty() {
        Ok(cases.len())
    } else {
        Err(format!("testkit: {}", problems.join("; ")))
    }
}

fn make(folder: &Path) -> Result<(), String> {
    let cases = cases(folder)?;
    let root = folder.join("cases");
    if root.exists() {
        fs::remove_dir_all(&root).map_err(|error| format!("{}: {error}", root.display()))?;
    }
    for (file, case) in &cases {
        let path = folder.join(file);
        let parent = path.parent().expect("a case lies in a folder");
        fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
        write(&path, &case.to_text())?;
    }
    // The runner reads the index too.
    let path = folder.join("index.toml");
    write(&path, &index::without_verdicts(&cases))?;
    workspace::run(&mut workspace::cargo(&[
        "build", "--quiet", "--locked", "-p", "luksmith",
    ]))?;
    let mut measured = Measured::new();
    for name in IMPLEMENTATIONS {
        println!("{name} judges {} cases", cases.len());
        measure(folder, name, &mut measured)?;
    }
    write(&path, &index::text(&cases, &measured)?)
}

/// All cases by the names of their files, no two with the same image.
fn cases(folder: &Path) -> Result<BTreeMap<String, Case>, String> {
    let mut kit = Kit::new(folder)?;
    for add in [
        base64::add,
        binary::add,
        copies::add,
        luks1::add,
        luks1_names::add,
        members::add,
        numbers::add,
        objects::add,
        reencryption::add,
        segments::add,
        sizes::add,
        syntax::add,
        text::add,
        classes::add,
    ] {
        add(&mut kit);
    }
    let mut images: BTreeMap<String, &str> = BTreeMap::new();
    let mut twice = Vec::new();
    for (file, case) in &kit.cases {
        if Case::parse(&case.to_text()).as_ref() != Ok(case) {
            return Err(format!("{file} is not read as it is written"));
        }
        let same = format!("{} {:?} {:?}", case.base, case.bytes, case.patches);
        if let Some(other) = images.insert(same, file) {
            twice.push(format!("{file} has the image of {other}"));
        }
    }
    if twice.is_empty() {
        Ok(kit.cases)
    } else {
        Err(twice.join("; "))
    }
}

/// What one implementation makes of every case, by the runner that lies beside the cases.
fn measure(folder: &Path, name: &str, measured: &mut Measured) -> Result<(), String> {
    let program = workspace::root().join("target/debug");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(program).chain(std::env::split_paths(&path)))
        .map_err(|error| format!("PATH: {error}"))?;
    let mut runner = Command::new(folder.join("run.py"));
    let printed = workspace::output(runner.args(["--print", name]).env("PATH", path))?;
    for line in printed.lines() {
        let (file, result) = line
            .split_once(' ')
            .ok_or(format!("run.py printed {line}"))?;
        measured
            .entry(file.to_owned())
            .or_default()
            .insert(name.to_owned(), result.to_owned());
    }
    Ok(())
}

/// The files below the folder of cases, as the index names them.
fn files(folder: &Path) -> Result<BTreeSet<String>, String> {
    let mut files = BTreeSet::new();
    for group in list(folder)? {
        for file in list(&group)? {
            let name = |path: &Path| {
                path.file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned()
            };
            files.insert(format!("cases/{}/{}", name(&group), name(&file)));
        }
    }
    Ok(files)
}

fn list(folder: &Path) -> Result<Vec<std::path::PathBuf>, String> {
    let problem = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::read_dir(folder)
        .map_err(problem)?
        .map(|item| item.map(|item| item.path()).map_err(problem))
        .collect()
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
