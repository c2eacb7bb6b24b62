//! A container whose header is changed: what is asked before, and said after.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;

use jobs::change::{ChangeOptions, Rehearsed, SealKey};
use jobs::confirm::{Loss, Question};
use jobs::error::Unconfirmed;
use jobs::unlock::Unlock;
use jobs::{Confirm, inputs::Inputs};
use luks::Version;
use serde::Serialize;

use crate::args::{ChangeArgs, ImageArgs, OutputArgs, SealKeyArgs};
use crate::error::Error;
use crate::output;
use crate::passphrase::KeyInput;
use crate::secrets::Keys;
use crate::unlock;

/// How a header is changed. `inputs` are read beside it.
pub fn options(image: &ImageArgs, args: &ChangeArgs, inputs: Inputs) -> ChangeOptions {
    ChangeOptions {
        policies: (&image.policy.policy[..]).into(),
        backup: args.header_backup_file.clone(),
        dry_run: args.dry.run,
        drop_seal: args.drop_seal,
        inputs,
    }
}

/// The key that a sealed header is sealed anew with, where a change needs no other one.
pub struct Sealing {
    input: KeyInput,
    volume_key_file: Option<PathBuf>,
    tries: u32,
    unlock: Unlock,
    is_there: bool,
}

impl Sealing {
    /// As the options say. `stdin_is_data`: no key comes from standard input.
    pub fn of(args: &SealKeyArgs, stdin_is_data: bool) -> Result<Self, Error> {
        let input = KeyInput::new(&args.keys, stdin_is_data)?;
        let is_given = args.keys.is_given() || args.volume_key_file.is_some();
        // A line of standard input is a key for who has said so.
        let is_there = is_given || (!stdin_is_data && input.is_typed());
        let unlock = unlock::how_for(None, &args.limits)?;
        Ok(Self {
            input,
            volume_key_file: args.volume_key_file.clone(),
            tries: args.limits.tries,
            is_there: is_there || unlock.seal.is_wanted(),
            unlock,
        })
    }

    /// Who has it.
    pub fn keys(&self) -> Keys<'_> {
        Keys::opening(&self.input, self.volume_key_file.as_deref(), self.tries)
    }

    /// The same for a job.
    pub fn key<'a>(&'a self, keys: &'a Keys<'a>) -> Option<SealKey<'a>> {
        self.is_there.then_some(SealKey {
            secrets: keys,
            unlock: &self.unlock,
        })
    }
}

/// Asks on the terminal what is to be answered with `yes`; `-q` is yes to it.
pub struct Asker {
    is_unasked: bool,
}

impl Asker {
    /// As the options say.
    pub fn new(say: OutputArgs) -> Self {
        Self {
            is_unasked: say.batch_mode,
        }
    }
}

impl Confirm for Asker {
    fn confirm(&self, question: &Question<'_>) -> Result<(), Unconfirmed> {
        if self.is_unasked {
            return Ok(());
        }
        ask(&text(question), question.dry_run).map_err(Unconfirmed::new)
    }
}

fn text(question: &Question<'_>) -> String {
    let image = question.image;
    match question.loss {
        Loss::Header => format!("Header and keyslots of {image} will be replaced."),
        Loss::Keyslots => {
            format!(
                "All keyslots of {image} will be overwritten: no passphrase will open it again."
            )
        }
        Loss::LastKeyslot(keyslot) => format!(
            "Keyslot {keyslot} is the last one of {image}: without it nobody can open the container."
        ),
        Loss::Version(version) => {
            let version = match version {
                Version::Luks1 => "luks1",
                Version::Luks2 => "luks2",
            };
            format!("The header of {image} will be converted to {version}.")
        }
        Loss::OtherKeyslots(keyslots) => {
            let numbers: Vec<_> = keyslots.iter().map(u32::to_string).collect();
            format!(
                "Keyslots of {image} that go, with their passphrases: {}.",
                numbers.join(", ")
            )
        }
        Loss::Unprotected => format!(
            "Nothing will protect {image} while it is written: a crash may lose data, and nothing tells which."
        ),
        Loss::Unproven { what } => format!(
            "Nothing proves that what is under way in {image} is what was begun: whoever could write it can have chosen \
             it. What will be done: {what}."
        ),
        Loss::Rest { bytes } => {
            format!("What lies behind the first {bytes} bytes of {image} becomes noise.")
        }
        Loss::VolumeKey { file } => format!(
            "Whoever has {file} opens {image}, whatever passphrases are changed or removed later."
        ),
        _ => format!("{image} will be changed, and nothing undoes it."),
    }
}

/// A dry run asks nobody, and fails where nobody could be asked.
fn ask(question: &str, dry_run: bool) -> Result<(), Error> {
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

/// Says what was done to the container that messages call `image`: `result` to programs, `text` to people unless they
/// want to hear nothing. After a dry run that is what would have been, which is what was asked for.
pub fn done(
    verb: &str,
    say: OutputArgs,
    result: &impl Serialize,
    image: &str,
    rehearsed: Option<&Rehearsed>,
    text: &str,
) -> Result<(), Error> {
    if say.json {
        return Ok(output::json(verb, members(result))?);
    }
    let Some(rehearsed) = rehearsed else {
        return Ok(if say.batch_mode {
            Ok(())
        } else {
            output::text(text)
        }?);
    };
    let mut lines = format!("nothing is written; without --dry-run:\n{text}");
    if rehearsed.writes.is_empty() {
        lines.push_str("no byte would change\n");
    }
    for written in &rehearsed.writes {
        let _ = writeln!(
            lines,
            "bytes {} to {} of {image} would be written",
            written.offset,
            written.offset + written.length - 1
        );
    }
    Ok(output::text(&lines)?)
}

/// Says that `file` was written, or after a dry run that it would have been: `result` to programs, `what` it is to people
/// unless they want to hear nothing.
pub fn wrote(
    verb: &str,
    say: OutputArgs,
    result: &impl Serialize,
    file: &str,
    dry_run: bool,
    what: &str,
) -> Result<(), Error> {
    if say.json {
        return Ok(output::json(verb, members(result))?);
    }
    Ok(match (dry_run, say.batch_mode) {
        (true, _) => output::text(&format!(
            "nothing is written; without --dry-run:\n{file}: {what}\n"
        )),
        (false, true) => Ok(()),
        (false, false) => output::text(&format!("{file}: {what}\n")),
    }?)
}

fn members(result: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(result).expect("a result is plain data")
}
