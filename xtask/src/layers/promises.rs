//! What a library promises to those who use it: its errors may become more without breaking anybody.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::source;

/// The folders of the libraries' sources.
const LIBRARIES: &[&str] = &[
    "dmcrypt/src",
    "volume/src",
    "recognise/src",
    "dmcrypt-plain/src",
    "luks/src",
    "jobs/src",
];

/// `files`: path from the workspace's root, text.
pub fn problems(files: &BTreeMap<PathBuf, String>) -> Vec<String> {
    files
        .iter()
        .filter(|(path, _)| LIBRARIES.iter().any(|folder| path.starts_with(folder)))
        .flat_map(|(path, text)| {
            let code = source::code(text);
            closed_errors(&source::tokens(&code))
                .into_iter()
                .map(|name| format!("{}: error {name} is not non_exhaustive", path.display()))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The public enums that are errors by `thiserror` and that a match can exhaust.
fn closed_errors(tokens: &[&str]) -> Vec<String> {
    let mut names = Vec::new();
    for (index, window) in tokens.windows(3).enumerate() {
        if let ["pub", "enum", name] = window {
            let attributes = attributes_before(&tokens[..index]);
            if attributes.contains(&"thiserror") && !attributes.contains(&"non_exhaustive") {
                names.push((*name).to_owned());
            }
        }
    }
    names
}

/// What stands in the attributes with which the tokens end.
fn attributes_before<'a>(tokens: &'a [&'a str]) -> &'a [&'a str] {
    let mut start = tokens.len();
    while start > 0 && tokens[start - 1] == "]" {
        let mut depth = 0_usize;
        let Some(open) = tokens[..start].iter().rposition(|token| {
            match *token {
                "]" => depth += 1,
                "[" => depth -= 1,
                _ => (),
            }
            depth == 0
        }) else {
            break;
        };
        if open == 0 || tokens[open - 1] != "#" {
            break;
        }
        start = open - 1;
    }
    &tokens[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str) -> Vec<String> {
        problems(&BTreeMap::from([(path.into(), text.to_owned())]))
    }

    #[test]
    fn errors_may_grow() {
        for good in [
            "/// Why.\n#[derive(Debug, thiserror::Error)]\n#[non_exhaustive]\npub enum Error { A }",
            "#[non_exhaustive]\n#[derive(thiserror::Error)]\npub enum Error { #[error(\"a\")] A }",
            "#[derive(Debug)]\npub enum Version { One }",
            "#[derive(Debug, thiserror::Error)]\npub(crate) enum Error { A }",
            "#[derive(Debug, thiserror::Error)]\npub struct Error; pub enum Version { One }",
        ] {
            assert_eq!(check("volume/src/error.rs", good), Vec::<String>::new());
        }
        let bad = "const A: [u8; 1] = [0]; #[derive(Debug, thiserror::Error)]\n#[cfg(unix)] pub enum Error { A }";
        assert_eq!(
            check("jobs/src/deep/error.rs", bad),
            ["jobs/src/deep/error.rs: error Error is not non_exhaustive"]
        );
        assert_eq!(check("cli/src/error.rs", bad), Vec::<String>::new());
    }
}
