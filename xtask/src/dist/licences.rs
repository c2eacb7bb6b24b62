//! What the licences of the parts of a static file ask for: to be named and given along.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Options, PROGRAM, cargo};
use crate::workspace;

/// The text that goes with the file: ours, the C library's and those of the crates, the same one once.
pub(super) fn text(options: &Options) -> Result<String, String> {
    let mut text = format!(
        "The file {PROGRAM} is one program with all that it needs. What it is made of, and under which licences:\n\
         \n\
         1. luksmith: MIT or Apache-2.0, as you like.\n\
         2. The C library of the machine that linked it, {}. Its licence is below. Where that is the LGPL: whoever wants\n   \
         this program with another version of the library has all that it takes, for the sources of the program are\n   \
         whole and free, and `cargo xtask dist` links them with the library of the machine that it runs on.\n\
         3. Rust's standard library: MIT or Apache-2.0, copyright by the Rust project's contributors.\n\
         4. The crates that are listed below with their licences.\n",
        name_of_libc(&options.target)
    );
    for name in ["LICENSE-MIT", "LICENSE-APACHE"] {
        section(
            &mut text,
            &format!("luksmith, {name}"),
            &read(&options.source.join(name))?,
        );
    }
    for path in libc_texts(options)? {
        let title = format!("the C library, {}", path.display());
        section(&mut text, &title, &read(&path)?);
    }
    crates(options, &mut text)?;
    Ok(text)
}

fn name_of_libc(target: &str) -> &'static str {
    if target.ends_with("musl") {
        "musl"
    } else {
        "the GNU C Library (glibc)"
    }
}

fn section(text: &mut String, title: &str, content: &str) {
    let line = "=".repeat(80);
    let _ = write!(
        text,
        "\n{line}\n{title}\n{line}\n\n{}\n",
        content.trim_end()
    );
}

fn read(path: &Path) -> Result<String, String> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Where Debian has them, unless it is said.
fn libc_texts(options: &Options) -> Result<Vec<PathBuf>, String> {
    if let Some(path) = &options.libc_licence {
        return Ok(vec![path.clone()]);
    }
    let package = match options.target.as_str() {
        target if target.ends_with("musl") => "musl",
        target if target.starts_with(std::env::consts::ARCH) => "libc6-dev",
        target if target.starts_with("aarch64") => "libc6-dev-arm64-cross",
        _ => "libc6-dev",
    };
    let copyright = Path::new("/usr/share/doc").join(package).join("copyright");
    let said = |path: &Path, error| {
        let path = path.display();
        format!("{path}: {error}; name the licence of the C library by --libc-licence FILE")
    };
    let text = fs::read_to_string(&copyright).map_err(|error| said(&copyright, error))?;
    let common = Path::new("/usr/share/common-licenses");
    let mut paths = vec![copyright];
    // The file of the package refers to the text that all packages share.
    if text.contains("LGPL") || text.contains("Lesser General Public") {
        let lesser = common.join("LGPL-2.1");
        fs::metadata(&lesser).map_err(|error| said(&lesser, error))?;
        paths.push(lesser);
    }
    Ok(paths)
}

/// The crates that are linked in, and each text that lies with one of them.
fn crates(options: &Options, text: &mut String) -> Result<(), String> {
    let mut tree = cargo(
        &options.source,
        &[
            "tree",
            "--locked",
            "--package",
            PROGRAM,
            "--edges",
            "normal",
        ],
    );
    tree.args(options.feature_flags());
    tree.args(["--target", &options.target, "--prefix", "none"]);
    tree.args(["--format", "{p}\t{l}"]);
    let listed = workspace::output(&mut tree)?;
    let metadata = cargo(
        &options.source,
        &["metadata", "--locked", "--format-version=1"],
    )
    .output()
    .map_err(|error| format!("cargo metadata: {error}"))?;
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout)
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let names = foreign(&listed);
    section(text, "crates", &{
        let lines = names
            .iter()
            .map(|(name, licence)| format!("{name}: {licence}"));
        lines.collect::<Vec<_>>().join("\n")
    });
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let field = |name: &str| package[name].as_str().unwrap_or_default();
        let name = format!("{} {}", field("name"), field("version"));
        if !names.contains_key(&name) {
            continue;
        }
        let folder = Path::new(field("manifest_path")).parent();
        for path in licence_files(folder.unwrap_or(Path::new("/")))? {
            texts.entry(read(&path)?).or_default().push(name.clone());
        }
    }
    let mut texts: Vec<_> = texts
        .into_iter()
        .map(|(content, mut names)| {
            names.sort();
            names.dedup();
            (names.join(", "), content)
        })
        .collect();
    texts.sort();
    for (names, content) in texts {
        section(text, &names, &content);
    }
    Ok(())
}

/// Name and version, and what it says of its licence, of each crate that is not of this workspace.
fn foreign(listed: &str) -> BTreeMap<String, String> {
    listed
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .filter(|(package, _)| !package.contains(" (/"))
        .map(|(package, licence)| {
            let name = package.split(' ').take(2).collect::<Vec<_>>().join(" ");
            let licence = licence.trim_end_matches(" (*)");
            (name.replacen(" v", " ", 1), licence.to_owned())
        })
        .collect()
}

fn licence_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let said = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(said)? {
        let path = entry.map_err(said)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.to_uppercase();
        let is_licence = [
            "LICENSE",
            "LICENCE",
            "COPYING",
            "COPYRIGHT",
            "NOTICE",
            "UNLICENSE",
        ];
        if path.is_file() && is_licence.iter().any(|start| name.starts_with(start)) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_of_others_are_listed_once() {
        let listed = "luksmith v0.1.0 (/a b/cli)\tMIT OR Apache-2.0\n\
                      aes v0.9.0\tMIT OR Apache-2.0\n\
                      serde_derive v1.0.0 (proc-macro)\tMIT\n\
                      aes v0.9.0\tMIT OR Apache-2.0 (*)\n";
        let expected = [
            ("aes 0.9.0", "MIT OR Apache-2.0"),
            ("serde_derive 1.0.0", "MIT"),
        ];
        let expected = expected.map(|(name, licence)| (name.to_owned(), licence.to_owned()));
        assert_eq!(foreign(listed), BTreeMap::from(expected));
    }
}
