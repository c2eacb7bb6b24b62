//! What a header must look like, as text and file.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use luks::policy::Bounds;
use luks::{Luks, Policy};

use crate::error::{Error, PolicyError};
use crate::text;

/// What stands before the name of a policy that comes with the program.
pub const BUILTIN: &str = "builtin:";

/// The policies that come with the program, by name.
pub const BUILTINS: &[(&str, &str)] = &[(
    "confidential-vm",
    include_str!("../policies/confidential-vm.toml"),
)];

/// A policy is a page or two.
const MAX_BYTES: u64 = 1 << 20;

/// Policies, each of which is to hold.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    /// As they are.
    pub given: Vec<Policy>,
    /// In files, or with `builtin:` before their names: read once the job knows that none of them is written.
    pub files: Vec<PathBuf>,
}

impl Policies {
    /// All of them.
    pub fn read(&self) -> Result<Vec<Policy>, PolicyError> {
        let mut all = self.given.clone();
        all.extend(read(&self.files)?);
        Ok(all)
    }
}

/// Those in files.
impl From<&[PathBuf]> for Policies {
    fn from(files: &[PathBuf]) -> Self {
        Self {
            given: Vec::new(),
            files: files.to_vec(),
        }
    }
}

/// The policies in these files, or of these names with `builtin:` before; each of them is to hold. Read once: a policy
/// may come from a pipe.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Policy>, PolicyError> {
    paths.iter().map(|path| read_one(path)).collect()
}

fn read_one(path: &Path) -> Result<Policy, PolicyError> {
    let name = text::path(path);
    let text = match path.to_str().and_then(|text| text.strip_prefix(BUILTIN)) {
        Some(builtin) => BUILTINS
            .iter()
            .find(|(known, _)| *known == builtin)
            .map(|(_, text)| (*text).to_owned())
            .ok_or_else(|| PolicyError::Unknown {
                name: text::escape(builtin),
            })?,
        None => read_text(path).map_err(|source| PolicyError::Unreadable {
            name: name.clone(),
            source,
        })?,
    };
    parse(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| {
            1 + text[..span.start.min(text.len())].matches('\n').count()
        });
        PolicyError::Wrong {
            name,
            line,
            problem: text::escape(error.message()),
        }
    })
}

/// Checks `luks`, which messages call `name`, against each of `policies`.
pub fn check(policies: &[Policy], luks: &Luks, name: &str) -> Result<(), Error> {
    policies
        .iter()
        .try_for_each(|policy| policy.check(luks))
        .map_err(|error| Error::luks(name, error))
}

/// Checks the length of the data of `luks`, in a file or device of `storage_bytes` that messages call `name`.
pub fn check_data(
    policies: &[Policy],
    luks: &Luks,
    name: &str,
    storage_bytes: Option<u64>,
) -> Result<(), Error> {
    policies
        .iter()
        .try_for_each(|policy| policy.check_data(luks, storage_bytes))
        .map_err(|error| Error::luks(name, error))
}

/// The policy that only the header of `luks` fulfils, as text, with the length of the data behind it in an image of
/// `image_bytes`; `None` while one of its copies is not used.
pub fn template(luks: &Luks, image_bytes: u64) -> Option<String> {
    let mut policy = Policy::exact(luks)?;
    policy.data.length_bytes = luks
        .header()
        .data_offset()
        .filter(|offset| *offset > 0)
        .and_then(|offset| image_bytes.checked_sub(offset))
        .filter(|bytes| *bytes > 0)
        .map(Bounds::exactly);
    let rules = toml::to_string(&policy).expect("a policy of lists and numbers that fit");
    let rules = text::escape_toml(&rules);
    Some(format!("{TEMPLATE_COMMENT}\n{rules}"))
}

const TEMPLATE_COMMENT: &str = "\
# This header and no other. A wanted change of it, such as a new passphrase, changes the fingerprint and the epoch:
# leave these two lines out to allow such changes within the other rules, and length-bytes where the image may grow.
# A rule that is absent allows everything. No rule sees whether the data were changed in place.
";

fn parse(text: &str) -> Result<Policy, toml::de::Error> {
    toml::from_str(text)
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(MAX_BYTES)
        .read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policies_that_come_with_the_program_are_right() {
        for (name, text) in BUILTINS {
            let policy = parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_ne!(policy, Policy::default(), "{name}");
        }
    }
}
