//! Descriptors that the command line names: whether the caller opened them.
//!
//! Looked at before anything is opened, for then a number that is not open would be one of this process's own files a
//! moment later, and an image's bytes would be read for a key.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A descriptor that is named and that nobody opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("descriptor {0} is not open")]
pub struct Closed(pub u32);

/// Looks at every descriptor that `words` name: as a path, alone or as an option's value, or behind an option for one.
pub fn check(words: &[OsString]) -> Result<(), Closed> {
    // Without /proc no descriptor can be opened by its number.
    if !Path::new("/proc/self/fd").exists() {
        return Ok(());
    }
    for number in named(words) {
        let path = format!("/proc/self/fd/{number}");
        if Path::new(&path).symlink_metadata().is_err() {
            return Err(Closed(number));
        }
    }
    Ok(())
}

/// From now on no program that this process starts has what its caller had open beside the standard streams, unless one of
/// `words` names it.
pub fn pass_on_named(words: &[OsString]) {
    let named = named(words);
    let open = std::fs::read_dir("/proc/self/fd");
    for entry in open.into_iter().flatten().flatten() {
        if let Some(number) = number(entry.file_name().as_bytes())
            && number > 2
            && !named.contains(&number)
        {
            // The one by which the folder is read has gone by then.
            let _ = volume::close_on_exec(number);
        }
    }
}

fn named(words: &[OsString]) -> Vec<u32> {
    let mut numbers = Vec::new();
    let mut is_value = false;
    for word in words.iter().map(|word| word.as_bytes()) {
        let option = word.split(|byte| *byte == b'=').next().unwrap_or_default();
        let takes_number = option.starts_with(b"--") && option.ends_with(b"key-fd");
        let value = word.get(option.len() + 1..);
        let digits = match value {
            Some(value) if takes_number => number(value),
            _ if is_value => number(word),
            _ => None,
        };
        is_value = takes_number && value.is_none();
        numbers.extend(digits);
        // A short option has its value in the same word.
        let places = [
            Some(word),
            value,
            word.get(2..).filter(|_| word.starts_with(b"-")),
        ];
        numbers.extend(places.into_iter().flatten().find_map(number_of_path));
    }
    numbers
}

fn number_of_path(path: &[u8]) -> Option<u32> {
    let own = format!("/proc/{}/fd/", std::process::id());
    let folders = ["/dev/fd/", "/proc/self/fd/", "/proc/thread-self/fd/", &own];
    let behind = folders
        .iter()
        .find_map(|folder| path.strip_prefix(folder.as_bytes()))?;
    number(behind)
}

fn number(text: &[u8]) -> Option<u32> {
    OsStr::from_bytes(text).to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_wherever_they_stand() {
        let of = |line: &str| {
            let words: Vec<_> = line.split_whitespace().map(OsString::from).collect();
            named(&words)
        };
        assert_eq!(of("encrypt --key-fd 5 a b"), [5]);
        assert_eq!(of("encrypt --key-fd=5 --new-key-fd 7 a 9"), [5, 7]);
        assert_eq!(of("decrypt -d /dev/fd/5 /proc/self/fd/6 x"), [5, 6]);
        assert_eq!(of("decrypt -d/dev/fd/5 --header=/dev/fd/8 x"), [5, 8]);
        assert_eq!(of("encrypt --key-file a 5 /dev/fd/x /dev/fdx/3"), [0; 0]);
        assert_eq!(
            of(&format!("inspect /proc/{}/fd/9", std::process::id())),
            [9]
        );
    }

    #[test]
    fn closed_ones_are_told() {
        let check = |number: u32| check(&["--key-fd".into(), number.to_string().into()]);
        assert_eq!(check(0), Ok(()));
        assert_eq!(check(999_999), Err(Closed(999_999)));
    }
}
