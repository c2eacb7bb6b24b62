use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;

use dmcrypt::LockedBytes;
use jobs::decrypt::{Container, DecryptOptions, decrypt};
use jobs::encrypt::{EncryptOptions, Format, encrypt};
use jobs::inputs::Inputs;
use jobs::key_source::{KeyEncoding, KeyError, KeyFiles, KeyFrom, KeySource};
use jobs::plain::PlainWanted;
use jobs::secret::Passphrase;
use jobs::{Blame, Error, Place};
use luks::Version;

use crate::{all_of, bytes, memory, place, quick};

/// A key is what its file says, by cryptsetup's rules: newline and all, from an offset on, as digits, by a descriptor.
#[test]
fn keys_out_of_files_open_what_they_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key é");
    fs::write(&path, "..616263\n").unwrap();
    let open = File::open(&path).unwrap();
    let descriptor = u32::try_from(open.as_raw_fd()).unwrap();
    let of = |from, offset, size, encoding| KeySource {
        from,
        offset,
        size,
        encoding,
        ..KeySource::default()
    };
    let raw = bytes(64 << 10);
    for (source, passphrase) in [
        (
            of(KeyFrom::File(path.clone()), 0, None, KeyEncoding::Raw),
            &b"..616263\n"[..],
        ),
        (
            of(KeyFrom::File(path.clone()), 2, Some(6), KeyEncoding::Raw),
            b"616263",
        ),
        (
            of(KeyFrom::Descriptor(descriptor), 2, None, KeyEncoding::Hex),
            b"abc",
        ),
    ] {
        let files = KeyFiles::from(source);
        let container = memory(Vec::new());
        let sealed = place("sealed", Arc::clone(&container));
        let unsealed = place("raw", memory(raw.clone()));
        encrypt(&unsealed, &sealed, &quick(Version::Luks2), &files, &()).unwrap();

        let plain = memory(Vec::new());
        let opened = place("plain", Arc::clone(&plain));
        let typed = LockedBytes::copy_of(passphrase);
        let options = DecryptOptions::default();
        decrypt(&sealed, &opened, &options, &Passphrase(&typed), &()).unwrap();
        assert!(all_of(&*plain) == raw, "{files:?}");
    }
}

#[test]
fn a_volume_key_in_a_file_is_the_key_of_a_new_container_and_opens_it() {
    let folder = tempfile::tempdir().unwrap();
    let [key, volume_key] = ["key", "volume key"].map(|name| folder.path().join(name));
    fs::write(&key, "pw").unwrap();
    fs::write(&volume_key, bytes(64)).unwrap();
    let files = KeyFiles {
        volume_key: Some(volume_key),
        ..KeyFiles::from(KeySource {
            from: KeyFrom::File(key.clone()),
            ..KeySource::default()
        })
    };
    let raw = bytes(64 << 10);
    let container = memory(Vec::new());
    let sealed = place("sealed", Arc::clone(&container));
    let unsealed = place("raw", memory(raw.clone()));
    encrypt(&unsealed, &sealed, &quick(Version::Luks1), &files, &()).unwrap();
    // The volume key alone opens it.
    fs::write(&key, "another").unwrap();
    let plain = memory(Vec::new());
    let opened = place("plain", Arc::clone(&plain));
    decrypt(&sealed, &opened, &DecryptOptions::default(), &files, &()).unwrap();
    assert!(all_of(&*plain) == raw);
}

#[test]
fn of_a_plain_container_a_file_is_the_key_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    fs::write(&path, bytes(80)).unwrap();
    let source = KeySource {
        from: KeyFrom::File(path.clone()),
        ..KeySource::default()
    };
    let wanted = PlainWanted {
        cipher: Some("aes-xts-plain64".to_owned()),
        key_bits: Some(512),
        ..PlainWanted::default()
    };
    let understood = wanted.understood(&source).unwrap();
    let files = KeyFiles::from(source);
    let raw = bytes(64 << 10);
    let container = memory(Vec::new());
    let sealed = place("sealed", Arc::clone(&container));
    let unsealed = place("raw", memory(raw.clone()));
    let options = EncryptOptions {
        format: Format::Plain(understood.clone()),
        ..EncryptOptions::default()
    };
    encrypt(&unsealed, &sealed, &options, &files, &()).unwrap();
    assert_eq!(container.len().unwrap(), raw.len() as u64);

    // Its first 64 bytes are the key.
    let options = DecryptOptions {
        container: Container::Plain(understood),
        ..DecryptOptions::default()
    };
    fs::write(&path, bytes(64)).unwrap();
    let plain = memory(Vec::new());
    let opened = place("plain", Arc::clone(&plain));
    decrypt(&sealed, &opened, &options, &files, &()).unwrap();
    assert!(all_of(&*plain) == raw);

    fs::write(&path, bytes(56)).unwrap();
    let opened = place("plain", memory(Vec::new()));
    let error = decrypt(&sealed, &opened, &options, &files, &()).unwrap_err();
    let Error::Secret(secret) = &error else {
        panic!("{error}");
    };
    let short = secret.get_ref().downcast_ref();
    assert!(
        matches!(
            short,
            Some(KeyError::Short {
                bytes: 56,
                wanted: 64,
                ..
            })
        ),
        "{error}"
    );
    assert_eq!(error.blame(), Blame::Request);
}

#[test]
fn a_key_file_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    fs::write(&path, "pw").unwrap();
    let files = KeyFiles::from(KeySource {
        from: KeyFrom::File(path.clone()),
        ..KeySource::default()
    });
    let options = EncryptOptions {
        inputs: Inputs::none().key("the key file", &files.key),
        overwrite: jobs::destination::Overwrite {
            files: true,
            devices: true,
        },
        ..quick(Version::Luks2)
    };
    let source = place("raw", memory(bytes(64 << 10)));
    let error = encrypt(&source, &Place::Path(path.clone()), &options, &files, &()).unwrap_err();
    assert!(
        error.to_string().contains("is the key file itself"),
        "{error}"
    );
    assert_eq!(fs::read(&path).unwrap(), b"pw");
}
