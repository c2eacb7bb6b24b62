use std::sync::Arc;

use luks::format::{self, Version};
use luks::{
    Error, FormatOptions, InvalidOption, KeyslotOptions, Luks, NewContainer, OsRandom, Unlocked,
    keyslots, tokens,
};
use serde_json::{Map, Value};
use volume::{MemoryStorage, SimulatedStorage, Storage};

use crate::common::{passphrase, unlock};
use crate::crash::small;

const SECRETS: [&[u8]; 3] = [b"first", b"second", b"third"];

fn options(version: Version) -> FormatOptions {
    FormatOptions {
        data_offset: Some(0x9_0000),
        ..small(version)
    }
}

fn add(new: &mut NewContainer, secret: &[u8], keyslot: Option<u32>) -> Result<u32, Error> {
    let options = KeyslotOptions {
        kdf: small(Version::Luks2).kdf,
        keyslot,
        ..KeyslotOptions::default()
    };
    keyslots::add_to_new(new, &passphrase(secret), &options, &mut OsRandom)
}

fn prepare(version: Version) -> NewContainer {
    let first = passphrase(SECRETS[0]);
    let options = options(version);
    let mut new = format::prepare(&options, &first, None, &mut OsRandom, &|| false).unwrap();
    assert_eq!(add(&mut new, SECRETS[1], None).unwrap(), 1);
    assert_eq!(add(&mut new, SECRETS[2], Some(5)).unwrap(), 5);
    new
}

fn token() -> Map<String, Value> {
    tokens::parse(br#"{"type":"theirs","keyslots":["5"]}"#).unwrap()
}

fn write(new: NewContainer, disk: &dyn Storage) {
    new.write_areas(disk, &mut OsRandom).unwrap();
    new.commit(disk).unwrap();
}

#[test]
fn a_crash_leaves_no_header_or_one_that_all_of_them_open() {
    for version in [Version::Luks1, Version::Luks2] {
        let disk = Arc::new(SimulatedStorage::new(1 << 20));
        write(prepare(version), &*disk);
        let mut whole = 0;
        for state in disk.crash_states(1) {
            let what = state.to_string();
            let luks = match Luks::open(Arc::new(state.storage)) {
                Ok(luks) => luks,
                Err(Error::NotLuks) => continue,
                Err(error) => panic!("{what}: {error}"),
            };
            let keys = SECRETS.map(|secret| {
                let unlocked = unlock(&luks, secret);
                let unlocked = unlocked.unwrap_or_else(|error| panic!("{what}: {error}"));
                (unlocked.keyslot(), unlocked.volume_key().expose().to_vec())
            });
            assert_eq!(
                [keys[0].0, keys[1].0, keys[2].0],
                [Some(0), Some(1), Some(5)]
            );
            assert!(keys.iter().all(|(_, key)| *key == keys[0].1));
            whole += 1;
        }
        assert!(whole > 0);
    }
}

#[test]
fn in_a_stream_they_are_the_same() {
    for version in [Version::Luks1, Version::Luks2] {
        let mut stream = Vec::new();
        let new = prepare(version);
        new.write_in_order(&mut stream, &mut OsRandom).unwrap();
        let luks = Luks::open(Arc::new(MemoryStorage::from_vec(stream))).unwrap();
        for (secret, keyslot) in SECRETS.iter().zip([0, 1, 5]) {
            let opened = unlock(&luks, secret).unwrap();
            assert_eq!(Unlocked::keyslot(&opened), Some(keyslot));
        }
    }
}

#[test]
fn what_has_no_place_is_refused_before_anything_is_written() {
    for (version, last) in [(Version::Luks1, 7), (Version::Luks2, 31)] {
        let mut new = prepare(version);
        for taken in [0, 1, 5] {
            assert!(matches!(
                add(&mut new, b"x", Some(taken)),
                Err(Error::InvalidOption(InvalidOption::KeyslotInUse { keyslot })) if keyslot == taken
            ));
        }
        assert!(matches!(
            add(&mut new, b"x", Some(last + 1)),
            Err(Error::InvalidOption(InvalidOption::KeyslotNumber { .. }))
        ));
        let error = loop {
            if let Err(error) = add(&mut new, b"x", None) {
                break error;
            }
        };
        assert!(matches!(
            error,
            Error::InvalidOption(
                InvalidOption::NoFreeKeyslot { .. } | InvalidOption::NoRoomForKeyslot { .. }
            )
        ));
        // What it has still opens it.
        let disk = Arc::new(MemoryStorage::new(1 << 20));
        write(new, &*disk);
        assert!(unlock(&Luks::open(disk).unwrap(), SECRETS[2]).is_ok());
    }
}

#[test]
fn a_token_is_there_with_the_header() {
    let mut new = prepare(Version::Luks2);
    let add = |new: &mut NewContainer| tokens::add_to_new(new, token(), &mut OsRandom);
    assert_eq!((add(&mut new).unwrap(), add(&mut new).unwrap()), (0, 1));
    let unknown = tokens::parse(br#"{"type":"theirs","keyslots":["7"]}"#).unwrap();
    assert!(matches!(
        tokens::add_to_new(&mut new, unknown, &mut OsRandom),
        Err(Error::InvalidOption(InvalidOption::Breaks(_)))
    ));
    let disk = Arc::new(MemoryStorage::new(1 << 20));
    write(new, &*disk);
    let luks = Luks::open(disk).unwrap();
    let luks::Header::Luks2(header) = luks.header() else {
        panic!("LUKS2");
    };
    assert_eq!(header.metadata.tokens.len(), 2);
    assert!(matches!(
        add(&mut prepare(Version::Luks1)),
        Err(Error::InvalidOption(InvalidOption::Luks1Cannot { .. }))
    ));
}
