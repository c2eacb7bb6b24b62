//! The rows: read, and judged by what both programs did.

use std::fmt::{self, Write as _};

use super::compare::{Aspect, Differences};
use super::run::Outcome;

/// Key derivations that cost nothing and are not measured.
const CHEAP: &str = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000";

/// One command line for both programs.
pub struct Row {
    /// Where it stands.
    place: String,
    /// As it is written there.
    text: String,
    pub words: Vec<String>,
    /// Standard input, or what is typed after each prompt.
    pub input: Vec<Vec<u8>>,
    pub on_terminal: bool,
    wanted: Option<Wanted>,
}

/// A difference that is meant.
#[derive(Default)]
struct Wanted {
    aspects: Vec<Aspect>,
    ours: Option<Ending>,
    theirs: Option<Ending>,
    because: String,
}

/// An exit code and the first line that is said, on standard error if there is one.
#[derive(Debug, Eq, PartialEq)]
struct Ending {
    code: i32,
    line: String,
}

impl Ending {
    fn of(outcome: &Outcome) -> Self {
        let first = |text: &str| {
            let line = text.lines().find(|line| !line.trim().is_empty());
            line.map(|line| line.trim().to_owned())
        };
        let line = first(&outcome.stderr).or_else(|| first(&outcome.stdout));
        Self {
            code: outcome.code,
            line: line.unwrap_or_default(),
        }
    }

    /// `CODE: LINE`, or `CODE` where nothing is said.
    fn parse(text: &str) -> Option<Self> {
        let (code, line) = text.split_once(": ").unwrap_or((text, ""));
        Some(Self {
            code: code.parse().ok()?,
            line: line.to_owned(),
        })
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let between = if self.line.is_empty() { "" } else { ": " };
        write!(f, "{}{between}{}", self.code, self.line)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

impl Row {
    fn new(place: String, text: &str) -> Self {
        let (line, input) = text.split_once(" <<< ").unwrap_or((text, ""));
        let on_terminal = line.starts_with('~');
        let line = line.trim_start_matches('~').replace("$C", CHEAP);
        let input = if on_terminal && !input.is_empty() {
            input.split('|').map(unescaped).collect()
        } else {
            vec![unescaped(input)]
        };
        Self {
            place,
            text: text.to_owned(),
            words: words(&line),
            input,
            on_terminal,
            wanted: None,
        }
    }

    /// Everything in it that could be the name of a file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let is_of_a_name = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        let no_action = self.has("--test-args");
        self.words
            .iter()
            .flat_map(move |word| word.split(move |letter| !is_of_a_name(letter)))
            .filter(move |name| !no_action && !matches!(*name, "" | "." | ".."))
    }

    pub fn has(&self, word: &str) -> bool {
        self.words.iter().any(|other| other == word)
    }

    /// Whether data move to make room for a header before them.
    pub fn makes_room(&self) -> bool {
        let moves = ["--encrypt", "--new", "-N", "enc-shift", "oldflag-enc"];
        moves.iter().any(|word| self.has(word))
    }

    /// Why it is meant to differ.
    pub fn difference(&self) -> Option<&str> {
        self.wanted.as_ref().map(|wanted| wanted.because.as_str())
    }

    /// Whether a key derivation was measured, so that its cost is another one each time.
    pub fn is_measured(&self) -> bool {
        !self.has("--pbkdf-force-iterations")
    }

    /// Whether it makes keyslots that take seconds to open.
    pub fn makes_slow_keyslots(&self) -> bool {
        let makers = [
            "luksFormat",
            "luksAddKey",
            "luksChangeKey",
            "luksConvertKey",
        ];
        self.is_measured() && makers.iter().any(|maker| self.has(maker))
    }

    /// Holds what both did against what is wanted: the same, or exactly the difference that is written down.
    #[track_caller]
    pub fn judge(&self, theirs: &Outcome, ours: &Outcome, differences: &Differences) {
        let (theirs, ours) = (Ending::of(theirs), Ending::of(ours));
        let found: Vec<Aspect> = differences.aspects().collect();
        let matches = match &self.wanted {
            None => found.is_empty(),
            Some(wanted) => {
                wanted.aspects == found
                    && wanted.ours.as_ref() == Some(&ours)
                    && wanted.theirs.as_ref() == Some(&theirs)
            }
        };
        if matches {
            return;
        }
        let mut report = format!("{self}\n");
        let names: Vec<_> = found.iter().map(|aspect| aspect.name()).collect();
        let _ = write!(
            report,
            "    differs: {}\n    ours {ours}\n    theirs {theirs}\n{differences}",
            names.join(" ")
        );
        panic!("{report}");
    }
}

/// The rows of a file. What is indented belongs to the row above it.
pub fn rows(file: &str, text: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let place = format!("{file}.rows:{number}");
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let Some(member) = line.strip_prefix("    ") else {
            rows.push(Row::new(place, line));
            continue;
        };
        let row = rows.last_mut().expect("a row stands above it");
        let wanted = row.wanted.get_or_insert_default();
        let (name, value) = member
            .split_once(' ')
            .unwrap_or_else(|| panic!("{place}: {line}"));
        let known = match name {
            "differs:" => {
                wanted.aspects = value
                    .split(' ')
                    .map(|name| Aspect::named(name).unwrap_or_else(|| panic!("{place}: {name}")))
                    .collect();
                true
            }
            "ours" => {
                wanted.ours = Ending::parse(value);
                wanted.ours.is_some()
            }
            "theirs" => {
                wanted.theirs = Ending::parse(value);
                wanted.theirs.is_some()
            }
            "because:" => {
                value.clone_into(&mut wanted.because);
                true
            }
            _ => false,
        };
        assert!(known, "{place}: {line}");
    }
    for row in &rows {
        if let Some(wanted) = &row.wanted {
            assert!(
                !wanted.because.is_empty(),
                "{row}: why should it differ, and in what?"
            );
        }
    }
    rows
}

/// Words as a shell takes them apart, with single quotes only.
pub fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = None;
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            letter => word.get_or_insert_with(String::new).push(letter),
        }
    }
    words.extend(word);
    words
}

/// `\n` and `\0` are a line feed and a NUL.
pub fn unescaped(text: &str) -> Vec<u8> {
    text.replace("\\n", "\n").replace("\\0", "\0").into_bytes()
}
