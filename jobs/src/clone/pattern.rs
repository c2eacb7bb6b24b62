//! The names of many clones.

use crate::error::CloneError;

/// A name with a place for a number: `dev-{index:04}.luks`. `{index}` is the number as it is, `{index:04}` with zeros in
/// front up to four digits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pattern {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Text(String),
    Index { digits: usize },
}

/// Names of files are no longer.
const MOST_DIGITS: usize = 20;

impl Pattern {
    /// Understands it.
    ///
    /// # Errors
    ///
    /// [`CloneError::Pattern`] for one without a number, with anything else in braces, or with a folder.
    pub fn parse(text: &str) -> Result<Self, CloneError> {
        let wrong = |reason| CloneError::Pattern {
            pattern: text.to_owned(),
            reason,
        };
        if text.contains('/') {
            return Err(wrong("it names a folder; DST is the folder"));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(['{', '}']) {
            if rest.as_bytes()[before.len()] == b'}' {
                return Err(wrong("a brace is closed that was not opened"));
            }
            let (inside, behind) = after
                .split_once('}')
                .ok_or(wrong("a brace is not closed"))?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(index(inside).ok_or(wrong(
                "only {index} and {index:0N} are known, with N digits at most 20",
            ))?);
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        if !parts.iter().any(|part| matches!(part, Part::Index { .. })) {
            return Err(wrong("without {index} all would have one name"));
        }
        Ok(Self { parts })
    }

    /// The name of one.
    pub fn name(&self, index: u64) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Index { digits } => format!("{index:0digits$}"),
        };
        self.parts.iter().map(part).collect()
    }
}

fn index(inside: &str) -> Option<Part> {
    let digits = match inside.strip_prefix("index")? {
        "" => 0,
        format => {
            let digits = format.strip_prefix(":0")?;
            let are_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| are_digits)?
        }
    };
    (digits <= MOST_DIGITS).then_some(Part::Index { digits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_a_place_for_the_number() {
        for (pattern, name) in [
            ("dev-{index:04}.luks", "dev-0007.luks"),
            ("{index}", "7"),
            ("a{index:01}b{index:03}", "a7b007"),
        ] {
            let parsed = Pattern::parse(pattern).unwrap();
            assert_eq!(parsed.name(7), name);
            assert_ne!(parsed.name(7), parsed.name(70));
        }
        for wrong in [
            "",
            "dev.luks",
            "a/{index}",
            "{index",
            "index}",
            "{}",
            "{Index}",
            "{index:4}",
            "{index:0}",
            "{index:0x}",
            "{index:0+4}",
            "{index:021}",
            "{index}{",
            "{index}}",
            "{index:099999999999999999999}",
            "{{index}}",
        ] {
            assert!(Pattern::parse(wrong).is_err(), "{wrong}");
        }
    }
}
