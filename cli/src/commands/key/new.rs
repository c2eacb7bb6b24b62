//! The new key: where it comes from, and what its keyslot is to be.

use dmcrypt::{HashAlgorithm, Passphrase};
use luks::{Header, InvalidOption, KeyslotOptions, Version, defaults};

use crate::args::{KeyArgs, NewKeyArgs};
use crate::error::Error;
use crate::format::{keyslot_cipher, keyslot_kdf};
use crate::passphrase::KeyInput;
use jobs::limits;

/// Where the new key comes from. `keys` is where the other one does, with which it shares encoding and format.
pub fn input(keys: &KeyArgs, new: &NewKeyArgs) -> Result<KeyInput, Error> {
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
    Ok(KeyInput::new(
        &KeyArgs {
            key_file: new.new_keyfile.clone(),
            key_fd: new.new_key_fd,
            keyfile_offset: new.new_keyfile_offset,
            keyfile_size: new.new_keyfile_size,
            key_encoding: keys.key_encoding,
            key_format: keys.key_format,
        },
        false,
    )?)
}

/// Asks for the new passphrase; an empty one is refused unless `allow_empty`.
pub fn passphrase(
    input: &KeyInput,
    image: &str,
    batch_mode: bool,
    allow_empty: bool,
) -> Result<Passphrase, Error> {
    let image = format!("the new keyslot of {image}");
    let secret = input
        .read_for(&image, !batch_mode, None)
        .map_err(Error::NewKey)?;
    if secret.is_empty() && !allow_empty {
        input.refuse_empty().map_err(Error::NewKey)?;
    }
    Ok(Passphrase::from_locked(secret))
}

/// What the new keyslot is to be; its key derivation is measured unless its cost is given.
pub fn options(
    header: &Header,
    image: &str,
    new: &NewKeyArgs,
) -> Result<KeyslotOptions<'static>, Error> {
    let invalid = |error: InvalidOption| Error::luks(image, error.into());
    let (version, of_header, key_bytes) = match header {
        Header::Luks1(header) => {
            let hash = header
                .hash()
                .map_err(|error| Error::luks(image, error.into()))?;
            (Version::Luks1, hash, header.key_bytes as usize)
        }
        Header::Luks2(_) => (Version::Luks2, defaults::HASH, defaults::XTS_KEY_BYTES),
    };
    let hash = match &new.hash {
        Some(name) => {
            HashAlgorithm::parse(name).map_err(|error| invalid(InvalidOption::Cipher(error)))?
        }
        None => of_header,
    };
    let cipher = keyslot_cipher(image, &new.keyslot_cipher)?;
    let area_key_bytes = cipher.as_ref().map_or(key_bytes, |(_, bytes)| *bytes);
    Ok(KeyslotOptions {
        kdf: keyslot_kdf(version, hash, area_key_bytes, &new.cost)?,
        hash,
        cipher,
        threads: limits::processors(),
        ..KeyslotOptions::default()
    })
}
