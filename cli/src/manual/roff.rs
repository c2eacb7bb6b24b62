//! From the text of a page to troff.
//!
//! | a line | what it becomes |
//! | --- | --- |
//! | `# NAME` | the heading of a section |
//! | `= tag` | the tag of an item, whose text follows |
//! | four blanks, text | a line that stays as it is |
//! | an empty line | a new paragraph |
//! | anything else | text, in which what stands between backquotes is bold |

use std::fmt::Write as _;

/// The body of a page.
pub(super) fn body(text: &str) -> String {
    let mut roff = String::new();
    let mut is_verbatim = false;
    let mut is_open = false;
    for line in text.lines() {
        let verbatim = line.strip_prefix("    ");
        if is_verbatim && verbatim.is_none() {
            roff.push_str(".fi\n.RE\n");
            is_verbatim = false;
            is_open = false;
        }
        if let Some(line) = verbatim {
            if !is_verbatim {
                roff.push_str(if is_open { ".PP\n" } else { "" });
                roff.push_str(".RS 4\n.nf\n");
                is_verbatim = true;
            }
            let _ = writeln!(roff, "{}", guarded(&escaped(line)));
        } else if let Some(heading) = line.strip_prefix("# ") {
            let _ = writeln!(roff, ".SH \"{}\"", escaped(heading));
            is_open = false;
        } else if let Some(tag) = line.strip_prefix("= ") {
            let _ = writeln!(roff, ".TP\n{}", tagged(tag));
            is_open = false;
        } else if line.is_empty() {
            is_open = true;
        } else {
            if is_open && !roff.ends_with("\"\n") {
                roff.push_str(".PP\n");
            }
            let _ = writeln!(roff, "{}", guarded(&marked(line)));
            is_open = false;
        }
    }
    if is_verbatim {
        roff.push_str(".fi\n.RE\n");
    }
    roff
}

/// The first line of a page.
pub(super) fn title(name: &str, section: u8, version: &str) -> String {
    format!(
        ".TH {} {section} {DATE} \"luksmith {version}\"\n",
        name.to_uppercase()
    )
}

/// When the pages were last looked through as a whole. Not the day of the build, of which two must be the same.
const DATE: &str = "2026-11-28";

/// What is generated out of definitions, with a title like that of the others, and paragraphs that every reader of
/// manual pages takes.
pub(super) fn mended(generated: &str, name: &str, version: &str) -> String {
    let mut page = String::new();
    for line in generated.replace(".br\n\n.br\n", ".sp\n").lines() {
        if line.starts_with(".TH ") {
            page.push_str(&title(name, 1, version));
        } else {
            let _ = writeln!(page, "{line}");
        }
    }
    page
}

/// A tag: its name is bold, what is said of it after a comma is not.
fn tagged(tag: &str) -> String {
    let (name, rest) = match tag.split_once(", ") {
        Some((name, rest)) if !name.contains(' ') => (name, format!(" ({})", escaped(rest))),
        _ => (tag, String::new()),
    };
    format!("\\fB{}\\fR{rest}", escaped(name))
}

fn marked(line: &str) -> String {
    let parts = line.split('`').enumerate();
    parts
        .map(|(index, part)| match index % 2 {
            0 => escaped(part),
            _ => format!("\\fB{}\\fR", escaped(part)),
        })
        .collect()
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

/// A line of text must not look like a request.
fn guarded(line: &str) -> String {
    if line.starts_with(['.', '\'']) {
        format!("\\&{line}")
    } else {
        line.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::body;

    #[test]
    fn each_kind_of_line() {
        let text = "# WHY NOT\n.first\nand `bold-er`\n\nsecond\n\n= --key N, text\nWhat.\n\n    a -b\n    'c'\nend\n";
        assert_eq!(
            body(text),
            ".SH \"WHY NOT\"\n\\&.first\nand \\fBbold\\-er\\fR\n.PP\nsecond\n.TP\n\\fB\\-\\-key N, text\\fR\nWhat.\n\
             .PP\n.RS 4\n.nf\na \\-b\n\\&'c'\n.fi\n.RE\nend\n"
        );
        assert_eq!(body("= a.b, number\nX\n"), ".TP\n\\fBa.b\\fR (number)\nX\n");
    }
}
