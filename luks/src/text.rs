//! Text out of an image: whoever wrote the image chose it, and it drives no terminal.

use std::fmt::{self, Write as _};

/// A text that stands in an image, or has pieces of one in it.
///
/// Shown it is escaped: nothing in it moves a cursor, begins a line or turns the direction of writing around, wherever
/// the error goes that it is a part of. What stands on the disk is [`as_raw`](Self::as_raw).
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ImageText(String);

impl ImageText {
    /// The text as it is, for who compares or keeps it. A terminal may obey it.
    pub fn as_raw(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ImageText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if is_hidden(character) {
                write!(f, "{}", character.escape_default())?;
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// In quotation marks and escaped, as texts are.
impl fmt::Debug for ImageText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<String> for ImageText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for ImageText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl PartialEq<str> for ImageText {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<String> for ImageText {
    fn eq(&self, other: &String) -> bool {
        self.0 == *other
    }
}

impl PartialEq<&str> for ImageText {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

/// Several of them in a list.
pub(crate) fn list(texts: &[ImageText]) -> String {
    let texts: Vec<_> = texts.iter().map(ImageText::to_string).collect();
    texts.join(", ")
}

/// Whether a terminal obeys a character, or shows nothing for it: controls, ends of lines, what turns the direction of
/// writing around or has no width, with which one text can be made to look like another.
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_it_is_escaped_and_kept_as_it_is() {
        for (raw, shown) in [
            ("plain label", "plain label"),
            ("größe \u{1f512} \\ \"", "größe \u{1f512} \\ \""),
            (
                "\u{1b}[2J\u{7}\r\n\t\0\u{7f}",
                "\\u{1b}[2J\\u{7}\\r\\n\\t\\u{0}\\u{7f}",
            ),
            ("\u{9b}2J\u{85}", "\\u{9b}2J\\u{85}"),
            (
                "\u{2028}\u{202e}\u{2066}\u{e0041}",
                "\\u{2028}\\u{202e}\\u{2066}\\u{e0041}",
            ),
        ] {
            let text = ImageText::from(raw);
            assert_eq!(text.to_string(), shown);
            assert_eq!(text.as_raw(), raw);
            assert!(!format!("{text:?}").chars().any(is_hidden));
        }
    }
}
