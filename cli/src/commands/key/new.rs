//! The new key: where it comes from, and what its keyslot is to be.

use jobs::key_source::KeySource;
use jobs::new_keyslot::NewKeyslot;

use crate::args::{KeyArgs, NewKeyArgs, NewKeyFileArgs};
use crate::error::Error;
use crate::options;
use crate::passphrase::KeyInput;

/// Where the new key comes from. `keys` is where the other one does, with which it shares encoding and format.
pub fn input(keys: &KeyArgs, new: &NewKeyFileArgs) -> Result<KeyInput, Error> {
    let stdin = |file: &Option<std::ffi::OsString>| file.as_ref().is_some_and(|file| file == "-");
    let is_stdin = stdin(&new.new_keyfile) || new.new_key_fd == Some(0);
    if is_stdin && (stdin(&keys.key_file) || keys.key_fd == Some(0)) {
        return Err(Error::Conflict {
            one: "--key-file -",
            other: "--new-keyfile -",
        });
    }
    if new.new_key_fd.is_some() && new.new_key_fd == keys.key_fd {
        return Err(Error::Conflict {
            one: "--key-fd",
            other: "--new-key-fd of the same number",
        });
    }
    let source = KeySource {
        encoding: keys.read.key_encoding.into(),
        format: keys.read.key_format.into(),
        ..options::new_key(new)
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
