//! Verdicts of implementations that are not the meant ones, each with its reason.

use std::collections::BTreeSet;

use super::case;

pub struct Difference {
    implementation: String,
    files: Vec<String>,
    result: String,
    pub why: String,
    /// The kind with which luksmith refuses, where it is the one that differs.
    pub kind: Option<String>,
}

/// All of them, and which were needed.
pub struct Differences {
    all: Vec<Difference>,
    needed: BTreeSet<(usize, usize)>,
}

impl Differences {
    pub fn read() -> Result<Self, String> {
        let table: toml::Table = include_str!("differences.toml")
            .parse()
            .map_err(|error| format!("differences.toml: {error}"))?;
        let entries = table.get("difference").and_then(toml::Value::as_array);
        let entries = entries.ok_or("differences.toml has no [[difference]]")?;
        Ok(Self {
            all: entries.iter().map(parse).collect::<Result<_, _>>()?,
            needed: BTreeSet::new(),
        })
    }

    pub fn explain(
        &mut self,
        implementation: &str,
        file: &str,
        result: &str,
    ) -> Option<&Difference> {
        let name = file.strip_prefix("cases/")?.strip_suffix(".toml")?;
        let (index, place) = self
            .all
            .iter()
            .enumerate()
            .find_map(|(index, difference)| {
                let is_meant =
                    difference.implementation == implementation && difference.result == result;
                let mut files = difference.files.iter();
                let place = files.position(|files| is_meant && is_like(name, files))?;
                Some((index, place))
            })?;
        self.needed.insert((index, place));
        Some(&self.all[index])
    }

    /// Reasons for differences that are none any more.
    pub fn not_needed(&self) -> Vec<String> {
        let mut left = Vec::new();
        for (index, difference) in self.all.iter().enumerate() {
            for (place, files) in difference.files.iter().enumerate() {
                if !self.needed.contains(&(index, place)) {
                    let (name, result) = (&difference.implementation, &difference.result);
                    left.push(format!("{files}: {name} {result} no more"));
                }
            }
        }
        left
    }
}

fn parse(value: &toml::Value) -> Result<Difference, String> {
    let string = |name: &str| {
        let text = value.get(name).and_then(toml::Value::as_str);
        text.map(str::to_owned)
            .ok_or(format!("differences.toml: an entry has no {name}"))
    };
    Ok(Difference {
        implementation: string("implementation")?,
        files: case::texts(value.get("files")),
        result: string("result")?,
        why: string("why")?,
        kind: string("kind").ok(),
    })
}

/// Whether a name fits a pattern in which a star stands for any text.
fn is_like(name: &str, pattern: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return name == pattern;
    };
    let Some(name) = name.strip_prefix(head) else {
        return false;
    };
    name.char_indices()
        .map(|(at, _)| &name[at..])
        .chain([""])
        .any(|tail| is_like(tail, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, is_meant) in [
            ("a/bc", true),
            ("a/*", true),
            ("*c", true),
            ("a*b*c", true),
            ("a/bc*", true),
            ("a/b", false),
            ("*d", false),
            ("b*", false),
        ] {
            assert_eq!(is_like("a/bc", pattern), is_meant, "{pattern}");
        }
    }
}
