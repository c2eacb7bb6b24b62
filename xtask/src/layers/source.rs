//! As much of Rust's syntax as the layer rules need.

use std::collections::BTreeMap;
use std::path::Path;

/// The text with comments and the insides of literals replaced by spaces.
pub fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if first == '"' {
            string(rest)
        } else if first == 'r' && !code.ends_with(is_word) {
            raw_string(rest)
        } else if first == '\'' {
            character(rest)
        } else {
            0
        };
        if skipped == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.push(' ');
            rest = &rest[skipped..];
        }
    }
    code
}

/// Identifiers and keywords.
pub fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c| !is_word(c)).filter(|word| !word.is_empty())
}

/// The first names after `crate::`, those in braces each; in a file at the top also after `super::`.
pub fn crate_paths(code: &str, at_top: bool) -> Vec<String> {
    let tokens = tokens(code);
    let mut names = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let is_root = *token == "crate" || (at_top && *token == "super");
        if is_root && tokens.get(index + 1) == Some(&"::") {
            let found = heads(&tokens[index + 2..]);
            // In a `mod tests`, `super` is the file's own module: only names of floors matter there.
            names.extend(
                found
                    .into_iter()
                    .filter(|name| *token == "crate" || super::luks_floor(name).is_some()),
            );
        }
    }
    names
}

/// The same without what is in a `mod tests`: with `crate` or `super`, which leads to the top of the crate from a file
/// `depth` folders and files below it, if it is written that often.
pub fn paths_from_top<'a>(tokens: &[&'a str], depth: usize) -> Vec<(&'a str, String)> {
    let mut names = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        let start = tokens[index];
        let mut after = index;
        while tokens.get(after) == Some(&start) && tokens.get(after + 1) == Some(&"::") {
            after += 2;
        }
        let steps = (after - index) / 2;
        if (start == "crate" && steps > 0) || (start == "super" && steps >= depth) {
            names.extend(
                heads(&tokens[after..])
                    .into_iter()
                    .map(|name| (start, name)),
            );
        }
        index = after.max(index + 1);
    }
    names
}

/// The names that paths begin with, those that `use` gives to others left out.
pub fn path_starts<'a>(tokens: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    let mut is_public = false;
    tokens.iter().enumerate().filter_map(move |(index, token)| {
        match *token {
            "use" if index > 0 && tokens[index - 1] == "pub" => is_public = true,
            ";" => is_public = false,
            _ => (),
        }
        let is_start = index == 0 || tokens[index - 1] != "::";
        let leads_on = tokens.get(index + 1) == Some(&"::");
        (is_start && leads_on && !is_public).then_some(*token)
    })
}

/// The code that is compiled without its tests, and the modules of tests that lie in files of their own.
pub fn without_tests(code: &str) -> (Vec<&str>, Vec<&str>) {
    const MARK: &[&str] = &["#", "[", "cfg", "(", "test", ")", "]"];
    let all = tokens(code);
    let (mut product, mut modules) = (Vec::new(), Vec::new());
    let mut index = 0;
    while index < all.len() {
        if !all[index..].starts_with(MARK) {
            product.push(all[index]);
            index += 1;
            continue;
        }
        index += MARK.len();
        let item = &all[index..index + item_length(&all[index..])];
        if let [.., "mod", name, ";"] = item {
            modules.push(*name);
        }
        index += item.len();
    }
    (product, modules)
}

/// The tokens of an item with its attributes: to its semicolon or its last brace; less where what it stands in ends.
fn item_length(tokens: &[&str]) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        match *token {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" if depth == 0 => return index,
            ")" | "]" => depth -= 1,
            "}" => {
                depth -= 1;
                if depth == 0 {
                    return index + 1;
                }
            }
            ";" if depth == 0 => return index + 1,
            _ => (),
        }
    }
    tokens.len()
}

/// What `use module::{Name, ..}` in lib.rs makes reachable as `crate::Name`: name to module.
pub fn reexports(tokens: &[&str]) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for (index, token) in tokens.iter().enumerate() {
        if *token != "use" {
            continue;
        }
        let statement: Vec<&str> = tokens[index + 1..]
            .iter()
            .copied()
            .take_while(|token| *token != ";")
            .collect();
        let path: Vec<&str> = statement
            .iter()
            .copied()
            .filter(|token| !matches!(*token, "crate" | "self"))
            .collect();
        let Some(module) = path.iter().find(|token| token.starts_with(is_word)) else {
            continue;
        };
        for name in path.iter().filter(|token| token.starts_with(is_word)) {
            names.insert((*name).to_owned(), (*module).to_owned());
        }
    }
    names
}

/// The module at the top that a file below `src/` belongs to: `luks2` for `luks2/json.rs`.
pub fn top_module(relative: &Path) -> String {
    let first = relative.iter().next().unwrap_or_default().to_string_lossy();
    first.strip_suffix(".rs").unwrap_or(&first).to_owned()
}

/// The names that a path or a group in braces begins with.
fn heads(tokens: &[&str]) -> Vec<String> {
    if tokens.first() != Some(&"{") {
        return tokens
            .first()
            .filter(|token| token.starts_with(is_word))
            .map(|token| (*token).to_owned())
            .into_iter()
            .collect();
    }
    let mut names = Vec::new();
    let mut depth = 0;
    let mut at_start = false;
    for token in tokens {
        match *token {
            "{" => {
                depth += 1;
                at_start = depth == 1;
            }
            "}" => {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
            "," => at_start = depth == 1,
            name => {
                if at_start && name.starts_with(is_word) && name != "self" {
                    names.push(name.to_owned());
                }
                at_start = false;
            }
        }
    }
    names
}

pub fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// 0 where no raw string begins.
fn raw_string(text: &str) -> usize {
    let hashes = text[1..].chars().take_while(|c| *c == '#').count();
    if !text[1 + hashes..].starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let inside = 1 + hashes + 1;
    text[inside..]
        .find(&end)
        .map_or(text.len(), |at| inside + at + end.len())
}

/// 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => text[2..]
            .char_indices()
            .skip(1)
            .find(|(_, c)| *c == '\'')
            .map_or(0, |(at, _)| at + 3),
        Some(_) => chars
            .next()
            .filter(|(_, c)| *c == '\'')
            .map_or(0, |(at, _)| at + 1),
        None => 0,
    }
}
