//! Whether each library is whole as a package: what somebody needs who has nothing but it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::workspace;

/// The packages that are held to it.
const LIBRARIES: &[&str] = &[
    "luksmith-dmcrypt",
    "luksmith-volume",
    "luksmith-recognise",
    "luksmith-dmcrypt-plain",
    "luksmith-luks",
    "luksmith-jobs",
];

/// What a package has to have in it. The licences stand beside the manifest as links to those of the workspace.
const FILES: &[&str] = &[
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "src/lib.rs",
];

/// What a registry shows or wants.
const FIELDS: &[&str] = &[
    "description",
    "license",
    "repository",
    "readme",
    "rust_version",
    "keywords",
    "categories",
];

/// Every rule over this workspace, without the network; the error lists all that is broken.
pub fn check() -> Result<(), String> {
    let metadata = workspace::metadata()?;
    let mut problems = Vec::new();
    for name in LIBRARIES {
        let packages = metadata["packages"].as_array();
        let Some(package) = packages
            .into_iter()
            .flatten()
            .find(|package| package["name"] == *name)
        else {
            problems.push(format!("there is no package {name}"));
            continue;
        };
        problems.extend(manifest_problems(name, package));
        let listed = workspace::output(&mut workspace::cargo(&[
            "package",
            "--list",
            "--allow-dirty",
            "--offline",
            "--package",
            name,
        ]))?;
        problems.extend(list_problems(name, &listed));
        let folder = package["manifest_path"]
            .as_str()
            .and_then(|path| Path::new(path).parent())
            .ok_or(format!("{name} has no manifest"))?;
        problems.extend(licence_problems(name, &workspace::root(), folder));
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("\n"))
    }
}

fn manifest_problems(name: &str, package: &Value) -> Vec<String> {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    let fields = FIELDS
        .iter()
        .filter(|field| is_empty(&package[**field]))
        .map(|field| format!("{name} has no {field}"));
    // A package that was fetched finds its neighbours by their versions.
    let dependencies = package["dependencies"].as_array();
    let versions = dependencies
        .into_iter()
        .flatten()
        .filter(|dependency| !dependency["path"].is_null() && dependency["req"] == "*")
        .map(|dependency| {
            format!(
                "{name} depends on {} without a version",
                dependency["name"].as_str().unwrap_or_default()
            )
        });
    fields.chain(versions).collect()
}

/// `listed`: what `cargo package --list` says.
fn list_problems(name: &str, listed: &str) -> Vec<String> {
    FILES
        .iter()
        .filter(|file| !listed.lines().any(|line| line == **file))
        .map(|file| format!("{name} is packed without {file}"))
        .collect()
}

fn licence_problems(name: &str, root: &Path, folder: &Path) -> Vec<String> {
    ["LICENSE-APACHE", "LICENSE-MIT"]
        .into_iter()
        .filter(|file| {
            let text = |folder: &Path| fs::read(folder.join(file)).ok();
            text(root).is_none() || text(root) != text(folder)
        })
        .map(|file| format!("{name} has another {file} than the workspace"))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOTHING: [&str; 0] = [];

    #[test]
    fn a_package_has_its_files() {
        let whole = "Cargo.lock\nCargo.toml\nLICENSE-APACHE\nLICENSE-MIT\nREADME.md\nsrc/lib.rs\n";
        assert_eq!(list_problems("a", whole), NOTHING);
        for file in FILES {
            let without = whole.replace(&format!("{file}\n"), "");
            assert_eq!(
                list_problems("a", &without),
                [format!("a is packed without {file}")]
            );
        }
    }

    #[test]
    fn a_manifest_says_what_a_registry_shows() {
        let good = json!({
            "description": "words", "license": "MIT", "repository": "https://example.org", "readme": "README.md",
            "rust_version": "1.89", "keywords": ["word"], "categories": ["cryptography"],
            "dependencies": [
                { "name": "b", "path": "/b", "req": "^0.1.0" },
                { "name": "serde", "path": null, "req": "*" },
            ],
        });
        assert_eq!(manifest_problems("a", &good), NOTHING);
        for field in FIELDS {
            for empty in [Value::Null, json!(""), json!([])] {
                let mut package = good.clone();
                package[*field] = empty;
                assert_eq!(
                    manifest_problems("a", &package),
                    [format!("a has no {field}")]
                );
            }
        }
        let mut package = good;
        package["dependencies"][0]["req"] = json!("*");
        assert_eq!(
            manifest_problems("a", &package),
            ["a depends on b without a version"]
        );
    }

    #[test]
    fn licences_are_those_of_the_workspace() {
        let root = tempfile::tempdir().unwrap();
        let folder = tempfile::tempdir().unwrap();
        for file in ["LICENSE-APACHE", "LICENSE-MIT"] {
            fs::write(root.path().join(file), file).unwrap();
            fs::write(folder.path().join(file), file).unwrap();
        }
        let problems = || licence_problems("a", root.path(), folder.path());
        assert_eq!(problems(), NOTHING);
        fs::write(folder.path().join("LICENSE-MIT"), "another").unwrap();
        fs::remove_file(folder.path().join("LICENSE-APACHE")).unwrap();
        assert_eq!(
            problems(),
            [
                "a has another LICENSE-APACHE than the workspace",
                "a has another LICENSE-MIT than the workspace"
            ]
        );
    }
}
