//! The new key: where it comes from, and what its keyslot is to be.

use std::ffi::OsString;

use jobs::key_source::KeySource;
use jobs::new_keyslot::NewKeyslot;

use crate::args::{KeyArgs, KeyFormat, KeyReadArgs, NewKeyArgs, NewKeyFileArgs};
use crate::error::Error;
use crate::options;
use crate::passphrase::KeyInput;

/// Where the new key comes from. `keys` is where the other one does, with which it shares encoding and format.
pub fn input(keys: &KeyArgs, new: &NewKeyFileArgs) -> Result<KeyInput, Error> {
    let (files, descriptors) = (keys.key_file.as_slice(), keys.key_fd.as_slice());
    input_beside(files, descriptors, &keys.read, new)
}

/// The same beside several. `files` and `descriptors` are where the others do, with which it shares encoding and format.
pub fn input_beside(
    files: &[OsString],
    descriptors: &[u32],
    read: &KeyReadArgs,
    new: &NewKeyFileArgs,
) -> Result<KeyInput, Error> {
    let stdin = |files: &[OsString]| files.iter().any(|file| file == "-");
    let is_stdin = stdin(new.new_keyfile.as_slice()) || new.new_key_fd == Some(0);
    if is_stdin && (stdin(files) || descriptors.contains(&0)) {
        return Err(Error::Conflict {
            one: "--key-file -",
            other: "--new-keyfile -",
        });
    }
    if new.new_key_fd.is_some_and(|new| descriptors.contains(&new)) {
        return Err(Error::Conflict {
            one: "--key-fd",
            other: "--new-key-fd of the same number",
        });
    }
    // What is tried to open a container is nothing to make a key of.
    let format = read.key_format.filter(|format| *format != KeyFormat::Auto);
    let source = KeySource {
        encoding: read.key_encoding.into(),
        format: format.map(Into::into).unwrap_or_default(),
        ..options::new_key(new, read.insecure_secret)
    };
    Ok(KeyInput::new(source, false)?)
}

/// What the new keyslot is to be.
pub fn wanted(new: &NewKeyArgs) -> NewKeyslot {
    NewKeyslot {
        cost: (&new.cost).into(),
        hash: new.hash.clone(),
        cipher: options::keyslot_cipher(&new.keyslot_cipher),
    }
}
