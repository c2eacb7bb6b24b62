//! `cargo xtask dist --twice`: the same source in two folders of different names makes the same file.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{Options, Site, build, cargo, commit_time, pack};
use crate::workspace;

/// As unlike each other as names of folders are: depth, length, a blank, letters beyond ASCII.
const FOLDERS: [&str; 2] = ["a", "some where else/zwölf"];

pub(super) fn run(options: &Options) -> Result<(), String> {
    let place = tempfile::tempdir().map_err(|error| format!("a folder for two copies: {error}"))?;
    let epoch = commit_time(&options.source)?;
    let sites = FOLDERS.map(|name| {
        let folder = place.path().join(name);
        Site {
            source: folder.join("luksmith"),
            target_folder: folder.join("target"),
            epoch: epoch.clone(),
        }
    });
    // Both before either is built, which takes minutes: somebody may go on changing the source.
    for part in parts(&options.source)? {
        for site in &sites {
            copy(&options.source.join(&part), &site.source.join(&part))
                .map_err(|error| format!("{}: {error}", part.display()))?;
        }
    }
    let mut built = Vec::new();
    for site in sites {
        let file = build(options, &site)?;
        let bytes = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        built.push((file, bytes));
    }
    let [(file, one), (_, other)] = &built[..] else {
        unreachable!("there are two folders");
    };
    compare(one, other)?;
    pack(options, file)?;
    println!(
        "{}: {} bytes, the same from two folders",
        options.out.display(),
        one.len()
    );
    Ok(())
}

/// What a build reads of a workspace: its members, and what lies beside them.
fn parts(source: &Path) -> Result<Vec<PathBuf>, String> {
    let arguments = ["metadata", "--locked", "--no-deps", "--format-version=1"];
    let text = workspace::output(&mut cargo(source, &arguments))?;
    let metadata: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    let root = Path::new(metadata["workspace_root"].as_str().unwrap_or_default());
    let members = metadata["packages"].as_array().into_iter().flatten();
    let mut parts = members
        .filter_map(|package| Path::new(package["manifest_path"].as_str()?).parent())
        .filter_map(|folder| folder.strip_prefix(root).ok())
        .map(Path::to_path_buf)
        .collect::<Vec<_>>();
    let beside = ["Cargo.toml", "Cargo.lock", "LICENSE-APACHE", "LICENSE-MIT"];
    parts.extend(beside.map(PathBuf::from));
    Ok(parts)
}

/// Files, folders and links as they are.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    let kind = fs::symlink_metadata(from)?.file_type();
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    if kind.is_symlink() {
        return symlink(fs::read_link(from)?, to);
    }
    if !kind.is_dir() {
        return fs::copy(from, to).map(drop);
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        copy(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}

fn compare(one: &[u8], other: &[u8]) -> Result<(), String> {
    if one == other {
        return Ok(());
    }
    let at = one.iter().zip(other).position(|(one, other)| one != other);
    Err(format!(
        "two folders make two files: {} and {} bytes, the first that differs is {}",
        one.len(),
        other.len(),
        at.unwrap_or(one.len().min(other.len()))
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_byte_or_length_is_another_file() {
        assert_eq!(compare(b"abc", b"abc"), Ok(()));
        assert!(
            compare(b"abc", b"abd")
                .unwrap_err()
                .ends_with("differs is 2")
        );
        assert!(
            compare(b"abc", b"abcd")
                .unwrap_err()
                .ends_with("differs is 3")
        );
    }

    #[test]
    fn links_stay_links_in_a_copy() {
        let place = tempfile::tempdir().unwrap();
        let from = place.path().join("from");
        fs::create_dir_all(from.join("deep")).unwrap();
        fs::write(from.join("deep/file"), "text").unwrap();
        symlink("../elsewhere", from.join("link")).unwrap();
        let to = place.path().join("to/there");
        copy(&from, &to).unwrap();
        assert_eq!(fs::read(to.join("deep/file")).unwrap(), b"text");
        assert_eq!(
            fs::read_link(to.join("link")).unwrap(),
            Path::new("../elsewhere")
        );
    }
}
