//! A container whose header is changed: what is asked before, and said after.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};

use jobs::change::Target;
use serde_json::{Value, json};

use crate::args::{DryArgs, OutputArgs};
use crate::error::Error;
use crate::output;

/// What is asked and said of an image that is changed.
pub trait Told {
    /// Asks a question about the image, as [`confirm`] does.
    fn confirm(&self, question: &str, batch_mode: bool) -> Result<(), Error>;

    /// Says what was done: `members` to programs, `text` to people unless they want to hear nothing. After a dry run that
    /// is what would have been, which is what was asked for.
    fn done(&self, verb: &str, say: OutputArgs, members: Value, text: &str) -> Result<(), Error>;
}

impl Told for Target {
    fn confirm(&self, question: &str, batch_mode: bool) -> Result<(), Error> {
        confirm(question, batch_mode, self.would_write().is_some())
    }

    fn done(
        &self,
        verb: &str,
        say: OutputArgs,
        mut members: Value,
        text: &str,
    ) -> Result<(), Error> {
        self.check_named()?;
        let would_write = self.would_write();
        let mut lines = String::new();
        if let Some(written) = &would_write {
            lines.push_str("nothing is written; without --dry-run:\n");
            lines.push_str(text);
            if written.is_empty() {
                lines.push_str("no byte would change\n");
            }
            for range in written {
                let _ = writeln!(
                    lines,
                    "bytes {} to {} of {} would be written",
                    range.start,
                    range.end - 1,
                    self.name
                );
            }
            let writes: Vec<_> = written
                .iter()
                .map(|range| json!({"offset": range.start, "length": range.end - range.start}))
                .collect();
            members["dry_run"] = true.into();
            members["writes"] = writes.into();
        } else {
            lines.push_str(text);
        }
        if say.json {
            return Ok(output::json(verb, members)?);
        }
        if say.batch_mode && would_write.is_none() {
            return Ok(());
        }
        Ok(output::text(&lines)?)
    }
}

/// Says that `file` was written, or after a dry run that it would have been: `members` to programs, `what` it is to
/// people unless they want to hear nothing.
pub fn wrote(
    verb: &str,
    file: &str,
    what: &str,
    mut members: Value,
    dry: DryArgs,
    say: OutputArgs,
) -> Result<(), Error> {
    if say.json {
        if dry.run {
            members["dry_run"] = true.into();
        }
        return Ok(output::json(verb, members)?);
    }
    Ok(match (dry.run, say.batch_mode) {
        (true, _) => output::text(&format!(
            "nothing is written; without --dry-run:\n{file}: {what}\n"
        )),
        (false, true) => Ok(()),
        (false, false) => output::text(&format!("{file}: {what}\n")),
    }?)
}

/// Asks a question about the image that is to be answered with `yes`. `batch_mode` is yes to it. A dry run asks nobody,
/// and fails where nobody could be asked.
pub fn confirm(question: &str, batch_mode: bool, dry_run: bool) -> Result<(), Error> {
    if batch_mode {
        return Ok(());
    }
    if dry_run {
        terminal(question)?;
        output::warn(format_args!("without --dry-run it is asked: {question}"));
        return Ok(());
    }
    let refused = |_| Error::NeedsAnswer {
        question: question.to_owned(),
    };
    let mut terminal = terminal(question)?;
    write!(terminal, "{question} Type yes to go on: ").map_err(refused)?;
    let mut answer = String::new();
    BufReader::new(terminal)
        .read_line(&mut answer)
        .map_err(refused)?;
    if answer.trim().eq_ignore_ascii_case("yes") {
        Ok(())
    } else {
        Err(Error::Declined)
    }
}

/// The terminal that somebody could be asked on.
fn terminal(question: &str) -> Result<File, Error> {
    let opened = OpenOptions::new().read(true).write(true).open("/dev/tty");
    opened.map_err(|_| Error::NeedsAnswer {
        question: question.to_owned(),
    })
}
