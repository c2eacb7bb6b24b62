//! The Python package, which is a workspace of its own: what it imports, and what it links.

use serde_json::Value;

use super::{CRATES, Product, array, c_problems};

const NAME: &str = "luksmith-python";

/// Who may import whom ends here: the command line is no part of it.
const NOT: &str = "luksmith";

/// What links Python, which the process that loads the library is already.
const LINKS: &[(&str, &str)] = &[("pyo3", "pyo3-python"), ("pyo3-ffi", "python")];

/// `product`: its packages with their features, `metadata`: those of its workspace.
pub(super) fn problems(product: &Product, metadata: &Value) -> Vec<String> {
    let mut problems: Vec<String> = c_problems(product, metadata)
        .into_iter()
        .filter(|problem| {
            !LINKS
                .iter()
                .any(|(name, links)| *problem == linked(name, links))
        })
        .collect();
    let own = array(&metadata["packages"]).find(|package| package["name"] == NAME);
    let Some(own) = own else {
        return vec![format!("there is no package {NAME}")];
    };
    let floors = CRATES.iter().map(|(name, _)| *name);
    let allowed: Vec<&str> = floors.filter(|name| *name != NOT).collect();
    for dependency in array(&own["dependencies"]) {
        // What lies in a folder is ours.
        if let (Some(name), Some(_)) = (dependency["name"].as_str(), dependency["path"].as_str())
            && !allowed.contains(&name)
        {
            problems.push(format!("package {NAME} must not depend on {name}"));
        }
    }
    if array(&metadata["packages"]).any(|package| package["name"] == NOT) {
        problems.push(format!("{NOT} is in the dependency graph of {NAME}"));
    }
    problems
}

fn linked(name: &str, links: &str) -> String {
    format!("{name} is in the dependency graph: it links {links}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn found(links: &str, depends_on: &str) -> Vec<String> {
        let metadata = json!({ "packages": [
            { "name": NAME, "dependencies": [{ "name": depends_on, "path": "/x" }, { "name": "serde" }] },
            { "name": "pyo3-ffi", "links": links },
            { "name": "pyo3", "links": "pyo3-python" },
        ]});
        let names = ["pyo3", "pyo3-ffi"];
        let named = names
            .iter()
            .map(|name| ((*name).to_owned(), BTreeSet::new()));
        problems(&named.collect(), &metadata)
    }

    #[test]
    fn python_alone_is_linked() {
        assert_eq!(found("python", "luksmith-jobs"), Vec::<String>::new());
        assert_eq!(
            found("openssl", "luksmith-jobs"),
            ["pyo3-ffi is in the dependency graph: it links openssl"]
        );
    }

    #[test]
    fn the_command_line_is_no_part_of_it() {
        for name in ["luksmith", "xtask"] {
            assert_eq!(
                found("python", name),
                [format!("package luksmith-python must not depend on {name}")]
            );
        }
        let metadata = json!({ "packages": [
            { "name": NAME, "dependencies": [] },
            { "name": "luksmith", "dependencies": [] },
        ]});
        assert_eq!(
            problems(&Product::new(), &metadata),
            ["luksmith is in the dependency graph of luksmith-python"]
        );
        assert_eq!(
            problems(&Product::new(), &json!({ "packages": [] })),
            ["there is no package luksmith-python"]
        );
    }
}
