//! No modules at the top of a crate use each other in a circle: each can be read without those above it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use super::source;

/// The crates that are held to it, by their folders.
const CRATES: &[&str] = &[
    "dmcrypt",
    "volume",
    "recognise",
    "dmcrypt-plain",
    "luks",
    "serve",
    "jobs",
    "cli",
];

/// The crate's own root, where something outside of `lib.rs` uses what stands in it.
const ROOT: &str = "lib";

/// Which module uses which others, and a file that does.
type Uses = BTreeMap<String, BTreeMap<String, PathBuf>>;

/// `files`: path from the workspace's root, text.
pub fn problems(files: &BTreeMap<PathBuf, String>) -> Vec<String> {
    CRATES
        .iter()
        .flat_map(|folder| crate_problems(folder, files))
        .collect()
}

fn crate_problems(folder: &str, files: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let sources = Path::new(folder).join("src");
    let files: BTreeMap<&Path, &String> = files
        .iter()
        .filter_map(|(path, text)| Some((path.strip_prefix(&sources).ok()?, text)))
        .collect();
    if !files.contains_key(Path::new("lib.rs")) {
        return vec![format!(
            "{folder} has no src/lib.rs: xtask/src/layers/cycles.rs is out of date"
        )];
    }
    circles(&uses(&files))
        .into_iter()
        .map(|circle| {
            let steps = circle.iter().map(|(user, used, file)| {
                format!("{user} uses {used} ({})", sources.join(file).display())
            });
            format!(
                "modules of {folder} in a circle: {}",
                steps.collect::<Vec<_>>().join(", ")
            )
        })
        .collect()
}

/// What the product's code uses; that of tests goes through the front door.
fn uses(files: &BTreeMap<&Path, &String>) -> Uses {
    let code: BTreeMap<&Path, String> = files
        .iter()
        .map(|(path, text)| (*path, source::code(text)))
        .collect();
    let mut tests = BTreeSet::new();
    let product: BTreeMap<&Path, Vec<&str>> = code
        .iter()
        .map(|(path, code)| {
            let (tokens, modules) = source::without_tests(code);
            let folder = match path.to_str() {
                Some("lib.rs" | "main.rs") => PathBuf::new(),
                _ => path.with_extension(""),
            };
            tests.extend(modules.iter().map(|module| folder.join(module)));
            (*path, tokens)
        })
        .collect();
    let is_test = |path: &Path| {
        path.ancestors()
            .any(|at| tests.contains(&at.with_extension("")))
    };

    let modules: BTreeSet<String> = product
        .keys()
        .filter(|path| !is_test(path))
        .map(|path| source::top_module(path))
        .filter(|module| module != ROOT && module != "main")
        .collect();
    let root = &product[Path::new("lib.rs")];
    let reexports = source::reexports(root);
    let mut uses = Uses::new();
    for (path, tokens) in &product {
        let user = source::top_module(path);
        if is_test(path) || user == "main" {
            continue;
        }
        let used: Vec<String> = if user == ROOT {
            source::path_starts(tokens)
                .filter(|name| modules.contains(*name))
                .map(str::to_owned)
                .collect()
        } else {
            let depth = path.components().count();
            let inside = source::paths_from_top(tokens, depth).into_iter();
            inside
                .filter_map(|(start, name)| {
                    if modules.contains(&name) {
                        return Some(name);
                    }
                    // What is not a module comes out of one, or stands in lib.rs. `super` may be a module within a file.
                    let is_exact = start == "crate";
                    is_exact.then(|| match reexports.get(&name) {
                        Some(module) if modules.contains(module) => module.clone(),
                        _ => ROOT.to_owned(),
                    })
                })
                .collect()
        };
        for used in used.into_iter().filter(|used| *used != user) {
            let files = uses.entry(user.clone()).or_default();
            files.entry(used).or_insert_with(|| path.to_path_buf());
        }
    }
    uses
}

/// A shortest circle of each knot of modules: who uses whom, and where.
fn circles(uses: &Uses) -> Vec<Vec<(&str, &str, &Path)>> {
    let mut circles = Vec::new();
    let mut knotted: BTreeSet<&str> = BTreeSet::new();
    for module in uses.keys() {
        if knotted.contains(module.as_str()) {
            continue;
        }
        let reached = reach(uses, module);
        if let Some(circle) = way(uses, &reached, module) {
            // Whatever leads back here is of the same knot.
            knotted.extend(
                reached
                    .keys()
                    .filter(|other| reach(uses, other).contains_key(module.as_str())),
            );
            circles.push(circle);
        }
    }
    circles
}

/// What a module uses, itself or by others, each with the one by which it was come to first.
fn reach<'a>(uses: &'a Uses, module: &'a str) -> BTreeMap<&'a str, &'a str> {
    let mut reached = BTreeMap::new();
    let mut next = VecDeque::from([module]);
    while let Some(user) = next.pop_front() {
        for used in uses.get(user).into_iter().flat_map(BTreeMap::keys) {
            if !reached.contains_key(used.as_str()) {
                reached.insert(used.as_str(), user);
                next.push_back(used);
            }
        }
    }
    reached
}

/// The way from a module back to itself.
fn way<'a>(
    uses: &'a Uses,
    reached: &BTreeMap<&'a str, &'a str>,
    module: &'a str,
) -> Option<Vec<(&'a str, &'a str, &'a Path)>> {
    let mut steps = Vec::new();
    let mut used = module;
    loop {
        let user = *reached.get(used)?;
        steps.push((user, used, uses[user][used].as_path()));
        used = user;
        if user == module {
            steps.reverse();
            return Some(steps);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(list: &[(&str, &str)]) -> Vec<String> {
        let files = list
            .iter()
            .map(|(path, text)| (Path::new("volume/src").join(path), (*text).to_owned()))
            .collect();
        crate_problems("volume", &files)
    }

    const LIB: (&str, &str) = (
        "lib.rs",
        "mod a;\nmod b;\nmod c;\nuse a::Alpha;\npub use b::{Beta, Other};\npub fn root() { c::run() }\n",
    );

    #[test]
    fn what_lies_below_may_be_used() {
        for (path, text) in [
            ("a.rs", "use crate::b::Beta; use crate::{c::{self, run}};"),
            (
                "a/deep.rs",
                "use super::Alpha; use super::super::b; use crate::Beta;",
            ),
            // Not a top module: `c` here is the file's own.
            ("a/deep.rs", "use super::c;"),
            ("b.rs", "// crate::a\nconst A: &str = \"crate::a\";"),
            (
                "b.rs",
                "#[cfg(test)]\nmod tests { use crate::{Alpha, root}; fn f() { if true {} } }",
            ),
            (
                "b.rs",
                "#[cfg(test)]\n#[expect(dead_code)]\nuse crate::a;\n",
            ),
            ("b.rs", "#[cfg(test)]\nmod proofs;\n"),
            ("c.rs", "fn run() { std::a::f(); }"),
        ] {
            let uses_both = ("a.rs", "use crate::{b, c};");
            let mut files = vec![
                LIB,
                uses_both,
                ("b.rs", ""),
                ("c.rs", ""),
                ("b/proofs.rs", "use crate::a;"),
                ("b/proofs/more.rs", "use crate::a;"),
            ];
            if !text.contains("proofs") {
                files.truncate(4);
            }
            files.retain(|(other, _)| *other != path);
            files.push((path, text));
            assert_eq!(check(&files), Vec::<String>::new(), "{path}: {text}");
        }
    }

    #[test]
    fn circles_are_found() {
        for (path, text, says) in [
            (
                "b.rs",
                "fn f() { crate :: a :: f() }",
                "a uses b (volume/src/a.rs), b uses a (volume/src/b.rs)",
            ),
            (
                "b/deep.rs",
                "use crate::Alpha;",
                "a uses b (volume/src/a.rs), b uses a (volume/src/b/deep.rs)",
            ),
            (
                "b/deep.rs",
                "use super::super::a::Alpha;",
                "a uses b (volume/src/a.rs), b uses a (volume/src/b/deep.rs)",
            ),
            (
                "b.rs",
                "use super::{c, a};",
                "a uses b (volume/src/a.rs), b uses a (volume/src/b.rs)",
            ),
            (
                "c.rs",
                "#[cfg(test)] mod tests {} use crate::root;",
                "c uses lib (volume/src/c.rs), lib uses c (volume/src/lib.rs)",
            ),
        ] {
            let mut files = vec![LIB, ("a.rs", "use crate::b;"), ("b.rs", ""), ("c.rs", "")];
            files.retain(|(other, _)| *other != path);
            files.push((path, text));
            assert_eq!(
                check(&files),
                [format!("modules of volume in a circle: {says}")],
                "{text}"
            );
        }
    }

    /// One message for a knot, and the shortest way around.
    #[test]
    fn a_knot_is_one_problem() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c; mod d; mod e;"),
            ("a.rs", "use crate::b;"),
            ("b.rs", "use crate::{c, d};"),
            ("c.rs", "use crate::d;"),
            ("d.rs", "use crate::a;"),
            ("e.rs", "use crate::a;"),
        ];
        assert_eq!(
            check(&files),
            [
                "modules of volume in a circle: a uses b (volume/src/a.rs), b uses d (volume/src/b.rs), \
                 d uses a (volume/src/d.rs)"
            ]
        );
    }

    #[test]
    fn a_crate_that_is_gone_is_missed() {
        assert_eq!(
            crate_problems("attic", &BTreeMap::new()),
            ["attic has no src/lib.rs: xtask/src/layers/cycles.rs is out of date"]
        );
    }
}
