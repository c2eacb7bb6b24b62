//! `cargo xtask layers`: the rules of ARCHITECTURE.md that a compiler does not check.
//!
//! 1. Crates and, inside `luks`, modules import only what lies below them; no modules of a crate use each other in a circle.
//! 2. Nothing builds or links C but one feature of the benches, which nobody ships; the Python package links Python.
//! 3. `unsafe` stays in its rooms.
//! 4. The libraries' errors may grow (CONTRIBUTING.md).

mod cycles;
mod promises;
mod python;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::{python as package, workspace};

/// Which packages of the workspace each one may import, for every kind of dependency. Siblings are not in each other's list.
const CRATES: &[(&str, &[&str])] = &[
    ("luksmith-dmcrypt", &[]),
    ("luksmith-volume", &["luksmith-dmcrypt"]),
    ("luksmith-devmapper", &["luksmith-dmcrypt"]),
    ("luksmith-recognise", &["luksmith-volume"]),
    (
        "luksmith-dmcrypt-plain",
        &["luksmith-dmcrypt", "luksmith-volume", "luksmith-recognise"],
    ),
    (
        "luksmith-luks",
        &["luksmith-dmcrypt", "luksmith-volume", "luksmith-recognise"],
    ),
    (
        "luksmith-qcow2",
        &["luksmith-dmcrypt", "luksmith-volume", "luksmith-recognise"],
    ),
    ("luksmith-serve", &["luksmith-volume"]),
    (
        "luksmith-jobs",
        &[
            "luksmith-dmcrypt",
            "luksmith-volume",
            "luksmith-devmapper",
            "luksmith-recognise",
            "luksmith-dmcrypt-plain",
            "luksmith-qcow2",
            "luksmith-luks",
            "luksmith-serve",
        ],
    ),
    (
        "luksmith",
        &[
            "luksmith-dmcrypt",
            "luksmith-volume",
            "luksmith-devmapper",
            "luksmith-recognise",
            "luksmith-dmcrypt-plain",
            "luksmith-qcow2",
            "luksmith-luks",
            "luksmith-serve",
            "luksmith-jobs",
        ],
    ),
];

/// The packages of the product by name, with their features.
type Product = BTreeMap<String, BTreeSet<String>>;

/// Packages that nobody imports and that may import everything.
const FREE_CRATES: &[&str] = &["luksmith-benches", "luksmith-fuzz", "xtask"];

/// The floors of `luks`, lowest first: a module uses floors below its own, never a neighbour on it.
const LUKS_FLOORS: &[&[&str]] = &[
    &["defaults", "fingerprint", "low", "number", "random", "text"],
    // These have error types of their own, which `error` gathers.
    &["kdf", "af", "area"],
    &["error"],
    &["codec", "noise"],
    &["luks1", "luks2"],
    &["seal"],
    &["store", "unlock", "sealing"],
    &["device", "format"],
    &["edit", "policy"],
    &[
        "keyslots",
        "tokens",
        "config",
        "convert",
        "backup",
        "repair",
        "reencryption",
        "erase",
        "verify",
    ],
    &["reencrypt"],
];

/// The only package that may build C, and the feature it does so by: peers that are measured beside us.
const PEERS: (&str, &str) = ("luksmith-benches", "peers");

/// Build-time packages that compile or look for C.
const C_BUILDERS: &[&str] = &["cc", "cmake", "bindgen", "pkg-config", "vcpkg", "autotools"];

/// A package with a builder of C that it does not run: fuser asks pkg-config for libfuse with a feature that is off, and
/// speaks to the kernel itself.
const UNUSED_BUILDER: (&str, &str, &str) = ("fuser", "pkg-config", "libfuse");

/// Where the word `unsafe` may stand. A name that ends in `/` is a folder.
const UNSAFE_ROOMS: &[&str] = &[
    "dmcrypt/src/low/",
    "volume/src/sys.rs",
    "volume/src/sys/",
    "devmapper/src/low.rs",
    "luks/src/low/",
    "fuzz/",
    "benches/bounds.rs",
    "benches/bounds/",
    "benches/peers/",
    "xtask/",
];

pub fn run(arguments: &[String]) -> Result<(), String> {
    workspace::no_arguments("layers", arguments)?;
    check()?;
    println!("layers: crates, modules, C and unsafe are as ARCHITECTURE.md has them");
    Ok(())
}

/// Every rule over this workspace; the error lists all that is broken.
pub fn check() -> Result<(), String> {
    let root = workspace::root();
    let metadata = workspace::metadata()?;
    let mut problems = crate_problems(&metadata);
    let sources = sources(&root, &root)?;
    problems.extend(module_problems(&sources));
    problems.extend(cycles::problems(&sources));
    problems.extend(promises::problems(&sources));
    problems.extend(peers_problems(&metadata));
    problems.extend(c_problems(&product()?, &metadata));
    let mut tree = package::cargo(&["tree", "--all-features"])?;
    let product = packages(&mut tree)?;
    problems.extend(python::problems(&product, &package::metadata()?));
    problems.extend(unsafe_problems(&sources));
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("\n"))
    }
}

fn crate_problems(metadata: &Value) -> Vec<String> {
    let members: BTreeSet<&str> = strings(&metadata["workspace_members"]).collect();
    let packages: Vec<&Value> = array(&metadata["packages"])
        .filter(|package| {
            package["id"]
                .as_str()
                .is_some_and(|id| members.contains(id))
        })
        .collect();
    let names: BTreeSet<&str> = packages
        .iter()
        .filter_map(|package| package["name"].as_str())
        .collect();

    let mut problems = Vec::new();
    for package in &packages {
        let name = package["name"].as_str().unwrap_or_default();
        if FREE_CRATES.contains(&name) {
            continue;
        }
        let Some((_, allowed)) = CRATES.iter().find(|(known, _)| *known == name) else {
            problems.push(format!(
                "package {name} has no floor in xtask/src/layers.rs"
            ));
            continue;
        };
        for dependency in
            array(&package["dependencies"]).filter_map(|dependency| dependency["name"].as_str())
        {
            if names.contains(dependency) && !allowed.contains(&dependency) {
                problems.push(format!("package {name} must not depend on {dependency}"));
            }
        }
    }
    problems
}

/// What is built for the product with all features there are, and for the benches without their peers: each package and its
/// features. Normal and build dependencies; those of tests are not the product's.
fn product() -> Result<Product, String> {
    let (benches, _) = PEERS;
    let mut all = Product::new();
    for selection in [
        vec!["--workspace", "--exclude", benches, "--all-features"],
        vec!["--package", benches],
    ] {
        let mut tree = workspace::cargo(&["tree"]);
        for (name, features) in packages(tree.args(selection))? {
            all.entry(name).or_default().extend(features);
        }
    }
    Ok(all)
}

/// What a `cargo tree` has: normal and build dependencies.
fn packages(tree: &mut Command) -> Result<Product, String> {
    let mut packages = Product::new();
    let tree = tree.args([
        "--locked",
        "--edges=normal,build",
        "--prefix=none",
        "--format={p}|{f}",
    ]);
    for line in workspace::output(tree)?.lines() {
        let (package, features) = line.split_once('|').unwrap_or((line, ""));
        let Some(name) = package.split_whitespace().next() else {
            continue;
        };
        // What was named before stands in the tree again, with a mark.
        let features = features.split_whitespace().next().unwrap_or_default();
        let features = features.split(',').map(str::to_owned);
        packages
            .entry(name.to_owned())
            .or_default()
            .extend(features);
    }
    Ok(packages)
}

/// The package of the peers is never published, and its peers are asked for.
fn peers_problems(metadata: &Value) -> Vec<String> {
    let (name, feature) = PEERS;
    let Some(package) = array(&metadata["packages"]).find(|package| package["name"] == name) else {
        return vec![format!("there is no package {name}")];
    };
    let mut problems = Vec::new();
    if package["publish"] != Value::Array(Vec::new()) {
        problems.push(format!("package {name} must not be published"));
    }
    if package["features"][feature].is_null() {
        problems.push(format!("package {name} has no feature {feature}"));
    }
    if strings(&package["features"]["default"]).any(|default| default == feature) {
        problems.push(format!("feature {feature} of {name} must not be a default"));
    }
    problems
}

fn c_problems(product: &Product, metadata: &Value) -> Vec<String> {
    let mut problems: Vec<String> = product
        .keys()
        .filter(|name| C_BUILDERS.contains(&name.as_str()))
        .filter(|name| !is_unused(name, product, metadata))
        .map(|name| format!("{name} is in the dependency graph: it builds C"))
        .collect();
    for package in array(&metadata["packages"]) {
        let (Some(name), Some(links)) = (package["name"].as_str(), package["links"].as_str())
        else {
            continue;
        };
        if product.contains_key(name) {
            problems.push(format!(
                "{name} is in the dependency graph: it links {links}"
            ));
        }
    }
    problems
}

/// Whether nobody runs a builder of C: whoever depends on it does so for a feature that is off.
fn is_unused(builder: &str, product: &Product, metadata: &Value) -> bool {
    let (user, unused, feature) = UNUSED_BUILDER;
    let is_on = product
        .get(user)
        .is_some_and(|features| features.iter().any(|name| name.starts_with(feature)));
    let users = array(&metadata["packages"]).filter(|package| {
        array(&package["dependencies"])
            .any(|dependency| dependency["name"] == builder && dependency["kind"] != "dev")
    });
    let mut names = users.filter_map(|package| package["name"].as_str());
    builder == unused && !is_on && names.all(|name| name == user || !product.contains_key(name))
}

/// `files`: path from the workspace's root, text.
fn module_problems(files: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let inside = |path: &Path| path.strip_prefix("luks/src").map(Path::to_path_buf).ok();
    let reexports = files
        .get(Path::new("luks/src/lib.rs"))
        .map(|text| source::reexports(&source::tokens(&source::code(text))))
        .unwrap_or_default();
    let mut problems = Vec::new();
    for (path, text) in files {
        let Some(relative) = inside(path) else {
            continue;
        };
        if relative == Path::new("lib.rs") || relative.starts_with("low") {
            continue;
        }
        let module = source::top_module(&relative);
        let Some(floor) = luks_floor(&module) else {
            problems.push(format!(
                "module {module} of luks has no floor in xtask/src/layers.rs"
            ));
            continue;
        };
        let at_top = relative.components().count() == 1;
        for name in source::crate_paths(&source::code(text), at_top) {
            let used = reexports.get(&name).unwrap_or(&name);
            match luks_floor(used) {
                Some(below) if below < floor || *used == module => {}
                Some(_) => {
                    problems.push(format!("{}: {module} must not use {used}", path.display()));
                }
                None => problems.push(format!(
                    "{}: crate::{name} is no module with a floor",
                    path.display()
                )),
            }
        }
    }
    problems
}

fn luks_floor(module: &str) -> Option<usize> {
    LUKS_FLOORS.iter().position(|floor| floor.contains(&module))
}

fn unsafe_problems(files: &BTreeMap<PathBuf, String>) -> Vec<String> {
    files
        .iter()
        .filter(|(path, _)| {
            let name = path.to_string_lossy();
            !UNSAFE_ROOMS
                .iter()
                .any(|room| name == *room || (room.ends_with('/') && name.starts_with(room)))
        })
        .filter(|(_, text)| source::words(&source::code(text)).any(|word| word == "unsafe"))
        .map(|(path, _)| format!("{}: unsafe outside its rooms", path.display()))
        .collect()
}

/// The Rust files below a folder by their path from the root; build outputs are left out.
fn sources(root: &Path, folder: &Path) -> Result<BTreeMap<PathBuf, String>, String> {
    let mut files = BTreeMap::new();
    for item in fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))? {
        let path = item
            .map_err(|error| format!("{}: {error}", folder.display()))?
            .path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() {
            if name != "target" && !name.to_string_lossy().starts_with('.') {
                files.append(&mut sources(root, &path)?);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            files.insert(path.strip_prefix(root).unwrap_or(&path).to_path_buf(), text);
        }
    }
    Ok(files)
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    array(value).filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn files(list: &[(&str, &str)]) -> BTreeMap<PathBuf, String> {
        list.iter()
            .map(|(path, text)| (path.into(), (*text).to_owned()))
            .collect()
    }

    fn workspace_of(name: &str, dependency: &str) -> Value {
        json!({
            "workspace_members": ["1", "2"],
            "packages": [
                { "id": "1", "name": name, "dependencies": [{ "name": dependency }, { "name": "serde" }] },
                { "id": "2", "name": dependency, "dependencies": [] },
            ],
        })
    }

    #[test]
    fn crates_import_downwards() {
        assert!(crate_problems(&workspace_of("luksmith-volume", "luksmith-dmcrypt")).is_empty());
        assert!(crate_problems(&workspace_of("xtask", "luksmith-luks")).is_empty());
        for (upper, lower) in [
            ("luksmith-dmcrypt", "luksmith-volume"),
            ("luksmith-luks", "luksmith-dmcrypt-plain"),
            ("luksmith-dmcrypt-plain", "luksmith-luks"),
            ("luksmith-luks", "xtask"),
        ] {
            assert_eq!(
                crate_problems(&workspace_of(upper, lower)),
                [format!("package {upper} must not depend on {lower}")]
            );
        }
        assert_eq!(
            crate_problems(&workspace_of("luksmith-new", "luksmith-dmcrypt")),
            ["package luksmith-new has no floor in xtask/src/layers.rs"]
        );
    }

    #[test]
    fn e11_c_is_found_by_builder_and_by_link() {
        let metadata = json!({ "packages": [
            { "name": "openssl-sys", "links": "openssl" },
            { "name": "peer-sys", "links": "peer" },
        ]});
        let product = |names: &[&str]| {
            let named = names
                .iter()
                .map(|name| ((*name).to_owned(), BTreeSet::new()));
            named.collect::<Product>()
        };
        assert!(c_problems(&product(&["serde"]), &metadata).is_empty());
        assert_eq!(c_problems(&product(&["serde", "cc"]), &metadata).len(), 1);
        assert_eq!(
            c_problems(&product(&["openssl-sys"]), &metadata),
            ["openssl-sys is in the dependency graph: it links openssl"]
        );
    }

    /// pkg-config is fuser's alone, and only as long as it does not ask it for libfuse.
    #[test]
    fn e11_a_builder_of_c_that_nobody_runs_is_named() {
        let uses = |name: &str, kind: &str| json!({ "name": name, "dependencies": [{ "name": "pkg-config", "kind": kind }] });
        let product = |features: &[&str], other: &str| -> Product {
            let features = features.iter().map(|name| (*name).to_owned()).collect();
            let named = |name: &str| (name.to_owned(), BTreeSet::new());
            [
                ("fuser".to_owned(), features),
                named("pkg-config"),
                named(other),
            ]
            .into()
        };
        let metadata = json!({ "packages": [uses("fuser", "build"), uses("zstd-sys", "build"), uses("aes", "dev")] });
        for (features, other, count) in [
            (&["default"][..], "aes", 0),
            (&["default", "libfuse3"], "aes", 1),
            (&["libfuse"], "aes", 1),
            (&["default"], "zstd-sys", 1),
        ] {
            let problems = c_problems(&product(features, other), &metadata);
            assert_eq!(problems.len(), count, "{features:?} {other}");
        }
        let cc = json!({ "packages": [{ "name": "fuser", "dependencies": [{ "name": "cc", "kind": "build" }] }] });
        let product: Product = [
            ("fuser".to_owned(), BTreeSet::new()),
            ("cc".to_owned(), BTreeSet::new()),
        ]
        .into();
        assert_eq!(c_problems(&product, &cc).len(), 1);
    }

    #[test]
    fn e11_c_is_a_feature_of_an_unpublished_package() {
        let metadata = |publish: Value, features: Value| {
            json!({ "packages": [
                { "name": "luksmith-benches", "publish": publish, "features": features },
            ]})
        };
        let good = json!({ "peers": ["dep:ring"] });
        assert!(peers_problems(&metadata(json!([]), good.clone())).is_empty());
        for (publish, features, problem) in [
            (
                Value::Null,
                good,
                "package luksmith-benches must not be published",
            ),
            (
                json!([]),
                json!({}),
                "package luksmith-benches has no feature peers",
            ),
            (
                json!([]),
                json!({ "default": ["peers"], "peers": [] }),
                "feature peers of luksmith-benches must not be a default",
            ),
        ] {
            assert_eq!(peers_problems(&metadata(publish, features)), [problem]);
        }
        assert_eq!(peers_problems(&json!({ "packages": [] })).len(), 1);
    }

    #[test]
    fn modules_of_luks_import_downwards() {
        let lib = (
            "luks/src/lib.rs",
            "pub use device::{Luks, Unlocked};\npub use error::Error;\n",
        );
        let check = |path: &str, text: &str| module_problems(&files(&[lib, (path, text)]));
        for (path, text) in [
            ("luks/src/codec.rs", "use crate::error::Error;"),
            ("luks/src/unlock.rs", "use crate::Error;"),
            (
                "luks/src/luks2/json.rs",
                "use crate::{codec, luks2::config};\n// crate::unlock is above\n",
            ),
            (
                "luks/src/device.rs",
                "fn f() { crate::luks1::read(\"crate::format\") }",
            ),
            ("luks/src/luks2/area.rs", "use super::json;"),
            ("other/src/kdf.rs", "use crate::unlock;"),
        ] {
            assert_eq!(check(path, text), Vec::<String>::new(), "{text}");
        }
        for (path, text, used) in [
            ("luks/src/kdf.rs", "use crate::luks2::Header;", "luks2"),
            ("luks/src/kdf.rs", "use crate::Luks;", "device"),
            ("luks/src/kdf.rs", "use super::unlock;", "unlock"),
            (
                "luks/src/kdf/argon2.rs",
                "fn f() { crate :: af :: merge() }",
                "af",
            ),
            (
                "luks/src/luks1.rs",
                "use crate::{\n    codec,\n    luks2::{json, area},\n};",
                "luks2",
            ),
            ("luks/src/error.rs", "use crate::codec;", "codec"),
            ("luks/src/format.rs", "use crate::device::Luks;", "device"),
        ] {
            let module = source::top_module(Path::new(path).strip_prefix("luks/src").unwrap());
            assert_eq!(
                check(path, text),
                [format!("{path}: {module} must not use {used}")]
            );
        }
        assert_eq!(check("luks/src/attic.rs", "").len(), 1);
        assert_eq!(check("luks/src/kdf.rs", "use crate::attic;").len(), 1);
    }

    #[test]
    fn e11_unsafe_has_rooms() {
        let body = "fn f() { unsafe { g() } }";
        let check = |path: &str, text: &str| unsafe_problems(&files(&[(path, text)])).len();
        for room in [
            "dmcrypt/src/low/x86.rs",
            "volume/src/sys.rs",
            "volume/src/sys/ofd.rs",
            "benches/peers/nettle.rs",
            "benches/bounds/x86_64.rs",
        ] {
            assert_eq!(check(room, body), 0, "{room}");
        }
        for outside in [
            "dmcrypt/src/lowest.rs",
            "luks/src/sys.rs",
            "volume/src/system.rs",
            "benches/harness.rs",
            "cli/src/main.rs",
        ] {
            assert_eq!(check(outside, body), 1, "{outside}");
        }
        for harmless in [
            "#![forbid(unsafe_code)]",
            "// unsafe\n/* unsafe /* nested */ unsafe */",
            "const A: &str = \"unsafe\"; const B: &str = r#\"\" unsafe\"#; const C: char = '\"';",
            "fn f<'a>(x: &'a str) -> char { 'u' } // 'unsafe",
        ] {
            assert_eq!(check("cli/src/main.rs", harmless), 0, "{harmless}");
        }
        assert_eq!(
            check("cli/src/main.rs", "fn f<'a>(x: &'a u8) { unsafe {} }"),
            1
        );
    }
}
